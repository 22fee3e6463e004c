package dispatch

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// logged is a log of events of which place n is in shard n % 16.
type logged struct {
	order.Store
	slow func() // is called by each read
}

func (s *logged) Events(_ context.Context, f order.EventFilter) ([]*order.Event, bool, error) {
	if s.slow != nil {
		s.slow()
	}
	return placesOf(f.After, f.UpTo, f.Shards), false, nil
}

func (s *logged) Head(context.Context) (int64, error) { return 0, nil }

func placesOf(after, upTo int64, shards order.Shards) (events []*order.Event) {
	for place := after + 1; place <= upTo; place++ {
		if lane := order.OrderLane(place); shards.Has(lane.Shard()) {
			events = append(events, &order.Event{Seq: place, Place: place, Lane: lane})
		}
	}
	return events
}

// reader is a queue of some shards that has read up to a place.
func reader(d *Dispatcher, name order.QueueName, shards order.Shards, read int64) *queue {
	t := &target{clock: time.Now, wake: func() {}}
	t.route.Store(&route{Destination: &order.Destination{Name: string(name), Kind: order.KindWebhook}})
	q := &queue{Dispatcher: d, target: t, name: name, shards: shards, read: read, stored: read, wake: make(chan struct{}, 1), dirty: make(chan struct{}, 1), lanes: map[order.Lane]*lane{}, done: map[int64]bool{}}
	q.reached.Store(read)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queues[name] = []*queue{q}
	d.list(false)
	return q
}

// follow reads as a queue does until there is nothing more, and checks that nothing of its
// shards is passed over.
func follow(t *testing.T, q *queue) {
	t.Helper()
	got, from := map[int64]bool{}, q.read
	for {
		entries, upTo, err := q.behind(t.Context(), 256)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			got[e.Place] = true
		}
		if upTo == q.read {
			break
		}
		q.read = upTo
		q.reached.Store(upTo)
	}
	for _, e := range placesOf(from, q.read, q.shards) {
		if !got[e.Place] {
			t.Errorf("%s has read up to %d, and passed %d over", q.name, q.read, e.Place)
		}
	}
}

// What is in memory of the log is all of the shards that it was read for, and no others:
// when this process gets others while it is being read, they are read again.
func TestTailOfOtherShards(t *testing.T) {
	t.Parallel()
	const before = order.Shards(0x00ff)
	entered, goOn := make(chan struct{}, 10), make(chan struct{})
	s := &logged{slow: func() {
		entered <- struct{}{}
		<-goOn
	}}
	d := &Dispatcher{Store: s, Clock: time.Now, Log: slog.New(slog.DiscardHandler)}
	d.make()
	a, b := reader(d, "a", before, 100), reader(d, "b", before, 100)
	d.Grown(100, false)
	d.Grown(110, false)
	ended := make(chan error, 2)
	for _, q := range []*queue{a, b} {
		go func() {
			_, _, _, err := q.recent(t.Context(), 256)
			ended <- err
		}()
	}
	<-entered // one of them reads, the other waits for that
	c := reader(d, "c", order.AllShards&^before, 100)
	d.Grown(140, false)
	close(goOn)
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []*queue{a, b, c} {
		if follow(t, q); q.read != 140 {
			t.Errorf("%s has read up to %d", q.name, q.read)
		}
	}
}

// A queue may be further than this process knows the log to be: another has had it.
func TestAheadOfTheTail(t *testing.T) {
	t.Parallel()
	d := &Dispatcher{Store: &logged{}, Clock: time.Now, Log: slog.New(slog.DiscardHandler)}
	d.make()
	d.Grown(450, false)
	q := reader(d, "a", order.AllShards, 500)
	for _, end := range []int64{480, 500, 520, 900} {
		d.Grown(end, false)
		if follow(t, q); q.read != max(end, 500) {
			t.Errorf("the log ends at %d, and the queue is at %d", end, q.read)
		}
	}
}
