package order

import (
	"context"
	"slices"
)

// DeliveryLister lists deliveries as if each were a row: derived from the cursors of
// their destinations and what deviates from them.
type DeliveryLister struct {
	Store Store
	// OnTheirWay lists the places of the events that a queue is delivering; nil: none.
	OnTheirWay func(q QueueName) map[int64]bool
}

// DeliveryQuery selects deliveries for a page.
type DeliveryQuery struct {
	Destination string          // empty: all
	States      []DeliveryState // none: all
	Queue       QueueName       // behind the delivery of this queue
	Seq         int64           // and of this place
	Limit       int
}

// scanPages is how many pages of the log are looked at for one page of a list.
const scanPages = 10

// Exceptions are the states that have rows of their own.
var Exceptions = []DeliveryState{DeliveryRetrying, DeliveryHeld, DeliveryDead}

// StatesOf are the states that are asked for by one: what is held is dead, too. Of none it
// is none.
func StatesOf(state DeliveryState) []DeliveryState {
	switch state {
	case "":
		return nil
	case DeliveryDead:
		return []DeliveryState{DeliveryDead, DeliveryHeld}
	}
	return []DeliveryState{state}
}

// Queues lists the queues that a list is about, by name. It fails with ErrNotFound when
// there is no such destination.
func (l DeliveryLister) Queues(ctx context.Context, destination string) ([]Queue, error) {
	queues, err := l.Store.Queues(ctx)
	if err != nil || destination == "" {
		return queues, err
	}
	if _, err := FindDestination(ctx, l.Store, destination); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(queues, func(q Queue) bool { return q.Name.Destination() != destination }), nil
}

// List lists deliveries by their queues and places. A page may be short, or empty, and the
// list go on all the same: next is then the id to go on behind.
func (l DeliveryLister) List(ctx context.Context, query DeliveryQuery) (page []Delivery, next string, err error) {
	queues, err := l.Queues(ctx, query.Destination)
	if err != nil {
		return nil, "", err
	}
	first, seq := query.Queue, query.Seq
	scanned := 0
	for _, q := range queues {
		if q.Name < first {
			continue
		}
		if q.Name != first {
			seq = 0
		}
		for more := true; more; {
			if scanned == scanPages*query.Limit || len(page) == query.Limit {
				return page, DeliveryID(q.Name, seq), nil
			}
			var found []Delivery
			var last int64
			if found, last, more, err = l.of(ctx, q, query.States, seq, query.Limit); err != nil {
				return nil, "", err
			}
			scanned += query.Limit
			for _, d := range found {
				if len(page) == query.Limit {
					return page, DeliveryID(q.Name, seq), nil
				}
				seq = d.Event.Place
				page = append(page, d)
			}
			seq = max(seq, last)
		}
		first = ""
	}
	return page, "", nil
}

// of lists deliveries of a queue behind a place, and up to which place it has looked.
func (l DeliveryLister) of(ctx context.Context, q Queue, states []DeliveryState, after int64, limit int) (found []Delivery, last int64, more bool, err error) {
	f := DeliveryFilter{Queue: q.Name, After: after, Limit: limit}
	only := func(of ...DeliveryState) bool {
		return states != nil && !slices.ContainsFunc(states, func(s DeliveryState) bool { return !slices.Contains(of, s) })
	}
	switch {
	case only(Exceptions...):
		f.States = states
	case only(DeliveryPending, DeliveryInFlight):
		f.After = max(f.After, q.First-1)
	}
	page, more, err := l.Store.Delivered(ctx, f)
	if err != nil {
		return nil, 0, false, err
	}
	if more && len(page) > 0 {
		last = page[len(page)-1].Event.Place
	}
	d, err := FindDestination(ctx, l.Store, q.Name.Destination())
	if err != nil {
		return nil, 0, false, err
	}
	for _, one := range l.taken(d, page) {
		if states == nil || slices.Contains(states, one.State) {
			found = append(found, one)
		}
	}
	return found, last, more && len(page) > 0, nil
}

// taken leaves what a destination takes, or has failed to, and tells what is on its way.
func (l DeliveryLister) taken(d *Destination, page []Delivery) (taken []Delivery) {
	var onTheirWay map[int64]bool
	if l.OnTheirWay != nil && len(page) > 0 {
		onTheirWay = l.OnTheirWay(page[0].Queue)
	}
	for _, one := range page {
		if one.State == DeliveryPending && onTheirWay[one.Event.Place] {
			one.State = DeliveryInFlight
		}
		if slices.Contains(Exceptions, one.State) || d.Takes(one.Event) {
			taken = append(taken, one)
		}
	}
	return taken
}

// Find finds a delivery by its id, or fails with ErrNotFound.
func (l DeliveryLister) Find(ctx context.Context, id string) (Delivery, error) {
	name, seq, ok := ReadDeliveryID(id)
	if !ok || seq == 0 {
		return Delivery{}, ErrNotFound
	}
	if _, err := FindDestination(ctx, l.Store, name.Destination()); err != nil {
		return Delivery{}, err
	}
	found, _, _, err := l.of(ctx, Queue{Name: name}, nil, seq-1, 1)
	if err == nil && (len(found) == 0 || found[0].Event.Place != seq) {
		err = ErrNotFound
	}
	if err != nil {
		return Delivery{}, err
	}
	return found[0], nil
}

// Of lists the deliveries of the events of a lane, from one place up to another, by
// destination.
func (l DeliveryLister) Of(ctx context.Context, lane Lane, from, upTo int64) (all []Delivery, err error) {
	queues, err := l.Store.Queues(ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		if q.Name.Replay() {
			continue
		}
		page, _, err := l.Store.Delivered(ctx, DeliveryFilter{Queue: q.Name, Lane: lane, After: from - 1, UpTo: upTo, Limit: MaxLaneDeliveries})
		if err != nil {
			return nil, err
		}
		d, err := FindDestination(ctx, l.Store, q.Name.Destination())
		if err != nil {
			return nil, err
		}
		all = append(all, l.taken(d, page)...)
	}
	return all, nil
}

// MaxLaneDeliveries is of how many events Of lists the deliveries.
const MaxLaneDeliveries = 1000

// FindDestination finds a destination by its name, or fails with ErrNotFound.
func FindDestination(ctx context.Context, s Store, name string) (*Destination, error) {
	destinations, err := s.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(destinations, func(d *Destination) bool { return d.Name == name })
	if i < 0 {
		return nil, ErrNotFound
	}
	return destinations[i], nil
}
