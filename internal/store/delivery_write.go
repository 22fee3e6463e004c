package store

import (
	"strings"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// What both engines say alike when they change queues, row by row.
const (
	insertCursor = "INSERT INTO cursor (queue, shard, epoch, start, seq, up_to) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
	buryFirst    = "INSERT INTO dead (queue, seq, lane, reason, at, attempts, next_at, shard) SELECT CAST(? AS TEXT), first_seq, lane, CAST(? AS TEXT) || reason, CAST(? AS BIGINT), attempts, NULL, shard FROM blocked WHERE queue = ? AND "
	passFirst    = "UPDATE blocked SET first_seq = first_seq + 1, attempts = 0, held = 0, next_at = ? WHERE queue = ? AND "
	isHeld       = "held = 1"
	isFirst      = "first_seq = ?"
)

// writer runs statements until one fails.
type writer struct {
	conn
	err error
}

func (w *writer) do(text string, args ...any) {
	if w.err == nil {
		_, w.err = w.exec(text, args...)
	}
}

func (w *writer) dropQueue(q order.QueueName) {
	for _, table := range []string{"cursor", "done", "blocked"} {
		w.do("DELETE FROM "+table+" WHERE queue = ?", string(q))
	}
}

// writeQueue keeps the queue of a destination in step with it: a new one that is
// delivered to begins at the end of the log, or where it says; of one that is dropped
// nothing is left.
func (w *writer) writeQueue(name string, d *order.Destination, shards int, end int64, now time.Time) error {
	queue, at := order.QueueName(name), now.UnixMilli()
	switch {
	case d == nil:
		w.dropQueue(queue)
		w.dropQueue(order.ReplayOf(name))
		w.do("DELETE FROM dead WHERE queue = ?", name)
		w.do("DELETE FROM attempt WHERE queue = ?", name)
	case !d.Wait:
		start := end
		if d.From != nil {
			start = min(start, max(0, *d.From))
		}
		w.openQueue(order.Queue{Name: queue, Epoch: now.UnixNano(), Start: start}, shards)
	}
	if d == nil || d.OnDead == order.OnDeadHold {
		return w.err
	}
	for _, q := range []order.QueueName{queue, order.ReplayOf(name)} { // what was held goes on
		w.do(buryFirst+isHeld+" ON CONFLICT DO NOTHING", name, "", at, string(q))
		w.do(passFirst+isHeld, at, string(q))
	}
	return w.err
}

// openQueue gives a new queue its cursors.
func (w *writer) openQueue(q order.Queue, shards int) {
	for shard := range shards {
		w.do(insertCursor, string(q.Name), shard, q.Epoch, q.Start, q.Start, q.UpTo)
	}
}

// What is deleted of a log that is pruned: events up to a place, unless they were settled
// later; and orders that have ended, are old, and have no events any more.
var (
	pruneEvents = "DELETE FROM event WHERE seq <= ? AND coalesce(place, event.seq) < ?"
	nothingLeft = "updated_at < ? AND locks = '" + noLocks + "' AND CASE WHEN platform = '" + order.Suning + "' THEN stage IN (" + listed(order.Ended(order.Suning)) + ") ELSE stage IN (" + listed(order.Ended(order.Taobao)) + ") END AND NOT EXISTS (SELECT 1 FROM event WHERE order_id = orders.id)"
)

// listed lists stages as a statement does.
func listed(states []order.State) string {
	texts := make([]string, len(states))
	for i, state := range states {
		texts[i] = "'" + string(state) + "'"
	}
	return strings.Join(texts, ", ")
}

// owedFrom is the first place that somebody may be owed, of a log that has an end.
func owedFrom(c conn, end int64) (bound int64, err error) {
	bound = end
	err = c.query(`SELECT min(bound) FROM (
		SELECT min(seq) + 1 AS bound FROM cursor UNION ALL
		SELECT min(first_seq) FROM blocked UNION ALL
		SELECT min(seq) FROM dead WHERE next_at IS NOT NULL UNION ALL
		SELECT min(+seq) FROM event WHERE asked = 1) AS bounds`, func(row record) error {
		if !row.Null(0) {
			bound = min(bound, row.Int(0))
		}
		return nil
	})
	return bound, err
}

// forgetDeliveries deletes what is left of deliveries of events that are no more.
func (w *writer) forgetDeliveries(upTo int64) {
	w.do("DELETE FROM dead WHERE seq <= ? AND queue IN (SELECT queue FROM cursor)", upTo)
	w.do("DELETE FROM attempt WHERE seq <= ? AND queue IN (SELECT queue FROM cursor)", upTo)
}

// skippedReason is why a delivery is dead that a person gave up, behind what failed.
const skippedReason = "given up by hand; "

func (w *writer) writeRetry(r order.Retry) error {
	queue, destination, at := string(r.Queue), r.Queue.Destination(), r.At.UnixMilli()
	for _, seq := range r.Seqs {
		if r.Skip {
			w.do(buryFirst+isFirst+" ON CONFLICT DO NOTHING", destination, skippedReason, at, queue, seq)
			w.do(passFirst+isFirst, at, queue, seq)
			w.do("UPDATE dead SET next_at = NULL, reason = CAST(? AS TEXT) || reason WHERE queue = ? AND seq = ? AND next_at IS NOT NULL", skippedReason, destination, seq)
			continue
		}
		w.do("UPDATE blocked SET attempts = 0, held = 0, next_at = ? WHERE queue = ? AND first_seq = ?", at, queue, seq)
		w.do("UPDATE dead SET attempts = 0, next_at = ? WHERE queue = ? AND seq = ?", at, destination, seq)
	}
	return w.err
}

// writeReplay opens the queue of a replay of a log that has an end.
func (w *writer) writeReplay(q order.Queue, shards int, end int64) error {
	if end == 0 {
		return nil // there is nothing to replay
	}
	if q.UpTo == 0 {
		q.UpTo = end
	}
	q.UpTo = min(q.UpTo, end)
	w.openQueue(q, shards)
	return w.err
}
