package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Explain says whether a request's signature and time hold, and if not, which known
// mistake was made, by the protocol that the request speaks. Reverse says that it is a
// reverse call of Qimen's, as one to its path always is.
func Explain(r *http.Request, reverse bool, secret contract.Secret, now time.Time) (*Finding, error) {
	switch {
	case IsSuning(r):
		return Suning{}.Explain(r, secret, now)
	case reverse || IsSPI(r):
		return SPI{}.Explain(r, secret, now)
	}
	return TOP{}.Explain(r, secret, now)
}

// AppKeyOf is the app whose secret signs a request, as far as it says one. It reads the
// body.
func AppKeyOf(r *http.Request, reverse bool) string {
	switch {
	case IsSuning(r):
		return Suning{}.Head(r).AppKey
	case reverse || IsSPI(r):
		c, _ := SPI{}.Open(nowhere{}, r)
		return c.AppKey()
	}
	c, _ := TOP{}.Open(nowhere{}, r)
	key, _ := c.Get("app_key")
	return key
}

// ParseRequest reads a request as editors, terminals and browsers save it: other
// line ends, a mark or an empty line in front, a line end behind, a length that
// is no longer right, a body that is chunked no more.
func ParseRequest(raw []byte) (*http.Request, error) {
	raw = bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("\ufeff")), "\r\n")
	head, body, found := bytes.Cut(raw, []byte("\r\n\r\n"))
	if other, rest, ok := bytes.Cut(raw, []byte("\n\n")); ok && (!found || len(other) < len(head)) {
		head, body = other, rest
	}
	line, fields, _ := bytes.Cut(head, []byte("\n"))
	line = laterHTTP.ReplaceAll(bytes.TrimRight(line, "\r"), []byte(" HTTP/1.1"))
	open := func(body []byte) (*http.Request, error) {
		return http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(line), strings.NewReader("\r\n"), bytes.NewReader(fields), strings.NewReader("\r\n\r\n"), bytes.NewReader(body))))
	}
	r, err := open(body)
	if err != nil {
		return nil, err
	}
	if len(r.TransferEncoding) > 0 {
		if whole, err := io.ReadAll(r.Body); err == nil {
			body = whole
		}
	}
	n, err := strconv.Atoi(r.Header.Get("Content-Length"))
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if err != nil && strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		n, err = len(bytes.TrimRight(body, "\r\n")), nil // a form holds no line ends
	}
	if err == nil && n < len(body) && len(bytes.TrimRight(body[n:], "\r\n")) == 0 {
		body = body[:n] // a line end of the file's own
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r, nil
}

// laterHTTP is how a request line ends that was not sent by HTTP/1.
var laterHTTP = regexp.MustCompile(` HTTP/[23](\.0)?$`)
