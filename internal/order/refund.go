package order

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// RefundAfter is how long a virtual line may wait for its shipment, from payment.
// At this very moment it still ships.
const RefundAfter = 100 * time.Minute

// EventRefund is the api of the events of automatic refunds.
const EventRefund = "ordergate.refund.timeout"

// RefundDue is the moment after which lines of the order are refunded
// automatically; zero: never.
func (o *Order) RefundDue() time.Time {
	for _, l := range o.Lines {
		if l.onClock(o) {
			return o.PaidAt.Add(RefundAfter)
		}
	}
	return time.Time{}
}

// onClock reports whether the line is refunded unless it is shipped in time.
func (l *Line) onClock(o *Order) bool {
	if o.Platform != Suning || o.PaidAt.IsZero() || l.State != Waiting {
		return false
	}
	return l.Kind == Recharge || l.Kind == Card || l.Kind == Gift
}

// late reports whether the line's time has passed.
func (l *Line) late(o *Order, now time.Time) bool {
	return l.onClock(o) && now.After(o.PaidAt.Add(RefundAfter))
}

// refund moves the lines of an order whose time has passed, and makes an event of
// each: one for a line and a payment, also when an import brings the line back.
func refund(o *Order, now time.Time) (c Change, events []Event) {
	c = Change{Key: o.Key, Header: o.Header}
	for _, l := range o.Lines {
		if !l.late(o, now) {
			continue
		}
		if !l.RefundOf.Equal(o.PaidAt) {
			events = append(events, refunded(o, l, now))
		}
		l.State, l.RefundOf = Timeout, o.PaidAt
		c.Lines = append(c.Lines, l)
	}
	return c, events
}

func refunded(o *Order, l Line, now time.Time) Event {
	paid := o.PaidAt.In(contract.Zone).Format(time.RFC3339Nano)
	return Event{
		ID:  ownID(EventRefund, o.Platform, o.Seller, o.Number, l.Number, paid),
		API: EventRefund, Order: o.Key, Lines: []string{l.Number}, At: now,
		Record: Record{Params: []contract.Param{{Name: "line", Value: l.Number}, {Name: "paid_at", Value: paid}, {Name: "supplier_code", Value: l.SupplierCode}}}.JSON(),
		Answer: noAnswer,
	}
}

// refundLate makes the task that refunds what is late of an order.
func refundLate(k Key) *Task {
	return &Task{Orders: []Key{k}, Decide: func(v *View) (Decision, error) {
		change, events := refund(v.Orders[k], v.Now)
		if len(change.Lines) == 0 { // a call came first
			return Decision{}, nil
		}
		return Decision{Orders: []Change{change}, Events: events}, nil
	}}
}

// Sweeper makes the automatic refunds that time brings. A call that comes before
// it sees the same truth.
type Sweeper struct {
	Store Store
	Clock func() time.Time
	Log   *slog.Logger

	// Abandon says that it also gives up what was asked so long ago that its asker is gone:
	// another process, which may have been among those that share the store.
	Abandon   bool
	abandoned time.Time // when it last looked for that
}

// abandonEvery is how often it is looked for what nobody asks any more.
const abandonEvery = 10 * time.Second

func (s *Sweeper) abandon(ctx context.Context) error {
	now := s.Clock()
	if now.Sub(s.abandoned) < abandonEvery {
		return nil
	}
	s.abandoned = now
	n, err := AbandonAsked(ctx, s.Store, now.Add(-askedTooLong))
	if n > 0 {
		s.Log.Warn("whoever asked for locks is gone; they are unknown now", "orders", n)
	}
	return err
}

// How often the sweeper looks, and how many orders stand in one transaction:
// calls wait for it.
const (
	sweepEvery = time.Second
	sweepSize  = 100
)

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		leads, err := s.Store.Lead(ctx, "sweep")
		if err == nil && leads {
			err = s.Sweep(ctx)
		}
		if err == nil && leads && s.Abandon {
			err = s.abandon(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("automatic refunds not stored; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sweep makes all refunds that are due.
func (s *Sweeper) Sweep(ctx context.Context) error {
	for ctx.Err() == nil {
		keys, err := s.Store.Overdue(ctx, s.Clock(), sweepSize)
		if err != nil || len(keys) == 0 {
			return err
		}
		if s.refund(ctx, keys) != nil { // one of them may be at fault: the others need not wait for it
			var errs []error
			for _, k := range keys {
				errs = append(errs, s.refund(ctx, []Key{k}))
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
		}
		if len(keys) < sweepSize {
			return nil
		}
	}
	return nil
}

// refund refunds orders in one transaction.
func (s *Sweeper) refund(ctx context.Context, keys []Key) error {
	tasks := make([]*Task, len(keys))
	for i, k := range keys {
		tasks[i] = refundLate(k)
	}
	return s.Store.Commit(ctx, tasks...)
}
