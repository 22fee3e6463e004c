package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// eventList is a page of the log, the newest events first.
type eventList struct {
	Query  url.Values
	Alerts bool // only Ordergate's own
	APIs   []string
	Events []*order.Event
	Older  string // where the list goes on
	Newest int64  // the place up to which all was looked at
	Live   bool
	Polled bool // it replaces what asked for it
}

// How many places of the log are looked at for one page: a filter may find nothing in
// them.
const scanned = 20_000

// eventNames word the events that Ordergate makes itself.
var eventNames = map[string]string{
	order.EventRefund: "Refunded automatically", order.EventLockViolated: "Lock violated", order.EventLockReleased: "Lock released", order.EventLockUnknown: "Lock unknown",
	order.AlertOrderStuck: "Order is stuck", order.AlertRefundNear: "Automatic refund is near", order.AlertDeliveryDead: "Delivery is dead",
}

// apiNames are the English names of the APIs. The Chinese ones stand on their pages.
var apiNames = map[string]string{
	contract.EventProduce.Method: "Order event", contract.EventsProduce.Method: "Order events", contract.EventEmit.Method: "Work order event",
	contract.LeaguerStatus.Method: "Virtual goods status", contract.OrderIntercept.Method: "Lock request", contract.InterceptCallback.Method: "Verdict about a lock", contract.SystimeGet.Method: "Clock",
}

func eventAPIs() (names []string) {
	for _, api := range contract.All {
		if !api.AnyTime {
			names = append(names, api.Method)
		}
	}
	return append(names, order.OwnEvents...)
}

func (s *Server) events(v *visit) (any, error) { return s.listEvents(v, false) }

func (s *Server) alerts(v *visit) (any, error) { return s.listEvents(v, true) }

func eventFilter(query url.Values) order.EventFilter {
	return order.EventFilter{
		Order: query.Get("order"), API: query.Get("api"), App: query.Get("app"), WorkOrderID: query.Get("work_order"),
		Newest: true, Limit: pageSize,
	}
}

func (s *Server) listEvents(v *visit, alerts bool) (any, error) {
	ctx := v.Context()
	list := eventList{Query: v.URL.Query(), Alerts: alerts, APIs: eventAPIs()}
	if alerts {
		list.APIs = order.OwnEvents
	}
	head, err := s.Store.Head(ctx)
	if err != nil {
		return nil, err
	}
	f := eventFilter(list.Query)
	f.Own, f.UpTo = alerts, head
	if before, err := strconv.ParseInt(list.Query.Get("before"), 10, 64); err == nil && before > 0 {
		f.UpTo = min(head, before-1)
	} else {
		list.Newest, list.Live = head, true
	}
	indexed := alerts || f.Order != "" || f.WorkOrderID != ""
	if !indexed { // a filter is looked for in a stretch of the log
		f.After = max(0, f.UpTo-scanned)
	}
	if f.UpTo <= 0 { // nothing is older
		return list, nil
	}
	events, more, err := s.Store.Events(ctx, f)
	if err != nil {
		return nil, err
	}
	list.Events = events
	switch n := len(events); {
	case more && n > 0:
		list.Older = strconv.FormatInt(events[n-1].Seq, 10)
	case !indexed && f.After > 0:
		list.Older = strconv.FormatInt(f.After+1, 10)
	}
	return list, nil
}

// newEvents is what has come since a place: rows for the top of the list.
func (s *Server) newEvents(v *visit) (any, error) {
	ctx := v.Context()
	list := eventList{Query: v.URL.Query(), Live: true}
	after, err := strconv.ParseInt(list.Query.Get("after"), 10, 64)
	if err != nil || after < 0 {
		return nil, order.ErrNotFound
	}
	if list.Newest, err = s.Store.Head(ctx); err != nil {
		return nil, err
	}
	f := eventFilter(list.Query)
	f.Own = list.Query.Get("own") != ""
	f.UpTo, f.After = list.Newest, max(after, list.Newest-scanned)
	if f.UpTo <= after { // nothing is new
		v.status = http.StatusNoContent
		return list, nil
	}
	var more bool
	list.Events, more, err = s.Store.Events(ctx, f)
	if list.Polled = true; more { // the page is read anew, with links to what does not fit
		v.status, v.anew = http.StatusNoContent, true
	}
	return list, err
}

// eventPage is one event.
type eventPage struct {
	moment
	API *contract.API // nil: Ordergate's own
}

func (s *Server) event(v *visit) (any, error) {
	ctx := v.Context()
	seq, err := strconv.ParseInt(v.PathValue("seq"), 10, 64)
	if err != nil || seq < 1 {
		return nil, order.ErrNotFound
	}
	events, _, err := s.Store.Events(ctx, order.EventFilter{Seq: seq, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, order.ErrNotFound
	}
	moments, err := s.moments(ctx, events)
	if err != nil {
		return nil, err
	}
	p := eventPage{moment: moments[0]}
	p.API, _ = contract.ByMethod(events[0].API)
	return p, nil
}

// warningText words a warning's code.
func warningText(api *contract.API, code string) string {
	if api == nil {
		return ""
	}
	rule, ok := order.RuleOf(api)
	if !ok {
		return ""
	}
	i := slices.IndexFunc(rule.Warnings, func(w order.Warning) bool { return w.Code == code })
	if i < 0 {
		return ""
	}
	return rule.Warnings[i].Text
}

// WarningText words a warning of the event.
func (p eventPage) WarningText(code string) string { return warningText(p.API, code) }
