package intake

import (
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// keptBody is how much of a refused call's body is kept, in bytes.
const keptBody = 8 << 10

// seenBody remembers the beginning of a body that is read through it.
type seenBody struct {
	io.ReadCloser
	seen []byte
	cut  bool
}

func (b *seenBody) Read(p []byte) (n int, err error) {
	n, err = b.ReadCloser.Read(p)
	if n > 0 {
		room := min(n, keptBody-len(b.seen))
		b.seen = append(b.seen, p[:room]...)
		b.cut = b.cut || room < n
	}
	return n, err
}

var seenBodies = sync.Pool{New: func() any { return &seenBody{} }}

// watch has the request's body remembered while it is answered.
func watch(r *http.Request) (done func()) {
	b := seenBodies.Get().(*seenBody)
	b.ReadCloser, b.seen, b.cut = r.Body, b.seen[:0], false
	r.Body = b
	return func() {
		r.Body = b.ReadCloser
		b.ReadCloser = nil
		seenBodies.Put(b)
	}
}

// keptHead is how much of a refused call's line and headers is kept, in bytes, and keptText
// how much of each text about it.
const (
	keptHead = 8 << 10
	keptText = 300
)

// keepRefused keeps a call that was refused, for people. Nothing of it may hold on to the
// memory that the call was read into.
func (c *call) keepRefused(refused *contract.Refused, err error) {
	if c.server.Refused == nil {
		return
	}
	kept := order.RefusedCall{
		At: c.now, ID: c.id, Method: copied(c.method), App: copied(c.key), From: c.http.RemoteAddr,
		Code: copied(refused.Code), Sub: copied(refused.SubCode), Text: copied(refused.Text), Reason: copied(err.Error()), Advice: refused.Advice(),
		Reverse: path.Clean("/"+c.http.URL.Path) == wire.SPIPath,
	}
	if refused.SubText != "" {
		kept.Text += ": " + copied(refused.SubText)
	}
	if c.rule.API != nil && c.request != nil {
		number, _ := c.rule.API.OrderID(c.request)
		kept.Order = copied(number)
	}
	kept.Head, kept.Cut = head(c.http)
	if b, ok := c.http.Body.(*seenBody); ok {
		kept.Body, kept.Cut = string(b.seen), kept.Cut || b.cut
	}
	c.server.Refused.Add(kept)
}

// copied is a text of its own, of limited length.
func copied(text string) string {
	if len(text) > keptText {
		return strings.ToValidUTF8(text[:keptText], "") + "…"
	}
	return strings.Clone(text)
}

// head writes a request's line and headers, as far as there is room; cut says that there
// was none for all.
func head(r *http.Request) (text string, cut bool) {
	var b strings.Builder
	line := func(text string) {
		if b.Len()+len(text) > keptHead {
			cut = true
			return
		}
		b.WriteString(text)
	}
	uri := r.RequestURI
	if len(uri) > keptHead*3/4 {
		uri, cut = r.URL.EscapedPath(), true
	}
	line(r.Method + " " + uri + " HTTP/1.1\n")
	line("Host: " + r.Host + "\n")
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if name == "Transfer-Encoding" || name == "Content-Length" { // the body is kept as it was decoded
			continue
		}
		for _, value := range r.Header[name] {
			line(name + ": " + value + "\n")
		}
	}
	return b.String(), cut
}
