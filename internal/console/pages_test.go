package console_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// busy is a gateway of which every page has something to show.
func busy(t *testing.T) *gateway {
	t.Helper()
	g := newGateway(t).logIn()
	g.produce("2895732958732", contract.StatusTransfer)
	g.call(contract.EventEmit, "test", contract.Param{Name: "event_id", Value: "1"}, contract.Param{Name: "work_order_id", Value: "WO-77"}, contract.Param{Name: "work_order_status", Value: "processing"}, contract.Param{Name: "biz_order_id", Value: "2895732958732"})
	g.call(contract.LeaguerStatus, "", contract.Param{Name: "iqStatus", Value: "180"}, contract.Param{Name: "orderId", Value: "1000531505"}, contract.Param{Name: "orderItemId", Value: "00000208117601"}, contract.Param{Name: "supplierCode", Value: "10042869"}, contract.Param{Name: "cardList", Value: `[{"cardSec":"PASS-OF-CARD","cardCode":"CODE-OF-CARD"}]`})
	g.call(contract.OrderIntercept, "", contract.Param{Name: "sellerNick", Value: "苏宁易购官方旗舰店"}, contract.Param{Name: "buyerNick", Value: "翔_ouyang"}, contract.Param{Name: "bizOrder", Value: `{"tid":"30753531820144200","subOrderIds":"30753531820144201"}`}, contract.Param{Name: "callType", Value: "synchronous"})
	g.call(contract.EventProduce, "no-such-token", contract.Param{Name: "status", Value: contract.StatusOut}, contract.Param{Name: "tid", Value: "3"})
	for _, form := range []url.Values{
		{"name": {"oms"}, "kind": {"webhook"}, "url": {"https://oms.example/events"}, "secret": {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "from": {"earliest"}, "enabled": {"on"}, "ordered": {"on"}},
	} {
		if to, status, page := g.post("/destinations", form); to != "/destinations/oms?did=Saved." {
			t.Fatalf("%d %s %s", status, to, page)
		}
	}
	return g
}

// paths are those of a busy gateway's pages.
func paths() []string {
	all := []string{
		"/", "/orders", "/orders?q=28&list=1", "/orders?stage=new", "/orders?stage=out", "/orders/import", "/orders/taobao/2895732958732?seller=seller_001", "/orders/suning/1000531505", "/orders/taobao/30753531820144200",
		"/funnel", "/funnel?stage=new", "/locks", "/locks?state=locked", "/work-orders", "/work-orders/1", "/events", "/events?api=taobao.qimen.event.produce&app=12345678", "/events?order=2895732958732", "/events?before=3", "/events/new?after=0", "/events/1", "/events/2", "/events/3", "/events/4",
		"/alerts", "/refused", "/refused?app=12345678&code=27", "/refused/1", "/deliveries", "/deliveries?state=dead&destination=oms", "/deliveries?state=pending", "/deliveries?state=any", "/deliveries/oms:1",
		"/destinations", "/destinations/oms", "/apps", "/apps/12345678", "/apps/87654321", "/apps/0123456789abcdef0123456789abcdef", "/apis", "/verify", "/faults", "/orders?did=Saved.",
	}
	for _, api := range contract.All {
		all = append(all, "/apis/"+api.Method)
	}
	return all
}

var secrets = []string{"helloworld", "merchant-secret", "9f8e7d6c5b4a39281706f5e4d3c2b1a0", "PASS-OF-CARD", "CODE-OF-CARD", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "no-such-token", adminToken}

// Every page is shown in both languages, whole, and holds no secret.
func TestPages(t *testing.T) {
	t.Parallel()
	g := busy(t)
	for _, path := range paths() {
		for _, language := range []string{"en", "zh-CN"} {
			page := g.page(path, "Accept-Language", language)
			if !strings.HasPrefix(path, "/events/new") && (!strings.Contains(page, `<html lang="`+language+`"`) || !strings.HasSuffix(page, "</html>")) {
				t.Errorf("%s in %s: %.300s", path, language, page)
			}
			for _, secret := range secrets {
				if strings.Contains(page, secret) {
					t.Errorf("%s shows %s", path, secret)
				}
			}
			for _, wrong := range []string{"%!", "<no value>", "ZgotmplZ"} {
				if strings.Contains(page, wrong) {
					t.Errorf("%s in %s holds %s", path, language, wrong)
				}
			}
		}
	}
	for _, secret := range secrets {
		if strings.Contains(g.log.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
	if strings.Contains(g.log.String(), "level=ERROR") {
		t.Errorf("the log: %s", g.log)
	}
	for _, path := range []string{"apps", "apps/12345678", "sessions", "destinations", "destinations/oms", "orders", "orders/suning/1000531505", "events", "events/3", "deliveries", "work-orders", "locks", "stats", "faults"} {
		w := httptest.NewRecorder()
		g.console.Manage.ServeHTTP(w, withToken(httptest.NewRequest(http.MethodGet, "/v1/"+path, nil)))
		if w.Code != http.StatusOK {
			t.Errorf("/v1/%s: %d", path, w.Code)
		}
		for _, secret := range append(secrets, `"test"`, `"merchant"`) {
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("/v1/%s shows %s", path, secret)
			}
		}
	}
	for _, path := range []string{"/nothing", "/orders/taobao/none", "/events/999", "/events/x", "/refused/99", "/deliveries/none:1", "/destinations/none", "/work-orders/99", "/apps/none", "/apis/none", "/assets/htmx.LICENSE", "/assets/none.js"} {
		if r := g.do(http.MethodGet, path, nil); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

// The language is the browser's, until somebody chooses.
func TestLanguage(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	for header, want := range map[string]string{"": "en", "zh-CN,zh;q=0.9,en;q=0.8": "zh-CN", "zh-TW": "zh-CN", "en-GB,en;q=0.9,zh;q=0.1": "en", "de,zh;q=0.5,en;q=0.4": "zh-CN", "fr": "en"} {
		if page := g.page("/orders", "Accept-Language", header); !strings.Contains(page, `<html lang="`+want+`"`) {
			t.Errorf("%q is not answered in %s", header, want)
		}
	}
	r := g.do(http.MethodPost, "/language", url.Values{"to": {"zh-CN"}}, "Referer", "http://console/orders?q=1")
	if to := r.Header.Get("Location"); to != "/orders?q=1" || len(r.Cookies()) != 1 {
		t.Fatalf("to %s, cookies %v", to, r.Cookies())
	}
	g.cookies = append(g.cookies, r.Cookies()...)
	holds(t, "orders", g.page("/orders", "Accept-Language", "en"), "订单号开头")
	for _, from := range []string{"http://evil.example/x", ""} {
		if to := g.do(http.MethodPost, "/language", url.Values{"to": {"en"}}, "Referer", from).Header.Get("Location"); to != "/" {
			t.Errorf("from %q to %s", from, to)
		}
	}
}

// People search by order number: the only one of a number is shown at once, else the list
// of those that begin with it; a work order's number leads there, too.
func TestSearch(t *testing.T) {
	t.Parallel()
	g := busy(t)
	for q, want := range map[string]string{
		"2895732958732": "/orders/taobao/2895732958732?seller=seller_001", " 1000531505 ": "/orders/suning/1000531505?seller=10042869", "WO-77": "/work-orders/1",
	} {
		if r := g.do(http.MethodGet, "/orders?q="+url.QueryEscape(q), nil); r.Header.Get("Location") != want {
			t.Errorf("%q: %s to %s, want %s", q, r.Status, r.Header.Get("Location"), want)
		}
	}
	holds(t, "list", g.page("/orders?q=30753531820144"), "30753531820144197", "30753531820144200")
	holds(t, "list", g.page("/orders?q=%3Cscript%3E"), "No order number begins with <script>")
	for i := range 120 {
		g.produce(fmt.Sprintf("77%03d", i), contract.StatusTransfer)
	}
	for _, list := range []string{"/orders?q=77", "/orders", "/orders?stage=transferred"} {
		seen := map[string]bool{}
		for path := list; path != ""; {
			page := g.page(path)
			for _, found := range regexp.MustCompile(`>(77\d{3})</a>`).FindAllStringSubmatch(page, -1) {
				if seen[found[1]] {
					t.Errorf("%s: %s stands on two pages", list, found[1])
				}
				seen[found[1]] = true
			}
			path = ""
			if next := regexp.MustCompile(`class="next"><a class="button" href="([^"]+)"`).FindStringSubmatch(page); next != nil {
				path = "/orders" + strings.ReplaceAll(next[1], "&amp;", "&")
			}
		}
		if len(seen) != 120 {
			t.Errorf("%s: %d orders on all pages, want 120", list, len(seen))
		}
	}
}

// One order's page tells all that four APIs have said of it.
func TestOrderPage(t *testing.T) {
	t.Parallel()
	g := busy(t)
	holds(t, "order", g.page("/orders/taobao/2895732958732"), "QIMEN_ERP_TRANSFER", "WO-77", "POST /router/rest?method=taobao.qimen.event.produce", "session=***", "sign=***", "HEX(MD5(text)) of the text:", "oms", "pending")
	holds(t, "virtual order", g.page("/orders/suning/1000531505"), "1, masked: ***", "suning.selfmarket.leaguerstatus.add", "Automatic refund", "2024-06-18 13:40:00", "signInfo: ***", "hex(MD5(text))")
	locked := g.page("/orders/taobao/30753531820144200")
	holds(t, "locked order", locked, "locked", "the ledger", `action="/locks/3-1/release"`)
	if to, status, page := g.post("/locks/3-1/release", url.Values{"back": {"/orders/taobao/30753531820144200"}}); to != "/orders/taobao/30753531820144200?did=Released." {
		t.Errorf("%d to %s %s", status, to, page)
	}
	holds(t, "released", g.page("/orders/taobao/30753531820144200"), "Lock released")
	if _, status, page := g.post("/locks/3-1/release", nil); status != http.StatusConflict || !strings.Contains(page, "the lock is released") {
		t.Errorf("again: %d %s", status, page)
	}
}

// The funnel counts what is stuck, and counts down to refunds.
func TestFunnel(t *testing.T) {
	t.Parallel()
	g := busy(t)
	g.pass(25 * time.Hour)
	page := g.logIn().page("/funnel")
	holds(t, "funnel", page, "2 stuck", "1 stuck", "2895732958732", "30753531820144197", `data-due="2024-06-18T13:40:00+08:00"`, "00000208117602")
	if strings.Contains(g.page("/funnel?stage=transferred"), "30753531820144197") {
		t.Error("the list of a stage holds another's orders")
	}
	holds(t, "overview", g.page("/"), "orders stuck longer than 24 h")
}

// Rows of a CSV make orders, whatever spreadsheet saved it; what is wrong is told by line,
// and nothing is stored then.
func TestImport(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	number := func(n string) []*order.Order {
		found, _, err := g.store.Orders(t.Context(), order.OrderFilter{Key: order.Key{Number: n}, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	const table = "platform,seller,number,buyer,paid_at,line,kind,quantity\n" +
		"苏宁,10042869,900,,2024/6/18 11:00,9001,card,2\nsuning,10042869,900,,2024-06-18 11:00:00,9002,gift,1\ntaobao,s,901,买家,,9011,physical,1.0\n"
	if to, status, page := g.upload([]byte(table)); to != "/orders?did=Imported." {
		t.Fatalf("%d %s %s", status, to, page)
	}
	if o := number("900"); len(o) != 1 || len(o[0].Lines) != 2 || o[0].Lines[0].Kind != order.Card || o[0].Lines[0].Quantity != "2" || !o[0].PaidAt.Equal(noon.Add(-time.Hour)) {
		t.Errorf("order %+v", o)
	}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("平台;卖家;订单号;买家\ntaobao;店;902;张三\n")
	if err != nil {
		t.Fatal(err)
	}
	if to, status, page := g.upload([]byte(gbk)); to == "" {
		t.Errorf("%d %s", status, page)
	}
	if o := number("902"); len(o) != 1 || o[0].Seller != "店" || o[0].Buyer != "张三" {
		t.Errorf("order of a spreadsheet %+v", o)
	}
	if to, status, page := g.upload([]byte("\ufeff{\"platform\":\"taobao\",\"number\":\"903\"}\n\n{\"platform\":\"taobao\",\"number\":\"904\"}\n")); to == "" {
		t.Errorf("NDJSON: %d %s", status, page)
	}
	if to, _, page := g.post("/orders/import", url.Values{"text": {"number\n905\n"}}); to == "" {
		t.Errorf("pasted: %s", page)
	}
	if to, status, page := g.upload([]byte("number\tseller\tbuyer\tpaid_at\tline\n906\ts\t\t\t1\n906\ts\tbob\t2024-06-18 11:00:00\t2\n907\ts\t\t\t\n")); to == "" {
		t.Errorf("tabs: %d %s", status, page)
	}
	if o := number("906"); len(o) != 1 || o[0].Buyer != "bob" || o[0].PaidAt.IsZero() || len(o[0].Lines) != 2 {
		t.Errorf("what a later row adds is lost: %+v", o)
	}
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("订单号\t买家\n908\t张三\n")
	if err != nil {
		t.Fatal(err)
	}
	if to, status, page := g.upload([]byte(utf16)); to == "" || number("908")[0].Buyer != "张三" {
		t.Errorf("Unicode text: %d %s", status, page)
	}
	for name, c := range map[string]struct {
		file  string
		wants []string
	}{
		"kind":         {"number,line,kind\n990,1,card\n991,1,cards\n990,2,gold\n", []string{"line 3:", "line 4:", "kind"}},
		"column":       {"number,colour\n990,red\n", []string{"line 1:", "colour"}},
		"no number":    {"platform\ntaobao\n", []string{"line 1:", "number is missing"}},
		"short row":    {"number,line,kind\n990,1\n991,1,card\n", []string{"line 2:"}},
		"quotes":       {"number,line\n990,\"1\n", []string{"line 2:"}},
		"line missing": {"number,kind\n990,card\n", []string{"line 2:", "The number of the line is missing"}},
		"truth":        {"number,line,accepts_failure\n990,1,perhaps\n", []string{"line 2:", "perhaps"}},
		"json":         {"{\"number\":\"990\",\"platform\":\"taobao\"}\n{\"number\":\"991\",\"colour\":\"red\"}\n", []string{"line 2", "colour"}},
		"json value":   {"{\"number\":\"990\",\"platform\":\"taobao\"}\n\n{\"number\":\"991\",\"platform\":\"taobao\",\"lines\":[{\"number\":\"1\",\"kind\":\"gold\"}]}\n", []string{"line 3:", "kind"}},
		"json array":   {"[\n {\"number\":\"990\",\n  \"platform\":\"taobao\"},\n {\"number\":\"\",\"platform\":\"taobao\"}\n]", []string{"line 4:", "number"}},
		"contradicts":  {"number,buyer,line\n990,alice,1\n990,bob,2\n", []string{"line 3: buyer differs from that of the order's line 2."}},
		"time":         {"number,paid_at\n990,2024-06-18 11:00\n991,yesterday\n", []string{"line 3:", "yesterday", "yyyy-MM-dd HH:mm:ss"}},
		"only a head":  {"number,line\n", []string{"line 1:", "no row"}},
		"empty":        {"", []string{"Choose a file"}},
	} {
		to, status, page := g.upload([]byte(c.file))
		if to != "" || status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d to %s", name, status, to)
		}
		_, problem, _ := strings.Cut(page, `class="problem"`)
		problem, _, _ = strings.Cut(problem, "</div>")
		holds(t, name, problem, c.wants...)
		if len(number("990"))+len(number("991")) > 0 {
			t.Errorf("%s: something was stored", name)
		}
	}
}

// A call is signed and sent by the form; what is shown of it can be used.
func TestTry(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	session := regexp.MustCompile(`<option value="(\d+)"[^>]*>12345678 → seller_001`).FindStringSubmatch(g.page("/apis/" + contract.EventProduce.Method))
	if session == nil {
		t.Fatal("no session is offered")
	}
	form := url.Values{"app": {"12345678"}, "session": {session[1]}, "format": {"json"}, "digest": {"hmac-sha256"}, "p.status": {contract.StatusTransfer}, "p.tid": {"4711"}, "p.ext": {`{"a":"it's"}`}}
	_, status, page := g.post("/apis/"+contract.EventProduce.Method, form)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, page)
	}
	holds(t, "result", page, `"is_success": true`, "session=***", "HEX(HMAC-SHA256(***, text))", "SESSION=…", `session='"$SESSION"'`, "accepted", "--sign-method hmac-sha256")
	_, _, page = g.post("/apis/"+contract.EventProduce.Method, form)
	holds(t, "refusal", page, "already backflow", "nothing: what was asked has happened before")
	_, _, page = g.post("/apis/"+contract.LeaguerStatus.Method, url.Values{"app": {"0123456789abcdef0123456789abcdef"}, "format": {"xml"}, "p.iqStatus": {"180"}, "p.orderId": {"1000531505"}, "p.orderItemId": {"00000208117601"}, "p.supplierCode": {"10042869"}, "p.cardList": {`[{"cardSec":"PASS-OF-CARD","cardCode":"CODE-OF-CARD"}]`}})
	holds(t, "cards", page, "<result>Y</result>", "accepted")
	_, _, lock := g.post("/apis/"+contract.OrderIntercept.Method, url.Values{"app": {"12345678"}, "target": {"87654321"}, "p.sellerNick": {"苏宁易购官方旗舰店"}, "p.buyerNick": {"翔_ouyang"}, "p.bizOrder.tid": {"30753531820144197"}, "p.bizOrder.subOrderIds": {"30753531820144191"}, "p.callType": {"synchronous"}})
	holds(t, "lock", lock, "已发货拦截失败", "--target-app-key")
	for _, shown := range []string{page, lock} {
		for _, secret := range secrets {
			if strings.Contains(shown, secret) {
				t.Errorf("the result shows %s", secret)
			}
		}
	}
	for name, form := range map[string]url.Values{
		"no app":            {"app": {"none"}},
		"another's session": {"app": {"87654321"}, "session": {session[1]}},
	} {
		if _, status, _ := g.post("/apis/"+contract.EventProduce.Method, form); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, status)
		}
	}
	if to, _, page := g.post("/faults", url.Values{"name": {"drop"}, "drop_after_apply": {"on"}, "times": {"1"}}); to != "/faults?did=Saved." {
		t.Fatalf("fault: %s", page)
	}
	holds(t, "faults", g.page("/faults"), "drop", "0 / 1")
	_, _, page = g.post("/apis/"+contract.EventProduce.Method, form)
	holds(t, "dropped", page, "The connection was closed without an answer")
	if to, _, _ := g.post("/faults", url.Values{"name": {"drop"}, "do": {"delete"}}); to != "/faults?did=Deleted." {
		t.Errorf("deleted: %s", to)
	}
	if _, status, page := g.post("/faults", url.Values{"name": {"x"}, "answer": {"no such code"}}); status != http.StatusUnprocessableEntity || !strings.Contains(page, "no such code; the catalogues") {
		t.Errorf("wrong fault: %d", status)
	}
}

// The programs that are copied from the pages compile.
func TestSnippetsCompile(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	for i, api := range contract.All {
		form := url.Values{"app": {"12345678"}, "format": {"json"}}
		if api.Protocol == contract.Suning {
			form.Set("app", "0123456789abcdef0123456789abcdef")
		}
		for _, f := range regexp.MustCompile(`(?s)<(?:input|textarea) id="(p\.[^"]+)"[^>]*?(?: value="([^"]*)" autocomplete="off">|spellcheck="false">(.*?)</textarea>)`).FindAllStringSubmatch(g.page("/apis/"+api.Method), -1) {
			form.Set(f[1], html.UnescapeString(f[2]+f[3]))
		}
		_, _, page := g.post("/apis/"+api.Method, form)
		program := regexp.MustCompile(`(?s)<pre id="copy-go">(.*?)</pre>`).FindStringSubmatch(page)
		if program == nil {
			t.Fatalf("%s: no program in %s", api.Method, page)
		}
		text := html.UnescapeString(program[1])
		dir := filepath.Join("testdata", fmt.Sprintf("snippet%d", i)) // within the module, where no pattern looks
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "go", "vet", "./"+filepath.ToSlash(dir)).CombinedOutput(); err != nil {
			t.Errorf("%s: %s\n%s", api.Method, out, text)
		}
		if len(api.Request) > 0 && api != contract.EventsProduce && !strings.Contains(text, "&contract.") {
			t.Errorf("%s: the request is missing:\n%s", api.Method, text)
		}
	}
}

// A refused call is kept, and explained by the mistake that its caller made.
func TestRefusedCalls(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	g.call(contract.EventProduce, "no-such-token", contract.Param{Name: "status", Value: contract.StatusOut}, contract.Param{Name: "tid", Value: "31"})
	holds(t, "list", g.page("/refused"), "invalid-sessionkey", "/refused/1", "<td>31</td>")
	holds(t, "by code", g.page("/refused?code=27"), "/refused/1")
	holds(t, "by order", g.page("/refused?order=31"), "/refused/1")
	if page := g.page("/refused?code=25"); strings.Contains(page, "/refused/1") {
		t.Error("a filter by another code finds it")
	}
	holds(t, "call", g.page("/refused/1"), "The signature holds", "session=***", "fix the call")
	request := string(requestFile(t, g, contract.EventProduce))
	wrong := strings.Replace(request, "sign=", "sign=00", 1)
	_, status, page := g.post("/verify", url.Values{"raw": {wrong}})
	if status != http.StatusOK {
		t.Errorf("%d", status)
	}
	holds(t, "verify", page, "unknown", "most likely the secret is wrong")
	_, _, page = g.post("/verify", url.Values{"raw": {request}})
	holds(t, "valid", page, "The signature holds")
	_, _, page = g.post("/verify", url.Values{"raw": {request}, "secret": {"another-secret"}})
	holds(t, "another secret", page, "does not hold")
	if strings.Contains(page, "another-secret") || strings.Contains(page, "helloworld") {
		t.Error("the page shows a secret")
	}
	_, _, page = g.post("/verify", url.Values{"raw": {request}, "now": {"2024-06-18 20:00:00"}})
	holds(t, "clock", page, "utc-clock")
	for raw, want := range map[string]string{"hello": "That is no HTTP request", "GET /router/rest?app_key=none HTTP/1.1\n\n": "There is no app"} {
		if _, status, page := g.post("/verify", url.Values{"raw": {raw}}); status != http.StatusUnprocessableEntity || !strings.Contains(page, want) {
			t.Errorf("%q: %d %s", raw, status, page)
		}
	}
	for range 1100 {
		g.call(contract.EventProduce, "no-such-token", contract.Param{Name: "status", Value: "X"})
	}
	if r := g.do(http.MethodGet, "/refused/1", nil); r.StatusCode != http.StatusNotFound {
		t.Errorf("the oldest one is still there: %s", r.Status)
	}
	g.page("/refused/1101")
}

// What comes while the log is looked at is shown on top; when it is too much the page is
// read anew.
func TestNewEvents(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	g.produce("1", contract.StatusTransfer)
	holds(t, "list", g.page("/events"), `hx-get="/events/new?after=1"`)
	if r := g.do(http.MethodGet, "/events/new?after=1", nil); r.StatusCode != http.StatusNoContent || r.Header.Get("HX-Refresh") != "" {
		t.Errorf("nothing is new: %s", r.Status)
	}
	g.produce("2", contract.StatusTransfer)
	holds(t, "rows", g.page("/events/new?after=1"), "/events/2", `hx-get="/events/new?after=2"`, `hx-swap-oob="true"`)
	for i := range 60 {
		g.produce(fmt.Sprint("3", i), contract.StatusTransfer)
	}
	if r := g.do(http.MethodGet, "/events/new?after=2", nil); r.Header.Get("HX-Refresh") != "true" {
		t.Errorf("60 are new: %s %v", r.Status, r.Header)
	}
	seen := 0
	for path := "/events"; path != ""; {
		page := g.page(path)
		seen += strings.Count(page, "<td><time")
		path = ""
		if next := regexp.MustCompile(`class="next"><a class="button" href="([^"]+)"`).FindStringSubmatch(page); next != nil {
			path = "/events" + strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	if seen != 62 {
		t.Errorf("%d events on all pages, want 62", seen)
	}
}
