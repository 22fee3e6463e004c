package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
)

var now = time.Date(2024, 6, 18, 12, 0, 0, 0, contract.Zone)

// api is a management API over real HTTP with a real store.
type api struct {
	*httptest.Server
	admin *Server
	store order.Store
}

func newAPI(t *testing.T) *api {
	t.Helper()
	key, err := secret.New(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return now }
	log := slog.New(slog.DiscardHandler)
	a := &api{}
	a.store, err = store.Open(t.Context(), "sqlite:"+t.TempDir()+"/test.db", store.Options{Key: key, Clock: clock, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	a.admin = &Server{Store: a.store, Token: "admin", Clock: clock, Log: log, Version: "test"}
	mux := http.NewServeMux()
	a.admin.Register(mux)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		a.Close()
		if err := a.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// do makes a request and checks the status.
func (a *api) do(t *testing.T, method, path, body string, status int) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin")
	response, err := a.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status {
		t.Errorf("%s %s %s: %d %s, want %d", method, path, body, response.StatusCode, data, status)
	}
	if bytes.Contains(data, []byte("hush")) {
		t.Errorf("%s %s: a secret is shown: %s", method, path, data)
	}
	var answer map[string]any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Errorf("%s %s: %s: %v", method, path, data, err)
		}
	}
	if status >= 400 {
		checkProblem(t, response, answer)
	}
	return answer
}

// checkProblem checks the shape of errors: {type,title,status,detail,errors}.
func checkProblem(t *testing.T, response *http.Response, p map[string]any) {
	t.Helper()
	if got := response.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %s", got)
	}
	if p["status"] != float64(response.StatusCode) || p["title"] == "" || p["type"] == nil || p["detail"] == "" {
		t.Errorf("problem %v", p)
	}
}

// at returns the locations that a problem names.
func at(p map[string]any) string {
	var locations []string
	errs, _ := p["errors"].([]any)
	for _, e := range errs {
		locations = append(locations, fmt.Sprint(e.(map[string]any)["location"]))
	}
	return strings.Join(locations, " ")
}

func items(answer map[string]any) []any {
	list, _ := answer["items"].([]any)
	return list
}

func TestToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "admin", "Basic admin", "Bearer admin "} {
		for _, path := range []string{"/v1/apps", "/v1/orders/taobao/1", "/v1/events"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header["Authorization"] = []string{header}
			response, err := a.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			want := http.StatusUnauthorized
			if header == "Bearer admin " { // HTTP drops the blank
				want = response.StatusCode
			}
			if response.StatusCode != want {
				t.Errorf("%s with %q: %d", path, header, response.StatusCode)
			}
		}
	}
	a.admin.Token = ""
	a.do(t, http.MethodGet, "/v1/apps", "", http.StatusUnauthorized)
}

func TestApps(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const app = `{"protocol":"top","secret":"hush","name":"n","topics":["*",{"status":"XYZ","ext_fields":["a"]}],"ip_allow":["10.0.0.0/8"],"rate":{"per_second":5}}`
	a.do(t, "GET", "/v1/apps/1", "", 404)
	created := a.do(t, "PUT", "/v1/apps/1", app, 201)
	again := a.do(t, "PUT", "/v1/apps/1", app, 200)
	shown := a.do(t, "GET", "/v1/apps/1", "", 200)
	if shown["secret"] != "***" || shown["key"] != "1" || shown["authority"] != "ledger" || fmt.Sprint(created) != fmt.Sprint(shown) || fmt.Sprint(again) != fmt.Sprint(shown) {
		t.Errorf("created %v, again %v, shown %v", created, again, shown)
	}
	// What is shown can be put back: *** keeps the secret.
	text, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	a.do(t, "PUT", "/v1/apps/1", string(text), 200)
	if stored, err := a.store.App(t.Context(), "1"); err != nil || string(stored.Secret) != "hush" {
		t.Errorf("the secret is %q, %v", string(stored.Secret), err)
	}
	for body, where := range map[string]string{
		`{"protocol":"top"}`:                                "apps[0].secret",
		`{"protocol":"ftp","secret":"hush"}`:                "apps[0].protocol",
		`{"protocol":"top","secret":"hush","colour":"red"}`: "body",
		`{"protocol":"top","secret":{"hush":1}}`:            "body",
		`{"protocol":"top","secret":"hush","key":"3"}`:      "body.key",
		`{`: "body",
	} {
		if p := a.do(t, "PUT", "/v1/apps/2", body, 422); at(p) != where && p["detail"] == "" {
			t.Errorf("%s: %v, want %s", body, p, where)
		}
	}
	a.do(t, "PUT", "/v1/apps/2", "", 400)
	a.do(t, "GET", "/v1/apps/2", "", 404)
	a.do(t, "DELETE", "/v1/apps/2", "", 404)
	a.do(t, "DELETE", "/v1/apps/1", "", 204)
	a.do(t, "GET", "/v1/apps/1", "", 404)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.do(t, "PUT", "/v1/apps/1", `{"protocol":"top","secret":"hush1"}`, 201)
	a.do(t, "POST", "/v1/apps/1/rotate", `{"secret":"hush2","overlap":"24h"}`, 200)
	app, err := a.store.App(t.Context(), "1")
	if err != nil || string(app.Secret) != "hush2" || string(app.OldSecret) != "hush1" || !app.OldUntil.Equal(now.Add(24*time.Hour)) {
		t.Errorf("app %+v, %v", app, err)
	}
	a.do(t, "POST", "/v1/apps/1/rotate", `{"secret":"hush3"}`, 200)
	if app, err = a.store.App(t.Context(), "1"); err != nil || app.OldSecret != "" || string(app.Secret) != "hush3" {
		t.Errorf("app %+v, %v", app, err)
	}
	for _, body := range []string{`{}`, `{"secret":"***"}`, `{"secret":"hush","overlap":"a day"}`, `{"secret":"hush","overlap":"-1h"}`, `{"geheim":"hush"}`} {
		a.do(t, "POST", "/v1/apps/1/rotate", body, 422)
	}
	a.do(t, "POST", "/v1/apps/2/rotate", `{"secret":"hush"}`, 404)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.do(t, "PUT", "/v1/sessions/hush%2F1", `{"app_key":"1"}`, 422)
	a.do(t, "PUT", "/v1/apps/1", `{"protocol":"top","secret":"hush"}`, 201)
	shown := a.do(t, "PUT", "/v1/sessions/hush%2F1", `{"app_key":"1","seller":"s","expires_at":"2026-01-02 03:04:05"}`, 201)
	if shown["token"] != "***" || shown["expires_at"] != "2026-01-02T03:04:05+08:00" {
		t.Errorf("shown %v", shown)
	}
	a.do(t, "PUT", "/v1/sessions/hush%2F1", `{"app_key":"1","seller":"s2"}`, 200)
	if s, err := a.store.Session(t.Context(), "hush/1"); err != nil || s.Seller != "s2" {
		t.Errorf("session %+v, %v", s, err)
	}
	if list := items(a.do(t, "GET", "/v1/sessions", "", 200)); len(list) != 1 {
		t.Errorf("list %v", list)
	}
	a.do(t, "PUT", "/v1/sessions/hush%2F1", `{"app_key":"1","token":"other"}`, 422)
	a.do(t, "DELETE", "/v1/sessions/hush%2F1", "", 204)
	a.do(t, "DELETE", "/v1/sessions/hush%2F1", "", 404)
}

func TestOrders(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	if got := a.do(t, "POST", "/v1/orders", `[{"platform":"taobao","number":"1","seller":"s","lines":[{"number":"11","quantity":2}]},{"platform":"taobao","number":"2","seller":"s"}]`, 200); got["orders"] != 2.0 {
		t.Errorf("imported %v", got)
	}
	a.do(t, "POST", "/v1/orders", "{\"platform\":\"taobao\",\"number\":\"1\",\"seller\":\"t\"}\n{\"platform\":\"JD\",\"number\":\"15\"}\n", 200)
	// All or nothing.
	a.do(t, "POST", "/v1/orders", `[{"platform":"taobao","number":"3"},{"platform":"taobao"}]`, 422)
	a.do(t, "GET", "/v1/orders/taobao/3", "", 404)
	a.do(t, "POST", "/v1/orders", `[{"platform":"taobao","nummer":"3"}]`, 422)

	a.do(t, "GET", "/v1/orders/taobao/1", "", 409)
	o := a.do(t, "GET", "/v1/orders/taobao/1?seller=s", "", 200)
	if line := o["lines"].([]any)[0].(map[string]any); line["quantity"] != "2" || line["state"] != "new" || o["stage"] != "new" || o["timeline"] == nil {
		t.Errorf("order %v", o)
	}
	for query, want := range map[string]int{"": 4, "?q=1": 3, "?q=15": 1, "?stage=new": 4, "?stage=out": 0, "?limit=3": 3, "?stuck_for=1h": 0} {
		if list := items(a.do(t, "GET", "/v1/orders"+query, "", 200)); len(list) != want {
			t.Errorf("%q: %d orders, want %d", query, len(list), want)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?after=x", "?stuck_for=long", "?stage=bogus", "?number=5"} {
		a.do(t, "GET", "/v1/orders"+query, "", 422)
	}
	first := a.do(t, "GET", "/v1/orders?limit=3", "", 200)
	rest := a.do(t, "GET", fmt.Sprintf("/v1/orders?limit=3&after=%s", first["next"]), "", 200)
	if all := a.do(t, "GET", "/v1/orders?limit=4", "", 200); len(items(all)) != 4 || all["next"] != nil {
		t.Errorf("the only page: %v", all)
	}
	if len(items(rest)) != 1 || rest["next"] != nil {
		t.Errorf("second page %v", rest)
	}
}

func produce(t *testing.T, a *api, number, status string) {
	t.Helper()
	work, err := order.Rules[0].Judge(&order.Call{
		API: contract.EventProduce, App: &order.App{Key: "1"}, Seller: "s", At: now,
		Request: &contract.EventProduceRequest{Status: status, OrderID: number},
		Record:  order.Record{RequestID: "abc", Format: "xml", Digest: "hmac", Params: []contract.Param{{Name: "ext", Value: "{\"a\":\"\x01<商>\"}"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	task := work.Tasks[0]
	if err := a.store.Commit(context.Background(), task); err != nil || task.Err != nil {
		t.Fatal(err, task.Err)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	produce(t, a, "1", contract.StatusTransfer)
	produce(t, a, "2", contract.StatusOut)
	produce(t, a, "1", contract.StatusCheck)
	list := items(a.do(t, "GET", "/v1/events?order=1", "", 200))
	if len(list) != 2 {
		t.Fatalf("list %v", list)
	}
	e := list[0].(map[string]any)
	if e["seq"] != 1.0 || e["order"] != "1" || e["platform"] != "taobao" || e["seller"] != "s" || e["app"] != "1" || e["request_id"] != "abc" || e["format"] != "xml" ||
		e["sign_method"] != "hmac" || e["at"] != "2024-06-18T12:00:00+08:00" || e["params"].(map[string]any)["ext"] != "{\"a\":\"\x01<商>\"}" ||
		e["answer"].(map[string]any)["is_success"] != true || fmt.Sprint(e["warnings"]) != "[not-given]" || fmt.Sprint(e["lines"]) != "[]" {
		t.Errorf("event %v", e)
	}
	if got := a.do(t, "GET", "/v1/events/2", "", 200); got["order"] != "2" {
		t.Errorf("event 2: %v", got)
	}
	a.do(t, "GET", "/v1/events/99", "", 404)
	for query, want := range map[string]int{"": 3, "?after=1": 2, "?limit=2": 2, "?api=taobao.qimen.event.produce": 3, "?api=x": 0} {
		if list := items(a.do(t, "GET", "/v1/events"+query, "", 200)); len(list) != want {
			t.Errorf("%q: %d events, want %d", query, len(list), want)
		}
	}
	o := a.do(t, "GET", "/v1/orders/taobao/1", "", 200)
	if line := o["timeline"].([]any); len(line) != 2 || line[1].(map[string]any)["seq"] != 3.0 || fmt.Sprint(o["statuses"]) != "[QIMEN_ERP_TRANSFER QIMEN_ERP_CHECK]" {
		t.Errorf("order %v", o)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const document = "apps:\n  - {key: a, protocol: top, secret: hush}\nsessions:\n  - {token: hush-t, app_key: a}\norders:\n  - {platform: taobao, number: 1}\n"
	for range 2 {
		if got := a.do(t, "POST", "/v1/apply", document, 200); got["apps"] != 1.0 || got["sessions"] != 1.0 || got["orders"] != 1.0 {
			t.Errorf("applied %v", got)
		}
	}
	// All or nothing; a server does not read its own environment.
	if p := a.do(t, "POST", "/v1/apply", "apps:\n  - {key: b, protocol: top, secret: s}\nsessions:\n  - {token: t, app_key: nobody}\n", 422); at(p) != "sessions[0].app_key" {
		t.Errorf("got %v", p)
	}
	a.do(t, "GET", "/v1/apps/b", "", 404)
	a.do(t, "POST", "/v1/apply", `{"apps":[{"key":"home","protocol":"top","secret":"s","name":"${HOME}"}]}`, 200)
	if got := a.do(t, "GET", "/v1/apps/home", "", 200); got["name"] != "${HOME}" {
		t.Errorf("got %v", got)
	}
	if p := a.do(t, "POST", "/v1/apply", "apps:\n  - colour: red\n", 422); !strings.Contains(fmt.Sprint(p), "line 2") {
		t.Errorf("got %v", p)
	}
}

// busy refuses every commit.
type busy struct{ order.Store }

func (busy) Commit(context.Context, ...*order.Task) error { return order.ErrBusy }

// gone cannot read.
type gone struct{ order.Store }

func (gone) App(context.Context, string) (*order.App, error) {
	return nil, errors.New("hush: disk gone")
}

func TestStoreFailures(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.admin.Store = busy{a.store}
	a.do(t, "POST", "/v1/orders", `[{"platform":"taobao","number":"1"}]`, 503)
	var log strings.Builder
	a.admin.Log = slog.New(slog.NewTextHandler(&log, nil))
	a.admin.Store = gone{a.store}
	a.do(t, "GET", "/v1/apps/1", "", 503)
	a.do(t, "PUT", "/v1/apps/1", `{"protocol":"top","secret":"x"}`, 503)
	if !strings.Contains(log.String(), "disk gone") {
		t.Errorf("log: %s", &log)
	}
}

// The description is made from the types and names every path.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	document := a.do(t, "GET", "/v1/openapi.json", "", 200)
	paths := document["paths"].(map[string]any)
	for _, path := range []string{"/v1/apps", "/v1/apps/{key}", "/v1/apps/{key}/rotate", "/v1/sessions", "/v1/sessions/{token}", "/v1/orders", "/v1/orders/{platform}/{number}", "/v1/events", "/v1/events/{seq}", "/v1/apply", "/v1/destinations", "/v1/destinations/{name}", "/v1/destinations/{name}/rotate", "/v1/locks", "/v1/locks/{id}/release"} {
		if paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}
	if offered, want := fmt.Sprint(paths["/v1/locks"]), fmt.Sprint(order.LockStates); !strings.Contains(offered, "enum:"+want) {
		t.Errorf("/v1/locks does not offer the states %s: %s", want, offered)
	}
	text := fmt.Sprint(document["components"])
	if want := fmt.Sprintf("first %d events", timelineLimit); !strings.Contains(text, want) {
		t.Errorf("no schema says %q", want)
	}
	for _, field := range []string{"per_second", "ext_fields", "supplier_code", "app_key", "quantity"} {
		if !strings.Contains(text, field) {
			t.Errorf("no schema has %s", field)
		}
	}
}

func TestWorkOrders(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	rule, _ := order.RuleOf(contract.EventEmit)
	for _, c := range []struct{ app, tenant, status, ts string }{{"1", "t", "0", "5"}, {"1", "t", "1", "7"}, {"1", "t", "9", "6"}, {"1", "u", "2", "1"}} {
		request := &contract.EventEmitRequest{WorkOrderID: "w", TenantCode: c.tenant, WorkOrderStatus: c.status, Timestamp: c.ts, OrderID: "77", PlanID: "p", WorkOrderType: "x"}
		work, err := rule.Judge(&order.Call{
			API: contract.EventEmit, App: &order.App{Key: c.app}, Seller: "s", At: now, Request: request,
			Record: order.Record{RequestID: "abc", Format: "json", Digest: "md5", Params: contract.EventEmit.Params(request)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.store.Commit(t.Context(), work.Tasks...); err != nil {
			t.Fatal(err)
		}
	}
	got := a.do(t, "GET", "/v1/work-orders/w?tenant_code=t", "", 200)
	history, _ := got["history"].([]any)
	delete(got, "history")
	want := map[string]any{
		"id": "w", "tenant_code": "t", "app": "1", "type": "x", "status": "1", "plan_id": "p", "biz_order_id": "77", "ts": "7",
		"created_at": "2024-06-18T12:00:00+08:00", "updated_at": "2024-06-18T12:00:00+08:00",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(history) != 3 {
		t.Errorf("got %v with %d events, want %v with 3", got, len(history), want)
	}
	last := history[2].(map[string]any)
	if last["order"] != "77" || last["work_order"] != "w" || fmt.Sprint(last["warnings"]) != "[older]" || fmt.Sprint(last["params"].(map[string]any)["work_order_status"]) != "9" {
		t.Errorf("last event %v", last)
	}
	a.do(t, "GET", "/v1/work-orders/w", "", 409)
	a.do(t, "GET", "/v1/work-orders/w?tenant_code=", "", 404)
	if seq := a.do(t, "GET", "/v1/events?work_order=w&after=2", "", 200)["items"].([]any); len(seq) != 2 {
		t.Errorf("%d events behind the second", len(seq))
	}
	a.do(t, "GET", "/v1/work-orders/x", "", 404)
	list := a.do(t, "GET", "/v1/work-orders?limit=1", "", 200)
	if items := list["items"].([]any); len(items) != 1 || list["next"] != "1" || items[0].(map[string]any)["history"] != nil {
		t.Errorf("list %v", list)
	}
	if items := a.do(t, "GET", "/v1/work-orders?status=2", "", 200)["items"].([]any); len(items) != 1 {
		t.Errorf("%d of status 2", len(items))
	}
	timeline := a.do(t, "GET", "/v1/orders/taobao/77", "", 200)["timeline"].([]any)
	if len(timeline) != 4 {
		t.Errorf("%d events on the order's time line, want 4", len(timeline))
	}
}

// The words that the description offers for a delivery are those of the rules, and what is
// declared in YAML has the names that it has in JSON.
func TestWordsOfDeliveriesAgree(t *testing.T) {
	t.Parallel()
	shown := []order.DeliveryState{order.DeliveryPending, order.DeliveryInFlight, order.DeliveryDone, order.DeliveryRetrying, order.DeliveryDead}
	for _, c := range []struct {
		item  any
		words []order.DeliveryState
	}{
		{Delivery{}, shown},
		{DeliveryQuery{}, append(shown, order.DeliveryHeld)},
		{RetryFilter{}, []order.DeliveryState{order.DeliveryRetrying, order.DeliveryDead, order.DeliveryHeld}},
	} {
		field, _ := reflect.TypeOf(c.item).FieldByName("State")
		if got, want := field.Tag.Get("enum"), strings.Join(strings.Fields(strings.Trim(fmt.Sprint(c.words), "[]")), ","); got != want {
			t.Errorf("%T offers %s, want %s", c.item, got, want)
		}
	}
	for _, item := range []any{RetryFilter{}, ReplayRange{}, Rotation{}} {
		for field := range reflect.TypeOf(item).Fields() {
			inJSON, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if inYAML := field.Tag.Get("yaml"); inJSON != inYAML || inJSON == "" {
				t.Errorf("%T.%s is %q in JSON and %q in YAML", item, field.Name, inJSON, inYAML)
			}
		}
	}
}
