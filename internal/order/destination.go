package order

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Destination is where events go, and who is asked. A stored one is never changed,
// only replaced. Its JSON is what stores keep; secrets are not in it.
type Destination struct {
	Name        string          `json:"name"`
	Kind        DestinationKind `json:"kind"`
	URL         string          `json:"url"`
	AppKey      string          `json:"app_key,omitempty"`   // of TOP, Suning and Qimen: the merchant's app; of NATS: the user
	APIs        []string        `json:"apis,omitzero"`       // methods, and names of Ordergate's own events; nil: every one that it can take
	Platforms   []string        `json:"platforms,omitzero"`  // nil: all
	Sellers     []string        `json:"sellers,omitzero"`    // nil: all
	Wait        bool            `json:"wait,omitempty"`      // its answer is the caller's answer
	Unordered   bool            `json:"unordered,omitempty"` // events of one order do not wait for each other
	OnDead      OnDead          `json:"on_dead,omitempty"`
	KeepSuccess bool            `json:"keep_success,omitempty"` // attempts that succeeded are kept, too
	Timeout     time.Duration   `json:"timeout,omitempty"`      // 0: DefaultTimeout
	MaxInFlight int             `json:"max_in_flight,omitempty"`
	Disabled    bool            `json:"disabled,omitempty"`
	OldUntil    time.Time       `json:"old_until,omitzero"`

	DestinationSecrets `json:"-"`

	// FromTime is the same by time, until somebody has found the place.
	FromTime time.Time `json:"-"`
	// From is where a new destination that is delivered to begins: behind this place of
	// the log. nil: at its end. It is not kept.
	From *int64 `json:"-"`
}

// Servers lists the addresses of a cluster's servers, which one address may name with
// commas between: nats://a:4222,b:4222/prefix.
func Servers(address string) []string {
	scheme, rest, _ := strings.Cut(address, "://")
	hosts, path, _ := strings.Cut(rest, "/")
	var servers []string
	for host := range strings.SplitSeq(hosts, ",") {
		servers = append(servers, scheme+"://"+host+"/"+path)
	}
	return servers
}

// OnDead is what becomes of an order whose delivery is given up.
type OnDead string

// The choices.
const (
	OnDeadContinue OnDead = "continue" // its later events go on; the default
	OnDeadHold     OnDead = "hold"     // they wait for a person
)

// WebhookSecret is what Standard Webhooks write before a secret's Base64.
const WebhookSecret = "whsec_"

// DestinationSecrets are what a destination signs with. Stores seal them.
type DestinationSecrets struct {
	Secret    contract.Secret
	OldSecret contract.Secret            // signs beside Secret until OldUntil, after a rotation
	Session   contract.Secret            // of TOP and Suning: for sellers that Sessions do not list
	Sessions  map[string]contract.Secret // of TOP and Suning: by seller
}

// DestinationKind is what a destination speaks.
type DestinationKind string

// The kinds of destinations.
const (
	KindWebhook DestinationKind = "webhook" // CloudEvents, signed per Standard Webhooks
	KindQimen   DestinationKind = "qimen"   // the reverse call, signed as Qimen signs it
	KindTOP     DestinationKind = "top"     // the Taobao Open Platform, or who speaks like it
	KindSuning  DestinationKind = "suning"  // Suning's, likewise
	KindNATS    DestinationKind = "nats"    // the CloudEvents of a webhook, into JetStream
)

// DestinationKinds lists them.
var DestinationKinds = []DestinationKind{KindWebhook, KindTOP, KindSuning, KindQimen, KindNATS}

// How long a destination may take to answer, how many deliveries may be on their way to
// it at a time, and how many calls may wait for one. SDKs give up after 30 seconds.
const (
	DefaultTimeout     = 10 * time.Second
	MaxTimeout         = 25 * time.Second
	DefaultMaxInFlight = 64
	DefaultMaxWaiting  = 1000
)

// Deadline is how long the destination may take to answer.
func (d *Destination) Deadline() time.Duration { return cmp.Or(d.Timeout, DefaultTimeout) }

// InFlight is how many deliveries may be on their way to the destination at a time, or
// how many calls may wait for it.
func (d *Destination) InFlight() int {
	if d.Wait {
		return cmp.Or(d.MaxInFlight, DefaultMaxWaiting)
	}
	return cmp.Or(d.MaxInFlight, DefaultMaxInFlight)
}

// Speaks reports whether the kind can carry events, or calls, of an API. Webhooks and
// streams carry everything, Ordergate's own events too.
func (k DestinationKind) Speaks(method string) bool {
	api, known := contract.ByMethod(method)
	switch k {
	case KindWebhook, KindNATS:
		return true
	case KindTOP:
		return known && api.Protocol == contract.TOP && !api.Reverse
	case KindSuning:
		return known && api.Protocol == contract.Suning
	case KindQimen:
		return known && api.Reverse
	}
	return false
}

// Answers reports whether a destination of the kind can answer calls of an API: a
// platform those that it hosts, a merchant reverse calls.
func (k DestinationKind) Answers(method string) bool {
	api, known := contract.ByMethod(method)
	return known && k.Speaks(method) && k != KindNATS && !api.AnyTime && (k != KindWebhook || api.Reverse)
}

// lists reports whether a list that filters has a text; no list has every one.
func lists(filter []string, text string) bool { return filter == nil || slices.Contains(filter, text) }

// Takes reports whether an event is delivered to the destination, now that its filters
// are what they are. What a platform has said itself is not sent back to one, a lock
// that was refused is no call to a merchant, and what a destination did not take it is not
// told of.
func (d *Destination) Takes(e *Event) bool {
	switch {
	case d.Wait, e.Asked, !d.Kind.Speaks(e.API), !lists(d.APIs, e.API), !lists(d.Platforms, e.Platform()), !lists(d.Sellers, e.Order.Seller):
		return false
	case d.Kind == KindTOP && e.API == contract.InterceptCallback.Method:
		return e.Owed
	case d.Kind == KindQimen:
		return contract.OrderIntercept.SaysYes(e.Answer)
	case e.API == AlertDeliveryDead: // others are to know of it
		return e.deadAt() != d.Name
	}
	return true
}

// answers reports whether the destination answers calls of an API, a platform and a
// seller.
func (d *Destination) answers(api, platform, seller string) bool {
	return d.Wait && !d.Disabled && d.Kind.Answers(api) && lists(d.APIs, api) && lists(d.Platforms, platform) && lists(d.Sellers, seller)
}

// Secrets lists what the destination signs with now, the newest first.
func (d *Destination) Secrets(now time.Time) []contract.Secret {
	return secretsAt(d.Secret, d.OldSecret, d.OldUntil, now)
}

// SessionOf is the session that speaks for a seller; empty: none is known.
func (d *Destination) SessionOf(seller string) contract.Secret {
	return cmp.Or(d.Sessions[seller], d.Session)
}

// WaitingFor finds the destination that answers what is asked; nil when none waits for
// it.
func WaitingFor(destinations []*Destination, q *Question) *Destination {
	for _, d := range destinations {
		if d.answers(q.API.Method, q.Platform, q.Seller) {
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
	if !d.Wait || !other.Wait || d.Disabled || other.Disabled || !overlap(d.waits(), other.waits()) || !overlap(d.Sellers, other.Sellers) || !overlap(d.Platforms, other.Platforms) {
		return nil
	}
	return &Conflict{Text: fmt.Sprintf("destinations %q and %q both wait for the same calls of the same seller; make their sellers differ, or disable one", other.Name, d.Name)}
}

// waits lists the methods that a waiting destination answers.
func (d *Destination) waits() (methods []string) {
	for _, api := range contract.All {
		if d.Kind.Answers(api.Method) && lists(d.APIs, api.Method) {
			methods = append(methods, api.Method)
		}
	}
	return methods
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
	if stored != nil && stored.Wait != declared.Wait {
		return &d, Mistake{"wait", "cannot change: delete the destination, and what it is owed with it, and declare it anew"}
	}
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
	if d.Secret == "" && d.Kind != KindNATS {
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
	return &Task{Destinations: true, Decide: func(*View) (Decision, error) { return Decision{DropDestinations: []string{name}}, nil }}
}
