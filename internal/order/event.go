package order

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Event is a fact, accepted from a call or made by Ordergate itself. It never changes,
// but for a call that waits for somebody: its event is asked until he has answered, and
// then gets his answer.
type Event struct {
	Seq       int64  // position in the log, ascending; given by the store
	ID        string // unique for ever, also across stores
	API       string
	Order     Key          // empty: it concerns none
	WorkOrder WorkOrderKey // empty: it concerns none
	Lines     []string     // lines it speaks of; empty: the whole order
	App       string
	At        time.Time // when the call was accepted
	Record    json.RawMessage
	Sealed    contract.Secret // the secret parameters, a JSON object of texts; empty: none, or not asked for. Record has them masked
	Answer    json.RawMessage // the answer's fields, as JSON
	Warnings  []string        // codes of its rule's warnings
	Owed      bool            // of a callback: the platform does not know it
	Asked     bool            // somebody decides about it who has not, or said no: it is delivered to nobody
	Place     int64           // from where it is delivered; Seq, but for one that was asked: where it was settled
	Lane      Lane            // whose events are delivered in order; given by the store

	Session contract.Secret // that its call came with; only in memory
}

// Platform is that of its order; without one, that of its protocol.
func (e *Event) Platform() string {
	if api, ok := contract.ByMethod(e.API); ok && e.Order.Platform == "" && api.Protocol == contract.Suning {
		return Suning
	}
	return cmp.Or(e.Order.Platform, Taobao)
}

// OwnEvent is a kind of event that Ordergate makes itself.
type OwnEvent struct {
	Name   string
	When   string   // it is made
	Params []string // names of its parameters
}

// OwnEventRows lists them.
var OwnEventRows = []OwnEvent{
	{EventRefund, "a virtual line was not shipped within 100 minutes of its payment and is refunded", []string{"line", "paid_at", "supplier_code"}},
	{EventLockViolated, "a locked sub order was shipped all the same", []string{"locks", "sub_order_ids"}},
	{EventLockReleased, "a lock was released", []string{"locks", "sub_order_ids", "code"}},
	{EventLockUnknown, "a merchant was asked for a lock, and nobody knows what he did", []string{"locks", "sub_order_ids", "code"}},
	{AlertOrderStuck, "an order has waited too long for its next step (--alert-stuck)", []string{"stage", "since"}},
	{AlertRefundNear, "lines of an order will soon be refunded automatically (--alert-refund)", []string{"refund_due", "lines"}},
	{AlertDeliveryDead, "a delivery is given up, or held for a person", []string{"delivery", "destination", "event", "api", "reason", "attempts", "held"}},
}

// OwnEvents are their names.
var OwnEvents = func() (names []string) {
	for _, row := range OwnEventRows {
		names = append(names, row.Name)
	}
	return names
}()

// EventTest is the name of the event that a destination is tried with. It is in no log.
const EventTest = "ordergate.test"

// IsOwnEvent reports whether a name is one of theirs.
func IsOwnEvent(name string) bool { return slices.Contains(OwnEvents, name) }

// Record is what an event keeps of its call. Session and sign are never kept.
type Record struct {
	RequestID string
	Format    string
	Digest    string
	Trace     string           // that the call is part of, as the header traceparent says it; empty: it is not traced
	Via       string           // the API of a batch that it came in; empty: it came alone
	Params    []contract.Param // the API's own, as received
}

// JSON encodes the record: {"request_id","format","sign_method","trace","via","params":{…}}.
func (r Record) JSON() json.RawMessage {
	b := append(make([]byte, 0, 512), `{"request_id":`...)
	b = contract.AppendJSONString(b, r.RequestID)
	b = contract.AppendJSONString(append(b, `,"format":`...), r.Format)
	b = contract.AppendJSONString(append(b, `,"sign_method":`...), r.Digest)
	if r.Trace != "" {
		b = contract.AppendJSONString(append(b, `,"trace":`...), r.Trace)
	}
	if r.Via != "" {
		b = contract.AppendJSONString(append(b, `,"via":`...), r.Via)
	}
	return append(appendParams(append(b, `,"params":`...), r.Params), '}')
}

// appendParams writes parameters as a JSON object of texts.
func appendParams(b []byte, params []contract.Param) []byte {
	b = append(b, '{')
	for i, p := range params {
		if i > 0 {
			b = append(b, ',')
		}
		b = contract.AppendJSONString(b, p.Name)
		b = contract.AppendJSONString(append(b, ':'), p.Value)
	}
	return append(b, '}')
}

// kept returns what an event keeps of a call: its record with secret parameters
// masked, and those that it masks.
func (c *Call) kept() (record json.RawMessage, sealed contract.Secret) {
	var secrets []contract.Param
	for _, p := range c.Record.Params {
		if row, known := c.API.Field(p.Name); known && row.Secret {
			secrets = append(secrets, p)
		}
	}
	if secrets == nil {
		return c.Record.JSON(), ""
	}
	masked := c.Record
	masked.Params = c.API.Masked(c.Record.Params)
	return masked.JSON(), contract.Secret(appendParams(nil, secrets))
}

// RequestID is the request_id of its call's answer; empty: it has no call.
func (e *Event) RequestID() string {
	rest, _ := bytes.CutPrefix(e.Record, requestIDMember) // Record.JSON writes it first
	id, _, _ := bytes.Cut(rest, quote)
	return string(id)
}

// Trace is the trace that its call is part of, as the header traceparent says it; empty:
// none.
func (e *Event) Trace() string {
	head, _, _ := bytes.Cut(e.Record, paramsMember)
	_, rest, _ := bytes.Cut(head, traceMember)
	text, _, _ := bytes.Cut(rest, quote)
	return string(text)
}

var (
	requestIDMember = []byte(`{"request_id":"`)
	traceMember     = []byte(`,"trace":"`)
	quote           = []byte(`"`)
)

// Params are the parameters that the event keeps of its call, as JSON; secret ones are
// masked.
func (e *Event) Params() (json.RawMessage, error) {
	// Record.JSON writes them last, behind texts in which a quote is escaped.
	if _, params, ok := bytes.Cut(e.Record, paramsMember); ok && len(params) > 1 && params[0] == '{' && params[len(params)-1] == '}' {
		return params[:len(params)-1], nil
	}
	var record struct{ Params json.RawMessage }
	err := json.Unmarshal(e.Record, &record)
	return record.Params, err
}

var paramsMember = []byte(`,"params":`)

// Values are the parameters that the event keeps of its call, by name: secret ones as far
// as they were opened.
func (e *Event) Values() (map[string]string, error) {
	var record struct{ Params map[string]string }
	if err := json.Unmarshal(e.Record, &record); err != nil {
		return nil, err
	}
	if e.Sealed != "" {
		if err := json.Unmarshal([]byte(e.Sealed), &record.Params); err != nil {
			return nil, err
		}
	}
	return record.Params, nil
}

// NewEventID makes an event's id: 26 letters and digits, 128 random bits.
func NewEventID() string { return rand.Text() }

// Warning is something odd in an accepted call. An event keeps the code.
type Warning struct{ Code, Text string }
