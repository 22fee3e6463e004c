package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// Event is an accepted fact.
type Event struct {
	Seq        int64             `json:"seq" doc:"Position in the log"`
	ID         string            `json:"id" doc:"Unique for ever"`
	API        string            `json:"api"`
	Platform   string            `json:"platform"`
	Seller     string            `json:"seller"`
	Order      string            `json:"order"`
	WorkOrder  string            `json:"work_order,omitempty" doc:"work_order_id, if it speaks of one"`
	Lines      []string          `json:"lines" doc:"Lines it speaks of; empty: the whole order"`
	App        string            `json:"app"`
	At         *apply.Time       `json:"at"`
	RequestID  string            `json:"request_id" doc:"As in the answer to the caller"`
	Format     string            `json:"format"`
	SignMethod string            `json:"sign_method,omitempty" doc:"TOP only"`
	Via        string            `json:"via,omitempty" doc:"The API of the batch that it came in"`
	Trace      string            `json:"trace,omitempty" doc:"The OpenTelemetry trace that the call is part of, as the header traceparent says it"`
	Params     map[string]string `json:"params" doc:"The API's parameters as received"`
	Answer     map[string]any    `json:"answer" doc:"The answer's fields"`
	Warnings   []string          `json:"warnings" doc:"What was odd about the call; see the list of warnings"`
}

func showEvent(e *order.Event) (Event, error) {
	out := Event{
		Seq: e.Seq, ID: e.ID, API: e.API, Platform: e.Order.Platform, Seller: e.Order.Seller, Order: e.Order.Number, WorkOrder: e.WorkOrder.ID,
		Lines: list(e.Lines), App: e.App, At: apply.AsTime(e.At), Warnings: list(e.Warnings),
	}
	if err := json.Unmarshal(e.Record, &out); err != nil { // request_id, format, sign_method, via, params
		return out, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	if err := json.Unmarshal(e.Answer, &out.Answer); err != nil {
		return out, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	return out, nil
}

func (s *Server) showEvents(events []*order.Event) ([]Event, error) {
	shown := make([]Event, len(events))
	for i, e := range events {
		var err error
		if shown[i], err = showEvent(e); err != nil {
			return nil, s.failed(err)
		}
	}
	return shown, nil
}

func itself(e Event) Event { return e }

func (s *Server) registerEvents(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events", Summary: "Read the log"},
		func(ctx context.Context, in *struct {
			NumberPage
			Order     string `query:"order" doc:"Order number"`
			WorkOrder string `query:"work_order" doc:"work_order_id"`
			API       string `query:"api" doc:"Method name"`
		}) (*listOutput[Event], error) {
			events, more, err := s.Store.Events(ctx, order.EventFilter{Order: in.Order, WorkOrderID: in.WorkOrder, API: in.API, After: in.After, Limit: in.Limit})
			if err != nil {
				return nil, s.failed(err)
			}
			shown, err := s.showEvents(events)
			if err != nil {
				return nil, err
			}
			return page(shown, more, func(e Event) string { return strconv.FormatInt(e.Seq, 10) }, itself), nil
		})
	huma.Register(api, huma.Operation{OperationID: "get-event", Method: http.MethodGet, Path: "/v1/events/{seq}", Summary: "Show an event"},
		func(ctx context.Context, in *struct {
			Seq int64 `path:"seq" minimum:"1"`
		}) (*struct{ Body Event }, error) {
			events, _, err := s.Store.Events(ctx, order.EventFilter{Seq: in.Seq, Limit: 1})
			if err != nil {
				return nil, s.failed(err)
			}
			if len(events) == 0 {
				return nil, s.failed(order.ErrNotFound)
			}
			shown, err := s.showEvents(events)
			if err != nil {
				return nil, err
			}
			return &struct{ Body Event }{shown[0]}, nil
		})
}
