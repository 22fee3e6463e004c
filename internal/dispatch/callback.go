package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// Callbacks bring verdicts of merchants, events of contract.InterceptCallback that are
// owed, to the platform: by the first destination of kind top that takes them. Without
// one they are events only. The log is the queue: what is owed when Run ends, or what
// finds no room in memory, is read from it again. Fields without a comment are required.
type Callbacks struct {
	Store  order.Store
	HTTP   *http.Client // see NewClient
	Clock  func() time.Time
	Log    *slog.Logger
	Pauses []time.Duration // before each further try; nil: callbackPauses

	once  sync.Once
	woken chan struct{}
}

// callbackPauses are between the tries of one callback.
var callbackPauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}

// How many callbacks are in memory, and how many are sent to a destination at a time.
const (
	maxCallbacks    = 1000
	callbacksAtOnce = 16
)

// fullPause is until a callback is looked at again whose destination has no place.
const fullPause = 50 * time.Millisecond

// Wake has Run look at the log: it is told of every commit, and is quick.
func (c *Callbacks) Wake(events []*order.Event) {
	if slices.ContainsFunc(events, func(e *order.Event) bool { return e.Owed }) {
		select {
		case c.wake() <- struct{}{}:
		default: // it will look
		}
	}
}

func (c *Callbacks) wake() chan struct{} {
	c.once.Do(func() { c.woken = make(chan struct{}, 1) })
	return c.woken
}

// pending is an owed callback in memory.
type pending struct {
	event *order.Event
	tries int
	next  time.Time
	under bool // way
}

// tried is how a try ended.
type tried struct {
	*pending
	destination string // whose place is free again
	again       bool
	err         error
}

// sender is the state of one Run.
type sender struct {
	*Callbacks
	owed    map[int64]*pending // by place in the log
	more    bool               // the log owes more than there is room for
	places  map[string]int     // that are taken, by destination
	results chan tried
	sending sync.WaitGroup
}

// Run sends until ctx ends; what is under way then, ends too.
func (c *Callbacks) Run(ctx context.Context) {
	s := &sender{Callbacks: c, owed: map[int64]*pending{}, places: map[string]int{}, results: make(chan tried)}
	defer s.sending.Wait()
	s.read(ctx)
	for ctx.Err() == nil {
		t := time.NewTimer(s.start(ctx))
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-c.wake():
			s.read(ctx)
		case r := <-s.results:
			s.finish(ctx, r)
		}
		t.Stop()
	}
}

// read takes what the log owes, as far as there is room.
func (s *sender) read(ctx context.Context) {
	events, more, err := s.Store.Events(ctx, order.EventFilter{Owed: true, Limit: maxCallbacks})
	if err != nil {
		s.Log.Warn("what is owed to platforms could not be read; trying again", "error", err)
	}
	s.more = more || err != nil
	for _, e := range events {
		if s.owed[e.Seq] == nil && len(s.owed) < maxCallbacks {
			s.owed[e.Seq] = &pending{event: e, next: s.Clock()}
		}
	}
}

// start starts what is due, and returns how long nothing else will be.
func (s *sender) start(ctx context.Context) (pause time.Duration) {
	now := s.Clock()
	pause = time.Minute
	destinations, err := s.Store.Destinations(ctx)
	if err != nil {
		return time.Second
	}
	for _, seq := range slices.Sorted(maps.Keys(s.owed)) { // the oldest first
		p := s.owed[seq]
		switch {
		case p.under:
			continue
		case p.next.After(now):
			pause = min(pause, p.next.Sub(now))
			continue
		}
		d := platformOf(destinations, p.event)
		switch {
		case d == nil:
			s.pay(ctx, seq)
		case s.places[d.Name] >= callbacksAtOnce:
			pause = min(pause, fullPause)
		default:
			s.places[d.Name]++
			p.under = true
			s.sending.Go(func() { s.try(ctx, p, d) })
		}
	}
	return pause
}

// platformOf finds the destination of an event; nil when it has none.
func platformOf(destinations []*order.Destination, e *order.Event) *order.Destination {
	i := slices.IndexFunc(destinations, func(d *order.Destination) bool {
		return d.Kind == order.KindTOP && d.Takes(e.API, e.Order.Seller)
	})
	if i < 0 {
		return nil
	}
	return destinations[i]
}

func (s *sender) try(ctx context.Context, p *pending, d *order.Destination) {
	r := tried{pending: p, destination: d.Name}
	defer func() {
		if fault := recover(); fault != nil {
			s.Log.Error("sending a verdict panicked", "event", p.event.ID, "panic", fault, "stack", string(debug.Stack()))
			r.err = errors.New("it panicked")
		}
		select {
		case s.results <- r:
		case <-ctx.Done():
		}
	}()
	r.again, r.err = s.send(ctx, d, p.event)
}

// finish decides what becomes of a callback that was tried.
func (s *sender) finish(ctx context.Context, r tried) {
	s.places[r.destination]--
	r.under = false
	pauses := s.Pauses
	if pauses == nil {
		pauses = callbackPauses
	}
	log := s.Log.With("event", r.event.ID, "order", r.event.Order.Number, "destination", r.destination)
	switch {
	case r.err == nil:
	case ctx.Err() != nil:
		return
	case r.again && r.tries < len(pauses):
		log.Warn("a verdict did not reach the platform; trying again", "in", pauses[r.tries], "error", r.err)
		r.next = s.Clock().Add(pauses[r.tries])
		r.tries++
		return
	default:
		log.Error("a verdict did not reach the platform", "error", r.err)
	}
	s.pay(ctx, r.event.Seq)
}

// pay records that an event is owed no more.
func (s *sender) pay(ctx context.Context, seq int64) {
	paid := &order.Task{Decide: func(*order.View) (order.Decision, error) { return order.Decision{Paid: []int64{seq}}, nil }}
	if err := s.Store.Commit(context.WithoutCancel(ctx), paid); err != nil {
		s.Log.Warn("a verdict that was sent is not recorded as such: it will be sent again", "seq", seq, "error", err)
	}
	delete(s.owed, seq)
	if s.more && len(s.owed) < maxCallbacks/2 {
		s.read(ctx)
	}
}

// send sends a callback, and reports whether sending it again can help.
func (c *Callbacks) send(ctx context.Context, d *order.Destination, e *order.Event) (again bool, err error) {
	session := d.SessionOf(e.Order.Seller)
	if session == "" {
		return false, fmt.Errorf("the destination has no session of seller %s", e.Order.Seller)
	}
	target, err := wire.TOP{}.Target(d.URL)
	if err != nil {
		return false, err
	}
	params, err := paramsOf(e)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.Deadline())
	defer cancel()
	sealed, err := wire.TOP{}.Seal(ctx, wire.Message{
		URL: target, AppKey: d.AppKey, Secret: d.Secret, Session: session, API: contract.InterceptCallback, Params: params,
		Format: wire.Format{JSON: true}, Digest: wire.HMACSHA256, Time: c.Clock(),
	})
	if err != nil {
		return false, err
	}
	body, err := exchange(ctx, c.HTTP, sealed.Request)
	if err != nil {
		return true, wire.WithoutURL(reasonOf(err))
	}
	reply, err := wire.TOP{}.Unseal(contract.InterceptCallback, body)
	if refused, ok := errors.AsType[*contract.Refused](err); ok {
		return refused.Advice() == contract.Retry, refused
	}
	if err != nil {
		return true, err
	}
	if no := contract.InterceptCallback.Refusal(reply); no != nil {
		return false, no
	}
	return false, nil
}

// paramsOf reads the parameters of a callback, in the order of its rows.
func paramsOf(e *order.Event) (params []contract.Param, err error) {
	var record struct{ Params map[string]string }
	if err := json.Unmarshal(e.Record, &record); err != nil {
		return nil, err
	}
	for _, f := range contract.InterceptCallback.Request {
		if value := record.Params[f.Name]; !contract.Blank(value) {
			params = append(params, contract.Param{Name: f.Name, Value: value})
		}
	}
	return params, nil
}
