package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// Everything that is committed arrives, each order's events in order, and what was
// delivered is not delivered again by the next process.
func TestEverythingArrivesInOrder(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		g.load(200)
		g.settle(time.Second)
		g.complete(h)
		if o := g.owing("oms"); o != (order.Owing{Destination: "oms"}) {
			t.Errorf("owed %+v", o)
		}
		n := len(h.posts())
		g.restart()
		g.settle(time.Minute)
		if again := len(h.posts()); again != n {
			t.Errorf("%d deliveries, %d after a restart", n, again)
		}
		g.load(5)
		g.settle(time.Second)
		g.complete(h)
	})
}

// Of first attempts 2 % fail: no order has an inversion.
func TestRetriesKeepTheOrder(t *testing.T) {
	for name, fail := range map[string]func() (int, string, error){
		"refused":     func() (int, string, error) { return http.StatusBadRequest, "", nil },
		"broken":      func() (int, string, error) { return http.StatusInternalServerError, "", nil },
		"closed":      func() (int, string, error) { return 0, "", errors.New("unexpected EOF") },
		"not in time": func() (int, string, error) { return 0, "", context.DeadlineExceeded },
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, g *gate) {
				h := g.to("oms")
				failed := 0
				h.answers(func(p post) (int, string, error) {
					if seq := strings.TrimLeft(p.seq, "0"); p.try == 1 && strings.HasSuffix("0"+seq, "07") {
						failed++
						return fail()
					}
					return http.StatusOK, "", nil
				})
				for range 20 {
					g.load(25)
					g.settle(300 * time.Millisecond)
				}
				g.settle(time.Minute)
				if failed < 15 {
					t.Errorf("%d failed: the test tests nothing", failed)
				}
				g.complete(h)
				if o := g.owing("oms"); o != (order.Owing{Destination: "oms"}) {
					t.Errorf("owed %+v", o)
				}
			})
		})
	}
}

// A destination that is gone for a week uses up no attempt of anything, is tried now and
// then, delays no other, and catches up in order.
func TestAWeekOfOutageKillsNothing(t *testing.T) {
	for name, fail := range map[string]func() (int, string, error){
		"not reached":   func() (int, string, error) { return 0, "", dialing },
		"502":           func() (int, string, error) { return http.StatusBadGateway, "", nil },
		"not in time":   func() (int, string, error) { return 0, "", context.DeadlineExceeded },
		"too many":      func() (int, string, error) { return http.StatusTooManyRequests, "", nil },
		"now and again": nil,
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, g *gate) {
				h, neighbour := g.to("oms"), g.to("neighbour")
				g.load(10)
				g.settle(time.Second)
				down := fail
				if down == nil { // it takes one in a while
					down = func() (int, string, error) {
						if time.Now().Second() == 0 {
							return http.StatusOK, "", nil
						}
						return http.StatusServiceUnavailable, "", nil
					}
				}
				h.answers(func(post) (int, string, error) { return down() })
				before, last := len(h.posts()), time.Now()
				for range 7 * 8 {
					g.load(1)
					g.settle(3 * time.Hour)
				}
				g.complete(neighbour)
				tries := h.posts()[before:]
				for _, p := range tries {
					if fail != nil && p.at.Sub(last) > 10*time.Minute {
						t.Fatalf("not tried between %v and %v", last, p.at)
					}
					last = p.at
				}
				if o := g.owing("oms"); o.Dead+o.Held > 0 || fail != nil && o.Retrying > 0 {
					t.Errorf("owed %+v", o)
				}
				if fail != nil {
					if c := g.dispatcher.Condition("oms"); !c.Down || c.Reason == "" {
						t.Errorf("condition %+v", c)
					}
				}
				h.answers(nil)
				g.settle(24 * time.Hour)
				g.complete(h)
				if o := g.owing("oms"); o != (order.Owing{Destination: "oms"}) {
					t.Errorf("owed %+v", o)
				}
			})
		})
	}
}

// An event that is refused while others pass is tried by the schedule and is dead then;
// its order's later events go on, or are held, as is declared.
func TestAnEventFailsAlone(t *testing.T) {
	for name, fail := range map[string]func() (int, string, error){
		"400":         func() (int, string, error) { return http.StatusBadRequest, `{"error":"bad"}`, nil },
		"redirected":  func() (int, string, error) { return http.StatusFound, "", nil },
		"500":         func() (int, string, error) { return http.StatusInternalServerError, "", nil },
		"not in time": func() (int, string, error) { return 0, "", context.DeadlineExceeded },
	} {
		for _, onDead := range []order.OnDead{order.OnDeadContinue, order.OnDeadHold} {
			t.Run(name+", "+string(onDead), func(t *testing.T) {
				within(t, func(t *testing.T, g *gate) { testFailsAlone(t, g, fail, onDead) })
			})
		}
	}
}

func testFailsAlone(t *testing.T, g *gate, fail func() (int, string, error), onDead order.OnDead) {
	h := g.to("oms", func(d *order.Destination) { d.OnDead = onDead })
	var healed atomic.Bool
	h.answers(func(p post) (int, string, error) {
		if !healed.Load() && p.subject == "bad" && p.status == steps[1] {
			return fail()
		}
		return http.StatusOK, "", nil
	})
	g.report("s", "bad", steps[:3]...)
	others := 0
	pass := func(times int, every time.Duration) { // other orders pass all the time
		for range times {
			g.report("s", fmt.Sprint("good", others), steps[0])
			others++
			g.settle(every)
		}
	}
	pass(80, 2*time.Second)
	pass(20, 4*time.Minute)
	pass(120, 30*time.Minute)
	var tries []time.Time
	for _, p := range h.posts() {
		if p.subject == "bad" && p.status == steps[1] {
			tries = append(tries, p.at)
		}
	}
	want := len(order.RetryPauses) + 1
	extra := len(tries) - want // those by which it was told apart from an outage
	if extra < 0 || extra > 2 {
		t.Fatalf("%d tries, want %d: %v", len(tries), want, tries)
	}
	for i, pause := range order.RetryPauses {
		got := tries[extra+i+1].Sub(tries[extra+i])
		if got < pause || got > pause*12/10+2*time.Minute {
			t.Errorf("pause %d was %v, want %v", i+1, got, pause)
		}
	}
	later := slices.ContainsFunc(h.accepted(), func(p post) bool { return p.subject == "bad" && p.status == steps[2] })
	dead, held := g.deliveries("oms", order.DeliveryDead), g.deliveries("oms", order.DeliveryHeld)
	if onDead == order.OnDeadContinue {
		if !later || len(dead) != 1 || len(held) != 0 {
			t.Fatalf("later event delivered %t; dead %d, held %d", later, len(dead), len(held))
		}
	} else if later || len(dead) != 0 || len(held) != 1 {
		t.Fatalf("later event delivered %t; dead %d, held %d", later, len(dead), len(held))
	}
	given := append(dead, held...)[0]
	if given.Attempts != want || given.Reason == "" || len(given.Last) != order.KeptAttempts {
		t.Errorf("delivery %+v; want %d attempts", given, want)
	}
	// A person has it tried again: from the first attempt on.
	g.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{given.Event.Place}}))
	g.settle(time.Second)
	if again := g.deliveries("oms", order.DeliveryRetrying); len(again) != 1 || again[0].Attempts > 1 {
		t.Errorf("tried again: %+v", again)
	}
	healed.Store(true)
	g.settle(3 * time.Hour)
	if o := g.owing("oms"); o != (order.Owing{Destination: "oms"}) {
		t.Errorf("owed %+v", o)
	}
	if onDead == order.OnDeadHold {
		g.complete(h)
	}
}
