package apply

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Destination declares where events go, or who is asked.
type Destination struct {
	Name        string                     `json:"name,omitempty" yaml:"name" doc:"Letters, digits, dots, dashes and underscores"`
	Kind        order.DestinationKind      `json:"kind" yaml:"kind" enum:"webhook,top,suning,qimen,nats" doc:"webhook: CloudEvents signed per Standard Webhooks; top, suning: the same call to the platform, signed by the merchant's app; qimen: the reverse call to an ERP's endpoint, signed as Qimen signs it; nats: the CloudEvents of a webhook, into JetStream"`
	URL         string                     `json:"url" yaml:"url" doc:"http or https; nats: nats or tls, of a cluster several HOST:PORT with commas between, the path is the prefix of the subjects. Public, unless serve allows its network by --allow-private"`
	AppKey      string                     `json:"app_key,omitempty" yaml:"app_key" doc:"top, suning, qimen: the merchant's app; nats: the user"`
	Secret      contract.Secret            `json:"secret,omitempty" yaml:"secret" doc:"The app's secret; webhook: whsec_ and Base64; nats: password, or token without a user. Reads back as ***. Absent or *** keeps the present one"`
	Session     contract.Secret            `json:"session,omitempty" yaml:"session" doc:"top, suning: access token of sellers whom sessions does not list; without one the call's own is passed through, from memory. Absent or *** keeps the present one"`
	Sessions    map[string]contract.Secret `json:"sessions,omitempty" yaml:"sessions" doc:"top, suning: access tokens by seller; absent: the present ones"`
	APIs        *[]string                  `json:"apis,omitempty" yaml:"apis" doc:"Methods, and names of Ordergate's own events, that it takes; absent: all that the kind can carry"`
	Platforms   *[]string                  `json:"platforms,omitempty" yaml:"platforms" doc:"Platforms whose events it takes; absent: all"`
	Sellers     *[]string                  `json:"sellers,omitempty" yaml:"sellers" doc:"Sellers whose events it takes; absent: all"`
	Ordered     *bool                      `json:"ordered,omitempty" yaml:"ordered" doc:"Whether later events of an order wait until the earlier ones are done or dead; absent: true"`
	OnDead      order.OnDead               `json:"on_dead,omitempty" yaml:"on_dead" enum:"continue,hold" doc:"Whether an order's later events go on when one is dead, or wait for a person; absent: continue"`
	From        string                     `json:"from,omitempty" yaml:"from" doc:"Where a new destination begins: earliest, a place in the log, or a time; absent: with what comes from now on. It does nothing to one that there is"`
	KeepSuccess bool                       `json:"keep_success,omitempty" yaml:"keep_success" doc:"Keep attempts that succeeded, too"`
	Wait        bool                       `json:"wait,omitempty" yaml:"wait" doc:"Its answer is the caller's answer, and nothing else is delivered to it. webhook, qimen: of reverse calls; top, suning: of the calls of that platform"`
	Timeout     string                     `json:"timeout,omitempty" yaml:"timeout" doc:"How long it may take to answer, such as 8s; at most 25s; absent: 10s"`
	MaxInFlight *int                       `json:"max_in_flight,omitempty" yaml:"max_in_flight" minimum:"1" maximum:"10000" doc:"How many deliveries may be on their way to it at a time; absent: 64. With wait, how many calls may wait for it; absent: 1000"`
	Enabled     *bool                      `json:"enabled,omitempty" yaml:"enabled" doc:"false: nothing is sent to it, and what it is owed stays owed; absent: true"`
}

// maxInFlight is the most that a destination may say.
const maxInFlight = 10_000

var name = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// IsName reports whether a text can name what an operator declares: letters, digits,
// dots, dashes and underscores, at most 100.
func IsName(text string) bool { return name.MatchString(text) }

func (r *resolver) destination(at string, d Destination) *order.Destination {
	out := &order.Destination{
		Name: d.Name, Kind: d.Kind, URL: d.URL, AppKey: d.AppKey, Wait: d.Wait, Disabled: d.Enabled != nil && !*d.Enabled,
		Unordered: d.Ordered != nil && !*d.Ordered, OnDead: d.OnDead, KeepSuccess: d.KeepSuccess,
		DestinationSecrets: order.DestinationSecrets{Secret: unmasked(d.Secret), Session: unmasked(d.Session)},
	}
	if d.Sessions != nil {
		out.Sessions = map[string]contract.Secret{}
	}
	for seller, token := range d.Sessions {
		out.Sessions[seller] = unmasked(token)
	}
	if !IsName(d.Name) {
		r.wrong(at+"name", "%q: use letters, digits, dots, dashes and underscores, at most 100", d.Name)
	}
	if r.destinations[d.Name] {
		r.wrong(at+"name", "%q is declared twice", d.Name)
	}
	r.destinations[d.Name] = true
	oneOf(r, at+"kind", d.Kind, order.DestinationKinds...)
	r.target(at+"url", d.Kind, d.URL)
	if d.Timeout != "" {
		timeout, err := time.ParseDuration(d.Timeout)
		if err != nil || timeout <= 0 || timeout > order.MaxTimeout {
			r.wrong(at+"timeout", "%q: write a duration such as 8s, at most %s: SDKs give up after 30 s", d.Timeout, order.MaxTimeout)
		}
		out.Timeout = timeout
	}
	if d.MaxInFlight != nil {
		if out.MaxInFlight = *d.MaxInFlight; out.MaxInFlight < 1 || out.MaxInFlight > maxInFlight {
			r.wrong(at+"max_in_flight", "is from 1 to %d", maxInFlight)
		}
	}
	if d.Sellers != nil {
		out.Sellers = append([]string{}, *d.Sellers...)
	}
	if d.Platforms != nil {
		out.Platforms = append([]string{}, *d.Platforms...)
	}
	if d.APIs != nil {
		out.APIs = append([]string{}, *d.APIs...)
	}
	r.kind(at, d, out)
	return out
}

func unmasked(s contract.Secret) contract.Secret {
	if s == contract.Masked {
		return ""
	}
	return s
}

// target checks a destination's address.
func (r *resolver) target(at string, kind order.DestinationKind, address string) {
	schemes, want := []string{"http", "https"}, "want http://HOST/PATH or https://HOST/PATH"
	if kind == order.KindNATS {
		schemes, want = []string{"nats", "tls"}, "want nats://HOST:PORT or tls://HOST:PORT, of a cluster several HOST:PORT with commas between; a path is the prefix of the subjects"
	}
	servers := []string{address}
	if kind == order.KindNATS {
		servers = order.Servers(address)
	}
	for _, server := range servers {
		u, err := url.Parse(server)
		switch {
		case err != nil, u.Hostname() == "", !slices.Contains(schemes, u.Scheme), u.Fragment != "":
			r.wrong(at, "%s", want)
			return
		case u.User != nil:
			r.wrong(at, "must not hold a user and password: addresses are shown")
			return
		}
	}
}

// kind checks what depends on the kind, and on whether calls wait for the destination.
func (r *resolver) kind(at string, d Destination, out *order.Destination) {
	platform := d.Kind == order.KindTOP || d.Kind == order.KindSuning
	who := "a destination of kind " + string(d.Kind)
	r.forbid(at, who, given{"app_key", d.Kind == order.KindWebhook && d.AppKey != ""}, given{"session", !platform && d.Session != ""}, given{"sessions", !platform && d.Sessions != nil})
	if (platform || d.Kind == order.KindQimen) && contract.Blank(d.AppKey) {
		r.wrong(at+"app_key", "is required")
	}
	if d.Kind == order.KindWebhook {
		encoded, prefixed := strings.CutPrefix(string(out.Secret), order.WebhookSecret)
		if key, err := base64.StdEncoding.DecodeString(encoded); out.Secret != "" && (!prefixed || err != nil || len(key) == 0) {
			r.wrong(at+"secret", "want whsec_ and Base64, as Standard Webhooks write secrets: echo whsec_$(openssl rand -base64 32)")
		}
	}
	if d.OnDead != "" {
		oneOf(r, at+"on_dead", d.OnDead, order.OnDeadContinue, order.OnDeadHold)
	}
	can, verb := d.Kind.Speaks, "carries"
	if d.Wait {
		can, verb = d.Kind.Answers, "answers"
		r.forbid(at, "a destination that answers calls", given{"ordered", d.Ordered != nil}, given{"on_dead", d.OnDead != ""}, given{"from", d.From != ""}, given{"keep_success", d.KeepSuccess})
	}
	if d.Wait && d.Kind == order.KindNATS {
		r.wrong(at+"wait", "a stream answers nothing")
	}
	for i, method := range out.APIs {
		if _, known := contract.ByMethod(method); !known && !order.IsOwnEvent(method) || !can(method) {
			r.wrong(fmt.Sprintf("%sapis[%d]", at, i), "%q: %s %s %s", method, who, verb, strings.Join(carried(can), ", "))
		}
	}
	r.from(at+"from", d.From, out)
}

// carried lists the methods and own events that a destination can have.
func carried(can func(string) bool) (names []string) {
	for _, api := range contract.All {
		names = append(names, api.Method)
	}
	return slices.DeleteFunc(append(names, order.OwnEvents...), func(name string) bool { return !can(name) })
}

// Earliest is the beginning of the log.
const Earliest = "earliest"

// from reads where a new destination begins.
func (r *resolver) from(at, text string, out *order.Destination) {
	if text == "" {
		return
	}
	place, when, err := ParsePlace(text)
	if err != nil {
		r.wrong(at, "%v", err)
	}
	out.From, out.FromTime = place, when
}

// ParsePlace reads a place in the log: earliest, the place of an event, or a time. What
// is meant begins behind place, or at the time.
func ParsePlace(text string) (behind *int64, at time.Time, err error) {
	if text == Earliest {
		return new(int64), at, nil
	}
	if seq, err := strconv.ParseInt(text, 10, 64); err == nil && seq > 0 {
		seq--
		return &seq, at, nil
	}
	var when Time
	if err := when.UnmarshalText([]byte(text)); err != nil {
		return nil, at, fmt.Errorf("%q: write %s, the place of an event, or a time such as 2026-01-02T15:04:05+08:00", text, Earliest)
	}
	return nil, time.Time(when), nil
}

// given is a field and whether it is.
type given struct {
	name string
	is   bool
}

func (r *resolver) forbid(at, who string, fields ...given) {
	for _, f := range fields {
		if f.is {
			r.wrong(at+f.name, "%s has none", who)
		}
	}
}

// DestinationOf shows a stored destination in the format in which it was declared.
func DestinationOf(d *order.Destination) Destination {
	enabled := !d.Disabled
	out := Destination{Name: d.Name, Kind: d.Kind, URL: d.URL, AppKey: d.AppKey, Secret: d.Secret, Session: d.Session, Wait: d.Wait, Enabled: &enabled, KeepSuccess: d.KeepSuccess}
	if !d.Wait {
		ordered := !d.Unordered
		out.Ordered, out.OnDead = &ordered, cmp.Or(d.OnDead, order.OnDeadContinue)
	}
	if len(d.Sessions) > 0 {
		out.Sessions = maps.Clone(d.Sessions)
	}
	if d.APIs != nil {
		out.APIs = &d.APIs
	}
	if d.Platforms != nil {
		out.Platforms = &d.Platforms
	}
	if d.Sellers != nil {
		out.Sellers = &d.Sellers
	}
	if d.Timeout > 0 {
		out.Timeout = d.Timeout.String()
	}
	if d.MaxInFlight > 0 {
		out.MaxInFlight = &d.MaxInFlight
	}
	return out
}
