package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/ordergate/ordergate/internal/order"
)

// Dispatcher delivers the log to all destinations that it is delivered to, each by
// itself. Fields without a comment are required.
type Dispatcher struct {
	Store order.Store
	Guard Guard
	Clock func() time.Time
	Log   *slog.Logger

	// SyncEvery is how often it is looked for parts of queues to deliver, or to give up,
	// besides when something changed; 0: never. Who shares a store with others, looks.
	SyncEvery time.Duration

	Tracer  trace.Tracer        // of deliveries; nil: none
	Observe func(DeliveryTried) // told of every try of a delivery, quickly; nil: nobody

	// Transport carries requests instead of connections of each destination's own; for
	// tests.
	Transport http.RoundTripper

	tail       tail
	sessions   sessions
	redirected chan struct{} // destinations changed, or what is to be tried again
	made       sync.Once

	mu       sync.Mutex
	targets  map[string]*target           // by destination
	queues   map[order.QueueName][]*queue // several of a name have different parts of it
	readers  atomic.Pointer[[]*queue]     // those that go on, for Committed
	lagging  atomic.Bool
	relaying atomic.Bool    // a destination makes calls that need sessions
	running  sync.WaitGroup // queues, those included that have ended for good
	watchers atomic.Int32
	watch    sync.Mutex    // guards grown
	grown    chan struct{} // closed when the log grows, if anybody watches
}

// DeliveryTried is how a try of a delivery ended, for metrics.
type DeliveryTried struct {
	Destination string
	Result      string        // a row of TryResults
	Delivered   bool          // that is its result
	Duration    time.Duration // of the try
	Delay       time.Duration // since the event was accepted
	Late        bool          // it is no first try, or one of a replay: Delay says little
}

// shutdown is how long deliveries that are on their way may take when Run is to end.
const shutdown = 5 * time.Second

func (d *Dispatcher) make() {
	d.made.Do(func() {
		d.redirected = make(chan struct{}, 1)
		d.targets, d.queues = map[string]*target{}, map[order.QueueName][]*queue{}
		d.readers.Store(&[]*queue{})
		d.grown = make(chan struct{})
	})
}

// Committed hands over what was committed, in its order, and whether destinations
// changed with it. It is quick.
func (d *Dispatcher) Committed(events []*order.Event, redirected bool) {
	d.make()
	d.turn(redirected)
	if len(events) == 0 {
		return
	}
	d.Learn(events)
	near := d.grow(events[len(events)-1].Place)
	d.tail.add(events, near)
	d.tell()
}

// turn notes that destinations changed, if they did.
func (d *Dispatcher) turn(redirected bool) {
	if redirected {
		d.relaying.Store(true) // until sync has looked: the next event may be for a new one
		signal(d.redirected)
	}
}

// Learn takes the sessions of calls from what was committed: they are not stored.
func (d *Dispatcher) Learn(events []*order.Event) {
	d.make()
	if !d.relaying.Load() {
		return
	}
	for _, e := range events {
		d.sessions.learn(e)
	}
}

// Grown notes up to where the log may be read, by whom it is shared with others, and
// whether destinations changed. It is quick.
func (d *Dispatcher) Grown(end int64, redirected bool) {
	d.make()
	d.turn(redirected)
	if end <= d.tail.end() {
		return
	}
	d.tail.extend(end, d.grow(end))
	d.tell()
}

// grow looks who is how far behind the log's new end, and reports whether anybody is
// near it.
func (d *Dispatcher) grow(last int64) (near bool) {
	lagging := false
	for _, q := range *d.readers.Load() {
		if q.target.asleep() {
			continue
		}
		behind := last - q.reached.Load()
		near = near || behind <= nearPlaces
		lagging = lagging || behind > lagPlaces && !q.name.Replay()
	}
	d.lagging.Store(lagging)
	return near
}

// tell wakes whoever waits for the log to grow.
func (d *Dispatcher) tell() {
	for _, q := range *d.readers.Load() {
		if q.hungry.Load() {
			signal(q.wake)
		}
	}
	if d.watchers.Load() > 0 {
		d.watch.Lock()
		close(d.grown)
		d.grown = make(chan struct{})
		d.watch.Unlock()
	}
}

// nearPlaces is how far behind the end of the log somebody must be at most for the log's
// end to be kept in memory.
const nearPlaces = 2 * tailEvents

// lagPlaces is how far behind the end of the log a destination lags that is there.
const lagPlaces = 1000

// Lagging reports whether a destination that is there has not been sent what is long
// committed.
func (d *Dispatcher) Lagging() bool { return d.lagging.Load() }

// Await returns when the log has events behind a place, or with the error of ctx.
func (d *Dispatcher) Await(ctx context.Context, seq int64) error {
	d.make()
	d.watchers.Add(1)
	defer d.watchers.Add(-1)
	for {
		d.watch.Lock()
		grown := d.grown
		d.watch.Unlock()
		if d.tail.end() > seq {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Run delivers until ctx ends; what is on its way then has a moment to arrive.
func (d *Dispatcher) Run(ctx context.Context) {
	d.make()
	delivering, breakOff := context.WithCancel(context.WithoutCancel(ctx))
	defer breakOff()
	var again <-chan time.Time // nil: never
	if d.SyncEvery > 0 {
		tick := time.NewTicker(d.SyncEvery)
		defer tick.Stop()
		again = tick.C
	}
	for redirected := true; ctx.Err() == nil; {
		if err := d.sync(ctx, delivering, redirected); err != nil && ctx.Err() == nil {
			d.Log.Warn("destinations could not be read; trying again", "error", err)
			pause(ctx, readAgain)
			continue
		}
		select {
		case <-d.redirected:
			redirected = true
		case <-again:
			redirected = false
		case <-ctx.Done():
		}
	}
	late := time.AfterFunc(shutdown, breakOff)
	defer late.Stop()
	d.mu.Lock()
	d.queues = map[order.QueueName][]*queue{}
	d.readers.Store(&[]*queue{})
	d.mu.Unlock()
	d.running.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.targets {
		t.route.Load().close()
	}
	d.targets = map[string]*target{}
}

// sync starts, changes and ends queues so that they are what the store says. When it was
// redirected, what is to be tried again may have changed, too.
func (d *Dispatcher) sync(ctx, delivering context.Context, redirected bool) error {
	destinations, err := d.Store.Destinations(ctx)
	if err != nil {
		return err
	}
	stored, err := d.Store.Claim(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	relaying := false
	for _, declared := range destinations {
		if !declared.Wait {
			d.redirect(declared)
			relaying = relaying || declared.Kind == order.KindTOP || declared.Kind == order.KindSuning
		}
	}
	d.relaying.Store(relaying)
	kept := map[order.QueueName]bool{}
	for _, s := range stored {
		t := d.targets[s.Name.Destination()]
		if kept[s.Name] = t != nil; t == nil {
			continue
		}
		if !s.Name.Replay() {
			t.divide(s.Shards)
		}
		if err := d.divide(ctx, delivering, s); err != nil {
			return err
		}
	}
	for name, queues := range d.queues {
		if !kept[name] {
			for _, q := range queues {
				d.end(q)
			}
		}
	}
	for name, t := range d.targets {
		if !slices.ContainsFunc(destinations, func(declared *order.Destination) bool { return declared.Name == name && !declared.Wait }) {
			t.route.Load().close()
			delete(d.targets, name)
		}
	}
	d.list(relaying)
	for _, q := range *d.readers.Load() { // only now is what is in memory of the log all of theirs
		if q.launch != nil {
			q.launch()
			q.launch = nil
		}
	}
	if redirected { // what is to be tried may have changed
		for _, q := range *d.readers.Load() {
			q.recall()
			signal(q.wake)
		}
	}
	return nil
}

// divide makes the queues of a name have the parts that the store says; d.mu is held.
// One that loses a part ends when nothing is on its way any more, and others take over
// what it keeps.
func (d *Dispatcher) divide(ctx, delivering context.Context, s order.Queue) error {
	var covered order.Shards
	for _, q := range slices.Clone(d.queues[s.Name]) {
		if q.epoch != s.Epoch { // another of the name
			d.end(q)
			continue
		}
		covered |= q.shards
		if (q.lease != s.Lease || q.shards&(s.Leaving|^s.Shards) != 0) && !q.leaving {
			d.retire(delivering, q, s.Leaving)
		}
	}
	if free := s.Leaving &^ covered; free != 0 {
		if err := d.Store.Release(ctx, s.Name, free); err != nil {
			return err
		}
	}
	s.Shards &^= s.Leaving | covered
	if s.Shards == 0 {
		return nil
	}
	return d.begin(ctx, delivering, s)
}

// retire ends a queue that has parts which are no longer this process's, and releases
// those that another waits for; d.mu is held.
func (d *Dispatcher) retire(ctx context.Context, q *queue, leaving order.Shards) {
	q.leaving = true
	q.stop()
	d.running.Go(func() {
		q.running.Wait()
		if released := q.shards & leaving; released != 0 {
			if err := d.Store.Release(ctx, q.name, released); err != nil {
				d.Log.Warn("parts of a queue are given up late", "destination", q.name, "error", err)
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.end(q)
		signal(d.redirected)
	})
}

// list lists the queues that go on; d.mu is held. When they read other events than
// before, what is in memory of the log is no longer all of theirs.
func (d *Dispatcher) list(relaying bool) {
	readers, reading := []*queue{}, order.Shards(0)
	for _, queues := range d.queues {
		for _, q := range queues {
			if !q.leaving {
				readers, reading = append(readers, q), reading|q.shards
			}
		}
	}
	d.tail.reset(relaying, reading)
	d.readers.Store(&readers)
}

// redirect makes deliveries to a destination go where it is declared now.
func (d *Dispatcher) redirect(declared *order.Destination) {
	t := d.targets[declared.Name]
	if t == nil {
		t = &target{clock: d.Clock}
		t.wake = func() { d.wake(declared.Name) }
		d.targets[declared.Name] = t
	}
	old := t.route.Load()
	if old != nil && reflect.DeepEqual(old.Destination, declared) {
		return
	}
	t.route.Store(d.routeOf(declared))
	if old != nil {
		old.close()
		t.forgive()
	}
}

// Reconnect has all destinations be reached by new connections: the guard lets others
// through than it did.
func (d *Dispatcher) Reconnect() {
	d.make()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.targets {
		old := t.route.Load()
		t.route.Store(d.routeOf(old.Destination))
		old.close()
	}
}

// wake wakes the queues of a destination.
func (d *Dispatcher) wake(name string) {
	for _, q := range *d.readers.Load() {
		if q.name.Destination() == name {
			signal(q.wake)
		}
	}
}

// begin makes a queue, which is launched when it is listed.
func (d *Dispatcher) begin(ctx, delivering context.Context, s order.Queue) error {
	places, err := d.Store.Done(ctx, s.Name)
	if err != nil {
		return fmt.Errorf("queue %s: %w", s.Name, err)
	}
	blocked, err := d.Store.Blocked(ctx, order.QueueShards{Name: s.Name, Shards: s.Shards})
	if err != nil {
		return fmt.Errorf("queue %s: %w", s.Name, err)
	}
	q := &queue{
		Dispatcher: d, target: d.targets[s.Name.Destination()], name: s.Name, shards: s.Shards, from: s.Seqs, epoch: s.Epoch, lease: s.Lease, upTo: s.UpTo, read: s.Seq(), stored: s.Seq(), blocked: blocked,
		wake: make(chan struct{}, 1), dirty: make(chan struct{}, 1), unread: make(chan struct{}),
		look: true, lanes: map[order.Lane]*lane{}, retried: map[int64]*lane{}, done: make(map[int64]bool, len(places)),
	}
	for _, seq := range places {
		q.done[seq] = true
	}
	q.reached.Store(s.Seq())
	ctx, q.stop = context.WithCancel(ctx)
	q.launch = func() {
		q.running.Go(func() { q.run(ctx, delivering) })
		q.running.Go(func() { q.record(ctx) })
		d.running.Go(q.running.Wait)
	}
	d.queues[s.Name] = append(d.queues[s.Name], q)
	return nil
}

// end ends a queue that is no more. What is on its way arrives or does not; nothing of it
// is stored.
func (d *Dispatcher) end(q *queue) {
	q.stop()
	q.target.forget(q)
	d.queues[q.name] = slices.DeleteFunc(slices.Clone(d.queues[q.name]), func(other *queue) bool { return other == q })
	if len(d.queues[q.name]) == 0 {
		delete(d.queues, q.name)
	}
}

// Condition describes a destination; it is zero when nothing is delivered to it.
func (d *Dispatcher) Condition(name string) order.Condition {
	d.make()
	d.mu.Lock()
	t := d.targets[name]
	d.mu.Unlock()
	if t == nil {
		return order.Condition{}
	}
	return t.condition()
}

// OnTheirWay lists the places of the events that are being delivered by a queue.
func (d *Dispatcher) OnTheirWay(name order.QueueName) map[int64]bool {
	d.make()
	d.mu.Lock()
	queues := d.queues[name]
	d.mu.Unlock()
	places := map[int64]bool{}
	for _, q := range queues {
		maps.Copy(places, q.onTheirWay())
	}
	return places
}
