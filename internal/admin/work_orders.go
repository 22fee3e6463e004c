package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// WorkOrder is a work order; alone, also with its history.
type WorkOrder struct {
	ID         string      `json:"id" doc:"work_order_id"`
	TenantCode string      `json:"tenant_code"`
	App        string      `json:"app"`
	Type       string      `json:"type"`
	Status     string      `json:"status"`
	PlanID     string      `json:"plan_id"`
	BizOrderID string      `json:"biz_order_id"`
	Timestamp  string      `json:"ts,omitempty" doc:"ts of the event that set the status"`
	CreatedAt  *apply.Time `json:"created_at"`
	UpdatedAt  *apply.Time `json:"updated_at"`
	History    []Event     `json:"history,omitzero" doc:"Its first 1000 events, oldest first; the others: /v1/events?work_order="`
}

func showWorkOrder(o *order.WorkOrder) WorkOrder {
	return WorkOrder{
		ID: o.ID, TenantCode: o.Tenant, App: o.App, Type: o.Type, Status: o.Status, PlanID: o.PlanID, BizOrderID: o.OrderID,
		Timestamp: o.Timestamp, CreatedAt: apply.AsTime(o.CreatedAt), UpdatedAt: apply.AsTime(o.UpdatedAt),
	}
}

func (s *Server) registerWorkOrders(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "list-work-orders", Method: http.MethodGet, Path: "/v1/work-orders", Summary: "Find work orders"},
		func(ctx context.Context, in *struct {
			NumberPage
			TenantCode string `query:"tenant_code"`
			App        string `query:"app"`
			Status     string `query:"status"`
		}) (*listOutput[WorkOrder], error) {
			orders, more, err := s.Store.WorkOrders(ctx, order.WorkOrderFilter{
				Key: order.WorkOrderKey{App: in.App, Tenant: in.TenantCode}, Status: in.Status, After: in.After, Limit: in.Limit,
			})
			if err != nil {
				return nil, s.failed(err)
			}
			return page(orders, more, func(o *order.WorkOrder) string { return strconv.FormatInt(o.Row, 10) }, showWorkOrder), nil
		})
	huma.Register(api, huma.Operation{OperationID: "get-work-order", Method: http.MethodGet, Path: "/v1/work-orders/{id}", Summary: "Show a work order with its history"},
		func(ctx context.Context, in *struct {
			given
			ID         string `path:"id"`
			TenantCode string `query:"tenant_code" doc:"Needed when several tenants have a work order of that id; empty: the one without a tenant"`
			App        string `query:"app" doc:"Needed when several apps have a work order of that id"`
		}) (*struct{ Body WorkOrder }, error) {
			out, err := s.workOrder(ctx, order.WorkOrderKey{App: in.App, Tenant: in.TenantCode, ID: in.ID}, in.has("tenant_code"))
			if err != nil {
				return nil, err
			}
			return &struct{ Body WorkOrder }{*out}, nil
		})
}

func (s *Server) workOrder(ctx context.Context, k order.WorkOrderKey, ofTenant bool) (*WorkOrder, error) {
	found, _, err := s.Store.WorkOrders(ctx, order.WorkOrderFilter{Key: k, Limit: namesakes})
	if ofTenant {
		found = slices.DeleteFunc(found, func(o *order.WorkOrder) bool { return o.Tenant != k.Tenant })
	}
	o, err := sole(s, found, err, "no such work order", fmt.Sprintf("several work orders are named %s; add ?tenant_code= or ?app=", k.ID))
	if err != nil {
		return nil, err
	}
	events, _, err := s.Store.Events(ctx, order.EventFilter{WorkOrder: o.Row, Limit: timelineLimit})
	if err != nil {
		return nil, s.failed(err)
	}
	out := showWorkOrder(o)
	out.History, err = s.showEvents(events)
	return &out, err
}
