package wire_test

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// Vector Q1 of docs/protocol/qimen.md 3.1.
const (
	q1Query = "method=qimen.taobao.qianniu.cloudkefu.order.self.intercept&app_key=12345678&target_app_key=87654321&timestamp=2024-06-18+09%3A30%3A05&format=json&v=2.0&sign_method=md5&session="
	q1Sign  = "D80976706B91921BD77402419C761419"
	q1Body  = `{"sellerNick":"测试旗舰店","buyerNick":"翔_ouyang","bizOrder":{"tid":"30753531820144197","subOrderIds":"30753531820144191,30753531820144192"},"callType":"synchronous"}`
)

// The other vectors were computed by a program of its own, in Python, from the
// formula of docs/protocol/qimen.md 3.1.
const (
	spiQuery = "method=qimen.taobao.qianniu.cloudkefu.order.self.intercept&app_key=12345678&target_app_key=87654321&timestamp=2024-06-18+09%3A30%3A05&format=json&v=2.0&sign_method=hmac-sha256"
	spiXML   = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<request><sellerNick>测试旗舰店</sellerNick><buyerNick>翔_ouyang</buyerNick><bizOrder><tid>30753531820144197</tid><subOrderIds>30753531820144191,30753531820144192</subOrderIds></bizOrder><callType>synchronous</callType></request>\n"
	spiForm  = "sellerNick=%E6%B5%8B%E8%AF%95%E6%97%97%E8%88%B0%E5%BA%97&buyerNick=%E7%BF%94_ouyang&bizOrder=%7B%22tid%22%3A%2230753531820144197%22%2C%22subOrderIds%22%3A%2230753531820144191%2C30753531820144192%22%7D&callType=synchronous&buyer_open_uid="
	gbkForm  = "sellerNick=%B2%E2%CA%D4%C6%EC%BD%A2%B5%EA&buyerNick=%CF%E8_ouyang&bizOrder=%7B%22tid%22%3A%2230753531820144197%22%2C%22subOrderIds%22%3A%2230753531820144191%2C30753531820144192%22%7D&callType=synchronous&buyer_open_uid="
)

var spiVectors = []struct {
	name, verb, query, contentType, body, sign string
	header                                     http.Header
}{
	{"Q1", "POST", q1Query, "application/json", q1Body, q1Sign, nil},
	{"Q1 as text", "POST", q1Query, "text/plain; charset=utf-8", q1Body, q1Sign, nil},
	{"Q1 without a content type", "POST", q1Query, "", q1Body, q1Sign, nil},
	{"signed headers", "POST", spiQuery, "application/json;charset=UTF-8", q1Body, "4714DD2D7AA8EE5B132D0B58F298985B", http.Header{"Top-Sign-List": {"X-Biz,x-none"}, "X-Biz": {"%E6%B5%8B+%E8%AF%95"}}},
	{"form", "POST", spiQuery, "application/x-www-form-urlencoded;charset=utf-8", spiForm, "C2B2D1CF97483039FCCDB808DC7AEE10", nil},
	{"form without a content type", "POST", spiQuery, "", spiForm, "C2B2D1CF97483039FCCDB808DC7AEE10", nil},
	{"form with what the query has", "POST", spiQuery, "application/x-www-form-urlencoded", spiForm + "&v=1.0&format=xml", "C2B2D1CF97483039FCCDB808DC7AEE10", nil},
	{"form in the query", "GET", spiQuery + "&" + spiForm, "", "", "C2B2D1CF97483039FCCDB808DC7AEE10", nil},
	{"GBK form", "POST", spiQuery, "application/x-www-form-urlencoded;charset=GBK", gbkForm, "9FD5C1124210F13DDF86F25F0F54E3A6", nil},
	{"GB2312 JSON", "POST", spiQuery, `application/json; charset="gb2312"`, inGBK(q1Body), "D5B5F9F036B9C36D141DD1E340B48A89", nil},
	{"XML", "POST", strings.Replace(spiQuery, "format=json", "format=xml", 1), "application/xml", spiXML, "F67550D5AEC6D3CAB05F72955EF1F83F", nil},
}

func inGBK(text string) string {
	encoded, err := simplifiedchinese.GBK.NewEncoder().String(text)
	if err != nil {
		panic(err)
	}
	return encoded
}

func openSPI(t *testing.T, verb, query, contentType, body string, header http.Header) *wire.SPICall {
	t.Helper()
	r := httptest.NewRequest(verb, "/spi/qimen?"+query, strings.NewReader(body))
	if header != nil {
		r.Header = header.Clone()
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	c, err := wire.SPI{}.Open(httptest.NewRecorder(), r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Reverse calls of every kind verify, and say what was meant; with anything changed
// they do not.
func TestSPIVectors(t *testing.T) {
	t.Parallel()
	for _, v := range spiVectors {
		c := openSPI(t, v.verb, v.query+"&sign="+v.sign, v.contentType, v.body, v.header)
		if !(wire.SPI{}).Verify(c, "helloworld") {
			t.Errorf("%s: does not verify", v.name)
		}
		if (wire.SPI{}).Verify(c, "helloworld ") || c.AppKey() != "87654321" {
			t.Errorf("%s: verifies with another secret, or app %q", v.name, c.AppKey())
		}
		if err := c.Read(); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		request, err := contract.OrderIntercept.Decode(c.Lookup)
		want := contract.OrderInterceptRequest{SellerNick: "测试旗舰店", BuyerNick: "翔_ouyang", CallType: "synchronous", Order: contract.InterceptedOrder{ID: "30753531820144197", SubOrders: "30753531820144191,30753531820144192"}}
		if err != nil || *request.(*contract.OrderInterceptRequest) != want {
			t.Errorf("%s: %+v, %v", v.name, request, err)
		}
		for what, spoilt := range map[string]*wire.SPICall{
			"lower case":     openSPI(t, v.verb, v.query+"&sign="+strings.ToLower(v.sign), v.contentType, v.body, v.header),
			"another value":  openSPI(t, v.verb, strings.Replace(v.query, "v=2.0", "v=2.1", 1)+"&sign="+v.sign, v.contentType, v.body, v.header),
			"an empty more":  openSPI(t, v.verb, v.query+"&customerId=&x=&sign="+v.sign+"&y", v.contentType, v.body, v.header),
			"another body":   openSPI(t, "POST", v.query+"&sign="+v.sign, v.contentType, v.body+"&x", v.header),
			"sign in a body": openSPI(t, "POST", v.query, "application/x-www-form-urlencoded", v.body+"&sign="+v.sign, v.header),
		} {
			if (wire.SPI{}).Verify(spoilt, "helloworld") {
				t.Errorf("%s, %s: verifies", v.name, what)
			}
		}
	}
}

// The vector the other way: what is signed for a call to be sent.
func TestSPISigns(t *testing.T) {
	t.Parallel()
	values, err := url.ParseQuery(q1Query)
	if err != nil {
		t.Fatal(err)
	}
	var params []contract.Param
	for name := range values {
		params = append(params, contract.Param{Name: name, Value: values.Get(name)})
	}
	if got := wire.SignSPI("helloworld", params, q1Body); got != q1Sign {
		t.Errorf("got %s, want %s", got, q1Sign)
	}
}

// A sealed call holds a signature that another program would compute, the page's shape
// as its body, and the endpoint's own parameters.
func TestSPISeals(t *testing.T) {
	t.Parallel()
	request := &contract.OrderInterceptRequest{SellerNick: "测试旗舰店", BuyerNick: "翔_ouyang", CallType: "synchronous", Order: contract.InterceptedOrder{ID: "30753531820144197", SubOrders: "30753531820144191,30753531820144192"}}
	sealed, err := wire.SPI{}.Seal(t.Context(), wire.Message{
		URL: "https://erp.example.com/spi?token=a%3Db&z=", AppKey: "87654321", Target: "87654321", Secret: "helloworld", API: contract.OrderIntercept, Time: time.Date(2024, 6, 18, 9, 30, 5, 0, contract.Zone),
	}, request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(sealed.Request.Body)
	if err != nil || string(body) != q1Body {
		t.Fatalf("body %s, %v; want %s", body, err, q1Body)
	}
	query := sealed.Request.URL.Query()
	var names []string
	for name := range query {
		if name != "sign" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	base := "helloworld"
	for _, name := range names {
		base += name + query.Get(name)
	}
	sum := md5.Sum([]byte(base + q1Body + "helloworld"))
	if got, want := query.Get("sign"), strings.ToUpper(hex.EncodeToString(sum[:])); got != want || len(names) != 9 || query.Get("timestamp") != "2024-06-18 09:30:05" || query.Get("token") != "a=b" {
		t.Errorf("sign %s, want %s; %v", got, want, query)
	}
	if kind := sealed.Request.Header.Get("Content-Type"); kind != "application/json;charset=UTF-8" || strings.Contains(sealed.Signed, "helloworld") {
		t.Errorf("content type %s, signed %s", kind, sealed.Signed)
	}
	c := openSPI(t, "POST", sealed.Request.URL.RawQuery, "application/json", string(body), nil)
	if !(wire.SPI{}).Verify(c, "helloworld") {
		t.Error("what was sealed does not verify")
	}
}

// Only what is too old is refused.
func TestSPIAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2024, 6, 18, 9, 40, 5, 0, contract.Zone)
	for timestamp, want := range map[string]bool{
		"2024-06-18 09:30:05": true, "2024-06-18 09:30:04": false, "2024-06-18 23:59:59": true, "2030-01-01 00:00:00": true, "1718674205000": true, "": false, "now": false,
	} {
		c := openSPI(t, "GET", "timestamp="+url.QueryEscape(timestamp), "", "", nil)
		if got := c.Fresh(now, 10*time.Minute); got != want {
			t.Errorf("%q: %t, want %t", timestamp, got, want)
		}
	}
}

// The app whose secret counts is the one that is called, else the caller.
func TestSPIApp(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{"app_key=a&target_app_key=b": "b", "app_key=a": "a", "app_key=a&target_app_key=": "a", "app_key=a&app_key=c": "c", "": ""} {
		if got := openSPI(t, "GET", query, "", "", nil).AppKey(); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// Answers of merchants: yes, a code that means no, or nothing that is either.
func TestMerchantAnswers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"result":{"success":false,"errorCode":"1001","errorMsg":"已发货拦截失败"}}`:                             "1001 已发货拦截失败",
		`<result><errorMsg>已发货拦截失败</errorMsg><errorCode>1001</errorCode><success>false</success></result>`: "1001 已发货拦截失败",
		`{"success":true,"errorCode":"","errorMsg":""}`:                                                    "yes",
		`{"result":{"success":"true"}}`:                                                                    "yes",
		`{"success":" TRUE ","extra":{}}`:                                                                  "yes",
		"\ufeff\n<?xml version=\"1.0\"?><result><success>true</success></result>":                          "yes",
		`<response><result><success>false</success><errorCode>7</errorCode></result></response>`:           "7 ",
		`{"response":{"success":false,"errorCode":1103}}`:                                                  "1103 ",
		`{"result":{"success":false,"errorCode":62,"errorMsg":null}}`:                                      "62 ",
		`{"success":false,"errorCode":"modify-address-failed "}`:                                           "modify-address-failed  ",
		`{"flag":"success","code":"0"}`:                                                                    "yes",
		`<response><flag>success</flag></response>`:                                                        "yes",
		`{"flag":"failure","sub_code":"sign-check-failure","sub_message":"Illegal request"}`:               "sign-check-failure Illegal request",
		`<response><flag>failure</flag><code>S01</code><message>no</message></response>`:                   "S01 no",
		"{\"success\":false,\"errorMsg\":\"\xd6\xd0\"}":                                                    " \ufffd",
		``: "?", ` `: "?", `null`: "?", `[]`: "?", `"true"`: "?", `true`: "?", `{}`: "?", `{"result":{}}`: "?", `{"result":{"success":"maybe"}}`: "?", `{"success":1}`: "?", `{"success":null}`: "?",
		`{"errorCode":"1001"}`: "?", `{"result":{"success":false`: "?", `<html><body>ok</body></html>`: "?", `<result><success>true</result>`: "?", `success`: "?", `{"result":"true"}`: "?",
	} {
		reply, err := wire.SPI{}.Unseal(contract.OrderIntercept, []byte(body))
		got := "?"
		switch r, ok := reply.(*contract.OrderInterceptReply); {
		case err != nil:
			if !errors.Is(err, wire.ErrNotAnswer) {
				t.Errorf("%s: %v", body, err)
			}
		case ok && r.Result.Success:
			got = "yes"
		case ok:
			got = r.Result.ErrorCode + " " + r.Result.ErrorText
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

// A client reads every shape in which Qimen answers, wherever it is given.
func TestUnsealQimen(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"response":{"result":{"success":false,"errorCode":"1001","errorMsg":"已发货拦截失败"},"request_id":"abc"}}`:                                             "reply 1001",
		`{"result":{"success":false,"errorCode":"1001","errorMsg":"已发货拦截失败"},"request_id":"abc"}`:                                                          "reply 1001",
		`{"success":false,"errorCode":"1001","request_id":"abc"}`:                                                                                          "reply 1001",
		`{"qimen_taobao_qianniu_cloudkefu_order_self_intercept_response":{"result":{"success":"false","errorCode":1001}}}`:                                 "reply 1001",
		`<?xml version="1.0"?><result><errorMsg>x</errorMsg><errorCode>1001</errorCode><success>false</success></result>`:                                  "reply 1001",
		`<response><result><errorCode>1001</errorCode></result></response>`:                                                                                "reply 1001",
		`{"response":{"flag":"failure","code":"25","message":"Invalid signature","request_id":"abc"}}`:                                                     "25 Invalid signature  ",
		`{"flag":"failure","code":"15","message":"Remote service error","sub_code":"isp.http-read-timeout","sub_message":"m"}`:                             "15 Remote service error isp.http-read-timeout m",
		`<error_response><code>50</code><msg>Remote service error</msg><sub_code>isv.invalid-parameter</sub_code><sub_msg>非法参数</sub_msg></error_response>`: "50 Remote service error isv.invalid-parameter 非法参数",
		`{"error_response":{"code":25,"msg":"Invalid signature"}}`:                                                                                         "25 Invalid signature  ",
		`<response><flag>failure</flag><code>TOP25</code><message>Invalid signature</message></response>`:                                                  "25 Invalid signature  ",
		`<response><flag>failure</flag><code>TOP15</code><message>Remote service error | isp.http-read-timeout</message></response>`:                       "15 Remote service error isp.http-read-timeout ",
		`{"response":{"code":"29","message":"Invalid app Key","sub_code":"isv.appkey-not-exists"}}`:                                                        "29 Invalid app Key isv.appkey-not-exists ",
		`{"response":{"flag":"success"}}`: "?", `{"response":{}}`: "?", `{"response":[]}`: "?", `{"code":"0"}`: "?", `{"flag":"success","code":"0","message":"ok"}`: "?", `<other/>`: "?",
	} {
		reply, err := wire.QimenCloud{}.Unseal(contract.OrderIntercept, []byte(body))
		got := "?"
		refused, isRefused := errors.AsType[*contract.Refused](err)
		switch r, ok := reply.(*contract.OrderInterceptReply); {
		case isRefused:
			got = refused.Code + " " + refused.Text + " " + refused.SubCode + " " + refused.SubText
			if refused.Row == nil {
				t.Errorf("%s: no row", body)
			}
		case err == nil && ok:
			got = "reply " + r.Result.ErrorCode
		}
		if got != want {
			t.Errorf("%s: got %q (%v), want %q", body, got, err, want)
		}
	}
}

// Reverse calls: whatever the bytes, opening them ends, and the signature that was
// computed over them holds.
func FuzzSPI(f *testing.F) {
	for _, v := range spiVectors {
		f.Add(v.query, v.contentType, v.body, "X-A,")
	}
	f.Add("a=%&a==&=b", "text/xml", "<request><a><b/></a></request>", ",,")
	f.Fuzz(func(t *testing.T, query, contentType, body, list string) {
		r := httptest.NewRequest("POST", "/spi/qimen", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("top-sign-list", list)
		c, err := wire.SPI{}.Open(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		if (wire.SPI{}).Verify(c, "secret") {
			t.Fatalf("%q verifies by chance", query)
		}
		if c.Read() == nil {
			_, _ = contract.OrderIntercept.Decode(c.Lookup) // must end
		}
		_, _, _ = c.AppKey(), c.Format(), c.Fresh(time.Now(), time.Minute)
		r.Body = io.NopCloser(strings.NewReader(body))
		if found, err := (wire.SPI{}).Explain(r, "secret", time.Now()); err == nil && found.Mistake == nil {
			t.Fatalf("%q holds by chance", query)
		}
	})
}

// What is read of a merchant is a verdict that can be written, or no answer.
func FuzzMerchantAnswer(f *testing.F) {
	for _, seed := range []string{`{"result":{"success":false,"errorCode":"1001"}}`, `<result><success>true</success></result>`, `{"flag":"failure","code":1}`, `{"success":"TRUE"}`, `<a`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		reply, err := wire.SPI{}.Unseal(contract.OrderIntercept, body)
		if err != nil {
			if !errors.Is(err, wire.ErrNotAnswer) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		for _, format := range []wire.Format{xmlFormat, jsonFormat} {
			answer := wire.SPI{}.Reply(format, contract.OrderIntercept, reply, "")
			again, err := wire.SPI{}.Unseal(contract.OrderIntercept, answer.Body)
			if err != nil || contract.OrderIntercept.Yes(again) != contract.OrderIntercept.Yes(reply) {
				t.Fatalf("%q: written %s, read again %+v, %v", body, answer.Body, again, err)
			}
		}
	})
}
