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

// slow is a store whose reads can be slow, or fail.
type slow struct {
	order.Store
	due    func()
	events func(order.EventFilter) error
}

func (s *slow) Due(ctx context.Context, q order.QueueShards, now time.Time, limit int) ([]order.Blocked, []order.Dead, time.Time, error) {
	blocked, dead, next, err := s.Store.Due(ctx, q, now, limit)
	if s.due != nil {
		s.due()
	}
	return blocked, dead, next, err
}

func (s *slow) Events(ctx context.Context, f order.EventFilter) ([]*order.Event, bool, error) {
	if s.events != nil {
		if err := s.events(f); err != nil {
			return nil, false, err
		}
	}
	return s.Store.Events(ctx, f)
}

// slowly delivers from a store that can be slow from now on.
func (g *gate) slowly() *slow {
	g.t.Helper()
	g.stop()
	s := &slow{Store: g.store}
	g.deliver(s)
	g.settle(time.Second)
	return s
}

// of lists the steps of an order that a receiver got.
func (h *receiver) of(number string) string {
	var list []post
	for _, p := range h.posts() {
		if p.subject == number {
			list = append(list, p)
		}
	}
	return subjects(list)
}

// What was read of rows that have changed since is not acted on: nothing is delivered
// twice, and no blocked order is passed by.
func TestStaleRowsAreReadAgain(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		g.settle(time.Second)
		h.answers(func(p post) (int, string, error) {
			if p.subject == "m" && p.status == steps[0] || p.subject == "l" && p.try == 1 {
				return http.StatusBadRequest, "", nil
			}
			return http.StatusOK, "", nil
		})
		s := g.slowly()
		var once atomic.Bool
		s.due = func() { time.Sleep(50 * time.Millisecond) }
		s.events = func(f order.EventFilter) error {
			if f.Lane != 0 && f.After >= 2 && once.CompareAndSwap(false, true) { // l wants more of the log
				g.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{999}}))
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		}
		g.report("s", "m", steps[0])
		g.report("s", "l", steps[0])
		g.settle(20 * time.Second)
		g.report("s", "m", steps[1])
		g.settle(10 * time.Second)
		if l, m := h.of("l"), h.of("m"); l != "l1 l1" || strings.Contains(m, "m2") {
			t.Errorf("delivered %s, %s", l, m)
		}
	})
}

// An error of the database puts a retry off for a moment, not for its schedule; a wish to
// try again is heard while rows are being read.
func TestRetriesOutliveErrorsOfReading(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		g.settle(time.Second)
		h.answers(func(p post) (int, string, error) {
			if p.try == 1 {
				return http.StatusBadRequest, "", nil
			}
			return http.StatusOK, "", nil
		})
		s := g.slowly()
		var failed atomic.Bool
		s.events = func(f order.EventFilter) error {
			if f.Lane != 0 && failed.CompareAndSwap(false, true) {
				return errors.New("the disk is busy")
			}
			return nil
		}
		g.report("s", "a", steps[0])
		g.report("s", "b", steps[0])
		g.settle(10 * time.Second)
		if !failed.Load() || h.of("a") != "a1 a1" || h.of("b") != "b1 b1" {
			t.Errorf("delivered %s, %s", h.of("a"), h.of("b"))
		}
	})
}

// A replay and what comes meanwhile take turns, and a queue that waits for a place is
// woken when there is one.
func TestReplayAndCursorTakeTurns(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms", func(d *order.Destination) { d.MaxInFlight = 1 })
		for k := range 5 {
			var tasks []*order.Task
			for i := range 200 {
				tasks = append(tasks, g.reports("s", fmt.Sprint("o", k, "-", i), steps[0])...)
			}
			g.commit(tasks...)
		}
		g.settle(10 * time.Second)
		h.mu.Lock()
		h.takes = 50 * time.Millisecond
		h.mu.Unlock()
		g.commit(order.Replay("oms", 0, 0))
		g.settle(time.Second)
		g.report("s", "live", steps...)
		g.settle(time.Second)
		if got := h.of("live"); got != "live1 live2 live3 live4" {
			t.Errorf("beside a replay: %s", got)
		}
		g.settle(time.Minute)
		if n := len(h.posts()); n != 2004 {
			t.Errorf("%d deliveries", n)
		}
	})
}

// A replay does not overtake what the cursor owes.
func TestReplayDoesNotOvertake(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(func(p post) (int, string, error) {
			if p.subject == "a" && p.status == steps[1] && p.try < 3 {
				return http.StatusBadRequest, "", nil
			}
			return http.StatusOK, "", nil
		})
		g.report("s", "a", steps[:3]...)
		g.report("s", "b", steps[0])
		g.settle(time.Second)
		g.commit(order.Replay("oms", 0, 0))
		g.settle(10 * time.Minute)
		if got := h.of("a"); got != "a1 a2 a1 a2 a2 a3" && got != "a1 a2 a2 a1 a2 a3" {
			t.Errorf("delivered %s", got)
		}
		if got := h.of("b"); got != "b1 b1" {
			t.Errorf("delivered %s", got)
		}
	})
}

// There is nothing to replay of an empty log.
func TestReplayOfAnEmptyLog(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		g.commit(order.Replay("oms", 0, 0))
		g.settle(time.Second)
		g.report("s", "a", steps...)
		g.settle(time.Minute)
		if got := h.of("a"); got != "a1 a2 a3 a4" {
			t.Errorf("delivered %s", got)
		}
		g.commit(order.Replay("oms", 0, 0))
		g.settle(time.Minute)
		if got := h.of("a"); got != "a1 a2 a3 a4 a1 a2 a3 a4" {
			t.Errorf("delivered %s", got)
		}
	})
}

// What came back from its row and was delivered above the cursor is not delivered again
// by the next process.
func TestCrashForgetsNothingAboveTheCursor(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms", func(d *order.Destination) { d.Timeout = 25 * time.Second })
		g.settle(time.Second)
		var healed atomic.Bool
		h.answers(func(p post) (int, string, error) {
			if p.subject == "a" && !healed.Load() { // the cursor stands here
				time.Sleep(24 * time.Second)
			}
			if p.subject == "b" && p.status == steps[0] && p.try == 1 {
				return http.StatusBadRequest, "", nil
			}
			return http.StatusOK, "", nil
		})
		g.report("s", "a", steps[0])
		g.report("s", "b", steps[:3]...)
		g.settle(10 * time.Second)
		g.report("s", "b", steps[3])
		g.settle(time.Second)
		healed.Store(true)
		g.crash()
		g.settle(time.Minute)
		if got := h.of("b"); got != "b1 b1 b2 b3 b4" {
			t.Errorf("delivered %s", got)
		}
	})
}

// Declaring one destination leaves the others as they are: whoever is down is left alone
// for as long as he asked.
func TestChangesOfOthersForgiveNobody(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.header = http.Header{"Retry-After": {"3600"}}
		h.answers(func(post) (int, string, error) { return http.StatusTooManyRequests, "", nil })
		g.report("s", "a", steps[0])
		g.settle(time.Second)
		n := len(h.posts())
		for i := range 10 {
			g.to(fmt.Sprint("other", i))
			g.settle(time.Second)
		}
		if len(h.posts()) != n {
			t.Errorf("%d tries while a pause was asked for", len(h.posts())-n)
		}
	})
}

// A pause that was asked for is kept, whatever is answered to what was on its way; and
// whoever is back gets more and more at a time.
func TestPausesAreKeptAndReturnsAreSlow(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(func(p post) (int, string, error) {
			switch {
			case p.subject == "slow":
				time.Sleep(time.Second)
			case p.subject == "ban" && p.try == 1:
				h.mu.Lock()
				h.header = http.Header{"Retry-After": {"20"}}
				h.mu.Unlock()
				return http.StatusTooManyRequests, "", nil
			}
			return http.StatusOK, "", nil
		})
		g.report("s", "slow", steps[0])
		g.settle(100 * time.Millisecond)
		g.report("s", "ban", steps[0])
		g.settle(3 * time.Second)
		var tasks []*order.Task
		for i := range 200 {
			tasks = append(tasks, g.reports("s", fmt.Sprint("later", i), steps[0])...)
		}
		g.commit(tasks...)
		g.settle(15 * time.Second)
		if n := len(h.posts()); n != 2 {
			t.Fatalf("%d tries within the pause", n-2)
		}
		h.mu.Lock()
		h.takes = 10 * time.Millisecond
		h.mu.Unlock()
		g.settle(time.Minute)
		posts := h.posts()[2:]
		if len(posts) != 201 {
			t.Fatalf("%d deliveries", len(posts))
		}
		first := posts[0].at
		for i, most := range []int{1, 2, 4, 8} { // in each round of answers
			n := 0
			for _, p := range posts {
				if d := p.at.Sub(first); d >= time.Duration(i)*10*time.Millisecond && d < time.Duration(i+1)*10*time.Millisecond {
					n++
				}
			}
			if n > most {
				t.Errorf("%d deliveries in round %d, want at most %d", n, i+1, most)
			}
		}
	})
}

// Intake is held back by nobody who does not lag.
func TestWhoLags(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		g.to("filtered", func(d *order.Destination) { d.Sellers = []string{"nobody"} })
		down := g.to("down")
		down.answers(func(post) (int, string, error) { return 0, "", dialing })
		h := g.to("replayed")
		h.answers(refuses("o5", 1))
		for range 3 {
			g.load(300)
			g.settle(100 * time.Millisecond)
		}
		g.settle(time.Minute)
		g.commit(order.Replay("replayed", 0, 100))
		g.settle(20 * time.Minute)
		g.report("s", "x", steps[0])
		if g.dispatcher.Lagging() {
			t.Error("it lags")
		}
		h.mu.Lock()
		h.takes = time.Second
		h.mu.Unlock()
		g.load(400)
		g.settle(time.Second)
		g.report("s", "y", steps[0])
		if !g.dispatcher.Lagging() {
			t.Error("it does not lag")
		}
	})
}

// While a lane that failed waits, declaring the destination without order brings nothing
// twice.
func TestOrderIsLiftedWhileALaneIsBlocked(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(func(p post) (int, string, error) {
			if p.status == steps[0] && p.try < 3 {
				return http.StatusBadRequest, "", nil
			}
			return http.StatusOK, "", nil
		})
		g.report("s", "a", steps[0])
		g.settle(time.Second)
		g.to("oms", func(d *order.Destination) { d.Unordered = true })
		g.settle(time.Second)
		g.report("s", "a", steps[1:]...)
		g.settle(10 * time.Minute)
		got := strings.Fields(h.of("a"))
		slices.Sort(got)
		if strings.Join(got, " ") != "a1 a1 a1 a2 a3 a4" {
			t.Errorf("delivered %s", h.of("a"))
		}
	})
}

// What a person gives up is not delivered, though it has been read already.
func TestGivenUpIsNotDelivered(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(refuses("a", 1))
		g.report("s", "a", steps[0])
		g.settle(2 * time.Second)
		h.answers(func(post) (int, string, error) { return 0, "", dialing })
		g.report("s", "b", steps[0])
		g.settle(time.Minute) // it is due, and waits in memory for the destination
		g.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{1}, Skip: true}))
		g.settle(time.Second)
		n := len(strings.Fields(h.of("a")))
		h.answers(nil)
		g.settle(time.Hour)
		if got := strings.Fields(h.of("a")); len(got) != n || h.of("b") == "" {
			t.Errorf("delivered %v", got[n:])
		}
		if dead := g.deliveries("oms", order.DeliveryDead); len(dead) != 1 || !strings.HasPrefix(dead[0].Reason, "given up by hand") {
			t.Errorf("dead %+v", dead)
		}
	})
}

// When a retry succeeds, its attempts go.
func TestAttemptsGoWithSuccess(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(refuses("a", 1))
		g.report("s", "a", steps[0])
		g.settle(time.Minute)
		h.answers(nil)
		g.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{1}}))
		g.settle(time.Second)
		if all := g.deliveries("oms"); len(all) != 1 || all[0].State != order.DeliveryDone || len(all[0].Last) != 0 {
			t.Errorf("delivery %+v", all)
		}
	})
}

// Retries are not starved by what comes meanwhile, though only one may be on its way.
func TestRetriesTakeTurns(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms", func(d *order.Destination) { d.MaxInFlight = 1 })
		h.takes = 100 * time.Millisecond
		h.answers(func(p post) (int, string, error) {
			if p.subject == "a" && p.status == steps[0] && p.try == 1 {
				return http.StatusBadRequest, "", nil
			}
			return http.StatusOK, "", nil
		})
		g.report("s", "a", steps...)
		g.load(200)
		g.settle(15 * time.Second)
		if got := h.of("a"); got != "a1 a1 a2 a3 a4" {
			t.Errorf("delivered %s within 15 s, behind %d others", got, len(h.posts()))
		}
	})
}

// most is how many deliveries were on their way at a time since a moment, when each takes
// so long.
func (h *receiver) most(since time.Time, takes time.Duration) (most int) {
	posts := h.posts()
	for i, p := range posts {
		n := 0
		for _, other := range posts[:i+1] {
			if p.at.Sub(other.at) < takes {
				n++
			}
		}
		if !p.at.Before(since) {
			most = max(most, n)
		}
	}
	return most
}

// A process that starts while a destination is down, far behind and with an order that
// waits for a retry, loses nothing of it.
func TestRestartWhileDownLosesNothing(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms", func(d *order.Destination) { d.Timeout, d.MaxInFlight = 25*time.Second, 1000 })
		var healthy atomic.Bool
		h.answers(func(p post) (int, string, error) {
			if p.subject == "y" && p.try == 1 {
				return http.StatusBadRequest, "", nil
			}
			if !healthy.Load() { // the cursor stands
				time.Sleep(24 * time.Second)
			}
			return http.StatusOK, "", nil
		})
		for k := range 3 {
			var tasks []*order.Task
			for i := range 300 {
				tasks = append(tasks, g.reports("s", fmt.Sprint("o", k, "-", i), steps[0])...)
			}
			g.commit(tasks...)
		}
		g.report("s", "y", steps[:2]...)
		g.settle(time.Second)
		h.answers(func(post) (int, string, error) { return 0, "", dialing })
		g.crash()
		g.settle(time.Minute)
		h.answers(nil)
		g.settle(time.Hour)
		g.complete(h)
		if got := h.of("y"); !strings.HasSuffix(got, "y1 y2") {
			t.Errorf("delivered %s", got)
		}
	})
}

// A destination that is dropped and declared again at once is delivered to at full rate,
// and one that returns from an outage is, after a few answers.
func TestFullRateReturns(t *testing.T) {
	for name, act := range map[string]func(g *gate, h *receiver){
		"declared again": func(g *gate, _ *receiver) {
			g.commit(order.DropDestination("oms"))
			g.to("oms", func(d *order.Destination) { d.MaxInFlight = 32 })
			g.load(150)
		},
		"back": func(g *gate, h *receiver) {
			h.answers(func(post) (int, string, error) { return 0, "", dialing })
			g.load(150)
			g.settle(time.Minute)
			h.answers(nil)
			g.settle(10 * time.Second)
		},
		"beside a replay": func(g *gate, _ *receiver) {
			g.commit(order.Replay("oms", 0, 0))
			g.load(150)
		},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, g *gate) {
				h := g.to("oms", func(d *order.Destination) { d.MaxInFlight = 32 })
				h.takes = time.Second
				g.load(100)
				g.settle(time.Minute)
				began := time.Now()
				act(g, h)
				g.settle(12 * time.Second)
				if n := h.most(began, time.Second); n < 28 || n > 32 {
					t.Errorf("%d on their way at a time, of 32", n)
				}
			})
		})
	}
}
