package apply

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Destination declares where events go, or who is asked.
type Destination struct {
	Name        string                     `json:"name,omitempty" yaml:"name" doc:"Letters, digits, dots, dashes and underscores"`
	Kind        order.DestinationKind      `json:"kind" yaml:"kind" enum:"webhook,qimen,top" doc:"webhook: CloudEvents signed per Standard Webhooks; qimen: the reverse call to an ERP's endpoint, signed as Qimen signs it; top: the Taobao Open Platform"`
	URL         string                     `json:"url" yaml:"url" doc:"http or https; public, unless serve allows its network by --allow-private"`
	AppKey      string                     `json:"app_key,omitempty" yaml:"app_key" doc:"qimen, top: the merchant's app"`
	Secret      contract.Secret            `json:"secret,omitempty" yaml:"secret" doc:"The app's secret; webhook: whsec_ and Base64. Reads back as ***. Absent or *** keeps the present one"`
	Session     contract.Secret            `json:"session,omitempty" yaml:"session" doc:"top: access token of sellers whom sessions does not list. Absent or *** keeps the present one"`
	Sessions    map[string]contract.Secret `json:"sessions,omitempty" yaml:"sessions" doc:"top: access tokens by seller; absent: the present ones"`
	APIs        *[]string                  `json:"apis,omitempty" yaml:"apis" doc:"Methods that it takes; absent: all that it can"`
	Sellers     *[]string                  `json:"sellers,omitempty" yaml:"sellers" doc:"Sellers whose events it takes; absent: all"`
	Wait        bool                       `json:"wait,omitempty" yaml:"wait" doc:"Its answer is the caller's answer: qimen and webhook, for the reverse call"`
	Timeout     string                     `json:"timeout,omitempty" yaml:"timeout" doc:"How long it may take to answer, such as 8s; at most 25s; absent: 10s"`
	MaxInFlight *int                       `json:"max_in_flight,omitempty" yaml:"max_in_flight" minimum:"1" maximum:"10000" doc:"How many calls may wait for it at a time; absent: 1000"`
	Enabled     *bool                      `json:"enabled,omitempty" yaml:"enabled" doc:"Absent: true"`
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
	r.target(at+"url", d.URL)
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
func (r *resolver) target(at, address string) {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Hostname() == "", u.Scheme != "http" && u.Scheme != "https", u.Fragment != "":
		r.wrong(at, "want http://HOST/PATH or https://HOST/PATH")
	case u.User != nil:
		r.wrong(at, "must not hold a user and password: addresses are shown")
	}
}

// kind checks what depends on the kind, and on what this version delivers.
func (r *resolver) kind(at string, d Destination, out *order.Destination) {
	var takes []string // what the kind can take
	switch d.Kind {
	case order.KindWebhook:
		r.forbid(at, d.Kind, given{"app_key", d.AppKey != ""}, given{"session", d.Session != ""}, given{"sessions", d.Sessions != nil})
		encoded, prefixed := strings.CutPrefix(string(out.Secret), "whsec_")
		if key, err := base64.StdEncoding.DecodeString(encoded); out.Secret != "" && (!prefixed || err != nil || len(key) == 0) {
			r.wrong(at+"secret", "want whsec_ and Base64, as Standard Webhooks write secrets: echo whsec_$(openssl rand -base64 32)")
		}
	case order.KindQimen:
		r.forbid(at, d.Kind, given{"session", d.Session != ""}, given{"sessions", d.Sessions != nil})
	}
	if d.Kind == order.KindTOP {
		takes = []string{contract.InterceptCallback.Method}
		if d.Wait {
			r.wrong(at+"wait", "nothing waits for a destination of kind %s", d.Kind)
		}
	} else {
		for _, api := range contract.All {
			if api.Reverse {
				takes = append(takes, api.Method)
			}
		}
		if !d.Wait {
			r.wrong(at+"wait", "must be true: this version has destinations of kind %s answer calls, and delivers no events to them yet", d.Kind)
		}
	}
	if d.Kind != order.KindWebhook && contract.Blank(d.AppKey) {
		r.wrong(at+"app_key", "is required")
	}
	if d.APIs != nil {
		out.APIs = append([]string{}, *d.APIs...)
	}
	for i, method := range out.APIs {
		if !slices.Contains(takes, method) {
			r.wrong(fmt.Sprintf("%sapis[%d]", at, i), "a destination of kind %s takes %s only", d.Kind, strings.Join(takes, ", "))
		}
	}
}

// given is a field and whether it is.
type given struct {
	name string
	is   bool
}

func (r *resolver) forbid(at string, kind order.DestinationKind, fields ...given) {
	for _, f := range fields {
		if f.is {
			r.wrong(at+f.name, "a destination of kind %s has none", kind)
		}
	}
}

// DestinationOf shows a stored destination in the format in which it was declared.
func DestinationOf(d *order.Destination) Destination {
	enabled := !d.Disabled
	out := Destination{Name: d.Name, Kind: d.Kind, URL: d.URL, AppKey: d.AppKey, Secret: d.Secret, Session: d.Session, Wait: d.Wait, Enabled: &enabled}
	if len(d.Sessions) > 0 {
		out.Sessions = maps.Clone(d.Sessions)
	}
	if d.APIs != nil {
		out.APIs = &d.APIs
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
