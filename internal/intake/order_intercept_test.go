package intake

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

const interceptMethod = "qimen.taobao.qianniu.cloudkefu.order.self.intercept"

// newIntercept is a call that asks to lock line …201 of the demo's order …200.
func newIntercept() *request {
	r := newRequest().drop("session").drop("status").drop("tid")
	r.path = "/router/qm"
	for name, value := range map[string]string{
		"method": interceptMethod, "target_app_key": "87654321", "sellerNick": "苏宁易购官方旗舰店", "buyerNick": "翔_ouyang", "buyer_open_uid": "1",
		"bizOrder": `{"tid":"30753531820144200","subOrderIds":"30753531820144201"}`, "callType": "synchronous",
	} {
		r.set(name, value)
	}
	return r
}

// pageIntercept is the page's example.
func pageIntercept() *request {
	return newIntercept().set("bizOrder", `{"tid":"30753531820144197","subOrderIds":"30753531820144191,30753531820144192,30753531820144193"}`)
}

// verdict is an answer to a reverse call, read independently of package wire.
type verdict struct {
	Flag       string `json:"flag"`
	Code       string `json:"code" xml:"code"`
	Message    string `json:"message" xml:"msg"`
	SubCode    string `json:"sub_code" xml:"sub_code"`
	SubMessage string `json:"sub_message" xml:"sub_msg"`
	RequestID  string `json:"request_id" xml:"request_id"`
	Result     *struct {
		Success   *bool   `json:"success" xml:"success"`
		ErrorCode *string `json:"errorCode" xml:"errorCode"`
		ErrorMsg  *string `json:"errorMsg" xml:"errorMsg"`
	} `json:"result" xml:"result"`
	Body string `json:"-" xml:"-"`
}

func (v verdict) String() string { return v.Body }

// says reports what the result is: "yes", an errorCode, or the sub_code or code of an
// error.
func (v verdict) says() string {
	switch {
	case v.Result == nil && v.SubCode != "":
		return v.SubCode
	case v.Result == nil:
		return v.Code
	case v.Result.Success != nil && *v.Result.Success:
		return "yes"
	case v.Result.ErrorCode == nil:
		return "no"
	}
	return *v.Result.ErrorCode
}

func (g *gateway) intercept(t testing.TB, r *request) verdict {
	t.Helper()
	return readVerdict(t, g.post(t, r))
}

func readVerdict(t testing.TB, body string) verdict {
	t.Helper()
	v := verdict{Body: body}
	var err error
	if strings.HasPrefix(body, "<") {
		text := body
		if !strings.Contains(body, "<error_response>") && !strings.Contains(body, "_response>") { // result is the root
			text = "<root>" + strings.TrimPrefix(body, `<?xml version="1.0" encoding="utf-8" ?>`) + "</root>"
		}
		err = xml.Unmarshal([]byte(text), &v)
	} else {
		var outer struct {
			Response *verdict `json:"response"`
			Rest     *verdict `json:"qimen_taobao_qianniu_cloudkefu_order_self_intercept_response"`
			Error    *struct {
				Code             int
				Msg, Sub_code    string
				Request_id       string
				Sub_msg, Message string
			} `json:"error_response"`
		}
		if err = json.Unmarshal([]byte(body), &outer); err == nil {
			switch {
			case outer.Response != nil:
				v = *outer.Response
			case outer.Rest != nil:
				v = *outer.Rest
			case outer.Error != nil:
				v = verdict{Code: fmt.Sprint(outer.Error.Code), Message: outer.Error.Msg, SubCode: outer.Error.Sub_code, SubMessage: outer.Error.Sub_msg, RequestID: outer.Error.Request_id}
			default:
				err = json.Unmarshal([]byte(body), &v)
			}
			v.Body = body
		}
	}
	if err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	return v
}

// The page's example gets the page's example answer, in every shape of every URL.
func TestInterceptPage(t *testing.T) {
	t.Parallel()
	const (
		code  = `"errorCode":"1001"`
		fault = "<errorMsg>已发货拦截失败</errorMsg><errorCode>1001</errorCode><success>false</success>"
	)
	for _, c := range []struct{ path, format, simplify, prefix, holds string }{
		{"/router/qm", "json", "", `{"response":{"result":{`, code},
		{"/router/qm", "json", "true", `{"response":{"result":{`, code},
		{"/router/qmtest", "json", "", `{"response":{"result":{`, code},
		{"/router/qm", "json2", "", `{"result":{`, code},
		{"/router/qm", "xml", "", `<?xml version="1.0" encoding="utf-8" ?><result>` + fault + `</result>`, ""},
		{"/router/qmtest", "xml2", "", `<?xml version="1.0" encoding="utf-8" ?><result>` + fault + `</result>`, ""},
		{"/router/rest", "json", "", `{"qimen_taobao_qianniu_cloudkefu_order_self_intercept_response":{"result":{`, code},
		{"/router/rest", "json", "true", `{"result":{`, code},
		{"/router/rest", "xml", "", `<?xml version="1.0" encoding="utf-8" ?><qimen_taobao_qianniu_cloudkefu_order_self_intercept_response><result>` + fault + `</result><request_id>`, ""},
	} {
		r := pageIntercept().set("format", c.format)
		if c.simplify != "" {
			r.set("simplify", c.simplify)
		}
		r.path = c.path
		got := newGateway(t).demo(t).intercept(t, r)
		if !strings.HasPrefix(got.Body, c.prefix) || !strings.Contains(got.Body, c.holds) || got.says() != "1001" || *got.Result.ErrorMsg != "已发货拦截失败" {
			t.Errorf("%s %s %s: got %s", c.path, c.format, c.simplify, got)
		}
		if strings.HasPrefix(got.Body, "{") && len(got.RequestID) != 12 {
			t.Errorf("%s %s: request_id %q", c.path, c.format, got.RequestID)
		}
	}
}

// A yes has neither code nor text, in either format.
func TestInterceptSucceeds(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"json": `{"response":{"result":{"success":true},"request_id":"`, "xml": `<?xml version="1.0" encoding="utf-8" ?><result><success>true</success></result>`} {
		g := newGateway(t).demo(t)
		if got := g.intercept(t, newIntercept().set("format", format)); !strings.HasPrefix(got.Body, want) {
			t.Errorf("%s: got %s", format, got)
		}
		g.kept(t, map[string]string{
			"sellerNick": "苏宁易购官方旗舰店", "buyerNick": "翔_ouyang", "buyer_open_uid": "1", "callType": "synchronous",
			"bizOrder": `{"tid":"30753531820144200","subOrderIds":"30753531820144201"}`,
		})
	}
}

// reverseOffences are what only reverse calls can do wrong, by the checks of TOP.
var reverseOffences = []offence{
	{"unknown target", 7, contract.UnknownApp, "29", "Invalid app Key", "isv.appkey-not-exists", "", with("target_app_key", "0")},
	{"a document in GBK", 14, contract.BadEncoding, "47", "Invalid encoding", "", "", func(r *request) { asDocument(r, "{\"sellerNick\":\"\xd6\xd0\"}") }},
	{"a document that is none", 14, contract.BadRequest, "43", "Parameter error", "", "", func(r *request) { asDocument(r, `{"sellerNick"`) }},
	{"a merchant without a verdict", 15, contract.BackendFailed, "15", "Remote service error", "http-service-status-error", "the forwarded service answered another status than 200", func(r *request) { r.app.Name = "asked" }},
}

// asDocument moves the API's parameters of a call out of the form.
func asDocument(r *request, document string) {
	for _, f := range contract.OrderIntercept.Request {
		r.drop(f.Name)
	}
	r.document = document
	r.header = http.Header{"Content-Type": {"application/json;charset=UTF-8"}}
}

// fails is a merchant who gives no verdict.
type fails struct{ row error }

func (f fails) Ask(context.Context, *order.Destination, *order.Question) (any, error) {
	return nil, f.row
}

// waiting declares a destination that waits for the intercepts of all sellers.
func (g *gateway) waiting(t testing.TB, m Merchants) *gateway {
	t.Helper()
	g.declare(t, &apply.Document{Destinations: []apply.Destination{{Name: "erp", Kind: order.KindQimen, URL: "https://erp.example.com/", AppKey: "87654321", Secret: "s", Wait: true}}})
	g.intake.Merchants = m
	return g
}

// Each is refused in the words of its URL: Qimen's in JSON, with a code that is text
// and no type; the page's in XML; TOP's on TOP's URL, or when the app wants it so.
func TestReverseOffences(t *testing.T) {
	t.Parallel()
	for _, o := range reverseOffences {
		for _, path := range []string{"/router/qm", "/router/rest"} {
			for _, format := range []string{"json", "json2", "xml"} {
				for _, errors := range []string{"", "error_response"} {
					if path == "/router/rest" && (format == "json2" || errors != "") {
						continue
					}
					r := newIntercept().set("format", format)
					r.path = path
					if errors != "" {
						r.app.Options = map[string]string{"qimen_errors": errors}
					}
					o.commit(r)
					g := newGateway(t).demo(t)
					if r.app.Name == "asked" {
						g.waiting(t, fails{contract.StatusNotOK})
					}
					got := g.intercept(t, r)
					if got.Code != o.code || got.Message != o.text || got.SubCode != o.subCode || got.SubMessage != o.subText || len(got.RequestID) != 12 {
						t.Errorf("%s %s %s: got %s", o.name, path, format, got)
					}
					prefix := `{"error_response":{"code":` + o.code
					switch {
					case format == "xml":
						prefix = `<?xml version="1.0" encoding="utf-8" ?><error_response><code>`
					case path == "/router/qm" && format == "json" && errors == "":
						prefix = `{"response":{"flag":"failure","code":"` + o.code + `","message":"`
					case path == "/router/qm" && errors == "":
						prefix = `{"flag":"failure","code":"` + o.code + `","message":"`
					}
					if !strings.HasPrefix(got.Body, prefix) || strings.Contains(got.Body, "type") {
						t.Errorf("%s %s %s %s: got %s, want %s…", o.name, path, format, errors, got, prefix)
					}
					if n := len(g.events(t)); n != 0 {
						t.Errorf("%s: left %d events", o.name, n)
					}
				}
			}
		}
	}
}

// On Qimen's URLs there are reverse calls only, and only those paths.
func TestQimenURLs(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	r := newRequest()
	r.path = "/router/qm"
	if got := g.intercept(t, r); got.Code != "22" {
		t.Errorf("event.produce on /router/qm: %s", got)
	}
	if got := g.intercept(t, newIntercept().set("format", "csv")); got.Code != "23" || !strings.HasPrefix(got.Body, "<?xml") {
		t.Errorf("format csv: %s", got)
	}
	response, err := g.Client().Post(g.URL+"/router/qimen/service", "text/xml", strings.NewReader("<request/>"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("/router/qimen/service: %d", response.StatusCode)
	}
}

// Arguments, in the order in which they are looked at.
func TestInterceptArguments(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	for _, c := range []struct{ name, value, code, text, subCode string }{
		{"sellerNick", " ", "40", "Missing required arguments:sellerNick", ""},
		{"buyerNick", "", "40", "Missing required arguments:buyerNick", ""},
		{"bizOrder", "", "40", "Missing required arguments:bizOrder", ""},
		{"callType", "\t", "40", "Missing required arguments:callType", ""},
		{"sellerNick", strings.Repeat("商", 257), "41", "Invalid arguments:sellerNick", ""},
		{"buyer_open_uid", strings.Repeat("1", 257), "41", "Invalid arguments:buyer_open_uid", ""},
		{"bizOrder", `{"tid":"1","subOrderIds":"` + strings.Repeat("1,", 1000) + `1"}`, "41", "Invalid arguments:bizOrder", ""},
		{"bizOrder", `{"tid":"` + strings.Repeat("1", 257) + `","subOrderIds":"1"}`, "41", "Invalid arguments:bizOrder", ""},
		{"bizOrder", strings.Repeat("[", 65_537), "41", "Invalid arguments:bizOrder", ""},
		{"bizOrder", `[]`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `"x"`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `null`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `{"tid":"1"`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `{"tid":"1"}`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `{"subOrderIds":"1"}`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `{"tid":" ","subOrderIds":"1"}`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `{"tid":"1","subOrderIds":" , ,"}`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `{"tid":"1","subOrderIds":["1"]}`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"bizOrder", `{"tid":{},"subOrderIds":"1"}`, "50", "Remote service error", "isv.invalid-parameter:bizOrder"},
		{"callType", "sync", "50", "Remote service error", "isv.invalid-parameter:callType"},
		{"callType", "Synchronous", "50", "Remote service error", "isv.invalid-parameter:callType"},
	} {
		got := g.intercept(t, newIntercept().set(c.name, c.value))
		if got.Code != c.code || got.Message != c.text || got.SubCode != c.subCode || (c.subCode != "") != (got.SubMessage == "非法参数") {
			t.Errorf("%s=%.60q: got %s", c.name, c.value, got)
		}
	}
	names := []string{"sellerNick", "buyerNick", "bizOrder", "callType"}
	for i := range names {
		r := newIntercept()
		for _, name := range names[i:] {
			r.drop(name)
		}
		if got := g.intercept(t, r); got.Message != "Missing required arguments:"+names[i] {
			t.Errorf("without %v: %s", names[i:], got)
		}
	}
	if got := g.intercept(t, newIntercept().set("bizOrder", "{}").set("callType", "x")); got.SubCode != "isv.invalid-parameter:bizOrder" {
		t.Errorf("both wrong: %s", got)
	}
	if n := len(g.events(t)); n != 0 {
		t.Errorf("left %d events", n)
	}
	for _, biz := range []string{`{"tid":30753531820144200,"subOrderIds":30753531820144201}`, ` {"other":{"x":[]},"subOrderIds":" 30753531820144201 ,,30753531820144201","tid":"30753531820144200"} `} {
		if got := g.intercept(t, newIntercept().set("bizOrder", biz)); got.says() != "yes" {
			t.Errorf("%s: %s", biz, got)
		}
	}
}

// Parameters as a document mean what they mean as a form; the query counts first.
func TestInterceptDocuments(t *testing.T) {
	t.Parallel()
	documents := map[string]string{
		"json":         `{"sellerNick":"苏宁易购官方旗舰店","buyerNick":"翔_ouyang","bizOrder":{"tid":"30753531820144200","subOrderIds":"30753531820144201"},"callType":"synchronous","buyer_open_uid":"1"}`,
		"json in json": ` {"sellerNick":"x","sellerNick":"苏宁易购官方旗舰店","buyerNick":"翔_ouyang","bizOrder":"{\"tid\":\"30753531820144200\",\"subOrderIds\":\"30753531820144201\"}","callType":"synchronous","extra":[1,{"a":null}],"buyer_open_uid":null}` + "\n",
		"xml":          `<?xml version="1.0" encoding="utf-8"?><request><sellerNick>苏宁易购官方旗舰店</sellerNick><buyerNick>翔_ouyang</buyerNick><bizOrder><tid>30753531820144200</tid><subOrderIds>30753531820144201</subOrderIds></bizOrder><callType>synchronous</callType></request>`,
		"json in xml":  `<request><sellerNick>苏宁易购官方旗舰店</sellerNick><buyerNick>翔_ouyang</buyerNick><bizOrder>{"tid":"30753531820144200","subOrderIds":"30753531820144201"}</bizOrder><callType>synchronous</callType></request>`,
	}
	for name, document := range documents {
		for _, contentType := range []string{"application/json;charset=UTF-8", "text/xml;charset=utf-8", "text/plain"} {
			for _, path := range []string{"/router/qm", "/router/rest"} {
				g := newGateway(t).demo(t)
				r := newIntercept()
				asDocument(r, document)
				r.path = path
				r.header.Set("Content-Type", contentType)
				if got := g.intercept(t, r); got.says() != "yes" {
					t.Errorf("%s as %s on %s: %s", name, contentType, path, got)
					continue
				}
				kept := paramsOf(t, g.events(t)[0].Record)
				var biz map[string]string
				if err := json.Unmarshal([]byte(kept["bizOrder"]), &biz); err != nil || biz["tid"] != "30753531820144200" || kept["sellerNick"] != "苏宁易购官方旗舰店" || len(kept) < 4 || len(kept) > 5 {
					t.Errorf("%s: kept %v, %v", name, kept, err)
				}
			}
		}
	}
	g := newGateway(t).demo(t)
	r := newIntercept()
	asDocument(r, documents["json"])
	if got := g.intercept(t, r.set("callType", "never")); got.SubCode != "isv.invalid-parameter:callType" {
		t.Errorf("the query does not win: %s", got)
	}
	for _, document := range []string{`[]`, `"x"`, `<other/>`, `<request>`, `<!DOCTYPE a><request/>`, `x`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000), `{"a":[` + strings.Repeat("1,", 2000) + `1]}`} {
		r := newIntercept()
		asDocument(r, document)
		if got := g.intercept(t, r); got.Code != "43" {
			t.Errorf("%.30s: %s", document, got)
		}
	}
}

// conditions are those of docs/protocol/qimen.md 6, in their order. The order is the
// demo's …200; lines that a condition needs besides are declared.
var conditions = []struct {
	name, want string
	spoil      func(*request)
	lines      map[string]order.State
}{
	{"order unknown", "1007", bizOrder("1", "2"), nil},
	{"sub order unknown", "1007", bizOrder("30753531820144200", "30753531820144201,9"), nil},
	{"another seller", "1008", with("sellerNick", "other"), nil},
	{"another seller, who has an order of the number without lines", "1008", func(r *request) { r.set("sellerNick", "seller_001"); r.app.Name = "namesake" }, nil},
	{"another buyer", "1008", with("buyer_open_uid", "2"), nil},
	{"another nick", "1008", func(r *request) { r.drop("buyer_open_uid").set("buyerNick", "x") }, nil},
	{"shipped", "1001", bizOrder("30753531820144200", "30753531820144201,30753531820144202"), map[string]order.State{"30753531820144202": order.Shipped}},
	{"out", "1002", nil, map[string]order.State{"30753531820144201": order.Out}},
	{"notified", "1003", nil, map[string]order.State{"30753531820144201": order.Notified}},
	{"shipped before out before notified", "1001", bizOrder("30753531820144200", "30753531820144201,30753531820144202,3"), map[string]order.State{"30753531820144201": order.Notified, "30753531820144202": order.Out, "3": order.Shipped}},
	{"checked", "yes", nil, map[string]order.State{"30753531820144201": order.Checked}},
	{"another nick, and the uid", "yes", with("buyerNick", "x"), nil},
}

func bizOrder(tid, lines string) func(*request) {
	return with("bizOrder", fmt.Sprintf(`{"tid":%q,"subOrderIds":%q}`, tid, lines))
}

func (g *gateway) move(t testing.TB, lines map[string]order.State) {
	t.Helper()
	d := apply.Order{Platform: "taobao", Seller: "苏宁易购官方旗舰店", Number: "30753531820144200"}
	for _, number := range slices.Sorted(maps.Keys(lines)) {
		state := lines[number]
		d.Lines = append(d.Lines, apply.Line{Number: number, State: &state})
	}
	g.declare(t, &apply.Document{Orders: []apply.Order{d}})
}

// locked returns the lines of the demo's order …200 that are locked.
func (g *gateway) locked(t testing.TB) (lines []string) {
	t.Helper()
	for _, o := range g.orders(t, "30753531820144200") {
		for _, l := range o.Locks {
			if l.State == order.LockHeld {
				lines = append(lines, l.Line)
			}
		}
	}
	return lines
}

func (g *gateway) orders(t testing.TB, number string) []*order.Order {
	t.Helper()
	found, _, err := g.store.Orders(context.Background(), order.OrderFilter{Key: order.Key{Number: number}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Each condition of the ledger has its answer, and locking is all or nothing.
func TestLedgerConditions(t *testing.T) {
	t.Parallel()
	texts := map[string]string{"1001": "已发货拦截失败", "1002": "已出库拦截失败", "1003": "已配货拦截失败", "1007": "未获取订单拦截失败", "1008": "未定义异常失败"}
	for _, c := range conditions {
		g := newGateway(t).demo(t)
		g.move(t, c.lines)
		r := newIntercept()
		if c.spoil != nil {
			c.spoil(r)
		}
		before := 0
		if r.app.Name == "namesake" {
			g.send(t, newRequest().set("tid", "30753531820144200"))
			before = 1
		}
		got := g.intercept(t, r)
		if got.says() != c.want || c.want != "yes" && *got.Result.ErrorMsg != texts[c.want] {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if n := len(g.locked(t)); (n > 0) != (c.want == "yes") {
			t.Errorf("%s: %d locks", c.name, n)
		}
		recorded := c.want != "1007" && c.want != "1008"
		if events := g.events(t); (len(events)-before == 1) != recorded {
			t.Errorf("%s: %d events", c.name, len(events))
		}
	}
}

// What is held is held, whatever came later; the rest is judged.
func TestHeldLocks(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	if got := g.intercept(t, newIntercept()); got.says() != "yes" {
		t.Fatal(got)
	}
	g.move(t, map[string]order.State{"30753531820144201": order.Shipped})
	if got := g.intercept(t, newIntercept()); got.says() != "yes" {
		t.Errorf("held: %s", got)
	}
	both := bizOrder("30753531820144200", "30753531820144201,30753531820144202")
	g.move(t, map[string]order.State{"30753531820144202": order.Out})
	r := newIntercept()
	both(r)
	if got := g.intercept(t, r); got.says() != "1002" {
		t.Errorf("held and out: %s", got)
	}
	if lines := g.locked(t); fmt.Sprint(lines) != "[30753531820144201]" {
		t.Errorf("locked %v", lines)
	}
}

// A merchant's app says how far a sub order may have come: by its key, or else by the
// seller.
func TestLockUntil(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"87654321", ""} {
		for until, want := range map[order.LockUntil]string{"": "1003", order.UntilNotify: "1003", order.UntilOut: "yes"} {
			g := newGateway(t).demo(t)
			g.declare(t, &apply.Document{Apps: []apply.App{{Key: "87654321", Protocol: contract.TOP, Seller: "苏宁易购官方旗舰店", LockUntil: until}}})
			g.move(t, map[string]order.State{"30753531820144201": order.Notified})
			r := newIntercept().set("target_app_key", target)
			if got := g.intercept(t, r); got.says() != want {
				t.Errorf("target %q, lock_until %q: got %s, want %s", target, until, got, want)
			}
			g.move(t, map[string]order.State{"30753531820144201": order.Out})
			if got := g.intercept(t, r); got.says() != map[string]string{"1003": "1002", "yes": "yes"}[want] {
				t.Errorf("lock_until %q, out: got %s", until, got)
			}
		}
	}
}

// Another merchant's app has no say in how far a sub order may have come.
func TestLockUntilOfAnother(t *testing.T) {
	t.Parallel()
	for seller, want := range map[string]string{"another": "1003", "": "yes"} { // an app without a seller speaks for many
		g := newGateway(t).demo(t)
		g.declare(t, &apply.Document{Apps: []apply.App{{Key: "isv", Protocol: contract.TOP, Secret: "s", Seller: seller, LockUntil: order.UntilOut}}})
		g.move(t, map[string]order.State{"30753531820144201": order.Notified})
		if got := g.intercept(t, newIntercept().set("target_app_key", "isv")); got.says() != want {
			t.Errorf("an app of %q: %s, want %s", seller, got, want)
		}
	}
}

// An unknown buyer or open uid of the order is not compared.
func TestUnknownBuyers(t *testing.T) {
	t.Parallel()
	for i, c := range []struct{ buyer, uid, nick, given, want string }{
		{"", "", "x", "9", "yes"}, {"b", "", "x", "9", "yes"}, {"b", "", "b", "", "yes"}, {"b", "", "x", "", "1008"}, {"", "1", "x", "", "yes"}, {"b", "1", "b", "2", "1008"},
	} {
		g := newGateway(t).demo(t)
		state := order.New
		g.declare(t, &apply.Document{Orders: []apply.Order{{Platform: "taobao", Seller: "s", Number: "1", Buyer: &c.buyer, BuyerOpenUID: &c.uid, Lines: []apply.Line{{Number: "2", State: &state}}}}})
		r := newIntercept().set("sellerNick", "s").set("buyerNick", c.nick).set("buyer_open_uid", c.given)
		bizOrder("1", "2")(r)
		if got := g.intercept(t, r); got.says() != c.want {
			t.Errorf("%d: got %s, want %s", i, got, c.want)
		}
	}
}

// A sub order that is locked and shipped all the same is a fact, and an event of it:
// once, with what it is about.
func TestViolations(t *testing.T) {
	t.Parallel()
	for name, ship := range map[string]func(*gateway){
		"its sub order": func(g *gateway) { g.ship(t, "30753531820144201") },
		"whole order":   func(g *gateway) { g.ship(t, "") },
		"import":        func(g *gateway) { g.move(t, map[string]order.State{"30753531820144201": order.Shipped}) },
	} {
		g := newGateway(t).demo(t)
		if got := g.intercept(t, newIntercept()); got.says() != "yes" {
			t.Fatal(got)
		}
		ship(g)
		ship(g)
		violated := 0
		for _, e := range g.events(t) {
			if e.API == order.EventLockViolated {
				violated++
				if fmt.Sprint(e.Lines) != "[30753531820144201]" || e.Order.Number != "30753531820144200" || paramsOf(t, e.Record)["sub_order_ids"] != "30753531820144201" {
					t.Errorf("%s: event %+v", name, e)
				}
			}
		}
		if violated != 1 {
			t.Errorf("%s: %d violations, want 1", name, violated)
		}
		if l := g.orders(t, "30753531820144200")[0].Locks[0]; l.State != order.LockHeld || l.ViolatedAt.IsZero() {
			t.Errorf("%s: lock %+v", name, l)
		}
	}
	g := newGateway(t).demo(t)
	_ = g.intercept(t, newIntercept())
	g.ship(t, "30753531820144202")
	if n := len(g.events(t)); n != 2 {
		t.Errorf("shipping another sub order: %d events, want 2", n)
	}
}

// ship reports that a sub order of the demo's order …200 left the warehouse; all of
// them when it names none.
func (g *gateway) ship(t testing.TB, line string) answer {
	r := newRequest().set("tid", "30753531820144200").set("status", "QIMEN_CP_OUT").set("platform", "MAIN").set("nick", "苏宁易购官方旗舰店")
	if line != "" {
		r.set("taobao_sub_order_ids", line)
	}
	return g.send(t, r)
}

// A lock and a shipment that race: one of them is refused, or the violation is an
// event. 1,000 times.
func TestLockRacesShipment(t *testing.T) {
	t.Parallel()
	const races = 1000
	g := newGateway(t)
	state := order.New
	orders := make([]apply.Order, races)
	for i := range orders {
		orders[i] = apply.Order{Platform: "taobao", Seller: "seller_001", Number: fmt.Sprint(i), Lines: []apply.Line{{Number: fmt.Sprint("l", i), State: &state}}}
	}
	g.declare(t, &apply.Document{Apps: []apply.App{newRequest().app}, Sessions: []apply.Session{{Token: "test", AppKey: "12345678", Seller: "seller_001"}}, Orders: orders})
	yes := make([]bool, races)
	var racers sync.WaitGroup
	places := make(chan struct{}, 32)
	for i := range races {
		for _, lock := range []bool{i%2 == 0, i%2 != 0} {
			places <- struct{}{}
			racers.Go(func() {
				defer func() { <-places }()
				r := newRequest().set("tid", fmt.Sprint(i)).set("status", "QIMEN_CP_OUT").set("taobao_sub_order_ids", fmt.Sprint("l", i))
				if lock {
					r = newIntercept().set("sellerNick", "seller_001")
					r.drop("target_app_key")
					bizOrder(fmt.Sprint(i), fmt.Sprint("l", i))(r)
				}
				q, err := http.NewRequest(http.MethodPost, g.URL+map[bool]string{true: "/router/qm", false: "/router/rest"}[lock], strings.NewReader(r.signed().Encode()))
				if err != nil {
					t.Error(err)
					return
				}
				q.Header = r.header
				body := g.exchange(t, q)
				if lock {
					yes[i] = readVerdict(t, body).says() == "yes"
				} else if !readAnswer(t, body).Success {
					t.Errorf("shipment %d: %s", i, body)
				}
			})
		}
	}
	racers.Wait()
	violated := map[string]bool{}
	events, _, err := g.store.Events(t.Context(), order.EventFilter{API: order.EventLockViolated, Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		violated[e.Order.Number] = true
	}
	locked := 0
	for i := range races {
		o := g.orders(t, fmt.Sprint(i))[0]
		held := o.Held(fmt.Sprint("l", i))
		if held {
			locked++
		}
		if held != yes[i] || o.Lines[0].State != order.Out || held != violated[fmt.Sprint(i)] {
			t.Errorf("order %d: answered yes %t, held %t, violated %t, %s", i, yes[i], held, violated[fmt.Sprint(i)], o.Lines[0].State)
		}
	}
	t.Logf("%d locks came first, %d shipments", locked, races-locked)
}

// An asynchronous call is acknowledged whatever the verdict, which follows as callbacks
// of at most 20 sub orders each.
func TestAsynchronousLedger(t *testing.T) {
	t.Parallel()
	var many []string
	state := order.New
	d := apply.Order{Platform: "taobao", Seller: "苏宁易购官方旗舰店", Number: "30753531820144200"}
	for i := range 45 {
		many = append(many, fmt.Sprint("m", i))
		d.Lines = append(d.Lines, apply.Line{Number: many[i], State: &state})
	}
	for _, c := range []struct {
		name      string
		spoil     func(*request)
		want      string // the callbacks' success and error_code
		callbacks int
	}{
		{"yes", bizOrder("30753531820144200", strings.Join(many, ",")), "true ", 3},
		{"shipped", bizOrder("30753531820144197", "30753531820144191"), "false 1001", 1},
		{"unknown", bizOrder("77", "78"), "false 1007", 1},
		{"another buyer", with("buyer_open_uid", "2"), "false 1008", 1},
	} {
		g := newGateway(t).demo(t)
		g.declare(t, &apply.Document{Orders: []apply.Order{d}})
		r := newIntercept().set("callType", "asynchronous")
		c.spoil(r)
		if got := g.intercept(t, r); got.says() != "yes" {
			t.Errorf("%s: got %s", c.name, got)
		}
		var lines []string
		callbacks := 0
		for _, e := range g.events(t) {
			if e.API != "taobao.gearfactory.intercept.order.callback" {
				continue
			}
			callbacks++
			p := paramsOf(t, e.Record)
			ids := strings.Split(p["sub_order_ids"], ",")
			lines = append(lines, ids...)
			if len(ids) > 20 || p["success"]+" "+p["error_code"] != c.want || e.Order.Seller != "苏宁易购官方旗舰店" || p["tid"] != e.Order.Number {
				t.Errorf("%s: callback %v", c.name, p)
			}
		}
		if callbacks != c.callbacks || c.name == "yes" && !slices.Equal(lines, many) {
			t.Errorf("%s: %d callbacks with %v", c.name, callbacks, lines)
		}
	}
}

// An ERP's own callback settles locks: it needs a session, and at most 20 sub orders.
func TestCallbackFromERP(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	callback := func() *request {
		r := newRequest().drop("status").set("method", "taobao.gearfactory.intercept.order.callback").set("session", "merchant")
		return r.set("tid", "30753531820144200").set("sub_order_ids", "30753531820144201").set("success", "true")
	}
	body := g.post(t, callback())
	if !strings.HasPrefix(body, `{"gearfactory_intercept_order_callback_response":{"is_success":true,`) {
		t.Fatal(body)
	}
	if lines := g.locked(t); len(lines) != 1 {
		t.Errorf("locked %v", lines)
	}
	if body := g.post(t, callback().set("success", "false").set("error_code", "1002")); !strings.Contains(body, `"is_success":true`) {
		t.Error(body)
	}
	if l := g.orders(t, "30753531820144200")[0].Locks; len(l) != 1 || l[0].State != order.LockRefused || l[0].Code != "1002" {
		t.Errorf("locks %+v", l)
	}
	for _, c := range []struct{ name, value, code, subCode string }{
		{"session", "", "27", "session-is-blank"}, {"tid", "", "40", ""}, {"sub_order_ids", "", "40", ""}, {"success", "", "40", ""},
		{"sub_order_ids", strings.Repeat("1,", 20) + "1", "41", ""}, {"success", "yes", "50", "isv.invalid-parameter:success"}, {"sub_order_ids", " , ", "50", "isv.invalid-parameter:sub_order_ids"},
	} {
		if got := g.send(t, callback().set(c.name, c.value)); got.Code != c.code || got.SubCode != c.subCode {
			t.Errorf("%s=%q: %v", c.name, c.value, got)
		}
	}
	if got := g.send(t, callback().drop("session")); got.Code != "26" {
		t.Errorf("without a session: %v", got)
	}
}

// A merchant's own verdict settles every lock of a sub order that waits for one or says
// otherwise, and is passed on when it changed something.
func TestCallbackSettles(t *testing.T) {
	t.Parallel()
	yes := order.Verdict{Reply: &contract.OrderInterceptReply{Result: contract.InterceptResult{Success: true}}}
	no := order.Verdict{Reply: &contract.OrderInterceptReply{Result: contract.InterceptResult{ErrorCode: "1004"}}}
	unknown := order.Verdict{Err: contract.ReadTimeout}
	for _, c := range []struct {
		name      string
		verdicts  []*order.Verdict // of the calls before; nil: none yet
		yes, no   string           // states of the locks after a callback
		passedYes bool
		passedNo  bool
	}{
		{"none", nil, "locked", "", true, false},
		{"asked", []*order.Verdict{nil}, "locked", "refused", true, true},
		{"unknown", []*order.Verdict{&unknown}, "locked", "refused", true, true},
		{"locked", []*order.Verdict{&yes}, "locked", "refused", false, true},
		{"refused", []*order.Verdict{&no}, "locked", "refused", true, false},
		{"locked, then refused", []*order.Verdict{&yes, &no}, "locked refused", "refused refused", false, true},
		{"locked, then unknown", []*order.Verdict{&yes, &unknown}, "released locked", "refused refused", true, true},
		{"unknown twice", []*order.Verdict{&unknown, &unknown}, "locked released", "refused refused", true, true},
	} {
		for _, success := range []bool{true, false} {
			g := newGateway(t).demo(t).waiting(t, nil)
			rule, _ := order.RuleOf(contract.OrderIntercept)
			for _, v := range c.verdicts {
				request := &contract.OrderInterceptRequest{SellerNick: "苏宁易购官方旗舰店", BuyerNick: "b", CallType: "synchronous", Order: contract.InterceptedOrder{ID: "30753531820144200", SubOrders: "30753531820144201"}}
				work, err := rule.Judge(&order.Call{API: contract.OrderIntercept, App: &order.App{Key: "a"}, Request: request, At: noon})
				if err != nil {
					t.Fatal(err)
				}
				tasks := []*order.Task{work.Question.Ask("erp")}
				if v != nil {
					tasks = append(tasks, work.Question.Settle(*v))
				}
				if err := g.store.Commit(t.Context(), tasks...); err != nil {
					t.Fatal(err)
				}
			}
			r := newRequest().drop("status").set("method", "taobao.gearfactory.intercept.order.callback").set("session", "merchant").set("tid", "30753531820144200").set("sub_order_ids", "30753531820144201").set("success", fmt.Sprint(success)).set("error_code", "1005")
			if body := g.post(t, r); !strings.Contains(body, `"is_success":true`) {
				t.Fatal(body)
			}
			var states []string
			for _, l := range g.orders(t, "30753531820144200")[0].Locks {
				states = append(states, string(l.State))
			}
			want, passed := c.no, c.passedNo
			if success {
				want, passed = c.yes, c.passedYes
			}
			owed, _, err := g.store.Events(t.Context(), order.EventFilter{Limit: 100})
			owed = slices.DeleteFunc(owed, func(e *order.Event) bool { return !e.Owed })
			if got := strings.Join(states, " "); got != want || (len(owed) == 1) != passed || err != nil {
				t.Errorf("%s, success %t: locks %s, want %s; %d owed", c.name, success, got, want, len(owed))
			}
		}
	}
}

// Every row of the page's error table, and of the notes, can be had: by a rule or as a
// fault on demand, as an errorCode or as an error.
func TestInterceptRows(t *testing.T) {
	t.Parallel()
	produced := map[string]bool{"isv.invalid-parameter": true, "1009": true, "sign-check-failure": true} // TestInterceptArguments; TestAsynchronous in ordergatetest; TestSPIChecks
	for _, c := range conditions {
		produced[c.want] = true
	}
	g := newGateway(t).demo(t)
	g.intake.Injections = &order.Injections{}
	for _, row := range contract.OrderIntercept.Refusals {
		backend := contract.IsBackend(row) // TestMerchantsFail in ordergatetest
		if (produced[row.Code] || backend) == (row.Reserved != "") {
			t.Errorf("row %s: produced by a test %t, reserved %q", row.Code, produced[row.Code], row.Reserved)
		}
		g.intake.Injections.Put(order.Injection{Name: "row", Answer: row.Code})
		got := g.intercept(t, newIntercept())
		switch {
		case backend && (got.Code != "15" || got.SubCode != row.Code), row == contract.InvalidParameter && (got.Code != "50" || got.SubCode != row.Code),
			row.InReply && (got.Code != "" || got.says() != row.Code):
			t.Errorf("fault %s: got %s", row.Code, got)
		}
	}
	if n := len(g.events(t)); n != 0 {
		t.Errorf("faults left %d events", n)
	}
}

// Requests of real clients pass every check on each URL, as they were recorded.
func TestInterceptCaptures(t *testing.T) {
	t.Parallel()
	for _, c := range captures(t, interceptMethod) {
		for _, path := range []string{"/router/rest", "/router/qm", "/router/qmtest"} {
			t.Run(c.ID+path, func(t *testing.T) {
				t.Parallel()
				g := newGateway(t).demo(t)
				at, ok := wire.ParseTimestamp(c.Timestamp)
				if !ok {
					t.Fatalf("timestamp %q", c.Timestamp)
				}
				g.now = at.Add(time.Minute)
				raw := strings.Replace(string(c.Request.Raw), "/router/rest", path, 1)
				body, response := g.rawExchange(t, []byte(raw))
				got := readVerdict(t, body)
				want := "1001" // the page's order
				if c.Expect == "invalid" {
					want = "25"
				}
				if got.says() != want || response.StatusCode != http.StatusOK {
					t.Errorf("got %s, want %s", got, want)
				}
				if c.Expect == "invalid" {
					return
				}
				if events := g.events(t); len(events) != 1 || !maps.Equal(paramsOf(t, events[0].Record), map[string]string(c.Params)) {
					t.Errorf("kept %d events, want one of %v", len(events), c.Params)
				}
			})
		}
	}
}

// A batch may hold reverse calls, whose merchants are asked side by side.
func TestInterceptInBatch(t *testing.T) {
	t.Parallel()
	const calls = 3
	merchants := &assembly{want: calls, all: make(chan struct{})}
	g := newGateway(t).demo(t).waiting(t, merchants)
	ask := chunk("method", interceptMethod, "sellerNick", "s", "buyerNick", "b", "callType", "synchronous", "bizOrder", `{"tid":"1","subOrderIds":"2"}`)
	answers := g.sendBatch(t, newBatch(ask, produceChunk("1"), ask, ask, chunk("method", interceptMethod)))
	if len(answers) != 5 || answers[1] != produceYes || !strings.Contains(answers[4], "sellerNick") {
		t.Fatalf("got %v", answers)
	}
	for _, i := range []int{0, 2, 3} {
		if !strings.Contains(answers[i], `"result":{"success":true}`) {
			t.Errorf("answer %d: %s", i, answers[i])
		}
	}
}

// assembly is merchants who say yes once all of them are asked.
type assembly struct {
	want  int32
	asked atomic.Int32
	all   chan struct{}
}

func (m *assembly) Ask(context.Context, *order.Destination, *order.Question) (any, error) {
	if m.asked.Add(1) == m.want {
		close(m.all)
	}
	select {
	case <-m.all:
		return &contract.OrderInterceptReply{Result: contract.InterceptResult{Success: true}}, nil
	case <-time.After(10 * time.Second):
		return nil, contract.ReadTimeout
	}
}
