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
// one they are events only. The log is the queue: what is owed when Run ends, or finds no
// room in memory, is read from it. Fields without a comment are required.
type Callbacks struct {
	Store  order.Store
	HTTP   *http.Client // see NewClient
	Clock  func() time.Time
	Log    *slog.Logger
	Pauses []time.Duration // before each further try; nil: callbackPauses

	mu      sync.Mutex
	arrived []*order.Event // since Run last looked; at most maxArrived
	woken   chan struct{}
}

// callbackPauses are between the tries of one callback.
var callbackPauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}

// How many callbacks wait in memory for a destination, and how many are sent to it at a
// time: a destination that is slow or gone delays no other. maxArrived have come and
// were not looked at yet.
const (
	maxPending      = 1000
	callbacksAtOnce = 16
	maxArrived      = 10_000
)

// Pauses of the sender: until the log is read again that could not be, and the longest.
const (
	logPause  = time.Second
	idlePause = time.Minute
)

// Wake hands over what was committed. It is quick, and forgets all but what is owed;
// what finds no room is read from the log later.
func (c *Callbacks) Wake(events []*order.Event) {
	if !slices.ContainsFunc(events, func(e *order.Event) bool { return e.Owed }) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		if e.Owed && len(c.arrived) <= maxArrived { // one more than that says that some were left out
			c.arrived = append(c.arrived, e)
		}
	}
	select {
	case c.wake() <- struct{}{}:
	default: // it will look
	}
}

// wake returns the channel that wakes Run; c.mu is held.
func (c *Callbacks) wake() chan struct{} {
	if c.woken == nil {
		c.woken = make(chan struct{}, 1)
	}
	return c.woken
}

// pending is an owed callback in memory.
type pending struct {
	event *order.Event
	tries int
	next  time.Time
	on    bool // its way
}

// tried is how a try ended.
type tried struct {
	*pending
	box   *outbox // whose place is free again
	again bool
	err   error
}

// outbox is what waits for one destination.
type outbox struct {
	owed    map[int64]*pending // by place in the log
	places  int                // that are taken
	skipped bool               // the log owes more than there is room for
}

// sender is the state of one Run.
type sender struct {
	*Callbacks
	boxes   map[string]*outbox // by destination
	unread  bool               // the log must be read
	results chan tried
	sending sync.WaitGroup
}

// Run sends until ctx ends; what is under way then, ends too.
func (c *Callbacks) Run(ctx context.Context) {
	s := &sender{Callbacks: c, boxes: map[string]*outbox{}, unread: true, results: make(chan tried)}
	defer s.sending.Wait()
	c.mu.Lock()
	woken := c.wake()
	c.mu.Unlock()
	for ctx.Err() == nil {
		t := time.NewTimer(s.start(ctx))
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-woken:
		case r := <-s.results:
			s.finish(ctx, r)
		}
		t.Stop()
	}
}

// start takes what has come, starts what is due, and returns how long nothing else will
// be.
func (s *sender) start(ctx context.Context) time.Duration {
	destinations, err := s.Store.Destinations(ctx)
	if err == nil {
		err = s.take(ctx, destinations)
	}
	if err != nil {
		s.Log.Warn("what is owed to platforms could not be read; trying again", "error", err)
		return logPause
	}
	now, pause := s.Clock(), idlePause
	for _, d := range destinations {
		box := s.boxes[d.Name]
		if box == nil {
			continue
		}
		for _, seq := range slices.Sorted(maps.Keys(box.owed)) { // the oldest first
			switch p := box.owed[seq]; {
			case p.on:
			case p.next.After(now):
				pause = min(pause, p.next.Sub(now))
			case box.places < callbacksAtOnce: // the others wait for a result
				box.places++
				p.on = true
				s.sending.Go(func() { s.try(ctx, tried{pending: p, box: box}, d) })
			}
		}
	}
	return pause
}

// take takes what has come, from memory or from the log.
func (s *sender) take(ctx context.Context, destinations []*order.Destination) error {
	s.mu.Lock()
	arrived := s.arrived
	s.arrived = nil
	s.mu.Unlock()
	s.unread = s.unread || len(arrived) > maxArrived
	var nobodys []int64 // owed to no destination
	defer func() { s.pay(ctx, nobodys...) }()
	for _, e := range arrived {
		nobodys = append(nobodys, s.put(destinations, e)...)
	}
	for name, box := range s.boxes {
		if !slices.ContainsFunc(destinations, func(d *order.Destination) bool { return d.Name == name }) && len(box.owed) > 0 {
			delete(s.boxes, name) // another may take what it owes
			s.unread = true
		}
		if box.skipped && len(box.owed) < maxPending/2 {
			box.skipped, s.unread = false, true
		}
	}
	if !s.unread {
		return nil
	}
	for after := int64(0); ; {
		events, more, err := s.Store.Events(ctx, order.EventFilter{Owed: true, After: after, Limit: maxPending})
		if err != nil {
			return err
		}
		for _, e := range events {
			after = e.Seq
			nobodys = append(nobodys, s.put(destinations, e)...)
		}
		if !more {
			s.unread = false
			return nil
		}
	}
}

// put takes a callback for its destination, or returns its place in the log when there
// is none.
func (s *sender) put(destinations []*order.Destination, e *order.Event) (nobodys []int64) {
	d := platformOf(destinations, e)
	if d == nil {
		return []int64{e.Seq}
	}
	box := s.boxes[d.Name]
	if box == nil {
		box = &outbox{owed: map[int64]*pending{}}
		s.boxes[d.Name] = box
	}
	switch {
	case box.owed[e.Seq] != nil:
	case len(box.owed) >= maxPending:
		box.skipped = true
	default:
		box.owed[e.Seq] = &pending{event: e, next: s.Clock()}
	}
	return nil
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

func (s *sender) try(ctx context.Context, r tried, d *order.Destination) {
	defer func() {
		if fault := recover(); fault != nil {
			s.Log.Error("sending a verdict panicked", "event", r.event.ID, "panic", fault, "stack", string(debug.Stack()))
			r.err = errors.New("it panicked")
		}
		select {
		case s.results <- r:
		case <-ctx.Done():
		}
	}()
	r.again, r.err = s.send(ctx, d, r.event)
}

// finish decides what becomes of a callback that was tried.
func (s *sender) finish(ctx context.Context, r tried) {
	r.on = false
	r.box.places--
	if !s.again(ctx, r) {
		delete(r.box.owed, r.event.Seq)
		s.pay(ctx, r.event.Seq)
	}
}

// again decides whether a callback stays owed.
func (s *sender) again(ctx context.Context, r tried) bool {
	pauses := s.Pauses
	if pauses == nil {
		pauses = callbackPauses
	}
	log := s.Log.With("event", r.event.ID, "order", r.event.Order.Number)
	switch {
	case r.err == nil:
		return false
	case ctx.Err() != nil: // the next Run will
		return true
	case r.again && r.tries < len(pauses):
		log.Warn("a verdict did not reach the platform; trying again", "in", pauses[r.tries], "error", r.err)
		r.next = s.Clock().Add(pauses[r.tries])
		r.tries++
		return true
	}
	log.Error("a verdict did not reach the platform", "error", r.err)
	return false
}

// pay records that events are owed no more.
func (s *sender) pay(ctx context.Context, places ...int64) {
	if len(places) == 0 {
		return
	}
	paid := &order.Task{Decide: func(*order.View) (order.Decision, error) { return order.Decision{Paid: places}, nil }}
	if err := s.Store.Commit(context.WithoutCancel(ctx), paid); err != nil {
		s.Log.Warn("verdicts that were sent are not recorded as such: they will be sent again", "places", places, "error", err)
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
