package wire_test

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// The vectors of docs/protocol/top.md 5.5. Each digest sets sign_method to itself;
// T6 has none.
var vectors = []struct {
	name   string
	secret contract.Secret
	params string // query-encoded
	bare   bool   // complete as listed, without sign_method
	signs  map[wire.Digest]string
}{
	{"T1", "helloworld", "method=taobao.item.seller.get&app_key=12345678&session=test&timestamp=2016-01-01+12:00:00&format=json&v=2.0&fields=num_iid,title,nick,price,num&num_iid=11223344", false, map[wire.Digest]string{
		wire.MD5: "66987CB115214E59E6EC978214934FB8", wire.HMAC: "D56D7858309C31B6251083A874D48273", wire.HMACSHA256: "04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8"}},
	{"T2", "test", "method=taobao.user.seller.get&timestamp=2013-05-06+13:52:03&format=xml&app_key=test&v=2.0&fields=nick&session=test", false, map[wire.Digest]string{
		wire.MD5: "72CB4D809B375A54502C09360D879C64"}},
	{"T3", "helloworld", "method=taobao.qimen.event.produce&app_key=12345678&session=test&timestamp=2024-06-18+09:30:05&format=json&v=2.0&status=QIMEN_ERP_TRANSFER&tid=2895732958732&nick=向阳小店&platform=OTHER&ext={\"remark\":\"转单\"}", false, map[wire.Digest]string{
		wire.MD5: "EB24CBA90CB5C7C8899E5303E4F2C87F", wire.HMAC: "1120B9A2CBD0B6A5AA3E6916A60DCF77", wire.HMACSHA256: "BBFA4DEF1F6CC860BB0FFE961729CB94E654EC33EEF4C23538E5F2E1F12CA5FF"}},
	{"T4", "helloworld", t4, false, signsT4},
	{"T5", "helloworld", t4 + "&ext=", false, map[wire.Digest]string{
		wire.MD5: "A5A6941578818E3C2683F2BAA43EBF30", wire.HMAC: "31341F544091145AC780AFA1419BAFDA", wire.HMACSHA256: "AA3324FC29979F3FA12D6F82F178ABD0722F36358293B4D00A574B493D21E1D0"}},
	{"T6", "helloworld", "a1=1&aB=2&a_b=3&ab=4&B=5&_=6", true, map[wire.Digest]string{
		wire.MD5: "4CDA7DA51406611017F37E733BBA2946", wire.HMAC: "F18018B6E765A2F2690FA012D7CD1519", wire.HMACSHA256: "0A41CFA14E29AFD85553110CB9DA71320577A2575CD9CC2DC8E9F0124A8B8EBE"}},
}

const t4 = "method=taobao.qimen.event.produce&app_key=12345678&timestamp=2024-06-18+09:30:05&format=xml&v=2.0&status=QIMEN_CP_OUT&tid=1"

var signsT4 = map[wire.Digest]string{
	wire.MD5: "DE0309AC2BF7522AD4D64020F522CFAA", wire.HMAC: "9251E99BB422D377AE96070A22CCAA28", wire.HMACSHA256: "726627D9CD5D89F43B8AC3D2672E3ED503278B0763EDA7FFA970A4CDCB7152BF",
}

// open opens a form POST.
func open(t *testing.T, form string) *wire.Call {
	t.Helper()
	r := httptest.NewRequest("POST", "/router/rest", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
	call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
	if err != nil {
		t.Fatalf("opening %q: %v", form, err)
	}
	return call
}

func TestVectorsVerify(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		for digest, sign := range v.signs {
			form := v.params + "&sign=" + sign
			if !v.bare {
				form += "&sign_method=" + string(digest)
				if !(wire.TOP{}).Verify(open(t, form), v.secret) {
					t.Errorf("%s %s: signature refused: %s", v.name, digest, form)
				}
				for what, wrong := range map[string]string{
					"lower-case hex": strings.Replace(form, sign, strings.ToLower(sign), 1),
					"changed value":  strings.Replace(form, "v=2.0", "v=2.1", 1),
					"extra value":    form + "&extra=1",
				} {
					if (wire.TOP{}).Verify(open(t, wrong), v.secret) {
						t.Errorf("%s %s: %s accepted", v.name, digest, what)
					}
				}
				if (wire.TOP{}).Verify(open(t, form), v.secret+"x") {
					t.Errorf("%s %s: another secret accepted", v.name, digest)
				}
			}
		}
	}
}

func TestVectorsSign(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		for digest, want := range v.signs {
			form := v.params
			if !v.bare {
				form += "&sign_method=" + string(digest)
			}
			text := wire.SignedText(open(t, form).Params, "")
			if got := wire.Sign(digest, v.secret, text); got != want {
				t.Errorf("%s %s over %q: got %s, want %s", v.name, digest, text, got, want)
			}
		}
	}
}

// T1's input to MD5 is published.
func TestSignedTextOfT1(t *testing.T) {
	t.Parallel()
	want := "app_key12345678fieldsnum_iid,title,nick,price,numformatjsonmethodtaobao.item.seller.getnum_iid11223344sessiontestsign_methodmd5timestamp2016-01-01 12:00:00v2.0"
	if got := wire.SignedText(open(t, vectors[0].params+"&sign_method=md5&sign=X").Params, ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A vector sealed by the client carries the vector's signature.
func TestVectorsSeal(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[:5] {
		for digest, want := range v.signs {
			values, err := url.ParseQuery(v.params)
			if err != nil {
				t.Fatal(err)
			}
			at, ok := wire.ParseTimestamp(values.Get("timestamp"))
			if !ok {
				t.Fatalf("%s: no timestamp", v.name)
			}
			m := wire.Message{
				URL: "http://127.0.0.1/router/rest", AppKey: values.Get("app_key"), Secret: v.secret, Session: contract.Secret(values.Get("session")),
				API: contract.Define[struct{}, struct{}](contract.API{Method: values.Get("method"), Protocol: contract.TOP}), Format: wire.Format{JSON: values.Get("format") == "json"}, Digest: digest, Time: at,
			}
			for name, value := range values {
				if !contract.IsTOPParam(name) {
					m.Params = append(m.Params, contract.Param{Name: name, Value: value[0]})
				}
			}
			sealed, err := wire.TOP{}.Seal(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if got := sealed.Request.URL.Query().Get("sign"); got != want {
				t.Errorf("%s %s: sealed with %s, want %s", v.name, digest, got, want)
			}
			call, err := wire.TOP{}.Open(httptest.NewRecorder(), sealed.Request)
			if err != nil || !(wire.TOP{}).Verify(call, v.secret) {
				t.Errorf("%s %s: what was sealed does not verify: %v", v.name, digest, err)
			}
		}
	}
}

// docs/protocol/top.md 5.3: what a client sent blank may be left out of its signature.
func TestBlankValuesMayBeUnsigned(t *testing.T) {
	t.Parallel()
	signed := t4 + "&sign_method=md5&sign=" + signsT4[wire.MD5]
	for _, blank := range []string{"", "&ext=", "&ext=+++", "&ext=%09%0A", "&ext=%E3%80%80", "&ext", "&a=&b=+"} {
		if !(wire.TOP{}).Verify(open(t, signed+blank), "helloworld") {
			t.Errorf("%q refused", blank)
		}
	}
	for _, given := range []string{"&ext=0", "&ext=%C2%A0"} { // a no-break space is not blank to Java
		if (wire.TOP{}).Verify(open(t, signed+given), "helloworld") {
			t.Errorf("%q accepted unsigned", given)
		}
	}
}

func TestDigestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]wire.Digest{"": wire.MD5, "+": wire.MD5, "md5": wire.MD5, "hmac": wire.HMAC, "hmac-sha256": wire.HMACSHA256} {
		if got, ok := open(t, "sign_method="+name).Digest(); got != want || !ok {
			t.Errorf("sign_method=%q: got %q, %t; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"MD5", "Hmac", "hmac-md5", "sha256", "md5+"} {
		if got, ok := open(t, "sign_method="+name).Digest(); ok {
			t.Errorf("sign_method=%q: taken for %q", name, got)
		}
	}
}

func TestParseTimestamp(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2024-06-18 09:30:05": "2024-06-18T01:30:05Z",
		"1718674205000":       "2024-06-18T01:30:05Z",
		"1718674205123":       "2024-06-18T01:30:05.123Z",
	} {
		got, ok := wire.ParseTimestamp(text)
		if !ok || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q: got %v, want %s", text, got.UTC(), want)
		}
	}
	for _, text := range []string{"", "2024-06-18", "2024-06-18 9:30:05", "2024-06-18T09:30:05", "2024-06-18 09:30:05.1", "2024-13-18 09:30:05", "2024-06-18 24:30:05", "171867420500", "17186742050001", "1718674205", " 2024-06-18 09:30:0"} {
		if got, ok := wire.ParseTimestamp(text); ok {
			t.Errorf("%q: taken for %v", text, got)
		}
	}
}

func TestDigestsListedOnce(t *testing.T) {
	t.Parallel()
	for _, d := range wire.Digests {
		if got, ok := open(t, "sign_method="+string(d)).Digest(); got != d || !ok {
			t.Errorf("%s is listed and not understood", d)
		}
	}
	if !slices.Contains(wire.Digests, wire.MD5) || len(wire.Digests) != 3 {
		t.Errorf("digests: %v", wire.Digests)
	}
}
