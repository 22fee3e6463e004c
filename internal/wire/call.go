package wire

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// TOPPath is where a gateway of TOP answers, and TOPVersion the only value of v.
const (
	TOPPath    = "/router/rest"
	TOPVersion = "2.0"
)

// TOP is the Taobao Open Platform's protocol. The zero value works.
type TOP struct {
	// Large has a place for each body over SmallBody that may be in memory; nil
	// does not limit them. A call gives its place back by Release.
	Large chan struct{}

	asReceived bool // calls keep their parameters as they were received
}

// Call is one received request, opened: its parameters wherever they were
// placed, decoded and otherwise as they came.
type Call struct {
	Verb     string
	Params   []contract.Param // sorted by name, one value a name
	Document string           // body that is neither form nor multipart; signed as sent
	Files    bool             // it uploads files, which are neither signed nor parameters
	Broken   bool             // a parameter does not decode
	Overfull bool             // of a batch: it has more than MaxParams parameters

	place
	received []contract.Param // in their order, repeats included; the first inQuery stood in the URL
	inQuery  int
}

// Get returns a parameter as it was received.
func (c *Call) Get(name string) (value string, ok bool) {
	i, ok := slices.BinarySearchFunc(c.Params, name, func(p contract.Param, name string) int {
		return strings.Compare(p.Name, name)
	})
	if !ok {
		return "", false
	}
	return c.Params[i].Value, true
}

// Given returns a parameter that is not blank.
func (c *Call) Given(name string) (value string, ok bool) {
	value, _ = c.Get(name)
	return value, !contract.Blank(value)
}

var errTooMany = errors.New("too many parameters")

// Open reads a request from query and body: URL, form, multipart or document,
// with any verb. The call is never nil: when the error is about
// [contract.BadRequest] or [contract.Busy] it holds what the URL says.
func (p TOP) Open(w http.ResponseWriter, r *http.Request) (*Call, error) {
	return p.open(w, r, r.Header.Get("Content-Type"))
}

func (p TOP) open(w http.ResponseWriter, r *http.Request, contentType string) (*Call, error) {
	c := &Call{Verb: r.Method}
	var in reader
	body := borrow()
	defer giveBack(body)
	err := c.receive(w, r, body, p.Large)
	in.text.Grow(len(r.URL.RawQuery) + body.Len())
	in.spans = make([]span, 0, 24)
	in.form(r.URL.RawQuery)
	c.inQuery = len(in.spans)
	if err == nil && body.Len() > 0 {
		err = c.readBody(&in, contentType, body)
	}
	if err == nil && len(in.spans) > MaxParams {
		err = errTooMany
	}
	if p.asReceived {
		c.received = in.all()
	}
	c.Params = in.params()
	c.Broken = in.broken
	if err != nil {
		err = unreadable(err)
	}
	return c, err
}

// readBody adds a body's parameters by its content type. Without one, and as
// the form that real clients forget to announce, it is a form.
func (c *Call) readBody(in *reader, contentType string, body *bytes.Buffer) error {
	kind, _, _ := strings.Cut(contentType, ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case "", "application/x-www-form-urlencoded":
		in.form(body.String())
		return nil
	case "multipart/form-data":
		return c.readParts(in, contentType, body)
	}
	c.Document = body.String()
	return nil
}

func (c *Call) readParts(in *reader, contentType string, body io.Reader) error {
	_, attributes, err := mime.ParseMediaType(contentType)
	if err != nil {
		return err
	}
	parts := multipart.NewReader(body, attributes["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		// PHP writes filename="file" with a blank behind it; ParseMediaType takes that.
		_, disposition, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			return err
		}
		if _, file := disposition["filename"]; file {
			c.Files = true
			continue
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		in.plain(disposition["name"], string(value))
		if len(in.spans) > MaxParams {
			return errTooMany
		}
	}
}
