package wire

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/ordergate/ordergate/contract"
)

// SuningPath is where a gateway of Suning answers; the method's name may follow
// it. SuningVersion is the only value of versionNo that its pages name.
const (
	SuningPath    = "/api/http/sopRequest"
	SuningVersion = "v1.2"
)

// Suning is the Suning Open Platform's protocol: docs/protocol/suning.md. The zero
// value works.
type Suning struct {
	// Large has a place for each body over SmallBody that may be in memory; nil
	// does not limit them. A call gives its place back by Release.
	Large chan struct{}
	// Parsing has room for the texts that may be parsed at a time, in bytes: reading
	// them takes many times their size. nil does not limit them; else it must have
	// room for MaxBody.
	Parsing *semaphore.Weighted
}

// SuningCall is one received request: the protocol's parameters from its headers,
// and the body as it came.
type SuningCall struct {
	Method  string // appMethod
	Time    string // appRequestTime
	AppKey  string
	Version string // versionNo
	Sign    string // signInfo
	Token   string // access_token
	Body    string // once it is read

	format string
	place
}

// Names of the protocol's parameters, as its SDKs spell the headers. Servers
// look them up in any case of letters.
const (
	headerMethod  = "AppMethod"
	headerTime    = "AppRequestTime"
	headerKey     = "AppKey"
	headerVersion = "VersionNo"
	headerSign    = "signInfo"
	headerFormat  = "Format"
	headerToken   = "access_token"
)

// Head reads the headers of a request.
func (Suning) Head(r *http.Request) *SuningCall {
	h := r.Header
	return &SuningCall{
		Method: h.Get(headerMethod), Time: h.Get(headerTime), AppKey: h.Get(headerKey), Version: h.Get(headerVersion),
		Sign: h.Get(headerSign), Token: h.Get(headerToken), format: h.Get(headerFormat),
	}
}

// Read reads the body of a call. The error is about [contract.BadRequest] or
// [contract.Busy].
func (p Suning) Read(w http.ResponseWriter, r *http.Request, c *SuningCall) error {
	body := borrow()
	defer giveBack(body)
	if err := c.receive(w, r, body, p.Large); err != nil {
		return unreadable(err)
	}
	c.Body = body.String()
	return nil
}

// Format returns how a call wants its answer, and false when it names a format
// that there is not: the answer to that is XML.
func (c *SuningCall) Format() (Format, bool) {
	switch {
	case contract.Blank(c.format), strings.EqualFold(c.format, "xml"):
		return Format{}, true
	case strings.EqualFold(c.format, "json"):
		return Format{JSON: true}, true
	}
	return Format{}, false
}

// Verify reports whether the call is signed with the secret. The signature is
// over the bytes of the body, whatever they mean.
func (Suning) Verify(c *SuningCall, secret contract.Secret) bool {
	return subtle.ConstantTimeCompare([]byte(SignSuning(secret, c)), []byte(c.Sign)) == 1
}

// SignSuning returns the signature that a call should have: lower-case hex of
// MD5(secret + method + time + key + version + Base64(body)).
func SignSuning(secret contract.Secret, c *SuningCall) string {
	b := scratch.Get().(*[]byte)
	defer giveScratch(b)
	*b = append((*b)[:0], secret...)
	for _, value := range []string{c.Method, c.Time, c.AppKey, c.Version} {
		*b = append(*b, value...)
	}
	*b = base64.StdEncoding.AppendEncode(*b, []byte(c.Body))
	return hexMD5(*b)
}

func hexMD5(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// The elements around a call's content and an answer's.
const (
	requestRoot  = "sn_request"
	responseRoot = "sn_responseContent"
	bodyNode     = "sn_body"
	errorNode    = "sn_error"
)

// Parse reads the body as a request of an API. Strict refuses what is not quite
// JSON. The error is about [contract.BadFormat], [contract.BadRequest],
// [contract.MissingBody] or [contract.SeveralNodes]; then, of the API's rows, about
// [contract.MissingArgument] or [contract.BadArgument].
func (p Suning) Parse(ctx context.Context, c *SuningCall, api *contract.API, strict bool) (request any, err error) {
	if p.Parsing != nil {
		n := int64(len(c.Body))
		if err := p.Parsing.Acquire(ctx, n); err != nil {
			return nil, err
		}
		defer p.Parsing.Release(n)
	}
	content, err := c.content(api, strict)
	if err != nil {
		return nil, err
	}
	return api.DecodeNode(content)
}

// content returns what the body holds for an API.
func (c *SuningCall) content(api *contract.API, strict bool) (*contract.Node, error) {
	format, ok := c.Format()
	if !ok {
		return nil, contract.BadFormat
	}
	root, err := readDocument(format, c.Body, strict)
	if err != nil {
		return nil, contract.About(contract.BadRequest, err.Error())
	}
	body, ok := root.Get(bodyNode)
	switch {
	case !ok:
		return nil, contract.MissingBody
	case root.Count(bodyNode) > 1:
		return nil, contract.SeveralNodes
	case len(body.Parts) == 0 && len(api.Request) == 0: // of an API without parameters the node says nothing
		return body, nil
	case len(body.Parts) > 1:
		return nil, contract.SeveralNodes
	case len(body.Parts) == 0 || body.Parts[0].Name != api.Root():
		return nil, contract.About(contract.BadRequest, "no node "+api.Root())
	}
	content := body.Parts[0].Node
	switch {
	case content.Kind == contract.ListNode && len(content.Parts) > 1:
		return nil, contract.SeveralNodes
	case content.Kind == contract.ListNode && len(content.Parts) == 1:
		content = content.Parts[0].Node
	}
	empty := content.Kind == contract.NullNode || content.Kind == contract.TextNode && contract.Blank(content.Text)
	if content.Kind != contract.ObjectNode && !empty {
		return nil, contract.About(contract.BadRequest, api.Root()+" is no object")
	}
	return content, nil // what is empty holds no fields
}

// readDocument reads a request's root. Bytes that are not UTF-8 become U+FFFD: a
// client that writes GBK signs GBK, and its signature is right.
func readDocument(f Format, body string, strict bool) (*contract.Node, error) {
	text := strings.ToValidUTF8(strings.TrimPrefix(body, string(byteOrderMark)), "\ufffd")
	if !f.JSON {
		name, root, err := readXML(text, true, maxNodes)
		if err == nil && name != requestRoot {
			err = errNoRoot
		}
		return root, err
	}
	if strict && !json.Valid([]byte(text)) {
		return nil, errNotJSON
	}
	document, err := readLenient(text, maxNodes)
	if err != nil {
		return nil, err
	}
	root, ok := document.Get(requestRoot)
	if !ok || document.Kind != contract.ObjectNode || document.Count(requestRoot) > 1 {
		return nil, errNoRoot
	}
	return root, nil
}
