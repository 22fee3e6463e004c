package wire

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/ordergate/ordergate/contract"
)

// SPIPath is where Ordergate takes Qimen's reverse calls.
const SPIPath = "/spi/qimen"

// SPI is the protocol by which Qimen calls a merchant: docs/protocol/qimen.md 3. Its
// signature is another than TOP's. The zero value works.
type SPI struct {
	// Large has a place for each body over SmallBody that may be in memory; nil
	// does not limit them. A call gives its place back by Release.
	Large chan struct{}
	// API is what is called, once that is known: it shapes the answers that say no.
	API *contract.API
}

// SPICall is one reverse call, opened.
type SPICall struct {
	Verb string
	place

	query    []contract.Param // as bytes, of each name the last
	form     []contract.Param // as bytes; nil when the body is a document
	rawForm  string           // the same as it was sent
	headers  []contract.Param // that are signed
	document string           // as bytes
	charset  encoding.Encoding
	params   []contract.Param // what the call says, as text, once it is read
	broken   bool
}

// signList names the headers that a call's signature covers.
const signList = "top-sign-list"

// Open reads a request. The call is never nil; the error is about
// [contract.BadRequest] or [contract.Busy].
func (p SPI) Open(w http.ResponseWriter, r *http.Request) (*SPICall, error) {
	kind, charset := contentType(r.Header.Get("Content-Type"))
	c := &SPICall{Verb: r.Method, charset: charset}
	body := borrow()
	defer giveBack(body)
	err := c.receive(w, r, body, p.Large)
	var query, form reader
	query.form(r.URL.RawQuery)
	c.broken = query.broken // an escape is; what bytes mean, the charset says
	c.query = lastOfEach(query.all())
	if err == nil && isForm(kind, body.Bytes()) {
		c.rawForm = body.String()
		form.form(c.rawForm)
		c.broken = c.broken || form.broken
		c.form = form.all()
	} else if err == nil {
		c.document = body.String()
	}
	if err == nil && len(query.spans)+len(form.spans) > MaxParams {
		err = errTooMany
	}
	if err == nil {
		err = c.readHeaders(r.Header)
	}
	if err != nil {
		return c, unreadable(err)
	}
	return c, nil
}

// What the headers that a call signs may be: names, and bytes in all. A header of
// many names in another case each would else be as many copies.
const (
	maxSigned      = 100
	maxSignedBytes = 64 << 10
)

// readHeaders reads the headers that are signed, each once.
func (c *SPICall) readHeaders(h http.Header) error {
	seen, size := map[string]bool{}, 0
	for name := range strings.SplitSeq(h.Get(signList), ",") {
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		raw := h.Get(name)
		if size += len(name) + len(raw); len(seen) > maxSigned || size > maxSignedBytes {
			return errors.New("too many signed headers")
		}
		value, err := url.QueryUnescape(raw)
		c.broken = c.broken || err != nil
		c.headers = append(c.headers, contract.Param{Name: name, Value: value})
	}
	return nil
}

// contentType returns a content type without its attributes, and its charset.
func contentType(header string) (kind string, charset encoding.Encoding) {
	kind, _, _ = strings.Cut(header, ";")
	if _, attributes, err := mime.ParseMediaType(header); err == nil && strings.HasPrefix(strings.ToLower(attributes["charset"]), "gb") {
		charset = simplifiedchinese.GB18030 // what GBK and GB2312 have is the same in it
	}
	return strings.ToLower(strings.TrimSpace(kind)), charset
}

// isForm reports whether a body is a form. Without a content type its first byte
// tells.
func isForm(kind string, body []byte) bool {
	if kind != "" {
		return kind == "application/x-www-form-urlencoded"
	}
	text := bytes.TrimSpace(body)
	return len(text) > 0 && text[0] != '{' && text[0] != '<'
}

// lastOfEach keeps the last value of each name, as the platform's own code does.
func lastOfEach(params []contract.Param) []contract.Param {
	slices.Reverse(params)
	return firstOfEach(params)
}

func firstOfEach(params []contract.Param) []contract.Param {
	slices.SortStableFunc(params, byName)
	return slices.CompactFunc(params, func(a, b contract.Param) bool { return a.Name == b.Name })
}

// Get returns a parameter of the query as text, where the protocol's own stand.
func (c *SPICall) Get(name string) string {
	for _, p := range c.query {
		if p.Name == name {
			return c.text(p.Value)
		}
	}
	return ""
}

func (c *SPICall) text(raw string) string { return inUTF8(c.charset, raw) }

// InUTF8 returns a text in UTF-8 that came in the charset of a content type. What the
// charset does not have becomes U+FFFD.
func InUTF8(contentTypeOf, text string) string {
	_, charset := contentType(contentTypeOf)
	return inUTF8(charset, text)
}

func inUTF8(charset encoding.Encoding, text string) string {
	if charset != nil {
		if decoded, err := charset.NewDecoder().String(text); err == nil {
			text = decoded
		}
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

// AppKey names the app whose secret signs the call: the merchant who is called, else
// who calls.
func (c *SPICall) AppKey() string {
	if key := c.Get("target_app_key"); !contract.Blank(key) {
		return key
	}
	return c.Get("app_key")
}

// Read reads what the call says. The error is about [contract.BadRequest] or
// [contract.BadEncoding].
func (c *SPICall) Read() error {
	if c.broken {
		return contract.About(contract.BadRequest, "a broken %-escape")
	}
	if c.charset == nil && !utf8.ValidString(c.document) {
		return contract.BadEncoding
	}
	document, err := documentParams(c.text(c.document))
	if err != nil {
		return err
	}
	c.params = document
	for _, p := range firstOfEach(slices.Clone(c.form)) {
		c.params = append(c.params, contract.Param{Name: c.text(p.Name), Value: c.text(p.Value)})
	}
	slices.Reverse(c.params) // of a document the last of a name counts
	return nil
}

// Signed is the text that the signature covers, for logs: with the session masked.
func (c *SPICall) Signed() string {
	return c.text(SignedText(maskParams(contract.OrderIntercept, c.signed()), ""))
}

// Lookup returns what the call says by a name: in its query, else in its body.
func (c *SPICall) Lookup(name string) (value string, ok bool) {
	if i := slices.IndexFunc(c.query, func(p contract.Param) bool { return p.Name == name }); i >= 0 {
		return c.text(c.query[i].Value), true
	}
	if i := slices.IndexFunc(c.params, func(p contract.Param) bool { return p.Name == name }); i >= 0 {
		return c.params[i].Value, true
	}
	return "", false
}

// Format returns how the call wants its answer; when it does not say, as it came.
func (c *SPICall) Format() Format {
	switch c.Get("format") {
	case "xml", "xml2":
		return Format{}
	case "json", "json2":
		return Format{JSON: true}
	}
	return Format{JSON: !strings.HasPrefix(strings.TrimSpace(c.document), "<")}
}

// Verify reports whether the call is signed with the secret: always by MD5, whatever
// its sign_method says.
func (SPI) Verify(c *SPICall, secret contract.Secret) bool {
	return subtle.ConstantTimeCompare([]byte(SignSPI(secret, c.signed(), c.document)), []byte(c.Get("sign"))) == 1
}

// signed are the parameters that the signature covers, sorted: headers, form, query.
func (c *SPICall) signed() []contract.Param { return merged(c.headers, c.form, c.query) }

// merged merges lists of parameters: of one name the last list counts.
func merged(lists ...[]contract.Param) []contract.Param {
	var signed []contract.Param
	for _, over := range lists {
		signed = slices.DeleteFunc(slices.Clone(signed), func(p contract.Param) bool {
			return slices.ContainsFunc(over, func(q contract.Param) bool { return p.Name == q.Name })
		})
		signed = append(signed, firstOfEach(slices.Clone(over))...)
	}
	slices.SortStableFunc(signed, byName)
	return signed
}

// SignSPI returns the signature of a reverse call: by MD5, over everything that is
// signed, empty values included, and the body. The order of the parameters does not
// count.
func SignSPI(secret contract.Secret, params []contract.Param, document string) string {
	return Sign(MD5, secret, SignedText(slices.SortedStableFunc(slices.Values(params), byName), document))
}

// Fresh reports whether the call's time is no more than age before now. A time to
// come is taken: clocks differ.
func (c *SPICall) Fresh(now time.Time, age time.Duration) bool {
	at, ok := ParseTimestamp(c.Get("timestamp"))
	return ok && Off(now, at) <= age
}

// Seal signs a message as Qimen does and makes its HTTP request: the protocol's
// parameters in the URL, the request as a JSON document. Params are not looked at.
func (p SPI) Seal(ctx context.Context, m Message, request any) (Sealed, error) {
	document := string(m.API.RequestJSON(request))
	query := []contract.Param{
		{Name: "app_key", Value: m.AppKey}, {Name: "format", Value: Format{JSON: true}.String()}, {Name: "method", Value: m.API.Method},
		{Name: "sign_method", Value: string(MD5)}, {Name: "target_app_key", Value: m.Target},
		{Name: "timestamp", Value: m.Time.In(contract.Zone).Format(contract.TimeLayout)}, {Name: "v", Value: TOPVersion},
	}
	target, err := url.Parse(m.URL)
	if err != nil {
		return Sealed{}, err
	}
	var own reader
	own.form(target.RawQuery) // an endpoint's own parameters are signed, too
	query = without(firstOfEach(append(query, own.all()...)), "sign")
	signed := SignedText(query, document)
	target.RawQuery = encodeForm(append(query, contract.Param{Name: "sign", Value: SignSPI(m.Secret, query, document)}))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(document))
	if err != nil {
		return Sealed{}, err
	}
	r.Header.Set("Content-Type", suningJSON)
	r.Header.Set("User-Agent", "ordergate")
	return Sealed{Request: r, Signed: formula(MD5, signed)}, nil
}
