package order

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Event is a fact, accepted from a call or made by Ordergate itself. It never changes,
// but for the answer of a call that waits for a merchant, and for what is owed.
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
	Owed      bool            // a platform must hear of it and has not yet
}

// Record is what an event keeps of its call. Session and sign are never kept.
type Record struct {
	RequestID string
	Format    string
	Digest    string
	Via       string           // the API of a batch that it came in; empty: it came alone
	Params    []contract.Param // the API's own, as received
}

// JSON encodes the record: {"request_id","format","sign_method","via","params":{…}}.
func (r Record) JSON() json.RawMessage {
	b := append(make([]byte, 0, 512), `{"request_id":`...)
	b = contract.AppendJSONString(b, r.RequestID)
	b = contract.AppendJSONString(append(b, `,"format":`...), r.Format)
	b = contract.AppendJSONString(append(b, `,"sign_method":`...), r.Digest)
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

// NewEventID makes an event's id: 26 letters and digits, 128 random bits.
func NewEventID() string { return rand.Text() }

// Warning is something odd in an accepted call. An event keeps the code.
type Warning struct{ Code, Text string }
