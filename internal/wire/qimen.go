package wire

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/ordergate/ordergate/contract"
)

// Where Qimen Cloud takes the calls that a merchant answers: its production and its
// test route.
const (
	QimenPath     = "/router/qm"
	QimenTestPath = "/router/qmtest"
)

// QimenCloud is the protocol of calls that reach a merchant by Qimen: TOP's, with
// answers of its own (docs/protocol/qimen.md 2). The zero value works.
type QimenCloud struct {
	TOP
	// ErrorResponse has errors in JSON look as TOP's, not as a default client of
	// Qimen's expects them.
	ErrorResponse bool
}

// Target implements [Protocol].
func (QimenCloud) Target(base string) (string, error) { return target(base, QimenPath) }

// CloudFormat returns how a call wants its answer, and false when it names a format
// that there is not. Simplified answers there are none.
func (c *Call) CloudFormat() (Format, bool) {
	switch name, given := c.Given("format"); {
	case !given, name == "xml", name == "xml2": // one and the same: the page's
		return Format{}, true
	case name == "json":
		return Format{JSON: true}, true
	case name == "json2":
		return Format{JSON: true, Flat: true}, true
	}
	return Format{}, false
}

// qimenRoot holds the content of Qimen's JSON answers, unless they are flat.
const qimenRoot = "response"

// Reply writes what an API answers: in JSON with request_id last, in XML as the page
// does, like the merchant himself.
func (QimenCloud) Reply(f Format, api *contract.API, reply any, requestID string) Answer {
	if !f.JSON {
		return SPI{}.Reply(f, api, reply, requestID)
	}
	b := openFlat(f)
	b = contract.AppendJSONString(append(api.AppendJSON(b, contract.Wrapped, reply), `"request_id":`...), requestID)
	return Answer{jsonType, closeFlat(f, b)}
}

// Refuse writes an answer that says no.
func (p QimenCloud) Refuse(f Format, refused *contract.Refused) Answer {
	if !f.JSON || p.ErrorResponse {
		return p.TOP.Refuse(Format{JSON: f.JSON}, refused)
	}
	return Answer{jsonType, closeFlat(f, append(openFlat(f), failure(refused)...))}
}

// failure is a failure's fields in Qimen's words, as members of a JSON object.
func failure(refused *contract.Refused) []byte {
	b := []byte(`"flag":"failure"`)
	for _, p := range []contract.Param{
		{Name: "code", Value: refused.Code}, {Name: "message", Value: refused.Text}, {Name: "sub_code", Value: refused.SubCode},
		{Name: "sub_message", Value: refused.SubText}, {Name: "request_id", Value: refused.RequestID},
	} {
		if p.Value != "" {
			b = contract.AppendJSONString(append(contract.AppendJSONString(append(b, ','), p.Name), ':'), p.Value)
		}
	}
	return b
}

func openFlat(f Format) []byte {
	b := make([]byte, 0, 256)
	if f.Flat {
		return append(b, '{')
	}
	return append(b, `{"`+qimenRoot+`":{`...)
}

func closeFlat(f Format, b []byte) []byte {
	if f.Flat {
		return append(b, '}')
	}
	return append(b, "}}"...)
}

// refusedByQimen reads a failure in Qimen's words: that of Qimen Cloud, or of 1.0,
// which puts TOP in front of the number and the sub code behind the message. It is
// nil when the content is no failure.
func refusedByQimen(api *contract.API, content *contract.Node) *contract.Refused {
	flag, code, text := textOf(content, "flag"), textOf(content, "code"), textOf(content, "message")
	subCode, subText := textOf(content, "sub_code"), textOf(content, "sub_message")
	switch {
	case strings.EqualFold(flag, "failure"), subCode != "":
	case flag != "", code == "", code == "0", text == "":
		return nil
	}
	if before, behind, joined := strings.Cut(text, " | "); joined && subCode == "" {
		text, subCode = before, behind
	}
	number := strings.TrimPrefix(code, "TOP")
	return &contract.Refused{
		Code: number, Text: text, SubCode: subCode, SubText: subText,
		RequestID: textOf(content, "request_id"), Row: contract.FindTOP(api, number, subCode),
	}
}

// maxFields is how many elements or members a document of parameters may have.
const maxFields = MaxParams

// documentRoot holds the parameters of an XML document.
const documentRoot = "request"

// DocumentParams reads the body of a call as a document of the API's parameters: a
// JSON object, or XML in <request>. An object is JSON text. The error is about
// [contract.BadEncoding] or [contract.BadRequest].
func (c *Call) DocumentParams() ([]contract.Param, error) {
	if !utf8.ValidString(c.Document) {
		return nil, contract.BadEncoding
	}
	return documentParams(c.Document)
}

func documentParams(document string) ([]contract.Param, error) {
	text := strings.TrimSpace(strings.TrimPrefix(document, string(byteOrderMark)))
	if text == "" {
		return nil, nil
	}
	content, err := parameterDocument(text)
	if err != nil {
		return nil, contract.About(contract.BadRequest, err.Error())
	}
	var params []contract.Param
	for _, p := range content.Parts {
		switch p.Kind {
		case contract.NullNode:
		case contract.ObjectNode, contract.ListNode:
			params = append(params, contract.Param{Name: p.Name, Value: string(appendJSONNode(nil, p.Node))})
		default:
			params = append(params, contract.Param{Name: p.Name, Value: p.Text})
		}
	}
	return params, nil
}

func parameterDocument(text string) (*contract.Node, error) {
	if !isJSON([]byte(text)) {
		name, content, err := readXML(text, true, maxFields)
		if err == nil && name != documentRoot {
			err = errors.New("the document's root is not " + documentRoot)
		}
		return content, err
	}
	if !json.Valid([]byte(text)) {
		return nil, errNotJSON
	}
	content, err := readLenient(text, maxFields)
	if err == nil && content.Kind != contract.ObjectNode {
		err = errors.New("the document is no JSON object")
	}
	return content, err
}

// appendJSONNode writes a node as JSON.
func appendJSONNode(b []byte, n *contract.Node) []byte {
	switch n.Kind {
	case contract.TextNode:
		return contract.AppendJSONString(b, n.Text)
	case contract.ObjectNode, contract.ListNode:
		brackets := "{}"
		if n.Kind == contract.ListNode {
			brackets = "[]"
		}
		b = append(b, brackets[0])
		for i, p := range n.Parts {
			if i > 0 {
				b = append(b, ',')
			}
			if n.Kind == contract.ObjectNode {
				b = append(contract.AppendJSONString(b, p.Name), ':')
			}
			b = appendJSONNode(b, p.Node)
		}
		return append(b, brackets[1])
	}
	return append(b, n.Text...)
}
