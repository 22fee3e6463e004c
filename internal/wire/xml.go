package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// Limits of a document, XML or JSON. A thousand cards have 3,000 nodes.
const (
	maxDepth = 100
	maxNodes = 65_536
)

var (
	errDeep = errors.New("nested too deep")
	errMany = errors.New("too many elements")
)

// readXML reads a document's root element into nodes: no document type, no
// entities but XML's own. Whole says that only comments and white space may follow
// the root; TOP's answers have a comment there that names a host, and anything
// else is let pass. It has at most so many elements.
func readXML(text string, whole bool, most int) (root string, content *contract.Node, err error) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8, whatever it says
	r := xmlReader{most: most}
	for {
		token, err := d.Token()
		if err == io.EOF && r.root != nil {
			return r.name, r.root, nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			err = r.take(token)
		}
		if err != nil {
			return "", nil, err
		}
		if r.root != nil && !whole {
			return r.name, r.root, nil
		}
	}
}

// xmlReader builds nodes from tokens.
type xmlReader struct {
	open  []openElement
	nodes int
	most  int
	name  string
	root  *contract.Node // once it is closed
}

type openElement struct {
	contract.Part
	text []byte
}

func (r *xmlReader) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.Directive:
		return errors.New("a document type is not read")
	case xml.StartElement:
		r.nodes++
		switch {
		case r.root != nil:
			return errors.New("more than one root")
		case len(r.open) == maxDepth:
			return errDeep
		case r.nodes > r.most:
			return errMany
		}
		r.open = append(r.open, openElement{Part: contract.Part{Name: t.Name.Local, Node: &contract.Node{}}})
	case xml.CharData:
		if n := len(r.open); n > 0 {
			r.open[n-1].text = append(r.open[n-1].text, t...)
		} else if len(bytes.TrimSpace(t)) > 0 {
			return errors.New("text outside the root")
		}
	case xml.EndElement:
		n := len(r.open) - 1
		closed := r.open[n]
		closed.Text = string(closed.text)
		if r.open = r.open[:n]; n == 0 {
			r.name, r.root = closed.Name, closed.Node
			return nil
		}
		parent := r.open[n-1].Node
		parent.Kind = contract.ObjectNode
		parent.Parts = append(parent.Parts, closed.Part)
	}
	return nil
}
