package console

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// overview is what the first page shows.
type overview struct {
	Totals       order.Totals
	Rate         float64 // accepted calls in a second, of late
	Refusals     float64
	Series       series
	Refused      []counted
	Destinations []destinationHealth
	Dead, Held   int
	Stuck        int64
	StuckAfter   time.Duration
	Alerts       []*order.Event
}

// counted is how often a code refused.
type counted struct {
	Code  string
	Calls int64
}

// destinationHealth is how a destination is doing.
type destinationHealth struct {
	*order.Destination
	order.Owing
	Condition order.Condition
	State     string
	Age       time.Duration // how long the oldest event that it is behind with has waited
}

// rateOver is over how many steps of the meter a rate of late is taken.
const rateOver = 6

func (s *Server) stuckAfter() time.Duration {
	if s.StuckAfter == nil {
		return order.StuckAfter
	}
	return cmp.Or(s.StuckAfter(), order.StuckAfter)
}

func (s *Server) overview(v *visit) (any, error) {
	ctx := v.Context()
	var o overview
	var err error
	if o.Totals, err = s.totals.get(ctx, s.Store.Totals); err != nil {
		return nil, err
	}
	counts, err := s.countStages(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range counts {
		o.Stuck += c.Stuck
	}
	if o.Destinations, err = s.health(ctx); err != nil {
		return nil, err
	}
	for _, d := range o.Destinations {
		o.Dead += d.Dead + d.Held
		o.Held += d.Held
	}
	if o.Alerts, _, err = s.Store.Events(ctx, order.EventFilter{Own: true, Newest: true, Limit: 5}); err != nil {
		return nil, err
	}
	o.StuckAfter = s.stuckAfter()
	o.Series = s.Meter.last(s.Clock(), meterSteps)
	n := len(o.Series.Times)
	for i := n - rateOver; i < n; i++ {
		o.Rate += o.Series.Accepted[i] / rateOver
		o.Refusals += o.Series.Refused[i] / rateOver
	}
	o.Refused = countedCodes(s.Counts())
	return o, nil
}

// mostCodes is how many codes the overview lists.
const mostCodes = 8

func countedCodes(counts map[string]int64) []counted {
	var all []counted
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, counted{code, counts[code]})
	}
	slices.SortStableFunc(all, func(a, b counted) int { return cmp.Compare(b.Calls, a.Calls) })
	return all[:min(len(all), mostCodes)]
}

func (s *Server) countStages(ctx context.Context) ([]order.StageCount, error) {
	return s.stages.get(ctx, func(ctx context.Context) ([]order.StageCount, error) {
		return s.Store.Stages(ctx, s.Clock().Add(-s.stuckAfter()))
	})
}

// health tells how all destinations are doing.
func (s *Server) health(ctx context.Context) ([]destinationHealth, error) {
	destinations, err := s.Store.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	owing, err := s.owing.get(ctx, s.Store.Owing)
	if err != nil {
		return nil, err
	}
	queues, err := s.Store.Queues(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]destinationHealth, 0, len(destinations))
	for _, d := range destinations {
		one := destinationHealth{Destination: d, Condition: s.Courier.Condition(d.Name)}
		if one.State = string(d.State(one.Condition)); d.Wait && !d.Disabled {
			one.State = "asked for answers" // to people
		}
		if i := slices.IndexFunc(owing, func(o order.Owing) bool { return o.Destination == d.Name }); i >= 0 {
			one.Owing = owing[i]
		}
		i := slices.IndexFunc(queues, func(q order.Queue) bool { return q.Name == order.QueueName(d.Name) })
		if one.Lag > 0 && i >= 0 {
			if one.Age, err = s.waiting(ctx, d, queues[i]); err != nil {
				return nil, err
			}
		}
		list = append(list, one)
	}
	return list, nil
}

// waiting is how long the first event that is behind a queue's cursor, and that its
// destination takes, has waited.
func (s *Server) waiting(ctx context.Context, d *order.Destination, q order.Queue) (time.Duration, error) {
	events, _, err := s.Store.Events(ctx, order.EventFilter{Settled: true, After: q.First - 1, Limit: lookedAt})
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		if d.Takes(e) {
			return max(0, s.Clock().Sub(e.At)), nil
		}
	}
	return 0, nil
}

// lookedAt is how many events are looked at for the oldest one that a destination takes.
const lookedAt = 50

// funnel is how far orders have come.
type funnel struct {
	StuckAfter time.Duration
	Steps      []funnelStep // of Taobao and those like it
	Further    int64        // orders of which nothing more is expected, of all platforms
	Total      int64
	Suning     funnelStep
	Stage      order.State
	Stuck      []*order.Order
	More       string // where the list of a stage goes on
	Cut        bool   // there are more, of all stages
	Refunds    []*order.Order
	Now        time.Time
}

// funnelStep is a stage with how many orders are there.
type funnelStep struct {
	Stage         order.State
	Orders, Stuck int64
}

func (s *Server) funnel(v *visit) (any, error) {
	ctx := v.Context()
	counts, err := s.countStages(ctx)
	if err != nil {
		return nil, err
	}
	totals, err := s.totals.get(ctx, s.Store.Totals)
	if err != nil {
		return nil, err
	}
	f := funnel{StuckAfter: s.stuckAfter(), Total: totals.Orders, Further: totals.Orders, Now: s.Clock()}
	for _, stage := range order.Open {
		step := funnelStep{Stage: stage}
		for _, c := range counts {
			if c.Stage == stage {
				step.Orders += c.Orders
				step.Stuck += c.Stuck
			}
		}
		f.Further -= step.Orders
		if stage == order.Waiting {
			f.Suning = step
		} else {
			f.Steps = append(f.Steps, step)
		}
	}
	f.Further = max(0, f.Further) // the two are counted apart
	f.Stage = order.State(v.URL.Query().Get("stage"))
	if !slices.Contains(order.Open, f.Stage) {
		f.Stage = ""
	}
	if err := s.stuckOrders(ctx, v, &f); err != nil {
		return nil, err
	}
	f.Refunds, _, err = s.Store.Orders(ctx, order.OrderFilter{Sort: order.ByRefund, Limit: 20})
	return f, err
}

// pageSize is how many rows a page of a list has.
const pageSize = 50

// stuckOrders lists orders that are stuck: those of a stage, else the first ones of all.
func (s *Server) stuckOrders(ctx context.Context, v *visit, f *funnel) error {
	stages := order.Open
	filter := order.OrderFilter{UpdatedUpTo: s.Clock().Add(-f.StuckAfter), Sort: order.ByUnchanged, Limit: pageSize}
	if f.Stage != "" {
		stages = []order.State{f.Stage}
		if behind, ok := order.ReadBehind(v.URL.Query().Get("after")); ok {
			filter.Behind = &behind
		}
	}
	for _, stage := range stages {
		filter.Stage = stage
		found, more, err := s.Store.Orders(ctx, filter)
		if err != nil {
			return err
		}
		f.Stuck = append(f.Stuck, found...)
		if last := len(found) - 1; more && f.Stage != "" && last >= 0 {
			f.More = order.Behind{At: found[last].UpdatedAt, ID: found[last].ID}.Text()
		}
	}
	slices.SortStableFunc(f.Stuck, func(a, b *order.Order) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
	if f.Cut = len(f.Stuck) > pageSize; f.Cut {
		f.Stuck = f.Stuck[:pageSize]
	}
	return nil
}
