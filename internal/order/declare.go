package order

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Declared is a state that an operator declares: an import of orders, apps,
// sessions. It is stored whole or not at all. An app without a secret keeps the
// one that it has, and so does a destination.
type Declared struct {
	Apps     []*App
	Sessions []*Session
	Orders   []Import

	Destinations []*Destination
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

	AcceptsFailure *bool
}

// Mistake is what is wrong with one field of a declared state.
type Mistake struct {
	Location string // apps[0].protocol
	Text     string
}

// Mistakes are all that was found.
type Mistakes []Mistake

// Error lists them, one a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.Location + ": " + mistake.Text
	}
	return strings.Join(lines, "\n")
}

// Declare makes the task that stores a declared state. It refuses with Mistakes.
func Declare(d Declared) *Task {
	t := &Task{Destinations: len(d.Destinations) > 0}
	seen := map[Key]bool{}
	for _, o := range d.Orders {
		if !seen[o.Key] {
			seen[o.Key] = true
			t.Orders = append(t.Orders, o.Key)
			if o.anySeller() {
				t.Numbers = append(t.Numbers, o.number())
			}
		}
	}
	for _, a := range d.Apps {
		t.Apps = append(t.Apps, a.Key)
	}
	for _, s := range d.Sessions {
		t.Apps = append(t.Apps, s.AppKey)
	}
	t.Decide = d.decide
	return t
}

func (d Declared) decide(v *View) (Decision, error) {
	var mistakes Mistakes
	decision := Decision{Sessions: d.Sessions}
	declared := map[string]bool{}
	for i, a := range d.Apps {
		merged, ok := merge(a, v.Apps[a.Key])
		if !ok {
			mistakes = append(mistakes, Mistake{fmt.Sprintf("apps[%d].secret", i), "is required for a new app"})
		}
		declared[a.Key] = true
		decision.Apps = append(decision.Apps, merged)
	}
	for i, s := range d.Sessions {
		if v.Apps[s.AppKey] == nil && !declared[s.AppKey] {
			mistakes = append(mistakes, Mistake{fmt.Sprintf("sessions[%d].app_key", i), fmt.Sprintf("no app %q; declare it first", s.AppKey)})
		}
	}
	scratch := map[Key]*Order{}
	for i, in := range d.Orders {
		if in.anySeller() {
			var ok bool
			if in.Key, ok = in.resolve(v); !ok {
				mistakes = append(mistakes, Mistake{fmt.Sprintf("orders[%d].seller", i), fmt.Sprintf("several sellers have an order %s; name one", in.Number)})
				continue
			}
		}
		o, again := scratch[in.Key]
		if !again { // a second row of one order builds on the first
			o = v.Orders[in.Key].clone()
			scratch[in.Key] = o
		}
		change := in.change(o)
		decision.Events = append(decision.Events, o.violations(&change, v.Now.String(), "", v.Now)...)
		o.Apply(change, v.Now)
		if len(o.Lines) > MaxLines {
			mistakes = append(mistakes, Mistake{fmt.Sprintf("orders[%d].lines", i), fmt.Sprintf("an order has at most %d lines", MaxLines)})
		}
		decision.Orders = append(decision.Orders, change)
	}
	var conflict *Conflict
	decision.Destinations, conflict = d.destinations(v, &mistakes)
	switch {
	case mistakes != nil:
		return Decision{}, mistakes
	case conflict != nil:
		return Decision{}, conflict
	}
	return decision, nil
}

// destinations completes the declared destinations and compares them with each other
// and with all that there are.
func (d Declared) destinations(v *View, mistakes *Mistakes) (merged []*Destination, conflict *Conflict) {
	after := maps.Clone(v.Destinations)
	for i, declared := range d.Destinations {
		destination, mistake := mergeDestination(declared, v.Destinations[declared.Name])
		if mistake.Text != "" {
			mistake.Location = fmt.Sprintf("destinations[%d].%s", i, mistake.Location)
			*mistakes = append(*mistakes, mistake)
		}
		merged = append(merged, destination)
		after[destination.Name] = destination
	}
	for _, destination := range merged {
		for _, name := range slices.Sorted(maps.Keys(after)) {
			if other := after[name]; other != destination && conflict == nil {
				conflict = destination.contradicts(other)
			}
		}
	}
	return merged, conflict
}

// merge completes a declared app from the stored one: no secret, or the present
// one, leaves a rotation as it is. It is false when there is no secret at all.
func merge(declared, stored *App) (*App, bool) {
	if declared.Secret != "" && (stored == nil || declared.Secret != stored.Secret) {
		return declared, true
	}
	if stored == nil {
		return declared, false
	}
	merged := *declared
	merged.Secret, merged.OldSecret, merged.OldUntil = stored.Secret, stored.OldSecret, stored.OldUntil
	return &merged, true
}

// anySeller reports whether a Suning order is imported by its number alone: then the
// only one of that number is meant, else one without a seller.
func (in Import) anySeller() bool { return in.Platform == Suning && in.Seller == "" }

func (in Import) number() NumberKey { return NumberKey{Platform: in.Platform, Number: in.Number} }

// resolve finds the order that is meant when no seller is named, and false when
// several may be.
func (in Import) resolve(v *View) (Key, bool) {
	named := v.Named[in.number()]
	if len(named) == 1 {
		return named[0].Key, true
	}
	return in.Key, len(named) == 0
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
		if given.AcceptsFailure != nil {
			l.AcceptsFailure = given.AcceptsFailure
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

func set[T any](field *T, given *T) {
	if given != nil {
		*field = *given
	}
}

// Rotate makes the task that replaces an app's secret. The old one is accepted
// for the overlap. It refuses with ErrNotFound.
func Rotate(key string, secret contract.Secret, overlap time.Duration) *Task {
	return &Task{Apps: []string{key}, Decide: func(v *View) (Decision, error) {
		old := v.Apps[key]
		if old == nil {
			return Decision{}, ErrNotFound
		}
		app := *old
		app.OldSecret, app.OldUntil = retired(old.Secret, overlap, v.Now)
		app.Secret = secret
		return Decision{Apps: []*App{&app}}, nil
	}}
}

// DropApp makes the task that deletes an app with its sessions.
func DropApp(key string) *Task {
	return &Task{Apps: []string{key}, Decide: func(*View) (Decision, error) { return Decision{DropApps: []string{key}}, nil }}
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
