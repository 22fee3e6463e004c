package wire

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// Target implements [Protocol].
func (Suning) Target(base string) (string, error) { return target(base, SuningPath) }

// Seal implements [Protocol]. Headers are spelled as the vendor's SDKs spell
// them.
func (Suning) Seal(ctx context.Context, m Message) (Sealed, error) {
	body, err := sealBody(m)
	if err != nil {
		return Sealed{}, err
	}
	c := &SuningCall{
		Method: m.API.Method, Time: m.Time.In(contract.Zone).Format(contract.TimeLayout), AppKey: m.AppKey, Version: SuningVersion, Body: body,
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, strings.NewReader(body))
	if err != nil {
		return Sealed{}, err
	}
	r.Header = http.Header{
		headerMethod: {c.Method}, headerTime: {c.Time}, headerKey: {c.AppKey}, headerVersion: {c.Version},
		headerSign: {SignSuning(m.Secret, c)}, headerFormat: {m.Format.String()},
		"Content-Type": {xmlType}, "User-Agent": {"ordergate"},
	}
	if m.Format.JSON {
		r.Header.Set("Content-Type", suningJSON)
	}
	if m.Session != "" {
		r.Header[headerToken] = []string{string(m.Session)}
	}
	return Sealed{Request: r, Signed: suningFormula(c, base64.StdEncoding.EncodeToString([]byte(body)))}, nil
}

// suningFormula says what is signed, and how.
func suningFormula(c *SuningCall, encoded string) string {
	return "hex(MD5(text)), in lower case, of the text:\n" + contract.Masked + c.Method + c.Time + c.AppKey + c.Version + encoded
}

// sealBody writes the message of a call, its parameters in their order.
func sealBody(m Message) (string, error) {
	content, err := m.API.Content(m.Params)
	if err != nil {
		return "", err
	}
	if !m.Format.JSON {
		b := append(make([]byte, 0, 512), "<"+requestRoot+"><"+bodyNode+">"...)
		b = appendXMLNode(b, contract.Part{Name: m.API.Root(), Node: content})
		return string(append(b, "</"+bodyNode+"></"+requestRoot+">"...)), nil
	}
	b := append(make([]byte, 0, 512), `{"`+requestRoot+`":{"`+bodyNode+`":{`...)
	b = append(contract.AppendJSONString(b, m.API.Root()), ":{"...)
	for i, p := range content.Parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(contract.AppendJSONString(b, p.Name), ':')
		if p.Kind == contract.TextNode {
			b = contract.AppendJSONString(b, p.Text)
		} else {
			b = append(b, p.Text...) // the JSON text that was given
		}
	}
	return string(append(b, "}}}}"...)), nil
}

// appendXMLNode writes a node: a list as its items, each in an element of the
// list's name.
func appendXMLNode(b []byte, p contract.Part) []byte {
	switch p.Kind {
	case contract.NullNode:
		return b
	case contract.ListNode:
		for _, item := range p.Parts {
			b = appendXMLNode(b, contract.Part{Name: p.Name, Node: item.Node})
		}
		return b
	case contract.ObjectNode:
		b = append(append(append(b, '<'), p.Name...), '>')
		for _, part := range p.Parts {
			b = appendXMLNode(b, part)
		}
		return append(append(append(b, "</"...), p.Name...), '>')
	}
	return contract.AppendElement(b, p.Name, p.Text)
}
