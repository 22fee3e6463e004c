package wire

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ordergate/ordergate/contract"
)

// readLenient reads JSON as vendors' SDKs really write it: strings in single
// quotes, line ends and other control characters within strings, and Python's
// None, True, False, \', \x.. and \U......... Everything that is JSON it reads as
// [contract.ParseJSON] does, but for depth and the number of values.
func readLenient(text string, most int) (*contract.Node, error) {
	r := lenient{text: text, most: most}
	n, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if r.skip(); r.at < len(text) {
		return nil, errLenient
	}
	return n, nil
}

var (
	errLenient = errors.New("not JSON, not even nearly")
	errNotJSON = errors.New("not JSON")
)

type lenient struct {
	text  string
	at    int
	nodes int
	most  int
}

// skip passes white space and returns the byte behind it, 0 at the end.
func (r *lenient) skip() byte {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

func (r *lenient) value(depth int) (*contract.Node, error) {
	r.nodes++
	switch {
	case depth > maxDepth:
		return nil, errDeep
	case r.nodes > r.most:
		return nil, errMany
	}
	switch c := r.skip(); c {
	case '{':
		return r.parts(contract.ObjectNode, '}', depth)
	case '[':
		return r.parts(contract.ListNode, ']', depth)
	case '"', '\'':
		text, err := r.quoted(c)
		return &contract.Node{Kind: contract.TextNode, Text: text}, err
	}
	start := r.at
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n,]}", r.text[r.at]) < 0 {
		r.at++
	}
	word := r.text[start:r.at]
	switch word {
	case "null", "None":
		return &contract.Node{Kind: contract.NullNode, Text: "null"}, nil
	case "true", "True":
		return &contract.Node{Kind: contract.BooleanNode, Text: "true"}, nil
	case "false", "False":
		return &contract.Node{Kind: contract.BooleanNode, Text: "false"}, nil
	}
	n, err := contract.ParseJSON(word)
	if err != nil || n.Kind != contract.NumberNode {
		return nil, errLenient
	}
	return n, nil
}

func (r *lenient) parts(kind contract.NodeKind, end byte, depth int) (*contract.Node, error) {
	n := &contract.Node{Kind: kind}
	start := r.at
	r.at++
	if r.skip() == end {
		r.at++
		n.Text = r.text[start:r.at]
		return n, nil
	}
	for {
		var name string
		if kind == contract.ObjectNode {
			var err error
			if name, err = r.name(); err != nil {
				return nil, err
			}
		}
		part, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Parts = append(n.Parts, contract.Part{Name: name, Node: part})
		c := r.skip()
		r.at++
		switch c {
		case end:
			n.Text = r.text[start:r.at]
			return n, nil
		case ',':
		default:
			return nil, errLenient
		}
	}
}

// name reads a member's name and the colon behind it.
func (r *lenient) name() (string, error) {
	c := r.skip()
	if c != '"' && c != '\'' {
		return "", errLenient
	}
	name, err := r.quoted(c)
	if err != nil {
		return "", err
	}
	if r.skip() != ':' {
		return "", errLenient
	}
	r.at++
	return name, nil
}

// quoted reads a string in quotes of a kind and returns its content.
func (r *lenient) quoted(quote byte) (string, error) {
	r.at++
	start := r.at
	for ; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case quote:
			r.at++
			return r.text[start : r.at-1], nil
		case '\\':
			return r.escaped(start, quote)
		}
	}
	return "", errLenient
}

// escaped reads the rest of a string that holds escapes.
func (r *lenient) escaped(start int, quote byte) (string, error) {
	b := append(make([]byte, 0, 2*(r.at-start)+64), r.text[start:r.at]...)
	for r.at < len(r.text) {
		c := r.text[r.at]
		r.at++
		switch c {
		case quote:
			return string(b), nil
		case '\\':
			var err error
			if b, err = r.escape(b); err != nil {
				return "", err
			}
		default:
			b = append(b, c)
		}
	}
	return "", errLenient
}

// plainEscapes are what one letter behind a backslash stands for.
var plainEscapes = map[byte]byte{'"': '"', '\'': '\'', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hexEscapes are the letters that hex digits follow, and how many.
var hexEscapes = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// escape reads what stands behind a backslash.
func (r *lenient) escape(b []byte) ([]byte, error) {
	if r.at == len(r.text) {
		return nil, errLenient
	}
	c := r.text[r.at]
	r.at++
	if plain, ok := plainEscapes[c]; ok {
		return append(b, plain), nil
	}
	char, ok := r.hex(hexEscapes[c])
	if !ok {
		return nil, errLenient
	}
	if utf16.IsSurrogate(char) && strings.HasPrefix(r.text[r.at:], `\u`) {
		before := r.at
		r.at += 2
		if low, ok := r.hex(4); ok {
			if pair := utf16.DecodeRune(char, low); pair != utf8.RuneError {
				return utf8.AppendRune(b, pair), nil
			}
		}
		r.at = before
	}
	return utf8.AppendRune(b, char), nil // half a pair becomes U+FFFD
}

func (r *lenient) hex(digits int) (rune, bool) {
	if digits == 0 || len(r.text)-r.at < digits {
		return 0, false
	}
	n, err := strconv.ParseUint(r.text[r.at:r.at+digits], 16, 32)
	r.at += digits
	return rune(n), err == nil && n <= utf8.MaxRune
}
