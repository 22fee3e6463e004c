package order

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Destination is where events go, and who is asked. A stored one is never changed,
// only replaced. Its JSON is what stores keep; secrets are not in it.
type Destination struct {
	Name        string          `json:"name"`
	Kind        DestinationKind `json:"kind"`
	URL         string          `json:"url"`
	AppKey      string          `json:"app_key,omitempty"` // of Top and Qimen: the merchant's app
	APIs        []string        `json:"apis,omitempty"`    // methods; nil: every one that it can take
	Sellers     []string        `json:"sellers,omitempty"` // nil: all
	Wait        bool            `json:"wait,omitempty"`    // its answer is the caller's answer
	Timeout     time.Duration   `json:"timeout,omitempty"` // 0: DefaultTimeout
	MaxInFlight int             `json:"max_in_flight,omitempty"`
	Disabled    bool            `json:"disabled,omitempty"`
	OldUntil    time.Time       `json:"old_until,omitzero"`

	DestinationSecrets `json:"-"`
}

// DestinationSecrets are what a destination signs with. Stores seal them.
type DestinationSecrets struct {
	Secret    contract.Secret
	OldSecret contract.Secret            // signs beside Secret until OldUntil, after a rotation
	Session   contract.Secret            // of Top: for sellers that Sessions do not list
	Sessions  map[string]contract.Secret // of Top: by seller
}

// DestinationKind is what a destination speaks.
type DestinationKind string

// The kinds of destinations.
const (
	KindWebhook DestinationKind = "webhook" // CloudEvents, signed per Standard Webhooks
	KindQimen   DestinationKind = "qimen"   // the reverse call, signed as Qimen signs it
	KindTOP     DestinationKind = "top"     // the Taobao Open Platform, or who speaks like it
)

// DestinationKinds lists them.
var DestinationKinds = []DestinationKind{KindWebhook, KindQimen, KindTOP}

// How long a destination may take to answer, and how many calls may wait for one at
// a time. SDKs give up after 30 seconds.
const (
	DefaultTimeout     = 10 * time.Second
	MaxTimeout         = 25 * time.Second
	DefaultMaxInFlight = 1000
)

// Deadline is how long the destination may take to answer.
func (d *Destination) Deadline() time.Duration { return cmp.Or(d.Timeout, DefaultTimeout) }

// InFlight is how many calls may wait for the destination at a time.
func (d *Destination) InFlight() int { return cmp.Or(d.MaxInFlight, DefaultMaxInFlight) }

// Takes reports whether an enabled destination takes events of an API and a seller.
func (d *Destination) Takes(api, seller string) bool {
	return !d.Disabled && (d.APIs == nil || slices.Contains(d.APIs, api)) && (d.Sellers == nil || slices.Contains(d.Sellers, seller))
}

// Secrets lists what the destination signs with now, the newest first.
func (d *Destination) Secrets(now time.Time) []contract.Secret {
	return secretsAt(d.Secret, d.OldSecret, d.OldUntil, now)
}

// SessionOf is the session that speaks for a seller; empty: none is known.
func (d *Destination) SessionOf(seller string) contract.Secret {
	return cmp.Or(d.Sessions[seller], d.Session)
}

// WaitingFor finds the destination that answers calls of an API and a seller; nil when
// none waits for them.
func WaitingFor(destinations []*Destination, api, seller string) *Destination {
	for _, d := range destinations {
		if d.Wait && d.Takes(api, seller) {
			return d
		}
	}
	return nil
}

// Conflict is a declaration that is right by itself and contradicts what there is.
type Conflict struct{ Text string }

// Error says what contradicts what.
func (c *Conflict) Error() string { return c.Text }

// contradicts says how two destinations contradict each other: both want to answer
// the same call. It is nil when they do not.
func (d *Destination) contradicts(other *Destination) *Conflict {
	if !d.Wait || !other.Wait || d.Disabled || other.Disabled || !overlap(d.APIs, other.APIs) || !overlap(d.Sellers, other.Sellers) {
		return nil
	}
	return &Conflict{Text: fmt.Sprintf("destinations %q and %q both wait for the same calls of the same seller; make their sellers differ, or disable one", other.Name, d.Name)}
}

// overlap reports whether two lists have a text in common. No list is every text.
func overlap(a, b []string) bool {
	return a == nil || b == nil || slices.ContainsFunc(a, func(text string) bool { return slices.Contains(b, text) })
}

// mergeDestination completes a declared destination from the stored one of its kind: no
// secret, or the present one, leaves a rotation as it is; a session that is not given,
// or no sessions at all, are kept. The mistake names a field; its text is empty when
// there is none.
func mergeDestination(declared, stored *Destination) (merged *Destination, mistake Mistake) {
	d := *declared
	if stored == nil || stored.Kind != declared.Kind { // other kinds have other secrets
		stored = &Destination{}
	}
	if d.Secret == "" || d.Secret == stored.Secret {
		d.Secret, d.OldSecret, d.OldUntil = stored.Secret, stored.OldSecret, stored.OldUntil
	}
	d.Session = cmp.Or(d.Session, stored.Session)
	if d.Sessions == nil {
		d.Sessions = stored.Sessions
	}
	d.Sessions = maps.Clone(d.Sessions)
	for seller, token := range d.Sessions {
		if d.Sessions[seller] = cmp.Or(token, stored.Sessions[seller]); d.Sessions[seller] == "" {
			return &d, Mistake{"sessions." + seller, "has no token that could be kept"}
		}
	}
	if d.Secret == "" {
		return &d, Mistake{"secret", "is required for a new destination, and where the kind changes"}
	}
	return &d, Mistake{}
}

// RotateDestination makes the task that replaces a destination's secret. The old one
// signs beside it for the overlap. It refuses with ErrNotFound.
func RotateDestination(name string, secret contract.Secret, overlap time.Duration) *Task {
	return &Task{Destinations: true, Decide: func(v *View) (Decision, error) {
		old := v.Destinations[name]
		if old == nil {
			return Decision{}, ErrNotFound
		}
		d := *old
		d.OldSecret, d.OldUntil = retired(old.Secret, overlap, v.Now)
		d.Secret = secret
		return Decision{Destinations: []*Destination{&d}}, nil
	}}
}

// DropDestination makes the task that deletes a destination.
func DropDestination(name string) *Task {
	return &Task{Decide: func(*View) (Decision, error) { return Decision{DropDestinations: []string{name}}, nil }}
}
