package ordergatetest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordergate/ordergate/client"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/ordergatetest"
)

const (
	merchant  = "苏宁易购官方旗舰店"
	openOrder = "30753531820144200" // of the demo: it can be locked
	whsec     = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

func intercept(lines ...string) *contract.OrderInterceptRequest {
	return &contract.OrderInterceptRequest{
		SellerNick: merchant, BuyerNick: "翔_ouyang", BuyerOpenUID: "1", CallType: contract.CallSynchronous,
		Order: contract.InterceptedOrder{ID: openOrder, SubOrders: strings.Join(lines, ",")},
	}
}

// endpoint is a merchant's HTTP endpoint that counts what it is asked.
type endpoint struct {
	*httptest.Server
	asked atomic.Int32
}

func newEndpoint(t *testing.T, answer http.HandlerFunc) *endpoint {
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		body, _ := io.ReadAll(r.Body) // a server sees that its peer is gone only once it has read
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
	}))
	t.Cleanup(func() {
		e.CloseClientConnections()
		e.Close()
	})
	return e
}

// waits declares a destination that waits.
func waits(t *testing.T, g *ordergatetest.Gateway, kind, url string, more string) {
	t.Helper()
	secrets := map[string]string{"qimen": `, "app_key": "87654321", "secret": "merchant-secret"`, "webhook": `, "secret": "` + whsec + `"`}
	if err := g.Apply(fmt.Sprintf(`{"destinations":[{"name":"erp","kind":%q,"url":%q,"wait":true%s%s}]}`, kind, url, secrets[kind], more)); err != nil {
		t.Fatal(err)
	}
}

// lock is a lock as the management API shows it.
type lock struct{ ID, Line, State, Code, Text, Destination, Event string }

func locks(t *testing.T, g *ordergatetest.Gateway) []lock {
	t.Helper()
	var list struct{ Items []lock }
	manage(t, g, http.MethodGet, "/v1/locks?limit=1000", "", &list)
	return list.Items
}

// managing makes the request of a call of the management API.
func managing(t *testing.T, g *ordergatetest.Gateway, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.AdminURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+string(g.AdminToken))
	return r
}

// manage makes a call of the management API and returns its status.
func manage(t *testing.T, g *ordergatetest.Gateway, method, path, body string, into any) int {
	t.Helper()
	response, err := http.DefaultClient.Do(managing(t, g, method, path, body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s %s: %s: %v", method, path, data, err)
	}
	return response.StatusCode
}

// once is a platform that asks once and reads what is said: yes, an errorCode or a sub
// code.
func once(t *testing.T, g *ordergatetest.Gateway, r *contract.OrderInterceptRequest) (says string, err error) {
	t.Helper()
	c := g.MerchantClient()
	c.Retry.Tries = 1
	_, err = c.OrderIntercept(t.Context(), r)
	refused, isRefused := errors.AsType[*contract.Refused](err)
	switch {
	case err == nil:
		return "yes", nil
	case !isRefused:
		t.Fatal(err)
	case refused.SubCode != "":
		return refused.Code + " " + refused.SubCode, err
	}
	return refused.Code, err
}

// hijack answers with bytes that are the test's, and closes.
func hijack(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, text)
			conn.Close()
		}
	}
}

func says(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"success":true}`)
	}
}

// A merchant's endpoint that fails in any way: each has its documented result, within
// the timeout, and is asked once.
func TestMerchantsFail(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, in the kernel's queue, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	const yes = `{"result":{"success":true}}`
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc // nil: url
		url    string
		says   string
		state  string
	}{
		{"yes", says("application/json", yes), "", "yes", "locked"},
		{"another content type", says("image/png", yes), "", "yes", "locked"},
		{"flat, as text/json", says("text/json", `{"success":true,"errorCode":"","errorMsg":""}`), "", "yes", "locked"},
		{"true as a text", says("text/plain", `{"result":{"success":"true"}}`), "", "yes", "locked"},
		{"XML", says("text/xml", `<result><success>true</success></result>`), "", "yes", "locked"},
		{"no", says("application/json", `{"result":{"success":false,"errorCode":"1004","errorMsg":"已拣货拦截失败"}}`), "", "1004", "refused"},
		{"no, in words of its own", says("application/json", `{"success":"false","errorCode":62}`), "", "62", "refused"},
		{"no, in GBK", says("text/json;charset=GBK", "{\"success\":false,\"errorCode\":\"\xd6\xd0\"}"), "", "中", "refused"},
		{"late", func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(2 * time.Second):
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, yes)
		}, "", "15 isp.http-read-timeout", "unknown"},
		{"late in its body", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"result":`)
			w.(http.Flusher).Flush()
			hang(w, r)
		}, "", "15 isp.http-read-timeout", "unknown"},
		{"never", hang, "", "15 isp.http-read-timeout", "unknown"},
		{"silent", nil, "http://" + silent.Addr().String(), "15 isp.http-read-timeout", "unknown"},
		{"nobody there", nil, closed.URL, "15 isp.http-connection-refuse", "unknown"},
		{"no such name", nil, "http://erp.invalid/", "15 isp.http-connection-refuse", "unknown"},
		{"a private address", nil, "http://10.0.0.1/", "15 isp.http-connection-refuse", "unknown"},
		{"closes", hijack(""), "", "15 isp.http-closed", "unknown"},
		{"closes within its head", hijack("HTTP/1.1 200 OK\r\nServer: x\r\n"), "", "15 isp.http-closed", "unknown"},
		{"closes within its body", hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"success\":true}"), "", "15 isp.http-closed", "unknown"},
		{"500", status(500), "", "15 http-service-status-error", "unknown"},
		{"404", status(404), "", "15 http-service-status-error", "unknown"},
		{"201", status(201), "", "15 http-service-status-error", "unknown"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, "", "15 http-service-status-error", "unknown"},
		{"nothing", says("application/json", ""), "", "15 isp.top-parse-error", "unknown"},
		{"garbage", says("application/json", "\x00\x01garbage"), "", "15 isp.top-parse-error", "unknown"},
		{"a page", says("text/html", "<html><body>success</body></html>"), "", "15 isp.top-parse-error", "unknown"},
		{"neither yes nor no", says("application/json", `{"result":{"errorCode":"1001"}}`), "", "15 isp.top-parse-error", "unknown"},
		{"not HTTP", hijack("SSH-2.0-OpenSSH_9.2\r\n"), "", "15 isp.top-parse-error", "unknown"},
		{"10 MB", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, yes+strings.Repeat(" ", 10<<20))
		}, "", "15 isp.top-parse-error", "unknown"},
		{"64 KiB", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, yes+strings.Repeat(" ", 64<<10-len(yes)))
		}, "", "yes", "locked"},
	} {
		for _, kind := range []string{"qimen", "webhook"} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				g := ordergatetest.Start(t)
				url := c.url
				var e *endpoint
				if c.answer != nil {
					e = newEndpoint(t, c.answer)
					url = e.URL + "/spi"
				}
				waits(t, g, kind, url, `, "timeout": "1s"`)
				started := time.Now()
				got, err := once(t, g, intercept("30753531820144201", "30753531820144202"))
				if took := time.Since(started); got != c.says || took > 5*time.Second {
					t.Errorf("got %s after %s (%v), want %s", got, took, err, c.says)
				}
				held := locks(t, g)
				for _, l := range held {
					if l.State != c.state || l.Destination != "erp" || c.state == "refused" && l.Code != c.says || c.state == "unknown" && "15 "+l.Code != c.says {
						t.Errorf("lock %+v, want %s", l, c.state)
					}
				}
				if len(held) != 2 {
					t.Errorf("%d locks", len(held))
				}
				if e != nil && e.asked.Load() != 1 {
					t.Errorf("asked %d times", e.asked.Load())
				}
				unknown := strings.Contains(fmt.Sprint(eventAPIs(t, g)), "ordergate.lock.unknown")
				if unknown != (c.state == "unknown") {
					t.Errorf("events %v", eventAPIs(t, g))
				}
			})
		}
	}
}

func eventAPIs(t *testing.T, g *ordergatetest.Gateway) (apis []string) {
	t.Helper()
	events, err := g.Events()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		apis = append(apis, e.API)
	}
	return apis
}

// An outcome that is unknown is told from a refusal.
func TestUnknownIsNoRefusal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer  http.HandlerFunc
		unknown bool
	}{{hijack(""), true}, {status(500), true}, {says("", "?"), true}, {says("", `{"success":false,"errorCode":"1001"}`), false}} {
		g := ordergatetest.Start(t)
		waits(t, g, "qimen", newEndpoint(t, c.answer).URL, "")
		if _, err := once(t, g, intercept("30753531820144201")); errors.Is(err, client.ErrUnknown) != c.unknown {
			t.Errorf("got %v, unknown %t", err, c.unknown)
		}
	}
}

// A Go ERP receives the call through client.Receiver, as Qimen signs it, and answers
// with yes, a row, words of its own, or an error.
func TestReceiver(t *testing.T) {
	t.Parallel()
	var heard *contract.OrderInterceptRequest
	var answer error
	var failed []error
	g := ordergatetest.Start(t)
	receiver := &client.Receiver{
		Secrets: map[string]contract.Secret{g.MerchantAppKey: g.MerchantSecret},
		OrderIntercept: func(_ context.Context, r *contract.OrderInterceptRequest) error {
			heard = r
			return answer
		},
		OnFail: func(err error) { failed = append(failed, err) },
	}
	e := newEndpoint(t, receiver.ServeHTTP)
	waits(t, g, "qimen", e.URL+"/spi?tenant=7", "")
	for _, c := range []struct {
		err  error
		says string
	}{
		{nil, "yes"}, {contract.InterceptShipped, "1001"}, {fmt.Errorf("wrapped: %w", contract.InterceptOut), "1002"},
		{&contract.Refused{Code: "my-code", Text: "自己的话"}, "my-code"}, {errors.New("database gone"), "15 http-service-status-error"},
	} {
		answer = c.err
		r := intercept("30753531820144201")
		if got, err := once(t, g, r); got != c.says {
			t.Errorf("%v: got %s (%v), want %s", c.err, got, err, c.says)
		}
		if *heard != *r {
			t.Errorf("heard %+v, want %+v", heard, r)
		}
	}
	if len(failed) != 1 || strings.Contains(fmt.Sprint(failed), "merchant-secret") {
		t.Errorf("failed %v", failed)
	}
	receiver.Secrets["87654321"] = "other"
	if got, _ := once(t, g, intercept("30753531820144201")); got != "sign-check-failure" {
		t.Errorf("another secret: %s", got)
	}
	receiver.Secrets["87654321"] = "merchant-secret"
	receiver.Clock = func() time.Time { return time.Now().Add(11 * time.Minute) }
	if got, _ := once(t, g, intercept("30753531820144201")); got != "sign-check-failure" {
		t.Errorf("too old: %s", got)
	}
	response, err := http.Get(e.URL + "?method=" + contract.OrderIntercept.Method)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(body) != `{"result":{"errorMsg":"Illegal request","errorCode":"sign-check-failure","success":false}}` {
		t.Errorf("a stranger: %d %s", response.StatusCode, body)
	}
}

// A webhook gets one CloudEvent, with a signature that any Standard Webhooks library
// accepts; during a rotation two.
func TestWebhook(t *testing.T) {
	t.Parallel()
	type heard struct {
		header http.Header
		body   []byte
	}
	calls := make(chan heard, 10)
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- heard{r.Header, body}
		_, _ = io.WriteString(w, `{"success":true}`)
	})
	g := ordergatetest.Start(t)
	waits(t, g, "webhook", e.URL, "")
	signature := func(secret string, h heard) string {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", h.header.Get("webhook-id"), h.header.Get("webhook-timestamp"), h.body)
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	const newer = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	for _, secrets := range [][]string{{whsec}, {newer, whsec}} {
		if got, err := once(t, g, intercept("30753531820144201")); got != "yes" {
			t.Fatal(err)
		}
		h := <-calls
		var want []string
		for _, secret := range secrets {
			want = append(want, signature(secret, h))
		}
		if got := h.header.Get("webhook-signature"); got != strings.Join(want, " ") {
			t.Errorf("signature %s, want %s", got, want)
		}
		var event struct {
			SpecVersion, ID, Source, Type, Subject, Time, DataContentType, Sequence string
			Data                                                                    struct {
				Params map[string]string
				Answer map[string]any
			}
		}
		if err := json.Unmarshal(h.body, &event); err != nil {
			t.Fatalf("%s: %v", h.body, err)
		}
		events, err := g.Events()
		if err != nil {
			t.Fatal(err)
		}
		stored := events[len(events)-1]
		if event.SpecVersion != "1.0" || event.ID != stored.ID || event.ID != h.header.Get("webhook-id") || event.Source != "ordergate/taobao/"+merchant ||
			event.Type != contract.OrderIntercept.Method || event.Subject != openOrder || event.DataContentType != "application/json" || event.Sequence != fmt.Sprintf("%020d", stored.Seq) ||
			event.Data.Params["buyerNick"] != "翔_ouyang" || len(event.Data.Answer) != 0 {
			t.Errorf("event %s", h.body)
		}
		if at, err := time.Parse(time.RFC3339, event.Time); err != nil || time.Since(at).Abs() > time.Minute || h.header.Get("Content-Type") != "application/cloudevents+json; charset=UTF-8" {
			t.Errorf("time %s, %v; %v", event.Time, err, h.header)
		}
		var shown struct{ Secret string }
		if code := manage(t, g, http.MethodPost, "/v1/destinations/erp/rotate", `{"secret":"`+newer+`","overlap":"1h"}`, &shown); code != 200 || shown.Secret != "***" {
			t.Errorf("rotate: %d %+v", code, shown)
		}
	}
}

// What was shipped while the merchant was asked is accepted; his yes is then a
// violation.
func TestShippedWhileAsked(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		if state := locks(t, g)[0].State; state != "asked" {
			t.Errorf("while it is asked: %s", state)
		}
		_, err := g.Client().WithSession("merchant").EventProduce(r.Context(), &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: openOrder, SubOrders: "30753531820144201"})
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `{"success":true}`)
	})
	waits(t, g, "qimen", e.URL, "")
	if got, err := once(t, g, intercept("30753531820144201")); got != "yes" {
		t.Fatal(err)
	}
	if apis := eventAPIs(t, g); !slices.Equal(apis, []string{contract.OrderIntercept.Method, contract.EventProduce.Method, "ordergate.lock.violated"}) {
		t.Errorf("events %v", apis)
	}
	held := locks(t, g)[0]
	if held.State != "locked" {
		t.Errorf("lock %+v", held)
	}
	var order struct {
		Lines []struct {
			Number string
			Locked bool
		}
		Locks    []lock
		Timeline []struct {
			API    string
			Answer map[string]any
		}
	}
	manage(t, g, http.MethodGet, "/v1/orders/taobao/"+openOrder, "", &order)
	if len(order.Locks) != 1 || !order.Lines[0].Locked || order.Lines[1].Locked || fmt.Sprint(order.Timeline[0].Answer) != "map[result:map[success:true]]" {
		t.Errorf("order %+v", order)
	}
	var released lock
	if code := manage(t, g, http.MethodPost, "/v1/locks/"+held.ID+"/release", "", &released); code != 200 || released.State != "released" {
		t.Errorf("release: %d %+v", code, released)
	}
	if code := manage(t, g, http.MethodPost, "/v1/locks/"+held.ID+"/release", "", nil); code != 409 {
		t.Errorf("release again: %d", code)
	}
	for _, id := range []string{"0-1", "999-1", "x", held.ID + "0"} {
		if code := manage(t, g, http.MethodPost, "/v1/locks/"+id+"/release", "", nil); code != 404 {
			t.Errorf("release of %s: %d", id, code)
		}
	}
	if apis := eventAPIs(t, g); apis[len(apis)-1] != "ordergate.lock.released" {
		t.Errorf("events %v", apis)
	}
}

// platform is the real TOP as a destination of kind top sees it: another gateway.
func platform(t *testing.T, g *ordergatetest.Gateway) *ordergatetest.Gateway {
	t.Helper()
	p := ordergatetest.Start(t)
	if err := g.Apply(fmt.Sprintf(`{"destinations":[{"name":"taobao","kind":"top","url":%q,"app_key":"12345678","secret":"helloworld","sessions":{%q:"merchant"}}]}`, p.URL, merchant)); err != nil {
		t.Fatal(err)
	}
	return p
}

// An asynchronous call is acknowledged before the merchant has answered; his verdict
// reaches the platform by callbacks.
func TestAsynchronous(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 45 {
		lines = append(lines, fmt.Sprint("m", i))
	}
	for _, c := range []struct {
		name, answer, want, state string
	}{
		{"yes", `{"success":true}`, "true ", "locked"},
		{"no", `{"success":false,"errorCode":"1005"}`, "false 1005", "refused"},
		{"no, in words of its own", `{"success":false,"errorCode":"busy"}`, "false 1008", "refused"},
		{"garbage", `?`, "false 1009", "unknown"},
		{"yes, by a webhook", `{"success":true}`, "true ", "locked"},
	} {
		g := ordergatetest.Start(t)
		taobao := platform(t, g)
		open := make(chan bool)
		e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if !strings.Contains(string(body), `"callType":"synchronous"`) || strings.Contains(string(body), `"answer":{"`) {
				t.Errorf("asked with %s", body)
			}
			<-open
			_, _ = io.WriteString(w, c.answer)
		})
		kind := "qimen"
		if strings.HasSuffix(c.name, "webhook") {
			kind = "webhook"
		}
		waits(t, g, kind, e.URL, "")
		r := intercept(lines...)
		r.CallType = contract.CallAsynchronous
		if got, err := once(t, g, r); got != "yes" {
			t.Fatal(err)
		}
		if held := locks(t, g); len(held) != 45 || held[0].State != "asked" {
			t.Errorf("%s: locks %+v", c.name, held)
		}
		close(open)
		var got []string
		sizes := ""
		for deadline := time.Now().Add(10 * time.Second); len(got) < 45 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			got, sizes = nil, ""
			events, err := taobao.Events()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if e.API != contract.InterceptCallback.Method {
					continue
				}
				if said := e.Params["success"] + " " + e.Params["error_code"]; said != c.want || e.Order != openOrder || e.Seller != merchant {
					t.Errorf("%s: callback %+v", c.name, e)
				}
				got = append(got, e.Lines...)
				sizes += fmt.Sprint(len(e.Lines), " ")
			}
		}
		slices.Sort(got)
		slices.Sort(lines)
		if !slices.Equal(got, lines) || len(strings.Fields(sizes)) != 3 {
			t.Errorf("%s: callbacks of %s sub orders: %v", c.name, sizes, got)
		}
		for _, l := range locks(t, g) {
			if l.State != c.state {
				t.Errorf("%s: %+v", c.name, l)
			}
		}
	}
}

// A platform that is away for a moment gets the verdict later.
func TestCallbackIsTriedAgain(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	var tries atomic.Int32
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"gearfactory_intercept_order_callback_response":{"is_success":true}}`)
	})
	if err := g.Apply(fmt.Sprintf(`{"destinations":[{"name":"taobao","kind":"top","url":%q,"app_key":"k","secret":"s","session":"t"}]}`, e.URL)); err != nil {
		t.Fatal(err)
	}
	r := intercept("30753531820144201")
	r.CallType = contract.CallAsynchronous
	if got, err := once(t, g, r); got != "yes" {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(15 * time.Second); tries.Load() < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not tried again")
		}
	}
}

// Locks that wait for an endpoint delay no other call, and as many as the destination
// says wait at a time.
func TestDeadEndpoint(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	answers := make(chan struct{})
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		<-answers
		_, _ = io.WriteString(w, `{"success":true}`)
	})
	waits(t, g, "qimen", e.URL, `, "timeout": "25s", "max_in_flight": 500`)
	var all sync.WaitGroup
	var yes, limited atomic.Int32
	ask := func() {
		c := g.MerchantClient()
		c.Retry.Tries = 1
		_, err := c.OrderIntercept(context.Background(), intercept("30753531820144201"))
		switch {
		case err == nil:
			yes.Add(1)
		case errors.Is(err, contract.CallLimited):
			limited.Add(1)
		default:
			t.Error(err)
		}
	}
	for range 500 {
		all.Go(ask)
	}
	for deadline := time.Now().Add(20 * time.Second); e.asked.Load() < 500; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d are asked", e.asked.Load())
		}
	}
	for range 20 {
		ask()
	}
	for i := range 200 { // while they wait
		if _, err := g.Client().EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := yes.Load(); n != 0 || limited.Load() != 20 {
		t.Errorf("while they wait, %d are answered and %d limited, want 20", n, limited.Load())
	}
	close(answers)
	all.Wait()
	if yes.Load() != 500 {
		t.Errorf("%d locks, want 500", yes.Load())
	}
}

// A second destination that waits for the same calls is a conflict, and stays away.
func TestOneWaits(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	const common = `"kind":"qimen","url":"https://erp.example.com/","app_key":"k","secret":"s","wait":true`
	for _, c := range []struct {
		name, more string
		want       int
	}{
		{"a", `,"sellers":["x","y"]`, 201}, {"b", `,"sellers":["z"]`, 201}, {"c", `,"sellers":["y"]`, 409}, {"c", ``, 409}, {"c", `,"enabled":false`, 201}, {"c", ``, 409}, {"b", `,"sellers":["y"]`, 409}, {"a", `,"sellers":["x"]`, 200}, {"b", `,"sellers":["y"]`, 200},
	} {
		if got := manage(t, g, http.MethodPut, "/v1/destinations/"+c.name, `{`+common+c.more+`}`, nil); got != c.want {
			t.Errorf("PUT %s %s: %d, want %d", c.name, c.more, got, c.want)
		}
	}
	var shown struct {
		Items []struct {
			Name, Secret string
			Enabled      bool
		}
		Next string
	}
	manage(t, g, http.MethodGet, "/v1/destinations?limit=2", "", &shown)
	if len(shown.Items) != 2 || shown.Next != "b" || shown.Items[0].Secret != "***" {
		t.Errorf("list %+v", shown)
	}
	shown.Next = ""
	manage(t, g, http.MethodGet, "/v1/destinations?after=b", "", &shown)
	if len(shown.Items) != 1 || shown.Items[0].Name != "c" || shown.Items[0].Enabled || shown.Next != "" {
		t.Errorf("list %+v", shown)
	}
	if got := manage(t, g, http.MethodDelete, "/v1/destinations/c", "", nil); got != 204 {
		t.Errorf("DELETE: %d", got)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if got := manage(t, g, method, "/v1/destinations/c", "", nil); got != 404 {
			t.Errorf("%s: %d", method, got)
		}
	}
}
