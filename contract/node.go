package contract

import (
	"encoding/json"
	"errors"
	"strings"
)

// Node is a value as it came in XML or JSON: a text, or parts.
type Node struct {
	Kind  NodeKind
	Text  string // as written: a JSON string's content, a number's digits; of a JSON object or list its text
	Parts []Part // of an object its members, in their order; of a list its items, without names
}

// Part is a named node in another.
type Part struct {
	Name string
	*Node
}

// NodeKind tells nodes apart. XML knows no lists: there a name is repeated.
type NodeKind int

// The kinds of nodes.
const (
	TextNode NodeKind = iota
	NumberNode
	BooleanNode
	NullNode
	ObjectNode
	ListNode
)

// Get returns the last part of a name: in JSON that is the one that counts. A
// null is none.
func (n *Node) Get(name string) (*Node, bool) {
	for i := len(n.Parts) - 1; i >= 0; i-- {
		if p := &n.Parts[i]; p.Name == name {
			return p.Node, p.Kind != NullNode
		}
	}
	return nil, false
}

// Count returns how many parts have a name, nulls left out.
func (n *Node) Count(name string) int { return len(n.all(name)) }

func (n *Node) all(name string) []*Node {
	var found []*Node
	for i := range n.Parts {
		if p := &n.Parts[i]; p.Name == name && p.Kind != NullNode {
			found = append(found, p.Node)
		}
	}
	return found
}

// ParseJSON reads a JSON text.
func ParseJSON(text string) (*Node, error) {
	if !json.Valid([]byte(text)) {
		return nil, errors.New("not JSON")
	}
	r := jsonReader{text: text}
	return r.value(), nil
}

// jsonReader walks a text that is known to be valid.
type jsonReader struct {
	text string
	at   int
}

// next returns the next byte that is not white space, without taking it.
func (r *jsonReader) next() byte {
	for {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return c
		}
	}
}

func (r *jsonReader) value() *Node {
	switch c := r.next(); c {
	case '{':
		return r.parts(ObjectNode, '}')
	case '[':
		return r.parts(ListNode, ']')
	case '"':
		return &Node{Kind: TextNode, Text: r.string()}
	default:
		start := r.at
		for r.at < len(r.text) && !strings.ContainsRune(" \t\r\n,]}", rune(r.text[r.at])) {
			r.at++
		}
		return &Node{Kind: literals[c], Text: r.text[start:r.at]}
	}
}

// literals are the kinds of what is neither string nor object nor list, by its
// first byte. Any other is a number.
var literals = func() (kinds [256]NodeKind) {
	for i := range kinds {
		kinds[i] = NumberNode
	}
	kinds['t'], kinds['f'], kinds['n'] = BooleanNode, BooleanNode, NullNode
	return kinds
}()

func (r *jsonReader) parts(kind NodeKind, end byte) *Node {
	n := &Node{Kind: kind}
	start := r.at
	r.at++
	for c := r.next(); c != end; c = r.next() {
		if c == ',' {
			r.at++
			continue
		}
		var name string
		if kind == ObjectNode {
			name = r.string()
			r.next() // the colon
			r.at++
		}
		n.Parts = append(n.Parts, Part{name, r.value()})
	}
	r.at++
	n.Text = r.text[start:r.at]
	return n
}

// string reads a string and returns its content.
func (r *jsonReader) string() string {
	start, escaped := r.at, false
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			escaped = true
			r.at++
		}
	}
	r.at++
	if !escaped {
		return r.text[start+1 : r.at-1]
	}
	var s string
	_ = json.Unmarshal([]byte(r.text[start:r.at]), &s) // it is valid
	return s
}
