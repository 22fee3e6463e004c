package dispatch_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// Of a delivery that is dead, or held, every destination is told but the one that did not
// take it; of an alert that is dead itself nobody is.
func TestDeadDeliveriesRaiseAlerts(t *testing.T) {
	for _, onDead := range []order.OnDead{order.OnDeadContinue, order.OnDeadHold} {
		t.Run(string(onDead), func(t *testing.T) {
			within(t, func(t *testing.T, g *gate) {
				oms := g.to("oms", func(d *order.Destination) { d.OnDead = onDead })
				oms.answers(func(p post) (int, string, error) {
					if p.subject == "bad" {
						return http.StatusGone, "", nil
					}
					return http.StatusOK, "", nil
				})
				ops := g.to("ops", func(d *order.Destination) { d.APIs = []string{order.AlertDeliveryDead} })
				deaf := g.to("deaf", func(d *order.Destination) { d.APIs = []string{order.AlertDeliveryDead} })
				deaf.answers(func(post) (int, string, error) { return http.StatusGone, "", nil })
				g.report("s", "good", steps[0])
				g.report("s", "bad", steps[0])
				g.settle(exhaust)
				g.report("s", "good", steps[1])
				g.settle(2 * exhaust)
				alerts, _, err := g.store.Events(t.Context(), order.EventFilter{API: order.AlertDeliveryDead, Limit: 10})
				if err != nil || len(alerts) != 1 {
					t.Fatalf("%d alerts, %v", len(alerts), err)
				}
				got, err := alerts[0].Values()
				want := map[string]string{"delivery": "oms:2", "destination": "oms", "api": "taobao.qimen.event.produce", "attempts": "10", "held": map[order.OnDead]string{order.OnDeadHold: "true"}[onDead]}
				if want["held"] == "" {
					want["held"] = "false"
				}
				if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(slices.Values(order.OwnEventRows[slices.IndexFunc(order.OwnEventRows, func(row order.OwnEvent) bool { return row.Name == order.AlertDeliveryDead })].Params))) {
					t.Errorf("the alert has the parameters %v, which are not those that are listed", names)
				}
				for name, value := range want {
					if got[name] != value {
						t.Errorf("%s is %q, want %q (%v)", name, got[name], value, err)
					}
				}
				if alerts[0].Order.Number != "bad" || got["event"] == "" || got["reason"] == "" {
					t.Errorf("alert %+v %v", alerts[0], got)
				}
				if told := ops.accepted(); len(told) != 1 || told[0].id != alerts[0].ID {
					t.Errorf("told %+v", told)
				}
				for _, p := range oms.posts() {
					if p.id == alerts[0].ID {
						t.Error("the destination was told of what it did not take")
					}
				}
				if n := len(deaf.posts()); n == 0 {
					t.Error("the alert was not tried where it is refused")
				}
			})
		})
	}
}

// An alert does not wait behind what it is about: a destination that holds the same order
// is told of the other one.
func TestAlertsPassHeldOrders(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		hold := func(d *order.Destination) { d.OnDead = order.OnDeadHold }
		both := []*receiver{g.to("oms", hold), g.to("wms", hold)}
		for _, h := range both {
			h.answers(func(p post) (int, string, error) {
				if p.subject == "bad" && !order.IsAlert(p.api) {
					return http.StatusGone, "", nil
				}
				return http.StatusOK, "", nil
			})
		}
		g.report("s", "good", steps...) // it is the event that fails
		g.report("s", "bad", steps...)
		g.settle(2 * exhaust)
		g.restart()
		g.settle(time.Hour)
		for i, h := range both {
			told := 0
			for _, p := range h.accepted() {
				if p.api == order.AlertDeliveryDead {
					told++
				}
			}
			if told != 1 {
				t.Errorf("destination %d was told %d times of the other one", i, told)
			}
		}
		if held := g.deliveries("oms", order.DeliveryHeld); len(held) != 1 {
			t.Errorf("%d held", len(held))
		}
	})
}
