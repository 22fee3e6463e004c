package console_test

import (
	"bytes"
	"context"
	"html"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/admin"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/console"
	"github.com/ordergate/ordergate/internal/intake"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
	"github.com/ordergate/ordergate/internal/wire"
)

// adminToken is the admin token of the gateways here. No page may show it.
const adminToken = "admin-token-of-the-tests"

// gateway is a gateway with its console.
type gateway struct {
	t       *testing.T
	store   order.Store
	front   http.Handler
	console *console.Server
	handler http.Handler
	log     *bytes.Buffer
	cookies []*http.Cookie

	mu  sync.Mutex
	now time.Time
}

// courier delivers nothing.
type courier struct{}

func (courier) Condition(string) order.Condition          { return order.Condition{} }
func (courier) OnTheirWay(order.QueueName) map[int64]bool { return nil }
func (courier) Try(context.Context, *order.Destination) order.Trial {
	return order.Trial{Good: true, Status: 200}
}
func (courier) Await(context.Context, int64) error { return nil }

var noon = time.Date(2024, 6, 18, 12, 0, 0, 0, contract.Zone)

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, now: noon, log: &bytes.Buffer{}}
	key, err := secret.New(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if g.store, err = store.Open(t.Context(), "sqlite:"+t.TempDir()+"/x.db", store.Options{Key: key, Clock: g.clock, Log: log, OnCommit: func(store.Group) {}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
	})
	demo, err := apply.Demo()
	if err != nil {
		t.Fatal(err)
	}
	paid := apply.Time(noon)
	demo.Orders[0].PaidAt = &paid
	if err := demo.Store(t.Context(), g.store); err != nil {
		t.Fatal(err)
	}
	limits, err := intake.NewLimits(t.Context(), g.store, noon)
	if err != nil {
		t.Fatal(err)
	}
	injections, refused := &order.Injections{}, &order.RefusedCalls{}
	counts := map[string]int64{}
	meter := &console.Meter{}
	g.front = (&intake.Server{
		Store: g.store, Limits: limits, Clock: g.clock, Log: log, Injections: injections, Refused: refused,
		Observe: func(o intake.Outcome) {
			meter.Count(g.clock(), o.Answer == "ok")
			if o.Answer != "ok" {
				counts[o.Answer]++
			}
		},
	}).Handler()
	inner := http.NewServeMux()
	(&admin.Server{Store: g.store, Accepts: func(string) bool { return true }, Clock: g.clock, Log: log, Version: "test", Injections: injections, Courier: courier{}}).Register(inner)
	g.console = &console.Server{
		Store: g.store, Courier: courier{}, Manage: inner, Gateway: g.front, URL: "http://127.0.0.1:8787", Accepts: func(token string) bool { return token == adminToken },
		Mark: key.Mark, Refused: refused, Counts: func() map[string]int64 { return counts }, Meter: meter, Clock: g.clock, Log: log, Version: "test", Injections: injections, Demo: true,
	}
	g.handler = g.console.Handler()
	return g
}

func (g *gateway) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *gateway) pass(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

// call sends a call of the demo's to the gateway.
func (g *gateway) call(api *contract.API, session contract.Secret, params ...contract.Param) string {
	g.t.Helper()
	m := wire.Message{URL: "http://gateway", AppKey: "12345678", Secret: "helloworld", Session: session, API: api, Params: params, Format: wire.Format{JSON: true}, Time: g.clock()}
	if api.Protocol == contract.Suning {
		m.AppKey, m.Secret = "0123456789abcdef0123456789abcdef", "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
	}
	var err error
	if m.URL, err = wire.Of(api).Target(m.URL); err != nil {
		g.t.Fatal(err)
	}
	sealed, err := wire.Of(api).Seal(g.t.Context(), m)
	if err != nil {
		g.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	sealed.Request.RequestURI = sealed.Request.URL.RequestURI()
	for name, values := range sealed.Request.Header { // as a server reads them
		delete(sealed.Request.Header, name)
		sealed.Request.Header[http.CanonicalHeaderKey(name)] = values
	}
	g.front.ServeHTTP(w, sealed.Request)
	return w.Body.String()
}

// produce reports a status of an order.
func (g *gateway) produce(number, status string) {
	g.t.Helper()
	if answer := g.call(contract.EventProduce, "test", contract.Param{Name: "status", Value: status}, contract.Param{Name: "tid", Value: number}); !strings.Contains(answer, `"is_success":true`) {
		g.t.Fatal(answer)
	}
}

// do sends a request of a browser that is logged in, if it is.
func (g *gateway) do(method, path string, form url.Values, headers ...string) *http.Response {
	g.t.Helper()
	return g.send(method, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), headers...)
}

func (g *gateway) send(method, path, contentType string, body io.Reader, headers ...string) *http.Response {
	g.t.Helper()
	r := httptest.NewRequestWithContext(g.t.Context(), method, "http://console"+path, body)
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Accept", "text/html")
	for _, c := range g.cookies {
		r.AddCookie(c)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w.Result()
}

// logIn makes the browser one that is logged in.
func (g *gateway) logIn() *gateway {
	g.t.Helper()
	response := g.do(http.MethodPost, "/login", url.Values{"token": {adminToken}})
	if g.cookies = response.Cookies(); response.StatusCode != http.StatusSeeOther || len(g.cookies) != 1 {
		g.t.Fatalf("login: %s, cookies %v", response.Status, g.cookies)
	}
	return g
}

// page reads a page.
func (g *gateway) page(path string, headers ...string) string {
	g.t.Helper()
	response := g.do(http.MethodGet, path, nil, headers...)
	text := body(g.t, response)
	if response.StatusCode != http.StatusOK {
		g.t.Errorf("%s: %s %.300s", path, response.Status, text)
	}
	return text
}

// post sends a form and returns where the browser is sent, or the page and its status.
func (g *gateway) post(path string, form url.Values) (to string, status int, page string) {
	g.t.Helper()
	if form != nil && !form.Has("has") { // as a whole form says it
		form["has"] = console.FormFields()
	}
	response := g.do(http.MethodPost, path, form)
	return response.Header.Get("Location"), response.StatusCode, body(g.t, response)
}

// upload sends a file as the form of the import does.
func (g *gateway) upload(data []byte) (to string, status int, page string) {
	g.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	file, err := form.CreateFormFile("file", "orders.csv")
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		g.t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		g.t.Fatal(err)
	}
	response := g.send(http.MethodPost, "/orders/import", form.FormDataContentType(), &b)
	return response.Header.Get("Location"), response.StatusCode, body(g.t, response)
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func holds(t *testing.T, where, page string, wants ...string) {
	t.Helper()
	content := html.UnescapeString(page)
	if _, main, ok := strings.Cut(content, "<main"); ok {
		content = main
	}
	for _, want := range wants {
		if !strings.Contains(content, want) {
			t.Errorf("%s lacks %q:\n%s", where, want, content)
		}
	}
}
