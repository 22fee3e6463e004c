package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/ordergate/ordergate/internal/order"
)

// deliveryList is a page of deliveries.
type deliveryList struct {
	Query        url.Values
	Destinations []*order.Destination
	States       []order.DeliveryState
	Deliveries   []order.Delivery
	Next         string
	Again        int // that the filter retries
}

var deliveryStates = []order.DeliveryState{order.DeliveryDead, order.DeliveryHeld, order.DeliveryRetrying, order.DeliveryInFlight, order.DeliveryPending, order.DeliveryDone}

// anyState stands in a form for deliveries of every state. What is asked for first is what
// did not get through.
const anyState = "any"

func (s *Server) lister() order.DeliveryLister {
	return order.DeliveryLister{Store: s.Store, OnTheirWay: s.Courier.OnTheirWay}
}

func (s *Server) deliveries(v *visit) (any, error) {
	ctx := v.Context()
	list := deliveryList{Query: v.URL.Query(), States: deliveryStates}
	var err error
	if list.Destinations, err = s.Store.Destinations(ctx); err != nil {
		return nil, err
	}
	query := order.DeliveryQuery{Destination: list.Query.Get("destination"), States: order.Exceptions, Limit: pageSize}
	switch state := order.DeliveryState(list.Query.Get("state")); {
	case state == anyState:
		query.States = nil
	case slices.Contains(deliveryStates, state):
		query.States = order.StatesOf(state)
	}
	query.Queue, query.Seq, _ = order.ReadDeliveryID(list.Query.Get("after"))
	if list.Deliveries, list.Next, err = s.lister().List(ctx, query); err != nil {
		return nil, err
	}
	owing, err := s.Store.Owing(ctx)
	for _, o := range owing {
		if query.Destination == "" || o.Destination == query.Destination {
			list.Again += againOf(list.Query.Get("state"), o)
		}
	}
	return list, err
}

// againOf is how many deliveries the button retries that retries all of a filter: what is
// dead, held ones included, unless the filter names another state that can be retried.
func againOf(state string, o order.Owing) int {
	switch order.DeliveryState(state) {
	case order.DeliveryHeld:
		return o.Held
	case order.DeliveryRetrying:
		return o.Retrying
	case "", order.DeliveryDead:
		return o.Dead + o.Held
	}
	return 0
}

// changeDeliveries retries deliveries: those that are ticked, or all that a filter finds.
func (s *Server) changeDeliveries(v *visit) (any, error) {
	if err := v.ParseForm(); err != nil {
		return nil, wrong(v.say("The form cannot be read."))
	}
	back := "/deliveries?" + url.Values{"state": v.PostForm["state"], "destination": v.PostForm["destination"]}.Encode()
	var err error
	notice := "Tried again."
	if v.PostFormValue("all") != "" {
		filter := map[string]any{"destination": v.PostFormValue("destination"), "state": string(order.DeliveryDead)}
		if state := order.DeliveryState(v.PostFormValue("state")); slices.Contains(order.Exceptions, state) {
			filter["state"] = string(state)
		}
		err = s.manage(v.Context(), http.MethodPost, "/v1/deliveries/retry", filter, nil)
	} else {
		notice, err = s.eachDelivery(v, v.PostForm["id"])
	}
	if err := v.failed(err); err != nil {
		return nil, err
	}
	if v.problem != nil {
		return s.deliveries(v)
	}
	return v.done(back, notice)
}

// eachDelivery retries deliveries one by one, or gives them up, as a form says, and tells
// what was done. What one is refused keeps no other from it.
func (s *Server) eachDelivery(v *visit, ids []string) (notice string, _ error) {
	verb, notice := "retry", "Tried again."
	if v.PostFormValue("do") == "skip" {
		verb, notice = "skip", "Given up."
	}
	if len(ids) == 0 {
		return "", wrong(v.say("Nothing is ticked."))
	}
	var refused *problem
	for _, id := range ids {
		err := s.manage(v.Context(), http.MethodPost, "/v1/deliveries/"+escape(id)+"/"+verb, nil, nil)
		if p, ok := errors.AsType[*problem](err); ok {
			refused = &problem{Status: p.Status, Detail: id + ": " + p.Detail}
		} else if err != nil {
			return "", err
		}
	}
	if refused != nil {
		return "", refused
	}
	return notice, nil
}

// deliveryPage is one delivery.
type deliveryPage struct {
	order.Delivery
	Moment    moment
	Retryable bool
	Skippable bool
}

func (s *Server) delivery(v *visit) (any, error) {
	d, err := s.lister().Find(v.Context(), v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	p := deliveryPage{Delivery: d, Retryable: slices.Contains(order.Exceptions, d.State), Skippable: d.State == order.DeliveryRetrying || d.State == order.DeliveryHeld}
	p.Moment, err = momentOf(d.Event)
	return p, err
}

func (s *Server) changeDelivery(v *visit) (any, error) {
	id := v.PathValue("id")
	notice, err := s.eachDelivery(v, []string{id})
	if err := v.failed(err); err != nil {
		return nil, err
	}
	if v.problem != nil {
		return s.delivery(v)
	}
	return v.done("/deliveries/"+escape(id), notice)
}
