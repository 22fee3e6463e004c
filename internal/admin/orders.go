package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// timelineLimit is how many events an order shows.
const timelineLimit = 1000

// OrderView is an order with its lines; alone, also with its time line.
type OrderView struct {
	Platform     string      `json:"platform"`
	Seller       string      `json:"seller"`
	Number       string      `json:"number"`
	Stage        order.State `json:"stage" doc:"State of the line that has come least far"`
	Buyer        string      `json:"buyer,omitempty"`
	BuyerOpenUID string      `json:"buyer_open_uid,omitempty"`
	PaidAt       *apply.Time `json:"paid_at,omitempty"`
	CreatedAt    *apply.Time `json:"created_at"`
	UpdatedAt    *apply.Time `json:"updated_at"`
	Lines        []LineView  `json:"lines"`
	Statuses     []string    `json:"statuses" doc:"Statuses that flowed back for the whole order"`
	Locks        []Lock      `json:"locks"`
	Timeline     []Event     `json:"timeline,omitzero" doc:"Its first 1000 events, oldest first; the others: /v1/events?order="`
}

// LineView is an order line or sub order.
type LineView struct {
	Number       string      `json:"number"`
	Kind         order.Kind  `json:"kind"`
	Quantity     string      `json:"quantity,omitempty"`
	State        order.State `json:"state"`
	Locked       bool        `json:"locked" doc:"It must not be shipped"`
	SupplierCode string      `json:"supplier_code,omitempty"`
	Statuses     []string    `json:"statuses" doc:"Statuses that flowed back for it, those of the whole order included"`
	Cards        []CardView  `json:"cards,omitempty" doc:"Suning: the cards that it was shipped with"`
	RefundOf     *apply.Time `json:"refund_of,omitempty" doc:"Suning: the payment that was refunded because the line was not shipped in time"`

	AcceptsFailure *bool `json:"accepts_failure,omitempty" doc:"Suning: whether 210 is accepted; absent: by its kind"`
}

// CardView is a card. It leaves only in the call that it belongs to.
type CardView struct {
	Code     contract.Secret `json:"code"`
	Password contract.Secret `json:"password"`
}

func showOrder(o *order.Order) OrderView {
	out := OrderView{
		Platform: o.Platform, Seller: o.Seller, Number: o.Number, Stage: o.Stage,
		Buyer: o.Buyer, BuyerOpenUID: o.BuyerOpenUID, PaidAt: apply.AsTime(o.PaidAt),
		CreatedAt: apply.AsTime(o.CreatedAt), UpdatedAt: apply.AsTime(o.UpdatedAt),
		Lines: make([]LineView, 0, len(o.Lines)), Statuses: list(o.Statuses("")), Locks: make([]Lock, 0, len(o.Locks)),
	}
	for _, l := range o.Locks {
		out.Locks = append(out.Locks, placed{o, l}.show())
	}
	for _, l := range o.Lines {
		out.Lines = append(out.Lines, LineView{
			Number: l.Number, Kind: l.Kind, Quantity: l.Quantity, State: l.State, Locked: o.Held(l.Number), SupplierCode: l.SupplierCode,
			Statuses: list(o.Statuses(l.Number)), Cards: make([]CardView, min(l.Cards, contract.MaxCards)), RefundOf: apply.AsTime(l.RefundOf), AcceptsFailure: l.AcceptsFailure,
		})
	}
	return out
}

// list is an empty array instead of null.
func list(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

func (s *Server) registerOrders(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "list-orders", Method: http.MethodGet, Path: "/v1/orders", Summary: "Find orders"},
		func(ctx context.Context, in *struct {
			NumberPage
			Stage    order.State `query:"stage"`
			StuckFor string      `query:"stuck_for" doc:"Duration such as 24h: not changed for as long"`
			Q        string      `query:"q" doc:"Start of the order number"`
		}) (*listOutput[OrderView], error) {
			f := order.OrderFilter{Stage: in.Stage, Prefix: in.Q, After: in.After, Limit: in.Limit}
			if in.Stage != "" && !slices.Contains(order.States(order.Taobao), in.Stage) && !slices.Contains(order.States(order.Suning), in.Stage) {
				return nil, problem(http.StatusUnprocessableEntity, "a query parameter is wrong", Detail{"query.stage", fmt.Sprintf("is none of %v %v", order.States(order.Taobao), order.States(order.Suning))})
			}
			if in.StuckFor != "" {
				d, err := time.ParseDuration(in.StuckFor)
				if err != nil || d <= 0 {
					return nil, problem(http.StatusUnprocessableEntity, "a query parameter is wrong", Detail{"query.stuck_for", "write a duration such as 24h"})
				}
				f.UpdatedUpTo = s.Clock().Add(-d)
			}
			orders, more, err := s.Store.Orders(ctx, f)
			if err != nil {
				return nil, s.failed(err)
			}
			return page(orders, more, func(o *order.Order) string { return strconv.FormatInt(o.ID, 10) }, showOrder), nil
		})
	huma.Register(api, huma.Operation{OperationID: "get-order", Method: http.MethodGet, Path: "/v1/orders/{platform}/{number}", Summary: "Show an order with its time line"},
		func(ctx context.Context, in *struct {
			given
			Platform string `path:"platform"`
			Number   string `path:"number"`
			Seller   string `query:"seller" doc:"Needed when several sellers have an order of that number; empty: the one without a seller"`
		}) (*struct{ Body OrderView }, error) {
			out, err := s.order(ctx, order.Key{Platform: in.Platform, Number: in.Number, Seller: in.Seller}, in.has("seller"))
			if err != nil {
				return nil, err
			}
			return &struct{ Body OrderView }{*out}, nil
		})
	huma.Register(api, huma.Operation{
		OperationID: "import-orders", Method: http.MethodPost, Path: "/v1/orders", Summary: "Import orders: a JSON array or NDJSON, all or nothing",
		RequestBody: body[[]apply.Order](api, "application/json", "application/x-ndjson"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, func(ctx context.Context, in *struct{ RawBody []byte }) (*struct{ Body Applied }, error) {
		orders, err := apply.ParseOrders(in.RawBody)
		if err != nil {
			return nil, unread(err)
		}
		if err := s.declare(ctx, &apply.Document{Orders: orders}); err != nil {
			return nil, err
		}
		return &struct{ Body Applied }{Applied{Orders: len(orders)}}, nil
	})
}

func (s *Server) order(ctx context.Context, k order.Key, ofSeller bool) (*OrderView, error) {
	found, _, err := s.Store.Orders(ctx, order.OrderFilter{Key: k, Limit: namesakes})
	if ofSeller {
		found = slices.DeleteFunc(found, func(o *order.Order) bool { return o.Seller != k.Seller })
	}
	o, err := sole(s, found, err, "no such order", fmt.Sprintf("several sellers have an order %s; name one: --seller, or ?seller=", k.Number))
	if err != nil {
		return nil, err
	}
	events, _, err := s.Store.Events(ctx, order.EventFilter{OrderID: o.ID, Limit: timelineLimit})
	if err != nil {
		return nil, s.failed(err)
	}
	out := showOrder(o)
	out.Timeline, err = s.showEvents(events)
	return &out, err
}
