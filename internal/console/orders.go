package console

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// orderList is what the search shows.
type orderList struct {
	Query  url.Values
	Search string
	Stage  string
	Stages []order.State
	Orders []*order.Order
	Next   string
}

// orders finds orders by the start of their numbers; a number that is one order's leads to
// it. Without one it lists the newest.
func (s *Server) orders(v *visit) (any, error) {
	query := v.URL.Query()
	list := orderList{Query: query, Search: strings.TrimSpace(query.Get("q")), Stage: query.Get("stage"), Stages: allStages()}
	f := order.OrderFilter{Sort: order.ByNewest, Limit: pageSize}
	if slices.Contains(list.Stages, order.State(list.Stage)) {
		f.Stage = order.State(list.Stage)
	}
	after := query.Get("after")
	switch {
	case list.Search != "":
		f.Prefix, f.Sort = list.Search, order.ByNumber
		if id, number, ok := strings.Cut(after, ":"); ok {
			n, _ := strconv.ParseInt(id, 10, 64)
			f.Behind = &order.Behind{ID: n, Number: number}
		} else if found, err := s.exactly(v, list.Search); err != nil || found {
			return nil, err
		}
	case f.Stage != "" && slices.Contains(order.Open, f.Stage): // by the index of open orders
		f.Sort = order.ByUnchanged
		if behind, ok := order.ReadBehind(after); ok {
			f.Behind = &behind
		}
	default:
		f.After, _ = strconv.ParseInt(after, 10, 64)
	}
	var more bool
	var err error
	if list.Orders, more, err = s.Store.Orders(v.Context(), f); err != nil {
		return nil, err
	}
	if n := len(list.Orders); more && n > 0 {
		last := list.Orders[n-1]
		switch f.Sort {
		case order.ByNumber:
			list.Next = strconv.FormatInt(last.ID, 10) + ":" + last.Number
		case order.ByUnchanged:
			list.Next = order.Behind{At: last.UpdatedAt, ID: last.ID}.Text()
		default:
			list.Next = strconv.FormatInt(last.ID, 10)
		}
	}
	return list, nil
}

// allStages lists the stages of all platforms, each once.
func allStages() []order.State {
	all := slices.Clone(order.States(order.Taobao))
	for _, stage := range order.States(order.Suning) {
		if !slices.Contains(all, stage) {
			all = append(all, stage)
		}
	}
	return all
}

// exactly sends the browser to the order, or else the work order, of a number, if there is
// exactly one.
func (s *Server) exactly(v *visit, number string) (bool, error) {
	if v.URL.Query().Has("list") {
		return false, nil
	}
	found, _, err := s.Store.Orders(v.Context(), order.OrderFilter{Key: order.Key{Number: number}, Sort: order.ByNumber, Limit: 2})
	if err != nil {
		return false, err
	}
	if len(found) == 1 {
		v.goTo = orderPath(found[0].Key)
	}
	if len(found) > 0 {
		return len(found) == 1, nil
	}
	work, _, err := s.Store.WorkOrders(v.Context(), order.WorkOrderFilter{Key: order.WorkOrderKey{ID: number}, Limit: 1})
	if err != nil || len(work) == 0 {
		return false, err
	}
	v.goTo = "/work-orders/" + strconv.FormatInt(work[0].Row, 10)
	return true, nil
}

// orderPage is one order with its time line.
type orderPage struct {
	*order.Order
	Several  int // sellers who have an order of that number
	Timeline []moment
	Query    url.Values
	Next     string
	Now      time.Time
}

// moment is an event of a time line.
type moment struct {
	*order.Event
	Record     recorded
	Masked     wire.Shown // the call, as far as it is kept
	Deliveries []order.Delivery
}

// recorded is what an event keeps of its call.
type recorded struct {
	RequestID  string           `json:"request_id"`
	Format     string           `json:"format"`
	SignMethod string           `json:"sign_method"`
	Via        string           `json:"via"`
	Params     []contract.Param `json:"-"` // in their order
}

// mostMoments is how many events a page of a time line has.
const mostMoments = 100

func (s *Server) order(v *visit) (any, error) {
	ctx := v.Context()
	query := v.URL.Query()
	key := order.Key{Platform: v.PathValue("platform"), Number: v.PathValue("number")}
	found, _, err := s.Store.Orders(ctx, order.OrderFilter{Key: key, Sort: order.ByNumber, Limit: pageSize})
	if err != nil {
		return nil, err
	}
	several := len(found)
	if seller := query.Get("seller"); query.Has("seller") {
		found = slices.DeleteFunc(found, func(o *order.Order) bool { return o.Seller != seller })
	}
	switch {
	case len(found) == 0:
		return nil, order.ErrNotFound
	case len(found) > 1:
		v.goTo = "/orders?list=1&q=" + url.QueryEscape(key.Number)
		return nil, nil
	}
	p := orderPage{Order: found[0], Several: several, Query: query, Now: s.Clock()}
	after, _ := strconv.ParseInt(query.Get("after"), 10, 64)
	events, more, err := s.Store.Events(ctx, order.EventFilter{OrderID: p.ID, After: after, Limit: mostMoments})
	if err != nil {
		return nil, err
	}
	if p.Timeline, err = s.moments(ctx, events); err != nil {
		return nil, err
	}
	if n := len(events); more && n > 0 {
		p.Next = strconv.FormatInt(events[n-1].Seq, 10)
	}
	return p, nil
}

// moments adds to events of an order, or the like, what is known of each.
func (s *Server) moments(ctx context.Context, events []*order.Event) ([]moment, error) {
	if len(events) == 0 {
		return nil, nil
	}
	first, last := events[0].Place, events[0].Place
	var lanes []order.Lane
	for _, e := range events {
		first, last = min(first, e.Place), max(last, e.Place)
		if !slices.Contains(lanes, e.Lane) {
			lanes = append(lanes, e.Lane)
		}
	}
	var deliveries []order.Delivery
	for _, lane := range lanes {
		found, err := s.lister().Of(ctx, lane, first, last)
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, found...)
	}
	moments := make([]moment, len(events))
	for i, e := range events {
		m, err := momentOf(e)
		if err != nil {
			return nil, err
		}
		for _, d := range deliveries {
			if d.Event.Seq == e.Seq {
				m.Deliveries = append(m.Deliveries, d)
			}
		}
		moments[i] = m
	}
	return moments, nil
}

// momentOf reads what an event keeps of its call.
func momentOf(e *order.Event) (moment, error) {
	m := moment{Event: e}
	if err := json.Unmarshal(e.Record, &m.Record); err != nil {
		return m, err
	}
	params, err := e.Params()
	if err != nil {
		return m, err
	}
	n, err := contract.ParseJSON(string(params))
	if err != nil {
		return m, err
	}
	for _, part := range n.Parts { // in their order
		m.Record.Params = append(m.Record.Params, contract.Param{Name: part.Name, Value: part.Text})
	}
	api, known := contract.ByMethod(e.API)
	if !known {
		return m, nil
	}
	m.Masked, err = wire.Rebuild(wire.Message{
		AppKey: e.App, API: api, Params: m.Record.Params, Time: e.At, Session: sessionOf(api),
		Format: wire.FormatOf(m.Record.Format), Digest: wire.Digest(m.Record.SignMethod),
	})
	if err != nil { // what is kept is not what the client would send: the parameters say it all
		m.Masked = wire.Shown{}
	}
	return m, nil
}

// sessionOf stands for the session of a call to an API that requires one.
func sessionOf(api *contract.API) contract.Secret {
	if api.Session == contract.Required {
		return contract.Masked
	}
	return ""
}
