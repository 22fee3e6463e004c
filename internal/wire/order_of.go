package wire

import (
	"io"
	"net/http"
	"slices"

	"github.com/ordergate/ordergate/contract"
)

// OrderOf is the number of the order that a raw request says it is about, whether or not
// the rest of it holds; empty when it says none that can be read.
func OrderOf(raw []byte, reverse bool) string {
	r, err := ParseRequest(raw)
	if err != nil {
		return ""
	}
	method, lookup := saidBy(r, reverse)
	api, ok := contract.ByMethod(method)
	if !ok {
		return ""
	}
	for _, f := range api.Request {
		if f.OrderID {
			return lookup(f.Name)
		}
		if i := slices.IndexFunc(f.Fields, func(member contract.Field) bool { return member.OrderID }); i >= 0 {
			if n, err := readLenient(lookup(f.Name), maxNodes); err == nil {
				return textIn(n, f.Fields[i].Name)
			}
		}
	}
	return ""
}

// saidBy returns the method that a request names, and what it says by a name.
func saidBy(r *http.Request, reverse bool) (method string, lookup func(string) string) {
	switch {
	case IsSuning(r):
		body, _ := io.ReadAll(io.LimitReader(r.Body, MaxBody)) // from memory
		n, _ := anyDocument(string(body))                      // what cannot be read says nothing
		return Suning{}.Head(r).Method, func(name string) string { return textIn(n, name) }
	case reverse || IsSPI(r):
		c, _ := SPI{}.Open(nowhere{}, r)
		_ = c.Read() // what cannot be read says nothing
		return c.Get("method"), func(name string) string {
			value, _ := c.Lookup(name)
			return value
		}
	}
	c, _ := TOP{}.Open(nowhere{}, r)
	n, _ := anyDocument(c.Document)
	method, _ = c.Get("method")
	return method, func(name string) string {
		if value, ok := c.Get(name); ok {
			return value
		}
		return textIn(n, name)
	}
}

// textIn finds the first text of a name in a tree; nothing in none.
func textIn(n *contract.Node, name string) string {
	if n == nil {
		return ""
	}
	for _, p := range n.Parts {
		if p.Name == name && p.Parts == nil {
			return p.Text
		}
		if found := textIn(p.Node, name); found != "" {
			return found
		}
	}
	return ""
}
