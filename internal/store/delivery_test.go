package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// webhook declares a webhook, and returns its queue.
func webhook(t *testing.T, s order.Store, name string, changes ...func(*order.Destination)) order.Queue {
	t.Helper()
	d := &order.Destination{Name: name, Kind: order.KindWebhook, URL: "http://x/", DestinationSecrets: order.DestinationSecrets{Secret: "s"}}
	for _, change := range changes {
		change(d)
	}
	commit(t, s, order.Declare(order.Declared{Destinations: []*order.Destination{d}}))
	return queueOf(t, s, order.QueueName(name))
}

// recorded makes the task that stores progress of a queue that is this store's alone.
func recorded(p order.Progress) *order.Task {
	p.Shards = order.AllShards
	return order.RecordProgress(p)
}

// queueOf finds a queue; it is empty when there is none.
func queueOf(t *testing.T, s order.Store, name order.QueueName) order.Queue {
	t.Helper()
	queues, err := s.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(queues, func(q order.Queue) bool { return q.Name == name })
	if i < 0 {
		return order.Queue{}
	}
	return queues[i]
}

// states lists the deliveries of a queue as "1 done, 2 retrying".
func states(t *testing.T, s order.Store, q order.QueueName, only ...order.DeliveryState) string {
	t.Helper()
	var list []string
	after := int64(0)
	for more := true; more; {
		var page []order.Delivery
		var err error
		if page, more, err = s.Delivered(t.Context(), order.DeliveryFilter{Queue: q, States: only, After: after, Limit: 2}); err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			list = append(list, fmt.Sprint(d.Event.Place, " ", d.State))
			after = d.Event.Place
		}
	}
	return strings.Join(list, ", ")
}

func testQueues(t *testing.T, db database) {
	s := opened(t, db, options(t))
	commit(t, s, report("a", contract.StatusTransfer))
	q := webhook(t, s, "oms")
	if q.Seq() != 1 || q.Start != 1 || q.Epoch == 0 {
		t.Errorf("a new queue %+v", q)
	}
	for _, status := range []string{contract.StatusCheck, contract.StatusNotify, contract.StatusOut} {
		commit(t, s, report("a", status), report("b", status))
	}
	lane := allEvents(t, s)[0].Lane
	other := allEvents(t, s)[2].Lane
	if lane == other || lane.Order() == 0 || lane.WorkOrder()+lane.Event() != 0 {
		t.Errorf("lanes %d, %d", lane, other)
	}
	due := now.Add(time.Minute)
	commit(t, s, recorded(order.Progress{
		Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 3, Done: []order.Settled{{Seq: 5}, {Seq: 7}}, Blocked: []order.Blocked{{Lane: lane, Seq: 2, Attempts: 1, NextAt: due, Reason: "HTTP 400"}},
		Dead: []order.Dead{{Seq: 3, Lane: other, Reason: "isv.x", At: now, Attempts: 1}}, Attempts: []order.Attempt{{Seq: 2, At: now, Status: 400, Latency: time.Millisecond, Body: "no"}},
	}))
	if got, want := states(t, s, "oms"), "2 retrying, 3 dead, 4 pending, 5 done, 6 pending, 7 done"; got != want {
		t.Errorf("deliveries %s, want %s", got, want)
	}
	if got, want := states(t, s, "oms", order.DeliveryRetrying)+"; "+states(t, s, "oms", order.DeliveryDead)+"; "+states(t, s, "oms", order.DeliveryHeld), "2 retrying; 3 dead; "; got != want {
		t.Errorf("deliveries %s, want %s", got, want)
	}
	done, err := s.Done(t.Context(), "oms")
	blocked, err2 := s.BlockedOf(t.Context(), "oms", []order.Lane{lane, other})
	if err != nil || err2 != nil || !slices.Equal(done, []int64{5, 7}) || len(blocked) != 1 || blocked[lane] != 2 {
		t.Errorf("done %v, %v; blocked %v, %v", done, err, blocked, err2)
	}
	soon, dead, next, err := s.Due(t.Context(), order.QueueShards{Name: "oms", Shards: order.AllShards}, now, 10)
	if err != nil || len(soon)+len(dead) > 0 || !next.Equal(due) {
		t.Errorf("due %v, %v, next %v, %v", soon, dead, next, err)
	}
	soon, _, _, err = s.Due(t.Context(), order.QueueShards{Name: "oms", Shards: order.AllShards}, due, 10)
	if want := []order.Blocked{{Lane: lane, Seq: 2, Attempts: 1, NextAt: due}}; err != nil || cmp.Diff(want, soon) != "" {
		t.Errorf("due %v, %v", soon, err)
	}
	owing, err := s.Owing(t.Context())
	if want := []order.Owing{{Destination: "oms", Lag: 4, Retrying: 1, Dead: 1}}; err != nil || cmp.Diff(want, owing) != "" {
		t.Errorf("owing %v, %v", owing, err)
	}
	// The cursor never goes back; what is stale stores nothing.
	commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 2}))
	commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch + 1, Seq: 7, Done: []order.Settled{{Seq: 6}}}))
	commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "nobody", Epoch: q.Epoch, Seq: 7, Done: []order.Settled{{Seq: 6}}}))
	if got := queueOf(t, s, "oms").Seq(); got != 3 {
		t.Errorf("the cursor is at %d", got)
	}
	commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 7, Freed: []order.Lane{lane}, Revived: []int64{3}, Forget: []int64{2}}))
	if got, want := states(t, s, "oms"), "2 done, 3 done, 4 done, 5 done, 6 done, 7 done"; got != want {
		t.Errorf("deliveries %s, want %s", got, want)
	}
	if done, err := s.Done(t.Context(), "oms"); err != nil || len(done) != 0 {
		t.Errorf("done %v, %v", done, err)
	}
	commit(t, s, order.DropDestination("oms"))
	if q := queueOf(t, s, "oms"); q.Epoch != 0 {
		t.Errorf("a queue of nobody %+v", q)
	}
}

func testRetries(t *testing.T, db database) {
	s := opened(t, db, options(t))
	q := webhook(t, s, "oms", func(d *order.Destination) { d.OnDead = order.OnDeadHold })
	for _, status := range []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut} {
		commit(t, s, report("a", status))
	}
	commit(t, s, report("b", contract.StatusTransfer), report("b", contract.StatusCheck))
	a, b := allEvents(t, s)[0].Lane, allEvents(t, s)[4].Lane
	hold := func() {
		commit(t, s, recorded(order.Progress{
			Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 6, Blocked: []order.Blocked{{Lane: a, Seq: 2, Attempts: 10, Held: true, Reason: "no"}},
			Dead: []order.Dead{{Seq: 5, Lane: b, Reason: "no", At: now, Attempts: 10}, {Seq: 6, Lane: b, Reason: "no", At: now, Attempts: 10}},
		}))
	}
	hold()
	if got, want := states(t, s, "oms"), "1 done, 2 held, 3 pending, 4 pending, 5 dead, 6 dead"; got != want {
		t.Errorf("deliveries %s, want %s", got, want)
	}
	commit(t, s, order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{2, 5, 6}}))
	blocked, dead, _, err := s.Due(t.Context(), order.QueueShards{Name: "oms", Shards: order.AllShards}, now, 10)
	if err != nil || len(blocked) != 1 || blocked[0].Attempts != 0 || len(dead) != 1 || dead[0].Seq != 5 || dead[0].Attempts != 0 {
		t.Errorf("due %+v, %+v, %v: of an order the first", blocked, dead, err)
	}
	hold()
	commit(t, s, order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{2}, Skip: true}))
	if got, want := states(t, s, "oms"), "1 done, 2 dead, 3 retrying, 4 pending, 5 dead, 6 dead"; got != want {
		t.Errorf("deliveries %s, want %s", got, want)
	}
	hold()
	webhook(t, s, "oms") // on_dead: continue
	if got, want := states(t, s, "oms"), "1 done, 2 dead, 3 retrying, 4 pending, 5 dead, 6 dead"; got != want {
		t.Errorf("deliveries %s, want %s", got, want)
	}
	for i := range 15 {
		commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 6, Attempts: []order.Attempt{{Seq: 3, At: now, Status: i}}}))
	}
	page, _, err := s.Delivered(t.Context(), order.DeliveryFilter{Queue: "oms", After: 2, Limit: 1})
	if err != nil || len(page[0].Last) != order.KeptAttempts || page[0].Last[0].Status != 5 || page[0].Last[9].Status != 14 {
		t.Errorf("attempts %+v, %v", page, err)
	}
	commit(t, s, order.Replay("oms", 2, 0))
	if r := queueOf(t, s, "oms/replay"); r.Seq() != 2 || r.UpTo != 6 || states(t, s, r.Name) != "3 pending, 4 pending, 5 dead, 6 dead" {
		t.Errorf("replay %+v: %s", r, states(t, s, r.Name))
	}
	again := order.Replay("oms", 0, 0)
	if err := s.Commit(t.Context(), again); err != nil || again.Err == nil {
		t.Errorf("a second replay: %v, %v", err, again.Err)
	}
	for _, wrong := range []*order.Task{order.Replay("nobody", 0, 0)} {
		if err := s.Commit(t.Context(), wrong); err != nil || wrong.Err != order.ErrNotFound {
			t.Errorf("replay for nobody: %v, %v", err, wrong.Err)
		}
	}
}

// An event that was asked is delivered from where that was settled.
func testAskedPlaces(t *testing.T, db database) {
	s := opened(t, db, options(t))
	webhook(t, s, "oms")
	first, second := question(t, "1", "x"), question(t, "2", "y")
	commit(t, s, first.Ask("erp"))
	commit(t, s, second.Ask("erp"))
	commit(t, s, report("1", contract.StatusOut))
	commit(t, s, second.Settle(yes))
	commit(t, s, first.Settle(yes))
	placed := func() string {
		var list []string
		after := int64(0)
		for more := true; more; {
			var page []*order.Event
			var err error
			if page, more, err = s.Events(t.Context(), order.EventFilter{Settled: true, After: after, Limit: 2}); err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				list = append(list, fmt.Sprintf("%d:%d %s", e.Place, e.Seq, e.Order.Number))
				after = e.Place
			}
		}
		return strings.Join(list, ", ")
	}
	if got, want := placed(), "3:3 1, 4:2 2, 5:1 1"; got != want {
		t.Errorf("places %s, want %s", got, want)
	}
	if got, want := states(t, s, "oms"), "3 pending, 4 pending, 5 pending"; got != want {
		t.Errorf("deliveries %s, want %s", got, want)
	}
	if head, err := s.Head(t.Context()); head != 5 || err != nil {
		t.Errorf("head %d, %v", head, err)
	}
	lane := allEvents(t, s)[0].Lane
	page, _, err := s.Events(t.Context(), order.EventFilter{Settled: true, Lane: lane, After: 3, UpTo: 5, Limit: 10})
	if err != nil || len(page) != 1 || page[0].Place != 5 {
		t.Errorf("events of the lane: %v, %v", page, err)
	}
}

func testPrune(t *testing.T, db database) {
	clock := now
	o := options(t)
	o.Clock = func() time.Time { return clock }
	s := db(t, o)
	q := webhook(t, s, "oms")
	waiting := question(t, "asked", "x")
	for i := range 6 {
		commit(t, s, report(fmt.Sprint(i), contract.StatusOut))
		if i == 3 {
			commit(t, s, waiting.Ask("erp"))
		}
	}
	prune := func(before time.Time) int {
		n, err := s.Prune(t.Context(), before, 2)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	later := now.Add(time.Hour)
	clock = later
	if n := prune(later); n != 0 {
		t.Errorf("%d deleted that are owed", n)
	}
	lane := allEvents(t, s)[1].Lane
	commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 7, Blocked: []order.Blocked{{Lane: lane, Seq: 2, NextAt: now}}}))
	if n := prune(later); n != 1 {
		t.Errorf("%d deleted before what is blocked, want 1", n)
	}
	commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 7, Freed: []order.Lane{lane}, Dead: []order.Dead{{Seq: 3, Lane: 1, At: now}}}))
	if n := prune(now); n != 0 {
		t.Errorf("%d deleted that are not old", n)
	}
	if a, b, c := prune(later), prune(later), prune(later); a != 2 || b != 1 || c != 0 {
		t.Errorf("deleted %d, %d, %d: up to what is asked", a, b, c)
	}
	if got := states(t, s, "oms", order.DeliveryDead); got != "" {
		t.Errorf("dead deliveries of what is deleted: %s", got)
	}
	commit(t, s, waiting.Settle(yes))
	commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 8}))
	if a, b := prune(later), prune(later); a != 1 || b != 1 { // what stands last is among the first two
		t.Errorf("deleted %d, %d", a, b)
	}
	totals, err := s.Totals(t.Context())
	if err != nil || totals.Events != 1 || totals.Orders != 1 {
		t.Errorf("left %+v, %v: what stands last stays, and the order that is locked", totals, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, db, o)
	commit(t, s, report("new", contract.StatusOut))
	events := allEvents(t, s)
	if last := events[len(events)-1]; last.Seq != 9 {
		t.Errorf("the next place is %d", last.Seq)
	}
}
