package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// No way in which a secret travels shows it.
func TestMask(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"query":               "GET /router/rest?method=a&session=S3CRET&v=2.0 HTTP/1.1",
		"first of a query":    "GET /router/rest?session=S3CRET HTTP/1.1",
		"form":                "POST / HTTP/1.1\n\nsession=S3CRET&tid=1",
		"form, behind":        "tid=1&session=S3CRET",
		"batch":               "method=a&tid=1\r\nmethod=b&session=S3CRET&tid=2",
		"multipart":           "--x\r\nContent-Disposition: form-data; name=\"session\"\r\n\r\nS3CRET\r\n--x--",
		"multipart with type": "--x\r\nContent-Disposition: form-data; name=session\r\nContent-Type: text/plain\r\n\r\nS3CRET\r\n--x--",
		"header":              "POST / HTTP/1.1\r\naccess_token: S3CRET\r\nHost: a\r\n\r\n",
		"header of the web":   "POST / HTTP/1.1\r\nAuthorization: Bearer S3CRET\r\nCookie: S3CRET\r\n\r\n",
		"json":                `{"sn_request":{"sn_body":{"addLeaguerstatus":{"cardList":[{"cardSec":"S3CRET","cardCode": "S3CRET"}]}}}}`,
		"json, spaced":        "{ \"cardSec\"\n:\n\"S3CRET\" }",
		"json, escaped quote": `{"cardSec":"a\"S3CRET"}`,
		"json, number":        `{"cardSec":S3CRET,"x":1}`,
		"python":              `{'cardSec': 'S3CRET'}`,
		"json in json":        `{"text":"{\"cardSec\":\"S3CRET\"}"}`,
		"json, broken off":    `{"cardSec":"S3CRET`,
		"xml":                 "<cardList><cardSec>S3CRET</cardSec><cardCode>S3CRET</cardCode></cardList>",
		"xml, broken off":     "<cardSec>S3CRET",
		"cards as a form":     "cardList=%5B%7B%22cardSec%22%3A%22S3CRET%22%7D%5D&x=1",
	} {
		got := Mask(text)
		if strings.Contains(got, "S3CRET") || !strings.Contains(got, contract.Masked) {
			t.Errorf("%s: %s", name, got)
		}
	}
	const plain = "POST /router/rest?method=a&sign=ABC HTTP/1.1\r\nHost: a\r\n\r\n" + `{"tid":"1","text":"the session is over, cardSec too"}`
	if got := Mask(plain); got != plain {
		t.Errorf("what is no secret: %s", got)
	}
}

// What is shown of a call is what is sent, without its secrets; and what is rebuilt of an
// event has no signature.
func TestShow(t *testing.T) {
	t.Parallel()
	at := time.Date(2016, 1, 1, 12, 0, 0, 0, contract.Zone)
	for _, api := range contract.All {
		for _, json := range []bool{true, false} {
			m := Message{API: api, AppKey: "12345678", Secret: "s3cret", Session: "t0ken", Time: at, Format: Format{JSON: json}}
			for _, f := range api.Request {
				value := f.Example
				if f.Fields != nil {
					value = `[{"cardSec":"c4rd","cardCode":"c4rd"}]`
				}
				if f.Fields != nil && f.Item == "" {
					value = `{"tid":"1","subOrderIds":"2"}`
				}
				m.Params = append(m.Params, contract.Param{Name: f.Name, Value: value})
			}
			p := Of(api)
			var err error
			if m.URL, err = p.Target("http://gateway"); err != nil {
				t.Fatal(err)
			}
			sealed, err := p.Seal(t.Context(), m)
			if err != nil {
				t.Fatalf("%s: %v", api.Method, err)
			}
			shown, err := Show(m, sealed)
			if err != nil {
				t.Fatalf("%s: %v", api.Method, err)
			}
			m.Params = api.Masked(m.Params)
			rebuilt, err := Rebuild(m)
			if err != nil {
				t.Fatalf("%s: %v", api.Method, err)
			}
			for _, text := range []string{shown.Request, shown.Signed, rebuilt.Request, rebuilt.Signed} {
				for _, secret := range []string{"s3cret", "t0ken", "c4rd"} {
					if strings.Contains(text, secret) || text == "" {
						t.Errorf("%s shows %s:\n%s", api.Method, secret, text)
					}
				}
			}
			if want := api.Method; !strings.Contains(shown.Signed, want) || !strings.Contains(rebuilt.Signed, want) || !strings.Contains(shown.Signed, "12345678") {
				t.Errorf("%s: the text that is signed lacks what is no secret: %s", api.Method, shown.Signed)
			}
			sign := sealed.Request.URL.Query().Get("sign")
			if api.Protocol == contract.Suning {
				sign = sealed.Request.Header[headerSign][0] //lint:ignore SA1008 as the vendor spells it
			}
			if !strings.Contains(shown.Request, sign) || strings.Contains(rebuilt.Request, sign) {
				t.Errorf("%s: the signature %s is shown:\n%s\nand is not rebuilt:\n%s", api.Method, sign, shown.Request, rebuilt.Request)
			}
		}
	}
}
