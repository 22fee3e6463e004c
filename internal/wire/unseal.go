package wire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// ErrNotAnswer is an answer body that is none of TOP's shapes: a proxy's page, a
// body cut short, or nothing.
var ErrNotAnswer = errors.New("not an answer of this API")

// Unseal reads an answer: XML or JSON, with root or simplified. The error is a
// *[contract.Refused] when the vendor says no, and [ErrNotAnswer] when the body
// is no answer at all.
func (TOP) Unseal(api *contract.API, body []byte) (reply any, err error) {
	root, fields, err := readAnswer(api.Root(), bytes.TrimSpace(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAnswer, err)
	}
	if root == errorRoot {
		return nil, &contract.Refused{
			Code: fields["code"], Text: fields["msg"], SubCode: fields["sub_code"], SubText: fields["sub_msg"],
			RequestID: fields["request_id"], Row: contract.FindTOP(api, fields["code"], fields["sub_code"]),
		}
	}
	if root != api.Root() && root != "" {
		return nil, fmt.Errorf("%w: root is %q", ErrNotAnswer, root)
	}
	reply, found := api.DecodeReply(func(name string) (string, bool) {
		value, ok := fields[name]
		return value, ok
	})
	if !found {
		return nil, fmt.Errorf("%w: it holds none of its fields", ErrNotAnswer)
	}
	return reply, nil
}

const errorRoot = "error_response"

// readAnswer returns an answer's root and its fields as texts. A simplified
// answer has no root.
func readAnswer(apiRoot string, body []byte) (root string, fields map[string]string, err error) {
	if bytes.HasPrefix(body, []byte("<")) {
		return readXML(body)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		return "", nil, err
	}
	if top == nil {
		return "", nil, errors.New("null")
	}
	for _, name := range []string{errorRoot, apiRoot} {
		if value, ok := top[name]; ok {
			root, top = name, nil
			if err := json.Unmarshal(value, &top); err != nil || top == nil {
				return "", nil, fmt.Errorf("%s is no object", name)
			}
			break
		}
	}
	fields = make(map[string]string, len(top))
	for name, value := range top {
		fields[name] = string(value)
		var text string
		if json.Unmarshal(value, &text) == nil {
			fields[name] = text
		}
	}
	return root, fields, err
}

func readXML(body []byte) (root string, fields map[string]string, err error) {
	fields = map[string]string{}
	d := xml.NewDecoder(bytes.NewReader(body))
	var path []string
	var text strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return "", nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			text.Reset()
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if len(path) == 2 {
				fields[path[1]] = text.String()
			}
			if path = path[:len(path)-1]; len(path) == 0 {
				return t.Name.Local, fields, nil // a comment naming the host may follow
			}
		}
	}
}
