package dispatch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// Pauses between the probes of a destination that is down: the first, and the longest.
// Each is twice the one before.
const (
	firstProbe = time.Second
	lastProbe  = time.Minute
)

// manyFailures is after how many tries without an answer, and none with one in between,
// a destination is down.
const manyFailures = 5

// target is a destination as all of its queues see it: how it is reached, how many
// deliveries are on their way, and whether it is there at all.
type target struct {
	clock func() time.Time
	route atomic.Pointer[route]
	wake  func() // the queues: there may be something to do. It takes no lock

	mu       sync.Mutex
	shards   order.Shards // that this process delivers: its share of what the destination may be sent at a time
	inFlight int
	wanting  map[*queue]bool // that found no place
	last     *queue          // that found one
	begun    uint64          // tries, so far
	answered uint64          // the last of them that the destination answered
	heardAt  time.Time       // when it last answered
	failures int             // since then
	allowed  int             // on their way at a time, at most; 0: as many as the destination takes
	fellAt   uint64          // the last try that had begun when it fell
	down     bool
	probing  bool
	pause    time.Duration // before the probe that comes next
	until    time.Time     // when it comes
	reason   string        // why it is down
	since    time.Time
}

// route is how a destination is reached, as it is declared now.
type route struct {
	*order.Destination
	sender
}

// enter takes a place for a delivery of a queue. Of a destination that is down there is
// one, from time to time: a probe. A queue that finds none is woken when there may be.
func (t *target) enter(q *queue) (probe, ok bool) {
	r := t.route.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case r.Disabled:
		return false, false
	case q.gone:
		return false, false
	case t.inFlight >= t.room(r), t.last == q && t.wanted(q) && t.inFlight+1 >= t.room(r):
		if t.wanting == nil {
			t.wanting = map[*queue]bool{}
		}
		t.wanting[q] = true
		return false, false
	case !t.down:
	case t.probing || t.clock().Before(t.until):
		return false, false
	default:
		t.probing, probe = true, true
	}
	t.inFlight++
	t.last = q
	delete(t.wanting, q)
	if len(t.wanting) > 0 && t.inFlight < t.room(r) {
		t.wake()
	}
	return probe, true
}

// forget lets a queue go that has ended.
func (t *target) forget(q *queue) {
	t.mu.Lock()
	q.gone = true
	delete(t.wanting, q)
	t.mu.Unlock()
	t.wake()
}

// wanted reports whether another queue wants a place: they take turns. t.mu is held.
func (t *target) wanted(q *queue) bool {
	for other := range t.wanting {
		if other != q {
			return true
		}
	}
	return false
}

// content notes that a queue wants no place: another may have its turn.
func (t *target) content(q *queue) {
	t.mu.Lock()
	wanted := t.wanting[q]
	delete(t.wanting, q)
	t.mu.Unlock()
	if wanted {
		t.wake()
	}
}

// room is how many deliveries may be on their way; t.mu is held. After a failure they
// become more with every answer.
func (t *target) room(r *route) int {
	most := t.shards.Part(r.InFlight())
	if t.allowed == 0 {
		return most
	}
	return min(t.allowed, most)
}

// places is how many deliveries this process may have on their way at a time.
func (t *target) places() int {
	r := t.route.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shards.Part(r.InFlight())
}

// divide notes which parts this process delivers.
func (t *target) divide(shards order.Shards) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shards = shards
}

// leave gives a place back.
func (t *target) leave(probe bool) {
	t.mu.Lock()
	t.inFlight--
	if probe {
		t.probing = false
	}
	wanted := probe || len(t.wanting) > 0
	t.mu.Unlock()
	if wanted {
		t.wake()
	}
}

// forgive forgets that the destination failed: it is declared anew.
func (t *target) forgive() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down, t.failures, t.pause, t.reason, t.allowed = false, 0, 0, "", 0
}

// asleep reports whether nothing is sent to the destination, but maybe probes.
func (t *target) asleep() bool {
	is, _ := t.isDown()
	return is || t.route.Load().Disabled
}

// stays reports whether a queue may keep a place for another delivery: unless another
// queue of the destination wants it.
func (t *target) stays(q *queue) bool {
	r := t.route.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wanted(q) && t.inFlight >= t.room(r) {
		return false
	}
	return !t.down && !r.Disabled && t.inFlight <= t.room(r)
}

// begin numbers a try.
func (t *target) begin() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun++
	return t.begun
}

// heard notes that the destination answered a try. It returns whether it is back by that:
// what began before it failed says nothing. Whoever wants a place that there is now, is
// woken.
func (t *target) heard(try uint64) (back bool) {
	r := t.route.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered, t.failures, t.heardAt = max(t.answered, try), 0, t.clock()
	if t.down && try <= t.fellAt {
		return false
	}
	if back = t.down; back {
		t.down, t.pause, t.reason = false, 0, ""
	}
	if t.allowed > 0 {
		if t.allowed++; t.allowed >= t.shards.Part(r.InFlight()) {
			t.allowed = 0
		}
		if len(t.wanting) > 0 {
			t.wake()
		}
	}
	return back
}

// silent notes a try without an answer. When there are many of them, or nothing else is
// on its way that could tell the event from the destination, the destination is down. It
// returns the number of the last try, and whether it is down only now.
func (t *target) silent(o outcome, probe, alone bool) (mark uint64, fell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures++
	if t.down || t.failures >= manyFailures || alone && t.inFlight <= 1 {
		fell = t.fall(o, probe)
	}
	return t.begun, fell
}

// stop notes that the destination failed. It returns whether it is down only now.
func (t *target) stop(o outcome, probe bool) (fell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fall(o, probe)
}

// fall puts the next probe off; t.mu is held.
func (t *target) fall(o outcome, probe bool) (fell bool) {
	now := t.clock()
	if t.down && !probe { // one of many that were on their way
		t.until = later(t.until, now.Add(o.pause))
		return false
	}
	if fell = !t.down; fell {
		t.since = now
	}
	t.down, t.reason, t.fellAt, t.allowed = true, o.reason, t.begun, 1
	t.pause = min(max(2*t.pause, firstProbe), lastProbe)
	t.until = now.Add(max(t.pause, o.pause))
	return fell
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// settled reports whether the destination answered a try that began after the mark.
func (t *target) settled(mark uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answered > mark
}

// heardSince reports whether the destination answered after a time.
func (t *target) heardSince(at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heardAt.After(at)
}

// idle reports whether nothing is on its way, and whether the destination answered since
// it last did not.
func (t *target) idle() (is, heard bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.inFlight == 0, t.failures == 0
}

// isDown reports whether the destination is, and when the next probe comes; zero while
// there is one.
func (t *target) isDown() (is bool, probe time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.down || t.probing {
		return t.down, time.Time{}
	}
	return true, t.until
}

// condition describes the destination.
func (t *target) condition() order.Condition {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.down {
		return order.Condition{}
	}
	return order.Condition{Down: true, Reason: t.reason, Since: t.since, Probe: t.until}
}
