package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// A queue of SQLite has one cursor, which stands for all shards: one process delivers
// everything.
const (
	sqliteShards = 1
	shard        = 0
)

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
)

// Queues implements [order.Deliveries].
func (s *sqliteStore) Queues(ctx context.Context) (queues []order.Queue, err error) {
	return queues, s.readLog(ctx, "SELECT queue, epoch, start, seq, up_to, coalesce((SELECT min(first_seq) FROM blocked WHERE blocked.queue = cursor.queue), seq + 1) FROM cursor ORDER BY queue", func(row record) error {
		q := order.Queue{Name: order.QueueName(row.Text(0)), Epoch: row.Int(1), Start: row.Int(2), Shards: order.AllShards, UpTo: row.Int(4), First: min(row.Int(5), row.Int(3)+1)}
		for i := range q.Seqs {
			q.Seqs[i] = row.Int(3)
		}
		queues = append(queues, q)
		return nil
	})
}

// Claim implements [order.Deliveries].
func (s *sqliteStore) Claim(ctx context.Context) ([]order.Queue, error) { return s.Queues(ctx) }

// single implements what a process has to agree on with others: it has none.
type single struct{}

// Release implements [order.Deliveries].
func (single) Release(context.Context, order.QueueName, order.Shards) error { return nil }

// Holds implements [order.Deliveries].
func (single) Holds(int64) bool { return true }

// Share implements [order.Peers].
func (single) Share() order.Share { return order.Whole }

// Shares implements [order.Peers].
func (single) Shares(context.Context, map[string]int64) (map[string]float64, error) { return nil, nil }

// Lead implements [order.Peers].
func (single) Lead(context.Context, string) (bool, error) { return true, nil }

// writeProgress stores what changed in a queue. Of one that is gone meanwhile, or that
// another of its name replaced, nothing is stored.
func (s *sqliteStore) writeProgress(p order.Progress) error {
	queue, destination := string(p.Queue), p.Queue.Destination()
	if err := s.write.do(moveCursor, p.Seq, queue, shard, p.Epoch); err != nil {
		return err
	}
	if s.write.conn.Changes() == 0 {
		return nil
	}
	w := &writer{conn: s.write}
	w.do(trimDone, queue, p.Seq)
	for _, d := range p.Done {
		w.do(insertDone, queue, d.Seq)
	}
	for _, lane := range p.Freed {
		w.do(freeLane, queue, int64(lane))
	}
	for _, b := range p.Blocked {
		w.do(blockLane, queue, int64(b.Lane), b.Seq, b.Attempts, millis(b.NextAt), flag(b.Held), b.Reason)
	}
	for _, seq := range p.Revived {
		w.do(revive, destination, seq)
	}
	for _, d := range p.Dead {
		w.do(bury, destination, d.Seq, int64(d.Lane), d.Reason, millis(d.At), d.Attempts, millis(d.NextAt))
	}
	for _, seq := range p.Forget {
		w.do(forgetAttempts, destination, seq)
	}
	for _, a := range p.Attempts {
		w.do(insertAttempt, destination, a.Seq, millis(a.At), a.Status, a.Latency.Microseconds(), a.Body)
		w.do(trimAttempts, destination, a.Seq, order.KeptAttempts)
	}
	if p.End {
		w.dropQueue(p.Queue)
	}
	return w.err
}

// Prune implements [order.Store].
func (s *sqliteStore) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	p := &prune{before: before, limit: limit}
	err := s.submit(ctx, &unit{prune: p, done: make(chan error, 1)})
	return p.deleted, err
}

// prune deletes what is old and owed to nobody. The last event stays: places in the log
// are given once.
func (s *sqliteStore) prune(p *prune) error {
	p.deleted = 0
	bound, err := owedFrom(s.write, s.nextID.event-1)
	if err != nil {
		return err
	}
	last, orders := int64(0), []int64{}
	err = s.write.query("SELECT seq, at, order_id, coalesce(place, event.seq) FROM event WHERE seq < ? ORDER BY seq LIMIT ?", func(row record) error {
		if row.Int(1) >= p.before.UnixMilli() {
			return errEnough
		}
		last = row.Int(0)
		if row.Int(3) >= bound { // it was settled later
			return nil
		}
		if id := row.Int(2); id != 0 {
			orders = append(orders, id)
		}
		p.deleted++
		return nil
	}, bound, p.limit)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil || last == 0 {
		return err
	}
	w := &writer{conn: s.write}
	w.do(pruneEvents, last, bound)
	w.forgetDeliveries(last)
	slices.Sort(orders)
	for _, id := range slices.Compact(orders) {
		w.do("DELETE FROM orders WHERE id = ? AND "+nothingLeft, id, p.before.UnixMilli())
	}
	return w.err
}

func flag(is bool) int {
	if is {
		return 1
	}
	return 0
}
