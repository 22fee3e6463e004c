package dispatch

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// How much is read of the log at a time: by the cursor, and of one lane that comes back.
const (
	pageEvents = 256
	laneEvents = 16
)

// Pauses of a reader: after the store did not answer, between two records of a cursor
// that passes events of others, when nothing is to be done, and the least.
const (
	readAgain  = time.Second
	passEvery  = time.Second
	idlePause  = time.Minute
	leastPause = 5 * time.Millisecond
)

// lookEvery is how often the rows of a queue are read though none is known to be due.
const lookEvery = 10 * time.Minute

// run reads until ctx ends.
func (q *queue) run(ctx, delivering context.Context) {
	for ctx.Err() == nil {
		wait, err := q.turn(ctx, delivering)
		if err != nil && ctx.Err() == nil {
			q.target.content(q) // others may have its turn
			q.Log.Warn("the log could not be read; trying again", "destination", q.name, "error", err)
			wait = readAgain
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-t.C:
		}
		t.Stop()
	}
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	close(q.unread)
}

// turn reads what there is room for and what is due, and starts workers. It returns how
// long nothing else will be to do.
func (q *queue) turn(ctx, delivering context.Context) (wait time.Duration, err error) {
	if q.target.route.Load().Disabled {
		return idlePause, nil
	}
	for more := true; more && ctx.Err() == nil; {
		if more, err = q.feed(ctx); err != nil {
			return 0, err
		}
		q.start(delivering)
	}
	if err := q.load(ctx); err != nil {
		return 0, err
	}
	if err := q.thaw(ctx); err != nil {
		return 0, err
	}
	q.resolve(q.Clock())
	q.start(delivering)
	q.finishReplay()
	return q.untilNext(), nil
}

// untilNext is how long nothing will be to do, unless something comes.
func (q *queue) untilNext() time.Duration {
	now := q.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := idlePause
	until := func(at time.Time) {
		if !at.IsZero() {
			wait = min(wait, max(leastPause, at.Sub(now)))
		}
	}
	if q.thawed+len(q.retried) < q.maxThawed() { // else there is room when one of them has been stored
		until(q.due)
		if q.look {
			until(now)
		}
	}
	if len(q.ready)+len(q.returned)+len(q.stalled)+len(q.suspects) > 0 {
		_, probe := q.target.isDown()
		until(probe)
	}
	if !q.Store.Holds(q.lease) {
		until(now.Add(readAgain))
	}
	if len(q.suspects) > 0 { // another queue of the destination may have the answer
		until(now.Add(readAgain))
	}
	if q.read > q.stored && len(q.window) == 0 {
		if now.Sub(q.storedAt) >= passEvery {
			signal(q.dirty)
		}
		until(now.Add(passEvery))
	}
	if q.upTo > 0 && q.read < q.upTo && q.read >= q.end() { // the cursor has to go on first
		until(now.Add(readAgain))
	}
	return wait
}

// finishReplay ends a replay that has come to its end, with nothing left of it.
func (q *queue) finishReplay() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.upTo > 0 && q.read >= q.upTo && len(q.window)+len(q.lanes)+q.blocked == 0 && !q.pending.end && !q.over {
		q.pending.end = true
		signal(q.dirty)
	}
}

// downWindow is how many events are read ahead for a destination that is down.
const downWindow = 16

// room is how many events the window has room for.
func (q *queue) room() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.window) > 0 && q.window[0].settled && q.window[0].recorded {
		q.window = q.window[1:]
	}
	if q.bytes >= maxBytes || q.upTo > 0 && q.read >= q.upTo {
		return 0
	}
	if is, _ := q.target.isDown(); is { // whom nothing is sent to, nothing is read for
		return max(0, downWindow-len(q.window))
	}
	return q.capacity() - len(q.window)
}

// feed reads the next part of the log into the window, and reports whether there may be
// more to read.
func (q *queue) feed(ctx context.Context) (more bool, err error) {
	q.hungry.Store(true) // whatever comes from now on, wakes
	n := min(q.room(), pageEvents)
	if n <= 0 {
		q.hungry.Store(false)
		return false, nil
	}
	entries, upTo, err := q.behind(ctx, n)
	if err != nil {
		return false, err
	}
	if len(entries) == 0 && upTo <= q.read {
		return false, nil
	}
	d := q.target.route.Load().Destination
	taken := entries[:0:0]
	for _, e := range entries {
		if shard := e.Lane.Shard(); q.shards.Has(shard) && e.Place > q.from[shard] && !q.done[e.Place] && d.Takes(e.Event) {
			taken = append(taken, e)
		}
	}
	for {
		stale, err := q.admit(ctx, d, taken, upTo)
		if !stale || err != nil {
			return true, err
		}
	}
}

// behind returns the next events of the log, and the place up to which they are all.
func (q *queue) behind(ctx context.Context, n int) (entries []*entry, upTo int64, err error) {
	end := q.end()
	if end <= q.read {
		return nil, q.read, nil
	}
	entries, upTo, base, err := q.recent(ctx, n)
	if err != nil || upTo > 0 {
		entries, upTo = within(entries, upTo, end)
		return entries, upTo, err
	}
	if base == 0 {
		if base, err = q.Store.Head(ctx); err != nil {
			return nil, 0, err
		}
	}
	base = min(base, end)
	if base <= q.read {
		return nil, q.read, nil
	}
	events, more, err := q.Store.Events(ctx, order.EventFilter{Settled: true, Sealed: q.opens(), Shards: q.shards, After: q.read, UpTo: base, Limit: n})
	if err != nil {
		return nil, 0, err
	}
	for _, e := range events {
		entries = append(entries, newEntry(e))
	}
	if !more {
		return entries, base, nil
	}
	return entries, entries[len(entries)-1].Place, nil
}

// end is how far the queue may read. A replay never overtakes the cursor that it goes
// beside.
func (q *queue) end() int64 {
	if q.upTo == 0 {
		return math.MaxInt64
	}
	return min(q.upTo, q.mainReached())
}

// mainReached is how far the queues have come that a replay goes beside; 0: some of its
// parts are in none of them now.
func (q *queue) mainReached() int64 {
	reached, missing := int64(math.MaxInt64), q.shards
	for _, main := range *q.readers.Load() {
		if main.name == q.mainName() && main.shards&q.shards != 0 {
			reached, missing = min(reached, main.reached.Load()), missing&^main.shards
		}
	}
	if missing != 0 {
		return 0
	}
	return reached
}

// mainName is the name of the queue that a replay goes beside.
func (q *queue) mainName() order.QueueName { return order.QueueName(q.name.Destination()) }

// recent returns the next events from the end of the log that is in memory, and the place
// up to which they are all; 0: the log has to be read up to base first.
func (q *queue) recent(ctx context.Context, n int) (entries []*entry, upTo, base int64, err error) {
	for {
		entries, upTo, base = q.tail.behind(q.read, n, q.shards)
		if len(entries) > 0 || upTo != q.read || !q.tail.short(upTo) {
			return entries, upTo, base, nil
		}
		if err := q.tail.fill(ctx, q.Store); err != nil {
			return nil, 0, 0, err
		}
	}
}

// within cuts what lies behind an end.
func within(entries []*entry, upTo, end int64) ([]*entry, int64) {
	if i := slices.IndexFunc(entries, func(e *entry) bool { return e.Place > end }); i >= 0 {
		entries = entries[:i]
	}
	return entries, min(upTo, end)
}

// opens reports whether the destination is told secret parameters: cards, by the call
// that they belong to.
func (q *queue) opens() bool { return q.target.route.Load().Kind == order.KindSuning }

// admit puts events into the window, but for those of blocked lanes. It is stale when
// those changed while they were looked up.
func (q *queue) admit(ctx context.Context, d *order.Destination, entries []*entry, upTo int64) (stale bool, err error) {
	q.mu.Lock()
	changes, ask := q.changes, q.blocked > 0 && len(entries) > 0
	q.mu.Unlock()
	var blocked, owed map[order.Lane]int64
	if q.upTo > 0 && len(entries) > 0 { // what the cursor still owes is not overtaken either
		if owed, err = q.Store.BlockedOf(ctx, q.mainName(), lanesOf(entries)); err != nil {
			return false, err
		}
	}
	if ask {
		if blocked, err = q.Store.BlockedOf(ctx, q.name, lanesOf(entries)); err != nil {
			return false, err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.changes != changes {
		return true, nil
	}
	away := func(key order.Lane) bool { // its events are found by the lane, later
		l := q.lanes[key]
		return l == nil && blocked[key] > 0 || l != nil && l.thawed && l.state != laneClosing
	}
	for _, e := range entries {
		key := e.Lane
		if d.Unordered {
			key = order.EventLane(e.Place)
		}
		if first := owed[e.Lane]; away(e.Lane) || away(key) || first > 0 && first <= e.Place {
			continue
		}
		l := q.lanes[key]
		if l == nil {
			l = &lane{key: key, shard: e.Lane.Shard()}
			q.lanes[key] = l
			q.ready = append(q.ready, l)
		}
		it := &item{entry: e, place: e.Place, shard: l.shard}
		l.items = append(l.items, it)
		q.window = append(q.window, it)
		q.bytes += it.size
	}
	q.read = upTo
	if len(q.window) == 0 {
		q.reached.Store(upTo)
	}
	for seq := range q.done {
		if seq <= upTo {
			delete(q.done, seq)
		}
	}
	return false, nil
}

// lanesOf lists the lanes that events may be in: their order's, and their own.
func lanesOf(entries []*entry) (lanes []order.Lane) {
	for _, e := range entries {
		lanes = append(lanes, e.Lane, order.EventLane(e.Place))
	}
	return lanes
}

// maxThawed is how many lanes that come back may be in memory at a time: half of the
// places that the destination has.
func (q *queue) maxThawed() int { return max(1, q.target.places()/2) }

// thaw brings back lanes and dead deliveries whose time has come.
func (q *queue) thaw(ctx context.Context) error {
	now := q.Clock()
	q.mu.Lock()
	room := q.maxThawed() - q.thawed - len(q.retried)
	inMemory := q.thawed + len(q.retried) + len(q.pending.frozen)
	if room <= 0 || !q.look && q.due.After(now) {
		q.mu.Unlock()
		return nil
	}
	changes := q.changes
	q.look, q.due = false, now.Add(lookEvery) // what becomes due from here on, is noted
	q.mu.Unlock()
	if err := q.thawDue(ctx, now, inMemory+room, changes); err != nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.look = true
		return err
	}
	return nil
}

// thawDue brings back what the store says is due, as far as that is not stale.
func (q *queue) thawDue(ctx context.Context, now time.Time, limit, changes int) error {
	blocked, dead, next, err := q.Store.Due(ctx, order.QueueShards{Name: q.name, Shards: q.shards}, now, limit)
	if err != nil {
		return err
	}
	if len(blocked) >= limit || len(dead) >= limit { // there may be more
		next = now.Add(readAgain)
	}
	q.mu.Lock()
	q.dueAt(next)
	q.mu.Unlock()
	for _, b := range blocked {
		if err := q.bringBack(ctx, b, changes); err != nil {
			return err
		}
	}
	for _, d := range dead {
		if err := q.retry(ctx, d, changes); err != nil {
			return err
		}
	}
	return nil
}

// fresh reports whether what was read of the rows still holds; else they are read
// again. q.mu is held.
func (q *queue) fresh(changes int) bool {
	q.look = q.look || q.changes != changes
	return q.changes == changes
}

// admits reports whether a row that is due can be brought back now; else it is looked at
// again. q.mu is held.
func (q *queue) admits(known bool) bool {
	full := q.thawed+len(q.retried) >= q.maxThawed()
	if full {
		q.look = true // as soon as there is room
	} else if known {
		q.dueAt(q.Clock().Add(readAgain))
	}
	return !full && !known
}

// bringBack takes a blocked lane into memory.
func (q *queue) bringBack(ctx context.Context, b order.Blocked, changes int) error {
	l := &lane{key: b.Lane, shard: b.Shard, thawed: true, attempts: b.Attempts, tried: order.TriedAt(b.Attempts, b.NextAt), last: b.Seq - 1, state: laneLoading}
	q.mu.Lock()
	known := q.lanes[b.Lane] != nil || b.Seq > q.passed(b.Shard) // or the cursor has not come so far since the start
	if !q.fresh(changes) || !q.admits(known) {
		q.mu.Unlock()
		return nil
	}
	q.lanes[b.Lane] = l
	q.thawed++
	q.mu.Unlock()
	err := q.extend(ctx, l, b.Seq)
	if err != nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.lanes, b.Lane)
		q.thawed--
	}
	return err
}

// load reads on for the lanes that want it.
func (q *queue) load(ctx context.Context) error {
	for {
		q.mu.Lock()
		if len(q.loading) == 0 {
			q.mu.Unlock()
			return nil
		}
		l := q.loading[0]
		q.mu.Unlock()
		if err := q.extend(ctx, l, 0); err != nil {
			return err
		}
		q.mu.Lock()
		q.loading = q.loading[1:]
		q.mu.Unlock()
	}
}

// passed is up to where the cursor of a part has passed the log.
func (q *queue) passed(shard int) int64 { return max(q.read, q.from[shard]) }

// extend reads the next events of a thawed lane, whose row begins at a place; 0: at one
// that was delivered. When there are none up to where the cursor has read, the lane is
// closed: whatever follows comes by the cursor.
func (q *queue) extend(ctx context.Context, l *lane, first int64) error {
	d := q.target.route.Load().Destination
	var items []*item
	for len(items) == 0 {
		events, more, err := q.Store.Events(ctx, order.EventFilter{Settled: true, Sealed: q.opens(), Lane: l.key, After: l.last, UpTo: q.passed(l.shard), Limit: laneEvents})
		if err != nil {
			return err
		}
		for _, e := range events {
			l.last = e.Place
			if d.Takes(e) {
				items = append(items, &item{entry: newEntry(e), place: e.Place, shard: l.shard, outside: true, attempted: e.Place == first})
			}
		}
		if !more {
			break
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(items) == 0 {
		l.state = laneClosing
		q.pending.free(l)
		signal(q.dirty)
		return nil
	}
	if items[0].place != first {
		l.attempts = 0
		q.pending.block(order.Blocked{Lane: l.key, Seq: items[0].place, NextAt: q.Clock(), Shard: l.shard})
	}
	l.items = items
	q.push(l)
	return nil
}

// retry takes a dead delivery into memory that is to be tried again.
func (q *queue) retry(ctx context.Context, d order.Dead, changes int) error {
	events, _, err := q.Store.Events(ctx, order.EventFilter{Seq: d.Seq, Settled: true, Sealed: q.opens(), Limit: 1})
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.fresh(changes) || !q.admits(q.retried[d.Seq] != nil):
		return nil
	case len(events) == 0: // it was pruned
		q.pending.revived = append(q.pending.revived, d.Seq)
		signal(q.dirty)
		return nil
	case !q.target.route.Load().Takes(events[0]):
		q.pending.bury(order.Dead{Seq: d.Seq, Lane: d.Lane, Reason: "the destination does not take it any more", At: q.Clock(), Attempts: d.Attempts, Shard: d.Shard})
		signal(q.dirty)
		return nil
	}
	l := &lane{key: d.Lane, shard: d.Shard, again: true, attempts: d.Attempts, tried: order.TriedAt(d.Attempts, d.NextAt), last: d.Seq, items: []*item{{entry: newEntry(events[0]), place: d.Seq, shard: d.Shard, outside: true, attempted: true}}}
	q.retried[d.Seq] = l
	q.push(l)
	return nil
}
