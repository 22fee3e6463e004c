package order

import (
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Declared is a state that an operator declares: an import of orders, apps,
// sessions. It is stored whole or not at all.
type Declared struct {
	Apps     []*App
	Sessions []*Session
	Orders   []Import
}

// Import is what an operator says of one order. Nil fields and lines that are
// not listed stay as they are.
type Import struct {
	Key
	Buyer        *string
	BuyerOpenUID *string
	PaidAt       *time.Time
	Lines        []ImportLine
}

// ImportLine is what an operator says of one line. A line moves only when its
// State is given.
type ImportLine struct {
	Number       string
	Kind         *Kind
	Quantity     *string
	State        *State
	SupplierCode *string
}

// Declare makes the task that stores a declared state.
func Declare(d Declared) *Task {
	t := &Task{}
	seen := map[Key]bool{}
	for _, o := range d.Orders {
		if !seen[o.Key] {
			seen[o.Key] = true
			t.Orders = append(t.Orders, o.Key)
		}
	}
	t.Decide = func(v *View) (Decision, error) {
		decision := Decision{Apps: d.Apps, Sessions: d.Sessions}
		scratch := map[Key]*Order{}
		for _, in := range d.Orders {
			o, again := scratch[in.Key]
			if !again { // a second row of one order builds on the first
				o = Fresh(in.Key)
				o.Apply(Change{Header: v.Orders[in.Key].Header, Lines: v.Orders[in.Key].Lines}, v.Now)
				scratch[in.Key] = o
			}
			change := in.change(o)
			o.Apply(change, v.Now)
			decision.Orders = append(decision.Orders, change)
		}
		return decision, nil
	}
	return t
}

func (in Import) change(o *Order) Change {
	c := Change{Key: in.Key, Header: o.Header}
	set(&c.Header.Buyer, in.Buyer)
	set(&c.Header.BuyerOpenUID, in.BuyerOpenUID)
	set(&c.Header.PaidAt, in.PaidAt)
	for _, given := range in.Lines {
		l, known := o.Line(given.Number)
		if !known {
			l = Line{Number: given.Number, Kind: Physical, State: o.Reached}
		}
		set(&l.Kind, given.Kind)
		set(&l.Quantity, given.Quantity)
		set(&l.State, given.State)
		set(&l.SupplierCode, given.SupplierCode)
		c.Lines = append(c.Lines, l)
	}
	return c
}

func set[T any](field *T, given *T) {
	if given != nil {
		*field = *given
	}
}

// DropApp makes the task that deletes an app with its sessions.
func DropApp(key string) *Task {
	return &Task{Decide: func(*View) (Decision, error) { return Decision{DropApps: []string{key}}, nil }}
}

// DropSession makes the task that deletes a session.
func DropSession(token contract.Secret) *Task {
	return &Task{Decide: func(*View) (Decision, error) {
		return Decision{DropSessions: []contract.Secret{token}}, nil
	}}
}

// CountCalls makes the task that adds to the daily counters.
func CountCalls(usage []Usage) *Task {
	return &Task{Decide: func(*View) (Decision, error) { return Decision{Usage: usage}, nil }}
}
