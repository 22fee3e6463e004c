package dispatch

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// recordEvery is how often a queue stores its progress at most. What was delivered since
// is delivered again after a crash.
const recordEvery = 20 * time.Millisecond

// progress collects what is to be stored of a queue.
type progress struct {
	done     []order.Settled // above the cursor, and not in the window
	blocked  map[order.Lane]order.Blocked
	freed    map[order.Lane]bool
	dead     map[int64]order.Dead
	revived  []int64
	forget   []int64
	attempts []order.Attempt
	alerts   []order.Event
	frozen   []*lane // they leave the memory when this is stored
	closed   []*lane // they are like any other when this is stored
	end      bool
}

func (p *progress) block(b order.Blocked) {
	if p.blocked == nil {
		p.blocked = map[order.Lane]order.Blocked{}
	}
	p.blocked[b.Lane] = b
	delete(p.freed, b.Lane)
}

// has reports whether the row of a lane changes.
func (p *progress) has(key order.Lane) bool {
	_, blocked := p.blocked[key]
	return blocked || p.freed[key]
}

func (p *progress) free(l *lane) {
	if p.freed == nil {
		p.freed = map[order.Lane]bool{}
	}
	p.freed[l.key] = true
	delete(p.blocked, l.key)
	p.closed = append(p.closed, l)
}

// alert tells that the delivery of an event is given up, or held.
func (p *progress) alert(destination string, e *order.Event, d order.Dead, held bool) {
	if alert := order.DeadAlert(destination, e, d, held); alert != nil {
		p.alerts = append(p.alerts, *alert)
	}
}

func (p *progress) bury(d order.Dead) {
	if p.dead == nil {
		p.dead = map[int64]order.Dead{}
	}
	p.dead[d.Seq] = d
}

// snapshot is progress on its way to the store.
type snapshot struct {
	order.Progress
	progress
}

// record stores progress until ctx ends, and once more then.
func (q *queue) record(ctx context.Context) {
	for {
		select {
		case <-q.dirty:
		case <-ctx.Done():
			<-q.unread
			q.workers.Wait() // they may still have something to say
			q.save(context.WithoutCancel(ctx), q.take())
			return
		}
		if s := q.take(); !q.save(ctx, s) {
			continue // ctx has ended
		}
		pause(ctx, recordEvery)
	}
}

// pause waits for a time, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// take takes what is to be stored.
func (q *queue) take() *snapshot {
	q.mu.Lock()
	defer q.mu.Unlock()
	front := 0
	for front < len(q.window) && q.window[front].settled {
		front++
	}
	clear(q.window[:front])
	q.window = q.window[front:]
	s := &snapshot{progress: q.pending}
	q.pending, q.saving = progress{}, s
	s.Done = s.done
	s.Queue, s.Epoch, s.Shards, s.Lease, s.Seq = q.name, q.epoch, q.shards, q.lease, q.read
	if len(q.window) > 0 {
		s.Seq = q.window[0].place - 1
	}
	q.reached.Store(s.Seq)
	for _, it := range q.window {
		if it.settled && !it.recorded {
			it.recorded = true
			s.Done = append(s.Done, order.Settled{Seq: it.place, Shard: it.shard})
		}
	}
	s.Freed = slices.Collect(maps.Keys(s.freed))
	s.Blocked = slices.Collect(maps.Values(s.blocked))
	s.Dead = slices.SortedFunc(maps.Values(s.dead), func(a, b order.Dead) int { return int(a.Seq - b.Seq) })
	s.Revived, s.Forget, s.Attempts, s.End = s.revived, s.forget, s.attempts, s.end
	s.Alerts = s.alerts
	return s
}

// saveAgain is the pause after progress could not be stored.
const saveAgain = 200 * time.Millisecond

// save stores a snapshot, however long that takes; false: ctx ended first.
func (q *queue) save(ctx context.Context, s *snapshot) bool {
	if s.Empty() && s.Seq == q.stored {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.saving = nil
		return true
	}
	for {
		err := q.Store.Commit(context.WithoutCancel(ctx), order.RecordProgress(s.Progress))
		if err == nil {
			q.saved(s)
			return true
		}
		q.Log.Warn("progress of a destination is not stored yet; trying again", "destination", q.name, "error", err)
		if pause(ctx, saveAgain); q.isStopped() { // it is delivered again by the next process
			return false
		}
	}
}

func (q *queue) isStopped() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stopped
}

// saved takes up what follows from a stored snapshot.
func (q *queue) saved(s *snapshot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stored, q.storedAt, q.saving = s.Seq, q.Clock(), nil
	q.over = q.over || s.End
	for _, l := range s.frozen {
		for _, it := range l.items { // the row owes them: they are passed, and not done
			q.release(it)
			it.recorded = true
		}
		q.changes++
		switch {
		case l.again:
			delete(q.retried, l.last)
			continue
		case l.thawed:
			q.thawed--
		default:
			q.blocked++
		}
		delete(q.lanes, l.key)
		q.dueAt(s.blocked[l.key].NextAt)
	}
	for _, l := range s.closed {
		q.changes++
		q.blocked--
		q.thawed--
		l.thawed = false
		if len(l.items) == 0 {
			delete(q.lanes, l.key)
			continue
		}
		q.push(l)
	}
	if len(s.frozen)+len(s.closed) > 0 { // what found no room may find it now
		q.look = true
	}
	if len(s.frozen)+len(s.closed) > 0 || s.End || !q.hungry.Load() {
		signal(q.wake)
	}
	if s.End {
		signal(q.redirected)
	}
	if len(s.frozen) > 0 { // the cursor passes them now
		signal(q.dirty)
	}
}
