package order

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Task is one piece of work for a store: what it must see and what it decides.
// Tasks of many callers share a transaction.
type Task struct {
	// Orders are loaded before Decide is called; unknown ones as fresh orders.
	Orders []Key
	// Numbers are loaded before Decide is called: all orders of each.
	Numbers []NumberKey
	// Apps, work orders and event ids are loaded before Decide is called.
	Apps       []string
	WorkOrders []WorkOrderKey
	EventIDs   []EventIDKey
	// Destinations says that all destinations are loaded before Decide is called.
	Destinations bool
	// Queues are whose progress, or what is to be tried again of them, is decided.
	Queues []QueueShards
	// Decide must be pure: it is called again when a transaction is repeated.
	Decide func(*View) (Decision, error)

	// Reply and Err are what Decide returned in the transaction that was
	// committed. They are set before Commit returns nil.
	Reply any
	Err   error
	// Events are those that it decided, with their places in the log.
	Events []Event
}

// QueueShards are parts of a queue.
type QueueShards struct {
	Name   QueueName
	Shards Shards
}

// View is the state that a task decides on.
type View struct {
	Now    time.Time
	Orders map[Key]*Order         // read only
	Named  map[NumberKey][]*Order // read only; the orders that exist of each number
	Apps   map[string]*App        // read only; unknown ones are absent

	WorkOrders map[WorkOrderKey]*WorkOrder // read only; unknown ones are absent
	EventIDs   map[EventIDKey]string       // what was sent under each; unknown ones are absent

	Destinations map[string]*Destination // read only; by name
	Replaying    map[string]bool         // destinations that a replay is under way for; loaded with them
}

// Decision is what a task decided. When Decide refuses, nothing is written.
type Decision struct {
	Reply        any
	Refusal      error // refuses the call although something is written
	Orders       []Change
	Events       []Event
	WorkOrders   []*WorkOrder // to be added or replaced
	EventIDs     []EventID    // to be added
	Apps         []*App
	DropApps     []string // with their sessions
	Sessions     []*Session
	DropSessions []contract.Secret
	Usage        []Usage // added to what is counted already
	Answers      []Answered
	Progress     []Progress
	Retries      []Retry
	Replays      []Queue
	Bookmarks    map[string]string // what the next one to do a piece of work is told, by its name

	Destinations     []*Destination
	DropDestinations []string
	Probe            bool // write something of no consequence, to see that writing works
}

// Answered is the answer to a call whose event is in the log already: it was asked.
type Answered struct {
	Event  string // its id
	Answer json.RawMessage
	// Final is the event, when it is a fact now: it is delivered from the end of the log.
	// Without it the event stays asked.
	Final *Event
}

// The errors of a store.
var (
	// ErrBusy means that the queue is full; nothing was written.
	ErrBusy = errors.New("too much is waiting to be stored")
	// ErrNotStored means that the transaction failed or that its outcome is
	// unknown. The change may stand.
	ErrNotStored = errors.New("not stored")
	// ErrNotFound means that a look-up by key found nothing.
	ErrNotFound = errors.New("not found")
)

// Store keeps the ledger. All methods may be called at the same time.
type Store interface {
	// Commit decides tasks in their order and returns when the decisions are
	// durable, refusals included. All tasks of one call stand in one
	// transaction. The error is ErrBusy or ErrNotStored.
	Commit(ctx context.Context, tasks ...*Task) error

	// App and Session serve every call: they answer from memory where they
	// can. A committed change is seen by the next look-up.
	App(ctx context.Context, key string) (*App, error)
	Session(ctx context.Context, token contract.Secret) (*Session, error)
	// AppOf finds the TOP app of a seller, of several the first by its key.
	AppOf(ctx context.Context, seller string) (*App, error)

	// Destinations lists all destinations by their names, from memory where it can.
	Destinations(ctx context.Context) ([]*Destination, error)

	// Lists are sorted by their natural key; after is the last one seen.
	Apps(ctx context.Context, after string, limit int) ([]*App, error)
	Sessions(ctx context.Context, after int64, limit int) ([]*Session, error)
	// More says that the list goes on; a page may also end before its limit,
	// where it gets too large for the memory.
	Orders(ctx context.Context, f OrderFilter) (orders []*Order, more bool, err error)
	Events(ctx context.Context, f EventFilter) (events []*Event, more bool, err error)

	WorkOrders(ctx context.Context, f WorkOrderFilter) (orders []*WorkOrder, more bool, err error)

	Deliveries
	Peers

	// Overdue returns orders that a refund of a line was due for before now, the
	// longest due first.
	Overdue(ctx context.Context, now time.Time, limit int) ([]Key, error)

	// Prune deletes events that are older than a time, up to a limit or a little more, with
	// what is left of their deliveries, as far as nobody is owed them; and orders that have
	// ended and have no events. It returns how many events it deleted.
	Prune(ctx context.Context, before time.Time, limit int) (deleted int, err error)

	// Stages counts the orders that are open, by platform and stage, and how many of them
	// have not changed since a time.
	Stages(ctx context.Context, since time.Time) ([]StageCount, error)

	// Bookmark returns what a Decision left under a name; empty: nothing.
	Bookmark(ctx context.Context, name string) (string, error)

	// Usage returns the calls counted for a day, by app.
	Usage(ctx context.Context, day string) (map[string]int64, error)

	// Ready returns nil when calls can be stored: it stores something of no
	// consequence.
	Ready(ctx context.Context) error
	// Close finishes what was accepted and closes the database.
	Close() error
}

// Peers is what the processes that share a store know of each other.
type Peers interface {
	// Share is this process's share of what all may do together.
	Share() Share
	// Shares tells how many calls of each app come in a second of late, and returns
	// which fraction of each app's limits is this process's; of apps that are not listed
	// it is the share of all.
	Shares(ctx context.Context, calls map[string]int64) (map[string]float64, error)
	// Lead reports whether this process is to do what one of them does, until it next
	// asks: within the next seconds.
	Lead(ctx context.Context, role string) (bool, error)
}

// Deliveries is what a store knows of deliveries. Reads see what was committed before
// they began.
type Deliveries interface {
	// Head is the place of the last event of the log.
	Head(ctx context.Context) (int64, error)
	// SeqAt is the place of the last event that is older than a time.
	SeqAt(ctx context.Context, at time.Time) (int64, error)
	// Queues lists the queues of all destinations that are delivered to, by name.
	Queues(ctx context.Context) ([]Queue, error)
	// Claim takes the parts of queues that are this process's to deliver, as far as no
	// other process that is there has them, and lists what this process has, by name.
	Claim(ctx context.Context) ([]Queue, error)
	// Release gives up parts of a queue, which nothing is on its way of any more.
	Release(ctx context.Context, q QueueName, shards Shards) error
	// Holds reports whether what was claimed under a lease is for sure still this process's.
	Holds(lease int64) bool
	// Done lists what was delivered above a queue's cursor.
	Done(ctx context.Context, q QueueName) ([]int64, error)
	// Blocked counts the lanes of parts of a queue that are blocked.
	Blocked(ctx context.Context, q QueueShards) (lanes int, err error)
	// BlockedOf tells which of some lanes are blocked, and from which place on.
	BlockedOf(ctx context.Context, q QueueName, lanes []Lane) (map[Lane]int64, error)
	// Due lists lanes whose next attempt is due, and dead deliveries that are, the
	// longest due first; and when the next one after now will be, zero for never. Of a
	// lane's dead deliveries only the first that is retried is due.
	Due(ctx context.Context, q QueueShards, now time.Time, limit int) (blocked []Blocked, dead []Dead, next time.Time, err error)
	// Delivered lists deliveries by the place of their events. None is on its way: that
	// is not stored.
	Delivered(ctx context.Context, f DeliveryFilter) (page []Delivery, more bool, err error)
	// Owing counts what each destination is owed.
	Owing(ctx context.Context) ([]Owing, error)
	// Totals counts the ledger.
	Totals(ctx context.Context) (Totals, error)
}

// OrderFilter selects orders. Zero fields do not filter.
type OrderFilter struct {
	Key         Key // any of its fields
	Stage       State
	UpdatedUpTo time.Time
	Prefix      string      // of the number
	Locks       []LockState // that one of its locks has
	Sort        OrderSort
	RefundUpTo  time.Time
	After       int64   // ID: where the page before ended, by ID and by Newest
	Behind      *Behind // the same otherwise
	Limit       int
}

// Behind is the last order of a page.
type Behind struct {
	Number string    // by Number
	At     time.Time // of its last change by Unchanged, of its refund by Refund
	ID     int64
}

// OrderSort is how orders are sorted.
type OrderSort int

// The ways to sort orders.
const (
	ByID        OrderSort = iota // the oldest first
	ByNewest                     // by ID, too, the newest first
	ByNumber                     // a prefix is found by an index
	ByUnchanged                  // the longest unchanged first; of one open Stage they are found by an index
	ByRefund                     // the next automatic refund first; others are left out
)

// StageCount counts the orders of a platform's stage.
type StageCount struct {
	Platform string
	Stage    State
	Orders   int64
	Stuck    int64
}

// EventFilter selects events, sorted by Seq. Zero fields do not filter.
type EventFilter struct {
	Newest      bool   // sorted from the last to the first
	Own         bool   // only Ordergate's own events
	Seq         int64  // or Place
	Order       string // order number
	OrderID     int64
	WorkOrder   int64  // a work order's row
	WorkOrderID string // of any tenant and app
	API         string
	App         string
	Lane        Lane   // 0: any
	Shards      Shards // that the lane is in; 0: any
	Sealed      bool   // open the sealed parameters, too
	Asked       bool   // only those that are
	Settled     bool   // none of those that are; sorted by Place
	After       int64  // Seq, or Place
	UpTo        int64  // Place
	Limit       int
}

// WorkOrderFilter selects work orders, sorted by Row. Zero fields do not filter.
type WorkOrderFilter struct {
	Newest bool         // sorted from the last to the first; After is then the first that is left out
	Key    WorkOrderKey // any of its fields
	Status string
	After  int64 // Row
	Limit  int
}
