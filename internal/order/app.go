package order

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// App is a caller. A stored App is never changed, only replaced. Its
// JSON is what stores keep; secrets are not in it.
type App struct {
	Key          string            `json:"key"`
	Protocol     contract.Protocol `json:"protocol"`
	Authority    Authority         `json:"authority"`
	Secret       contract.Secret   `json:"-"`
	OldSecret    contract.Secret   `json:"-"` // accepted until OldUntil, after a rotation
	OldUntil     time.Time         `json:"old_until,omitzero"`
	Name         string            `json:"name,omitempty"`
	Seller       string            `json:"seller,omitempty"`
	SupplierCode string            `json:"supplier_code,omitempty"`
	Methods      *[]string         `json:"methods,omitempty"` // nil: all; empty: none
	Topics       *[]Topic          `json:"topics,omitempty"`  // nil: all; empty: none
	IPAllow      []netip.Prefix    `json:"ip_allow,omitempty"`
	Rate         Rate              `json:"rate,omitzero"`
	ExpiresAt    time.Time         `json:"expires_at,omitzero"` // zero: never
	OAuth        bool              `json:"oauth,omitempty"`     // Suning: calls need an access token
	Options      map[string]string `json:"options,omitempty"`   // by the names of Options of its protocol; absent: the first value of each
	LockUntil    LockUntil         `json:"lock_until,omitempty"`
}

// Authority is who decides about sessions and orders of an app's calls.
type Authority string

// The authorities.
const (
	Ledger   Authority = "ledger"   // Ordergate's own sessions and orders
	Upstream Authority = "upstream" // the real platform behind Ordergate
)

// Topic is a status that an app may publish.
type Topic struct {
	Status    string   `json:"status"`     // "*": every status
	ExtFields []string `json:"ext_fields"` // keys allowed in ext; nil: any
}

// Rate limits an app's calls. Zero is no limit.
type Rate struct {
	PerSecond int `json:"per_second,omitempty"`
	PerDay    int `json:"per_day,omitempty"` // days of GMT+8
}

// Active reports whether the app may call at all.
func (a *App) Active(now time.Time) bool { return a.ExpiresAt.IsZero() || now.Before(a.ExpiresAt) }

// Secrets lists what a call may be signed with now.
func (a *App) Secrets(now time.Time) []contract.Secret {
	return secretsAt(a.Secret, a.OldSecret, a.OldUntil, now)
}

// secretsAt lists the secrets that count now, the newest first.
func secretsAt(secret, old contract.Secret, until, now time.Time) []contract.Secret {
	if old != "" && now.Before(until) {
		return []contract.Secret{secret, old}
	}
	return []contract.Secret{secret}
}

// retired is what becomes of a secret that another replaces: it counts for an overlap.
func retired(secret contract.Secret, overlap time.Duration, now time.Time) (old contract.Secret, until time.Time) {
	if overlap <= 0 {
		return "", time.Time{}
	}
	return secret, now.Add(overlap)
}

// Permits returns nil when the app may call the method, else the fault.
func (a *App) Permits(method string) error {
	switch {
	case a.Methods == nil || slices.Contains(*a.Methods, method):
		return nil
	case len(*a.Methods) == 0:
		return contract.NoPackage
	}
	return contract.NotInPackage
}

// Topic finds the app's topic for a status.
func (a *App) Topic(status string) (Topic, bool) {
	if a.Topics == nil {
		return Topic{Status: "*"}, true
	}
	i := slices.IndexFunc(*a.Topics, func(t Topic) bool { return t.Status == status })
	if i < 0 {
		i = slices.IndexFunc(*a.Topics, func(t Topic) bool { return t.Status == "*" })
	}
	if i < 0 {
		return Topic{}, false
	}
	return (*a.Topics)[i], true
}

// AllowsIP reports whether the app may call from an address.
func (a *App) AllowsIP(ip netip.Addr) bool {
	return len(a.IPAllow) == 0 ||
		slices.ContainsFunc(a.IPAllow, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}

// Session is an OAuth access token: a seller's permission for an app.
type Session struct {
	ID        int64 // the store's
	Token     contract.Secret
	AppKey    string
	Seller    string
	ExpiresAt time.Time // zero: never
}

// Usage counts an app's calls of one day.
type Usage struct {
	AppKey string
	Day    string // yyyy-MM-dd in GMT+8
	Calls  int64
}
