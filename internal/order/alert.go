package order

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// The apis of events that call for a person. They are delivered like any other. A lock
// that is violated has its own, EventLockViolated.
const (
	AlertOrderStuck   = AlertPrefix + "order.stuck"
	AlertRefundNear   = AlertPrefix + "refund.near"
	AlertDeliveryDead = AlertPrefix + "delivery.dead"
)

// AlertPrefix begins the apis of alerts. They are about an order and not in its lane: a
// destination gets them whatever it waits for.
const AlertPrefix = "ordergate.alert."

// IsAlert reports whether an api is an alert's.
func IsAlert(api string) bool { return strings.HasPrefix(api, AlertPrefix) }

// DeadAlert makes the alert of a delivery that is given up, or held for a person; nil when
// what was to be delivered is such an alert itself.
func DeadAlert(destination string, e *Event, d Dead, held bool) *Event {
	if e.API == AlertDeliveryDead {
		return nil
	}
	delivery := DeliveryID(QueueName(destination), d.Seq)
	return &Event{
		ID:  ownID(AlertDeliveryDead, delivery, d.At.String()),
		API: AlertDeliveryDead, Order: e.Order, Lines: e.Lines, At: d.At,
		Record: Record{Params: []contract.Param{
			{Name: "delivery", Value: delivery}, {Name: "destination", Value: destination}, {Name: "event", Value: e.ID}, {Name: "api", Value: e.API},
			{Name: "reason", Value: d.Reason}, {Name: "attempts", Value: strconv.Itoa(d.Attempts)}, {Name: "held", Value: strconv.FormatBool(held)},
		}}.JSON(),
		Answer: noAnswer,
	}
}

// deadAt is the destination of a DeadAlert.
func (e *Event) deadAt() string {
	values, err := e.Values()
	if err != nil {
		return ""
	}
	return values["destination"]
}

// Alerter makes events of orders that are stuck and of refunds that are near: once for
// each.
type Alerter struct {
	Store Store
	Clock func() time.Time
	Log   *slog.Logger

	StuckAfter time.Duration // how long an order that is open may be unchanged; 0: for ever
	RefundNear time.Duration // how long before an automatic refund; 0: not at all

	alerted map[string]time.Time // refunds of which it is known that there is an alert, with when they are due
}

// StuckAfter is when an order counts as stuck where nobody says, and RefundNear when a
// refund is near: serve's defaults.
const (
	StuckAfter = 24 * time.Hour
	RefundNear = 20 * time.Minute
)

// How often the alerter looks, and how many alerts stand in one transaction: calls wait
// for it.
const (
	alertEvery = 5 * time.Second
	alertSize  = 200
)

// Run alerts until ctx ends.
func (a *Alerter) Run(ctx context.Context) {
	tick := time.NewTicker(alertEvery)
	defer tick.Stop()
	for {
		leads, err := a.Store.Lead(ctx, "alert")
		if err == nil && leads {
			err = a.Sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			a.Log.Warn("alerts not stored; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sweep makes all alerts that are due.
func (a *Alerter) Sweep(ctx context.Context) error {
	if a.RefundNear > 0 {
		if err := a.sweepRefunds(ctx); err != nil {
			return fmt.Errorf("refunds that are near: %w", err)
		}
	}
	if a.StuckAfter > 0 {
		for _, stage := range Open {
			if err := a.sweepStuck(ctx, stage); err != nil {
				return fmt.Errorf("orders that are stuck: %w", err)
			}
		}
	}
	return nil
}

// sweepStuck makes the alerts of a stage. Orders get stuck in the order of their last
// changes: a bookmark says how far that has been told. What was stuck when nobody
// looked for the first time is not told.
func (a *Alerter) sweepStuck(ctx context.Context, stage State) error {
	name := "stuck/" + string(stage)
	text, err := a.Store.Bookmark(ctx, name)
	if err != nil {
		return err
	}
	limit := a.Clock().Add(-a.StuckAfter)
	behind, ok := ReadBehind(text)
	if !ok {
		return a.commit(ctx, nil, name, Behind{At: limit})
	}
	for ctx.Err() == nil {
		orders, more, err := a.Store.Orders(ctx, OrderFilter{Stage: stage, UpdatedUpTo: limit, Sort: ByUnchanged, Behind: &behind, Limit: alertSize})
		if err != nil || len(orders) == 0 {
			return err
		}
		for _, o := range orders {
			behind = Behind{At: o.UpdatedAt, ID: o.ID}
		}
		if err := a.commit(ctx, orders, name, behind); err != nil || !more {
			return err
		}
	}
	return nil
}

// commit makes the alerts of orders that are stuck, and moves the bookmark.
func (a *Alerter) commit(ctx context.Context, orders []*Order, name string, behind Behind) error {
	bookmark := map[string]string{name: behind.Text()}
	keys := make([]Key, len(orders))
	for i, o := range orders {
		keys[i] = o.Key
	}
	return a.Store.Commit(ctx, &Task{Orders: keys, Decide: func(v *View) (Decision, error) {
		d := Decision{Bookmarks: bookmark}
		for _, seen := range orders {
			if o := v.Orders[seen.Key]; o.Exists() && o.UpdatedAt.Equal(seen.UpdatedAt) {
				d.Events = append(d.Events, stuck(o, v.Now))
			}
		}
		return d, nil
	}})
}

func stuck(o *Order, now time.Time) Event {
	since := o.UpdatedAt.In(contract.Zone).Format(time.RFC3339)
	return Event{
		ID:  ownID(AlertOrderStuck, o.Platform, o.Seller, o.Number, since),
		API: AlertOrderStuck, Order: o.Key, At: now,
		Record: Record{Params: []contract.Param{{Name: "stage", Value: string(o.Stage)}, {Name: "since", Value: since}}}.JSON(),
		Answer: noAnswer,
	}
}

// Text writes where a list by Unchanged ended.
func (b Behind) Text() string { return fmt.Sprintf("%d:%d", b.At.UnixMilli(), b.ID) }

// ReadBehind reads what Text wrote.
func ReadBehind(text string) (b Behind, ok bool) {
	at, id, _ := strings.Cut(text, ":")
	millis, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return b, false
	}
	b.At = time.UnixMilli(millis)
	b.ID, err = strconv.ParseInt(id, 10, 64)
	return b, err == nil
}

// sweepRefunds makes the alerts of refunds that are near. Which there are already is
// remembered, and after a start read from the orders' events.
func (a *Alerter) sweepRefunds(ctx context.Context) error {
	now := a.Clock()
	for id, due := range a.alerted {
		if now.After(due) {
			delete(a.alerted, id)
		}
	}
	f := OrderFilter{Sort: ByRefund, RefundUpTo: now.Add(a.RefundNear), Limit: alertSize}
	for ctx.Err() == nil {
		orders, more, err := a.Store.Orders(ctx, f)
		if err != nil || len(orders) == 0 {
			return err
		}
		if err := a.alertRefunds(ctx, orders, now); err != nil || !more {
			return err
		}
		last := orders[len(orders)-1]
		f.Behind = &Behind{At: last.RefundDue(), ID: last.ID}
	}
	return nil
}

func (a *Alerter) alertRefunds(ctx context.Context, orders []*Order, now time.Time) error {
	var fresh []Key
	due := map[string]time.Time{} // by the ids of the alerts
	for _, o := range orders {
		id := nearID(o)
		if _, known := a.alerted[id]; known || o.RefundDue().Sub(now) < tooNear {
			continue
		}
		told, err := a.told(ctx, o.ID, id)
		if err != nil {
			return err
		}
		if due[id] = o.RefundDue(); !told {
			fresh = append(fresh, o.Key)
		}
	}
	if len(fresh) > 0 {
		if err := a.Store.Commit(ctx, &Task{Orders: fresh, Decide: func(v *View) (Decision, error) { return refundsNear(v, fresh), nil }}); err != nil {
			return err
		}
	}
	if a.alerted == nil {
		a.alerted = map[string]time.Time{}
	}
	maps.Copy(a.alerted, due)
	return nil
}

// tooNear is when it is no use any more to tell of a refund.
const tooNear = time.Minute

// told reports whether an order has the alert of that id.
func (a *Alerter) told(ctx context.Context, orderID int64, id string) (bool, error) {
	events, _, err := a.Store.Events(ctx, EventFilter{OrderID: orderID, API: AlertRefundNear, Newest: true, Limit: 10})
	return slices.ContainsFunc(events, func(e *Event) bool { return e.ID == id }), err
}

func nearID(o *Order) string {
	return ownID(AlertRefundNear, o.Platform, o.Seller, o.Number, o.PaidAt.In(contract.Zone).Format(time.RFC3339Nano))
}

func refundsNear(v *View, keys []Key) (d Decision) {
	for _, k := range keys {
		o := v.Orders[k]
		if o.RefundDue().IsZero() { // a call came first
			continue
		}
		var lines []string
		for _, l := range o.Lines {
			if l.onClock(o) {
				lines = append(lines, l.Number)
			}
		}
		numbers, _ := json.Marshal(lines)
		d.Events = append(d.Events, Event{
			ID: nearID(o), API: AlertRefundNear, Order: k, Lines: lines, At: v.Now,
			Record: Record{Params: []contract.Param{{Name: "refund_due", Value: o.RefundDue().In(contract.Zone).Format(time.RFC3339)}, {Name: "lines", Value: string(numbers)}}}.JSON(),
			Answer: noAnswer,
		})
	}
	return d
}
