package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

var exampleBlock = regexp.MustCompile("(?s)```(xml|json)\n(.*?)\n```")

// The page's examples, verbatim, each on a fresh demo, get the page's answers
// without the blanks between their elements.
func TestStatusPageExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../testdata/pages/suning-leaguerstatus-add.md")
	if err != nil {
		t.Fatal(err)
	}
	_, requests, _ := strings.Cut(string(page), "## 请求示例")
	requests, answers, _ := strings.Cut(requests, "## 响应示例")
	sent, want := exampleBlock.FindAllStringSubmatch(requests, -1), exampleBlock.FindAllStringSubmatch(answers, -1)
	if len(sent) != 2 || len(want) != 2 {
		t.Fatalf("%d requests, %d answers", len(sent), len(want))
	}
	for i := range sent {
		g := newGateway(t).demo(t)
		g.now = time.Now() // of the demo's payment
		r := newSuning(sent[i][2])
		r.header["AppRequestTime"] = g.now.In(contract.Zone).Format(contract.TimeLayout)
		blanks := regexp.MustCompile(`> <|([{:,"\]}]) (["{\[}])| `)
		compact := blanks.ReplaceAllStringFunc(want[i][2], func(s string) string { return strings.ReplaceAll(s, " ", "") })
		if got := g.suning(t, r); got.Body != compact {
			t.Errorf("%s:\n got %s\nwant %s", sent[i][1], got.Body, compact)
		}
		e := g.kept(t, map[string]string{"iqStatus": "180", "orderId": pageOrder, "orderItemId": pageLine, "supplierCode": "10042869", "failReason": "充值失败", "cardList": "***"})
		if e.Order != (order.Key{Platform: "suning", Seller: "10042869", Number: pageOrder}) || !slices.Equal(e.Lines, []string{pageLine}) || !strings.Contains(string(e.Sealed), "I001XB999") {
			t.Errorf("kept as %+v", e)
		}
	}
}

// Recorded requests are accepted as they are and do what their clients meant.
func TestStatusCaptures(t *testing.T) {
	t.Parallel()
	for _, c := range captures(t, contract.LeaguerStatus.Method) {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t).demo(t)
			at, ok := contract.ParseTime(c.Timestamp)
			if !ok || c.Expect != "valid" {
				t.Fatalf("timestamp %q, signature %s", c.Timestamp, c.Expect)
			}
			g.now = at.Add(time.Minute)
			paid := apply.Time(at)
			g.declare(t, &apply.Document{
				Apps:   []apply.App{{Key: c.AppKey, Protocol: contract.Suning, Secret: c.Secret}},
				Orders: []apply.Order{{Platform: "suning", Number: pageOrder, SupplierCode: ptr("10042869"), PaidAt: &paid}},
			})
			got := g.replaySuning(t, c.Request.Raw)
			// Without its cards the line does not ship, and before it is shipped nobody has it.
			want := map[string]string{"180": "113", "190": "103"}[c.Params["iqStatus"]]
			if c.Params["cardList"] != "" {
				if got.Result != "Y" || strings.HasPrefix(got.Body, "{") != strings.Contains(strings.ToLower(string(c.Request.Raw)), "\r\nformat: json") {
					t.Errorf("got %s", got.Body)
				}
				meant := c.Params
				meant["cardList"] = "***"
				g.kept(t, meant)
				return
			}
			if got.Code != "biz.selfmarket.addleaguerstatus.invalid-biz:"+want {
				t.Errorf("got %s, want %s", got.Body, want)
			}
		})
	}
}

func (g *gateway) replaySuning(t *testing.T, raw []byte) suningAnswer {
	t.Helper()
	body, _ := g.rawExchange(t, raw)
	return readSuning(t, body)
}

// refusedRows are calls for the rows of the page's first table that a rule makes.
func refusedRows() map[string]func(t *testing.T, g *gateway) suningAnswer {
	line := func(number string, kind order.Kind, state order.State, then ...string) func(t *testing.T, g *gateway) suningAnswer {
		return func(t *testing.T, g *gateway) suningAnswer {
			paid := apply.Time(noon)
			quantity := apply.Quantity("1.00000")
			g.declare(t, &apply.Document{Orders: []apply.Order{{
				Platform: "suning", Number: pageOrder, SupplierCode: ptr("10042869"), PaidAt: &paid,
				Lines: []apply.Line{{Number: number, Kind: &kind, State: &state, Quantity: &quantity}},
			}}})
			return g.suning(t, newSuning(lineStatus(number, then[0], then[1:]...)))
		}
	}
	cards := func(n int) string {
		return `,"cardList":[` + strings.TrimSuffix(strings.Repeat(`{"cardCode":"1","cardSec":"2"},`, n), ",") + `]`
	}
	return map[string]func(t *testing.T, g *gateway) suningAnswer{
		"missing-parameter:iqStatus": func(t *testing.T, g *gateway) suningAnswer { return g.suning(t, newSuning(lineStatus("1", " "))) },
		"invalid-biz:100": func(t *testing.T, g *gateway) suningAnswer {
			r := newSuning(lineStatus("00000208117603", "190"))
			r.app.Options = map[string]string{"confirmation": "100"}
			return g.suning(t, r)
		},
		"invalid-biz:101": func(t *testing.T, g *gateway) suningAnswer {
			return g.suning(t, newSuning(lineStatus("208117601", "180")))
		},
		"invalid-biz:102": line("1", order.Physical, order.Waiting, "180"),
		"invalid-biz:103": line("1", order.Card, order.Waiting, "190"),
		"invalid-biz:104": line("1", order.Card, order.Closed, "180"),
		"invalid-biz:105": line("1", order.Card, order.Shipped, "180", oneCard),
		"invalid-biz:106": line("1", order.Gift, order.Received, "200"),
		"invalid-biz:107": func(t *testing.T, g *gateway) suningAnswer {
			paid, kind := apply.Time(noon.Add(-100*time.Minute-time.Millisecond)), order.Recharge
			g.declare(t, &apply.Document{Orders: []apply.Order{{Platform: "suning", Number: pageOrder, SupplierCode: ptr("10042869"), PaidAt: &paid, Lines: []apply.Line{{Number: "1", Kind: &kind}}}}})
			return g.suning(t, newSuning(lineStatus("1", "180")))
		},
		"invalid-biz:108": line("1", order.Gift, order.Waiting, "190"),
		"invalid-biz:109": line("1", order.Gift, order.Waiting, "210"),
		"invalid-biz:110": line("1", order.Recharge, order.Shipped, "210"),
		"invalid-biz:111": line("1", order.Recharge, order.Refunding, "210"),
		"invalid-biz:113": line("1", order.Card, order.Waiting, "180"),
		"invalid-biz:114": line("1", order.Card, order.Waiting, "180", cards(2)),
		"invalid-biz:115": line("1", order.Card, order.Waiting, "180", cards(1001)),
		"invalid-biz:116": line("1", order.Card, order.Waiting, "180", `,"cardList":[{"cardCode":"1"}]`),
		"sys.auth.vendor-request:errory": func(t *testing.T, g *gateway) suningAnswer {
			return g.suning(t, newSuning(lineStatus(pageLine, "180", `,"supplierCode":"1"`)))
		},
	}
}

// Every row of the page's tables is answered over HTTP: those that are not
// reserved by a rule or a check, all of them by a fault on demand, with their texts.
func TestEverySuningRowOverHTTP(t *testing.T) {
	t.Parallel()
	produced := map[string]bool{contract.SuningUnavailable.Code: true} // TestSuningStoreFailures
	for _, o := range suningOffences {
		produced[o.code+o.text] = true
	}
	for name, call := range refusedRows() {
		g := newGateway(t).demo(t)
		code := name
		if !strings.HasPrefix(code, "sys.") {
			code = "biz.selfmarket.addleaguerstatus." + code
		}
		got := call(t, g)
		if got.Code != code {
			t.Errorf("%s: got %s", name, got.Body)
		}
		produced[got.Code+got.Text] = true
		want := 0
		if name == "invalid-biz:107" { // the refusal comes with the refunds: of this line, and of the three that waited beside it
			want = 4
		}
		if n := len(g.events(t)); n != want {
			t.Errorf("%s: left %d events", name, n)
		}
	}
	g := newGateway(t).demo(t)
	g.intake.Injections = &order.Injections{}
	page, err := os.ReadFile("../../testdata/pages/suning-leaguerstatus-add.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `((?:biz|isp|sys)\\.[^`]+)` \\| ([^|]+) \\| [^|]+ \\|$").FindAllStringSubmatch(string(page), -1)
	if len(rows) != 19+38 {
		t.Fatalf("the page has %d rows, want 57", len(rows))
	}
	for i, row := range rows {
		code, text := row[1], row[2]
		reserved := ""
		for _, r := range slices.Concat(contract.LeaguerStatus.Refusals, contract.SuningFaults) {
			if r.Code == code && r.Text == text {
				reserved = r.Reserved
			}
		}
		made := produced[code+text] || produced[code] || slices.ContainsFunc(suningOffences, func(o suningOffence) bool {
			return strings.TrimSuffix(code, "*") != code && strings.HasPrefix(o.code, strings.TrimSuffix(code, "*"))
		})
		if made == (reserved != "") {
			t.Errorf("%s %s: produced by a test %t, reserved %q", code, text, made, reserved)
		}
		g.intake.Injections.Put(order.Injection{Name: "row", Answer: code + " " + text})
		format := []string{"json", "xml"}[i%2]
		r := newSuning(lineStatus(pageLine, "180", oneCard))
		if format == "xml" {
			r = newSuning(`<sn_request><sn_body><addLeaguerstatus><iqStatus>180</iqStatus><orderId>1</orderId><orderItemId>2</orderItemId></addLeaguerstatus></sn_body></sn_request>`)
		}
		if got := g.suning(t, r); got.Code != code || got.Text != text {
			t.Errorf("fault %s %s: got %s", code, text, got.Body)
		}
	}
	if n := len(g.events(t)); n != 0 {
		t.Errorf("faults left %d events", n)
	}
}

// A call that finds the time passed leaves the refund; the next finds it made.
func TestLateCallRefunds(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	paid := apply.Time(noon)
	g.declare(t, &apply.Document{Orders: []apply.Order{{Platform: "suning", Number: pageOrder, SupplierCode: ptr("10042869"), PaidAt: &paid}}})
	g.now = noon.Add(100*time.Minute + time.Second)
	for range 3 {
		r := newSuning(lineStatus(pageLine, "180", oneCard))
		r.header["AppRequestTime"] = g.now.Format(contract.TimeLayout)
		if got := g.suning(t, r); got.Code != "biz.selfmarket.addleaguerstatus.invalid-biz:107" {
			t.Errorf("got %s", got.Body)
		}
	}
	lines := map[string]int{}
	for _, e := range g.events(t) {
		if e.API != order.EventRefund {
			t.Errorf("event %s", e.API)
		}
		lines[e.Lines[0]]++
	}
	if len(lines) != 3 || lines[pageLine] != 1 { // card, recharge and gift, once each
		t.Errorf("refunds %v", lines)
	}
}

// 1,000 calls that contradict each other leave one history, which the table
// allows, whatever their order.
func TestContradictoryCallsLeaveOneHistory(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	const line = "00000208117602" // recharge
	paid := apply.Time(noon)
	g.declare(t, &apply.Document{
		Apps:   []apply.App{{Key: suningKey, Protocol: contract.Suning, Secret: suningSecret}},
		Orders: []apply.Order{{Platform: "suning", Number: pageOrder, SupplierCode: ptr("10042869"), PaidAt: &paid}},
	})
	var mu sync.Mutex
	answers := map[string]int{}
	var calls sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	for i := range 1000 {
		status := []string{"180", "190", "210"}[i%3]
		calls.Go(func() {
			r := newSuning(lineStatus(line, status))
			q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.URL+"/api/http/sopRequest", strings.NewReader(r.body))
			if err != nil {
				t.Error(err)
				return
			}
			for name, value := range r.sign() {
				q.Header[name] = []string{value}
			}
			response, err := client.Do(q)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			var body strings.Builder
			if err := response.Write(&body); err != nil {
				t.Error(err)
			}
			_, text, _ := strings.Cut(body.String(), "\r\n\r\n")
			got := readSuning(t, text)
			mu.Lock()
			defer mu.Unlock()
			answers[status+" "+got.Result+got.Code[strings.LastIndex(got.Code, ":")+1:]]++
		})
	}
	calls.Wait()
	var history []string
	for _, e := range g.events(t) {
		history = append(history, paramsOf(t, e.Record)["iqStatus"])
	}
	found, _, err := g.store.Orders(t.Context(), order.OrderFilter{Key: order.Key{Platform: "suning", Number: pageOrder}, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	l, _ := found[0].Line(line)
	switch said := strings.Join(history, " "); {
	case said == "180 190" && l.State == order.Received, said == "210" && l.State == order.Refunding:
	default:
		t.Errorf("history %q, line %s, answers %v", said, l.State, answers)
	}
	yes := answers["180 Y"] + answers["190 Y"] + answers["210 Y"]
	if yes != len(history) {
		t.Errorf("%d calls were told Y, history %v: %v", yes, history, answers)
	}
	for answer := range answers {
		legal := []string{"180 Y", "180 105", "180 106", "180 111", "190 Y", "190 103", "190 106", "190 111", "210 Y", "210 110", "210 111"}
		if !slices.Contains(legal, answer) {
			t.Errorf("answer %s", answer)
		}
	}
}

// Bombs, depths, sizes and broken texts get the documented answer, and memory
// does not grow with them.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	const mib = 1 << 20
	wrap := func(s string) string {
		return `<sn_request><sn_body><addLeaguerstatus>` + s + `</addLeaguerstatus></sn_body></sn_request>`
	}
	bombs := map[string]string{
		"billion laughs":    `<!DOCTYPE l [<!ENTITY a "ha">` + strings.Repeat(`<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">`, 100) + `]>` + wrap("<iqStatus>&b;</iqStatus>"),
		"external entity":   `<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + wrap("<orderId>&x;</orderId>"),
		"depth":             strings.Repeat("<a>", mib/3),
		"depth in a body":   wrap(strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000)),
		"elements":          wrap(strings.Repeat("<a/>", (mib-200)/4)),
		"attributes":        wrap("<a " + strings.Repeat(`b="" `, (mib-200)/5) + "/>"),
		"CDATA":             wrap("<failReason>" + strings.Repeat("<![CDATA[a]]>", (mib-200)/13) + "</failReason>"),
		"json depth":        strings.Repeat("[", mib),
		"json objects":      strings.Repeat(`{"a":`, mib/5),
		"json items":        `{"sn_request":[` + strings.Repeat("0,", mib/2-10) + `0]}`,
		"json, cut short":   lineStatus(pageLine, "180")[:50],
		"xml, cut short":    wrap("<iqStatus>180")[:60],
		"zero bytes":        strings.Repeat("\x00", mib),
		"a megabyte and 1":  strings.Repeat("x", mib+1),
		"GBK that ends bad": "{\"sn_request\":{\"sn_body\":{\"addLeaguerstatus\":{\"failReason\":\"\xd6\\\"}}}}",
	}
	send := func(name, body string) {
		r := newSuning(body)
		if strings.HasPrefix(name, "zero") || strings.HasPrefix(name, "depth") {
			r.header["Format"] = "xml"
		}
		want := "sys.check.request-params:error"
		if name == "attributes" || name == "CDATA" { // well formed, and says nothing
			want = "biz.selfmarket.addleaguerstatus.missing-parameter:iqStatus"
		}
		if got := g.suning(t, r); got.Code != want {
			t.Errorf("%s: %.200s", name, got.Body)
		}
	}
	for name, body := range bombs {
		send(name, body)
	}
	runtime.GC()
	before := heap()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { send("elements", bombs["elements"]) })
		all.Go(func() { send("json items", bombs["json items"]) })
	}
	peak, done := before, make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				peak = max(peak, heap())
			}
		}
	})
	all.Wait()
	close(done)
	watching.Wait()
	t.Logf("the heap grew from %d to %d MiB", before>>20, peak>>20)
	if peak > before+200*mib {
		t.Errorf("the heap grew from %d to %d MiB", before>>20, peak>>20)
	}
	for _, body := range []string{bombs["json items"], lineStatus(pageLine, "180", `,"x":`+strings.Repeat("[", 101)+strings.Repeat("]", 101))} {
		strict := newSuning(body)
		strict.app.Options = map[string]string{"json": "strict"}
		if got := g.suning(t, strict); got.Code != "sys.check.request-params:error" {
			t.Errorf("strict: %.200s", got.Body)
		}
	}
	// A list of cards that is only too long is answered as such, and GBK text that parses is taken.
	cards := newSuning(lineStatus(pageLine, "180", `,"cardList":[`+strings.TrimSuffix(strings.Repeat(`{"cardCode":"1","cardSec":"1"},`, 20_000), ",")+`]`))
	if got := g.suning(t, cards); !strings.HasSuffix(got.Code, ":115") {
		t.Errorf("20,000 cards: %.200s", got.Body)
	}
	gbk := newSuning(lineStatus("00000208117603", "180", ",\"failReason\":\"\xb3\xe4\xd6\xb5\""))
	if got := g.suning(t, gbk); got.Result != "Y" {
		t.Errorf("GBK: %s", got.Body)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A caller that hangs up in the middle of its message leaves nothing.
func TestBrokenSuningRequestsLeaveNothing(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	r := newSuning(lineStatus("00000208117602", "180"))
	var head strings.Builder
	fmt.Fprintf(&head, "POST /api/http/sopRequest HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n", len(r.body))
	for name, value := range r.sign() {
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	whole := head.String() + "\r\n" + r.body
	for n := 0; n < len(whole); n += 11 {
		g.hangUp(t, whole[:n])
	}
	if n := len(g.events(t)); n != 0 {
		t.Errorf("%d events of broken requests", n)
	}
	if got := g.replaySuning(t, []byte(whole)); got.Result != "Y" {
		t.Errorf("afterwards: %s", got.Body)
	}
}

// Without a ledger of its own the gateway takes what comes, and keeps no clock.
func TestStatusUpstream(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	r := newSuning(lineStatus("1", "180", oneCard))
	r.app.Authority = order.Upstream
	if got := g.suning(t, r); got.Result != "Y" {
		t.Fatalf("unknown order: %s", got.Body)
	}
	g.now = noon.Add(3 * time.Hour)
	if keys, err := g.store.Overdue(t.Context(), g.now, 10); err != nil || len(keys) != 0 {
		t.Errorf("overdue: %v, %v", keys, err)
	}
	found, _, err := g.store.Orders(t.Context(), order.OrderFilter{Key: order.Key{Platform: "suning", Number: pageOrder, Seller: "10042869"}, Limit: 2})
	if err != nil || len(found) != 1 || found[0].Lines[0].Kind != order.Unknown || found[0].Lines[0].State != order.Shipped {
		t.Errorf("kept as %+v, %v", found, err)
	}
}

// No log line shows a card, a token or a secret.
func TestSuningLogsNoSecrets(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	var log strings.Builder
	g.intake.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, r := range []*suningRequest{newSuning(lineStatus(pageLine, "180", oneCard)), newSuning(lineStatus(pageLine, "180", oneCard)), newSuning("{" + oneCard)} {
		r.header["access_token"] = "hush-token"
		g.suning(t, r)
		late("signInfo", "0")(r)
		g.suning(t, r)
	}
	for _, secret := range []string{"I001XB999", "1234567899", "hush-token", suningSecret} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is logged: %s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), "signature differs") {
		t.Error("nothing is logged")
	}
}

// A fault that TOP has no words for is its own failure, and the other way round.
func TestFaultsOfOtherProtocols(t *testing.T) {
	t.Parallel()
	if got := (wire.TOP{}).Word(nil, contract.SeveralNodes, ""); !errors.Is(got, contract.Unavailable) {
		t.Errorf("TOP: %v", got)
	}
	if got := (wire.Suning{}).Word(nil, contract.LowSecurityLevel, ""); !errors.Is(got, contract.Unavailable) {
		t.Errorf("Suning: %v", got)
	}
}
