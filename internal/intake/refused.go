package intake

import (
	"io"
	"net/http"
	"path"
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

// keepRefused keeps a call that was refused, for people.
func (c *call) keepRefused(refused *contract.Refused, err error) {
	if c.server.Refused == nil {
		return
	}
	kept := order.RefusedCall{
		At: c.now, ID: c.id, Method: clip(c.method), App: clip(c.key), From: c.http.RemoteAddr,
		Code: refused.Code, Sub: refused.SubCode, Text: refused.Text, Reason: err.Error(), Advice: refused.Advice(),
		Verb: c.http.Method, URI: strings.Clone(c.http.RequestURI), Host: c.http.Host, Header: c.http.Header,
		Reverse: path.Clean("/"+c.http.URL.Path) == wire.SPIPath,
	}
	if refused.SubText != "" {
		kept.Text += ": " + refused.SubText
	}
	if c.rule.API != nil && c.request != nil {
		kept.Order, _ = c.rule.API.OrderID(c.request)
	}
	if b, ok := c.http.Body.(*seenBody); ok {
		kept.Body, kept.Cut = string(b.seen), b.cut
	}
	c.server.Refused.Add(kept)
}
