package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// held is until when nobody else takes over what a node has, and under which lease. When a
// node has not been there for too long, what it had may have been another's meanwhile: then
// it has a new one.
type held struct {
	lease int64
	until time.Time
}

// nodes is what a node knows of those that share the database.
type nodes struct {
	id      string
	readers *pgPools
	clock   func() time.Time

	held atomic.Pointer[held] // nil: nothing

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
	b.Queue("DELETE FROM demand WHERE until < now() - interval '1 hour'")
	b.Queue("SELECT count(*), count(*) FILTER (WHERE id < $1) FROM node WHERE until > now()", n.id)
	results := c.SendBatch(ctx, &b)
	var err error
	for range b.Len() - 1 {
		if err == nil {
			_, err = results.Exec()
		}
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
	h := held{lease: 1, until: began.Add(lease - leaseMargin)}
	if before := n.held.Load(); before != nil {
		if h.lease = before.lease; before.until.Before(n.clock()) {
			h.lease++
		}
	}
	n.held.Store(&h)
	return nil
}

// leave says that this node is gone.
func (n *nodes) leave(ctx context.Context) {
	n.held.Store(&held{})
	_ = n.readers.read(ctx, forLog, func(c conn) error { // else its lease ends
		for _, text := range []string{freeCursors + "owner = ? ORDER BY queue, shard FOR UPDATE)", "DELETE FROM demand WHERE node = ?", "DELETE FROM role WHERE node = ?", "DELETE FROM node WHERE id = ?"} {
			if _, err := c.exec(text, n.id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Holds implements [order.Deliveries].
func (n *nodes) Holds(lease int64) bool {
	h := n.held.Load()
	return h != nil && h.lease == lease && n.clock().Before(h.until)
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
func shardOfLane(lane string) string {
	return fmt.Sprintf("(%s) / %d %% %d", lane, order.OrderLane(1)-order.OrderLane(0), order.ShardCount)
}

// Queues implements [order.Deliveries].
func (s *postgresStore) Queues(ctx context.Context) ([]order.Queue, error) {
	all, err := s.readQueues(ctx)
	if err != nil {
		return nil, err
	}
	queues := make([]order.Queue, len(all))
	for i, q := range all {
		queues[i] = q.Queue
		queues[i].First = q.Seq() + 1
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

// owned is a queue with the nodes that have its parts.
type owned struct {
	order.Queue
	owners [order.ShardCount]string
}

// by lists the parts that a node has; none: that nobody has.
func (q *owned) by(node string) (shards order.Shards) {
	for shard := range q.Shards.All() {
		if q.owners[shard] == node {
			shards |= 1 << shard
		}
	}
	return shards
}

// readQueues reads all queues. What a node has that is not there, nobody has.
func (s *postgresStore) readQueues(ctx context.Context) (queues []*owned, err error) {
	return queues, s.readLog(ctx, "SELECT queue, shard, epoch, start, seq, up_to, coalesce((SELECT id FROM node WHERE id = owner AND until > now()), '') FROM cursor ORDER BY queue, shard", func(row record) error {
		name, shard := order.QueueName(row.Text(0)), int(row.Int(1))
		if n := len(queues); n == 0 || queues[n-1].Name != name {
			queues = append(queues, &owned{Queue: order.Queue{Name: name, Epoch: row.Int(2), Start: row.Int(3), UpTo: row.Int(5)}})
		}
		q := queues[len(queues)-1]
		q.Shards |= 1 << shard
		q.Seqs[shard], q.owners[shard] = row.Int(4), row.Text(6)
		return nil
	})
}

// Claim implements [order.Deliveries]. Each node has as many parts of a queue as any, or one
// fewer; those that it has it keeps, so that few change hands when nodes come and go. A
// destination that takes fewer deliveries at a time than there are parts is one node's. A
// replay stays with the queue that it goes beside.
func (s *postgresStore) Claim(ctx context.Context) (mine []order.Queue, err error) {
	destinations, err := s.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	h := s.held.Load()
	if h == nil || !s.Holds(h.lease) {
		return nil, errors.New("this node is not known to be there")
	}
	queues, err := s.readQueues(ctx)
	if err != nil {
		return nil, err
	}
	mains := map[string]order.Shards{} // that this node keeps, by destination
	var taken []part
	for _, q := range queues { // a replay comes behind its queue
		name := q.Name.Destination()
		var want order.Shards
		if q.Name.Replay() {
			want = mains[name]
		} else {
			i := slices.IndexFunc(destinations, func(d *order.Destination) bool { return d.Name == name })
			want = s.share(q, i >= 0 && destinations[i].InFlight() < order.ShardCount)
			mains[name] = want
		}
		own := q.by(s.id)
		for shard := range (want & q.by("")).All() {
			taken = append(taken, part{Queue: string(q.Name), Shard: shard})
		}
		q.Leaving = own &^ want
	}
	if err := s.take(ctx, taken); err != nil {
		return nil, err
	}
	for _, q := range queues {
		all := q.Shards
		q.Shards = q.by(s.id)
		for _, p := range taken {
			if order.QueueName(p.Queue) == q.Name && p.taken {
				q.Shards |= 1 << p.Shard & all
			}
		}
		if q.Shards != 0 {
			q.Lease = h.lease
			mine = append(mine, q.Queue)
		}
	}
	return mine, nil
}

// share is which parts of a queue this node should have.
func (s *postgresStore) share(q *owned, small bool) order.Shards {
	index, count := s.position()
	own, free := q.by(s.id), q.by("")
	if small {
		h := fnv.New32a()
		_, _ = h.Write([]byte(q.Name))
		if own == q.Shards || int(h.Sum32()%uint32(count)) == index && own|free != 0 { // who has all, keeps it
			return q.Shards
		}
		return 0
	}
	most := (order.ShardCount + count - 1) / count
	var want order.Shards
	for shard := range order.ShardCount { // what it has comes first
		if own.Has(shard) && want.Count() < most {
			want |= 1 << shard
		}
	}
	for i := range order.ShardCount { // each node begins elsewhere
		if shard := (i + index*most) % order.ShardCount; free.Has(shard) && want.Count() < most {
			want |= 1 << shard
		}
	}
	return want
}

// part is a part of a queue.
type part struct {
	Queue string `json:"queue"`
	Shard int    `json:"shard"`
	taken bool
}

// take makes parts this node's, as far as they are nobody's still.
func (s *postgresStore) take(ctx context.Context, parts []part) error {
	if len(parts) == 0 {
		return nil
	}
	list, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	return s.readLog(ctx, `UPDATE cursor SET owner = ?1 WHERE (queue, shard) IN (
		SELECT queue, shard FROM cursor WHERE (queue, shard) IN (SELECT queue, shard FROM json_to_recordset(CAST(?2 AS json)) AS free (queue text, shard integer))
		AND (owner IS NULL OR owner NOT IN (SELECT id FROM node WHERE until > now())) AND EXISTS (SELECT 1 FROM node WHERE id = ?1 AND until > now())
		ORDER BY queue, shard FOR UPDATE SKIP LOCKED) RETURNING queue, shard`, func(row record) error {
		for i := range parts {
			if parts[i].Queue == row.Text(0) && parts[i].Shard == int(row.Int(1)) {
				parts[i].taken = true
			}
		}
		return nil
	}, s.id, string(list))
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
		text := countTotals
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

// freeCursors gives up parts, in the order in which transactions lock them.
const freeCursors = "UPDATE cursor SET owner = NULL WHERE (queue, shard) IN (SELECT queue, shard FROM cursor WHERE "

// Release implements [order.Deliveries].
func (s *postgresStore) Release(ctx context.Context, q order.QueueName, shards order.Shards) error {
	return s.read(ctx, forLog, func(c conn) error {
		_, err := c.exec(freeCursors+"queue = ? AND owner = ?"+inShards+" ORDER BY queue, shard FOR UPDATE)", string(q), s.id, int64(shards))
		return err
	})
}
