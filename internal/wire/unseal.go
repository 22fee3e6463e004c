package wire

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/ordergate/ordergate/contract"
)

// ErrNotAnswer is an answer body that is none of TOP's shapes: a proxy's page, a
// body cut short, or nothing.
var ErrNotAnswer = errors.New("not an answer of this API")

// Unseal reads an answer: XML or JSON, with root or simplified, or in one of Qimen's
// shapes. The error is a *[contract.Refused] when the vendor says no, and
// [ErrNotAnswer] when the body is no answer at all.
func (TOP) Unseal(api *contract.API, body []byte) (reply any, err error) {
	root, content, err := readAnswer(api, bytes.TrimSpace(bytes.TrimPrefix(body, byteOrderMark)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAnswer, err)
	}
	if root == errorRoot {
		code, subCode := textOf(content, "code"), textOf(content, "sub_code")
		return nil, &contract.Refused{
			Code: code, Text: textOf(content, "msg"), SubCode: subCode, SubText: textOf(content, "sub_msg"),
			RequestID: textOf(content, "request_id"), Row: contract.FindTOP(api, code, subCode),
		}
	}
	reply, found := api.DecodeReply(content)
	if (root == qimenRoot || root == "" && api.Reverse) && (!found || len(api.Reply) == 0) {
		if refused := refusedByQimen(api, content); refused != nil {
			return nil, refused
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: it holds none of its fields", ErrNotAnswer)
	}
	return reply, nil
}

// isJSON reports how an answer is written, which need not be how it was asked for.
func isJSON(body []byte) bool { return !bytes.HasPrefix(body, []byte("<")) }

var errNotUTF8 = errors.New("not UTF-8")

// byteOrderMark stands in front of some files and answers.
var byteOrderMark = []byte("\ufeff")

const errorRoot = "error_response"

func textOf(n *contract.Node, name string) string {
	if part, ok := n.Get(name); ok {
		return part.Text
	}
	return ""
}

// readAnswer returns an answer's root and what is in it. A simplified answer and
// Qimen's flat one have no root. An error is an error, whatever stands beside it.
func readAnswer(api *contract.API, body []byte) (root string, content *contract.Node, err error) {
	if !isJSON(body) {
		root, content, err = readXML(string(body), false, maxNodes)
		switch {
		case err != nil, root == errorRoot, root == api.Root(), root == qimenRoot:
			return root, content, err
		case api.Reverse && len(api.Reply) == 1 && root == api.Reply[0].Name: // the page's own shape
			return "", &contract.Node{Kind: contract.ObjectNode, Parts: []contract.Part{{Name: root, Node: content}}}, nil
		}
		return "", nil, fmt.Errorf("root is %q", root)
	}
	if !utf8.Valid(body) {
		return "", nil, errNotUTF8
	}
	content, err = contract.ParseJSON(string(body))
	if err != nil {
		return "", nil, err
	}
	if content.Kind != contract.ObjectNode {
		return "", nil, errors.New("no object")
	}
	for _, name := range []string{errorRoot, api.Root(), qimenRoot} {
		if inside, ok := content.Get(name); ok {
			if inside.Kind != contract.ObjectNode {
				return "", nil, fmt.Errorf("%s is no object", name)
			}
			return name, inside, nil
		}
	}
	return "", content, nil
}
