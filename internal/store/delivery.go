package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// Head implements [order.Deliveries].
func (l *ledger) Head(ctx context.Context) (head int64, err error) {
	if l.end != nil {
		return l.end(ctx, 0)
	}
	return head, l.readLog(ctx, l.head, func(row record) error {
		head = row.Int(0)
		return nil
	})
}

// readLog runs a query of those who deliver.
func (l *ledger) readLog(ctx context.Context, text string, row func(record) error, args ...any) error {
	return l.read(ctx, forLog, func(c conn) error { return c.query(text, row, args...) })
}

// SeqAt implements [order.Deliveries]. Times of the log ascend, but for those of calls
// that were accepted at the same time: that is near enough for a replay, if what is
// sought is sought a little earlier.
func (l *ledger) SeqAt(ctx context.Context, at time.Time) (seq int64, err error) {
	low, high := int64(0), int64(0)
	if high, err = l.Head(ctx); err != nil {
		return 0, err
	}
	limit := at.Add(-seqSlack).UnixMilli()
	for low < high { // low is older, or 0; what follows high is not
		middle := low + (high-low+1)/2
		place, older := int64(0), false
		err := l.readLog(ctx, "SELECT seq, at FROM event WHERE seq <= ? ORDER BY seq DESC LIMIT 1", func(row record) error {
			place, older = row.Int(0), row.Int(1) < limit
			return nil
		}, middle)
		switch {
		case err != nil:
			return 0, err
		case place <= low: // nothing between
			low = middle
		case older:
			low = middle
		default:
			high = place - 1
		}
	}
	if seq, err = l.Head(ctx); err != nil { // if everything is older
		return 0, err
	}
	return seq, l.readLog(ctx, "SELECT seq FROM event WHERE seq > ? AND at >= ? ORDER BY seq LIMIT 1", func(row record) error {
		seq = row.Int(0) - 1
		return nil
	}, low, at.UnixMilli())
}

// seqSlack is how far times of neighbours in the log may be out of order: a call waits
// for a merchant no longer.
const seqSlack = 2 * order.MaxTimeout

// Done implements [order.Deliveries].
func (l *ledger) Done(ctx context.Context, q order.QueueName) (places []int64, err error) {
	return places, l.readLog(ctx, "SELECT seq FROM done WHERE queue = ? ORDER BY seq", func(row record) error {
		places = append(places, row.Int(0))
		return nil
	}, string(q))
}

// Blocked implements [order.Deliveries].
func (l *ledger) Blocked(ctx context.Context, q order.QueueShards) (lanes int, err error) {
	return lanes, l.readLog(ctx, "SELECT count(*) FROM blocked WHERE queue = ?"+inShards, func(row record) error {
		lanes = int(row.Int(0))
		return nil
	}, string(q.Name), int64(q.Shards))
}

// BlockedOf implements [order.Deliveries].
func (l *ledger) BlockedOf(ctx context.Context, q order.QueueName, lanes []order.Lane) (map[order.Lane]int64, error) {
	list, err := json.Marshal(lanes)
	if err != nil {
		return nil, err
	}
	blocked := map[order.Lane]int64{}
	return blocked, l.readLog(ctx, "SELECT lane, first_seq FROM blocked WHERE queue = ? AND lane IN ("+l.each+")", func(row record) error {
		blocked[order.Lane(row.Int(0))] = row.Int(1)
		return nil
	}, string(q), string(list))
}

// Due implements [order.Deliveries].
func (l *ledger) Due(ctx context.Context, q order.QueueShards, now time.Time, limit int) (blocked []order.Blocked, dead []order.Dead, next time.Time, err error) {
	err = l.read(ctx, forLog, func(c conn) error {
		err := c.query("SELECT lane, first_seq, attempts, next_at, shard FROM blocked WHERE queue = ? AND next_at <= ?"+inShards+" ORDER BY next_at LIMIT ?", func(row record) error {
			blocked = append(blocked, order.Blocked{Lane: order.Lane(row.Int(0)), Seq: row.Int(1), Attempts: int(row.Int(2)), NextAt: scanTime(row, 3), Shard: int(row.Int(4))})
			return nil
		}, string(q.Name), now.UnixMilli(), int64(q.Shards), limit)
		if err != nil {
			return err
		}
		if !q.Name.Replay() {
			err = c.query("SELECT seq, lane, attempts, next_at, reason, shard FROM dead WHERE queue = ? AND next_at <= ?"+inShards+" AND NOT EXISTS (SELECT 1 FROM dead AS earlier"+l.indexed("dead_retried")+" WHERE earlier.queue = dead.queue AND earlier.lane = dead.lane AND earlier.seq < dead.seq AND earlier.next_at IS NOT NULL) ORDER BY next_at LIMIT ?", func(row record) error {
				dead = append(dead, order.Dead{Seq: row.Int(0), Lane: order.Lane(row.Int(1)), Attempts: int(row.Int(2)), NextAt: scanTime(row, 3), Reason: row.Text(4), Shard: int(row.Int(5))})
				return nil
			}, string(q.Name), now.UnixMilli(), int64(q.Shards), limit)
		}
		if err != nil {
			return err
		}
		return c.query("SELECT min(next_at) FROM (SELECT min(next_at) AS next_at FROM blocked WHERE queue = ? AND next_at > ?"+inShards+" UNION ALL SELECT min(next_at) FROM dead WHERE queue = ? AND next_at > ?"+inShards+") AS times", func(row record) error {
			next = scanTime(row, 0)
			return nil
		}, string(q.Name), now.UnixMilli(), int64(q.Shards), string(q.Name), now.UnixMilli(), int64(q.Shards))
	})
	return blocked, dead, next, err
}

// inShards selects rows of some parts.
const inShards = " AND (CAST(? AS BIGINT) >> shard) & 1 = 1"

// isAlert is order.IsAlert, for a statement.
const isAlert = "event.api >= '" + order.AlertPrefix + "' AND event.api < 'ordergate.alert/'"

// laneColumn computes what scanLane does.
var laneColumn = "CASE WHEN " + isAlert + " THEN " + laneOf("coalesce(place, event.seq)", order.EventLane) + " WHEN event.order_id IS NOT NULL THEN " + laneOf("event.order_id", order.OrderLane) +
	" WHEN event.work_order_id IS NOT NULL THEN " + laneOf("event.work_order_id", order.WorkOrderLane) +
	" ELSE " + laneOf("coalesce(place, event.seq)", order.EventLane) + " END"

// laneOf writes what order computes, for a column.
func laneOf(column string, lane func(int64) order.Lane) string {
	return fmt.Sprintf("%s * %d + %d", column, lane(1)-lane(0), lane(0))
}

func scanLane(row record, api string, orderID, workOrder int, seq int64) order.Lane {
	if order.IsAlert(api) {
		return order.EventLane(seq)
	}
	if id := row.Int(orderID); id != 0 {
		return order.OrderLane(id)
	}
	if id := row.Int(workOrder); id != 0 {
		return order.WorkOrderLane(id)
	}
	return order.EventLane(seq)
}

// lane is how the events of a lane are found.
func (w *where) lane(l order.Lane, place string) {
	w.add(l.Order() != 0, "event.order_id = ? AND NOT ("+isAlert+")", l.Order())
	w.add(l.WorkOrder() != 0, "event.work_order_id = ? AND event.order_id IS NULL", l.WorkOrder())
	w.add(l.Event() != 0, place+" = ?", l.Event())
}

// Delivered implements [order.Deliveries].
func (l *ledger) Delivered(ctx context.Context, f order.DeliveryFilter) (page []order.Delivery, more bool, err error) {
	var lists [2][]order.Delivery
	var further [2]bool
	for i := range halves {
		i = len(halves) - 1 - i // places first: they may bound the other
		if lists[i], further[i], err = l.readDeliveries(ctx, f, halves[i]); err != nil {
			return nil, false, err
		}
		if further[i] {
			f.UpTo = lists[i][len(lists[i])-1].Event.Place
		}
	}
	page, more = inOrder(lists, further, f.Limit, func(d order.Delivery) int64 { return d.Event.Place })
	return page, more, l.readAttempts(ctx, page)
}

// readDeliveries reads deliveries of the events that are delivered from a column's place.
func (l *ledger) readDeliveries(ctx context.Context, f order.DeliveryFilter, place string) ([]order.Delivery, bool, error) {
	queue, destination := string(f.Queue), f.Queue.Destination()
	cursor := func(column string) string {
		return "(SELECT " + column + " FROM cursor WHERE queue = ? AND shard = " + l.shardOf(laneColumn) + ")"
	}
	var w where
	w.add(place == halves[0], "asked IS NULL")
	w.add(true, place+" > ?", f.After)
	w.add(f.UpTo > 0, place+" <= ?", f.UpTo)
	w.lane(f.Lane, place)
	if len(f.States) > 0 {
		w.add(true, place+" IN (SELECT first_seq FROM blocked WHERE queue = ? UNION SELECT seq FROM dead WHERE queue = ?)", queue, destination)
		w.add(true, "("+stateColumn+") IN ("+marks(len(f.States))+")", texts(f.States)...)
	} else {
		w.add(!f.Queue.Replay(), "("+place+" > "+cursor("start")+" OR dead.seq IS NOT NULL)", queue) // a replay may have left it
		w.add(f.Queue.Replay(), place+" > "+cursor("start")+" AND "+place+" <= "+cursor("up_to"), queue, queue)
	}
	text := "SELECT " + eventColumns + ", dead.reason, dead.attempts, dead.next_at, blocked.first_seq, blocked.attempts, blocked.next_at, blocked.held, blocked.reason, done.seq IS NOT NULL OR " + place + " <= " + cursor("seq") +
		" FROM event LEFT JOIN dead ON dead.queue = ? AND dead.seq = " + place + " LEFT JOIN blocked ON blocked.queue = ? AND blocked.lane IN (" + laneColumn + ", " + laneOf(place, order.EventLane) + ") LEFT JOIN done ON done.queue = ? AND done.seq = " + place +
		eventJoins + w.text() + " ORDER BY " + place
	args := append([]any{queue, destination, queue, queue}, w.args...)
	page, more, err := readPage(ctx, l, forLists, text, args, f.Limit, maxPage, eventSize, func(row record) (order.Delivery, error) {
		e, err := l.scanEvent(row, false)
		if err != nil {
			return order.Delivery{}, err
		}
		return scanDelivery(row, f.Queue, e), nil
	})
	return onceEach(page), more, err
}

// onceEach leaves one delivery of each event: of two rows that block it, in its order and
// by itself, the one that it is the first of says more.
func onceEach(page []order.Delivery) []order.Delivery {
	kept := page[:0]
	for _, d := range page {
		if n := len(kept); n > 0 && kept[n-1].Event.Place == d.Event.Place {
			if kept[n-1].State == order.DeliveryPending {
				kept[n-1] = d
			}
			continue
		}
		kept = append(kept, d)
	}
	return kept
}

// stateColumn computes the states that have rows of their own, as scanDelivery does.
const stateColumn = "CASE WHEN blocked.first_seq = coalesce(place, event.seq) THEN CASE WHEN blocked.held = 1 THEN 'held' ELSE 'retrying' END WHEN dead.next_at IS NOT NULL THEN 'retrying' WHEN dead.seq IS NOT NULL THEN 'dead' END"

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

func texts[T ~string](list []T) []any {
	args := make([]any, len(list))
	for i, text := range list {
		args[i] = string(text)
	}
	return args
}

// scanDelivery derives how far the delivery of an event has come.
func scanDelivery(row record, q order.QueueName, e *order.Event) order.Delivery {
	const first = eventColumnCount
	d := order.Delivery{Queue: q, Event: e, State: order.DeliveryPending}
	blockedAt, isBlocked := row.Int(first+3), !row.Null(first+3)
	switch {
	case isBlocked && blockedAt == e.Place:
		d.State, d.Attempts, d.NextAt, d.Reason = order.DeliveryRetrying, int(row.Int(first+4)), scanTime(row, first+5), row.Text(first+7)
		if row.Int(first+6) != 0 {
			d.State = order.DeliveryHeld
		}
	case !row.Null(first):
		d.State, d.Reason, d.Attempts, d.NextAt = order.DeliveryDead, row.Text(first), int(row.Int(first+1)), scanTime(row, first+2)
		if !d.NextAt.IsZero() {
			d.State = order.DeliveryRetrying
		}
	case isBlocked && blockedAt < e.Place: // behind another
	case row.Int(first+8) != 0:
		d.State = order.DeliveryDone
	}
	return d
}

func (l *ledger) readAttempts(ctx context.Context, page []order.Delivery) error {
	return l.read(ctx, forLists, func(c conn) error {
		for i := range page {
			d := &page[i]
			err := c.query("SELECT at, status, latency_us, body FROM attempt WHERE queue = ? AND seq = ? ORDER BY n", func(row record) error {
				d.Last = append(d.Last, order.Attempt{Seq: d.Event.Place, At: scanTime(row, 0), Status: int(row.Int(1)), Latency: time.Duration(row.Int(2)) * time.Microsecond, Body: row.Text(3)})
				return nil
			}, d.Queue.Destination(), d.Event.Place)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Owing implements [order.Deliveries].
func (l *ledger) Owing(ctx context.Context) (owing []order.Owing, err error) {
	head, err := l.Head(ctx)
	if err != nil {
		return nil, err
	}
	return owing, l.read(ctx, forLists, func(c conn) error {
		return c.query(`SELECT queue, min(seq),
			(SELECT count(*) FROM blocked WHERE blocked.queue = cursor.queue AND held = 0) + (SELECT count(*) FROM dead WHERE dead.queue = cursor.queue AND next_at IS NOT NULL),
			(SELECT count(*) FROM blocked WHERE blocked.queue = cursor.queue AND held = 1),
			(SELECT count(*) FROM dead WHERE dead.queue = cursor.queue AND next_at IS NULL)
			FROM cursor WHERE queue NOT LIKE '%/%' GROUP BY queue ORDER BY queue`, func(row record) error {
			owing = append(owing, order.Owing{Destination: row.Text(0), Lag: max(0, head-row.Int(1)), Retrying: int(row.Int(2)), Held: int(row.Int(3)), Dead: int(row.Int(4))})
			return nil
		})
	})
}

const countTotals = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM orders), (SELECT count(*) FROM work_order)"

// Totals implements [order.Deliveries].
func (l *ledger) Totals(ctx context.Context) (t order.Totals, err error) {
	err = l.read(ctx, forLists, func(c conn) error {
		return c.query(countTotals, func(row record) error {
			t = order.Totals{Events: row.Int(0), Orders: row.Int(1), WorkOrders: row.Int(2)}
			return nil
		})
	})
	return t, err
}
