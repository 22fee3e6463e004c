package ordergatetest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/ordergatetest"
)

// behind is a way to a gateway that can break.
type behind struct {
	*httptest.Server
	broken atomic.Pointer[http.HandlerFunc] // answers instead; nil: the gateway does
	calls  atomic.Int32
}

func before(t *testing.T, g *ordergatetest.Gateway) *behind {
	t.Helper()
	target, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	b := &behind{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.calls.Add(1)
		if broken := b.broken.Load(); broken != nil {
			_, _ = io.Copy(io.Discard, r.Body)
			(*broken)(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		b.CloseClientConnections()
		b.Close()
	})
	return b
}

func (b *behind) breaks(how http.HandlerFunc) { b.broken.Store(&how) }
func (b *behind) heals()                      { b.broken.Store(nil) }

// ledger is all orders and work orders of a gateway, as its operators see them.
func ledger(t *testing.T, g *ordergatetest.Gateway) string {
	t.Helper()
	var all []string
	for _, kind := range []string{"orders", "work-orders"} {
		var list struct{ Items []map[string]any }
		manage(t, g, http.MethodGet, "/v1/"+kind+"?limit=1000", "", &list)
		for _, item := range list.Items {
			for _, own := range []string{"id", "updated_at", "created_at", "app", "history", "timeline", "paid_at"} {
				delete(item, own)
			}
			text, err := json.Marshal(item)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(text))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// settled waits until a gateway owes nothing to anybody.
func settled(t *testing.T, g *ordergatetest.Gateway) {
	t.Helper()
	var stats struct {
		Destinations []struct {
			Name, State          string
			Lag                  int64
			Retrying, Dead, Held int
		}
	}
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		manage(t, g, http.MethodGet, "/v1/stats", "", &stats)
		owed := int64(0)
		for _, d := range stats.Destinations {
			owed += d.Lag + int64(d.Retrying)
		}
		if owed == 0 {
			return
		}
		if time.Now().After(deadline) {
			var retrying struct{ Items []any }
			manage(t, g, http.MethodGet, "/v1/deliveries?state=retrying", "", &retrying)
			t.Fatalf("owed %+v: %v", stats, retrying.Items)
		}
	}
}

// A gateway that relays to a second one as if it were Taobao and Suning ends with the
// same ledger on both sides, through outages of the second.
func TestRelayEndsWithTheSameLedger(t *testing.T) {
	t.Parallel()
	near, far := ordergatetest.Start(t), ordergatetest.Start(t)
	way := before(t, far)
	if err := near.Apply(fmt.Sprintf(`{"destinations":[
		{"name":"taobao","kind":"top","url":%q,"app_key":"12345678","secret":"helloworld"},
		{"name":"suning","kind":"suning","url":%q,"app_key":%q,"secret":%q}]}`, way.URL, way.URL, far.SuningAppKey, string(far.SuningSecret))); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	outages := []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		},
		func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"error_response":{"code":10,"msg":"Service currently unavailable","sub_code":"isp.system-busy"}}`)
		},
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>maintenance</html>") },
	}
	statuses := []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut}
	for i := range 40 {
		if i%10 == 5 {
			way.breaks(outages[i/10])
		}
		number := fmt.Sprint(7000 + i)
		for j, status := range statuses {
			r := &contract.EventProduceRequest{Status: status, OrderID: number, SubOrders: number + "1," + number + "2", ERPOrderID: "erp" + number, Extension: `{"仓":"中文 & <x>"}`}
			if i%3 == 0 {
				r.Platform, r.Nick = "JD", "京东店"
			}
			if j%2 == 0 {
				if _, err := near.Client().EventProduce(ctx, r); err != nil {
					t.Fatal(err)
				}
			} else if _, err := near.Client().EventsProduce(ctx, r, &contract.EventProduceRequest{Status: status, OrderID: number + "x"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := near.Client().EventEmit(ctx, &contract.EventEmitRequest{EventID: number, TenantCode: "t", WorkOrderID: "w" + fmt.Sprint(i%7), WorkOrderStatus: fmt.Sprint(i), Context: `{"a":"b"}`}); err != nil {
			t.Fatal(err)
		}
		if i == 6 {
			ship := &contract.LeaguerStatusRequest{Status: contract.StatusShipped, OrderID: "1000531505", LineID: "00000208117601", SupplierCode: "10042869", Cards: []contract.Card{{Code: "C-0001", Password: "P-0001"}}}
			if _, err := near.SuningClient().LeaguerStatus(ctx, ship); err != nil {
				t.Fatal(err)
			}
		}
		if i%10 == 7 {
			way.heals()
		}
	}
	settled(t, near)
	if a, b := ledger(t, near), ledger(t, far); a != b {
		t.Errorf("near\n%s\nfar\n%s", a, b)
	}
	var dead struct{ Items []any }
	if manage(t, near, http.MethodGet, "/v1/deliveries?state=dead", "", &dead); len(dead.Items) != 0 {
		t.Errorf("dead %v", dead.Items)
	}
	line, err := far.Order("suning", "10042869", "1000531505")
	if err != nil || line.Lines[0].Cards != 1 {
		t.Errorf("the card did not arrive: %+v, %v", line, err)
	}
	// After a restart the session of a call is known no more: the destination's own counts.
	var shown struct{ Items []map[string]any }
	manage(t, near, http.MethodGet, "/v1/deliveries?destination=suning", "", &shown)
	if text, _ := json.Marshal(shown); bytes.Contains(text, []byte("P-0001")) || bytes.Contains(text, []byte("C-0001")) {
		t.Errorf("deliveries show cards: %s", text)
	}
}

// What a platform answers decides about a delivery, by the contract's column: what
// happened before is done, isv.* is dead at once, isp.* and a ban are tried again.
func TestPlatformsAnswersAreClassified(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	var answer atomic.Value
	var calls atomic.Int32
	platform := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, answer.Load().(string))
	})
	failure := func(code int, sub, text string) string {
		return fmt.Sprintf(`{"error_response":{"code":%d,"msg":"x","sub_code":%q,"sub_msg":%q}}`, code, sub, text)
	}
	declare := func(name string) {
		if err := g.Apply(fmt.Sprintf(`{"destinations":[{"name":%q,"kind":"top","url":%q,"app_key":"k","secret":"s3cret","sellers":["seller_001"]}]}`, name, platform.URL)); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct{ answer, state, reason string }{
		{`{"qimen_event_produce_response":{"is_success":true,"request_id":"r"}}`, "done", ""},
		{failure(50, contract.AlreadyBackflow.Code, ""), "done", ""},
		{failure(50, "isv.topic-limitation", "no"), "dead", "isv.topic-limitation"},
		{failure(50, "isv.never-heard-of", "no"), "dead", "isv.never-heard-of"},
		{failure(41, "", "Invalid arguments:tid"), "dead", ""},
		{failure(15, "isp.remote-service-error", "later"), "down", "isp.remote-service-error"},
		{failure(7, "accesscontrol.limited-by-app-access-count", "This ban will last for 3600 more seconds"), "down", "3600"},
		{failure(27, "invalid-sessionkey", ""), "down", "invalid-sessionkey"},
		{failure(25, "", ""), "down", "25"},
		{failure(99, "something.new", ""), "retrying", "something.new"},
		{`{"qimen_event_produce_response":{"is_success":false}}`, "retrying", ""},
		{`nonsense`, "down", "not an answer"},
	} {
		name := fmt.Sprint("p", i)
		answer.Store(c.answer)
		declare(name)
		if _, err := g.Client().EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		got, why := "", ""
		for deadline := time.Now().Add(10 * time.Second); got != c.state && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			var list struct {
				Items []struct{ State, Reason string }
			}
			manage(t, g, http.MethodGet, "/v1/deliveries?destination="+name, "", &list)
			if len(list.Items) == 1 {
				got, why = list.Items[0].State, list.Items[0].Reason
			}
			var stats struct {
				Destinations []struct{ Name, State, Reason string }
			}
			manage(t, g, http.MethodGet, "/v1/stats", "", &stats)
			for _, d := range stats.Destinations {
				if d.Name == name && d.State == "down" {
					got, why = "down", d.Reason
				}
			}
		}
		if got != c.state || !strings.Contains(why, c.reason) {
			t.Errorf("%s: %s, %q; want %s, %q", c.answer, got, why, c.state, c.reason)
		}
		if code := manage(t, g, http.MethodDelete, "/v1/destinations/"+name, "", nil); code != http.StatusNoContent {
			t.Fatal(code)
		}
	}
}

// upstream declares that a gateway stands in front of another, which decides.
func upstream(t *testing.T, near *ordergatetest.Gateway, url string) {
	t.Helper()
	if err := near.Apply(fmt.Sprintf(`{"apps":[
		{"key":"12345678","protocol":"top","authority":"upstream","seller":"seller_001"},
		{"key":%q,"protocol":"suning","authority":"upstream","supplier_code":"10042869"}],
		"destinations":[
		{"name":"taobao","kind":"top","url":%q,"app_key":"12345678","secret":"helloworld","wait":true,"timeout":"2s"},
		{"name":"suning","kind":"suning","url":%q,"app_key":%q,"secret":%q,"wait":true,"timeout":"2s"}]}`,
		near.SuningAppKey, url, url, near.SuningAppKey, string(near.SuningSecret))); err != nil {
		t.Fatal(err)
	}
}

// In front of a platform that is waited for, its answer is the caller's, to the letter,
// and the ledger follows it; what it refused, or may have accepted, is no fact that
// anybody hears of.
func TestUpstreamDecides(t *testing.T) {
	t.Parallel()
	near, far := ordergatetest.Start(t), ordergatetest.Start(t)
	way := before(t, far)
	upstream(t, near, way.URL)
	hook := newEndpoint(t, func(http.ResponseWriter, *http.Request) {})
	if err := near.Apply(fmt.Sprintf(`{"destinations":[{"name":"hook","kind":"webhook","url":%q,"secret":%q}]}`, hook.URL, whsec)); err != nil {
		t.Fatal(err)
	}
	if err := far.Apply(`{"sessions":[{"token":"far-only","app_key":"12345678","seller":"seller_001"}]}`); err != nil {
		t.Fatal(err)
	}
	ctx, facts := t.Context(), 0
	says := func(err error) string {
		if refused, ok := errors.AsType[*contract.Refused](err); ok {
			return strings.TrimSpace(refused.Code + " " + refused.SubCode)
		}
		return fmt.Sprint(err)
	}
	one := near.Client().WithSession("far-only") // near does not know it
	produce := func(number, status string) error {
		_, err := one.EventProduce(ctx, &contract.EventProduceRequest{Status: status, OrderID: number})
		return err
	}
	if err := produce("u1", contract.StatusTransfer); err != nil {
		t.Fatal(err)
	}
	facts++
	for _, g := range []*ordergatetest.Gateway{near, far} {
		if o, err := g.Order("taobao", "seller_001", "u1"); err != nil || o.Stage != "transferred" {
			t.Errorf("order %+v, %v", o, err)
		}
	}
	if got := says(produce("u1", contract.StatusTransfer)); got != "50 "+contract.AlreadyBackflow.Code {
		t.Errorf("again: %s", got)
	}
	if got := says(func() error {
		_, err := near.Client().WithSession("nobody's").EventProduce(ctx, &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: "u2"})
		return err
	}()); got != "27 invalid-sessionkey" {
		t.Errorf("unknown session: %s", got)
	}
	if o, err := near.Order("taobao", "seller_001", "u2"); err == nil && o.Stage != "new" {
		t.Errorf("what was refused moved the order: %+v", o)
	}
	// A batch: what the platform accepts of it.
	reply, err := one.EventsProduce(ctx, &contract.EventProduceRequest{Status: contract.StatusCheck, OrderID: "u1"}, &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: "u3"}, &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: "u3"})
	if err != nil || reply.AllSuccess || len(reply.Results) != 3 || !reply.Results[0].Success || !reply.Results[1].Success || reply.Results[2].Success {
		t.Errorf("batch %+v, %v", reply, err)
	}
	facts += 2 // the third was known already
	if o, err := near.Order("taobao", "seller_001", "u1"); err != nil || o.Stage != "checked" {
		t.Errorf("order %+v, %v", o, err)
	}
	// Elements are refused here, there, or not at all: each result is its own element's.
	if err := far.Apply(`{"apps":[{"key":"12345678","protocol":"top","seller":"seller_001","topics":["QIMEN_ERP_TRANSFER"]}]}`); err != nil {
		t.Fatal(err)
	}
	mixed, err := one.EventsProduce(ctx, &contract.EventProduceRequest{OrderID: "bad"}, &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: "good"}, &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: "refused"})
	if err != nil || mixed.Results[0].Success || !mixed.Results[1].Success || mixed.Results[2].Success {
		t.Errorf("batch %+v, %v", mixed, err)
	}
	facts++
	for number, want := range map[string]string{"good": "transferred", "refused": "new"} {
		if o, err := near.Order("taobao", "seller_001", number); err != nil || o.Stage != want {
			t.Errorf("order %s: %+v, %v; want %s", number, o, err, want)
		}
	}
	if got, err := one.EventEmit(ctx, &contract.EventEmitRequest{EventID: "e", WorkOrderID: "w", WorkOrderStatus: "5"}); err != nil || !got.Result.Success {
		t.Errorf("emit %+v, %v", got, err)
	}
	facts++
	ship := &contract.LeaguerStatusRequest{Status: contract.StatusShipped, OrderID: "1000531505", LineID: "00000208117601", SupplierCode: "10042869", Cards: []contract.Card{{Code: "C-0001", Password: "P-0001"}}}
	if _, err := near.SuningClient().LeaguerStatus(ctx, ship); err != nil {
		t.Error(err)
	}
	facts++
	wrong := *ship
	wrong.LineID = "nowhere"
	if _, err := near.SuningClient().LeaguerStatus(ctx, &wrong); !errors.Is(err, contract.LineUnknown) {
		t.Errorf("unknown line: %v", err)
	}
	if a, b := ledger(t, near), ledger(t, far); !strings.Contains(a, `"number":"u1"`) || strings.Count(a, "checked") != strings.Count(b, "checked") {
		t.Errorf("near\n%s\nfar\n%s", a, b)
	}
	// Nobody knows what became of it.
	way.breaks(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	late := one
	late.Retry.Tries = 1
	if _, err := late.EventProduce(ctx, &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: "u4"}); !errors.Is(err, contract.ReadTimeout) {
		t.Errorf("no answer: %v", err)
	}
	way.heals()
	settled(t, near)
	for deadline := time.Now().Add(5 * time.Second); int(hook.asked.Load()) < facts && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if n := int(hook.asked.Load()); n != facts {
		var list struct{ Items []map[string]any }
		manage(t, near, http.MethodGet, "/v1/events", "", &list)
		t.Errorf("the webhook heard of %d events, want %d: %v", n, facts, list)
	}
	var events struct {
		Items []struct {
			Order  string
			Answer map[string]any
		}
	}
	manage(t, near, http.MethodGet, "/v1/events?order=u4", "", &events)
	if len(events.Items) != 1 || events.Items[0].Answer["sub_code"] != "isp.http-read-timeout" {
		t.Errorf("event %+v", events)
	}
}

// An id of one destination's delivery does nothing to another's.
func TestDeliveriesAreTheirDestinations(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	if err := g.Apply(fmt.Sprintf(`{"destinations":[{"name":"one","kind":"webhook","url":%q,"secret":%q},{"name":"two","kind":"webhook","url":"http://127.0.0.1:1/","secret":%q}]}`, e.URL, whsec, whsec)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Client().EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: "1"}); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []struct {
			ID, State string
			Attempts  int
		}
	}
	for deadline := time.Now().Add(10 * time.Second); len(list.Items) == 0 && time.Now().Before(deadline); {
		manage(t, g, http.MethodGet, "/v1/deliveries?state=retrying", "", &list)
	}
	if len(list.Items) != 1 || list.Items[0].ID != "one:1" || list.Items[0].Attempts != 1 {
		t.Fatalf("retrying %+v", list)
	}
	var none struct{ Detail string }
	for id, want := range map[string]int{"two:1": http.StatusConflict, "nobody:1": http.StatusNotFound, "one:2": http.StatusNotFound, "one": http.StatusNotFound, "one:x": http.StatusNotFound, "one/replay:1": http.StatusNotFound} {
		if code := manage(t, g, http.MethodPost, "/v1/deliveries/"+url.PathEscape(id)+"/retry", "", &none); code != want {
			t.Errorf("%s: %d, want %d", id, code, want)
		}
	}
	if manage(t, g, http.MethodGet, "/v1/deliveries?state=retrying", "", &list); list.Items[0].Attempts != 1 {
		t.Errorf("retrying %+v", list)
	}
}

// A repetition is answered at once, however long whoever is delivered to takes.
func TestRepetitionIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	e := newEndpoint(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
	})
	if err := g.Apply(fmt.Sprintf(`{"destinations":[{"name":"slow","kind":"webhook","url":%q,"secret":%q}]}`, e.URL, whsec)); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for range 100 {
		if reply, err := g.Client().EventEmit(t.Context(), &contract.EventEmitRequest{EventID: "e", TenantCode: "t"}); err != nil || !reply.Result.Success {
			t.Fatal(reply, err)
		}
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("100 repetitions took %v", took)
	}
}

// Of a status that many report at the same moment one is accepted.
func TestConcurrentDuplicatesPassOnce(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	for i := range 20 {
		var yes, known atomic.Int32
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				c := g.Client()
				c.Retry.Tries = 1
				switch _, err := c.EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: fmt.Sprint("d", i)}); {
				case err == nil:
					yes.Add(1)
				case errors.Is(err, contract.AlreadyBackflow):
					known.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if yes.Load() != 1 || known.Load() != 15 {
			t.Errorf("%d were accepted, %d known already", yes.Load(), known.Load())
		}
	}
	events, err := g.Events()
	if err != nil || len(events) != 20 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

// The stream shows what is committed, goes on behind the last event that was seen, and
// leaves nothing out.
func TestStreamGoesOn(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; i < 400; i++ {
			if _, err := g.Client().EventProduce(context.Background(), &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: fmt.Sprint("s", i)}); err != nil {
				t.Error(err)
			}
		}
		close(stop)
	})
	var got []string
	last := "0"
	for len(got) < 400 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		r := managing(t, g, http.MethodGet, "/v1/events/stream", "").WithContext(ctx)
		r.Header.Set("Last-Event-ID", last)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			cancel()
			continue
		}
		if response.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatal(response.Header)
		}
		event := map[string]string{}
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			if event[name] = value; lines.Text() != "" || event["data"] == "" {
				continue
			}
			var e struct {
				Seq        int64
				API, Order string
			}
			if err := json.Unmarshal([]byte(event["data"]), &e); err != nil || fmt.Sprint(e.Seq) != event["id"] || e.API != event["event"] {
				t.Errorf("%v: %v", event, err)
			}
			last = event["id"]
			got = append(got, e.Order)
			event = map[string]string{}
		}
		_ = response.Body.Close()
		cancel()
	}
	load.Wait()
	for i, number := range got {
		if number != fmt.Sprint("s", i) {
			t.Fatalf("event %d is of order %s", i, number)
		}
	}
	<-stop
	// A stop does not wait for who follows.
	other, err := ordergatetest.New()
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(managing(t, other, http.MethodGet, "/v1/events/stream", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	started := time.Now()
	if err := other.Close(); err != nil || time.Since(started) > 3*time.Second {
		t.Errorf("closed after %v, %v", time.Since(started), err)
	}
	var problem struct{ Detail string }
	if code := manage(t, g, http.MethodGet, "/v1/events/stream?after=x", "", &problem); code != http.StatusUnprocessableEntity {
		t.Errorf("after=x: %d", code)
	}
}

// A list of deliveries holds each once, however small its pages are.
func TestDeliveriesPage(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	for i := range 4 {
		if _, err := g.Client().EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusTransfer, OrderID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	if err := g.Apply(fmt.Sprintf(`{"destinations":[{"name":"a","kind":"webhook","url":%q,"secret":%q,"from":"earliest"},{"name":"b","kind":"webhook","url":"http://127.0.0.1:1/","secret":%q,"from":"earliest"}]}`, e.URL, whsec, whsec)); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []struct{ ID, State string }
		Next  string
	}
	for deadline := time.Now().Add(10 * time.Second); len(list.Items) < 4 && time.Now().Before(deadline); {
		manage(t, g, http.MethodGet, "/v1/deliveries?state=retrying", "", &list)
	}
	for query, want := range map[string]string{"": "a:1 a:2 a:3 a:4 b:1 b:2 b:3 b:4", "&destination=b": "b:1 b:2 b:3 b:4", "&state=retrying": "a:1 a:2 a:3 a:4", "&state=done": "", "&state=dead": ""} {
		for limit := 1; limit <= 5; limit++ {
			var ids []string
			after := ""
			for range 20 {
				list.Items, list.Next = nil, ""
				if code := manage(t, g, http.MethodGet, fmt.Sprintf("/v1/deliveries?limit=%d%s&after=%s", limit, query, url.QueryEscape(after)), "", &list); code != http.StatusOK {
					t.Fatal(code)
				}
				for _, item := range list.Items {
					ids = append(ids, item.ID)
				}
				if after = list.Next; after == "" {
					break
				}
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("limit %d%s: %s, want %s", limit, query, got, want)
			}
		}
	}
	var retried struct{ Retried int }
	if code := manage(t, g, http.MethodPost, "/v1/deliveries/retry", "", &retried); code != http.StatusOK || retried.Retried != 0 {
		t.Errorf("retry of all: %d, %+v", code, retried)
	}
	if code := manage(t, g, http.MethodPost, "/v1/deliveries/retry", `{"state":"retrying","from_seq":2,"to_seq":3}`, &retried); code != http.StatusOK || retried.Retried != 2 {
		t.Errorf("retry of two: %d, %+v", code, retried)
	}
}
