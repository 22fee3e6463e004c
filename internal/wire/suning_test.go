package wire_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// The vectors of docs/protocol/suning.md 2.2.
const (
	suningSecret = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
	suningMethod = "suning.selfmarket.leaguerstatus.add"
	suningTime   = "2024-03-05 14:07:09"
	suningKey    = "0123456789abcdef0123456789abcdef"

	s1 = `<sn_request><sn_body><addLeaguerstatus><cardList><cardSec>I001XB999</cardSec><cardCode>1234567899</cardCode></cardList><iqStatus>180</iqStatus><orderId>1000531505</orderId><orderItemId>00000208117601</orderItemId><failReason>充值失败</failReason><supplierCode>10042869</supplierCode></addLeaguerstatus></sn_body></sn_request>`
	s3 = `<sn_request><sn_body><addLeaguerstatus><iqStatus>190</iqStatus><orderId>1000531505</orderId><orderItemId>00000208117601</orderItemId></addLeaguerstatus></sn_body></sn_request>`
	s4 = `{"sn_request":{"sn_body":{"addLeaguerstatus":{"cardList":[{"cardSec":"I001XB999","cardCode":"1234567899"}],"iqStatus":"180","orderId":"1000531505","orderItemId":"00000208117601","failReason":"充值失败","supplierCode":"10042869"}}}}`
	s6 = `{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":"190","orderId":"1000531505","orderItemId":"00000208117601"}}}}`
)

// suningVectors are S1 to S7: body, signature, and the parameters that a client
// seals into that body; nil for bodies that it does not write.
var suningVectors = []struct {
	name, body, sign string
	json             bool
	params           []contract.Param
}{
	{"S1", s1, "2b1b5d69c088d219f52b357219575717", false, pageParams},
	{"S2", `<?xml version="1.0" encoding="UTF-8"?>` + s1, "1a2e331e5bddf93b39caf7728f7284fa", false, nil},
	{"S3", s3, "eb0a07826b300e9fad342c4d1b85282c", false, receiptParams},
	{"S4", s4, "df72a81b260bffc8d0778fb36ba3d014", true, pageParams},
	{"S5", strings.Replace(s4, "充值失败", `\u5145\u503c\u5931\u8d25`, 1), "5eb7666b9eb93223f5f9e0880fb9c2be", true, nil},
	{"S6", s6, "2f26801f2b87ab223eb819be9e88fe14", true, receiptParams},
	{"S7", "", "2bfa7839d988f3d38dac74f46e423c9d", true, nil},
}

var pageParams = []contract.Param{
	{Name: "cardList", Value: `[{"cardSec":"I001XB999","cardCode":"1234567899"}]`}, {Name: "iqStatus", Value: "180"}, {Name: "orderId", Value: "1000531505"},
	{Name: "orderItemId", Value: "00000208117601"}, {Name: "failReason", Value: "充值失败"}, {Name: "supplierCode", Value: "10042869"},
}

var receiptParams = []contract.Param{{Name: "iqStatus", Value: "190"}, {Name: "orderId", Value: "1000531505"}, {Name: "orderItemId", Value: "00000208117601"}}

func suningRequest(body, sign string, json bool) *http.Request {
	r := httptest.NewRequest(http.MethodPost, wire.SuningPath, strings.NewReader(body))
	for name, value := range map[string]string{"AppMethod": suningMethod, "appRequestTime": suningTime, "APPKEY": suningKey, "versionno": "v1.2", "signInfo": sign, "Format": "XML"} {
		if name == "Format" && json {
			value = "Json"
		}
		r.Header.Set(name, value)
	}
	return r
}

func openSuning(t testing.TB, r *http.Request) *wire.SuningCall {
	t.Helper()
	c := wire.Suning{}.Head(r)
	if err := (wire.Suning{}).Read(httptest.NewRecorder(), r, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSuningVectorsVerify(t *testing.T) {
	t.Parallel()
	for _, v := range suningVectors {
		c := openSuning(t, suningRequest(v.body, v.sign, v.json))
		if !(wire.Suning{}).Verify(c, suningSecret) {
			t.Errorf("%s: signature refused", v.name)
		}
		if got := wire.SignSuning(suningSecret, c); got != v.sign {
			t.Errorf("%s: signed as %s, want %s", v.name, got, v.sign)
		}
		for what, wrong := range map[string]*http.Request{
			"upper-case hex": suningRequest(v.body, strings.ToUpper(v.sign), v.json),
			"a line end":     suningRequest(v.body+"\n", v.sign, v.json),
			"no signature":   suningRequest(v.body, "", v.json),
		} {
			if (wire.Suning{}).Verify(openSuning(t, wrong), suningSecret) {
				t.Errorf("%s: %s accepted", v.name, what)
			}
		}
		if (wire.Suning{}).Verify(c, suningSecret+"x") {
			t.Errorf("%s: another secret accepted", v.name)
		}
	}
}

// A vector sealed by the client is the vector, and opens.
func TestSuningVectorsSeal(t *testing.T) {
	t.Parallel()
	at, _ := contract.ParseTime(suningTime)
	for _, v := range suningVectors {
		if v.params == nil {
			continue
		}
		sealed, err := wire.Suning{}.Seal(t.Context(), wire.Message{
			URL: "http://127.0.0.1" + wire.SuningPath, AppKey: suningKey, Secret: suningSecret, Session: "token",
			API: contract.LeaguerStatus, Params: v.params, Format: wire.Format{JSON: v.json}, Time: at,
		})
		if err != nil {
			t.Fatal(err)
		}
		var raw bytes.Buffer
		if err := sealed.Request.Write(&raw); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(raw.Bytes(), []byte("\r\n\r\n"+v.body)) || !strings.Contains(raw.String(), "signInfo: "+v.sign+"\r\n") || !strings.Contains(raw.String(), "access_token: token\r\n") {
			t.Errorf("%s: sealed as\n%s", v.name, raw.String())
		}
		r, err := http.ReadRequest(bufio.NewReader(&raw))
		if err != nil {
			t.Fatal(err)
		}
		c := openSuning(t, r)
		if format, ok := c.Format(); !ok || format.JSON != v.json || c.Token != "token" || c.Time != suningTime {
			t.Errorf("%s: opened as %+v", v.name, c)
		}
		if strings.Contains(sealed.Signed, suningSecret) {
			t.Errorf("%s: the secret is explained", v.name)
		}
	}
	_, err := wire.Suning{}.Seal(t.Context(), wire.Message{URL: "http://h", API: contract.LeaguerStatus, Params: []contract.Param{{Name: "cardList", Value: "1234"}, {Name: "cardList", Value: "[hush"}}})
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a broken card list: %v", err)
	}
}

func TestSuningCaptures(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, recorded := range captures(t) {
		if recorded.API != suningMethod {
			continue
		}
		seen++
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(recorded.Request.Raw)))
		if err != nil {
			t.Fatalf("%s: %v", recorded.ID, err)
		}
		c := openSuning(t, r)
		if got, want := (wire.Suning{}).Verify(c, recorded.Secret), recorded.Expect == "valid"; got != want {
			t.Errorf("%s: signature valid %t, want %t", recorded.ID, got, want)
		}
		request, err := wire.Suning{}.Parse(t.Context(), c, contract.LeaguerStatus, false)
		if err != nil {
			t.Fatalf("%s: %v", recorded.ID, err)
		}
		got := map[string]string{}
		for _, p := range contract.LeaguerStatus.Params(request) {
			got[p.Name] = canonical(t, p.Value)
		}
		want := map[string]string{}
		for name, value := range recorded.Params {
			want[name] = canonical(t, value)
		}
		if !maps.Equal(got, want) || c.Time != recorded.Timestamp {
			t.Errorf("%s:\n got %v\nwant %v", recorded.ID, got, want)
		}
	}
	if seen < 16 {
		t.Errorf("%d captures, want 16", seen)
	}
}

// canonical writes a JSON list or object in one way.
func canonical(t *testing.T, text string) string {
	t.Helper()
	if !strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "{") {
		return text
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v) // prints maps sorted
}

// What calls hold, and how what holds nothing is refused: docs/protocol/suning.md 3.
func TestSuningContent(t *testing.T) {
	t.Parallel()
	const ids = `"iqStatus":"180","orderId":"1","orderItemId":"2"`
	inJSON := func(fields string) string { return `{"sn_request":{"sn_body":{"addLeaguerstatus":{` + fields + `}}}}` }
	const idsXML = `<iqStatus>180</iqStatus><orderId>1</orderId><orderItemId>2</orderItemId>`
	inXML := func(fields string) string {
		return `<sn_request><sn_body><addLeaguerstatus>` + fields + `</addLeaguerstatus></sn_body></sn_request>`
	}
	card := contract.Card{Code: "c", Password: "p"}
	one := []contract.Card{card}
	ok := func(cards ...contract.Card) *contract.LeaguerStatusRequest {
		return &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", Cards: cards}
	}
	for _, c := range []struct {
		name, body string
		want       *contract.LeaguerStatusRequest
		fault      error
	}{
		{"json", inJSON(ids), ok(), nil},
		{"numbers by their text", inJSON(`"iqStatus":180,"orderId":1,"orderItemId":2`), ok(), nil},
		{"unknown fields", inJSON(ids + `,"other":{"x":[1]},"more":null`), ok(), nil},
		{"null is absent", inJSON(ids + `,"cardList":null,"supplierCode":null`), ok(), nil},
		{"empty list", inJSON(ids + `,"cardList":[]`), ok(), nil},
		{"empty text for a list", inJSON(ids + `,"cardList":""`), ok(), nil},
		{"one card", inJSON(ids + `,"cardList":[{"cardCode":"c","cardSec":"p"}]`), ok(one...), nil},
		{"a bare card", inJSON(ids + `,"cardList":{"cardCode":"c","cardSec":"p"}`), ok(one...), nil},
		{"two cards", inJSON(ids + `,"cardList":[{"cardCode":"c","cardSec":"p"},{"cardSec":"p","cardCode":"c"}]`), ok(card, card), nil},
		{"a blank card", inJSON(ids + `,"cardList":[{}]`), ok(contract.Card{}), nil},
		{"byte order mark", "\ufeff" + inJSON(ids), ok(), nil},
		{"white space", "\n " + inJSON(ids) + " \r\n", ok(), nil},
		{"a list of one node", `{"sn_request":{"sn_body":{"addLeaguerstatus":[{` + ids + `}]}}}`, ok(), nil},
		{"values are not trimmed", inJSON(`"iqStatus":" 180","orderId":"1","orderItemId":"2"`), &contract.LeaguerStatusRequest{Status: " 180", OrderID: "1", LineID: "2"}, nil},

		{"single quotes", `{"sn_request": { "sn_body": {"addLeaguerstatus":{'iqStatus': '180', "orderId": '1', 'orderItemId': "2"}}}}`, ok(), nil},
		{"raw line ends", inJSON("\"iqStatus\":\"180\",\"orderId\":\"1\",\"orderItemId\":\"2\",\"failReason\":\"a\nb\tc\""), &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", FailReason: "a\nb\tc"}, nil},
		{"Python's words", inJSON(`'iqStatus': '180', 'orderId': '1', 'orderItemId': '2', 'failReason': "it's", 'supplierCode': None, 'x': True`), &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", FailReason: "it's"}, nil},
		{"Python's escapes", inJSON(`'iqStatus': '180', 'orderId': '1', 'orderItemId': '2', 'failReason': 'it\'s \"\xa0\U0001f600'`), &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", FailReason: "it's \"\u00a0😀"}, nil},
		{"surrogates", inJSON(ids + `,"failReason":"\ud83d\ude00\ud83d"`), &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", FailReason: "😀\ufffd"}, nil},
		{"a text for a list", inJSON(ids + `,"cardList":"abc"`), nil, contract.BadRequest},
		{"a number for a list", inJSON(ids + `,"cardList":5`), nil, contract.BadRequest},
		{"two lists of a name: the last counts", inJSON(ids + `,"cardList":[{"cardCode":"x"}],"cardList":[{"cardCode":"c","cardSec":"p"}]`), ok(one...), nil},
		{"a boolean for a text", inJSON(`"iqStatus":true,"orderId":"1","orderItemId":"2"`), nil, contract.BadRequest},
		{"a boolean in a card", inJSON(ids + `,"cardList":[{"cardCode":false,"cardSec":"p"}]`), nil, contract.BadRequest},
		{"two bodies", `{"sn_request":{"sn_body":{"addLeaguerstatus":{` + ids + `}},"sn_body":{"addLeaguerstatus":{` + ids + `}}}}`, nil, contract.SeveralNodes},
		{"two roots of a name", `{"sn_request":{"sn_body":{"addLeaguerstatus":{` + ids + `}}},"sn_request":{"sn_body":{"addLeaguerstatus":{` + ids + `}}}}`, nil, contract.BadRequest},
		{"1003 cards are read as 1001", inJSON(ids + `,"cardList":[` + strings.Repeat(`{"cardCode":"c","cardSec":"p"},`, 1002) + `{"cardCode":"c","cardSec":"p"}]`), ok(slices.Repeat(one, 1001)...), nil},
		{"texts for cards", inJSON(ids + `,"cardList":["abc"]`), nil, contract.BadRequest},
		{"lists for cards", inJSON(ids + `,"cardList":[[{"cardCode":"c"}]]`), nil, contract.BadRequest},
		{"a blank text for a card", inJSON(ids + `,"cardList":[""]`), ok(contract.Card{}), nil},
		{"a null among cards", inJSON(ids + `,"cardList":[null,{"cardCode":"c","cardSec":"p"}]`), ok(one...), nil},
		{"an empty list for a node", `{"sn_request":{"sn_body":{"addLeaguerstatus":[]}}}`, nil, contract.BadRequest},
		{"quotes that are not escaped", inJSON(ids + `,"failReason":"a"b"`), nil, contract.BadRequest},
		{"a comma too many", inJSON(ids + `,`), nil, contract.BadRequest},
		{"cut short", inJSON(ids)[:60], nil, contract.BadRequest},
		{"something behind", inJSON(ids) + "x", nil, contract.BadRequest},
		{"nothing", "", nil, contract.BadRequest},
		{"XML", inXML(idsXML), nil, contract.BadRequest}, // in the declared format, which is JSON
		{"a list", `[]`, nil, contract.BadRequest},
		{"another root", `{"request":{}}`, nil, contract.BadRequest},
		{"no body", `{"sn_request":{}}`, nil, contract.MissingBody},
		{"an empty root", `{"sn_request":""}`, nil, contract.MissingBody},
		{"a null body", `{"sn_request":{"sn_body":null}}`, nil, contract.MissingBody},
		{"no node", `{"sn_request":{"sn_body":{}}}`, nil, contract.BadRequest},
		{"another node", `{"sn_request":{"sn_body":{"getOrder":{}}}}`, nil, contract.BadRequest},
		{"two nodes", `{"sn_request":{"sn_body":{"addLeaguerstatus":{},"addLeaguerstatus":{}}}}`, nil, contract.SeveralNodes},
		{"a list of nodes", `{"sn_request":{"sn_body":{"addLeaguerstatus":[{},{}]}}}`, nil, contract.SeveralNodes},
		{"an empty node", `{"sn_request":{"sn_body":{"addLeaguerstatus":""}}}`, nil, contract.MissingArgument},
		{"a text for a node", `{"sn_request":{"sn_body":{"addLeaguerstatus":"x"}}}`, nil, contract.BadRequest},
		{"an object for a text", inJSON(`"iqStatus":"180","orderId":{"a":"1"},"orderItemId":"2"`), nil, contract.BadRequest},
		{"a long id", inJSON(`"iqStatus":"180","orderId":"` + strings.Repeat("1", 257) + `","orderItemId":"2"`), nil, contract.BadArgument},

		{"xml", inXML(idsXML), ok(), nil},
		{"prolog, indentation, CDATA, comments", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><sn_request>\n  <sn_body>\n <addLeaguerstatus>\n<iqStatus><![CDATA[180]]></iqStatus><!-- c --><orderId>1</orderId><orderItemId>2</orderItemId>\n<failReason><![CDATA[a<]]]]><![CDATA[>b]]></failReason></addLeaguerstatus></sn_body></sn_request>\n", &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", FailReason: "a<]]>b"}, nil},
		{"byte order mark, xml", "\ufeff" + inXML(idsXML), ok(), nil},
		{"a prolog that says GBK", `<?xml version="1.0" encoding="GBK"?>` + inXML(idsXML), ok(), nil},
		{"GBK in a text", inXML(idsXML + "<failReason>\xb3\xe4</failReason>"), &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", FailReason: "\ufffd"}, nil},
		{"one card, xml", inXML(idsXML + `<cardList><cardCode>c</cardCode><cardSec>p</cardSec></cardList>`), ok(one...), nil},
		{"two cards, xml", inXML(`<cardList><cardCode>c</cardCode><cardSec>p</cardSec></cardList>` + idsXML + `<cardList><cardCode>c</cardCode><cardSec>p</cardSec></cardList>`), ok(card, card), nil},
		{"two bodies, xml", `<sn_request><sn_body><addLeaguerstatus>` + idsXML + `</addLeaguerstatus></sn_body><sn_body><addLeaguerstatus>` + idsXML + `</addLeaguerstatus></sn_body></sn_request>`, nil, contract.SeveralNodes},
		{"cards in a wrapper are none, xml", inXML(idsXML + `<cardList><cardList><cardCode>c</cardCode><cardSec>p</cardSec></cardList></cardList>`), ok(contract.Card{}), nil},
		{"an empty list, xml", inXML(idsXML + `<cardList/>`), ok(), nil},
		{"an empty element among cards", inXML(idsXML + `<cardList/><cardList><cardCode>c</cardCode><cardSec>p</cardSec></cardList>`), ok(one...), nil},
		{"a blank card, xml", inXML(idsXML + `<cardList><cardCode/><cardSec/></cardList>`), ok(contract.Card{}), nil},
		{"a text for a list, xml", inXML(idsXML + `<cardList>abc</cardList>`), nil, contract.BadRequest},
		{"a text among cards, xml", inXML(idsXML + `<cardList>abc</cardList><cardList><cardCode>c</cardCode><cardSec>p</cardSec></cardList>`), nil, contract.BadRequest},
		{"an empty node, xml", `<sn_request><sn_body><addLeaguerstatus></addLeaguerstatus></sn_body></sn_request>`, nil, contract.MissingArgument},
		{"no body, xml", `<sn_request></sn_request>`, nil, contract.MissingBody},
		{"no node, xml", `<sn_request><sn_body/></sn_request>`, nil, contract.BadRequest},
		{"two nodes, xml", `<sn_request><sn_body><addLeaguerstatus/><addLeaguerstatus/></sn_body></sn_request>`, nil, contract.SeveralNodes},
		{"another root, xml", `<request/>`, nil, contract.BadRequest},
		{"two roots", inXML(idsXML) + `<sn_request/>`, nil, contract.BadRequest},
		{"text behind", inXML(idsXML) + `x`, nil, contract.BadRequest},
		{"cut short, xml", inXML(idsXML)[:100], nil, contract.BadRequest},
		{"document type", `<!DOCTYPE sn_request>` + inXML(idsXML), nil, contract.BadRequest},
		{"entity bomb", `<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + inXML(idsXML+`<failReason>&b;</failReason>`), nil, contract.BadRequest},
		{"external entity", `<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + inXML(`<iqStatus>180</iqStatus><orderId>&a;</orderId><orderItemId>2</orderItemId>`), nil, contract.BadRequest},
		{"unknown entity", inXML(idsXML + `<failReason>&nbsp;</failReason>`), nil, contract.BadRequest},
		{"deep", strings.Repeat("<a>", 101), nil, contract.BadRequest},
		{"elements for a text", inXML(`<iqStatus>180</iqStatus><orderId><b>1</b></orderId><orderItemId>2</orderItemId>`), nil, contract.BadRequest},
		{"deep, json", strings.Repeat(`{"a":`, 102), nil, contract.BadRequest},
		{"deep lists", strings.Repeat("[", 1<<19), nil, contract.BadRequest},
		{"many", inJSON(ids + `,"x":[` + strings.Repeat("0,", 200_000) + `0]`), nil, contract.BadRequest},
		{"many, xml", inXML(idsXML + strings.Repeat("<a/>", 200_000)), nil, contract.BadRequest},
	} {
		json := !strings.Contains(c.name, "xml") && !strings.HasPrefix(strings.TrimSpace(c.body), "<") || c.name == "XML"
		call := openSuning(t, suningRequest(c.body, "", json))
		got, err := wire.Suning{}.Parse(t.Context(), call, contract.LeaguerStatus, false)
		if !errors.Is(err, c.fault) {
			t.Errorf("%s: %v, want %v", c.name, err, c.fault)
			continue
		}
		if c.want != nil && (got == nil || !sameRequest(got.(*contract.LeaguerStatusRequest), c.want)) {
			t.Errorf("%s:\n got %#v\nwant %#v", c.name, got, c.want)
		}
	}
	for _, body := range []string{
		inJSON("'iqStatus':'180'"), inJSON("\"iqStatus\":\"1\n\""), inJSON(ids + `,"x":None`), inJSON(ids + `,"x":"\'"`), inJSON(ids + `,"x":[` + strings.Repeat("0,", 200_000) + `0]`),
		inJSON(ids + `,"x":` + strings.Repeat("[", 101) + strings.Repeat("]", 101)),
	} {
		if _, err := openSuning(t, suningRequest(body, "", true)).Content(contract.LeaguerStatus, true); !errors.Is(err, contract.BadRequest) {
			t.Errorf("strict, %.100q: %v", body, err)
		}
	}
	call := openSuning(t, suningRequest(inJSON(ids), "", true))
	call2 := suningRequest(inJSON(ids), "", true)
	call2.Header.Set("Format", "yaml")
	if _, err := openSuning(t, call2).Content(contract.LeaguerStatus, true); !errors.Is(err, contract.BadFormat) {
		t.Errorf("format yaml: %v", err)
	}
	if _, err := call.Content(contract.LeaguerStatus, true); err != nil {
		t.Errorf("strict, what is JSON: %v", err)
	}
}

func sameRequest(a, b *contract.LeaguerStatusRequest) bool {
	return a.Status == b.Status && a.OrderID == b.OrderID && a.LineID == b.LineID && a.SupplierCode == b.SupplierCode && a.FailReason == b.FailReason && slices.Equal(a.Cards, b.Cards)
}

// The page's answers, without the blanks between the elements, and Suning's errors.
func TestSuningAnswers(t *testing.T) {
	t.Parallel()
	suning, api := wire.Suning{}, contract.LeaguerStatus
	reply := &contract.LeaguerStatusReply{Result: "Y", OrderID: "1000531505", LineID: "00000208117601"}
	refused := suning.Word(api, contract.About(contract.MissingArgument, "orderId"), "id")
	for name, c := range map[string]struct {
		got  wire.Answer
		want string
	}{
		"xml":        {suning.Reply(wire.Format{}, api, reply, ""), `<sn_responseContent><sn_body><addLeaguerstatus><result>Y</result><orderId>1000531505</orderId><orderItemId>00000208117601</orderItemId></addLeaguerstatus></sn_body></sn_responseContent>`},
		"json":       {suning.Reply(wire.Format{JSON: true}, api, reply, ""), `{"sn_responseContent":{"sn_body":{"addLeaguerstatus":{"result":"Y","orderId":"1000531505","orderItemId":"00000208117601"}}}}`},
		"error xml":  {suning.Refuse(wire.Format{}, refused), `<sn_responseContent><sn_error><error_code>biz.selfmarket.addleaguerstatus.missing-parameter:orderId</error_code><error_msg>参数必填</error_msg></sn_error></sn_responseContent>`},
		"error json": {suning.Refuse(wire.Format{JSON: true}, refused), `{"sn_responseContent":{"sn_error":{"error_code":"biz.selfmarket.addleaguerstatus.missing-parameter:orderId","error_msg":"参数必填"}}}`},
	} {
		if string(c.got.Body) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, c.got.Body, c.want)
		}
	}
	for _, body := range []string{`<sn_responseContent> <sn_body> <addLeaguerstatus> <result>Y</result> <orderId>1000531505</orderId> <orderItemId>00000208117601</orderItemId> </addLeaguerstatus> </sn_body> </sn_responseContent>`,
		`{ "sn_responseContent": { "sn_body": { "addLeaguerstatus": { "result": "Y", "orderId": "1000531505", "orderItemId": "00000208117601" } } } }`,
		`{"sn_responseContent":{"sn_body":{"addLeaguerstatus":[{"result":"Y","orderId":"1000531505","orderItemId":"00000208117601"}]}}}`,
		"\ufeff" + `<?xml version="1.0"?><sn_responseContent><sn_head/><sn_body><addLeaguerstatus><result>Y</result><orderId>1000531505</orderId><orderItemId>00000208117601</orderItemId></addLeaguerstatus></sn_body></sn_responseContent>`,
	} {
		got, err := suning.Unseal(api, []byte(body))
		if err != nil || *got.(*contract.LeaguerStatusReply) != *reply {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
	for _, body := range []string{"", "<html>", "<html/>", `{}`, `[]`, `{"sn_responseContent":{}}`, `{"sn_responseContent":{"sn_body":{"getOrder":{"result":"Y"}}}}`, `{"sn_responseContent":{"sn_body":{"addLeaguerstatus":{}}}}`, `<sn_responseContent><sn_body><addLeag`} {
		if _, err := suning.Unseal(api, []byte(body)); !errors.Is(err, wire.ErrNotAnswer) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// Every row of the two tables is found again by a client, with and without its
// text, in both formats; odd codes of real answers too.
func TestSuningRowsUnseal(t *testing.T) {
	t.Parallel()
	suning, api := wire.Suning{}, contract.LeaguerStatus
	for _, row := range slices.Concat(api.Refusals, contract.SuningFaults) {
		for _, format := range []wire.Format{{}, {JSON: true}} {
			sent := suning.Word(api, contract.About(row, "x"), "")
			_, err := suning.Unseal(api, suning.Refuse(format, sent).Body)
			refused, ok := errors.AsType[*contract.Refused](err)
			if !ok || refused.Row != error(row) || refused.Code != sent.Code || refused.Text != sent.Text {
				t.Errorf("%s %s: %v", row.Code, row.Text, err)
			}
		}
	}
	for code, want := range map[string]error{
		"biz.selfmarket.addleaguerstatus.invalid-biz:105":           contract.AlreadyShipped,
		"biz.selfmarket.addleaguerstatus.invalid-biz:105\t订单状态非未发货": contract.AlreadyShipped,
		"isp.sys.service.unavailable.mcmp":                          contract.SuningUnavailable,
		"sys.error.network-status:502":                              contract.NetworkStatus,
		"sys.check.app-sign:error":                                  contract.BadSign,
		"sys.oauth.check.access_token:overdue":                      nil,
		"":                                                          nil,
	} {
		for _, body := range []string{
			`{"sn_responseContent":{"sn_error":{"error_code":` + string(contract.AppendJSONString(nil, code)) + `}}}`,
			`<sn_responseContent><sn_head></sn_head>` + string(contract.AppendElement([]byte("<sn_error>"), "error_code", code)) + `</sn_error></sn_responseContent>`,
		} {
			_, err := suning.Unseal(api, []byte(body))
			refused, ok := errors.AsType[*contract.Refused](err)
			if !ok || refused.Code != code || want != nil && !errors.Is(err, want) || want == nil && refused.Row != nil {
				t.Errorf("%q: %v, want %v", code, err, want)
			}
		}
	}
}

// Everything that is JSON is read as JSON is.
func FuzzLenientJSON(f *testing.F) {
	for _, seed := range []string{s4, s6, `{"a":[1,-0.5e9,true,false,null,"\u00e9\ud83d\ude00\n"],"":{}}`, `{'a': 'b', 'c': [None, True]}`, `["\x41"]`, "\"a\nb\"", "{", "[[", `{"a":1,}`, "\"\\u12\"", "0012"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		body := `{"sn_request":{"sn_body":{"getY":{"x":` + text + `}}}}`
		call := openSuning(t, suningRequest(body, "", true))
		api := contract.Define[struct{}, struct{}](contract.API{Method: "suning.x.y.get", Protocol: contract.Suning})
		strict, strictErr := call.Content(api, true)
		lenient, lenientErr := call.Content(api, false)
		if strictErr == nil && lenientErr != nil {
			t.Fatalf("%q is taken as JSON and refused otherwise: %v", text, lenientErr)
		}
		document, err := contract.ParseJSON(strings.ToValidUTF8(body, "\ufffd"))
		if err != nil || strictErr != nil {
			return
		}
		for _, name := range []string{"sn_request", "sn_body", "getY"} {
			document, _ = document.Get(name)
		}
		if !sameNode(document, strict) || !sameNode(document, lenient) {
			t.Fatalf("%q: %v, %v and %v", text, document, strict, lenient)
		}
	})
}

func sameNode(a, b *contract.Node) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Parts) != len(b.Parts) {
		return false
	}
	for i := range a.Parts {
		if a.Parts[i].Name != b.Parts[i].Name || !sameNode(a.Parts[i].Node, b.Parts[i].Node) {
			return false
		}
	}
	return true
}

// What the XML reader takes, the standard library takes, and no more text comes
// out than went in.
func FuzzXML(f *testing.F) {
	for _, seed := range []string{s1, s3, `<?xml version="1.0" encoding="GBK"?>` + s3, `<a b="c"><![CDATA[x]]>&lt;</a>`, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, "<a>", "<a/><b/>", "<a>\xff</a>"} {
		f.Add(seed)
	}
	api := contract.Define[struct{}, struct{}](contract.API{Method: "suning.x.y.get", Protocol: contract.Suning})
	f.Fuzz(func(t *testing.T, text string) {
		body := `<sn_request><sn_body><getY>` + text + `</getY></sn_body></sn_request>`
		content, err := openSuning(t, suningRequest(body, "", false)).Content(api, false)
		if err != nil {
			return
		}
		if size := sizeOf(content); size > 3*len(body) { // a byte that is not UTF-8 becomes three
			t.Fatalf("%q: %d bytes of text", text, size)
		}
		d := xml.NewDecoder(strings.NewReader(strings.ToValidUTF8(body, "\ufffd")))
		d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
		for {
			token, err := d.Token()
			if err == io.EOF {
				return
			}
			if _, directive := token.(xml.Directive); err != nil || directive {
				t.Fatalf("%q was read: %v %v", text, token, err)
			}
		}
	})
}

func sizeOf(n *contract.Node) int {
	size := len(n.Text)
	for _, p := range n.Parts {
		size += len(p.Name) + sizeOf(p.Node)
	}
	return size
}

// A clock that is off is named; the rest of the mistakes stand in testdata/verify.
func TestSuningExplainsTime(t *testing.T) {
	t.Parallel()
	at, _ := contract.ParseTime(suningTime)
	for off, want := range map[time.Duration]*wire.Mistake{0: nil, 10 * time.Minute: nil, -11 * time.Minute: wire.ClockOff, 8 * time.Hour: wire.UTCClock} {
		found, err := wire.Suning{}.Explain(suningRequest(s3, suningVectors[2].sign, false), suningSecret, at.Add(off))
		if err != nil || found.Mistake != want {
			t.Errorf("%s: %v, %v", off, found, err)
		}
	}
}

// Decisions say the limits that the readers have.
func TestDecisionsSayTheLimits(t *testing.T) {
	t.Parallel()
	for file, words := range map[string][]string{
		"0004-limits-of-our-own.md": {fmt.Sprintf("waits %.0f s for a place", wire.PlaceTime.Seconds()), fmt.Sprintf("has %.0f s to arrive", wire.LargeTime.Seconds())},
		"0010-the-reverse-call.md":  {fmt.Sprintf("At most %d headers of %d KiB in all", wire.MaxSigned, wire.MaxSignedBytes>>10), fmt.Sprintf("over %d,%03d elements", wire.MaxFields/1000, wire.MaxFields%1000)},
		"0008-suning.md": {
			fmt.Sprintf("at most %d deep", wire.MaxDepth), fmt.Sprintf("at most %d,%03d elements", wire.MaxNodes/1000, wire.MaxNodes%1000),
			fmt.Sprintf("waits %.0f s for a place", wire.PlaceTime.Seconds()), fmt.Sprintf("has %.0f s to", wire.LargeTime.Seconds()), fmt.Sprintf("over %d KiB", wire.SmallBody>>10),
			fmt.Sprintf("%d,%03d are read", (contract.MaxCards+1)/1000, (contract.MaxCards+1)%1000),
		},
	} {
		text, err := os.ReadFile("../../docs/decisions/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s does not say %q", file, w)
			}
		}
	}
}
