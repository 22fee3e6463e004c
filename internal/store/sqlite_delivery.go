package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/ordergate/ordergate/internal/order"
)

// The only shard of SQLite: one process delivers everything.
const shard = 0

const (
	moveCursor = "UPDATE cursor SET seq = max(seq, ?) WHERE queue = ? AND shard = ? AND epoch = ?"
	trimDone   = "DELETE FROM done WHERE queue = ? AND seq <= ?"
	insertDone = "INSERT INTO done (queue, seq) VALUES (?, ?) ON CONFLICT DO NOTHING"
	freeLane   = "DELETE FROM blocked WHERE queue = ? AND lane = ?"
	blockLane  = "INSERT INTO blocked (queue, lane, first_seq, attempts, next_at, held, reason) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET first_seq = excluded.first_seq, attempts = excluded.attempts, next_at = excluded.next_at, held = excluded.held, reason = excluded.reason WHERE blocked.first_seq <= excluded.first_seq"
	revive     = "DELETE FROM dead WHERE queue = ? AND seq = ?"
	bury       = "INSERT INTO dead (queue, seq, lane, reason, at, attempts, next_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET reason = excluded.reason, at = excluded.at, attempts = excluded.attempts, next_at = excluded.next_at"

	forgetAttempts = "DELETE FROM attempt WHERE queue = ? AND seq = ?"
	insertAttempt  = "INSERT INTO attempt (queue, seq, n, at, status, latency_us, body) VALUES (?1, ?2, (SELECT coalesce(max(n), 0) + 1 FROM attempt WHERE queue = ?1 AND seq = ?2), ?3, ?4, ?5, ?6)"
	trimAttempts   = "DELETE FROM attempt WHERE queue = ?1 AND seq = ?2 AND n <= (SELECT max(n) FROM attempt WHERE queue = ?1 AND seq = ?2) - ?3"

	insertCursor = "INSERT INTO cursor (queue, shard, epoch, start, seq, up_to) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

// writeProgress stores what changed in a queue. Of one that is gone meanwhile, or that
// another of its name replaced, nothing is stored.
func (s *sqliteStore) writeProgress(p order.Progress) error {
	queue, destination := string(p.Queue), p.Queue.Destination()
	if err := exec(s.write, moveCursor, p.Seq, queue, shard, p.Epoch); err != nil {
		return err
	}
	if s.write.Changes() == 0 {
		return nil
	}
	w := writer{conn: s.write}
	w.exec(trimDone, queue, p.Seq)
	for _, seq := range p.Done {
		w.exec(insertDone, queue, seq)
	}
	for _, lane := range p.Freed {
		w.exec(freeLane, queue, int64(lane))
	}
	for _, b := range p.Blocked {
		w.exec(blockLane, queue, int64(b.Lane), b.Seq, b.Attempts, millis(b.NextAt), flag(b.Held), b.Reason)
	}
	for _, seq := range p.Revived {
		w.exec(revive, destination, seq)
	}
	for _, d := range p.Dead {
		w.exec(bury, destination, d.Seq, int64(d.Lane), d.Reason, millis(d.At), d.Attempts, millis(d.NextAt))
	}
	for _, seq := range p.Forget {
		w.exec(forgetAttempts, destination, seq)
	}
	for _, a := range p.Attempts {
		w.exec(insertAttempt, destination, a.Seq, millis(a.At), a.Status, a.Latency.Microseconds(), a.Body)
		w.exec(trimAttempts, destination, a.Seq, order.KeptAttempts)
	}
	if p.End {
		w.dropQueue(p.Queue)
	}
	return w.err
}

// writer runs statements until one fails.
type writer struct {
	conn *sqlite.Conn
	err  error
}

func (w *writer) exec(text string, args ...any) {
	if w.err == nil {
		w.err = exec(w.conn, text, args...)
	}
}

func (w *writer) dropQueue(q order.QueueName) {
	for _, table := range []string{"cursor", "done", "blocked"} {
		w.exec("DELETE FROM "+table+" WHERE queue = ?", string(q))
	}
}

func flag(is bool) int {
	if is {
		return 1
	}
	return 0
}

// writeQueue keeps the queue of a destination in step with it: a new one that is
// delivered to begins at the end of the log, or where it says; of one that is dropped
// nothing is left.
func (s *sqliteStore) writeQueue(name string, d *order.Destination, now time.Time) error {
	w := writer{conn: s.write}
	queue := order.QueueName(name)
	switch {
	case d == nil:
		w.dropQueue(queue)
		w.dropQueue(order.ReplayOf(name))
		w.exec("DELETE FROM dead WHERE queue = ?", name)
		w.exec("DELETE FROM attempt WHERE queue = ?", name)
	case !d.Wait:
		start := s.nextID.event - 1
		if d.From != nil {
			start = min(start, max(0, *d.From))
		}
		w.exec(insertCursor, name, shard, now.UnixNano(), start, start, 0)
	}
	if d == nil || d.OnDead == order.OnDeadHold {
		return w.err
	}
	for _, q := range []order.QueueName{queue, order.ReplayOf(name)} { // what was held goes on
		w.exec("INSERT INTO dead (queue, seq, lane, reason, at, attempts, next_at) SELECT ?, first_seq, lane, reason, ?, attempts, NULL FROM blocked WHERE queue = ? AND held = 1 ON CONFLICT DO NOTHING", name, millis(now), string(q))
		w.exec("UPDATE blocked SET first_seq = first_seq + 1, attempts = 0, held = 0, next_at = ? WHERE queue = ? AND held = 1", millis(now), string(q))
	}
	return w.err
}

// skippedReason is why a delivery is dead that a person gave up, behind what failed.
const skippedReason = "given up by hand; "

func (s *sqliteStore) writeRetry(r order.Retry) error {
	w := writer{conn: s.write}
	queue, destination, at := string(r.Queue), r.Queue.Destination(), millis(r.At)
	for _, seq := range r.Seqs {
		if r.Skip {
			w.exec("INSERT INTO dead (queue, seq, lane, reason, at, attempts, next_at) SELECT ?, first_seq, lane, ? || reason, ?, attempts, NULL FROM blocked WHERE queue = ? AND first_seq = ? ON CONFLICT DO NOTHING", destination, skippedReason, at, queue, seq)
			w.exec("UPDATE blocked SET first_seq = first_seq + 1, attempts = 0, held = 0, next_at = ? WHERE queue = ? AND first_seq = ?", at, queue, seq)
			w.exec("UPDATE dead SET next_at = NULL, reason = ? || reason WHERE queue = ? AND seq = ? AND next_at IS NOT NULL", skippedReason, destination, seq)
			continue
		}
		w.exec("UPDATE blocked SET attempts = 0, held = 0, next_at = ? WHERE queue = ? AND first_seq = ?", at, queue, seq)
		w.exec("UPDATE dead SET attempts = 0, next_at = ? WHERE queue = ? AND seq = ?", at, destination, seq)
	}
	return w.err
}

func (s *sqliteStore) writeReplay(q order.Queue) error {
	if s.nextID.event == 1 {
		return nil // there is nothing to replay
	}
	if q.UpTo == 0 {
		q.UpTo = s.nextID.event - 1
	}
	return exec(s.write, insertCursor, string(q.Name), shard, q.Epoch, q.Start, q.Seq, min(q.UpTo, s.nextID.event-1))
}

// prune deletes what is old and owed to nobody. The last event stays: places in the log
// are given once.
func (s *sqliteStore) prune(p *order.Prune) error {
	p.Deleted = 0
	bound := s.nextID.event - 1
	err := query(s.write, `SELECT min(bound) FROM (
		SELECT min(seq) + 1 AS bound FROM cursor UNION ALL
		SELECT min(first_seq) FROM blocked UNION ALL
		SELECT min(seq) FROM dead WHERE next_at IS NOT NULL UNION ALL
		SELECT min(+seq) FROM event WHERE asked = 1)`, func(row *sqlite.Stmt) error {
		if !row.ColumnIsNull(0) {
			bound = min(bound, row.ColumnInt64(0))
		}
		return nil
	})
	if err != nil {
		return err
	}
	last, orders := int64(0), []int64{}
	err = query(s.write, "SELECT seq, at, order_id, coalesce(place, event.seq) FROM event WHERE seq < ? ORDER BY seq LIMIT ?", func(row *sqlite.Stmt) error {
		if row.ColumnInt64(1) >= p.Before.UnixMilli() {
			return errEnough
		}
		last = row.ColumnInt64(0)
		if row.ColumnInt64(3) >= bound { // it was settled later
			return nil
		}
		if id := row.ColumnInt64(2); id != 0 {
			orders = append(orders, id)
		}
		p.Deleted++
		return nil
	}, bound, p.Limit)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil || last == 0 {
		return err
	}
	w := writer{conn: s.write}
	w.exec("DELETE FROM event WHERE seq <= ? AND coalesce(place, event.seq) < ?", last, bound)
	w.exec("DELETE FROM dead WHERE seq <= ? AND queue IN (SELECT queue FROM cursor)", last)
	w.exec("DELETE FROM attempt WHERE seq <= ? AND queue IN (SELECT queue FROM cursor)", last)
	slices.Sort(orders)
	for _, id := range slices.Compact(orders) {
		for _, platform := range []string{order.Taobao, order.Suning} {
			w.exec("DELETE FROM orders WHERE id = ? AND (platform = ?) = ? AND updated_at < ? AND locks = '"+noLocks+"' AND stage IN ("+stages(platform)+") AND NOT EXISTS (SELECT 1 FROM event WHERE order_id = orders.id)",
				id, order.Suning, flag(platform == order.Suning), millis(p.Before))
		}
	}
	return w.err
}

// stages lists the stages of orders that have ended, for a statement.
func stages(platform string) string {
	var texts []string
	for _, state := range order.Ended(platform) {
		texts = append(texts, "'"+string(state)+"'")
	}
	return strings.Join(texts, ", ")
}

// Head implements [order.Deliveries].
func (s *sqliteStore) Head(ctx context.Context) (head int64, err error) {
	return head, s.readLog(ctx, headPlace, func(row *sqlite.Stmt) error {
		head = row.ColumnInt64(0)
		return nil
	})
}

// headPlace finds the last place of the log.
const headPlace = "SELECT max((SELECT coalesce(max(seq), 0) FROM event), (SELECT coalesce(max(place), 0) FROM event WHERE place IS NOT NULL))"

// readLog runs a query of those who deliver.
func (s *sqliteStore) readLog(ctx context.Context, text string, row func(*sqlite.Stmt) error, args ...any) error {
	return reading(ctx, s.log, func(c *sqlite.Conn) error { return query(c, text, row, args...) })
}

// SeqAt implements [order.Deliveries]. Times of the log ascend, but for those of calls
// that were accepted at the same time: that is near enough for a replay, if what is
// sought is sought a little earlier.
func (s *sqliteStore) SeqAt(ctx context.Context, at time.Time) (seq int64, err error) {
	low, high := int64(0), int64(0)
	if high, err = s.Head(ctx); err != nil {
		return 0, err
	}
	limit := at.Add(-seqSlack).UnixMilli()
	for low < high { // low is older, or 0; what follows high is not
		middle := low + (high-low+1)/2
		place, older := int64(0), false
		err := s.readLog(ctx, "SELECT seq, at FROM event WHERE seq <= ? ORDER BY seq DESC LIMIT 1", func(row *sqlite.Stmt) error {
			place, older = row.ColumnInt64(0), row.ColumnInt64(1) < limit
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
	if seq, err = s.Head(ctx); err != nil { // if everything is older
		return 0, err
	}
	return seq, s.readLog(ctx, "SELECT seq FROM event WHERE seq > ? AND at >= ? ORDER BY seq LIMIT 1", func(row *sqlite.Stmt) error {
		seq = row.ColumnInt64(0) - 1
		return nil
	}, low, at.UnixMilli())
}

// seqSlack is how far times of neighbours in the log may be out of order: a call waits
// for a merchant no longer.
const seqSlack = 2 * order.MaxTimeout

// Queues implements [order.Deliveries].
func (s *sqliteStore) Queues(ctx context.Context) (queues []order.Queue, err error) {
	return queues, s.readLog(ctx, "SELECT queue, epoch, start, seq, up_to, (SELECT count(*) FROM blocked WHERE blocked.queue = cursor.queue), coalesce((SELECT min(first_seq) FROM blocked WHERE blocked.queue = cursor.queue), seq + 1) FROM cursor WHERE shard = ? ORDER BY queue", func(row *sqlite.Stmt) error {
		queues = append(queues, order.Queue{Name: order.QueueName(row.ColumnText(0)), Epoch: row.ColumnInt64(1), Start: row.ColumnInt64(2), Seq: row.ColumnInt64(3), UpTo: row.ColumnInt64(4), Blocked: row.ColumnInt(5), First: min(row.ColumnInt64(6), row.ColumnInt64(3)+1)})
		return nil
	}, shard)
}

// Done implements [order.Deliveries].
func (s *sqliteStore) Done(ctx context.Context, q order.QueueName) (places []int64, err error) {
	return places, s.readLog(ctx, "SELECT seq FROM done WHERE queue = ? ORDER BY seq", func(row *sqlite.Stmt) error {
		places = append(places, row.ColumnInt64(0))
		return nil
	}, string(q))
}

// BlockedOf implements [order.Deliveries].
func (s *sqliteStore) BlockedOf(ctx context.Context, q order.QueueName, lanes []order.Lane) (map[order.Lane]int64, error) {
	list, err := json.Marshal(lanes)
	if err != nil {
		return nil, err
	}
	blocked := map[order.Lane]int64{}
	return blocked, s.readLog(ctx, "SELECT lane, first_seq FROM blocked WHERE queue = ? AND lane IN (SELECT value FROM json_each(?))", func(row *sqlite.Stmt) error {
		blocked[order.Lane(row.ColumnInt64(0))] = row.ColumnInt64(1)
		return nil
	}, string(q), string(list))
}

// Due implements [order.Deliveries].
func (s *sqliteStore) Due(ctx context.Context, q order.QueueName, now time.Time, limit int) (blocked []order.Blocked, dead []order.Dead, next time.Time, err error) {
	err = reading(ctx, s.log, func(c *sqlite.Conn) error {
		err := query(c, "SELECT lane, first_seq, attempts, next_at FROM blocked WHERE queue = ? AND next_at <= ? ORDER BY next_at LIMIT ?", func(row *sqlite.Stmt) error {
			blocked = append(blocked, order.Blocked{Lane: order.Lane(row.ColumnInt64(0)), Seq: row.ColumnInt64(1), Attempts: row.ColumnInt(2), NextAt: scanTime(row, 3)})
			return nil
		}, string(q), now.UnixMilli(), limit)
		if err != nil {
			return err
		}
		if !q.Replay() {
			err = query(c, "SELECT seq, lane, attempts, next_at, reason FROM dead WHERE queue = ? AND next_at <= ? AND NOT EXISTS (SELECT 1 FROM dead AS earlier INDEXED BY dead_retried WHERE earlier.queue = dead.queue AND earlier.lane = dead.lane AND earlier.seq < dead.seq AND earlier.next_at IS NOT NULL) ORDER BY next_at LIMIT ?", func(row *sqlite.Stmt) error {
				dead = append(dead, order.Dead{Seq: row.ColumnInt64(0), Lane: order.Lane(row.ColumnInt64(1)), Attempts: row.ColumnInt(2), NextAt: scanTime(row, 3), Reason: row.ColumnText(4)})
				return nil
			}, string(q), now.UnixMilli(), limit)
		}
		if err != nil {
			return err
		}
		return query(c, "SELECT min(next_at) FROM (SELECT min(next_at) AS next_at FROM blocked WHERE queue = ?1 AND next_at > ?2 UNION ALL SELECT min(next_at) FROM dead WHERE queue = ?1 AND next_at > ?2)", func(row *sqlite.Stmt) error {
			next = scanTime(row, 0)
			return nil
		}, string(q), now.UnixMilli())
	})
	return blocked, dead, next, err
}

// laneColumn computes what scanLane does.
var laneColumn = "CASE WHEN event.order_id IS NOT NULL THEN " + laneOf("event.order_id", order.OrderLane) +
	" WHEN event.work_order_id IS NOT NULL THEN " + laneOf("event.work_order_id", order.WorkOrderLane) +
	" ELSE " + laneOf("coalesce(place, event.seq)", order.EventLane) + " END"

// laneOf writes what order computes, for a column.
func laneOf(column string, lane func(int64) order.Lane) string {
	return fmt.Sprintf("%s * %d + %d", column, lane(1)-lane(0), lane(0))
}

func scanLane(row *sqlite.Stmt, orderID, workOrder int, seq int64) order.Lane {
	if id := row.ColumnInt64(orderID); id != 0 {
		return order.OrderLane(id)
	}
	if id := row.ColumnInt64(workOrder); id != 0 {
		return order.WorkOrderLane(id)
	}
	return order.EventLane(seq)
}

// lane is how the events of a lane are found.
func (w *where) lane(l order.Lane, place string) {
	w.add(l.Order() != 0, "event.order_id = ?", l.Order())
	w.add(l.WorkOrder() != 0, "event.work_order_id = ? AND event.order_id IS NULL", l.WorkOrder())
	w.add(l.Event() != 0, place+" = ?", l.Event())
}

// Delivered implements [order.Deliveries].
func (s *sqliteStore) Delivered(ctx context.Context, f order.DeliveryFilter) (page []order.Delivery, more bool, err error) {
	var lists [2][]order.Delivery
	var further [2]bool
	for i := range halves {
		i = len(halves) - 1 - i // places first: they may bound the other
		if lists[i], further[i], err = s.readDeliveries(ctx, f, halves[i]); err != nil {
			return nil, false, err
		}
		if further[i] {
			f.UpTo = lists[i][len(lists[i])-1].Event.Place
		}
	}
	page, more = inOrder(lists, further, f.Limit, func(d order.Delivery) int64 { return d.Event.Place })
	return page, more, s.readAttempts(ctx, page)
}

// readDeliveries reads deliveries of the events that are delivered from a column's place.
func (s *sqliteStore) readDeliveries(ctx context.Context, f order.DeliveryFilter, place string) ([]order.Delivery, bool, error) {
	queue, destination := string(f.Queue), f.Queue.Destination()
	cursor := func(column string) string {
		return "(SELECT " + column + " FROM cursor WHERE queue = ? AND shard = " + strconv.Itoa(shard) + ")"
	}
	var w where
	w.add(place == halves[0], "asked IS NULL")
	w.add(true, place+" > ?", f.After)
	w.add(f.UpTo > 0, place+" <= ?", f.UpTo)
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
	page, more, err := readPage(ctx, s.lists, text, args, f.Limit, maxPage, eventSize, func(row *sqlite.Stmt) (order.Delivery, error) {
		e, err := s.scanEvent(row, false)
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
func scanDelivery(row *sqlite.Stmt, q order.QueueName, e *order.Event) order.Delivery {
	const first = eventColumnCount
	d := order.Delivery{Queue: q, Event: e, State: order.DeliveryPending}
	blockedAt, isBlocked := row.ColumnInt64(first+3), !row.ColumnIsNull(first+3)
	switch {
	case isBlocked && blockedAt == e.Place:
		d.State, d.Attempts, d.NextAt, d.Reason = order.DeliveryRetrying, row.ColumnInt(first+4), scanTime(row, first+5), row.ColumnText(first+7)
		if row.ColumnBool(first + 6) {
			d.State = order.DeliveryHeld
		}
	case !row.ColumnIsNull(first):
		d.State, d.Reason, d.Attempts, d.NextAt = order.DeliveryDead, row.ColumnText(first), row.ColumnInt(first+1), scanTime(row, first+2)
		if !d.NextAt.IsZero() {
			d.State = order.DeliveryRetrying
		}
	case isBlocked && blockedAt < e.Place: // behind another
	case row.ColumnBool(first + 8):
		d.State = order.DeliveryDone
	}
	return d
}

func (s *sqliteStore) readAttempts(ctx context.Context, page []order.Delivery) error {
	return reading(ctx, s.lists, func(c *sqlite.Conn) error {
		for i := range page {
			d := &page[i]
			err := query(c, "SELECT at, status, latency_us, body FROM attempt WHERE queue = ? AND seq = ? ORDER BY n", func(row *sqlite.Stmt) error {
				d.Last = append(d.Last, order.Attempt{Seq: d.Event.Place, At: scanTime(row, 0), Status: row.ColumnInt(1), Latency: time.Duration(row.ColumnInt64(2)) * time.Microsecond, Body: row.ColumnText(3)})
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
func (s *sqliteStore) Owing(ctx context.Context) (owing []order.Owing, err error) {
	err = reading(ctx, s.lists, func(c *sqlite.Conn) error {
		return query(c, `SELECT queue, max(0, (`+headPlace+`) - seq),
			(SELECT count(*) FROM blocked WHERE blocked.queue = cursor.queue AND held = 0) + (SELECT count(*) FROM dead WHERE dead.queue = cursor.queue AND next_at IS NOT NULL),
			(SELECT count(*) FROM blocked WHERE blocked.queue = cursor.queue AND held = 1),
			(SELECT count(*) FROM dead WHERE dead.queue = cursor.queue AND next_at IS NULL)
			FROM cursor WHERE instr(queue, '/') = 0 ORDER BY queue`, func(row *sqlite.Stmt) error {
			owing = append(owing, order.Owing{Destination: row.ColumnText(0), Lag: row.ColumnInt64(1), Retrying: row.ColumnInt(2), Held: row.ColumnInt(3), Dead: row.ColumnInt(4)})
			return nil
		})
	})
	return owing, err
}

// Totals implements [order.Deliveries].
func (s *sqliteStore) Totals(ctx context.Context) (t order.Totals, err error) {
	err = reading(ctx, s.lists, func(c *sqlite.Conn) error {
		return query(c, "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM orders), (SELECT count(*) FROM work_order)", func(row *sqlite.Stmt) error {
			t = order.Totals{Events: row.ColumnInt64(0), Orders: row.ColumnInt64(1), WorkOrders: row.ColumnInt64(2)}
			return nil
		})
	})
	return t, err
}
