package apply

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Parse reads a document in YAML or JSON. A field that the format does not have
// is an error that names its line.
func Parse(data []byte) (*Document, error) {
	d := &Document{}
	return d, ParseItem(data, d)
}

// ParseItem reads one item of the format, such as an App.
func ParseItem(data []byte, item any) error {
	root, err := tree(data, 1)
	if err != nil {
		return err
	}
	return load(root, item)
}

// ParseOrders reads orders as a JSON array or as NDJSON, one a line.
func ParseOrders(data []byte) ([]Order, error) {
	var orders []Order
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return orders, ParseItem(data, &orders)
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		root, err := jsonTree(line, number)
		if err != nil {
			return nil, err
		}
		var o Order
		if err := load(root, &o); err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, nil
}

// Expand reads a document in which ${NAME} stands for environment variables. An
// unset one is an error. It also returns the document as text with the values
// filled in. It is for files on the operator's own machine: a server never
// expands what it is sent.
func Expand(data []byte) (*Document, []byte, error) {
	root, err := tree(data, 1)
	if err != nil {
		return nil, nil, err
	}
	if err := expand(root); err != nil {
		return nil, nil, err
	}
	d := &Document{}
	if err := load(root, d); err != nil {
		return nil, nil, err
	}
	text, err := yaml.Dump(root)
	return d, text, err
}

// tree reads YAML or JSON into one kind of tree, whose nodes know their lines.
func tree(data []byte, line int) (*yaml.Node, error) {
	text := bytes.TrimSpace(data)
	if bytes.HasPrefix(text, []byte("{")) || bytes.HasPrefix(text, []byte("[")) {
		return jsonTree(data, line)
	}
	if isEmpty(text) {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1}, nil
	}
	root := &yaml.Node{}
	return root, plain(yaml.Load(data, root))
}

// isEmpty reports whether a YAML document has nothing but comments.
func isEmpty(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

func load(root *yaml.Node, v any) error { return plain(root.Load(v, yaml.WithKnownFields())) }

// jsonTree reads one JSON value and nothing behind it.
func jsonTree(data []byte, line int) (*yaml.Node, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	r := jsonReader{decoder: d, data: data, line: line}
	root, err := r.value()
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("something follows the document")
		}
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", r.position(), err)
	}
	return root, nil
}

// jsonReader makes nodes of JSON's tokens. Numbers keep their digits.
type jsonReader struct {
	decoder *json.Decoder
	data    []byte
	seen    int // bytes of which lines are counted
	line    int
}

// position returns the line that has been read to.
func (r *jsonReader) position() int {
	offset := min(int(r.decoder.InputOffset()), len(r.data))
	r.line += bytes.Count(r.data[r.seen:offset], []byte("\n"))
	r.seen = offset
	return r.line
}

func (r *jsonReader) value() (*yaml.Node, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.position()}
	switch t := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for r.decoder.More() {
			child, err := r.value()
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err = r.decoder.Token() // the closing one
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!float", t.String()
		switch {
		case !number.MatchString(n.Value):
		case len(n.Value) < 19:
			n.Tag = "!!int"
		default: // no int64: an order number without its quotes
			n.Tag = "!!str"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, err
}

// plain words the YAML library's errors as ours: line first, no Go types.
func plain(err error) error {
	var found []*yaml.LoadError
	if list, ok := errors.AsType[*yaml.LoadErrors](err); ok {
		found = list.Errors
	} else if one, ok := errors.AsType[*yaml.LoadError](err); ok {
		found = []*yaml.LoadError{one}
	}
	if found == nil {
		return err
	}
	var lines []error
	for _, e := range found {
		text := valueShown.ReplaceAllString(goType.ReplaceAllString(e.Message, ""), "")
		if tag, ok := strings.CutPrefix(text, "cannot construct "); ok {
			text = "another kind of value belongs here than " + cmp.Or(kindNames[tag], "this one")
		}
		if e.Mark.Line > 0 {
			text = fmt.Sprintf("line %d: %s", e.Mark.Line, text)
		}
		lines = append(lines, errors.New(text))
	}
	return errors.Join(lines...)
}

// kindNames are what YAML's kinds of values are called.
var kindNames = map[string]string{"!!str": "a text", "!!int": "a number", "!!float": "a number", "!!bool": "true or false", "!!seq": "a list", "!!map": "a mapping", "!!null": "nothing", "!!timestamp": "a time"}

// valueShown is the beginning of a value in an error of the library: it may be a secret.
var valueShown = regexp.MustCompile(" `[^`]*`")

var goType = regexp.MustCompile(` (in|into) (type )?[\[\]*]*[a-z]+(\.\w+)?$`)

// placeholder is ${NAME} in a value.
var placeholder = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// number is a value that stays a number when it comes from the environment.
var number = regexp.MustCompile(`^-?\d+$`)

func expand(n *yaml.Node) error {
	var errs []error
	for _, child := range n.Content {
		errs = append(errs, expand(child))
	}
	if n.Kind != yaml.ScalarNode || !placeholder.MatchString(n.Value) {
		return errors.Join(errs...)
	}
	var missing []string
	n.Value = placeholder.ReplaceAllStringFunc(n.Value, func(p string) string {
		name := p[2 : len(p)-1]
		value, ok := os.LookupEnv(name)
		if !ok {
			missing = append(missing, name)
		}
		return value
	})
	if missing != nil {
		return fmt.Errorf("line %d: environment variable not set: %s", n.Line, strings.Join(missing, ", "))
	}
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Tag = "!!str"; n.Style&quoted == 0 && number.MatchString(n.Value) {
		n.Tag = "!!int"
	}
	return nil
}
