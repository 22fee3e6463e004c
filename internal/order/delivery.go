package order

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lane names whose events a destination gets one after the other: an order's, a work
// order's where no order is known, or an event of its own.
type Lane int64

// The kinds of lanes: what is left of a lane by laneKinds.
const (
	laneOrder Lane = iota
	laneWorkOrder
	laneEvent
	laneKinds = 4
)

// OrderLane is the lane of an order, by the store's id of it.
func OrderLane(id int64) Lane { return Lane(id)*laneKinds + laneOrder }

// WorkOrderLane is the lane of a work order, by its row.
func WorkOrderLane(row int64) Lane { return Lane(row)*laneKinds + laneWorkOrder }

// EventLane is the lane of an event that is nobody's, by its place.
func EventLane(place int64) Lane { return Lane(place)*laneKinds + laneEvent }

// Order returns the order whose lane it is, and WorkOrder and Event the same of theirs;
// 0 when it is not.
func (l Lane) Order() int64     { return l.id(laneOrder) }
func (l Lane) WorkOrder() int64 { return l.id(laneWorkOrder) }
func (l Lane) Event() int64     { return l.id(laneEvent) }

func (l Lane) id(kind Lane) int64 {
	if l%laneKinds != kind {
		return 0
	}
	return int64(l / laneKinds)
}

// QueueName names a destination's place in the log: the destination itself, or a replay
// for it.
type QueueName string

const replaySuffix = "/replay" // no name of a destination has a slash

// ReplayOf names the replay for a destination.
func ReplayOf(destination string) QueueName { return QueueName(destination + replaySuffix) }

// Destination is the destination whose queue it is.
func (n QueueName) Destination() string { return strings.TrimSuffix(string(n), replaySuffix) }

// DeliveryID names the delivery of the event at a place: <queue>:<place>.
func DeliveryID(q QueueName, seq int64) string { return string(q) + ":" + strconv.FormatInt(seq, 10) }

// ReadDeliveryID reads what DeliveryID wrote.
func ReadDeliveryID(text string) (q QueueName, seq int64, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return "", 0, false
	}
	seq, err := strconv.ParseInt(text[i+1:], 10, 64)
	return QueueName(text[:i]), seq, err == nil && seq >= 0
}

// Replay reports whether it is a replay's.
func (n QueueName) Replay() bool { return strings.HasSuffix(string(n), replaySuffix) }

// Queue is a destination's place in the log: a cursor, and what deviates from it.
type Queue struct {
	Name  QueueName
	Epoch int64 // tells it from an earlier one of the name
	Start int64 // nothing up to here was ever owed
	UpTo  int64 // where a replay ends; 0: it does not

	// Of the parts that this process delivers:
	Shards  Shards            // which they are
	Leaving Shards            // which of them another process waits for
	Seqs    [ShardCount]int64 // the cursor of each: everything up to here is settled, but for blocked lanes
	First   int64             // place of the first event that may be owed

	Lease int64 // under which this process has them
}

// Seq is the least of its cursors.
func (q Queue) Seq() int64 { return q.LeastOf(q.Shards) }

// LeastOf is the least cursor of some parts.
func (q Queue) LeastOf(shards Shards) (least int64) {
	least = math.MaxInt64
	for shard := range shards.All() {
		least = min(least, q.Seqs[shard])
	}
	return least
}

// Share is a stretch of a whole that is Of long: which part of a limit is a process's.
// The stretches of all processes make the whole.
type Share struct{ From, To, Of int }

// Whole is the share of a process that shares with nobody.
var Whole = Share{To: 1, Of: 1}

// Part is the share's part of a limit, and at least 1.
func (s Share) Part(limit int) int {
	if s.Of == 0 {
		return limit
	}
	return max(1, limit*s.To/s.Of-limit*s.From/s.Of)
}

// Blocked is a lane whose first owed event waits for its next attempt, or for a person.
// What follows it in the lane waits behind it.
type Blocked struct {
	Lane     Lane
	Seq      int64 // of the first event that is owed
	Attempts int   // that it has used up
	NextAt   time.Time
	Held     bool // for a person
	Reason   string
	Shard    int // of its events
}

// Dead is a delivery that is given up, unless it is being retried.
type Dead struct {
	Seq      int64
	Lane     Lane
	Reason   string
	At       time.Time
	Attempts int       // used up, since it was last retried
	NextAt   time.Time // of its next attempt; zero: there is none
	Shard    int       // of the event
}

// Settled is the place of an event that was delivered, and its part.
type Settled struct {
	Seq   int64
	Shard int
}

// Attempt is one try of a delivery.
type Attempt struct {
	Seq     int64
	At      time.Time
	Status  int // of the HTTP answer; 0: there was none
	Latency time.Duration
	Body    string // of the answer, or why there is none
}

// KeptAttempts is how many attempts of a delivery are kept.
const KeptAttempts = 10

// Progress is what changed in a queue since it was last stored. Lists are applied in the
// order of the fields.
type Progress struct {
	Queue    QueueName
	Epoch    int64
	Shards   Shards    // whose cursors move: when they are another process's by now, nothing is stored
	Lease    int64     // under which they were this process's
	Seq      int64     // the cursor; it never goes back
	Done     []Settled // delivered above the cursor
	Freed    []Lane    // blocked no more
	Blocked  []Blocked // added or replaced
	Revived  []int64   // delivered although they were dead
	Dead     []Dead    // added or replaced
	Forget   []int64   // delivered: their attempts go
	Attempts []Attempt // to be added
	Alerts   []Event   // of what is dead or held, to be added to the log
	End      bool      // a replay is over
}

// Empty reports whether there is nothing to store but, maybe, the cursor.
func (p *Progress) Empty() bool {
	return len(p.Done)+len(p.Freed)+len(p.Blocked)+len(p.Revived)+len(p.Dead)+len(p.Forget)+len(p.Attempts) == 0 && !p.End
}

// RecordProgress makes the task that stores progress.
func RecordProgress(p Progress) *Task {
	t := &Task{Queues: []QueueShards{{p.Queue, p.Shards}}, Decide: func(*View) (Decision, error) {
		return Decision{Progress: []Progress{p}, Events: slices.Clone(p.Alerts)}, nil
	}}
	for _, e := range p.Alerts {
		if e.Order != (Key{}) && !slices.Contains(t.Orders, e.Order) {
			t.Orders = append(t.Orders, e.Order) // whose lane it is in
		}
	}
	return t
}

// RetryPauses are between the attempts of an event that fails while others get through.
// After the last one it is dead.
var RetryPauses = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// retryJitter is how much a pause may be longer, as a share: events that failed together
// are not retried together.
const retryJitter = 0.2

// RetryAfter is the pause after so many attempts, and false when there is no further one.
func RetryAfter(attempts int) (time.Duration, bool) {
	if attempts > len(RetryPauses) {
		return 0, false
	}
	pause := RetryPauses[max(attempts, 1)-1]
	return pause + time.Duration(rand.Float64()*retryJitter*float64(pause)), true
}

// TriedAt is when the attempt was made, at the latest, after which an event is due at a
// time.
func TriedAt(attempts int, next time.Time) time.Time {
	if attempts < 1 || attempts > len(RetryPauses) {
		return next
	}
	return next.Add(-RetryPauses[attempts-1])
}

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states of a delivery. All are derived: of the cursor and what deviates from it.
const (
	DeliveryPending  DeliveryState = "pending"   // the destination has not got to it, or it waits behind another of its order
	DeliveryInFlight DeliveryState = "in_flight" // it is on its way
	DeliveryDone     DeliveryState = "done"
	DeliveryRetrying DeliveryState = "retrying" // it failed and waits for its next attempt
	DeliveryHeld     DeliveryState = "held"     // it is given up, and its order waits for a person
	DeliveryDead     DeliveryState = "dead"     // it is given up, and its order went on
)

// Delivery is an event that is owed to a destination, or was.
type Delivery struct {
	Queue    QueueName
	Event    *Event
	State    DeliveryState
	Attempts int
	NextAt   time.Time
	Reason   string
	Last     []Attempt
}

// DeliveryFilter selects deliveries of one destination. Those without a state are the
// whole log, as far as it is or was owed.
type DeliveryFilter struct {
	Queue  QueueName
	States []DeliveryState // retrying, held, dead; none: all
	After  int64           // Place
	UpTo   int64           // Place; 0: the end
	Lane   Lane            // 0: any
	Limit  int
}

// Owing is how much a destination is behind.
type Owing struct {
	Destination string
	Lag         int64 // events between its cursor and the end of the log
	Retrying    int
	Held        int
	Dead        int
}

// DestinationState is how a destination is doing, in a word.
type DestinationState string

// The states of a destination.
const (
	DestinationUp       DestinationState = "up"
	DestinationDown     DestinationState = "down"
	DestinationDisabled DestinationState = "disabled"
	DestinationWaiting  DestinationState = "waiting" // calls wait for its answer, and nothing else is delivered to it
)

// State is how the destination is doing under a condition.
func (d *Destination) State(c Condition) DestinationState {
	switch {
	case d.Disabled:
		return DestinationDisabled
	case d.Wait:
		return DestinationWaiting
	case c.Down:
		return DestinationDown
	}
	return DestinationUp
}

// Condition is how a destination is doing.
type Condition struct {
	Down   bool
	Reason string    // why it is
	Since  time.Time // when it was found to be
	Probe  time.Time // when it is tried next
}

// Trial is what came of trying a destination with something of no consequence.
type Trial struct {
	Good    bool
	Status  int // of the HTTP answer; 0: there was none
	Latency time.Duration
	Reason  string // why it is not good, or what the answer means
	Body    string
}

// Totals count the ledger.
type Totals struct{ Events, Orders, WorkOrders int64 }

// RetryDeliveries makes the task that retries deliveries of a destination that are held
// or dead, or that wait for their next attempt, from the first attempt on.
func RetryDeliveries(r Retry) *Task {
	return &Task{Queues: []QueueShards{{r.Queue, AllShards}}, Decide: func(v *View) (Decision, error) {
		r.At = v.Now
		return Decision{Retries: []Retry{r}}, nil
	}}
}

// Retry is a wish that deliveries be tried again, or that one be given up for good.
type Retry struct {
	Queue QueueName
	Seqs  []int64
	Skip  bool // give up what is held or waits for an attempt: its order goes on
	At    time.Time
}

// Replay makes the task that delivers part of the log to a destination again, beside
// its cursor: what follows the place after, up to and including upTo (0: what the log
// has now). It refuses with ErrNotFound, or with a Conflict when one is under way.
func Replay(destination string, after, upTo int64) *Task {
	return &Task{Destinations: true, Decide: func(v *View) (Decision, error) {
		switch d := v.Destinations[destination]; {
		case d == nil:
			return Decision{}, ErrNotFound
		case d.Wait:
			return Decision{}, &Conflict{Text: "the destination answers calls; nothing is delivered to it"}
		case v.Replaying[destination]:
			return Decision{}, &Conflict{Text: "a replay for the destination is under way; wait for its end"}
		}
		return Decision{Replays: []Queue{{Name: ReplayOf(destination), Epoch: v.Now.UnixNano(), Start: after, UpTo: upTo}}}, nil
	}}
}
