package wire

import (
	"compress/gzip"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/ordergate/ordergate/contract"
)

// Format is how an answer is written.
type Format struct {
	JSON     bool // else XML, TOP's default
	Simplify bool // JSON without the root
	Flat     bool // Qimen: JSON without its root (json2)
}

// Format returns how a call wants its answer, and false when it names a format
// that /router/rest does not have. The answer to that is XML, as is every
// answer given before the format is known to be valid, unless it is json.
func (c *Call) Format() (Format, bool) {
	name, given := c.Given("format")
	switch {
	case !given || name == "xml":
		return Format{}, true
	case name == "json":
		simplify, _ := c.Get("simplify")
		return Format{JSON: true, Simplify: simplify == "true"}, true
	}
	return Format{}, false
}

// String returns the format's name on the wire.
func (f Format) String() string {
	if f.JSON {
		return "json"
	}
	return "xml"
}

// Answer is one written reply.
type Answer struct {
	ContentType string
	Body        []byte
}

// The content types of TOP's answers.
const (
	jsonType = "text/javascript;charset=UTF-8"
	xmlType  = "text/xml;charset=UTF-8"
	prolog   = `<?xml version="1.0" encoding="utf-8" ?>`
)

// Reply writes what an API answers: one root, one line, request_id last.
func (TOP) Reply(f Format, api *contract.API, reply any, requestID string) Answer {
	if !f.JSON {
		b := append(make([]byte, 0, 256), prolog...)
		b = append(append(append(b, '<'), api.Root()...), '>')
		b = api.AppendXML(b, reply)
		b = contract.AppendElement(b, "request_id", requestID)
		return Answer{xmlType, append(append(append(b, "</"...), api.Root()...), '>')}
	}
	b := make([]byte, 0, 128)
	if !f.Simplify {
		b = append(contract.AppendJSONString(append(b, '{'), api.Root()), ':')
	}
	b = api.AppendJSON(append(b, '{'), contract.Shape(f.Simplify), reply)
	b = append(append(append(b, `"request_id":"`...), requestID...), `"}`...)
	if !f.Simplify {
		b = append(b, '}')
	}
	return Answer{jsonType, b}
}

// Refuse writes an answer that says no. JSON is compact and never simplified:
// the vendor's Go SDK looks for error_response in the first 20 bytes.
func (TOP) Refuse(f Format, refused *contract.Refused) Answer {
	fields := []contract.Param{
		{Name: "msg", Value: refused.Text},
		{Name: "sub_code", Value: refused.SubCode},
		{Name: "sub_msg", Value: refused.SubText},
		{Name: "request_id", Value: refused.RequestID},
	}
	if !f.JSON {
		b := append(make([]byte, 0, 256), prolog+"<error_response>"...)
		b = contract.AppendElement(b, "code", refused.Code)
		for _, p := range fields {
			if p.Value != "" {
				b = contract.AppendElement(b, p.Name, p.Value)
			}
		}
		return Answer{xmlType, append(b, "</error_response>"...)}
	}
	b := append(make([]byte, 0, 256), `{"error_response":{"code":`...)
	b = append(b, refused.Code...)
	for _, p := range fields {
		if p.Value != "" {
			b = append(append(append(b, `,"`...), p.Name...), `":`...)
			b = contract.AppendJSONString(b, p.Value)
		}
	}
	return Answer{jsonType, append(b, "}}"...)}
}

// Word words an error for TOP: a fault by its row; an API's refusal as code
// 50 with the row's text in sub_code. Any other error is the platform's own
// failure, and its text stays inside.
func (TOP) Word(_ *contract.API, err error, requestID string) *contract.Refused {
	detail := contract.Detail(err)
	if r, ok := errors.AsType[*contract.Refusal](err); ok {
		envelope := contract.TOPFaults[contract.BusinessRefused]
		if contract.IsBackend(r) {
			envelope = contract.TOPFaults[contract.BackendFailed]
		}
		return &contract.Refused{Code: envelope.Code, Text: envelope.Text, SubCode: r.SubCode(detail), SubText: r.Text, RequestID: requestID, Row: r}
	}
	fault, ok := errors.AsType[contract.Fault](err)
	if !ok || contract.TOPFaults[fault].Code == "" { // or TOP has no word for it
		fault = contract.Unavailable
	}
	row := &contract.TOPFaults[fault]
	return &contract.Refused{
		Code: row.Code, Text: contract.Fill(row.Text, detail),
		SubCode: row.SubCode, SubText: contract.Fill(row.SubText, detail),
		RequestID: requestID, Row: fault,
	}
}

// Write sends an answer with HTTP 200 and the headers that real clients need,
// compressed when the request asks for that.
func (TOP) Write(w http.ResponseWriter, r *http.Request, a Answer) error {
	h := w.Header()
	h["Application-Host"] = hostHeader // one client fails on errors without these two
	h["Location-Host"] = hostHeader
	h["Top-Bodylength"] = []string{strconv.Itoa(len(a.Body))}
	return a.send(w, r)
}

func (a Answer) send(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h["Content-Type"] = []string{a.ContentType}
	if !wantsGzip(r.Header.Get("Accept-Encoding")) {
		h["Content-Length"] = []string{strconv.Itoa(len(a.Body))}
		_, err := w.Write(a.Body)
		return err
	}
	h["Content-Encoding"] = []string{"gzip"}
	z := gzips.Get().(*gzip.Writer)
	defer gzips.Put(z)
	z.Reset(w)
	_, err := z.Write(a.Body)
	return errors.Join(err, z.Close())
}

var (
	hostHeader = []string{"ordergate"}
	gzips      = sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
		return z
	}}
)

// wantsGzip reads Accept-Encoding: gzip is named, and not with q=0.
func wantsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, q, _ := strings.Cut(strings.ToLower(strings.Map(dropSpace, part)), ";")
		if name == "gzip" {
			weight, err := strconv.ParseFloat(strings.TrimPrefix(q, "q="), 64)
			return q == "" || err == nil && weight > 0
		}
	}
	return false
}

func dropSpace(r rune) rune {
	if unicode.IsSpace(r) {
		return -1
	}
	return r
}

// RequestIDHeader is the header in which every answer has its request_id: those included
// whose format has no place for it.
const RequestIDHeader = "X-Request-Id"

// NewRequestID makes a request_id as the platform's: 12 lower-case letters and
// digits.
func NewRequestID() string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	var id [12]byte
	n := rand.Uint64()
	for i := range id {
		id[i] = alphabet[n%36]
		n /= 36
	}
	return string(id[:])
}
