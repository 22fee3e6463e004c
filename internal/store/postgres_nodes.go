package store

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ordergate/ordergate/internal/order"
)

// A node says every second that it is there. When it has not for longer than its lease,
// others take over what it delivered; it stops by itself a little earlier. With the second
// after which others look, that is within ten seconds.
const (
	beatEvery   = time.Second
	lease       = 6 * time.Second
	leaseMargin = time.Second
)

// nodes is what a node knows of those that share the database.
type nodes struct {
	id      string
	readers *pgPools
	clock   func() time.Time

	holds atomic.Pointer[time.Time] // until when nobody else takes over; nil: that is not known

	mu    sync.Mutex
	index int // among those that are there
	count int
}

// beat says that this node is there, and sees who else is. Times are the database's.
func (n *nodes) beat(ctx context.Context, c *pgx.Conn) error {
	began := n.clock()
	var b pgx.Batch
	b.Queue("INSERT INTO node (id, until) VALUES ($1, now() + make_interval(secs => $2)) ON CONFLICT (id) DO UPDATE SET until = excluded.until", n.id, lease.Seconds())
	b.Queue("DELETE FROM node WHERE until < now() - interval '1 hour'")
	b.Queue("SELECT count(*), count(*) FILTER (WHERE id < $1) FROM node WHERE until > now()", n.id)
	results := c.SendBatch(ctx, &b)
	_, err := results.Exec()
	if err == nil {
		_, err = results.Exec()
	}
	var count, index int
	if err == nil {
		err = results.QueryRow().Scan(&count, &index)
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.index, n.count = index, max(1, count)
	n.mu.Unlock()
	until := began.Add(lease - leaseMargin)
	n.holds.Store(&until)
	return nil
}

// leave says that this node is gone.
func (n *nodes) leave(ctx context.Context) {
	n.holds.Store(nil)
	_ = n.readers.read(ctx, forLog, func(c conn) error { // else its lease ends
		for _, text := range []string{"UPDATE cursor SET owner = NULL WHERE owner = ?", "DELETE FROM demand WHERE node = ?", "DELETE FROM role WHERE node = ?", "DELETE FROM node WHERE id = ?"} {
			if _, err := c.exec(text, n.id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Holds implements [order.Deliveries].
func (n *nodes) Holds() bool {
	until := n.holds.Load()
	return until != nil && n.clock().Before(*until)
}

func (n *nodes) position() (index, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.index, max(1, n.count)
}

// Share implements [order.Peers].
func (n *nodes) Share() order.Share {
	index, count := n.position()
	return order.Share{From: index, To: index + 1, Of: count}
}

// Shares implements [order.Peers]: of each app's limits a node has what its share of the
// calls of late was, so that limits hold however calls are spread. Each has a little of
// what it was not asked for.
func (n *nodes) Shares(ctx context.Context, calls map[string]int64) (shares map[string]float64, err error) {
	apps, numbers := make([]string, 0, len(calls)), make([]int64, 0, len(calls))
	for app, count := range calls {
		apps, numbers = append(apps, toText(app)), append(numbers, count)
	}
	_, count := n.position()
	shares = map[string]float64{}
	err = n.readers.read(ctx, forLog, func(c conn) error {
		_, err := c.exec("INSERT INTO demand (node, app, calls, until) SELECT ?1, app, calls, now() + interval '5 seconds' FROM unnest(?2::text[], ?3::bigint[]) AS given (app, calls) ORDER BY app ON CONFLICT (node, app) DO UPDATE SET calls = excluded.calls, until = excluded.until", n.id, apps, numbers)
		if err != nil {
			return err
		}
		if _, err := c.exec("DELETE FROM demand WHERE node = ? AND app <> ALL (?::text[])", n.id, apps); err != nil {
			return err
		}
		return c.query("SELECT app, sum(calls)::bigint, coalesce(sum(calls) FILTER (WHERE node = ?), 0)::bigint FROM demand WHERE until > now() GROUP BY app", func(row record) error {
			all, mine := float64(row.Int(1)), float64(row.Int(2))
			shares[row.Text(0)] = (mine + leastDemand/float64(count)) / (all + leastDemand)
			return nil
		}, n.id)
	})
	return shares, err
}

// leastDemand is how many calls all nodes together are taken to be asked for besides.
const leastDemand = 1

// roleLease is how long a node does what one of them does, unless it asks again.
const roleLease = 10 * time.Second

// Lead implements [order.Peers].
func (n *nodes) Lead(ctx context.Context, role string) (leads bool, err error) {
	return leads, n.readers.read(ctx, forLog, func(c conn) error {
		changed, err := c.exec("INSERT INTO role (name, node, until) VALUES (?1, ?2, now() + make_interval(secs => ?3)) ON CONFLICT (name) DO UPDATE SET node = excluded.node, until = excluded.until WHERE role.node = excluded.node OR role.until < now()", role, n.id, roleLease.Seconds())
		leads = changed > 0
		return err
	})
}

// shardOfLane computes order.Lane.Shard of a lane.
func shardOfLane(lane string) string { return "(" + lane + ") / 4 % 16" }

const queueColumns = "queue, shard, epoch, start, seq, up_to, coalesce(owner, '')"

// Queues implements [order.Deliveries].
func (s *postgresStore) Queues(ctx context.Context) ([]order.Queue, error) {
	queues, err := s.readQueues(ctx, "", nil)
	if err != nil {
		return nil, err
	}
	for i := range queues {
		queues[i].First = queues[i].Seq() + 1
	}
	return queues, s.readLog(ctx, "SELECT queue, min(first_seq) FROM blocked GROUP BY queue", func(row record) error {
		for i := range queues {
			if string(queues[i].Name) == row.Text(0) {
				queues[i].First = min(queues[i].First, row.Int(1))
			}
		}
		return nil
	})
}

// readQueues reads queues with the parts that an owner has; none: all.
func (s *postgresStore) readQueues(ctx context.Context, owner string, mine func(order.QueueName, int) bool) (queues []order.Queue, err error) {
	return queues, s.read(ctx, forLog, func(c conn) error {
		err := c.query("SELECT "+queueColumns+" FROM cursor WHERE ?1 = '' OR owner = ?1 ORDER BY queue, shard", func(row record) error {
			name, shard := order.QueueName(row.Text(0)), int(row.Int(1))
			if n := len(queues); n == 0 || queues[n-1].Name != name {
				queues = append(queues, order.Queue{Name: name, Epoch: row.Int(2), Start: row.Int(3), UpTo: row.Int(5)})
			}
			q := &queues[len(queues)-1]
			q.Shards |= 1 << shard
			q.Seqs[shard] = row.Int(4)
			if mine != nil && !mine(name, shard) {
				q.Leaving |= 1 << shard
			}
			return nil
		}, owner)
		return err
	})
}

// Claim implements [order.Deliveries]. Parts are dealt to the nodes in turn. A destination
// that takes fewer deliveries at a time than there are parts is one node's, so that what
// it takes at a time is kept. A replay stays with the queue that it goes beside.
func (s *postgresStore) Claim(ctx context.Context) ([]order.Queue, error) {
	destinations, err := s.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	index, count := s.position()
	mine := func(name order.QueueName, shard int) bool {
		i := slices.IndexFunc(destinations, func(d *order.Destination) bool { return d.Name == name.Destination() })
		if i >= 0 && destinations[i].InFlight() < order.ShardCount {
			h := fnv.New32a()
			_, _ = h.Write([]byte(name.Destination()))
			return int(h.Sum32())%count == index
		}
		return shard%count == index
	}
	if s.Holds() {
		if err := s.take(ctx, mine); err != nil {
			return nil, err
		}
	}
	queues, err := s.readQueues(ctx, s.id, mine)
	for i := range queues {
		queues[i].Share = dealt(index, count)
		if j := slices.IndexFunc(destinations, func(d *order.Destination) bool { return d.Name == queues[i].Name.Destination() }); j >= 0 && destinations[j].InFlight() < order.ShardCount {
			queues[i].Share = order.Whole
		}
	}
	return queues, err
}

// dealt is the share of a node whose parts are dealt in turn.
func dealt(index, count int) order.Share {
	before := func(nodes int) (parts int) { // that the first nodes have
		for i := range min(nodes, count) {
			parts += (order.ShardCount - i + count - 1) / count
		}
		return parts
	}
	return order.Share{From: before(index), To: before(index + 1), Of: order.ShardCount}
}

// take makes parts this node's that are its to deliver and nobody's.
func (s *postgresStore) take(ctx context.Context, mine func(order.QueueName, int) bool) error {
	const nobodys = "(owner IS NULL OR owner NOT IN (SELECT id FROM node WHERE until > now()))"
	type part struct {
		Queue string `json:"queue"`
		Shard int    `json:"shard"`
	}
	var free []part
	return s.read(ctx, forLog, func(c conn) error {
		err := c.query("SELECT queue, shard FROM cursor WHERE "+nobodys, func(row record) error {
			if p := (part{row.Text(0), int(row.Int(1))}); mine(order.QueueName(p.Queue), p.Shard) {
				free = append(free, p)
			}
			return nil
		})
		if err != nil || len(free) == 0 {
			return err
		}
		list, err := json.Marshal(free)
		if err != nil {
			return err
		}
		for _, kind := range []string{"queue NOT LIKE '%/%'", "queue LIKE '%/%' AND EXISTS (SELECT 1 FROM cursor AS main WHERE main.queue = split_part(cursor.queue, '/', 1) AND main.shard = cursor.shard AND main.owner = ?1)"} {
			_, err := c.exec("UPDATE cursor SET owner = ?1 WHERE (queue, shard) IN (SELECT queue, shard FROM cursor WHERE (queue, shard) IN (SELECT queue, shard FROM json_to_recordset(CAST(?2 AS json)) AS free (queue text, shard integer)) AND "+nobodys+" AND "+kind+" AND EXISTS (SELECT 1 FROM node WHERE id = ?1 AND until > now()) FOR UPDATE SKIP LOCKED)", s.id, string(list))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// countable is how many events are counted; the number of more is estimated, from what the
// server knows of each partition.
const countable = 1_000_000

// Totals implements [order.Deliveries].
func (s *postgresStore) Totals(ctx context.Context) (t order.Totals, err error) {
	return t, s.read(ctx, forLists, func(c conn) error {
		first := int64(0)
		err := c.query("SELECT coalesce(min(lower), 0) FROM log_part", func(row record) error {
			first = row.Int(0)
			return nil
		})
		if err != nil {
			return err
		}
		text := s.totals
		if s.watch.end.Load()-first > countable {
			text = estimatedTotals
		}
		return c.query(text, func(row record) error {
			t = order.Totals{Events: row.Int(0), Orders: row.Int(1), WorkOrders: row.Int(2)}
			return nil
		})
	})
}

// estimatedTotals takes the number of rows of a partition that has not been analyzed for
// that of its places.
const estimatedTotals = "SELECT (SELECT coalesce(sum(CASE WHEN reltuples >= 0 THEN reltuples::bigint ELSE least(upper, (" + lastDrawn + ") + 1) - lower END), 0)::bigint FROM log_part JOIN pg_class ON pg_class.oid = to_regclass(name)), (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'orders'::regclass), (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'work_order'::regclass)"

// Release implements [order.Deliveries].
func (s *postgresStore) Release(ctx context.Context, q order.QueueName, shards order.Shards) error {
	return s.read(ctx, forLog, func(c conn) error {
		_, err := c.exec("UPDATE cursor SET owner = NULL WHERE queue = ? AND owner = ?"+inShards, string(q), s.id, int64(shards))
		return err
	})
}
