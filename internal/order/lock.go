package order

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// LockState is how far a lock has come.
type LockState string

// The states of a lock.
const (
	LockAsked    LockState = "asked"    // a merchant was asked and has not answered yet
	LockHeld     LockState = "locked"   // the sub order must not be shipped
	LockRefused  LockState = "refused"  // the merchant said no
	LockUnknown  LockState = "unknown"  // the merchant was asked, and nobody knows what became of it
	LockReleased LockState = "released" // it was held and is no more
)

// LockStates lists them.
var LockStates = []LockState{LockAsked, LockHeld, LockRefused, LockUnknown, LockReleased}

// Lock is a buyer's wish that one sub order be not shipped, and what became of it.
// Its JSON is what stores keep.
type Lock struct {
	Number      int       `json:"n"` // within its order, from 1
	Line        string    `json:"line"`
	State       LockState `json:"state"`
	Event       string    `json:"event"`                 // id of the event that asked for it
	Destination string    `json:"destination,omitempty"` // who was asked; empty: the ledger decided
	Later       bool      `json:"later,omitempty"`       // the caller has an acknowledgement and waits for the verdict
	Code        string    `json:"code,omitempty"`        // why it is not held
	Text        string    `json:"text,omitempty"`        // the same in words
	AskedAt     time.Time `json:"asked_at"`
	SettledAt   time.Time `json:"settled_at,omitzero"`
	ViolatedAt  time.Time `json:"violated_at,omitzero"` // when its sub order was shipped all the same
}

// MaxLocks is how many locks an order remembers. Of more, the oldest are forgotten
// that are refused, released or unknown.
const MaxLocks = 2_000

// The apis of events about locks.
const (
	EventLockViolated = "ordergate.lock.violated"
	EventLockReleased = "ordergate.lock.released"
	EventLockUnknown  = "ordergate.lock.unknown"
)

// Held reports whether a line is locked.
func (o *Order) Held(line string) bool { return o.heldBy(line) != nil }

func (o *Order) heldBy(line string) *Lock {
	i := slices.IndexFunc(o.Locks, func(l Lock) bool { return l.State == LockHeld && l.Line == line })
	if i < 0 {
		return nil
	}
	return &o.Locks[i]
}

func (o *Order) lastLock() int {
	last := 0
	for _, l := range o.Locks {
		last = max(last, l.Number)
	}
	return last
}

// putLocks adds or replaces locks and forgets what is too much.
func (o *Order) putLocks(locks []Lock) {
	for _, l := range locks {
		if i := slices.IndexFunc(o.Locks, func(known Lock) bool { return known.Number == l.Number }); i >= 0 {
			o.Locks[i] = l
		} else {
			o.Locks = append(o.Locks, l)
		}
	}
	for excess := len(o.Locks) - MaxLocks; excess > 0; excess-- {
		i := slices.IndexFunc(o.Locks, func(l Lock) bool { return l.State != LockAsked && l.State != LockHeld })
		if i < 0 {
			return
		}
		o.Locks = slices.Delete(o.Locks, i, i+1)
	}
}

// stateOf is how far a line has come, whether or not the order lists it.
func (o *Order) stateOf(line string) State {
	if l, known := o.Line(line); known {
		return l.State
	}
	return o.Reached
}

// gone reports whether a state lies behind the moment up to which a line can be kept
// from being shipped.
func gone(s State) bool { return s == Out || s == Shipped }

// binding counts the locks that an order may not forget.
func (o *Order) binding() (n int) {
	for _, l := range o.Locks {
		if l.State == LockAsked || l.State == LockHeld {
			n++
		}
	}
	return n
}

// violations notes which held locks a change violates by shipping their lines, and
// returns the event of it. The cause tells it from others about the same locks.
func (o *Order) violations(c *Change, cause, app string, now time.Time) []Event {
	var broken []Lock
	for _, l := range o.Locks {
		if l.State != LockHeld || !l.ViolatedAt.IsZero() || gone(o.stateOf(l.Line)) {
			continue
		}
		after := c.Header.Reached
		if i := slices.IndexFunc(c.Lines, func(line Line) bool { return line.Number == l.Line }); i >= 0 {
			after = c.Lines[i].State
		} else if line, known := o.Line(l.Line); known {
			after = line.State
		}
		if gone(after) {
			l.ViolatedAt = now
			broken = append(broken, l)
		}
	}
	c.Locks = append(c.Locks, broken...)
	return lockEvents(EventLockViolated, c.Key, broken, cause, app, now)
}

// lockEvents makes the event of Ordergate's own about locks of an order that something
// caused; none of none.
func lockEvents(api string, k Key, locks []Lock, cause, app string, now time.Time) []Event {
	if len(locks) == 0 {
		return nil
	}
	numbers := make([]string, len(locks))
	for i, l := range locks {
		numbers[i] = strconv.Itoa(l.Number)
	}
	params := []contract.Param{{Name: "locks", Value: strings.Join(numbers, ",")}, {Name: "sub_order_ids", Value: strings.Join(linesOf(locks), ",")}}
	if code := locks[0].Code; code != "" {
		params = append(params, contract.Param{Name: "code", Value: code})
	}
	return []Event{{
		ID: ownID(api, append([]string{k.Platform, k.Seller, k.Number, cause}, numbers...)...), API: api, Order: k, Lines: linesOf(locks), App: app, At: now,
		Record: Record{Params: params}.JSON(), Answer: noAnswer,
	}}
}

// noAnswer is the answer of an event that has none.
var noAnswer = json.RawMessage("{}")

// ownID makes the id of an event of Ordergate's own: the same facts have the same id.
func ownID(api string, facts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{api}, facts...), "\x00")))
	return base32.StdEncoding.EncodeToString(sum[:16])[:26] // 128 bits
}

// Verdict is what came of asking a merchant.
type Verdict struct {
	Reply any   // the contract's reply; nil when Err is set
	Err   error // why there is none: a row of contract.TOPBackend
}

// settlement is what a verdict does to the locks of an order that were asked by one
// event.
type settlement struct {
	change Change
	events []Event
}

// settle brings locks of an order to their end by what a merchant said, or by why he
// said nothing. Of a lock that is held, another of its line is replaced; a line that
// was shipped meanwhile makes a violation. The cause tells its events from others.
func settle(o *Order, locks []Lock, result *contract.InterceptResult, cause string, why error, now time.Time) settlement {
	s := settlement{change: Change{Key: o.Key, Header: o.Header}}
	var unknown, broken []Lock
	held := map[string]bool{}
	for _, l := range locks {
		l.SettledAt = now
		switch {
		case result == nil:
			l.State, l.Code = LockUnknown, interrupted
			if why != nil {
				l.Code = why.Error()
			}
			unknown = append(unknown, l)
		case !result.Success:
			l.State, l.Code, l.Text = LockRefused, clip(result.ErrorCode), clip(result.ErrorText)
		case held[l.Line]:
			l.State, l.Text = LockReleased, replacedText
		default:
			held[l.Line] = true
			l.State, l.Code, l.Text = LockHeld, "", ""
			if older := o.heldBy(l.Line); older != nil && older.Number != l.Number {
				replaced := *older
				replaced.State, replaced.SettledAt, replaced.Text = LockReleased, now, replacedText
				s.change.Locks = append(s.change.Locks, replaced)
			}
			if gone(o.stateOf(l.Line)) {
				l.ViolatedAt = now
				broken = append(broken, l)
			}
		}
		s.change.Locks = append(s.change.Locks, l)
	}
	s.events = append(lockEvents(EventLockUnknown, o.Key, unknown, cause, "", now), lockEvents(EventLockViolated, o.Key, broken, cause, "", now)...)
	return s
}

// replacedText is said of a lock whose line another one holds.
const replacedText = "replaced by another lock of the sub order"

// maxReason is how much of a merchant's words each lock keeps, in bytes. The event of
// the call has them whole.
const maxReason = 200

func clip(text string) string {
	if len(text) <= maxReason {
		return text
	}
	return strings.ToValidUTF8(text[:maxReason], "") + "…"
}

// interrupted is the code of a lock whose call ended with the process that made it.
const interrupted = "interrupted"

// Abandon makes the task that gives up the locks of an order that were asked for before a
// time, zero for all: whoever asked is gone, and nobody knows what the merchant did.
func Abandon(k Key, before time.Time) *Task {
	return &Task{Orders: []Key{k}, Decide: func(v *View) (Decision, error) {
		o := v.Orders[k]
		asked := map[string][]Lock{}
		var calls []string
		for _, l := range o.Locks {
			if l.State != LockAsked || !before.IsZero() && !l.AskedAt.Before(before) {
				continue
			}
			if asked[l.Event] == nil {
				calls = append(calls, l.Event)
			}
			asked[l.Event] = append(asked[l.Event], l)
		}
		var d Decision
		for _, call := range calls {
			s := settle(o, asked[call], nil, call, nil, v.Now)
			d.Orders, d.Events = append(d.Orders, s.change), append(d.Events, s.events...)
			if asked[call][0].Later {
				d.Events = append(d.Events, callbacks(o.Key, call, linesOf(asked[call]), brokenOff, v.Now)...)
			}
		}
		return d, nil
	}}
}

func linesOf(locks []Lock) []string {
	lines := make([]string, len(locks))
	for i, l := range locks {
		lines[i] = l.Line
	}
	return lines
}

// Release makes the task that releases a lock of an order. It refuses with
// ErrNotFound, or with a Conflict when the lock binds nothing.
func Release(k Key, number int) *Task {
	return &Task{Orders: []Key{k}, Decide: func(v *View) (Decision, error) {
		o := v.Orders[k]
		i := slices.IndexFunc(o.Locks, func(l Lock) bool { return l.Number == number })
		if i < 0 {
			return Decision{}, ErrNotFound
		}
		lock := o.Locks[i]
		stale := lock.State == LockAsked && v.Now.Sub(lock.AskedAt) > askedTooLong
		if lock.State != LockHeld && lock.State != LockUnknown && !stale {
			return Decision{}, &Conflict{Text: "the lock is " + string(lock.State) + "; only one that is " + string(LockHeld) + " or " + string(LockUnknown) + ", or that is asked for too long, can be released"}
		}
		before := lock.SettledAt
		lock.State, lock.SettledAt = LockReleased, v.Now
		return Decision{
			Orders: []Change{{Key: k, Header: o.Header, Locks: []Lock{lock}}},
			Events: lockEvents(EventLockReleased, k, []Lock{lock}, before.String(), "", v.Now),
		}, nil
	}}
}

// askedTooLong is when nobody asks for a lock any more that says so: its verdict could
// not be stored.
const askedTooLong = 2 * MaxTimeout

// LockUntil is how far a sub order may have come to be locked.
type LockUntil string

// What an app may say of it.
const (
	UntilNotify LockUntil = "notify" // until the warehouse is notified (QIMEN_CP_NOTIFY); the default
	UntilOut    LockUntil = "out"    // until it leaves the warehouse (QIMEN_CP_OUT)
)

func (a *App) lockUntil() LockUntil {
	if a == nil {
		return UntilNotify
	}
	return cmp.Or(a.LockUntil, UntilNotify)
}

// abandonSize is how many orders are looked at together.
const abandonSize = 100

// AbandonAsked gives up all locks that are asked, and all calls that wait for somebody,
// as one must at the start: their askers ended with the process before. When other
// processes may still ask, only what was asked before a time is given up. It returns the
// number of both.
func AbandonAsked(ctx context.Context, s Store, before time.Time) (n int, err error) {
	n, err = abandonLocks(ctx, s, before)
	for after := int64(0); err == nil; {
		var asked []*Event
		var more bool
		if asked, more, err = s.Events(ctx, EventFilter{Asked: true, After: after, Limit: abandonSize}); err != nil || len(asked) == 0 {
			break
		}
		var tasks []*Task
		for _, e := range asked {
			if after = e.Seq; before.IsZero() || e.At.Before(before) {
				tasks = append(tasks, abandonCall(e))
			}
		}
		if len(tasks) > 0 {
			err = s.Commit(ctx, tasks...)
		}
		if n += len(tasks); !more {
			return n, err
		}
	}
	return n, err
}

// abandonCall makes the task that ends a call whose asker is gone. A merchant may have
// acted on a reverse call, which is a fact without an answer; whether a platform accepted
// what was passed on to it is not known.
func abandonCall(e *Event) *Task {
	final := *e
	answered := Answered{Event: e.ID, Answer: noAnswer, Final: &final}
	if api, _ := contract.ByMethod(e.API); api == nil || !api.Reverse {
		answered = Answered{Event: e.ID, Answer: refusedAnswer(contract.ReadTimeout)}
	}
	t := &Task{Decide: func(*View) (Decision, error) { return Decision{Answers: []Answered{answered}}, nil }}
	if e.Order.Number != "" {
		t.Orders = []Key{e.Order} // whose lane it is in
	}
	return t
}

func abandonLocks(ctx context.Context, s Store, before time.Time) (orders int, err error) {
	for after := int64(0); ; {
		found, more, err := s.Orders(ctx, OrderFilter{Locks: []LockState{LockAsked}, After: after, Limit: abandonSize})
		if err != nil {
			return orders, err
		}
		var tasks []*Task
		for _, o := range found {
			after = o.ID
			if before.IsZero() || slices.ContainsFunc(o.Locks, func(l Lock) bool { return l.State == LockAsked && l.AskedAt.Before(before) }) {
				tasks = append(tasks, Abandon(o.Key, before))
			}
		}
		if len(tasks) > 0 {
			if err := s.Commit(ctx, tasks...); err != nil {
				return orders, err
			}
		}
		orders += len(tasks)
		if !more {
			return orders, nil
		}
	}
}
