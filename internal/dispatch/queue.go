package dispatch

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// queue delivers the log to a destination, from a cursor on: what it takes of it, in the
// order of each lane. Memory holds a window of the log and the lanes in it; what fails
// leaves memory for a row of the store, and comes back when its time has come.
//
// Three kinds of goroutines share it: one reads the log and what is due (feed.go),
// workers deliver (this file), and one stores what came of it (record.go).
type queue struct {
	*Dispatcher
	target *target
	name   order.QueueName
	shards order.Shards            // the parts of it that this process delivers
	from   [order.ShardCount]int64 // their cursors at the start: they may differ
	epoch  int64
	lease  int64
	upTo   int64 // of a replay; 0: it goes on
	gone   bool  // it has ended; the target's lock guards it

	launch  func()         // starts it; nil: it has been. The Dispatcher's lock guards it
	leaving bool           // it ends, and others take over its parts; the Dispatcher's lock guards it
	running sync.WaitGroup // its reader and its recorder

	wake    chan struct{} // the reader has something to do
	dirty   chan struct{} // the recorder has
	hungry  atomic.Bool   // the reader waits for the log to grow
	reached atomic.Int64  // the cursor in memory
	unread  chan struct{} // closed when the reader has ended
	stop    context.CancelFunc
	workers sync.WaitGroup

	mu       sync.Mutex
	stopped  bool  // nothing is started any more
	read     int64 // everything up to here has been looked at
	window   []*item
	bytes    int // of the events in the window
	lanes    map[order.Lane]*lane
	thawed   int             // lanes that came back
	retried  map[int64]*lane // dead deliveries that are tried again, each a lane of its own
	ready    []*lane         // that can be delivered from
	returned []*lane         // those of them that came back: they take turns with the others
	theirs   bool            // it was their turn last
	stalled  []*lane         // that can be delivered from, but the destination failed when it was last tried
	suspects []*lane         // that wait to be judged
	loading  []*lane         // thawed ones that want more of the log
	blocked  int             // rows of the store
	changes  int             // of those rows, as counted here: what was read before one is stale
	look     bool            // the rows that are due must be read now
	due      time.Time       // when the next row wants to be tried, besides
	pending  progress        // not yet stored
	saving   *snapshot       // on its way to the store; nil: none
	stored   int64           // the cursor as it is stored
	storedAt time.Time
	done     map[int64]bool // delivered above the cursor, by a process before this one
	over     bool           // a replay has ended
}

// item is an event on its way.
type item struct {
	*entry          // nil once it is settled
	place     int64 // of the event
	shard     int   // of the event
	outside   bool  // not part of the window: it came back from the store
	settled   bool
	recorded  bool // as delivered, above the cursor
	attempted bool // the store has attempts of it
}

// lane is the events of one order, or the like, in their order.
type lane struct {
	key      order.Lane
	shard    int // of its events
	items    []*item
	head     *item // what is being delivered
	state    laneState
	attempts int       // used up by the first item
	tried    time.Time // when the last of them ended, or a little later
	outcome            // of a suspect
	mark     uint64    // the last try that had begun when it failed
	excused  uint64    // the mark of an earlier failure, which an outage was blamed for
	thawed   bool      // it has a row, and its items come from the log
	last     int64     // of a thawed lane: the place up to which its items were loaded
	again    bool      // a dead delivery that is tried again
}

// laneState is what a lane waits for.
type laneState int

// The states of a lane in memory.
const (
	laneReady    laneState = iota // for a worker
	laneBusy                      // for the destination's answer
	laneSuspect                   // for other answers
	laneFreezing                  // for its row to be stored; then it leaves the memory
	laneLoading                   // for more of its events
	laneClosing                   // for its row to be deleted; then it is like any other
)

// start gives lanes that are ready to workers, as far as there is room.
func (q *queue) start(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped && len(q.ready)+len(q.returned)+len(q.stalled) > 0 && q.Store.Holds(q.lease) {
		probe, ok := q.target.enter(q)
		if !ok {
			return
		}
		l := q.pick()
		q.workers.Go(func() { q.work(ctx, l, probe) })
	}
	q.target.content(q)
}

// pick takes the next lane; q.mu is held. One that the destination failed at comes last:
// it may be to blame.
func (q *queue) pick() (l *lane) {
	from := &q.ready
	switch q.theirs = !q.theirs; {
	case len(q.returned) > 0 && (q.theirs || len(q.ready) == 0):
		from = &q.returned
	case len(q.ready) == 0:
		from = &q.stalled
	}
	l, *from = (*from)[0], (*from)[1:]
	l.state, l.head = laneBusy, l.items[0]
	return l
}

// push makes a lane ready; q.mu is held.
func (q *queue) push(l *lane) {
	l.state = laneReady
	if l.thawed || l.again {
		q.returned = append(q.returned, l)
	} else {
		q.ready = append(q.ready, l)
	}
}

// work delivers from one lane after the other, as long as there are any.
func (q *queue) work(ctx context.Context, l *lane, probe bool) {
	for l != nil {
		try := q.target.begin()
		started := q.Clock()
		o := q.deliver(ctx, l)
		q.observe(l, o, started)
		next := q.finish(ctx, l, o, try, probe, started)
		if next == nil {
			q.target.leave(probe)
		}
		l = next
	}
}

// deliver tries the first event of a lane. A fault in the code is this event's failure
// alone.
func (q *queue) deliver(ctx context.Context, l *lane) (o outcome) {
	e := l.head.entry
	defer func() {
		if p := recover(); p != nil {
			q.Log.Error("a delivery panicked", "destination", q.name, "event", e.ID, "panic", p, "stack", string(debug.Stack()))
			o = outcome{verdict: failed, reason: "it panicked; see the log"}
		}
	}()
	r := q.target.route.Load()
	ctx, cancel := context.WithTimeout(ctx, r.Deadline())
	defer cancel()
	ctx, end := q.traced(ctx, r, e)
	defer func() { end(o) }()
	o = r.send(ctx, e, q.Clock())
	o.body = r.masked(o.body, e)
	o.reason = r.masked(o.reason, e)
	return o
}

// finish makes of an outcome what becomes of the lane, and returns the lane that the
// worker goes on with; nil: there is none, or it is to end.
func (q *queue) finish(ctx context.Context, l *lane, o outcome, try uint64, probe bool, started time.Time) (next *lane) {
	now := q.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() != nil && o.verdict >= unsure { // it was broken off
		q.push(l)
		return nil
	}
	a := order.Attempt{Seq: l.items[0].place, At: started, Status: o.status, Latency: now.Sub(started), Body: o.body}
	alone := o.verdict == unsure && (l.excused > 0 && q.target.settled(l.excused) || l.attempts > 0 && q.target.heardSince(l.tried)) // others got through since it failed
	switch {
	case alone:
		o.verdict = failed
		q.settle(l, o, a, now)
		signal(q.wake)
	case o.verdict == unsure:
		var fell bool
		l.state, l.outcome = laneSuspect, o
		l.mark, fell = q.target.silent(o, probe, len(q.ready)+len(q.returned) == 0)
		q.suspects = append(q.suspects, l)
		q.fell(fell, o)
		signal(q.wake) // it waits no longer than for a probe
	case o.verdict == down:
		l.state = laneReady
		q.stalled = append(q.stalled, l)
		q.fell(q.target.stop(o, probe), o)
		signal(q.wake)
	default:
		if q.target.heard(try) {
			q.Log.Info("destination is back", "destination", q.name)
			q.ready, q.stalled = append(q.ready, q.stalled...), nil
			q.target.wake()
		}
		q.settle(l, o, a, now)
	}
	q.judge(now)
	signal(q.dirty)
	if probe || q.stopped || len(q.ready)+len(q.returned) == 0 || !q.target.stays(q) || !q.Store.Holds(q.lease) {
		return nil
	}
	return q.pick()
}

func (q *queue) fell(fell bool, o outcome) {
	if fell {
		q.Log.Warn("destination is down; trying it from time to time, and nothing is lost", "destination", q.name, "reason", o.reason)
	}
}

// settle makes of an answer what becomes of the first event of a lane; q.mu is held.
func (q *queue) settle(l *lane, o outcome, a order.Attempt, now time.Time) {
	r := q.target.route.Load()
	it := l.items[0]
	switch {
	case o.verdict == delivered:
		if r.KeepSuccess {
			q.pending.attempts = append(q.pending.attempts, a)
		} else if it.attempted {
			q.pending.forget = append(q.pending.forget, it.place)
		}
		if l.again || q.name.Replay() { // it may have been dead
			q.pending.revived = append(q.pending.revived, it.place)
		}
		q.next(l)
	case o.verdict == failed:
		if pause, more := order.RetryAfter(l.attempts + 1); more {
			q.pending.attempts = append(q.pending.attempts, a)
			q.block(l, order.Blocked{Attempts: l.attempts + 1, NextAt: a.At.Add(a.Latency + pause), Reason: o.reason})
			return
		}
		fallthrough
	default:
		q.pending.attempts = append(q.pending.attempts, a)
		q.Log.Warn("delivery is dead; see: ordergate deliveries list", "destination", q.name, "seq", it.place, "event", it.ID, "reason", o.reason)
		dead, held := order.Dead{Seq: it.place, Lane: l.key, Reason: o.reason, At: now, Attempts: l.attempts + 1, Shard: l.shard}, r.OnDead == order.OnDeadHold && !l.again
		q.pending.alert(q.name.Destination(), it.Event, dead, held)
		if held {
			q.block(l, order.Blocked{Attempts: l.attempts + 1, Held: true, Reason: o.reason})
			return
		}
		q.pending.bury(dead)
		q.next(l)
	}
}

// next goes on behind the first event of a lane; q.mu is held.
func (q *queue) next(l *lane) {
	it := l.items[0]
	if it.outside && it.place > q.stored { // the cursor does not know it
		q.pending.done = append(q.pending.done, order.Settled{Seq: it.place, Shard: it.shard})
	}
	q.release(it)
	l.items, l.attempts, l.excused = l.items[1:], 0, 0
	switch {
	case l.again: // it stays known until that is stored
		l.state = laneFreezing
		q.pending.frozen = append(q.pending.frozen, l)
	case !l.thawed && len(l.items) == 0:
		delete(q.lanes, l.key)
	case !l.thawed:
		q.push(l)
	case len(l.items) == 0:
		l.state = laneLoading
		q.loading = append(q.loading, l)
		signal(q.wake)
	default:
		q.push(l)
		q.pending.block(order.Blocked{Lane: l.key, Seq: l.items[0].place, NextAt: q.Clock(), Shard: l.shard})
	}
}

// release counts an item of the window as settled; q.mu is held.
func (q *queue) release(it *item) {
	if !it.outside && !it.settled {
		q.bytes -= it.size
		it.settled, it.entry = true, nil
	}
}

// block gives a lane a row, and lets it leave the memory when that is stored; q.mu is
// held.
func (q *queue) block(l *lane, b order.Blocked) {
	l.state = laneFreezing
	b.Lane, b.Seq, b.Shard = l.key, l.items[0].place, l.shard
	if l.again {
		q.pending.bury(order.Dead{Seq: b.Seq, Lane: l.key, Reason: b.Reason, At: b.NextAt, Attempts: b.Attempts, NextAt: b.NextAt, Shard: l.shard})
	} else {
		q.pending.block(b)
	}
	q.pending.frozen = append(q.pending.frozen, l)
	q.dueAt(b.NextAt)
}

// dueAt notes when a row wants to be tried; zero: never. q.mu is held.
func (q *queue) dueAt(at time.Time) {
	if !at.IsZero() && at.Before(q.due) {
		q.due = at
	}
}

// recall lets lanes that came back from the store, and are not being delivered, go there
// again: a person may have changed their rows.
func (q *queue) recall() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.look = true
	q.changes++ // what has been read of rows may be stale
	stays := func(l *lane) bool {
		if l.again {
			delete(q.retried, l.last)
			return false
		}
		if !l.thawed || q.pending.has(l.key) || q.saving != nil && q.saving.has(l.key) {
			return true
		}
		delete(q.lanes, l.key)
		q.thawed--
		return false
	}
	for _, list := range []*[]*lane{&q.returned, &q.stalled, &q.suspects} {
		kept := make([]*lane, 0, len(*list))
		for _, l := range *list {
			if stays(l) {
				kept = append(kept, l)
			}
		}
		*list = kept
	}
}

// judge tells events that failed from a destination that did: what got no answer failed
// by itself when others that began after it were answered; q.mu is held.
func (q *queue) judge(now time.Time) {
	if len(q.suspects) == 0 {
		return
	}
	isDown, _ := q.target.isDown()
	kept := q.suspects[:0]
	for _, l := range q.suspects {
		switch {
		case q.target.settled(l.mark), l.mark == judged:
			o := l.outcome
			o.verdict = failed
			q.settle(l, o, order.Attempt{Seq: l.items[0].place, At: now, Status: o.status, Body: o.body}, now)
		case isDown:
			l.state, l.excused = laneReady, max(l.excused, l.mark)
			q.stalled = append(q.stalled, l)
		default:
			kept = append(kept, l)
		}
	}
	clear(q.suspects[len(kept):])
	q.suspects = kept
}

// judged is the mark of a suspect that has been found to have failed by itself.
const judged = 0

// resolve judges suspects that nothing is left to be compared with: when the destination
// answered another after they failed they failed by themselves, else it is down.
func (q *queue) resolve(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.suspects) == 0 || len(q.ready)+len(q.returned) > 0 {
		return
	}
	if idle, heard := q.target.idle(); idle && heard {
		for _, l := range q.suspects {
			l.mark = judged
		}
	} else if idle {
		q.fell(q.target.stop(q.suspects[0].outcome, false), q.suspects[0].outcome)
	}
	q.judge(now)
	signal(q.dirty)
}

// signal wakes whoever waits on a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake, or will be
	}
}

// leastCapacity is how far a queue reads ahead at least.
const leastCapacity = 1024

// maxBytes is how many bytes of events a window holds, but for a single larger one.
const maxBytes = 8 << 20

// capacity is how many events the window holds.
func (q *queue) capacity() int { return max(leastCapacity, 4*q.target.route.Load().InFlight()) }

// onTheirWay lists the places of what is being delivered.
func (q *queue) onTheirWay() map[int64]bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	places := map[int64]bool{}
	note := func(l *lane) {
		if l.state == laneBusy {
			places[l.head.place] = true
		}
	}
	for _, l := range q.lanes {
		note(l)
	}
	for _, l := range q.retried {
		note(l)
	}
	return places
}
