package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// Courier is who delivers.
type Courier interface {
	// Condition is how a destination is doing.
	Condition(destination string) order.Condition
	// OnTheirWay lists the places of the events that a queue is delivering.
	OnTheirWay(q order.QueueName) map[int64]bool
	// Try reaches a destination with something of no consequence.
	Try(ctx context.Context, d *order.Destination) order.Trial
	// Await returns when the log has events behind a place, or with the error of ctx.
	Await(ctx context.Context, seq int64) error
}

// Delivery is an event that is owed to a destination, or was.
type Delivery struct {
	ID          string              `json:"id" doc:"Destination and place of the event in the log; those of a replay have /replay behind the destination"`
	Destination string              `json:"destination"`
	Seq         int64               `json:"seq"`
	Event       string              `json:"event" doc:"Its id; a webhook's webhook-id"`
	API         string              `json:"api"`
	Order       string              `json:"order"`
	State       order.DeliveryState `json:"state" enum:"pending,in_flight,done,retrying,dead"`
	Held        bool                `json:"held,omitempty" doc:"It is dead, and its order waits for a person"`
	Attempts    int                 `json:"attempts" doc:"Used up since it was last retried. An outage of the destination uses up none"`
	NextAt      *apply.Time         `json:"next_at,omitempty"`
	Reason      string              `json:"reason,omitempty"`
	Last        []Attempt           `json:"last" doc:"The last attempts of what is not done"`
}

// Attempt is one try of a delivery.
type Attempt struct {
	At        *apply.Time `json:"at"`
	Status    int         `json:"status" doc:"Of the HTTP answer; 0: there was none"`
	LatencyMS float64     `json:"latency_ms"`
	Body      string      `json:"body" doc:"Of the answer, or why there is none"`
}

func showDelivery(d order.Delivery) Delivery {
	out := Delivery{
		ID: order.DeliveryID(d.Queue, d.Event.Place), Destination: d.Queue.Destination(), Seq: d.Event.Place, Event: d.Event.ID, API: d.Event.API, Order: d.Event.Order.Number,
		State: d.State, Held: d.State == order.DeliveryHeld, Attempts: d.Attempts, NextAt: apply.AsTime(d.NextAt), Reason: d.Reason, Last: []Attempt{},
	}
	if out.Held {
		out.State = order.DeliveryDead
	}
	for _, a := range d.Last {
		out.Last = append(out.Last, Attempt{At: apply.AsTime(a.At), Status: a.Status, LatencyMS: float64(a.Latency.Microseconds()) / 1000, Body: a.Body})
	}
	return out
}

// DeliveryPath names a delivery.
type DeliveryPath struct {
	ID string `path:"id" doc:"<destination>:<seq>"`
}

// DeliveryQuery selects deliveries.
type DeliveryQuery struct {
	State       order.DeliveryState `query:"state" enum:"pending,in_flight,done,retrying,dead,held" doc:"held: dead ones whose orders wait for a person"`
	Destination string              `query:"destination"`
}

// RetryFilter selects deliveries to be tried again.
type RetryFilter struct {
	Destination string              `json:"destination,omitempty" yaml:"destination" doc:"Absent: all"`
	State       order.DeliveryState `json:"state,omitempty" yaml:"state" enum:"retrying,dead,held" doc:"held: dead ones whose orders wait for a person. Absent: dead"`
	FromSeq     int64               `json:"from_seq,omitempty" yaml:"from_seq" doc:"Place of the first event; absent: the beginning"`
	ToSeq       int64               `json:"to_seq,omitempty" yaml:"to_seq" doc:"Place of the last event; absent: the end"`
}

// Retried says what became of a wish to try again.
type Retried struct {
	Retried int `json:"retried"`
}

func (s *Server) registerDeliveries(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/v1/deliveries", Summary: "List deliveries",
		Description: "What a delivery is, is derived: from the cursor of its destination and what deviates from it. A page may be short, or empty, and still have a next.",
	}, func(ctx context.Context, in *struct {
		TextPage
		DeliveryQuery
	}) (*listOutput[Delivery], error) {
		return s.listDeliveries(ctx, in.DeliveryQuery, in.After, in.Limit)
	})
	huma.Register(api, huma.Operation{OperationID: "get-delivery", Method: http.MethodGet, Path: "/v1/deliveries/{id}", Summary: "Show a delivery"},
		func(ctx context.Context, in *DeliveryPath) (*struct{ Body Delivery }, error) {
			d, err := s.delivery(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &struct{ Body Delivery }{showDelivery(d)}, nil
		})
	huma.Register(api, huma.Operation{
		OperationID: "retry-delivery", Method: http.MethodPost, Path: "/v1/deliveries/{id}/retry", Summary: "Try a delivery again now, from the first attempt on",
		Description: "For what is retrying or dead; 409 for the rest.",
	}, func(ctx context.Context, in *DeliveryPath) (*struct{ Body Delivery }, error) {
		return s.again(ctx, in.ID, false)
	})
	huma.Register(api, huma.Operation{
		OperationID: "skip-delivery", Method: http.MethodPost, Path: "/v1/deliveries/{id}/skip", Summary: "Give a delivery up, so that its order goes on",
		Description: "For what is retrying or held; 409 for the rest.",
	}, func(ctx context.Context, in *DeliveryPath) (*struct{ Body Delivery }, error) {
		return s.again(ctx, in.ID, true)
	})
	filter := body[RetryFilter](api, "application/json")
	huma.Register(api, huma.Operation{
		OperationID: "retry-deliveries", Method: http.MethodPost, Path: "/v1/deliveries/retry", Summary: "Try all deliveries again that are dead, or as the filter says",
		RequestBody: filter, SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, s.retryDeliveries)
	filter.Required = false // the library requires every body that it does not parse
}

// lister lists deliveries as the ledger and the courier know them.
func (s *Server) lister() order.DeliveryLister {
	return order.DeliveryLister{Store: s.Store, OnTheirWay: s.Courier.OnTheirWay}
}

func (s *Server) listDeliveries(ctx context.Context, in DeliveryQuery, after string, limit int) (*listOutput[Delivery], error) {
	query := order.DeliveryQuery{Destination: in.Destination, States: order.StatesOf(in.State), Limit: limit}
	var ok bool
	if query.Queue, query.Seq, ok = order.ReadDeliveryID(after); after != "" && !ok {
		return nil, problem(http.StatusUnprocessableEntity, "a query parameter is wrong", Detail{"query.after", "is no next of a page of deliveries"})
	}
	found, next, err := s.lister().List(ctx, query)
	if err != nil {
		return nil, s.failed(err)
	}
	out := page(found, false, nil, showDelivery)
	out.Body.Next = next
	return out, nil
}

// delivery finds a delivery by its id.
func (s *Server) delivery(ctx context.Context, id string) (order.Delivery, error) {
	d, err := s.lister().Find(ctx, id)
	if err != nil {
		return d, s.failed(err)
	}
	return d, nil
}

// again retries a delivery, or gives it up.
func (s *Server) again(ctx context.Context, id string, skip bool) (*struct{ Body Delivery }, error) {
	d, err := s.delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	can := order.Exceptions
	if skip {
		can = []order.DeliveryState{order.DeliveryRetrying, order.DeliveryHeld}
	}
	if !slices.Contains(can, d.State) {
		return nil, s.failed(&order.Conflict{Text: "the delivery is " + string(showDelivery(d).State) + "; what is done is delivered again by a replay"})
	}
	if s.Courier.OnTheirWay(d.Queue)[d.Event.Place] {
		return nil, s.failed(&order.Conflict{Text: "the delivery is on its way; ask again when it has been answered"})
	}
	if err := s.commit(ctx, order.RetryDeliveries(order.Retry{Queue: d.Queue, Seqs: []int64{d.Event.Place}, Skip: skip})); err != nil {
		return nil, err
	}
	if d, err = s.delivery(ctx, id); err != nil {
		return nil, err
	}
	return &struct{ Body Delivery }{showDelivery(d)}, nil
}

// retryPage is how many deliveries are retried in one transaction.
const retryPage = 500

func (s *Server) retryDeliveries(ctx context.Context, in *struct{ RawBody []byte }) (*struct{ Body Retried }, error) {
	var f RetryFilter
	if len(in.RawBody) > 0 {
		if err := apply.ParseItem(in.RawBody, &f); err != nil {
			return nil, unread(err)
		}
	}
	states := order.StatesOf(cmp.Or(f.State, order.DeliveryDead))
	if !slices.Contains(order.Exceptions, states[0]) {
		return nil, problem(http.StatusUnprocessableEntity, "the filter is wrong", Detail{"body.state", "is one of retrying, dead, held"})
	}
	queues, err := s.lister().Queues(ctx, f.Destination)
	if err != nil {
		return nil, s.failed(err)
	}
	out := &struct{ Body Retried }{}
	for _, q := range queues {
		for after, more := max(f.FromSeq-1, 0), true; more; {
			var page []order.Delivery
			if page, more, err = s.Store.Delivered(ctx, order.DeliveryFilter{Queue: q.Name, States: order.Exceptions, After: after, Limit: retryPage}); err != nil {
				return nil, s.failed(err)
			}
			var seqs []int64
			for _, d := range page {
				if after = d.Event.Place; f.ToSeq > 0 && after > f.ToSeq {
					more = false
				} else if slices.Contains(states, d.State) && !(q.Name.Replay() && d.State == order.DeliveryDead) { // listed with the destination itself
					seqs = append(seqs, after)
				}
			}
			if len(seqs) == 0 {
				continue
			}
			if err := s.commit(ctx, order.RetryDeliveries(order.Retry{Queue: q.Name, Seqs: seqs})); err != nil {
				return nil, err
			}
			out.Body.Retried += len(seqs)
		}
	}
	return out, nil
}

// Stats are counts of the ledger, and how the destinations are doing.
type Stats struct {
	Events       int64              `json:"events"`
	Orders       int64              `json:"orders"`
	WorkOrders   int64              `json:"work_orders"`
	Refused      map[string]int64   `json:"refused" doc:"Refused calls since the start, by code"`
	Destinations []DestinationStats `json:"destinations"`
}

// DestinationStats is how a destination is doing.
type DestinationStats struct {
	Name     string                 `json:"name"`
	Lag      int64                  `json:"lag" doc:"Places in the log between its cursor and the end"`
	Retrying int                    `json:"retrying" doc:"Deliveries that wait for their next attempt"`
	Dead     int                    `json:"dead" doc:"Deliveries that are given up"`
	Held     int                    `json:"held" doc:"Of those, the ones whose orders wait for a person"`
	State    order.DestinationState `json:"state" enum:"up,down,disabled,waiting" doc:"waiting: calls wait for its answer, and nothing else is delivered to it"`
	Reason   string                 `json:"reason,omitempty" doc:"Why it is down"`
	Since    *apply.Time            `json:"since,omitempty"`
	NextAt   *apply.Time            `json:"next_at,omitempty" doc:"When it is tried again"`
}

func (s *Server) registerStats(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "get-stats", Method: http.MethodGet, Path: "/v1/stats", Summary: "Count the ledger, and say how the destinations are doing"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body Stats }, error) {
			stats, err := s.stats(ctx)
			if err != nil {
				return nil, s.failed(err)
			}
			return &struct{ Body Stats }{*stats}, nil
		})
}

func (s *Server) stats(ctx context.Context) (*Stats, error) {
	totals, err := s.Store.Totals(ctx)
	if err != nil {
		return nil, err
	}
	destinations, err := s.Store.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	owing, err := s.Store.Owing(ctx)
	if err != nil {
		return nil, err
	}
	out := &Stats{Events: totals.Events, Orders: totals.Orders, WorkOrders: totals.WorkOrders, Refused: map[string]int64{}, Destinations: []DestinationStats{}}
	if s.Refused != nil {
		out.Refused = s.Refused()
	}
	for _, d := range destinations {
		condition := s.Courier.Condition(d.Name)
		one := DestinationStats{Name: d.Name, State: d.State(condition)}
		if i := slices.IndexFunc(owing, func(o order.Owing) bool { return o.Destination == d.Name }); i >= 0 {
			one.Lag, one.Retrying, one.Held, one.Dead = owing[i].Lag, owing[i].Retrying, owing[i].Held, owing[i].Dead+owing[i].Held
		}
		if one.State == order.DestinationDown {
			one.Reason, one.Since, one.NextAt = condition.Reason, apply.AsTime(condition.Since), apply.AsTime(condition.Probe)
		}
		out.Destinations = append(out.Destinations, one)
	}
	return out, nil
}

// Trial is what came of trying a destination.
type Trial struct {
	OK        bool    `json:"ok"`
	Status    int     `json:"status" doc:"Of the HTTP answer; 0: there was none"`
	LatencyMS float64 `json:"latency_ms"`
	Reason    string  `json:"reason,omitempty"`
	Body      string  `json:"body,omitempty"`
}

// ReplayRange is the part of the log that is delivered again.
type ReplayRange struct {
	FromSeq  int64       `json:"from_seq,omitempty" yaml:"from_seq" doc:"Place of the first event; this or from_time"`
	FromTime *apply.Time `json:"from_time,omitempty" yaml:"from_time" doc:"Time of the first event"`
	ToSeq    int64       `json:"to_seq,omitempty" yaml:"to_seq" doc:"Place of the last event; absent: the end of the log now"`
}

func (s *Server) registerReplay(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "replay-destination", Method: http.MethodPost, Path: "/v1/destinations/{name}/replay", Summary: "Deliver part of the log again, beside the cursor",
		Description:   "Every event that the destination takes, in order, with the webhook-id that it had. 409 while another replay is under way, and for a destination that calls wait for.",
		DefaultStatus: http.StatusAccepted,
		RequestBody:   body[ReplayRange](api, "application/json"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, s.replay)
	huma.Register(api, huma.Operation{
		OperationID: "test-destination", Method: http.MethodPost, Path: "/v1/destinations/{name}/test", Summary: "Reach a destination with something of no consequence",
		Description: "A webhook or a stream gets an event " + order.EventTest + " that is in no log. A platform or a merchant gets a call that lacks what it requires: it is good when that is all that they find wrong.",
	}, func(ctx context.Context, in *DestinationPath) (*struct{ Body Trial }, error) {
		d, err := s.destination(ctx, in.Name)
		if err != nil {
			return nil, s.failed(err)
		}
		t := s.Courier.Try(ctx, d)
		return &struct{ Body Trial }{Trial{OK: t.Good, Status: t.Status, LatencyMS: float64(t.Latency.Microseconds()) / 1000, Reason: t.Reason, Body: t.Body}}, nil
	})
}

func (s *Server) replay(ctx context.Context, in *destinationInput) (*struct{ Body ReplayRange }, error) {
	var r ReplayRange
	if err := apply.ParseItem(in.RawBody, &r); err != nil {
		return nil, unread(err)
	}
	after := r.FromSeq - 1
	switch {
	case r.FromSeq < 0, r.FromSeq > 0 == (r.FromTime != nil):
		return nil, problem(http.StatusUnprocessableEntity, "the range is wrong", Detail{"body", "give from_seq, at least 1, or from_time"})
	case r.ToSeq < 0, r.ToSeq > 0 && r.ToSeq < r.FromSeq:
		return nil, problem(http.StatusUnprocessableEntity, "the range is wrong", Detail{"body.to_seq", "lies before the beginning"})
	case r.FromTime != nil:
		var err error
		if after, err = s.Store.SeqAt(ctx, time.Time(*r.FromTime)); err != nil {
			return nil, s.failed(err)
		}
	}
	if err := s.commit(ctx, order.Replay(in.Name, after, r.ToSeq)); err != nil {
		return nil, err
	}
	r.FromSeq = after + 1
	return &struct{ Body ReplayRange }{r}, nil
}
