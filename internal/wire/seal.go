package wire

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// Seal signs a message and makes its HTTP request: protocol parameters in the
// URL and the API's own in a form body, as the vendor's Java SDK does it.
func (TOP) Seal(ctx context.Context, m Message) (Sealed, error) {
	digest := m.Digest
	if digest == "" {
		digest = MD5
	}
	protocol := []contract.Param{
		{Name: "method", Value: m.API.Method},
		{Name: "app_key", Value: m.AppKey},
		{Name: "timestamp", Value: m.Time.In(contract.Zone).Format(contract.TimeLayout)},
		{Name: "v", Value: TOPVersion},
		{Name: "format", Value: m.Format.String()},
		{Name: "sign_method", Value: string(digest)},
	}
	if m.Format.Simplify {
		protocol = append(protocol, contract.Param{Name: "simplify", Value: "true"})
	}
	if m.Session != "" {
		protocol = append(protocol, contract.Param{Name: "session", Value: string(m.Session)})
	}
	if m.Target != "" {
		protocol = append(protocol, contract.Param{Name: "target_app_key", Value: m.Target})
	}
	all := slices.Concat(protocol, m.Params)
	slices.SortStableFunc(all, byName)
	signed := SignedText(all, "")
	protocol = append(protocol, contract.Param{Name: "sign", Value: Sign(digest, m.Secret, signed)})

	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL+"?"+encodeForm(protocol), strings.NewReader(encodeForm(m.Params)))
	if err != nil {
		return Sealed{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
	r.Header.Set("Accept", "text/xml,text/javascript")
	r.Header.Set("User-Agent", "ordergate")
	return Sealed{Request: r, Signed: formula(digest, signed)}, nil
}

func encodeForm(params []contract.Param) string {
	var b strings.Builder
	for i, p := range params {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.Name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p.Value))
	}
	return b.String()
}
