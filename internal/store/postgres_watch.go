package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ordergate/ordergate/internal/order"
)

// How often the end of the log is looked for: when nothing is known to happen, and at
// most. Between them it is when this node has committed, or somebody waits.
const (
	watchEvery = 50 * time.Millisecond
	watchLeast = 4 * time.Millisecond
)

// How long somebody who wants to read all that was committed waits for transactions that
// began before.
const settleTimeout = 2 * time.Second

// stuckAfter is when it is said that a transaction holds deliveries up.
const stuckAfter = 15 * time.Second

// watcher finds out up to where the log can be read. Places are drawn before their
// transactions commit, so they do not become visible in their order: behind the end that
// it finds there may be gaps that are filled yet, before it there are none.
//
// A transaction that writes events has its number (xid) before it draws a place. So when
// places up to L had been drawn before the watcher took a number itself, and all
// transactions with lesser numbers have ended, every place up to L is there or never will
// be. A snapshot's xmax would not do: it is one behind the last transaction that has ended,
// and others with greater numbers may be under way.
//
// Places behind the last one that was committed do not count: a server that crashes may
// forget that they were drawn, and draw them again.
type watcher struct {
	store   *postgresStore
	grown   func(end int64, redirected bool) // nil: nobody listens
	log     *slog.Logger
	wake    chan struct{}
	cancel  context.CancelFunc
	stopped chan struct{}

	end     atomic.Int64 // the last place that was committed before settled
	settled atomic.Int64 // every place up to here is there or never will be

	mu      sync.Mutex
	drawn   int64         // places that had been drawn when last looked
	looked  chan struct{} // closed after each look
	looks   uint64
	failure error
	changes string
}

// horizon is a place up to which places had been drawn by transactions before a number;
// 0: by none since it was last looked.
type horizon struct{ place, xid int64 }

func newWatcher(ctx context.Context, s *postgresStore, o Options) (*watcher, error) {
	w := &watcher{store: s, grown: o.OnGrown, log: o.Log, wake: make(chan struct{}, 1), stopped: make(chan struct{}), looked: make(chan struct{})}
	c, err := s.connect(ctx)
	if err != nil {
		close(w.stopped)
		return nil, err
	}
	if err := s.nodes.beat(ctx, c); err != nil {
		close(w.stopped)
		_ = c.Close(ctx)
		return nil, err
	}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go w.run(ctx, c)
	_, err = w.reached(ctx, 0)
	return w, err
}

func (w *watcher) stop() {
	w.cancel()
	<-w.stopped
}

// poke has it look at once: there is something new.
func (w *watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// reached implements ledger.end.
func (w *watcher) reached(ctx context.Context, wanted int64) (int64, error) {
	if end := w.end.Load(); wanted > 0 && wanted <= end {
		return end, nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	goal, first := int64(-1), uint64(0)
	for {
		w.mu.Lock()
		looked, looks, drawn, failure := w.looked, w.looks, w.drawn, w.failure
		w.mu.Unlock()
		switch {
		case first == 0:
			first = looks + 2 // the look that is under way may have begun before
		case looks >= first && failure != nil:
			return 0, failure
		case looks >= first && goal < 0:
			goal = drawn
		}
		if goal >= 0 && w.settled.Load() >= goal {
			return w.end.Load(), nil
		}
		w.poke()
		select {
		case <-looked:
		case <-w.stopped:
			return w.end.Load(), nil
		case <-ctx.Done():
			if err := context.Cause(ctx); err != context.DeadlineExceeded || goal < 0 {
				return 0, err
			}
			return w.end.Load(), nil // a transaction holds it up
		}
	}
}

// run looks until ctx ends.
func (w *watcher) run(ctx context.Context, c *pgx.Conn) {
	defer close(w.stopped)
	var open []horizon // whose transactions have not all ended
	noted := int64(0)  // the last place of a horizon
	beaten, advanced, told := time.Now(), time.Now(), time.Time{}
	for ctx.Err() == nil {
		if c == nil {
			var err error
			if c, err = w.store.connect(ctx); err != nil {
				w.note(0, "", err)
				sleep(ctx, 4*watchEvery)
				continue
			}
			w.log.Info("the database answers again")
			beaten = time.Time{}
		}
		turn, cancel := context.WithTimeout(ctx, connectTimeout)
		h, xmin, changes, err := look(turn, c, noted)
		if err == nil && time.Since(beaten) >= beatEvery {
			beaten = time.Now()
			err = w.store.nodes.beat(turn, c)
		}
		cancel()
		if err != nil {
			w.note(0, "", err)
			if ctx.Err() == nil {
				w.log.Warn("the database does not answer; trying again", "error", err)
			}
			_ = c.Close(ctx)
			c, open, noted = nil, nil, 0 // what a server that crashed has forgotten, has not happened
			sleep(ctx, 2*watchEvery)
			continue
		}
		if h.xid != 0 {
			open, noted = append(open, h), h.place
		}
		if len(open) > 100 { // a transaction is long: some do
			open = append(open[:50], open[len(open)-1])
		}
		end, settled, n := w.end.Load(), int64(0), 0
		for n < len(open) && open[n].xid <= xmin {
			settled = open[n].place
			n++
		}
		if n > 0 {
			if end, err = lastCommitted(ctx, c, end, settled); err != nil {
				continue // so says the next look
			}
			w.end.Store(end)
			w.settled.Store(settled)
		}
		if open = open[n:]; n > 0 || len(open) == 0 {
			advanced = time.Now()
		} else if time.Since(advanced) > stuckAfter && time.Since(told) > time.Minute {
			told = time.Now()
			w.log.Warn("a transaction that has been open for long holds deliveries up; see pg_stat_activity", "xid", xmin)
		}
		redirected := w.note(h.place, changes, nil)
		if redirected {
			w.store.directory.forgetAll()
		}
		if w.grown != nil {
			w.grown(end, redirected)
		}
		sleep(ctx, watchLeast)
		if len(open) > 0 {
			continue
		}
		t := time.NewTimer(watchEvery)
		select {
		case <-w.wake:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
	if c != nil {
		_ = c.Close(context.WithoutCancel(ctx))
	}
}

// note tells of a look, and reports whether something changed that nodes keep in memory.
func (w *watcher) note(drawn int64, changes string, err error) (redirected bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = err
	if err == nil {
		w.drawn = drawn
		redirected = w.changes != "" && w.changes != changes
		w.changes = changes
	}
	w.looks++
	close(w.looked)
	w.looked = make(chan struct{})
	return redirected
}

// look asks how many places have been drawn; then, if that is more than is noted already,
// takes a number; and then asks before which number all transactions have ended.
func look(ctx context.Context, c *pgx.Conn, noted int64) (h horizon, xmin int64, changes string, err error) {
	var b pgx.Batch
	b.Queue(lastDrawn)
	b.Queue("SELECT CASE WHEN ("+lastDrawn+") > $1 THEN pg_current_xact_id()::text::bigint ELSE 0 END", noted)
	b.Queue("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, (SELECT value FROM meta WHERE name = 'changes')")
	results := c.SendBatch(ctx, &b)
	err = results.QueryRow().Scan(&h.place)
	if err == nil {
		err = results.QueryRow().Scan(&h.xid)
	}
	if err == nil {
		err = results.QueryRow().Scan(&xmin, &changes)
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	return h, xmin, changes, err
}

// lastCommitted is the last place, up to one that is settled, that a transaction has
// committed.
func lastCommitted(ctx context.Context, c *pgx.Conn, after, settled int64) (place int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return place, c.QueryRow(ctx, "SELECT greatest($1, (SELECT max(seq) FROM event WHERE seq > $1 AND seq <= $2), (SELECT max(place) FROM event WHERE place > $1 AND place <= $2))", after, settled).Scan(&place)
}

// sleep waits for a time, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

var _ order.Store = (*postgresStore)(nil)
