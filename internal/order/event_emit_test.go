package order_test

import (
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// A work order follows its events; an older one joins the history and moves
// nothing.
func TestWorkOrderFollowsEvents(t *testing.T) {
	t.Parallel()
	view := &order.View{Now: now, WorkOrders: map[order.WorkOrderKey]*order.WorkOrder{}, EventIDs: map[order.EventIDKey]string{}}
	key := order.WorkOrderKey{App: "a", Tenant: "t", ID: "w"}
	for i, c := range []struct {
		ts, status, kind string
		want             order.WorkOrder
		older            bool
	}{
		{"100", "1", "repair", order.WorkOrder{Type: "repair", Status: "1", Timestamp: "100"}, false},
		{"99", "0", "", order.WorkOrder{Type: "repair", Status: "1", Timestamp: "100"}, true},
		{"100", "2", "", order.WorkOrder{Type: "repair", Status: "2", Timestamp: "100"}, false},     // the same instant: the later call counts
		{" ", " ", "return", order.WorkOrder{Type: "return", Status: "2", Timestamp: "100"}, false}, // blank: not given
		{"300", "", "", order.WorkOrder{Type: "return", Status: "2", Timestamp: "100"}, false},      // it says nothing of the status
		{"0099", "0", "", order.WorkOrder{Type: "return", Status: "2", Timestamp: "100"}, true},
		{"200", "3", "", order.WorkOrder{Type: "return", Status: "3", Timestamp: "200"}, false},
		{"", "3", "", order.WorkOrder{Type: "return", Status: "3"}, false}, // when it was set is unknown now
		{"1000", "4", "", order.WorkOrder{Type: "return", Status: "4", Timestamp: "1000"}, false},
		{"99999999999999999999", "5", "", order.WorkOrder{Type: "return", Status: "5", Timestamp: "99999999999999999999"}, false},
		{"9999999999999999999", "6", "", order.WorkOrder{Type: "return", Status: "5", Timestamp: "99999999999999999999"}, true},
	} {
		r := &contract.EventEmitRequest{TenantCode: "t", WorkOrderID: "w", Timestamp: c.ts, WorkOrderStatus: c.status, WorkOrderType: c.kind}
		i := i + 1
		work, err := rule(t, contract.EventEmit).Judge(&order.Call{API: contract.EventEmit, App: &order.App{Key: "a"}, Request: r, At: now})
		if err != nil {
			t.Fatal(err)
		}
		d, err := work.Tasks[0].Decide(view)
		if err != nil || len(d.Events) != 1 || len(d.WorkOrders) != 1 {
			t.Fatalf("event %d: %+v, %v", i, d, err)
		}
		c.want.WorkOrderKey, c.want.CreatedAt, c.want.UpdatedAt = key, now, now
		if *d.WorkOrders[0] != c.want {
			t.Errorf("event %d:\n got %+v\nwant %+v", i, *d.WorkOrders[0], c.want)
		}
		if older := len(d.Events[0].Warnings) == 1 && d.Events[0].Warnings[0] == order.WarnOlder.Code; older != c.older {
			t.Errorf("event %d: warnings %v", i, d.Events[0].Warnings)
		}
		view.WorkOrders[key] = d.WorkOrders[0]
	}
}

// For the real platform's ledger a known event id is no reason to say no.
func TestEmitUpstream(t *testing.T) {
	t.Parallel()
	id := order.EventIDKey{App: "a", ID: "e"}
	view := &order.View{Now: now, EventIDs: map[order.EventIDKey]string{id: "something else"}}
	work, err := rule(t, contract.EventEmit).Judge(&order.Call{
		API: contract.EventEmit, App: &order.App{Key: "a", Authority: order.Upstream}, Request: &contract.EventEmitRequest{EventID: "e"}, At: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := work.Tasks[0].Decide(view)
	if err != nil || !contract.EventEmit.Yes(d.Reply) || len(d.Events) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

func rule(t testing.TB, api *contract.API) order.Rule {
	t.Helper()
	r, ok := order.RuleOf(api)
	if !ok {
		t.Fatalf("%s has no rule", api.Method)
	}
	return r
}

// Every API has a rule, in the same order.
func TestRulesAreComplete(t *testing.T) {
	t.Parallel()
	for i, api := range contract.All {
		if i >= len(order.Rules) || order.Rules[i].API != api {
			t.Errorf("rule %d is not that of %s", i+1, api.Method)
		}
	}
}
