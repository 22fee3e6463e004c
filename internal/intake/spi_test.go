package intake

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// reverse is a reverse call in the making: good until a test spoils it. It asks what
// newIntercept asks.
type reverse struct {
	verb        string
	query       map[string]string
	contentType string
	body        string
	spoil       func(url.Values) // after signing
}

func newReverse() *reverse {
	return &reverse{
		verb: http.MethodPost,
		query: map[string]string{
			"method": interceptMethod, "app_key": "12345678", "target_app_key": "87654321", "timestamp": "2024-06-18 12:00:00", "v": "2.0", "format": "json", "sign_method": "hmac-sha256", "session": "",
		},
		contentType: "application/json",
		body:        `{"sellerNick":"苏宁易购官方旗舰店","buyerNick":"翔_ouyang","bizOrder":{"tid":"30753531820144200","subOrderIds":"30753531820144201"},"callType":"synchronous","buyer_open_uid":"1"}`,
	}
}

func (r *reverse) set(name, value string) *reverse {
	r.query[name] = value
	return r
}

// send signs a call by the formula of docs/protocol/qimen.md 3.1, written again here.
func (g *gateway) reverse(t testing.TB, r *reverse) string {
	t.Helper()
	values := url.Values{}
	var names []string
	for name, value := range r.query {
		values.Set(name, value)
		names = append(names, name)
	}
	slices.Sort(names)
	base := "merchant-secret"
	for _, name := range names {
		base += name + r.query[name]
	}
	sum := md5.Sum([]byte(base + r.body + "merchant-secret"))
	values.Set("sign", strings.ToUpper(hex.EncodeToString(sum[:])))
	if r.spoil != nil {
		r.spoil(values)
	}
	var body io.Reader = strings.NewReader(r.body)
	if r.body == "" {
		body = nil
	}
	q, err := http.NewRequestWithContext(t.Context(), r.verb, g.URL+"/spi/qimen?"+values.Encode(), body)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", r.contentType)
	return g.exchange(t, q)
}

const (
	spiNo  = `{"result":{"errorMsg":%q,"errorCode":%q,"success":false}}`
	spiYes = `{"result":{"success":true}}`
)

func said(code, text string) string { return fmt.Sprintf(spiNo, text, code) }

// A reverse call locks as a call of the platform's does, answers in the page's shape
// and leaves the same event.
func TestSPI(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	if got := g.reverse(t, newReverse()); got != spiYes {
		t.Fatal(got)
	}
	if lines := g.locked(t); fmt.Sprint(lines) != "[30753531820144201]" {
		t.Errorf("locked %v", lines)
	}
	e := g.kept(t, map[string]string{
		"sellerNick": "苏宁易购官方旗舰店", "buyerNick": "翔_ouyang", "buyer_open_uid": "1", "callType": "synchronous", "bizOrder": `{"tid":"30753531820144200","subOrderIds":"30753531820144201"}`,
	})
	if e.App != "87654321" || e.API != interceptMethod || e.Order.Number != "30753531820144200" {
		t.Errorf("event %+v", e)
	}
	page := newReverse()
	page.contentType = "text/xml"
	page.body = "<request><sellerNick>苏宁易购官方旗舰店</sellerNick><buyerNick>翔_ouyang</buyerNick><bizOrder><tid>30753531820144197</tid><subOrderIds>30753531820144191</subOrderIds></bizOrder><callType>synchronous</callType></request>"
	if got, want := g.reverse(t, page.set("format", "xml")), `<?xml version="1.0" encoding="utf-8" ?><result><errorMsg>已发货拦截失败</errorMsg><errorCode>1001</errorCode><success>false</success></result>`; got != want {
		t.Errorf("the page's example: %s", got)
	}
	delete(page.query, "format") // as it came
	if got := g.reverse(t, page); !strings.HasPrefix(got, "<?xml") {
		t.Errorf("XML without a format: %s", got)
	}
	form := newReverse()
	form.contentType, form.body, form.verb = "application/x-www-form-urlencoded", "", http.MethodGet
	form.set("sellerNick", "苏宁易购官方旗舰店").set("buyerNick", "翔_ouyang").set("bizOrder", `{"tid":"30753531820144200","subOrderIds":"30753531820144202"}`).set("callType", "synchronous")
	if got := g.reverse(t, form); got != spiYes {
		t.Errorf("GET: %s", got)
	}
	delete(page.query, "target_app_key")
	if got := g.reverse(t, page.set("app_key", "87654321").set("format", "json")); got != said("1001", "已发货拦截失败") {
		t.Errorf("without a target: %s", got)
	}
}

// spiOffences are in the order of the checks.
var spiOffences = []struct {
	name   string
	check  int
	fault  contract.Fault
	want   string
	commit func(*reverse)
}{
	{"body over 1 MiB", 1, contract.BadRequest, said("43", "Parameter error"), func(r *reverse) { r.body = strings.Repeat("x", wire.MaxBody+1) }},
	{"unknown app", 2, contract.UnknownApp, said("sign-check-failure", "Illegal request"), func(r *reverse) { r.set("target_app_key", "0") }},
	{"wrong signature", 3, contract.BadSign, said("sign-check-failure", "Illegal request"), func(r *reverse) { r.spoil = func(v url.Values) { v.Set("v", "1") } }},
	{"too old", 4, contract.BadTimestamp, said("sign-check-failure", "Illegal request"), func(r *reverse) { r.set("timestamp", "2024-06-18 11:49:59") }},
	{"PUT", 5, contract.BadVerb, said("9", "Http action not allowed"), func(r *reverse) { r.verb = http.MethodPut }},
	{"no method", 6, contract.MissingMethod, `{"flag":"failure","sub_code":"21","sub_message":"http传入的参数加入method字段"}`, func(r *reverse) { r.set("method", " ") }},
	{"a method of TOP's", 6, contract.UnknownMethod, `{"flag":"failure","sub_code":"22","sub_message":"Invalid method"}`, func(r *reverse) { r.set("method", "taobao.qimen.event.produce") }},
	{"a document that is none", 7, contract.BadRequest, said("43", "Parameter error"), func(r *reverse) { r.body = "{" }},
	{"a document in GBK", 7, contract.BadEncoding, said("47", "Invalid encoding"), func(r *reverse) { r.body = "{\"sellerNick\":\"\xd6\xd0\"}" }},
	{"no seller", 8, contract.MissingArgument, said("40", "Missing required arguments:sellerNick"), func(r *reverse) { r.set("sellerNick", "") }},
	{"nick too long", 8, contract.BadArgument, said("41", "Invalid arguments:buyerNick"), func(r *reverse) { r.set("buyerNick", strings.Repeat("x", 257)) }},
	{"bad callType", 9, contract.BusinessRefused, said("isv.invalid-parameter:callType", "非法参数"), func(r *reverse) { r.set("callType", "x") }},
	{"no verdict", 9, contract.BackendFailed, said("isp.http-read-timeout", "the forwarded service did not answer in time: the outcome is unknown"), func(r *reverse) { r.set("asked", "1") }},
}

var codeOf = regexp.MustCompile(`(?:errorCode|sub_code)(":"[^"]*")`)

// Each check of /spi/qimen has its answer, and of two neighbours the first counts.
func TestSPIChecks(t *testing.T) {
	t.Parallel()
	send := func(r *reverse) string {
		g := newGateway(t).demo(t)
		if r.query["asked"] != "" {
			g.waiting(t, fails{contract.ReadTimeout})
		}
		got := g.reverse(t, r)
		if n := len(g.events(t)); n != 0 {
			t.Errorf("left %d events", n)
		}
		return got
	}
	var listed, wanted []contract.Fault
	for _, c := range SPIChecks {
		listed = append(listed, c.Faults...)
	}
	wanted = append(wanted, contract.BadRequest, contract.Busy) // a place for a large body: TestLargeBodies
	for i, o := range spiOffences {
		if i > 0 {
			wanted = append(wanted, o.fault)
		}
		r := newReverse()
		o.commit(r)
		if got := send(r); got != o.want {
			t.Errorf("%s: got %s, want %s", o.name, got, o.want)
		}
		for _, second := range spiOffences[i+1:] {
			if second.check > o.check+1 || second.check == o.check && (o.check == 6 || o.check == 7) {
				continue
			}
			r := newReverse()
			o.commit(r)
			body, spoil := r.body, r.spoil
			second.commit(r)
			if body != newReverse().body {
				r.body = body
			}
			if spoil != nil {
				r.spoil = spoil
			}
			if got := send(r); fmt.Sprint(codeOf.FindStringSubmatch(got)[1:]) != fmt.Sprint(codeOf.FindStringSubmatch(o.want)[1:]) { // the shape is that of the method
				t.Errorf("%s and %s: got %s", o.name, second.name, got)
			}
		}
	}
	if fmt.Sprint(listed) != fmt.Sprint(wanted) {
		t.Errorf("checks list\n%v, the tests\n%v", listed, wanted)
	}
	minutes := fmt.Sprintf("%.0f minutes", wire.Tolerance.Minutes())
	if !strings.Contains(SPIChecks[3].Text, minutes) {
		t.Errorf("%q does not say %s", SPIChecks[3].Text, minutes)
	}
}

// Headers that are signed cost what they are worth: each counts once, and there are
// not many.
func TestSPIHeaders(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	send := func(list, name, value string) string {
		raw := fmt.Sprintf("POST /spi/qimen?method=%s&app_key=12345678&timestamp=1&sign=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n%s: %s\r\ntop-sign-list: %s\r\n\r\n", interceptMethod, name, value, list)
		body, _ := g.rawExchange(t, []byte(raw))
		return body
	}
	var names []string
	for i := range 1 << 7 { // of one header, in other cases each
		names = append(names, caseOf("aaaaaaa", i))
	}
	for name, c := range map[string]struct{ list, value, want string }{
		"one name, often":       {strings.TrimSuffix(strings.Repeat("A,", 15_000), ","), "+" + strings.Repeat("a", 20_000), said("sign-check-failure", "Illegal request")},
		"many names":            {strings.Join(names, ","), "x", said("43", "Parameter error")},
		"a long value, twice":   {"A,a", strings.Repeat("a", 40_000), said("43", "Parameter error")},
		"a broken %-escape":     {"A", "%zz", said("sign-check-failure", "Illegal request")},
		"names without a value": {",,B,C,,", "x", said("sign-check-failure", "Illegal request")},
	} {
		if got := send(c.list, "A", c.value); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// caseOf writes some letters in upper case, by the bits of a number.
func caseOf(text string, bits int) string {
	b := []byte(text)
	for i := range b {
		if bits>>i&1 == 1 {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// How old a reverse call may be is the operator's; an app's old secret counts for its
// overlap.
func TestSPISettings(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	g.intake.ReverseAge = time.Minute
	if got := g.reverse(t, newReverse().set("timestamp", "2024-06-18 11:58:59")); got != said("sign-check-failure", "Illegal request") {
		t.Errorf("61 seconds old: %s", got)
	}
	if got := g.reverse(t, newReverse().set("timestamp", "2024-06-18 20:00:00")); got != spiYes {
		t.Errorf("to come: %s", got)
	}
	rotate := order.Rotate("87654321", "new", time.Hour)
	if err := g.store.Commit(t.Context(), rotate); err != nil || rotate.Err != nil {
		t.Fatal(err, rotate.Err)
	}
	if got := g.reverse(t, newReverse()); got != spiYes {
		t.Errorf("the old secret: %s", got)
	}
	g.declare(t, &apply.Document{Apps: []apply.App{{Key: "87654321", Protocol: contract.TOP, Secret: "newer", ExpiresAt: nil}}})
	if got := g.reverse(t, newReverse()); got == spiYes {
		t.Errorf("after the overlap: %s", got)
	}
}
