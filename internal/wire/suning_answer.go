package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/ordergate/ordergate/contract"
)

// suningJSON is the content type of Suning's JSON. XML is TOP's.
const suningJSON = "application/json;charset=UTF-8"

var errNoRoot = errors.New("not one " + requestRoot)

// Reply writes what an API answers, in one line: some clients read no more. It
// has no request id.
func (Suning) Reply(f Format, api *contract.API, reply any, _ string) Answer {
	b := make([]byte, 0, 256)
	if f.JSON {
		b = append(b, `{"`+responseRoot+`":{"`+bodyNode+`":{`...)
		b = append(contract.AppendJSONString(b, api.Root()), ':')
		return Answer{suningJSON, append(append(b, api.JSON(reply)...), "}}}"...)}
	}
	b = append(b, "<"+responseRoot+"><"+bodyNode+"><"...)
	b = append(append(b, api.Root()...), '>')
	b = append(append(api.AppendXML(b, reply), "</"...), api.Root()...)
	return Answer{xmlType, append(b, "></"+bodyNode+"></"+responseRoot+">"...)}
}

// Refuse writes an answer that says no.
func (Suning) Refuse(f Format, refused *contract.Refused) Answer {
	b := make([]byte, 0, 256)
	if f.JSON {
		b = append(b, `{"`+responseRoot+`":{"`+errorNode+`":{"error_code":`...)
		b = append(contract.AppendJSONString(b, refused.Code), `,"error_msg":`...)
		return Answer{suningJSON, append(contract.AppendJSONString(b, refused.Text), "}}}"...)}
	}
	b = append(b, "<"+responseRoot+"><"+errorNode+">"...)
	b = contract.AppendElement(b, "error_code", refused.Code)
	b = contract.AppendElement(b, "error_msg", refused.Text)
	return Answer{xmlType, append(b, "</"+errorNode+"></"+responseRoot+">"...)}
}

// Word words an error for Suning, whose answers have no request id. Any error
// that no table has is the platform's own failure, and its text stays inside.
func (Suning) Word(api *contract.API, err error, requestID string) *contract.Refused {
	detail := contract.Detail(err)
	row, ok := errors.AsType[*contract.Refusal](err)
	if !ok {
		fault, known := errors.AsType[contract.Fault](err)
		if !known {
			fault = contract.Unavailable
		}
		row = contract.SuningRow(api, fault)
	}
	return &contract.Refused{Code: row.SubCode(detail), Text: row.Text, RequestID: requestID, Row: row}
}

// Write sends an answer with HTTP 200, errors too: SDKs drop everything else
// before they parse. It is compressed when the request asks for that.
func (Suning) Write(w http.ResponseWriter, r *http.Request, a Answer) error { return a.send(w, r) }

// Unseal implements [Protocol].
func (Suning) Unseal(api *contract.API, body []byte) (reply any, err error) {
	root, err := readResponse(bytes.TrimSpace(bytes.TrimPrefix(body, byteOrderMark)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAnswer, err)
	}
	if failure, ok := root.Get(errorNode); ok {
		code, text := textOf(failure, "error_code"), textOf(failure, "error_msg")
		return nil, &contract.Refused{Code: code, Text: text, Row: contract.FindSuning(api, code, text)}
	}
	content, ok := root.Get(bodyNode)
	if ok && len(api.Reply) > 0 {
		content, ok = content.Get(api.Root())
	}
	if !ok {
		return nil, fmt.Errorf("%w: neither %s nor %s", ErrNotAnswer, api.Root(), errorNode)
	}
	if content.Kind == contract.ListNode && len(content.Parts) > 0 { // some answers have a list of one
		content = content.Parts[0].Node
	}
	reply, found := api.DecodeReply(content)
	if !found {
		return nil, fmt.Errorf("%w: it holds none of its fields", ErrNotAnswer)
	}
	return reply, nil
}

// readResponse returns what is in an answer's root.
func readResponse(body []byte) (*contract.Node, error) {
	if !isJSON(body) {
		name, root, err := readXML(string(body), false, maxNodes)
		if err == nil && name != responseRoot {
			err = fmt.Errorf("root is %q", name)
		}
		return root, err
	}
	if !utf8.Valid(body) {
		return nil, errNotUTF8
	}
	document, err := contract.ParseJSON(string(body))
	if err != nil {
		return nil, err
	}
	root, ok := document.Get(responseRoot)
	if !ok {
		return nil, errors.New("no " + responseRoot)
	}
	return root, nil
}
