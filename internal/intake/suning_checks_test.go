package intake

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// The demo's Suning app, and the page's line.
const (
	suningKey    = "0123456789abcdef0123456789abcdef"
	suningSecret = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
	pageOrder    = "1000531505"
	pageLine     = "00000208117601"
)

// suningRequest is a call of Suning in the making: good until a test spoils it.
type suningRequest struct {
	app    apply.App // declared before the call
	spent  bool      // the app has used up its rate
	header map[string]string
	body   string
	spoil  []func(map[string]string) // after signing
}

func newSuning(body string) *suningRequest {
	r := &suningRequest{
		app: apply.App{Key: suningKey, Protocol: contract.Suning, Secret: suningSecret, SupplierCode: "10042869"},
		header: map[string]string{
			"AppMethod": "suning.selfmarket.leaguerstatus.add", "AppRequestTime": "2024-06-18 12:00:00", "AppKey": suningKey, "VersionNo": "v1.2",
			"Format": "json", "Content-Type": "text/xml; charset=utf-8",
		},
		body: body,
	}
	if strings.HasPrefix(body, "<") {
		r.header["Format"] = "xml"
	}
	return r
}

func ptr[T any](v T) *T { return &v }

// lineStatus is a message about the page's order, in JSON.
func lineStatus(line, status string, more ...string) string {
	return fmt.Sprintf(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":%q,"orderId":%q,"orderItemId":%q%s}}}}`, status, pageOrder, line, strings.Join(more, ""))
}

const oneCard = `,"cardList":[{"cardCode":"1234567899","cardSec":"I001XB999"}]`

// sign is the rule of the page, written once more.
func (r *suningRequest) sign() map[string]string {
	h := r.header
	text := string(r.app.Secret) + h["AppMethod"] + h["AppRequestTime"] + h["AppKey"] + h["VersionNo"] + base64.StdEncoding.EncodeToString([]byte(r.body))
	sum := md5.Sum([]byte(text))
	signed := maps.Clone(h)
	signed["signInfo"] = hex.EncodeToString(sum[:])
	for _, spoil := range r.spoil {
		spoil(signed)
	}
	return signed
}

// suningAnswer is an answer as a client reads it.
type suningAnswer struct {
	Code, Text          string // of an error
	Result, Order, Line string
	Body                string
}

// suning declares the app and makes the call.
func (g *gateway) suning(t testing.TB, r *suningRequest) suningAnswer {
	t.Helper()
	g.declare(t, &apply.Document{Apps: []apply.App{r.app}})
	if r.spent {
		first := newSuning(lineStatus("spent", "180"))
		first.app = r.app
		first.app.IPAllow, first.app.OAuth, first.app.Methods = nil, false, nil
		if a := g.suning(t, first); !strings.HasSuffix(a.Code, ":101") {
			t.Fatalf("the call that uses up the rate: %s", a.Body)
		}
		g.declare(t, &apply.Document{Apps: []apply.App{r.app}})
	}
	return g.sendSuning(t, "/api/http/sopRequest", r.sign(), r.body)
}

func (g *gateway) sendSuning(t testing.TB, path string, header map[string]string, body string) suningAnswer {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		q.Header[name] = []string{value}
	}
	return readSuning(t, g.exchange(t, q))
}

// readSuning reads a body independently of package wire.
func readSuning(t testing.TB, body string) suningAnswer {
	t.Helper()
	type content struct {
		Error struct {
			Code string `json:"error_code" xml:"error_code"`
			Text string `json:"error_msg" xml:"error_msg"`
		} `json:"sn_error" xml:"sn_error"`
		Body struct {
			Node struct {
				Result string `json:"result" xml:"result"`
				Order  string `json:"orderId" xml:"orderId"`
				Line   string `json:"orderItemId" xml:"orderItemId"`
			} `json:"addLeaguerstatus" xml:"addLeaguerstatus"`
		} `json:"sn_body" xml:"sn_body"`
	}
	var root struct {
		Content content `json:"sn_responseContent"`
	}
	var err error
	if strings.HasPrefix(body, "<sn_responseContent>") {
		err = xml.Unmarshal([]byte(body), &root.Content)
	} else {
		err = json.Unmarshal([]byte(body), &root)
	}
	if err != nil || strings.ContainsAny(body, "\r\n") {
		t.Fatalf("answer %q: %v", body, err)
	}
	c := root.Content
	return suningAnswer{c.Error.Code, c.Error.Text, c.Body.Node.Result, c.Body.Node.Order, c.Body.Node.Line, body}
}

// suningOffence is a way to be refused. Codes and texts are the page's, typed again
// here.
type suningOffence struct {
	name  string
	check int // its place in SuningChecks, from 1
	fault contract.Fault
	code  string
	text  string
	xml   bool // answered in XML, whatever was asked for
	make  func(*suningRequest)
}

func header(name, value string) func(*suningRequest) {
	return func(r *suningRequest) { r.header[name] = value }
}

func late(name, value string) func(*suningRequest) {
	return func(r *suningRequest) {
		r.spoil = append(r.spoil, func(h map[string]string) { h[name] = value })
	}
}

func suningApp(edit func(*apply.App)) func(*suningRequest) {
	return func(r *suningRequest) { edit(&r.app) }
}

func message(body string) func(*suningRequest) { return func(r *suningRequest) { r.body = body } }

// suningOffences are in the order of the checks, and of the faults within a check.
var suningOffences = []suningOffence{
	{"no appKey", 1, contract.MissingAppKey, "sys.check.header-param:null", "header参数为空", false, late("AppKey", "")},
	{"blank appMethod", 1, contract.MissingMethod, "sys.check.header-param:null", "header参数为空", false, late("AppMethod", " ")},
	{"no versionNo", 2, contract.MissingVersion, "sys.check.missing-parameter:apiversion", "API版本号未指定", false, late("VersionNo", "")},
	{"no appRequestTime", 3, contract.MissingTimestamp, "sys.check.missing-parameter:appRequestTime", "请求时间丢失", false, late("AppRequestTime", "")},
	{"no signInfo", 4, contract.MissingSign, "sys.check.app-sign:null", "签名信息为空", false, late("signInfo", "")},
	{"UTC clock", 5, contract.BadTimestamp, "sys.check.app-time:error", "请求参数错误api请求时间误差大", false, header("AppRequestTime", "2024-06-18 04:00:00")},
	{"unknown key", 6, contract.UnknownApp, "sys.check.user-permission:inexistence", "用户key不存在", false, header("AppKey", "fedc")},
	{"expired key", 6, contract.ExpiredApp, "sys.check.user-permission:overdue", "访问令牌已过期", false, suningApp(func(a *apply.App) { a.ExpiresAt = apply.AsTime(noon) })},
	{"address not listed", 7, contract.IPNotAllowed, "sys.controller.api-access:limit", "访问限制", false, suningApp(func(a *apply.App) { a.IPAllow = []string{"192.0.2.0/24"} })},
	{"body over 1 MiB", 8, contract.BadRequest, "sys.check.request-params:error", "请求报文结构错误", false, message(strings.Repeat("x", wire.MaxBody+1))},
	{"wrong signature", 9, contract.BadSign, "sys.check.app-sign:error", "签名信息错误", false, late("signInfo", strings.Repeat("0", 32))},
	{"unknown method", 10, contract.UnknownMethod, "sys.check.api-permission:inexistence", "Api方法不存在", false, header("AppMethod", "suning.custom.order.get")},
	{"no package", 11, contract.NoPackage, "sys.check.method-permission:authority", "无权操作此api", false, suningApp(func(a *apply.App) { a.Methods = &[]string{} })},
	{"API not in package", 11, contract.NotInPackage, "sys.check.method-permission:authority", "无权操作此api", false, suningApp(func(a *apply.App) { a.Methods = &[]string{"suning.common.systime.get"} })},
	{"no token", 12, contract.MissingSession, "sys.check.user-permission:inexistence", "访问令牌不存在", false, suningApp(func(a *apply.App) { a.OAuth = true })},
	{"unknown token", 12, contract.UnknownSession, "sys.check.user-permission:inexistence", "访问令牌不存在", false, func(r *suningRequest) { r.app.OAuth, r.header["access_token"] = true, "nobody's" }},
	{"expired token", 12, contract.ExpiredSession, "sys.check.user-permission:overdue", "访问令牌已过期", false, func(r *suningRequest) { r.app.OAuth, r.header["access_token"] = true, "expired" }},
	{"the day used up", 13, contract.Throttled, "sys.controller.api-request:limit", "Api请求受控", false, func(r *suningRequest) { r.app.Rate, r.spent = &apply.Rate{PerDay: 1}, true }},
	{"the second used up", 13, contract.TooFrequent, "sys.controller.api-frequency:limit", "访问频率限制", false, func(r *suningRequest) { r.app.Rate, r.spent = &apply.Rate{PerSecond: 1}, true }},
	{"format yaml", 14, contract.BadFormat, "sys.check.request-params:error", "请求报文结构错误", true, header("Format", "yaml")},
	{"no message", 14, contract.BadRequest, "sys.check.request-params:error", "请求报文结构错误", false, message(``)},
	{"no sn_body", 14, contract.MissingBody, "sys.check.missing-nestElement:sn_body", "缺少sn_body节点", false, message(`{"sn_request":{}}`)},
	{"two nodes", 14, contract.SeveralNodes, "biz.handler.batch-handler:no-support", "非查询类API不支持批量操作", false, message(`{"sn_request":{"sn_body":{"addLeaguerstatus":{},"getSystime":{}}}}`)},
	{"no orderId", 15, contract.MissingArgument, "biz.selfmarket.addleaguerstatus.missing-parameter:orderId", "参数必填", false, message(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":"180","orderId":" "}}}}`)},
	{"a long orderId", 15, contract.BadArgument, "sys.check.request-params:error", "请求报文结构错误", false, message(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":"180","orderId":"` + strings.Repeat("单", 257) + `","orderItemId":"1"}}}}`)},
	{"no such status", 16, contract.BusinessRefused, "biz.selfmarket.addleaguerstatus.invalid-biz:108", "入参状态不合法,请重新调用", false, message(lineStatus(pageLine, "220"))},
}

// apart are the checks whose faults one request cannot have at the same time:
// a message has one mistake, an app one token.
var apart = map[int]bool{11: true, 12: true, 13: true, 14: true, 15: true}

func withExpiredToken(t *testing.T, g *gateway) *gateway {
	t.Helper()
	g.declare(t, &apply.Document{Sessions: []apply.Session{{Token: "expired", AppKey: suningKey, ExpiresAt: apply.AsTime(noon)}}})
	return g
}

func (o suningOffence) compare(t *testing.T, got suningAnswer) {
	t.Helper()
	if got.Code != o.code || got.Text != o.text || strings.HasPrefix(got.Body, "<") != o.xml {
		t.Errorf("%s:\n got %s\nwant %s %s", o.name, got.Body, o.code, o.text)
	}
}

func TestEverySuningFaultOverHTTP(t *testing.T) {
	t.Parallel()
	for _, o := range suningOffences {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			g := withExpiredToken(t, newGateway(t).demo(t))
			r := newSuning(lineStatus(pageLine, "180", oneCard))
			o.make(r)
			o.compare(t, g.suning(t, r))
			if n := len(g.events(t)); n != 0 {
				t.Errorf("left %d events", n)
			}
		})
	}
}

// Of two neighbouring offences the first is the answer.
func TestOrderOfSuningChecks(t *testing.T) {
	t.Parallel()
	pairs := map[int]bool{}
	for i, first := range suningOffences {
		for _, second := range suningOffences[i+1:] {
			if second.check > first.check+1 || second.check == first.check && apart[first.check] {
				break
			}
			if first.check == 8 && second.check == 9 || first.check >= 14 && second.check > 14 {
				continue // see below
			}
			pairs[first.check] = true
			t.Run(first.name+" and "+second.name, func(t *testing.T) {
				t.Parallel()
				g := withExpiredToken(t, newGateway(t).demo(t))
				r := newSuning(lineStatus(pageLine, "180", oneCard))
				second.make(r)
				first.make(r)
				want := first
				want.xml = first.xml || second.xml
				want.compare(t, g.suning(t, r))
			})
		}
	}
	// What one message cannot offend by two makers: typed out.
	g := newGateway(t).demo(t)
	large := newSuning(strings.Repeat("x", wire.MaxBody+1))
	late("signInfo", "0")(large)
	for name, c := range map[string]struct {
		r    *suningRequest
		code string
	}{
		"body over 1 MiB and wrong signature": {large, "sys.check.request-params:error"},
		"two nodes and no orderId":            {newSuning(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":"180"},"x":{}}}}`), "biz.handler.batch-handler:no-support"},
		"no orderId and a long orderItemId":   {newSuning(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":"180","orderItemId":"` + strings.Repeat("1", 257) + `"}}}}`), "biz.selfmarket.addleaguerstatus.missing-parameter:orderId"},
		"a long orderId and no such status":   {newSuning(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":"220","orderItemId":"1","orderId":"` + strings.Repeat("1", 257) + `"}}}}`), "sys.check.request-params:error"},
		"no orderId and no such status":       {newSuning(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":"220","orderItemId":"1"}}}}`), "biz.selfmarket.addleaguerstatus.missing-parameter:orderId"},
		"iqStatus first":                      {newSuning(`{"sn_request":{"sn_body":{"addLeaguerstatus":""}}}`), "biz.selfmarket.addleaguerstatus.missing-parameter:iqStatus"},
		"orderItemId last":                    {newSuning(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"iqStatus":"1","orderId":"1"}}}}`), "biz.selfmarket.addleaguerstatus.missing-parameter:orderItemId"},
	} {
		if got := g.suning(t, c.r); got.Code != c.code {
			t.Errorf("%s: %s, want %s", name, got.Body, c.code)
		}
	}
	for check := 1; check <= 13; check++ {
		if !pairs[check] && check != 8 {
			t.Errorf("no pair begins with check %d", check)
		}
	}
}

// Each check's row lists the faults that it answers, in their order.
func TestSuningChecksListTheirFaults(t *testing.T) {
	t.Parallel()
	var listed, wanted []contract.Fault
	for _, c := range SuningChecks {
		listed = append(listed, c.Faults...)
	}
	listed = slices.DeleteFunc(listed, func(f contract.Fault) bool { return f == contract.Busy }) // TestSuningStoreFailures
	for i, o := range suningOffences {
		wanted = append(wanted, o.fault)
		if o.check < 1 || o.check > len(SuningChecks) || i > 0 && o.check < suningOffences[i-1].check {
			t.Errorf("offence %s: check %d", o.name, o.check)
		}
	}
	if !slices.Equal(listed, wanted) {
		t.Errorf("checks list %v, the offences are %v", listed, wanted)
	}
}

// What stands before the checks, how answers are shaped, and what is let pass.
func TestSuningTransport(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	for path, want := range map[string]int{"/api/http/sopRequest": 405, "/api/http/sopRequest/x": 405, "/api/http/other": 404, "/api/http/sopRequest/x/y": 404} {
		response, err := g.Client().Get(g.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, response.StatusCode, want)
		}
	}
	for i, c := range []struct {
		name string
		path string
		make func(*suningRequest)
	}{
		{"bare path", "/api/http/sopRequest", func(*suningRequest) {}},
		{"method behind the path", "/api/http/sopRequest/suning.selfmarket.leaguerstatus.add", func(*suningRequest) {}},
		{"another method behind the path", "/api/http/sopRequest/suning.common.systime.get", func(*suningRequest) {}},
		{"a slash behind", "/api/http/sopRequest/", func(*suningRequest) {}},
		{"an unknown version", "/api/http/sopRequest", header("VersionNo", "v1.3")},
		{"FORMAT in capitals", "/api/http/sopRequest", header("Format", "JSON")},
		{"a token that nobody asked for", "/api/http/sopRequest", header("access_token", "x")},
		{"10 minutes early", "/api/http/sopRequest", header("AppRequestTime", "2024-06-18 12:10:00")},
		{"10 minutes late", "/api/http/sopRequest", header("AppRequestTime", "2024-06-18 11:50:00")},
	} {
		line := fmt.Sprint(i)
		g.declare(t, &apply.Document{Orders: []apply.Order{{Platform: "suning", Number: pageOrder, SupplierCode: ptr("10042869"), Lines: []apply.Line{{Number: line, Kind: ptr(order.Recharge)}}}}})
		r := newSuning(lineStatus(line, "180"))
		c.make(r)
		if got := g.sendSuning(t, c.path, r.sign(), r.body); got.Result != "Y" || got.Order != pageOrder || got.Line != line {
			t.Errorf("%s: %s", c.name, got.Body)
		}
	}
	events := g.events(t)
	if w := events[4].Warnings; !slices.Equal(w, []string{order.WarnVersion.Code}) || len(events[0].Warnings) != 0 {
		t.Errorf("warnings %v", w)
	}
	g.now = noon.Add(999 * time.Millisecond) // times come in whole seconds, clocks do not
	early := newSuning(lineStatus("0", "190"))
	header("AppRequestTime", "2024-06-18 11:50:00")(early)
	if got := g.suning(t, early); got.Result != "Y" {
		t.Errorf("10 minutes and some milliseconds late: %s", got.Body)
	}
	g.now = noon
	for name, value := range map[string]string{"a second late": "2024-06-18 11:49:59", "a date": "2024-06-18", "milliseconds": "1718683200000", "slashes": "2024/06/18 12:00:00"} {
		r := newSuning(lineStatus("1", "180"))
		header("AppRequestTime", value)(r)
		if got := g.suning(t, r); got.Code != "sys.check.app-time:error" {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
	r := newSuning(lineStatus("1", "190"))
	delete(r.header, "Format")
	if got := g.suning(t, r); got.Code != "sys.check.request-params:error" || !strings.HasPrefix(got.Body, "<") {
		t.Errorf("JSON without a format: %s", got.Body)
	}
}

// The options of an app reach the checks; tokens of the app are taken.
func TestSuningAppOptions(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	single := strings.ReplaceAll(lineStatus("00000208117602", "180"), `"`, `'`)
	r := newSuning(single)
	r.app.Options = map[string]string{"json": "strict"}
	if got := g.suning(t, r); got.Code != "sys.check.request-params:error" {
		t.Errorf("strict: %s", got.Body)
	}
	upper := func(h map[string]string) { h["signInfo"] = strings.ToUpper(h["signInfo"]) }
	r = newSuning(single)
	r.spoil = append(r.spoil, upper)
	if got := g.suning(t, r); got.Code != "sys.check.app-sign:error" {
		t.Errorf("upper case: %s", got.Body)
	}
	r.app.Options = map[string]string{"sign": "any"}
	r.app.OAuth, r.header["access_token"] = true, "token"
	g.declare(t, &apply.Document{Apps: []apply.App{r.app}, Sessions: []apply.Session{{Token: "token", AppKey: suningKey}}})
	if got := g.suning(t, r); got.Result != "Y" {
		t.Errorf("upper case allowed: %s", got.Body)
	}
}

// The clock is read whatever the caller's shows, by either spelling of nothing.
func TestSystimeGet(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	for body, want := range map[string]string{
		`<sn_request><sn_body><getSystime/></sn_body></sn_request>`: `<sn_responseContent><sn_body><getSystime><sysTime>2024-06-18 12:00:00</sysTime></getSystime></sn_body></sn_responseContent>`,
		`<sn_request><sn_body></sn_body></sn_request>`:              `<sn_responseContent><sn_body><getSystime><sysTime>2024-06-18 12:00:00</sysTime></getSystime></sn_body></sn_responseContent>`,
		`{"sn_request":{"sn_body":{"getSystime":""}}}`:              `{"sn_responseContent":{"sn_body":{"getSystime":{"sysTime":"2024-06-18 12:00:00"}}}}`,
		`{"sn_request":{"sn_body":{}}}`:                             `{"sn_responseContent":{"sn_body":{"getSystime":{"sysTime":"2024-06-18 12:00:00"}}}}`,
	} {
		r := newSuning(body)
		r.header["AppMethod"], r.header["AppRequestTime"] = "suning.common.systime.get", "1999-01-01 00:00:00"
		if got := g.suning(t, r); got.Body != want {
			t.Errorf("%s: %s", body, got.Body)
		}
	}
	if n := len(g.events(t)); n != 0 {
		t.Errorf("%d events", n)
	}
}

// What cannot be stored, or not even be queued, is the platform's failure.
func TestSuningStoreFailures(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{order.ErrBusy, order.ErrNotStored} {
		g := newGateway(t).demo(t)
		g.intake.Store = failingStore{g.store, failure}
		r := newSuning(lineStatus(pageLine, "180", oneCard))
		if got := g.sendSuning(t, "/api/http/sopRequest", r.sign(), r.body); got.Code != "isp.sys.service.unavailable.somp" || got.Text != "服务不可用" {
			t.Errorf("%v: %s", failure, got.Body)
		}
		g.intake.Store = brokenStore{g.store}
		if got := g.sendSuning(t, "/api/http/sopRequest", r.sign(), r.body); got.Code != "isp.sys.service.unavailable.somp" {
			t.Errorf("no directory: %s", got.Body)
		}
	}
}
