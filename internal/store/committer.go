package store

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// maxGroup is how many tasks a transaction has before it takes no further call. A
// call's own tasks stand in one transaction, however many they are.
const maxGroup = 512

// crowdedGroup is the same while deliveries lag: fewer callers at a time then compete
// with them for the machine, so that however many there are, deliveries get about half
// of it.
const crowdedGroup = 24

// yields is how often the committer lets others run before it takes what waits.
// Each costs a lone call nothing that can be measured.
const yields = 16

// unit is one call of Commit: tasks that stand in one transaction.
type unit struct {
	tasks []*order.Task
	prune *prune // besides; nil: none
	done  chan error
}

// committer groups what waits into transactions.
type committer struct {
	engine    engine
	directory *directory
	clock     func() time.Time
	log       *slog.Logger
	onCommit  func(Group)
	lagging   func() bool
	most      int              // tasks of a group
	unfit     func(error) bool // whether a value is one that the database cannot hold; nil: there is none
	sole      bool             // no other process adds to the log

	mu      sync.RWMutex // guards closed, and queue against a send after close
	closed  bool
	queue   chan *unit
	stopped chan struct{}

	complaints sync.Mutex // guards what follows
	complained time.Time
	failed     int // tasks since then
}

func newCommitter(e engine, d *directory, o Options) *committer {
	return &committer{
		engine: e, directory: d, clock: o.Clock, log: o.Log, onCommit: o.OnCommit, lagging: o.Lagging, most: cmp.Or(o.Group, maxGroup),
		queue: make(chan *unit, o.Queue), stopped: make(chan struct{}),
	}
}

// Commit implements [order.Store]. It always waits for the outcome: a task's
// texts may live in the caller's buffers.
func (c *committer) Commit(ctx context.Context, tasks ...*order.Task) error {
	return c.submit(ctx, &unit{tasks: tasks, done: make(chan error, 1)})
}

func (c *committer) submit(ctx context.Context, u *unit) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", order.ErrNotStored, err)
	}
	if err := c.enqueue(u); err != nil {
		return err
	}
	return <-u.done
}

func (c *committer) enqueue(u *unit) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return fmt.Errorf("%w: closing", order.ErrNotStored)
	}
	select {
	case c.queue <- u:
		return nil
	default:
		return order.ErrBusy
	}
}

// Ready implements [order.Store]: it commits a write of no consequence.
func (c *committer) Ready(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		done <- c.Commit(ctx, &order.Task{Decide: func(*order.View) (order.Decision, error) { return order.Decision{Probe: true}, nil }})
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the committer does not answer: %w", ctx.Err())
	}
}

// stop refuses what comes from now on and returns when all that was accepted
// has been answered.
func (c *committer) stop() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mu.Unlock()
	<-c.stopped
}

// start has so many transactions made beside each other, until stop is called.
func (c *committer) start(transactions int) {
	var all sync.WaitGroup
	for range transactions {
		all.Go(c.run)
	}
	go func() {
		all.Wait()
		close(c.stopped)
	}()
}

// run commits until stop is called.
func (c *committer) run() {
	group := make([]*unit, 0, maxGroup)
	for first := range c.queue {
		// No timer delays a lone call. Yielding instead lets callers that are
		// runnable enqueue first, which doubles the size of the groups.
		for range yields {
			runtime.Gosched()
		}
		group = c.drain(append(group[:0], first))
		c.commit(group)
	}
}

func (c *committer) drain(group []*unit) []*unit {
	most := c.most
	if c.lagging != nil && c.lagging() {
		most = min(most, crowdedGroup)
	}
	for n := len(group[0].tasks); n < most; {
		select {
		case u, open := <-c.queue:
			if !open {
				return group
			}
			group = append(group, u)
			n += len(u.tasks)
		default:
			return group
		}
	}
	return group
}

// complainEvery is how often failed transactions are logged at most, while they fail: there
// may be thousands a second.
const complainEvery = time.Second

// complain logs that a transaction failed, and how many have since it last did.
func (c *committer) complain(tasks int, err error) {
	c.complaints.Lock()
	defer c.complaints.Unlock()
	c.failed += tasks
	if now := time.Now(); now.Sub(c.complained) >= complainEvery {
		c.log.Error("transaction failed", "tasks", c.failed, "error", err)
		c.complained, c.failed = now, 0
	}
}

// commit commits a group. When the database cannot hold what one of its calls says, each is
// tried by itself: the others are not to blame.
func (c *committer) commit(group []*unit) {
	err := c.transact(group)
	if len(group) > 1 && c.unfit != nil && c.unfit(err) {
		for i := range group {
			c.settle(group[i:i+1], c.transact(group[i:i+1]))
		}
		return
	}
	c.settle(group, err)
}

// settle releases the answers of a group.
func (c *committer) settle(group []*unit, err error) {
	for _, u := range group {
		u.done <- err
	}
}

// transact makes a transaction of a group, and tells of it.
func (c *committer) transact(group []*unit) error {
	started := time.Now()
	b := batch{now: c.clock(), log: c.log, writes: &writes{}}
	for _, u := range group {
		b.tasks = append(b.tasks, u.tasks...)
		if u.prune != nil {
			b.prunes = append(b.prunes, u.prune)
		}
	}
	err := c.engine.transact(b.wanted(), b.decide)
	if err != nil {
		c.complain(len(b.tasks), err)
		err = fmt.Errorf("%w: %w", order.ErrNotStored, err)
	}
	c.directory.forget(b.writes) // also when the outcome is unknown
	g := Group{Tasks: len(b.tasks), Duration: time.Since(started), Err: err}
	if err == nil {
		g.Events = b.writes.logged()
		g.Next = c.sole
		g.Redirected = len(b.writes.destinations)+len(b.writes.retries)+len(b.writes.replays) > 0
	}
	if c.onCommit != nil { // callers wait: the events may hold texts of theirs
		c.onCommit(g)
	}
	return err
}
