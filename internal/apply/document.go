package apply

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Document is a declared state. What it does not list stays as it is.
type Document struct {
	Apps     []App     `json:"apps,omitempty" yaml:"apps"`
	Sessions []Session `json:"sessions,omitempty" yaml:"sessions"`
	Orders   []Order   `json:"orders,omitempty" yaml:"orders"`

	Destinations []Destination `json:"destinations,omitempty" yaml:"destinations"`
}

// App declares a caller.
type App struct {
	Key          string            `json:"key,omitempty" yaml:"key" doc:"app_key (TOP) or appKey (Suning)"`
	Protocol     contract.Protocol `json:"protocol" yaml:"protocol" enum:"top,suning"`
	Authority    order.Authority   `json:"authority,omitempty" yaml:"authority" enum:"ledger,upstream" doc:"Who decides about sessions and orders: Ordergate's ledger (default) or the real platform behind it"`
	Secret       contract.Secret   `json:"secret,omitempty" yaml:"secret" doc:"Reads back as ***. Absent or *** keeps the present one"`
	Name         string            `json:"name,omitempty" yaml:"name"`
	Seller       string            `json:"seller,omitempty" yaml:"seller" doc:"TOP: seller of calls without a session"`
	SupplierCode string            `json:"supplier_code,omitempty" yaml:"supplier_code" doc:"Suning: the supplier whose lines it may report; absent: any"`
	Methods      *[]string         `json:"methods,omitempty" yaml:"methods" doc:"APIs it may call; absent: all; empty: none"`
	Topics       *[]Topic          `json:"topics,omitempty" yaml:"topics" doc:"Statuses it may publish; absent: all; empty: none"`
	IPAllow      []string          `json:"ip_allow,omitempty" yaml:"ip_allow" doc:"Addresses or networks it may call from; absent: any"`
	Rate         *Rate             `json:"rate,omitempty" yaml:"rate"`
	ExpiresAt    *Time             `json:"expires_at,omitempty" yaml:"expires_at"`
	OAuth        bool              `json:"oauth,omitempty" yaml:"oauth" doc:"Suning: calls need an access_token, declared as a session"`
	Options      map[string]string `json:"options,omitempty" yaml:"options" doc:"How ambiguous points of the pages are read; docs/reference/suning.md and qimen.md list them"`
	LockUntil    order.LockUntil   `json:"lock_until,omitempty" yaml:"lock_until" enum:"notify,out" doc:"TOP, a merchant's: until when the ledger lets sub orders be locked: until the warehouse is notified (default), or until they leave it"`
}

// Rate limits an app's calls. Absent is no limit.
type Rate struct {
	PerSecond int `json:"per_second,omitempty" yaml:"per_second" minimum:"0"`
	PerDay    int `json:"per_day,omitempty" yaml:"per_day" minimum:"0" doc:"Days end at 00:00 GMT+8"`
}

// Topic is a status, "*", or a status with the keys that its ext may hold.
type Topic struct {
	Status    string   `json:"status" yaml:"status"`
	ExtFields []string `json:"ext_fields,omitzero" yaml:"ext_fields"`
}

type topicFields Topic // without the methods below

// UnmarshalYAML reads a status or a mapping.
func (t *Topic) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Load(&t.Status)
	}
	return n.Load((*topicFields)(t), yaml.WithKnownFields())
}

// Session declares an access token of a seller.
type Session struct {
	Token     contract.Secret `json:"token,omitempty" yaml:"token" doc:"Reads back as ***"`
	AppKey    string          `json:"app_key" yaml:"app_key"`
	Seller    string          `json:"seller,omitempty" yaml:"seller"`
	ExpiresAt *Time           `json:"expires_at,omitempty" yaml:"expires_at"`
}

// Order imports an order. Absent fields and lines that are not listed stay as
// they are.
type Order struct {
	Platform     string  `json:"platform" yaml:"platform" doc:"taobao, suning, or a code of event.produce such as JD"`
	Seller       string  `json:"seller,omitempty" yaml:"seller" doc:"Suning: the supplier code, unless given"`
	Number       string  `json:"number" yaml:"number"`
	Buyer        *string `json:"buyer,omitempty" yaml:"buyer"`
	BuyerOpenUID *string `json:"buyer_open_uid,omitempty" yaml:"buyer_open_uid"`
	SupplierCode *string `json:"supplier_code,omitempty" yaml:"supplier_code" doc:"For all lines that do not give their own"`
	PaidAt       *Time   `json:"paid_at,omitempty" yaml:"paid_at"`
	Lines        []Line  `json:"lines,omitempty" yaml:"lines"`
}

// Line imports an order line or sub order.
type Line struct {
	Number       string       `json:"number" yaml:"number"`
	Kind         *order.Kind  `json:"kind,omitempty" yaml:"kind" enum:"physical,recharge,card,gift"`
	Quantity     *Quantity    `json:"quantity,omitempty" yaml:"quantity" doc:"Number or decimal text"`
	State        *order.State `json:"state,omitempty" yaml:"state" doc:"A line moves only when this is given"`
	SupplierCode *string      `json:"supplier_code,omitempty" yaml:"supplier_code"`

	AcceptsFailure *bool `json:"accepts_failure,omitempty" yaml:"accepts_failure" doc:"Suning: whether 210 is accepted; absent: by its kind"`
}

// Quantity is a decimal number, written as number or text.
type Quantity string

// Time is a point in time: RFC 3339, or without a zone in GMT+8. It is written
// with +08:00. "now" is the time of reading.
type Time time.Time // not embedded: time.Time has its own JSON

// UnmarshalText reads a time.
func (t *Time) UnmarshalText(b []byte) error {
	text := string(b)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", contract.TimeLayout} {
		at, err := time.ParseInLocation(layout, text, contract.Zone)
		if err == nil {
			*t = Time(at)
			return nil
		}
	}
	if text == "now" {
		*t = Time(time.Now())
		return nil
	}
	return fmt.Errorf("%q is no time; write 2026-01-02T15:04:05+08:00", text)
}

// MarshalText writes RFC 3339 with +08:00.
func (t Time) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).In(contract.Zone).Format("2006-01-02T15:04:05.999-07:00")), nil
}

// AsTime returns t for output; the zero time is absent.
func AsTime(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return (*Time)(&t)
}
