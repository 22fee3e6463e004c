package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// subjects lists the orders and steps of posts, as "a1 a2 b1".
func subjects(posts []post) string {
	var list []string
	for _, p := range posts {
		list = append(list, p.subject+fmt.Sprint(slices.Index(steps, p.status)+1))
	}
	return strings.Join(list, " ")
}

// seqOf finds the place of a step of an order.
func (g *gate) seqOf(number string, step int) int64 {
	g.t.Helper()
	for _, e := range g.events() {
		values, err := e.Values()
		if err != nil {
			g.t.Fatal(err)
		}
		if e.Order.Number == number && values["status"] == steps[step-1] {
			return e.Place
		}
	}
	g.t.Fatalf("no step %d of order %s", step, number)
	return 0
}

// refuses has a receiver refuse a step of an order for good, as far as a webhook can: it
// is tried until it is dead.
func refuses(number string, step int) func(p post) (int, string, error) {
	return func(p post) (int, string, error) {
		if p.subject == number && p.status == steps[step-1] {
			return http.StatusUnprocessableEntity, "no", nil
		}
		return http.StatusOK, "", nil
	}
}

// exhaust lets an event run through its schedule.
const exhaust = 60 * time.Hour

// A held order goes on when its event is retried with success, when a person gives the
// event up, and when the destination is declared to go on.
func TestHeldOrdersGoOn(t *testing.T) {
	for name, act := range map[string]func(g *gate, h *receiver){
		"retried": func(g *gate, h *receiver) {
			h.answers(nil)
			g.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{g.seqOf("a", 2)}}))
		},
		"given up": func(g *gate, _ *receiver) {
			g.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{g.seqOf("a", 2)}, Skip: true}))
		},
		"declared": func(g *gate, _ *receiver) { g.to("oms") },
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(t *testing.T, g *gate) {
				h := g.to("oms", func(d *order.Destination) { d.OnDead = order.OnDeadHold })
				h.answers(refuses("a", 2))
				g.report("s", "a", steps...)
				g.report("s", "b", steps...)
				g.settle(exhaust)
				if o := g.owing("oms"); o.Held != 1 || o.Dead != 0 || o.Retrying != 0 || o.Lag != 0 {
					t.Fatalf("owed %+v", o)
				}
				if got := subjects(h.accepted()); !strings.Contains(got, "b4") || strings.Contains(got, "a3") {
					t.Fatalf("delivered %s", got)
				}
				g.report("s", "a", "QIMEN_CP_LATER")
				g.settle(time.Hour)
				if n := len(h.accepted()); n != 5 {
					t.Errorf("%d delivered while the order is held", n)
				}
				act(g, h)
				g.settle(time.Hour)
				want := "a1 a3 a4 a0"
				if name == "retried" {
					want = "a1 a2 a3 a4 a0"
				}
				var got []post
				for _, p := range h.accepted() {
					if p.subject == "a" {
						got = append(got, p)
					}
				}
				if subjects(got) != want {
					t.Errorf("delivered %s, want %s", subjects(got), want)
				}
				if o := g.owing("oms"); o.Held != 0 || o.Retrying != 0 || (o.Dead == 1) != (name != "retried") {
					t.Errorf("owed %+v", o)
				}
			})
		})
	}
}

// Dead deliveries are retried by filter, those of one order in their order, from the
// first attempt on.
func TestDeadDeliveriesAreRetriedInOrder(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(func(post) (int, string, error) { return http.StatusGone, "", nil })
		g.report("s", "a", steps...)
		g.report("s", "b", steps...)
		g.settle(5 * exhaust)
		if o := g.owing("oms"); o.Dead != 8 || o.Retrying != 0 {
			t.Fatalf("owed %+v", o)
		}
		h.answers(func(p post) (int, string, error) {
			if p.subject == "a" && p.status == steps[1] && p.try == len(order.RetryPauses)+2 { // the first time again
				return http.StatusGone, "", nil
			}
			return http.StatusOK, "", nil
		})
		var seqs []int64
		for _, d := range g.deliveries("oms", order.DeliveryDead) {
			seqs = append(seqs, d.Event.Place)
		}
		g.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: seqs}))
		g.settle(2 * time.Second)
		again := g.deliveries("oms", order.DeliveryRetrying)
		if len(again) != 3 || again[0].Event.Place != g.seqOf("a", 2) || again[0].Attempts != 1 {
			t.Errorf("%d retrying: %+v", len(again), again)
		}
		g.settle(time.Minute)
		g.complete(h)
		if o := g.owing("oms"); o != (order.Owing{Destination: "oms"}) {
			t.Errorf("owed %+v", o)
		}
	})
}

// A replay delivers a part of the log again, in order, with the ids that events had,
// while the cursor goes on; it ends by itself.
func TestReplayGoesBesideTheCursor(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		g.load(300)
		g.settle(time.Minute)
		before := len(h.posts())
		h.takes = 5 * time.Millisecond
		g.commit(order.Replay("oms", g.seqOf("o0", 2)-1, g.seqOf("o299", 3)))
		second := order.Replay("oms", 0, 0)
		if err := g.store.Commit(context.Background(), second); err != nil {
			t.Fatal(err)
		}
		if _, ok := errors.AsType[*order.Conflict](second.Err); !ok {
			t.Errorf("a second replay: %v", second.Err)
		}
		g.settle(20 * time.Millisecond)
		g.report("s", "new", steps[0])
		g.settle(time.Minute)
		g.complete(h)
		replayed, last := map[string]int{}, map[string]int{}
		for _, p := range h.posts()[before:] {
			if p.subject == "new" {
				continue
			}
			replayed[p.id]++
			step := slices.Index(steps, p.status) + 1
			if step < last[p.subject] {
				t.Errorf("order %s: step %d behind %d", p.subject, step, last[p.subject])
			}
			last[p.subject] = step
		}
		if len(replayed) != 600 {
			t.Errorf("%d events replayed, want 600", len(replayed))
		}
		queues, err := g.store.Queues(context.Background())
		if err != nil || len(queues) != 1 {
			t.Errorf("queues %+v, %v", queues, err)
		}
		g.commit(order.Replay("oms", 0, 0)) // again, now that it has ended
		g.settle(time.Minute)
		if n := len(h.posts()) - before; n != 600+1+1201 {
			t.Errorf("%d deliveries", n)
		}
	})
}

// A new destination begins at the end of the log, or where it says.
func TestWhereADestinationBegins(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		g.report("s", "a", steps...)
		g.settle(time.Hour)
		noon := time.Now()
		g.report("s", "b", steps[:2]...)
		second := g.seqOf("b", 2) - 1
		at, err := g.store.SeqAt(context.Background(), noon)
		if err != nil {
			t.Fatal(err)
		}
		from := func(place int64) func(*order.Destination) {
			return func(d *order.Destination) { d.From = &place }
		}
		head, earliest, place, when, future := g.to("head"), g.to("earliest", from(0)), g.to("place", from(second)), g.to("when", from(at)), g.to("future", from(1_000_000))
		g.settle(time.Second)
		g.report("s", "b", steps[2])
		g.settle(time.Second)
		for h, want := range map[*receiver]string{head: "b3", earliest: "a1 a2 a3 a4 b1 b2 b3", place: "b2 b3", when: "b1 b2 b3", future: "b3"} {
			got := h.accepted()
			slices.SortStableFunc(got, func(a, b post) int { return strings.Compare(a.seq, b.seq) })
			if subjects(got) != want {
				t.Errorf("delivered %s, want %s", subjects(got), want)
			}
		}
		g.to("head", from(0)) // it is there already
		g.settle(time.Minute)
		if got := subjects(head.posts()); got != "b3" {
			t.Errorf("declared again: %s", got)
		}
	})
}

// SeqAt finds what is older than a time.
func TestPlacesOfTimes(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		var times []time.Time
		for i := range 50 {
			times = append(times, time.Now())
			g.report("s", fmt.Sprint(i), steps[0])
			g.settle(7 * time.Second)
		}
		for i, at := range append(times, time.Now()) {
			if seq, err := g.store.SeqAt(context.Background(), at); seq != int64(i) || err != nil {
				t.Errorf("%v: %d, %v; want %d", at, seq, err, i)
			}
		}
	})
}

// Filters choose by API, platform and seller, from now on; what is disabled keeps its
// place.
func TestFiltersActFromNowOn(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		all := g.to("all")
		apis := g.to("apis", func(d *order.Destination) { d.APIs = []string{order.EventLockViolated} })
		jd := g.to("jd", func(d *order.Destination) { d.Platforms = []string{"JD"} })
		y := g.to("y", func(d *order.Destination) { d.Sellers = []string{"y"} })
		off := g.to("off", func(d *order.Destination) { d.Disabled = true })
		g.report("x", "a", steps[0])
		g.report("y", "b", steps[0])
		g.settle(time.Second)
		check := func(what string, want map[*receiver]string) {
			t.Helper()
			for h, w := range want {
				accepted := h.accepted()
				slices.SortFunc(accepted, func(a, b post) int { return strings.Compare(a.seq, b.seq) }) // orders go beside each other
				if got := subjects(accepted); got != w {
					t.Errorf("%s: delivered %q, want %q", what, got, w)
				}
			}
		}
		check("at first", map[*receiver]string{all: "a1 b1", apis: "", jd: "", y: "b1", off: ""})
		g.to("y", func(d *order.Destination) { d.Sellers = []string{"x"} })
		g.to("off")
		g.settle(time.Second)
		g.report("x", "a", steps[1])
		g.report("y", "b", steps[1])
		g.settle(2 * time.Second)
		check("then", map[*receiver]string{all: "a1 b1 a2 b2", y: "b1 a2", off: "a1 b1 a2 b2"})
		if o := g.owing("apis"); o.Lag != 0 {
			t.Errorf("the cursor of one that takes nothing is behind: %+v", o)
		}
	})
}

// Without ordered, the events of an order do not wait for each other.
func TestUnorderedDoesNotWait(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms", func(d *order.Destination) { d.Unordered = true })
		h.answers(func(p post) (int, string, error) {
			if p.status == steps[0] && p.try == 1 {
				return http.StatusBadRequest, "", nil
			}
			return http.StatusOK, "", nil
		})
		g.report("s", "a", steps...)
		g.settle(time.Second)
		if n := len(h.accepted()); n != 3 {
			t.Errorf("%d delivered beside the one that failed", n)
		}
		g.settle(10 * time.Second)
		if n := len(h.accepted()); n != 4 {
			t.Errorf("%d delivered", n)
		}
		if o := g.owing("oms"); o != (order.Owing{Destination: "oms"}) {
			t.Errorf("owed %+v", o)
		}
	})
}

// No more deliveries are on their way than the destination takes, and a slow one delays
// no other.
func TestSlowDestinationsDelayNoOther(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		slow, fast := g.to("slow", func(d *order.Destination) { d.MaxInFlight = 3 }), g.to("fast")
		slow.takes = 4 * time.Second
		for i := range 500 {
			g.report("s", fmt.Sprint("o", i), steps[0])
			at := time.Now()
			g.settle(10 * time.Millisecond)
			posts := fast.posts()
			if last := posts[len(posts)-1]; len(posts) != i+1 || last.at.Sub(at) > time.Millisecond {
				t.Fatalf("event %d: %d delivered, the last after %v", i, len(posts), last.at.Sub(at))
			}
		}
		var most int
		posts := slow.posts()
		for i, p := range posts {
			n := 0
			for _, other := range posts[:i+1] {
				if p.at.Sub(other.at) < 4*time.Second {
					n++
				}
			}
			most = max(most, n)
		}
		if most != 3 {
			t.Errorf("%d on their way at a time, want 3", most)
		}
		on := g.dispatcher.OnTheirWay("slow")
		if len(on) != 3 {
			t.Errorf("on their way: %v", on)
		}
		g.settle(20 * time.Minute)
		g.complete(slow)
	})
}

// A destination that asks for a pause gets it: by Retry-After in seconds or as a date.
func TestRetryAfterIsObeyed(t *testing.T) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "900" },
		"date":    func() string { return time.Now().Add(15 * time.Minute).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				within(t, func(t *testing.T, g *gate) {
					h := g.to("oms")
					h.header = http.Header{"Retry-After": {header()}}
					h.answers(func(post) (int, string, error) { return status, "", nil })
					g.load(10)
					g.settle(14 * time.Minute)
					posts := h.posts()
					for _, p := range posts { // those that were on their way already
						if p.at.Sub(posts[0].at) > time.Second {
							t.Fatalf("tried after %v", p.at.Sub(posts[0].at))
						}
					}
					h.answers(nil)
					g.settle(3 * time.Minute)
					g.complete(h)
				})
			})
		}
	}
}

// Successes leave no attempts, unless they are to be kept; of what is not done the last
// ones are kept.
func TestAttemptsAreKept(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		plain, kept := g.to("plain"), g.to("kept", func(d *order.Destination) { d.KeepSuccess = true })
		long := strings.Repeat("长", 40_000)
		for _, h := range []*receiver{plain, kept} {
			h.answers(func(p post) (int, string, error) {
				if p.subject == "bad" {
					return http.StatusBadRequest, secretText + " is no good: " + long, nil
				}
				return http.StatusOK, "thanks", nil
			})
		}
		g.report("s", "good", steps[0])
		g.report("s", "bad", steps[0])
		g.settle(time.Minute)
		for name, want := range map[order.QueueName]int{"plain": 0, "kept": 1} {
			all := g.deliveries(name)
			if len(all) != 2 || len(all[0].Last) != want || all[0].State != order.DeliveryDone {
				t.Errorf("%s: %+v", name, all[0])
			}
			if want > 0 && (all[0].Last[0].Body != "thanks" || all[0].Last[0].Status != 200) {
				t.Errorf("%s: attempt %+v", name, all[0].Last[0])
			}
			bad := all[1]
			if bad.State != order.DeliveryRetrying || bad.Attempts != 3 || len(bad.Last) != 3 || bad.Reason != "HTTP 400 Bad Request" {
				t.Errorf("%s: %s, %d attempts, %d kept, %s", name, bad.State, bad.Attempts, len(bad.Last), bad.Reason)
			}
			body := bad.Last[2].Body
			if !strings.HasPrefix(body, "*** is no good") || len(body) > 64<<10 || len(body) < 60<<10 || strings.Contains(body, "\ufffd\ufffd") {
				t.Errorf("%s: the body has %d bytes: %.60s", name, len(body), body)
			}
		}
	})
}

// What is dropped leaves nothing behind; another of the name begins anew.
func TestDroppedDestinationsLeaveNothing(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(func(post) (int, string, error) { return http.StatusBadRequest, "", nil })
		g.load(5)
		g.settle(time.Minute)
		g.commit(order.DropDestination("oms"))
		g.settle(time.Minute)
		n := len(h.posts())
		g.settle(100 * time.Hour)
		if len(h.posts()) != n {
			t.Error("delivered to what is dropped")
		}
		h.answers(nil)
		g.to("oms")
		g.settle(time.Minute)
		g.report("s", "a", steps[0])
		g.settle(time.Minute)
		if got := subjects(h.accepted()); got != "a1" {
			t.Errorf("delivered %s", got)
		}
		if o := g.owing("oms"); o != (order.Owing{Destination: "oms"}) {
			t.Errorf("owed %+v", o)
		}
	})
}

// Ordergate's own events, and work orders, are delivered too.
func TestOwnEventsAreDelivered(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		rule, _ := order.RuleOf(contract.EventEmit)
		for i := range 3 {
			r := &contract.EventEmitRequest{WorkOrderID: "w", WorkOrderStatus: fmt.Sprint(i), TenantCode: "t"}
			work, err := rule.Judge(&order.Call{API: contract.EventEmit, App: &order.App{Key: "a"}, At: time.Now(), Request: r, Record: order.Record{Params: contract.EventEmit.Params(r)}})
			if err != nil {
				t.Fatal(err)
			}
			g.commit(work.Tasks...)
		}
		paid, kind, waiting := time.Now().Add(-2*time.Hour), order.Card, order.Waiting
		g.commit(order.Declare(order.Declared{Orders: []order.Import{{
			Key: order.Key{Platform: order.Suning, Seller: "sup", Number: "1"}, PaidAt: &paid, Lines: []order.ImportLine{{Number: "l", Kind: &kind, State: &waiting}},
		}}}))
		if err := (&order.Sweeper{Store: g.store, Clock: time.Now}).Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		g.settle(time.Second)
		// The work order and the order are two lanes: each is in order, neither waits for the other.
		var work, own []post
		for _, p := range h.posts() {
			switch p.api {
			case contract.EventEmit.Method:
				work = append(work, p)
			case order.EventRefund:
				own = append(own, p)
			default:
				t.Errorf("delivered %s", p.api)
			}
		}
		if len(work) != 3 || len(own) != 1 {
			t.Fatalf("delivered %d events of the work order and %d refunds, want 3 and 1", len(work), len(own))
		}
		for i, p := range work {
			if !strings.Contains(p.body, fmt.Sprintf(`"work_order_status":"%d"`, i)) {
				t.Errorf("%d. of the work order: %s", i+1, p.body)
			}
		}
		if !strings.Contains(own[0].body, `"source":"ordergate/suning/sup"`) || own[0].subject != "1" {
			t.Errorf("event %s", own[0].body)
		}
	})
}
