package intake

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// offence is a way to be refused. Codes and texts are those of docs/protocol/top.md,
// typed again here.
type offence struct {
	name    string
	check   int // its number in docs/protocol/top.md 8.3
	fault   contract.Fault
	code    string
	text    string
	subCode string
	subText string
	commit  func(*request)
}

// after spoils a parameter behind the signature's back.
func after(name, value string) func(*request) {
	return func(r *request) {
		r.spoil = append(r.spoil, func(v url.Values) { v.Set(name, value) })
	}
}

func without(name string) func(*request) {
	return func(r *request) {
		r.spoil = append(r.spoil, func(v url.Values) { v.Del(name) })
	}
}

func with(name, value string) func(*request) { return func(r *request) { r.set(name, value) } }

func withApp(edit func(*apply.App)) func(*request) { return func(r *request) { edit(&r.app) } }

// offences are in the order of the checks, and of the faults within a check.
var offences = []offence{
	{"body over 1 MiB", 1, contract.BadRequest, "43", "Parameter error", "", "", func(r *request) { r.body = "a=" + strings.Repeat("x", wire.MaxBody) }},
	{"GBK bytes", 1, contract.BadEncoding, "47", "Invalid encoding", "", "", after("nick", "\xd6\xd0")},
	{"no method", 2, contract.MissingMethod, "21", "Missing method", "", "http传入的参数加入method字段", without("method")},
	{"blank app_key", 2, contract.MissingAppKey, "28", "Missing app key", "", "", after("app_key", " ")},
	{"no timestamp", 2, contract.MissingTimestamp, "30", "Missing timestamp", "", "", without("timestamp")},
	{"no v", 2, contract.MissingVersion, "32", "Missing version", "", "", without("v")},
	{"blank sign", 2, contract.MissingSign, "24", "Missing signature", "", "", after("sign", "")},
	{"unknown method", 3, contract.UnknownMethod, "22", "Invalid method", "", "", with("method", "taobao.trade.get")},
	{"PUT", 4, contract.BadVerb, "9", "Http action not allowed", "", "", func(r *request) { r.verb = http.MethodPut }},
	{"app expired", 5, contract.UnknownApp, "29", "Invalid app Key", "isv.appkey-not-exists", "", withApp(func(a *apply.App) { a.ExpiresAt = apply.AsTime(noon) })},
	{"address not listed", 6, contract.IPNotAllowed, "11", "Insufficient isv permissions", "isv.permission-ip-whitelist-limit", "", withApp(func(a *apply.App) { a.IPAllow = []string{"192.0.2.0/24"} })},
	{"no package", 7, contract.NoPackage, "11", "Insufficient isv permissions", "isv.permission-api-package-empty", "", withApp(func(a *apply.App) { a.Methods = &[]string{} })},
	{"API not in package", 7, contract.NotInPackage, "11", "Insufficient isv permissions", "isv.permission-api-package-limit", "", withApp(func(a *apply.App) { a.Methods = &[]string{"taobao.trade.get"} })},
	{"v is 1.0", 8, contract.BadVersion, "33", "Invalid version", "", "", with("v", "1.0")},
	{"format json2", 9, contract.BadFormat, "23", "Invalid format", "", "", with("format", "json2")},
	{"UTC clock", 10, contract.BadTimestamp, "31", "Invalid timestamp", "", "", with("timestamp", "2024-06-18 04:00:00")},
	{"wrong signature", 11, contract.BadSign, "25", "Invalid signature", "", "", after("tid", "2")},
	{"rate used up", 12, contract.Throttled, "7", "App Call Limited", "accesscontrol.limited-by-app-access-count", "This ban will last for 43200 more seconds", func(r *request) { r.app.Rate, r.spent = &apply.Rate{PerDay: 1}, true }},
	{"no session", 13, contract.MissingSession, "26", "Missing session", "", "", func(r *request) { r.drop("session") }},
	{"blank session", 13, contract.BlankSession, "27", "Invalid session", "session-is-blank", "session-is-blank", with("session", " ")},
	{"unknown session", 13, contract.UnknownSession, "27", "Invalid session", "invalid-sessionkey", "SessionKey非法", with("session", "nobody's")},
	{"expired session", 13, contract.ExpiredSession, "27", "Invalid session", "session-expired", "session-expired", with("session", "expired")},
	{"no tid", 14, contract.MissingArgument, "40", "Missing required arguments:tid", "", "", func(r *request) { r.drop("tid") }},
	{"nick too long", 14, contract.BadArgument, "41", "Invalid arguments:nick", "", "", with("nick", strings.Repeat("商", 257))},
	{"bad status", 15, contract.BusinessRefused, "50", "Remote service error", "isv.invalid-param: topic-empty", "topic不能为空", with("status", "transferred")},
}

// single are the checks of which one request can fail in one way only: it has
// one list of methods and one session.
var single = map[int]bool{7: true, 13: true}

func withExpiredSession(t *testing.T, g *gateway) *gateway {
	t.Helper()
	g.declare(t, &apply.Document{
		Apps:     []apply.App{{Key: "12345678", Protocol: contract.TOP, Secret: "helloworld"}},
		Sessions: []apply.Session{{Token: "expired", AppKey: "12345678", ExpiresAt: apply.AsTime(noon)}},
	})
	return g
}

func (o offence) compare(t *testing.T, got answer, r *request) {
	t.Helper()
	if got.Code != o.code || got.Text != o.text || got.SubCode != o.subCode || got.SubText != o.subText {
		t.Errorf("%s: %.300s\n got %v\nwant %s %s %s %s", o.name, describe(r), got, o.code, o.text, o.subCode, o.subText)
	}
}

func TestEveryFaultOverHTTP(t *testing.T) {
	t.Parallel()
	for _, o := range offences {
		g := withExpiredSession(t, newGateway(t))
		r := newRequest()
		o.commit(r)
		o.compare(t, g.send(t, r), r)
		want := 0
		if r.spent {
			want = 1 // the call that used the rate up
		}
		if n := len(g.events(t)); n != want {
			t.Errorf("%s: left %d events, want %d", o.name, n, want)
		}
	}
}

// Of two neighbouring offences the first is the answer.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	pairs := 0
	for i, first := range offences {
		for _, second := range offences[i+1:] {
			if second.check > first.check+1 || first.check == second.check && single[first.check] {
				continue
			}
			pairs++
			t.Run(first.name+", "+second.name, func(t *testing.T) {
				t.Parallel()
				g := withExpiredSession(t, newGateway(t))
				r := newRequest()
				first.commit(r)
				second.commit(r)
				first.compare(t, g.send(t, r), r)
			})
		}
	}
	if pairs < len(TOPChecks)-1 {
		t.Errorf("only %d pairs for %d checks", pairs, len(TOPChecks))
	}
}

// suningOnly are the faults that TOP has no words for.
var suningOnly = map[contract.Fault]bool{
	contract.ExpiredApp: true, contract.MissingBody: true, contract.SeveralNodes: true, contract.RetiredMethod: true,
}

// A row that nothing produces says why; every other one is produced by a test.
func TestEveryFaultRowIsProducedOrReserved(t *testing.T) {
	t.Parallel()
	produced := map[contract.Fault]bool{contract.Busy: true, contract.Unavailable: true, contract.BackendFailed: true} // TestStoreFailures, TestMerchantsFail
	for _, o := range offences {
		produced[o.fault] = true
	}
	for fault := contract.BadEncoding; int(fault) < len(contract.TOPFaults); fault++ {
		row := contract.TOPFaults[fault]
		if row.Code == "" && !suningOnly[fault] {
			t.Errorf("%v has no row", fault)
		}
		if suningOnly[fault] {
			continue
		}
		if produced[fault] == (row.Reserved != "") {
			t.Errorf("fault %s %s: produced by a test %t, reserved %q", row.Code, row.Text, produced[fault], row.Reserved)
		}
	}
}

// Each check's row lists the faults that it answers, in their order.
func TestChecksListTheirFaults(t *testing.T) {
	t.Parallel()
	var listed, wanted []contract.Fault
	ofReverse := 0 // what only reverse calls can do wrong: TestReverseOffences
	for i, c := range TOPChecks {
		for _, fault := range c.Faults {
			if slices.ContainsFunc(reverseOffences, func(o offence) bool { return o.check == i+1 && o.fault == fault }) {
				ofReverse++
			} else {
				listed = append(listed, fault)
			}
		}
	}
	if ofReverse != len(reverseOffences) {
		t.Errorf("%d faults of reverse calls are listed, want %d", ofReverse, len(reverseOffences))
	}
	for i, o := range offences {
		wanted = append(wanted, o.fault)
		if o.check < 1 || o.check > len(TOPChecks) || i > 0 && o.check < offences[i-1].check {
			t.Errorf("offence %s: check %d", o.name, o.check)
		}
	}
	if fmt.Sprint(listed) != fmt.Sprint(wanted) {
		t.Errorf("checks list\n%v, the tests\n%v", listed, wanted)
	}
}

// Texts say the limits that the code has.
func TestTextsSayTheLimits(t *testing.T) {
	t.Parallel()
	limits, err := os.ReadFile("../../docs/decisions/0004-limits-of-our-own.md")
	if err != nil {
		t.Fatal(err)
	}
	batches, err := os.ReadFile("../../docs/decisions/0006-work-orders-and-batches.md")
	if err != nil {
		t.Fatal(err)
	}
	suning, err := os.ReadFile("../../docs/decisions/0008-suning.md")
	if err != nil {
		t.Fatal(err)
	}
	thousands := func(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) } // all of them are
	body := fmt.Sprintf("%d MiB", wire.MaxBody>>20)
	minutes := fmt.Sprintf("%.0f", wire.Tolerance.Minutes())
	timestamp := contract.TOPParams[slices.IndexFunc(contract.TOPParams, func(f contract.Field) bool { return f.Name == "timestamp" })]
	for _, c := range []struct {
		text  string
		words []string
	}{
		{contract.TOPFaults[contract.BadTimestamp].When, []string{minutes + " minutes"}},
		{TOPChecks[9].Text, []string{minutes + " minutes"}},
		{timestamp.Text, []string{minutes + "分钟"}},
		{contract.SuningRow(nil, contract.BadTimestamp).When, []string{minutes + " minutes"}},
		{SuningChecks[4].Text, []string{minutes + " minutes"}},
		{contract.SuningParams[1].Text, []string{minutes + "分钟"}},
		{contract.SuningRow(nil, contract.BadRequest).When, []string{body}},
		{contract.SuningParams[4].Text, []string{wire.SuningVersion}},
		{string(suning), []string{fmt.Sprintf("%d places of large bodies", largeBodies), fmt.Sprintf("%d MiB of messages", parsedAtOnce>>20)}},
		{contract.TOPFaults[contract.BadVersion].When, []string{wire.TOPVersion}},
		{TOPChecks[7].Text, []string{wire.TOPVersion}},
		{contract.TOPFaults[contract.BadRequest].When, []string{body, thousands(wire.MaxParams) + " parameters", fmt.Sprintf("over %d calls", wire.MaxCalls)}},
		{contract.EventsProduce.About, []string{fmt.Sprintf("最多%d个", contract.MaxMessages)}},
		{string(batches), []string{fmt.Sprintf("more than %d,", wire.MaxCalls), body}},
		{string(limits), []string{
			body, thousands(wire.MaxParams) + " parameters", thousands(order.MaxLines) + " lines", thousands(order.MaxMarks) + " marks",
			fmt.Sprintf("%d bodies over %d KiB", largeBodies, wire.SmallBody>>10),
		}},
	} {
		for _, w := range c.words {
			if !strings.Contains(c.text, w) {
				t.Errorf("%q does not say %q", c.text, w)
			}
		}
	}
	for _, f := range slices.Concat(contract.EventProduce.Request, contract.EventsProduce.Request, contract.EventEmit.Request) {
		if f.MaxChars > 0 && !strings.Contains(string(limits), fmt.Sprint(f.MaxChars, " characters")) || f.MaxItems > 0 && !strings.Contains(string(limits), thousands(f.MaxItems)+" entries") || (f.MaxChars > 0 || f.MaxItems > 0) && !strings.Contains(string(limits), "`"+f.Name+"`") {
			t.Errorf("docs/decisions/0004 does not say the limit of %s", f.Name)
		}
	}
}

func TestStoreFailures(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{order.ErrBusy: "isp.system-busy", order.ErrNotStored: "isp.remote-service-error"} {
		g := newGateway(t)
		g.demo(t)
		good := g.store
		g.intake.Store = failingStore{good, fmt.Errorf("wrapped: %w", err)}
		got := g.send(t, newRequest())
		if got.Code != "10" || got.Text != "Service currently unavailable" || got.SubCode != want {
			t.Errorf("%v: got %v, want 10 %s", err, got, want)
		}
	}
	g := newGateway(t).demo(t)
	g.intake.Store = brokenStore{g.store}
	if got := g.send(t, newRequest()); got.Code != "10" || got.SubCode != "isp.remote-service-error" || strings.Contains(got.Body, "disk") {
		t.Errorf("look-up failed: got %v", got)
	}
}

// An answer given before the format is known to be valid is XML unless
// format=json.
func TestFormatOfEarlyRefusals(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	for format, xml := range map[string]bool{"json": false, "xml": true, "json2": true, "": true} {
		got := g.send(t, func() *request { r := newRequest().set("format", format); without("sign")(r); return r }())
		if got.Code != "24" || got.XML != xml {
			t.Errorf("format=%s: %v, want 24 in XML %t", format, got, xml)
		}
	}
	if got := g.send(t, newRequest().set("format", "json2")); got.Code != "23" || !got.XML {
		t.Errorf("json2: %v", got)
	}
}

func TestTimestampTolerance(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	for text, ok := range map[string]bool{
		"2024-06-18 11:50:00": true, "2024-06-18 12:10:00": true, "2024-06-18 11:49:59": false, "2024-06-18 12:10:01": false,
		"1718683200000": true, "1718682600000": true, "1718682599999": false, "soon": false, "2024-06-18": false,
	} {
		got := g.send(t, newRequest().set("timestamp", text).set("tid", text))
		if got.Success != ok || !ok && got.Code != "31" {
			t.Errorf("%s at noon: %v, want accepted %t", text, got, ok)
		}
	}
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	for verb, ok := range map[string]bool{"GET": true, "POST": true, "PUT": false, "DELETE": false, "PATCH": false} {
		r := newRequest().set("tid", verb)
		r.verb = verb
		if got := g.send(t, r); got.Success != ok || !ok && got.Code != "9" {
			t.Errorf("%s: %v", verb, got)
		}
	}
	upload := newRequest()
	upload.verb = http.MethodPut
	upload.header = http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}
	upload.body = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n1\r\n--b--"
	if got := g.send(t, upload); got.Code != "9" {
		t.Errorf("upload by PUT: %v", got)
	}
	upload.verb = http.MethodPost
	if got := g.send(t, upload); !got.Success {
		t.Errorf("upload by POST beside a good call: %v", got)
	}
}

func TestUnknownApps(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	for _, key := range []string{"1", "0123456789abcdef0123456789abcdef"} { // the second is Suning's
		r := newRequest()
		after("app_key", key)(r)
		if got := g.send(t, r); got.Code != "29" {
			t.Errorf("app %s: %v", key, got)
		}
	}
}

func TestSessionOfAnotherApp(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.declare(t, &apply.Document{
		Apps:     []apply.App{{Key: "2", Protocol: contract.TOP, Secret: "s"}},
		Sessions: []apply.Session{{Token: "other", AppKey: "2"}},
	})
	if got := g.send(t, newRequest().set("session", "other")); got.Code != "27" || got.SubCode != "invalid-sessionkey" {
		t.Errorf("got %v", got)
	}
}

// The text that was signed is shown to who asks for it, without the session.
func TestSignedTextIsLoggedMasked(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	var log strings.Builder
	g.intake.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := newRequest().set("session", "hush-session")
	after("tid", "2")(r)
	if got := g.send(t, r); got.Code != "25" {
		t.Errorf("got %v", got)
	}
	if text := log.String(); !strings.Contains(text, "session***statusQIMEN_ERP_TRANSFERtid2timestamp2024-06-18 12:00:00v2.0") || strings.Contains(text, "hush") || strings.Contains(text, "helloworld") {
		t.Errorf("log: %s", text)
	}
}

// With authority upstream the platform behind decides about sessions and
// repeats; what needs no ledger is still checked.
func TestAuthorityUpstream(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	upstream := func() *request {
		r := newRequest().set("session", "only the platform knows")
		r.app.Authority, r.app.Seller = order.Upstream, "app's seller"
		return r
	}
	for range 2 {
		if got := g.send(t, upstream()); !got.Success {
			t.Errorf("unknown session: %v", got)
		}
	}
	if got := g.send(t, upstream().set("tid", "2").set("session", "test")); !got.Success {
		t.Errorf("known session: %v", got)
	}
	if got := g.send(t, upstream().drop("session")); got.Code != "26" {
		t.Errorf("no session: %v", got)
	}
	if got := g.send(t, upstream().set("ext", "{")); got.SubCode != contract.BrokenJSON.Code {
		t.Errorf("broken ext: %v", got)
	}
	events := g.events(t)
	if len(events) != 3 || events[0].Order.Seller != "app's seller" || events[2].Order.Seller != "seller_001" {
		t.Errorf("events: %+v", events)
	}
}

func TestRotatedSecret(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	app, err := g.store.App(t.Context(), "12345678")
	if err != nil {
		t.Fatal(err)
	}
	rotated := *app
	rotated.Secret, rotated.OldSecret, rotated.OldUntil = "new", "helloworld", noon.Add(1)
	if err := g.store.Commit(t.Context(), order.Declare(order.Declared{Apps: []*order.App{&rotated}})); err != nil {
		t.Fatal(err)
	}
	try := func(secret contract.Secret, tid string) error {
		r := newRequest().set("tid", tid)
		r.app.Secret = secret
		form := r.signed()
		response, err := g.Client().PostForm(g.URL+"/router/rest", form)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		_, err = wire.TOP{}.Unseal(contract.EventProduce, body)
		return err
	}
	if err := errors.Join(try("new", "1"), try("helloworld", "2")); err != nil {
		t.Errorf("during the overlap: %v", err)
	}
	g.now = noon.Add(1)
	if err := try("new", "3"); err != nil {
		t.Errorf("new secret after the overlap: %v", err)
	}
	if err := try("helloworld", "4"); !errors.Is(err, contract.BadSign) {
		t.Errorf("old secret after the overlap: %v", err)
	}
}
