package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// A partition of the log holds about a day of it, and is made before it is needed. Its
// least size keeps their number small when little happens, and its largest keeps one from
// outgrowing what can be dropped at a time.
const (
	leastPartition = 1 << 17
	mostPartition  = 1 << 25
	day            = 24 * time.Hour
)

// partitionLock keeps nodes from making the same partition.
const partitionLock = migrationLock + 1

// partitions is what the committer knows of them.
type partitions struct {
	mu      sync.Mutex
	upper   int64 // the first place that has none
	drawn   int64 // the last place that this node has drawn
	missing bool  // one was, meanwhile
	least   int64 // places of a partition, and
	most    int64
}

// drew notes a place that was drawn.
func (p *partitions) drew(place int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drawn = max(p.drawn, place)
}

// lack notes that a place had no partition.
func (p *partitions) lack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missing = true
}

// ahead is how many places must have a partition although nobody has drawn them.
func (p *partitions) ahead() int64 { return p.least / 2 }

// ensure makes partitions that will be needed soon.
func (p *partitions) ensure(ctx context.Context, c *pgx.Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.missing && p.drawn+p.ahead() < p.upper {
		return nil
	}
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(partitionLock)); err != nil {
			return err
		}
		var drawn, lower, upper, made int64
		if err := tx.QueryRow(ctx, lastDrawn).Scan(&drawn); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "SELECT coalesce(max(lower), 0), coalesce(max(upper), 1), coalesce(max(made_at), 0) FROM log_part").Scan(&lower, &upper, &made)
		if err != nil {
			return err
		}
		now := time.Now()
		for upper <= drawn+p.ahead() {
			size := p.least
			if age := now.Sub(time.UnixMilli(made)); made > 0 && age > 0 {
				size = min(max(size, int64(float64(drawn-lower)/float64(age)*float64(day))), p.most)
			}
			if err := makePartition(ctx, tx, upper, upper+size, now); err != nil {
				return err
			}
			lower, upper, made = upper, upper+size, now.UnixMilli()
		}
		p.upper, p.missing = upper, false
		return nil
	})
}

// makePartition makes it beside the log and then a part of it: that way nobody waits.
func makePartition(ctx context.Context, tx pgx.Tx, lower, upper int64, now time.Time) error {
	name := "event_" + strconv.FormatInt(lower, 10)
	for _, text := range []string{
		fmt.Sprintf("CREATE TABLE %s (LIKE event INCLUDING ALL)", name),
		fmt.Sprintf("ALTER TABLE event ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", name, lower, upper),
	} {
		if _, err := tx.Exec(ctx, text); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, "INSERT INTO log_part (name, lower, upper, made_at) VALUES ($1, $2, $3, $4)", name, lower, upper, now.UnixMilli())
	return err
}

// pruneOrders is how many orders one call of Prune looks at.
const pruneOrders = 10_000

// Prune implements [order.Store]. Partitions that are old as a whole are dropped; of the
// oldest one that is left, rows are deleted.
func (s *postgresStore) Prune(ctx context.Context, before time.Time, limit int) (deleted int, err error) {
	end, err := s.Head(ctx)
	if err != nil {
		return 0, err
	}
	err = s.read(ctx, forLists, func(c conn) error {
		bound, err := owedFrom(c, end)
		if err != nil {
			return err
		}
		dropped, err := s.dropPartitions(ctx, c, before, bound)
		if err != nil {
			return err
		}
		last := int64(0)
		err = c.query("SELECT seq, at FROM event WHERE seq < ? ORDER BY seq LIMIT ?", func(row record) error {
			if row.Int(1) >= before.UnixMilli() {
				return errEnough
			}
			last = row.Int(0)
			return nil
		}, bound, limit)
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		if last > 0 {
			if deleted, err = c.exec(pruneEvents, last, bound); err != nil {
				return err
			}
		}
		deleted += int(dropped)
		w := &writer{conn: c}
		if w.forgetDeliveries(max(last, s.pruned)); w.err != nil {
			return w.err
		}
		return s.dropOrders(c, before)
	})
	return deleted, err
}

// dropPartitions drops the oldest partitions, as far as all of their events are old and
// owed to nobody.
func (s *postgresStore) dropPartitions(ctx context.Context, c conn, before time.Time, bound int64) (dropped int64, err error) {
	type part struct {
		name  string
		upper int64
	}
	var parts []part
	err = c.query("SELECT name, upper FROM log_part WHERE upper <= ? ORDER BY lower", func(row record) error {
		parts = append(parts, part{row.Text(0), row.Int(1)})
		return nil
	}, bound)
	for _, p := range parts {
		if err != nil {
			return dropped, err
		}
		young, count := false, int64(0)
		err = c.query("SELECT coalesce(max(at), 0), coalesce(max(place), 0), count(*) FROM "+p.name, func(row record) error {
			young, count = row.Int(0) >= before.UnixMilli() || row.Int(1) >= bound, row.Int(2)
			return nil
		})
		if err != nil || young {
			return dropped, err
		}
		if err = s.dropPartition(ctx, c, p.name); err == nil {
			dropped += count
			s.pruned = max(s.pruned, p.upper-1)
		}
	}
	return dropped, err
}

// dropPartition takes a partition out of the log, without keeping anybody from writing for
// long, and drops it.
func (s *postgresStore) dropPartition(ctx context.Context, c conn, name string) error {
	q := c.(*pgConn).q.(interface {
		Begin(ctx context.Context) (pgx.Tx, error)
	})
	return pgx.BeginFunc(ctx, q, func(tx pgx.Tx) error {
		for _, text := range []string{
			"SET LOCAL lock_timeout = '200ms'", // writers queue behind whoever waits for this lock
			"ALTER TABLE event DETACH PARTITION " + name,
			"DROP TABLE " + name,
			"DELETE FROM log_part WHERE name = '" + name + "'",
		} {
			if _, err := tx.Exec(ctx, text); err != nil {
				return fmt.Errorf("dropping a partition: %w", err)
			}
		}
		return nil
	})
}

// dropOrders deletes orders that have ended, are old and have no events any more: it looks
// at the next of them in the order of their keys, and begins again behind the last.
func (s *postgresStore) dropOrders(c conn, before time.Time) error {
	last, seen := int64(0), 0
	err := c.query("SELECT coalesce(max(id), 0), count(*) FROM (SELECT id FROM orders WHERE id > ? ORDER BY id LIMIT ?) AS next", func(row record) error {
		last, seen = row.Int(0), int(row.Int(1))
		return nil
	}, s.looked, pruneOrders)
	if err != nil {
		return err
	}
	if _, err := c.exec("DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE id > ? AND id <= ? AND "+nothingLeft+" FOR UPDATE SKIP LOCKED)", s.looked, last, before.UnixMilli()); err != nil {
		return err
	}
	if s.looked = last; seen < pruneOrders {
		s.looked = 0
	}
	return nil
}
