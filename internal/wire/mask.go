package wire

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// secretNames are the names by which secrets travel, of every API and protocol.
var secretNames = func() (names []string) {
	var collect func([]contract.Field)
	collect = func(rows []contract.Field) {
		for _, f := range rows {
			if f.Secret && !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
			collect(f.Fields)
		}
	}
	collect(contract.TOPParams)
	for _, api := range contract.All {
		collect(api.Request)
	}
	return append(names, headerToken)
}()

// masks are what is written around secrets: a header, a form's pair, a part of a
// multipart form, a member of JSON, an element of XML.
var masks = func() (all []*regexp.Regexp) {
	quoted := make([]string, len(secretNames))
	for i, name := range secretNames {
		quoted[i] = regexp.QuoteMeta(name)
	}
	name := "(?:" + strings.Join(quoted, "|") + ")"
	for _, pattern := range []string{
		`(?mi)^((?:authorization|cookie|` + regexp.QuoteMeta(headerToken) + `):[ \t]*)[^\r\n]+`,
		`(?m)((?:^|[?&\s])` + name + `=)[^&\s]*`,
		`(?mi)(;\s*name="?` + name + `"?[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n)[^\r\n]*`,
		`(["']` + name + `\\?["']\s*:\s*)(?:\\?"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,"'\[{}\]]+)`,
		`(<` + name + `>)[^<]*`,
	} {
		all = append(all, regexp.MustCompile(pattern))
	}
	return all
}()

// Mask masks the secrets in the text of a request or an answer that was made here. What
// others have sent is for [Present]: it may write names as it likes.
func Mask(text string) string {
	for _, m := range masks {
		text = m.ReplaceAllString(text, "${1}"+contract.Masked)
	}
	return text
}

// Shown is a request as people may see it.
type Shown struct {
	Request string // its bytes, secrets masked
	Signed  string // what is signed, and how, secrets masked
}

// Show returns a sealed request as people may see it. It leaves the request as it is.
func Show(m Message, s Sealed) (Shown, error) {
	var raw bytes.Buffer
	body, err := s.Request.GetBody()
	if err != nil {
		return Shown{}, err
	}
	r := s.Request.Clone(s.Request.Context())
	r.Body = body
	if err := r.Write(&raw); err != nil {
		return Shown{}, err
	}
	shown := Shown{Request: decoded(Mask(strings.ReplaceAll(raw.String(), "\r\n", "\n")))}
	again, err := http.NewRequest(r.Method, r.URL.String(), nil)
	if err != nil {
		return Shown{}, err
	}
	if again.Body, err = s.Request.GetBody(); err != nil {
		return Shown{}, err
	}
	again.ContentLength = r.ContentLength
	for name, values := range r.Header { // as a server reads them
		again.Header[http.CanonicalHeaderKey(name)] = values
	}
	found, err := Explain(again, false, m.Secret, m.Time)
	if err != nil {
		return Shown{}, err
	}
	shown.Signed = found.Signed
	return shown, nil
}

// decoded adds what a form says behind its bytes, which nobody reads.
func decoded(raw string) string {
	head, body, _ := strings.Cut(raw, "\n\n")
	if !strings.Contains(head, "application/x-www-form-urlencoded") || body == "" {
		return raw
	}
	var b strings.Builder
	for pair := range strings.SplitSeq(body, "&") {
		if text, err := url.QueryUnescape(pair); err == nil && text != pair {
			b.WriteString("\n# " + strings.ReplaceAll(text, "\n", " "))
		}
	}
	if b.Len() == 0 {
		return raw
	}
	return raw + "\n" + b.String()
}

// Rebuild makes a request like the one that a call came in, of what is kept of it:
// session and signature are not, and stand masked.
func Rebuild(m Message) (Shown, error) {
	if m.Session != "" {
		m.Session = contract.Masked
	}
	m.Secret = contract.Masked
	p := Of(m.API)
	if m.URL == "" {
		target, err := p.Target("http://gateway")
		if err != nil {
			return Shown{}, err
		}
		m.URL = target
	}
	params := slices.Clone(m.Params)
	for i, param := range params { // what is masked whole is no JSON any more
		if f, ok := m.API.Field(param.Name); ok && f.Fields != nil && param.Value == contract.Masked {
			params[i].Value = `"` + contract.Masked + `"`
		}
	}
	m.Params = params
	s, err := p.Seal(context.Background(), m)
	if err != nil {
		return Shown{}, err
	}
	shown, err := Show(m, s)
	shown.Request = signMask.ReplaceAllString(shown.Request, "${1}"+contract.Masked)
	return shown, err
}

var signMask = regexp.MustCompile(`((?:[?&]sign=|` + headerSign + `: ))[0-9A-Fa-f]+`)

// FormatOf reads what an event keeps of a call's format.
func FormatOf(name string) Format { return Format{JSON: strings.HasPrefix(name, "json")} }
