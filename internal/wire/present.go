package wire

import (
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// presentable are the headers whose values people may see.
var presentable = []string{
	"Host", "Content-Type", "Content-Length", "Content-Encoding", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Connection", SeparatorHeader, "Top-Sign-List",
	headerMethod, headerTime, headerKey, headerVersion, headerSign, headerFormat,
}

// Present writes a request as people may see it, whoever sent it and whatever it holds:
// what its decoders read, a parameter a line, with secrets masked by their decoded names.
// What does not decode is not shown.
func Present(raw []byte, reverse bool) string {
	r, err := ParseRequest(raw)
	if err != nil {
		return sizeOf(raw, "no HTTP request")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, clipTo(r.URL.Path, longPath))
	fmt.Fprintf(&b, "Host: %s\n", presented(r.Host))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		value := "…"
		if slices.ContainsFunc(presentable, func(p string) bool { return strings.EqualFold(p, name) }) {
			value = presented(strings.Join(r.Header[name], ", "))
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	b.WriteByte('\n')
	switch {
	case IsSuning(r):
		presentParams(&b, nil, queryOf(r))
		body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody))
		if err != nil {
			return b.String()
		}
		b.WriteString(presentDocument(string(body)))
	case reverse || IsSPI(r):
		presentSPI(&b, r)
	default:
		presentTOP(&b, r)
	}
	return b.String()
}

// longPath is how much of a path is shown, in bytes.
const longPath = 200

func clipTo(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func queryOf(r *http.Request) []contract.Param {
	var in reader
	in.form(r.URL.RawQuery)
	return in.all()
}

func presentTOP(b *strings.Builder, r *http.Request) {
	p, open := TOP{asReceived: true}, TOP.Open
	batch := path.Clean("/"+r.URL.Path) == BatchPath
	if batch {
		open = TOP.OpenBatch
	}
	c, err := open(p, nowhere{}, r)
	method, _ := c.Get("method")
	api, _ := contract.ByMethod(method)
	presentParams(b, api, c.received)
	switch {
	case err != nil:
		b.WriteString("(the body is not read: " + err.Error() + ")")
	case batch:
		calls, err := c.Batch(r.Header.Get(SeparatorHeader))
		if err != nil {
			b.WriteString(sizeOf([]byte(c.Document), "no batch"))
			return
		}
		for i, call := range calls.Calls {
			method, _ := call.Get("method")
			api, _ := contract.ByMethod(method)
			fmt.Fprintf(b, "\ncall %d\n", i+1)
			presentParams(b, api, call.Params)
		}
	case c.Document != "":
		b.WriteString(presentDocument(c.Document))
	}
}

func presentSPI(b *strings.Builder, r *http.Request) {
	c, err := SPI{}.Open(nowhere{}, r)
	for _, p := range slices.Concat(c.query, c.form) {
		presentParams(b, contract.OrderIntercept, []contract.Param{{Name: c.text(p.Name), Value: c.text(p.Value)}})
	}
	if err == nil && c.document != "" {
		b.WriteString(presentDocument(c.text(c.document)))
	}
}

func presentParams(b *strings.Builder, api *contract.API, params []contract.Param) {
	for _, p := range maskParams(api, params) {
		fmt.Fprintf(b, "%s=%s\n", presented(p.Name), p.Value)
	}
}

// maskParams masks parameters by the rows of the protocol and of the API, by the names that
// mean secrets anywhere, and where one stands in a value.
func maskParams(api *contract.API, params []contract.Param) []contract.Param {
	masked := api.Masked(params)
	for i, p := range masked {
		if isSecretName(p.Name) {
			masked[i].Value = contract.Masked
			continue
		}
		masked[i].Value = presented(p.Value)
	}
	return masked
}

// moreSecretNames mean secrets that no contract has, and that people send all the same.
var moreSecretNames = []string{"app_secret", "appsecret", "secret", "client_secret", "authorization", "cookie", "password", "refresh_token", "sessionkey", "session_key", "token"}

func isSecretName(name string) bool {
	is := func(secret string) bool { return strings.EqualFold(secret, strings.TrimSpace(name)) }
	return slices.ContainsFunc(secretNames, is) || slices.ContainsFunc(moreSecretNames, is)
}

// secretInside finds the name of a secret in a text, where a value may follow it: behind
// the name, or as a part of a form.
var secretInside = func() *regexp.Regexp {
	var quoted []string
	for _, name := range slices.Concat(secretNames, moreSecretNames) {
		quoted = append(quoted, regexp.QuoteMeta(name))
	}
	names := `(?:` + strings.Join(quoted, "|") + `)`
	return regexp.MustCompile(`(?i)` + names + `\W{0,8}[:=>]|name\*?\s*=\s*\S*` + names)
}()

var escapedCharacter = regexp.MustCompile(`\\+[ux]([0-9A-Fa-f]{2,4})`)

// holdsSecret reports whether a text names a secret, in any of the ways in which names are
// escaped.
func holdsSecret(text string) bool {
	for range 4 {
		if secretInside.MatchString(text) {
			return true
		}
		plain := text
		if decoded, err := url.QueryUnescape(plain); err == nil {
			plain = decoded
		}
		plain = html.UnescapeString(escapedCharacter.ReplaceAllStringFunc(plain, func(e string) string {
			code, err := strconv.ParseUint(strings.TrimLeft(e, `\ux`), 16, 32)
			if err != nil {
				return e
			}
			return string(rune(code))
		}))
		if plain == text {
			return false
		}
		text = plain
	}
	return true // who escapes that often hides something
}

// presented returns a text that names no secret as it is, and otherwise what of it may be
// seen.
func presented(text string) string {
	if !holdsSecret(text) {
		return text
	}
	if n, err := readLenient(text, maxNodes); err == nil && n.Parts != nil {
		return nodeText(n)
	}
	return contract.Masked
}

// presentDocument writes what a document says, an indented line a part.
func presentDocument(text string) string {
	if contract.Blank(text) {
		return ""
	}
	n, err := anyDocument(text)
	if err != nil {
		return sizeOf([]byte(text), "neither JSON nor XML that can be read")
	}
	return nodeText(n)
}

// anyDocument reads a document of XML or JSON, as far as that is possible. The root element
// of XML is a member like any other.
func anyDocument(text string) (*contract.Node, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, string(byteOrderMark)))
	if !strings.HasPrefix(text, "<") {
		return readLenient(text, maxNodes)
	}
	root, n, err := readXML(text, false, maxNodes)
	if err != nil {
		return nil, err
	}
	return &contract.Node{Kind: contract.ObjectNode, Parts: []contract.Part{{Name: root, Node: n}}}, nil
}

func nodeText(n *contract.Node) string {
	var b strings.Builder
	presentNode(&b, n, "")
	return b.String()
}

func sizeOf(raw []byte, what string) string {
	return fmt.Sprintf("(%d bytes, %s: not shown)", len(raw), what)
}

// presentNode writes a node as JSON.
func presentNode(b *strings.Builder, n *contract.Node, indent string) {
	inner := indent + "  "
	switch {
	case n.Kind == contract.ObjectNode || n.Kind == contract.ListNode:
		open, end := "{", "}"
		if n.Kind == contract.ListNode {
			open, end = "[", "]"
		}
		b.WriteString(open)
		for i, p := range n.Parts {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("\n" + inner)
			if n.Kind == contract.ObjectNode {
				b.Write(contract.AppendJSONString(nil, presented(p.Name)))
				b.WriteString(": ")
			}
			if isSecretName(p.Name) {
				b.WriteString(`"` + contract.Masked + `"`)
				continue
			}
			presentNode(b, p.Node, inner)
		}
		if len(n.Parts) > 0 {
			b.WriteString("\n" + indent)
		}
		b.WriteString(end)
	case n.Kind == contract.TextNode:
		b.Write(contract.AppendJSONString(nil, presented(n.Text)))
	case n.Kind == contract.NullNode:
		b.WriteString("null")
	default:
		b.WriteString(n.Text)
	}
}

// shownDocument is a document in a text that is shown: as it is, unless it holds a secret.
func shownDocument(document string) string {
	if document == "" || !holdsSecret(document) {
		return document
	}
	return fmt.Sprintf("<the %d bytes of the body, whose own MD5 is %s>", len(document), hexMD5([]byte(document)))
}
