//go:build browser

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/ordergate/ordergate/contract"
)

// browserToken is the admin token of the gateways that the browser looks at. No page may
// show it.
const browserToken = "admin-token-of-the-browser-tests"

// tab is a tab of a real browser. Whatever it complains about fails the test.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu       sync.Mutex
	problems []string
}

// newTab starts Chromium, and logs in.
func newTab(t *testing.T, base string, actions ...chromedp.Action) *tab {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("no chromium: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.WindowSize(1360, 900), chromedp.Flag("lang", "en-US"))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, base: base}
	chromedp.ListenTarget(ctx, b.hear)
	b.run(append([]chromedp.Action{log.Enable(), network.Enable()}, actions...)...)
	b.run(
		chromedp.Navigate(base+"/orders"), chromedp.WaitVisible("#token"),
		chromedp.SendKeys("#token", browserToken), chromedp.Submit("#token"), chromedp.WaitVisible(".menu"),
	)
	if at := b.location(); at != "/orders" {
		t.Errorf("after the login at %s", at)
	}
	return b
}

func (b *tab) hear(event any) {
	problem := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			for _, arg := range e.Args {
				problem += string(arg.Value) + arg.Description + " "
			}
		}
	case *runtime.EventExceptionThrown:
		problem = e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			problem = e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventLoadingFailed:
		if !e.Canceled {
			problem = "not loaded: " + e.ErrorText
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			problem = fmt.Sprintf("%d %s", e.Response.Status, e.Response.URL)
		}
	}
	if problem != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, problem)
	}
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("%v; the browser says %v", err, b.complaints())
	}
}

func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problems
}

// quiet fails the test when the browser has complained.
func (b *tab) quiet(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("%s: the browser says: %s", where, p)
	}
	b.problems = nil
}

func (b *tab) location() string {
	b.t.Helper()
	var at string
	b.run(chromedp.Location(&at))
	return strings.TrimPrefix(at, b.base)
}

func (b *tab) text(selector string) (text string) {
	b.t.Helper()
	b.run(chromedp.TextContent(selector, &text, chromedp.ByQuery))
	return text
}

// say switches the language.
func (b *tab) say(language string) {
	b.t.Helper()
	b.run(chromedp.Click(".language button"), chromedp.WaitVisible(`html[lang="`+language+`"] main h1`))
}

// eventually waits until a page says something.
func (b *tab) eventually(selector, want string) {
	b.t.Helper()
	var text string
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if err := chromedp.Run(b.ctx, chromedp.Evaluate(fmt.Sprintf("[...document.querySelectorAll(%q)].map(e => e.textContent).join(' ')", selector), &text)); err == nil && strings.Contains(text, want) {
			return
		}
	}
	b.t.Fatalf("%s says %q, want %q; the browser says %v", selector, text, want, b.complaints())
}

// shoot takes a picture, where somebody wants to look at it.
func (b *tab) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("ORDERGATE_SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	b.run(chromedp.CaptureScreenshot(&picture))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// shop is a gateway in use: orders of all APIs, a platform that takes nothing, a webhook
// that takes everything.
type shop struct {
	*process
	heals atomic.Bool // the platform takes everything from now on
}

const browserState = `
destinations:
  - {name: oms, kind: top, url: %[1]s/router/rest, app_key: "1", secret: secret-of-the-oms, session: session-of-the-oms, apis: [taobao.qimen.event.produce]}
  - {name: archive, kind: webhook, url: %[1]s/archive, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
`

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{}
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/archive":
		case s.heals.Load():
			fmt.Fprint(w, `{"qimen_event_produce_response":{"is_success":true,"request_id":"1"}}`)
		default:
			fmt.Fprint(w, `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isv.invalid-parameter","sub_msg":"no such order here","request_id":"1"}}`)
		}
	}))
	t.Cleanup(sink.Close)
	state := filepath.Join(t.TempDir(), "state.yaml")
	if err := os.WriteFile(state, fmt.Appendf(nil, browserState, sink.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("ordergate")
	if err != nil {
		t.Fatal(err)
	}
	if s.process, err = launch(exec.Command(program, "serve", "--demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-token", browserToken, "--apply", state), filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	const top = "--app-key 12345678 --secret helloworld "
	for _, line := range []string{
		"call taobao.qimen.event.produce " + top + "--session test status=QIMEN_ERP_TRANSFER tid=2895732958732 erp_order_id=SO-1",
		"call taobao.qimen.event.produce " + top + "--session test status=QIMEN_ERP_CHECK tid=2895732958732 erp_order_id=SO-1",
		"call taobao.bcpush.isv.event.emit " + top + "--session test event_id=1 work_order_id=WO-77 work_order_status=processing tenant_code=t biz_order_id=2895732958732 text=工单描述",
		"call taobao.qimen.event.produce " + top + "--session test status=QIMEN_CP_NOTIFY tid=2895732958732 erp_order_id=SO-1",
		"call suning.selfmarket.leaguerstatus.add --app-key 0123456789abcdef0123456789abcdef --secret 9f8e7d6c5b4a39281706f5e4d3c2b1a0 iqStatus=180 orderId=1000531505 orderItemId=00000208117601 supplierCode=10042869 'cardList=[{\"cardSec\":\"PASS-OF-CARD\",\"cardCode\":\"CODE-OF-CARD\"}]'",
		"call qimen.taobao.qianniu.cloudkefu.order.self.intercept " + top + "--target-app-key 87654321 sellerNick=苏宁易购官方旗舰店 buyerNick=翔_ouyang 'bizOrder={\"tid\":\"30753531820144200\",\"subOrderIds\":\"30753531820144201\"}' callType=synchronous",
		"call taobao.qimen.event.produce --app-key 12345678 --secret wrong --session test status=QIMEN_CP_OUT tid=3",
	} {
		runLine(t, program, s.process, "go run ./cmd/ordergate "+line)
	}
	s.settled(t)
	return s
}

// settled waits until what the platform does not take is dead.
func (s *shop) settled(t *testing.T) {
	t.Helper()
	var stats struct {
		Events       int
		Destinations []struct {
			Name      string
			Lag, Dead int
		}
	}
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.adminURL+"/v1/stats", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+browserToken)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(response.Body).Decode(&stats)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range stats.Destinations {
			if d.Name == "oms" && d.Lag == 0 && d.Dead == 3 {
				return
			}
		}
	}
	t.Fatalf("not all is dead that is not taken: %+v", stats)
}

// every page of the console, as somebody comes to it.
var browserPages = []string{
	"/", "/orders", "/orders?q=28957&list=1", "/orders/import", "/orders/taobao/2895732958732?seller=seller_001", "/orders/suning/1000531505?seller=10042869", "/orders/taobao/30753531820144200",
	"/funnel", "/funnel?stage=new", "/locks", "/work-orders", "/work-orders/1", "/events", "/events/1", "/events/5", "/events?api=ordergate.alert.delivery.dead", "/alerts", "/refused", "/refused/1",
	"/deliveries", "/deliveries?state=dead", "/deliveries/oms:1", "/deliveries/archive:1", "/destinations", "/destinations/oms", "/apps", "/apps/12345678", "/apps/0123456789abcdef0123456789abcdef",
	"/apis", "/verify", "/faults",
}

// The console in a real browser: every page in both languages, light and dark, without a
// complaint, and without a secret.
func TestBrowserWalksEveryPage(t *testing.T) {
	s := openShop(t)
	b := newTab(t, s.adminURL)
	pages := browserPages
	for _, api := range contract.All {
		pages = append(pages, "/apis/"+api.Method)
	}
	for _, language := range []string{"en", "zh-CN"} {
		for _, path := range pages {
			var lang, html string
			b.run(chromedp.Navigate(s.adminURL+path), chromedp.WaitVisible("main h1"), chromedp.Evaluate("document.documentElement.lang", &lang), chromedp.OuterHTML("html", &html))
			b.quiet(path)
			if lang != language {
				t.Errorf("%s is in %s, want %s", path, lang, language)
			}
			for _, secret := range demoSecrets {
				if strings.Contains(html, secret) {
					t.Errorf("%s shows the secret %s", path, secret)
				}
			}
		}
		b.say(map[string]string{"en": "zh-CN", "zh-CN": "en"}[language])
	}
	for name, path := range map[string]string{"overview": "/", "order": "/orders/taobao/2895732958732?seller=seller_001", "api": "/apis/taobao.qimen.event.produce", "funnel": "/funnel", "destination": "/destinations/oms", "refused": "/refused/1", "apps": "/apps/12345678", "events": "/events", "deliveries": "/deliveries"} {
		b.run(chromedp.Navigate(s.adminURL+path), chromedp.WaitVisible("main h1"))
		b.shoot(name)
	}
	b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}), chromedp.Navigate(s.adminURL+"/"), chromedp.WaitVisible("main h1"))
	b.shoot("overview-dark")
	b.say("zh-CN")
	b.shoot("overview-dark-zh")
	b.quiet("dark")
}

// demoSecrets are those of the demo that are no words of the pages' own: test and merchant,
// its tokens, are.
var demoSecrets = []string{"helloworld", "merchant-secret", "9f8e7d6c5b4a39281706f5e4d3c2b1a0", "PASS-OF-CARD", "CODE-OF-CARD", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secret-of-the-oms", "session-of-the-oms", browserToken}

// A call is signed and sent by the form, and what follows from it is seen.
func TestBrowserTriesACall(t *testing.T) {
	s := openShop(t)
	b := newTab(t, s.adminURL)
	b.run(
		chromedp.Navigate(s.adminURL+"/apis/"+contract.EventProduce.Method), chromedp.WaitReady("#result", chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector('[name="p.tid"]').value = "4711"; document.querySelector('[name="p.platform"]').value = ""`, nil),
		chromedp.Click(`form[hx-post] button.primary`, chromedp.ByQuery), chromedp.WaitVisible("#copy-go", chromedp.ByQuery),
	)
	result := b.text("#result")
	for _, want := range []string{`"is_success": true`, "POST /router/rest?", "session=***", "HEX(MD5(text))", "ordergate call taobao.qimen.event.produce", "EventProduce(context.Background()"} {
		if !strings.Contains(result, want) {
			t.Errorf("the result lacks %s:\n%s", want, result)
		}
	}
	b.shoot("api-result")
	// The page was not loaded again, and sends the next call as well: it is refused.
	b.run(chromedp.Click(`form[hx-post] button.primary`, chromedp.ByQuery))
	b.eventually("#result", "already backflow")
	b.run(chromedp.SetValue("#search", "4711", chromedp.ByQuery), chromedp.Submit("#search", chromedp.ByQuery), chromedp.WaitVisible(".timeline"))
	if at := b.location(); !strings.HasPrefix(at, "/orders/taobao/4711?seller=") {
		t.Errorf("the search led to %s", at)
	}
	b.quiet("try it")
	if text := b.text(".timeline"); !strings.Contains(text, "QIMEN_ERP_TRANSFER") {
		t.Errorf("time line: %s", text)
	}
}

// A dead delivery is tried again, and gets through.
func TestBrowserRetriesADeadDelivery(t *testing.T) {
	s := openShop(t)
	b := newTab(t, s.adminURL)
	s.heals.Store(true)
	b.run(chromedp.Navigate(s.adminURL+"/deliveries?state=dead&destination=oms"), chromedp.Click(`a[href="/deliveries/oms:1"]`), chromedp.WaitVisible(`button[value="retry"]`))
	if text := b.text("main"); !strings.Contains(text, "isv.invalid-parameter") || !strings.Contains(text, "no such order here") {
		t.Errorf("the delivery's page: %s", text)
	}
	b.run(chromedp.Click(`button[value="retry"]`), chromedp.WaitVisible(".notice"))
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until) && !strings.Contains(b.text("h1"), "done"); {
		b.run(chromedp.Sleep(100*time.Millisecond), chromedp.Navigate(s.adminURL+"/deliveries/oms:1"), chromedp.WaitVisible("h1"))
	}
	if text := b.text("h1"); !strings.Contains(text, "done") {
		t.Errorf("tried again: %s", text)
	}
	b.run(chromedp.Navigate(s.adminURL+"/deliveries?state=dead"), chromedp.Click(`button[name="all"]`), chromedp.WaitVisible(".notice"))
	b.run(chromedp.Navigate(s.adminURL + "/destinations/oms"))
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		if text := b.text("main"); !strings.Contains(text, "What did not get through") {
			break
		}
		b.run(chromedp.Sleep(100*time.Millisecond), chromedp.Navigate(s.adminURL+"/destinations/oms"), chromedp.WaitVisible("h1"))
	}
	if text := b.text("main"); strings.Contains(text, "What did not get through") {
		t.Errorf("all tried again: %s", text)
	}
	b.quiet("retry")
}

// Events appear while the list is looked at; the overview keeps itself up to date.
func TestBrowserSeesNewEvents(t *testing.T) {
	s := openShop(t)
	b := newTab(t, s.adminURL)
	b.run(chromedp.Navigate(s.adminURL+"/events"), chromedp.WaitVisible("#rows tr"))
	program, err := exec.LookPath("ordergate")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		number := fmt.Sprintf("99000%d", i)
		runLine(t, program, s.process, "go run ./cmd/ordergate call taobao.qimen.event.produce --app-key 12345678 --secret helloworld --session test status=QIMEN_ERP_TRANSFER tid="+number)
		b.eventually("#rows tr:first-child", number)
	}
	var rows int
	b.run(chromedp.Evaluate(`[...document.querySelectorAll("#rows tr")].filter(e => e.cells[2].textContent == "Order event" && e.cells[3].textContent.startsWith("99000")).length`, &rows))
	if rows != 3 {
		t.Errorf("%d rows of 3 events", rows)
	}
	b.run(chromedp.Navigate(s.adminURL+"/"), chromedp.WaitVisible(".uplot canvas"))
	runLine(t, program, s.process, "go run ./cmd/ordergate call taobao.qimen.event.produce --app-key 12345678 --secret helloworld --session test status=QIMEN_ERP_TRANSFER tid=990099")
	total := regexp.MustCompile(`(\d+)events`)
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		text := regexp.MustCompile(`\s`).ReplaceAllString(b.text(".tiles"), "")
		if found := total.FindStringSubmatch(text); found != nil && found[1] >= "16" && len(found[1]) == 2 {
			break
		} else if time.Now().After(until) {
			t.Fatalf("the overview says %s", text)
		}
	}
	b.run(chromedp.WaitVisible(".uplot canvas"))
	b.quiet("new events")
}

// Without JavaScript everything can be read, and a call sent.
func TestBrowserWithoutJavaScript(t *testing.T) {
	s := openShop(t)
	b := newTab(t, s.adminURL, emulation.SetScriptExecutionDisabled(true))
	b.run(chromedp.Navigate(s.adminURL+"/"), chromedp.WaitVisible(".tiles"))
	if text := b.text("main"); !strings.Contains(text, "The chart needs JavaScript") || !strings.Contains(text, "archive") {
		t.Errorf("overview: %s", text)
	}
	b.run(chromedp.SendKeys("#search", "2895732958732"), chromedp.Submit("#search"), chromedp.WaitVisible(".timeline"))
	if text := b.text("main"); !strings.Contains(text, "WO-77") || !strings.Contains(text, "QIMEN_CP_NOTIFY") {
		t.Errorf("order: %s", text)
	}
	b.run(chromedp.Navigate(s.adminURL+"/apis/"+contract.SystimeGet.Method), chromedp.Click(`form[hx-post] button.primary`), chromedp.WaitVisible("#copy-curl"))
	if text := b.text("#result"); !strings.Contains(text, "getSystime") {
		t.Errorf("result: %s", text)
	}
	b.run(chromedp.Navigate(s.adminURL+"/deliveries/oms:1"), chromedp.Click(`button[value="retry"]`), chromedp.WaitVisible(".notice"))
	b.say("zh-CN")
	if text := b.text(".menu"); !strings.Contains(text, "总览") {
		t.Errorf("menu: %s", text)
	}
	b.quiet("without JavaScript")
}
