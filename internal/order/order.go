package order

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Key names an order.
type Key struct {
	Platform string
	Seller   string
	Number   string
}

// Limits of one order: every call about it reads it whole.
const (
	MaxLines = 2_000
	MaxMarks = 10_000
)

// Order is one order as the ledger knows it.
type Order struct {
	ID int64 // the store's; 0 until stored
	Key
	Header
	Stage     State // that of the line that has come least far
	Lines     []Line
	Marks     []Mark
	Locks     []Lock
	CreatedAt time.Time
	UpdatedAt time.Time

	place map[string]int // of each line in Lines; nil: not indexed yet
}

// Header is what an order knows besides its lines and marks.
type Header struct {
	Reached      State // how far whole-order events have come; lines seen later start there
	Buyer        string
	BuyerOpenUID string
	PaidAt       time.Time // zero: unknown
}

// Line is a sub order (Taobao) or an order line (Suning).
type Line struct {
	Number       string
	Kind         Kind
	Quantity     string // decimal text; empty: unknown
	State        State
	SupplierCode string
	// Of a Suning line:
	Cards          int       // how many it was shipped with
	RefundOf       time.Time // the payment that was refunded because the line was not shipped in time; zero: none
	AcceptsFailure *bool     // whether 210 is accepted; nil: by its kind
}

// Kind is what a line sells.
type Kind string

// The kinds of lines. All but Physical are virtual goods.
const (
	Physical Kind = "physical"
	Recharge Kind = "recharge"
	Card     Kind = "card"
	Gift     Kind = "gift"
	Unknown  Kind = "unknown" // an upstream's line, known by its calls only
)

// Kinds lists the kinds that may be declared.
var Kinds = []Kind{Physical, Recharge, Card, Gift}

// Mark records that a status of an order flowed back (回流). The same mark is
// accepted once.
type Mark struct {
	Status     string
	ERPOrderID string
	Detail     string // tells events of one unlisted status apart; empty for the listed ones
	Line       string // empty: the whole order
}

// NumberKey names the orders of one number, whoever their seller is.
type NumberKey struct {
	Platform string
	Number   string
}

// Change is what a decision does to one order.
type Change struct {
	Key    Key
	Header Header
	Lines  []Line // to be added or replaced, by number
	Marks  []Mark // to be added
	Locks  []Lock // to be added or replaced, by number
}

// Exists reports whether the ledger has the order.
func (o *Order) Exists() bool { return !o.CreatedAt.IsZero() }

// Fresh returns an order that nothing is known of.
func Fresh(k Key) *Order {
	first := States(k.Platform)[0]
	return &Order{Key: k, Header: Header{Reached: first}, Stage: first}
}

// Line returns the line of that number.
func (o *Order) Line(number string) (Line, bool) {
	i, ok := o.index()[number]
	if !ok {
		return Line{}, false
	}
	return o.Lines[i], true
}

func (o *Order) index() map[string]int {
	if o.place == nil {
		o.place = make(map[string]int, len(o.Lines))
		for i, l := range o.Lines {
			o.place[l.Number] = i
		}
	}
	return o.place
}

// clone copies what Apply changes.
func (o *Order) clone() *Order {
	c := *o
	c.Lines, c.Marks, c.Locks, c.place = slices.Clone(o.Lines), slices.Clone(o.Marks), slices.Clone(o.Locks), nil
	return &c
}

// Apply brings the order to where a change leaves it.
func (o *Order) Apply(c Change, now time.Time) {
	if o.CreatedAt.IsZero() {
		o.CreatedAt = now
	}
	o.UpdatedAt = now
	o.Header = c.Header
	for _, l := range c.Lines {
		if i, ok := o.index()[l.Number]; ok {
			o.Lines[i] = l
		} else {
			o.place[l.Number] = len(o.Lines)
			o.Lines = append(o.Lines, l)
		}
	}
	o.Marks = append(o.Marks, c.Marks...)
	o.putLocks(c.Locks)
	o.Stage = o.stage()
}

// stage is the state of the line that has come least far; without lines, what
// whole-order events have reached.
func (o *Order) stage() State {
	if len(o.Lines) == 0 {
		return o.Reached
	}
	states := States(o.Platform)
	least := len(states)
	for _, l := range o.Lines {
		least = min(least, max(0, slices.Index(states, l.State)))
	}
	return states[least]
}

// Statuses lists the statuses that flowed back for a line, those of the whole
// order included: first the known steps in their order, then the others.
func (o *Order) Statuses(line string) []string {
	var statuses []string
	for _, m := range o.Marks {
		if (m.Line == "" || m.Line == line) && !slices.Contains(statuses, m.Status) {
			statuses = append(statuses, m.Status)
		}
	}
	slices.SortFunc(statuses, func(a, b string) int {
		return cmp.Or(cmp.Compare(stepOf(a), stepOf(b)), strings.Compare(a, b))
	})
	return statuses
}
