package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// Reply writes what a merchant answers: the API's own fields, as on its page.
func (SPI) Reply(f Format, api *contract.API, reply any, _ string) Answer {
	if f.JSON {
		return Answer{suningJSON, api.JSON(reply)}
	}
	return Answer{xmlType, api.AppendXML([]byte(prolog), reply)}
}

// Word words an error for Qimen. Whatever is wrong with caller, signature or time is
// one and the same: strangers learn nothing.
func (SPI) Word(api *contract.API, err error, requestID string) *contract.Refused {
	for _, fault := range []contract.Fault{contract.UnknownApp, contract.BadSign, contract.BadTimestamp} {
		if errors.Is(err, fault) {
			row := contract.SignCheckFailure
			return &contract.Refused{Code: row.Code, Text: row.Text, SubCode: row.Code, SubText: row.Text, RequestID: requestID, Row: row}
		}
	}
	return TOP{}.Word(api, err, requestID)
}

// Refuse writes an answer that says no: in the shape of the API that is called, with
// the code in its own field; else in Qimen's words.
func (p SPI) Refuse(f Format, refused *contract.Refused) Answer {
	code, text := cmp.Or(refused.SubCode, refused.Code), cmp.Or(refused.SubText, refused.Text)
	if p.API != nil {
		if reply, ok := p.API.Declined(&contract.Refusal{Code: code, Text: text}); ok {
			return p.Reply(f, p.API, reply, "")
		}
	}
	generic := &contract.Refused{SubCode: code, SubText: text}
	if f.JSON {
		return Answer{suningJSON, append(append([]byte{'{'}, failure(generic)...), '}')}
	}
	b := contract.AppendElement([]byte(prolog+"<"+qimenRoot+">"), "flag", "failure")
	b = contract.AppendElement(contract.AppendElement(b, "sub_code", code), "sub_message", text)
	return Answer{xmlType, append(b, "</"+qimenRoot+">"...)}
}

// Write sends an answer with HTTP 200.
func (SPI) Write(w http.ResponseWriter, r *http.Request, a Answer) error { return a.send(w, r) }

// Unseal reads a merchant's answer, whatever its content type: JSON or XML, flat or
// wrapped, success as boolean or text, or Qimen's flag. The error is [ErrNotAnswer]
// when it says neither yes nor no.
func (SPI) Unseal(api *contract.API, body []byte) (reply any, err error) {
	root, err := merchantDocument(strings.ToValidUTF8(string(bytes.TrimSpace(bytes.TrimPrefix(body, byteOrderMark))), "\ufffd"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAnswer, err)
	}
	holders := []*contract.Node{root}
	if inside, ok := root.Get(qimenRoot); ok {
		holders = append(holders, inside)
	}
	for _, holder := range holders {
		if !saysVerdict(api, holder) {
			continue
		}
		if reply, found := api.DecodeReply(holder); found {
			return reply, nil
		}
	}
	for _, holder := range holders {
		switch flag := textOf(holder, "flag"); {
		case strings.EqualFold(flag, "success"):
			reply, _ := api.DecodeReply(&contract.Node{Kind: contract.ObjectNode, Parts: []contract.Part{{Name: verdict(api).Name, Node: &contract.Node{Kind: contract.BooleanNode, Text: "true"}}}})
			return reply, nil
		case strings.EqualFold(flag, "failure"):
			code, text := cmp.Or(textOf(holder, "sub_code"), textOf(holder, "code")), cmp.Or(textOf(holder, "sub_message"), textOf(holder, "message"))
			reply, _ := api.Declined(&contract.Refusal{Code: code, Text: text})
			return reply, nil
		}
	}
	return nil, fmt.Errorf("%w: it says neither yes nor no", ErrNotAnswer)
}

// merchantDocument reads an answer. The root of XML is like a member of JSON.
func merchantDocument(text string) (*contract.Node, error) {
	if text == "" {
		return nil, errors.New("it is empty")
	}
	if !isJSON([]byte(text)) {
		name, content, err := readXML(text, false, maxNodes)
		if err != nil {
			return nil, err
		}
		return &contract.Node{Kind: contract.ObjectNode, Parts: []contract.Part{{Name: name, Node: content}}}, nil
	}
	content, err := contract.ParseJSON(text)
	if err == nil && content.Kind != contract.ObjectNode {
		err = errors.New("no object")
	}
	return content, err
}

// verdict is the row of an API's answer that says yes or no: within its only object.
func verdict(api *contract.API) *contract.Field {
	rows := api.Reply[0].Fields
	return &rows[slices.IndexFunc(rows, func(f contract.Field) bool { return f.Verdict })]
}

// saysVerdict reports whether a node, or the object of the answer in it, says yes or
// no.
func saysVerdict(api *contract.API, holder *contract.Node) bool {
	if inside, ok := holder.Get(api.Reply[0].Name); ok {
		holder = inside
	}
	text := strings.TrimSpace(textOf(holder, verdict(api).Name))
	return strings.EqualFold(text, "true") || strings.EqualFold(text, "false")
}
