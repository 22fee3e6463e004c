package apply

import (
	"bytes"
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
	if isJSON(data) {
		return d, strictJSON(data, d)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return d, nil
	}
	return d, plain(yaml.Load(data, d, yaml.WithKnownFields()))
}

// ParseOrders reads orders as a JSON array or as NDJSON, one a line.
func ParseOrders(data []byte) ([]Order, error) {
	data = bytes.TrimSpace(data)
	var orders []Order
	if bytes.HasPrefix(data, []byte("[")) {
		return orders, strictJSON(data, &orders)
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var o Order
		if err := strictJSON(line, &o); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, errors.Unwrap(err))
		}
		orders = append(orders, o)
	}
	return orders, nil
}

// ParseJSON reads one item of the format, such as an App.
func ParseJSON(data []byte, item any) error { return strictJSON(data, item) }

func isJSON(data []byte) bool {
	data = bytes.TrimSpace(data)
	return bytes.HasPrefix(data, []byte("{")) || bytes.HasPrefix(data, []byte("["))
}

// strictJSON decodes one JSON value and nothing behind it. Errors are behind
// the line where they were found.
func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("something follows the document")
		}
	}
	if err == nil {
		return nil
	}
	offset := min(int(d.InputOffset()), len(data))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = min(int(syntax.Offset), len(data))
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = min(int(wrong.Offset), len(data))
		err = fmt.Errorf("%s: want %s, not a %s", wrong.Field, wrong.Type.Kind(), wrong.Value)
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(data[:offset], []byte("\n")), err)
}

// plain words the YAML library's errors as ours: line first, no Go types.
func plain(err error) error {
	list, ok := errors.AsType[*yaml.LoadErrors](err)
	if !ok {
		return err
	}
	var lines []error
	for _, e := range list.Errors {
		text := goType.ReplaceAllString(e.Message, "")
		lines = append(lines, fmt.Errorf("line %d: %s", e.Mark.Line, text))
	}
	return errors.Join(lines...)
}

var goType = regexp.MustCompile(` (in|into) type [\w.]+| into [\w.]+`)

// placeholder is ${NAME} in a value.
var placeholder = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// Expand replaces ${NAME} in a document's values by environment variables. An
// unset one is an error. It is for files on the operator's own machine: a
// server never expands what it is sent.
func Expand(data []byte) ([]byte, error) {
	if !placeholder.Match(data) {
		return data, nil
	}
	if isJSON(data) {
		var tree any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&tree); err != nil {
			return nil, err
		}
		tree, err := expandTree(tree)
		if err != nil {
			return nil, err
		}
		return json.Marshal(tree)
	}
	var root yaml.Node
	if err := yaml.Load(data, &root); err != nil {
		return nil, plain(err)
	}
	if err := expandNode(&root); err != nil {
		return nil, err
	}
	return yaml.Dump(&root)
}

func expandTree(tree any) (any, error) {
	var errs []error
	switch v := tree.(type) {
	case string:
		return expandText(v)
	case []any:
		for i := range v {
			var err error
			v[i], err = expandTree(v[i])
			errs = append(errs, err)
		}
	case map[string]any:
		for name := range v {
			var err error
			v[name], err = expandTree(v[name])
			errs = append(errs, err)
		}
	}
	return tree, errors.Join(errs...)
}

func expandNode(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		text, err := expandText(n.Value)
		if err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		if text != n.Value {
			n.SetString(text) // a text, whatever it looks like
		}
		return nil
	}
	var errs []error
	for _, child := range n.Content {
		errs = append(errs, expandNode(child))
	}
	return errors.Join(errs...)
}

func expandText(text string) (string, error) {
	var missing []string
	text = placeholder.ReplaceAllStringFunc(text, func(p string) string {
		name := p[2 : len(p)-1]
		value, ok := os.LookupEnv(name)
		if !ok {
			missing = append(missing, name)
		}
		return value
	})
	if missing != nil {
		return "", fmt.Errorf("environment variable not set: %s", strings.Join(missing, ", "))
	}
	return text, nil
}
