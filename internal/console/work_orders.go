package console

import (
	"net/url"
	"strconv"

	"github.com/ordergate/ordergate/internal/order"
)

// workOrderList is a page of work orders.
type workOrderList struct {
	Query url.Values
	Work  []*order.WorkOrder
	Older string
}

func (s *Server) workOrders(v *visit) (any, error) {
	list := workOrderList{Query: v.URL.Query()}
	f := order.WorkOrderFilter{
		Key:    order.WorkOrderKey{ID: list.Query.Get("id"), Tenant: list.Query.Get("tenant"), App: list.Query.Get("app")},
		Status: list.Query.Get("status"), Newest: true, Limit: pageSize,
	}
	f.After, _ = strconv.ParseInt(list.Query.Get("before"), 10, 64)
	var more bool
	var err error
	if list.Work, more, err = s.Store.WorkOrders(v.Context(), f); more && len(list.Work) > 0 {
		list.Older = strconv.FormatInt(list.Work[len(list.Work)-1].Row, 10)
	}
	return list, err
}

// workOrderPage is a work order with its history.
type workOrderPage struct {
	*order.WorkOrder
	Query    url.Values
	Timeline []moment
	Next     string
}

func (s *Server) workOrder(v *visit) (any, error) {
	ctx := v.Context()
	row, err := strconv.ParseInt(v.PathValue("row"), 10, 64)
	if err != nil || row < 1 {
		return nil, order.ErrNotFound
	}
	found, _, err := s.Store.WorkOrders(ctx, order.WorkOrderFilter{After: row - 1, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || found[0].Row != row {
		return nil, order.ErrNotFound
	}
	p := workOrderPage{WorkOrder: found[0], Query: v.URL.Query()}
	after, _ := strconv.ParseInt(p.Query.Get("after"), 10, 64)
	events, more, err := s.Store.Events(ctx, order.EventFilter{WorkOrder: row, After: after, Limit: mostMoments})
	if err != nil {
		return nil, err
	}
	if more && len(events) > 0 {
		p.Next = strconv.FormatInt(events[len(events)-1].Seq, 10)
	}
	p.Timeline, err = s.moments(ctx, events)
	return p, err
}
