package admin

import (
	"reflect"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.do(t, "GET", "/v1/faults", "", 404) // no sandbox
	a.do(t, "PUT", "/v1/faults/f", `{"answer":"7"}`, 404)
	a.do(t, "DELETE", "/v1/faults/f", "", 404)
	a.admin.Injections = &order.Injections{}

	got := a.do(t, "PUT", "/v1/faults/f", `{"match":{"api":"suning.selfmarket.leaguerstatus.add","app":"k","order":"1"},"answer":"sys.check.user-permission:inexistence 访问令牌不存在","times":2,"percent":50,"delay":"1.5s"}`, 201)
	if got["name"] != "f" || got["delay"] != "1.5s" || got["times"] != 2.0 || got["match"].(map[string]any)["order"] != "1" {
		t.Errorf("put %v", got)
	}
	a.do(t, "PUT", "/v1/faults/f", `{"result":{"result":"N"}}`, 200)
	if got := a.do(t, "GET", "/v1/faults/f", "", 200); got["result"].(map[string]any)["result"] != "N" || got["answer"] != nil {
		t.Errorf("got %v", got)
	}
	a.do(t, "PUT", "/v1/faults/a", `{"status":503}`, 201)
	if a.admin.Injections.Pick(contract.SystimeGet, "k", "") == nil {
		t.Error("a fault that matches everything is not picked")
	}
	list := items(a.do(t, "GET", "/v1/faults", "", 200))
	if len(list) != 2 || list[0].(map[string]any)["name"] != "a" || list[0].(map[string]any)["hits"] != 1.0 {
		t.Errorf("list %v", list)
	}
	for body, where := range map[string]string{
		`{}`: "answer", `{"answer":"nothing"}`: "answer", `{"answer":"7","status":503}`: "answer", `{"status":1}`: "status", `{"delay":"soon"}`: "delay",
		`{"delay":"2m"}`: "delay", `{"answer":"7","percent":101}`: "percent", `{"answer":"7","match":{"api":"x"}}`: "match.api", `{"result":{"x":1}}`: "result",
		`{"name":"g","answer":"7"}`: "name", `{"answers":"7"}`: "body", `{"answer":"7","times":0}`: "times", `{"answer":"7","percent":0}`: "percent", `{"answer":"7","times":-1}`: "times", `[`: "body", `{"answer":"7","drop_after_apply":true}`: "drop_after_apply",
	} {
		if got := at(a.do(t, "PUT", "/v1/faults/x", body, 422)); got != where {
			t.Errorf("%s: at %s, want %s", body, got, where)
		}
	}
	a.do(t, "GET", "/v1/faults/x", "", 404)
	a.do(t, "PUT", "/v1/faults/%20", `{"answer":"7"}`, 422)
	a.do(t, "DELETE", "/v1/faults/f", "", 204)
	a.do(t, "DELETE", "/v1/faults/f", "", 404)
}

// The description says the limit that the rule has.
func TestFaultSaysItsLimits(t *testing.T) {
	t.Parallel()
	field, _ := reflect.TypeFor[Fault]().FieldByName("Delay")
	if doc := field.Tag.Get("doc"); !strings.Contains(doc, "at most "+order.MaxDelay.String()) {
		t.Errorf("%q does not say %s", doc, order.MaxDelay)
	}
}

// A virtual line shows its state, its history and how many cards it has, and
// none of them.
func TestVirtualOrder(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.do(t, "POST", "/v1/orders", `[{"platform":"suning","number":"1","supplier_code":"s","paid_at":"2024-06-18 11:00:00","lines":[{"number":"2","kind":"card","quantity":2.0,"accepts_failure":true}]}]`, 200)
	request := &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", Cards: []contract.Card{{Code: "hush", Password: "hush"}, {Code: "hush", Password: "hush"}}}
	rule, _ := order.RuleOf(contract.LeaguerStatus)
	work, err := rule.Judge(&order.Call{API: contract.LeaguerStatus, App: &order.App{Key: "k"}, Request: request, At: now, Record: order.Record{Params: contract.LeaguerStatus.Params(request)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.Commit(t.Context(), work.Tasks...); err != nil || work.Tasks[0].Err != nil {
		t.Fatal(err, work.Tasks[0].Err)
	}
	o := a.do(t, "GET", "/v1/orders/suning/1", "", 200)
	line := o["lines"].([]any)[0].(map[string]any)
	cards, _ := line["cards"].([]any)
	if o["seller"] != "s" || line["state"] != "shipped" || line["accepts_failure"] != true || len(cards) != 2 || cards[0].(map[string]any)["password"] != contract.Masked {
		t.Errorf("order %v", o)
	}
	event := o["timeline"].([]any)[0].(map[string]any)
	if params := event["params"].(map[string]any); params["cardList"] != contract.Masked || params["iqStatus"] != "180" {
		t.Errorf("event %v", event)
	}
	for query, want := range map[string]int{"?stage=shipped": 1, "?stage=waiting": 0, "?stage=timeout": 0} {
		if list := items(a.do(t, "GET", "/v1/orders"+query, "", 200)); len(list) != want {
			t.Errorf("%s: %d orders, want %d", query, len(list), want)
		}
	}
}
