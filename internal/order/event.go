package order

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Event is an immutable fact, accepted from a call.
type Event struct {
	Seq      int64  // position in the log, ascending; given by the store
	ID       string // unique for ever, also across stores
	API      string
	Order    Key
	Lines    []string // lines it speaks of; empty: the whole order
	App      string
	At       time.Time // when the call was accepted
	Record   json.RawMessage
	Answer   json.RawMessage // the answer's fields, as JSON
	Warnings []string        // codes of Warnings
}

// Record is what an event keeps of its call. Session and sign are never kept.
type Record struct {
	RequestID string
	Format    string
	Digest    string
	Params    []contract.Param // the API's own, as received
}

// JSON encodes the record: {"request_id","format","sign_method","params":{…}}.
func (r Record) JSON() json.RawMessage {
	b := append(make([]byte, 0, 512), `{"request_id":`...)
	b = contract.AppendJSONString(b, r.RequestID)
	b = contract.AppendJSONString(append(b, `,"format":`...), r.Format)
	b = contract.AppendJSONString(append(b, `,"sign_method":`...), r.Digest)
	b = append(b, `,"params":{`...)
	for i, p := range r.Params {
		if i > 0 {
			b = append(b, ',')
		}
		b = contract.AppendJSONString(b, p.Name)
		b = contract.AppendJSONString(append(b, ':'), p.Value)
	}
	return append(b, "}}"...)
}

// NewEventID makes an event's id: 26 letters and digits, 128 random bits.
func NewEventID() string { return rand.Text() }

// Warning is something odd in an accepted call.
type Warning struct{ Code, Text string }

// The warnings. An event keeps the codes.
var (
	WarnStepOrder    = Warning{"step-order", "an earlier step is reported after a later one"}
	WarnNotGiven     = Warning{"not-given", "a field is absent that the page asks for (需要填)"}
	WarnNickAlone    = Warning{"nick-without-platform", "the page asks for platform wherever nick is given; nick was ignored"}
	WarnPlatformCode = Warning{"platform-unlisted", "platform is none of the codes on the page"}
)

// Warnings lists them all, for the documents.
var Warnings = []Warning{WarnStepOrder, WarnNotGiven, WarnNickAlone, WarnPlatformCode}
