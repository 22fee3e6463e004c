package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// Callbacks bring the verdicts of asynchronous calls, which are events of
// contract.InterceptCallback, to the platform: by the first destination of kind top
// that takes them. Without one they are events only. Fields without a comment are
// required.
type Callbacks struct {
	Store  order.Store
	HTTP   *http.Client // see NewClient
	Clock  func() time.Time
	Log    *slog.Logger
	Pauses []time.Duration // before each further try; nil: callbackPauses

	mu     sync.Mutex
	queue  []order.Event
	waking chan struct{}
	tries  sync.WaitGroup
}

// callbackPauses are between the tries of one callback.
var callbackPauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}

// callbacksAtOnce is how many are sent at a time.
const callbacksAtOnce = 16

// Take takes events that were committed. It is quick and forgets all but callbacks.
func (c *Callbacks) Take(events []*order.Event) {
	for _, e := range events {
		if e.API == contract.InterceptCallback.Method {
			c.enqueue(*e)
		}
	}
}

func (c *Callbacks) enqueue(e order.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, e)
	select {
	case c.wake() <- struct{}{}:
	default: // it is awake
	}
}

// wake returns the channel that wakes Run; c.mu is held.
func (c *Callbacks) wake() chan struct{} {
	if c.waking == nil {
		c.waking = make(chan struct{}, 1)
	}
	return c.waking
}

// Run sends until ctx ends; what is on its way then, ends too.
func (c *Callbacks) Run(ctx context.Context) {
	places := make(chan struct{}, callbacksAtOnce)
	defer c.tries.Wait()
	c.mu.Lock()
	waking := c.wake()
	c.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-waking:
		}
		c.mu.Lock()
		batch := c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, e := range batch {
			c.tries.Go(func() { c.deliver(ctx, e, places) })
		}
	}
}

// deliver tries until the platform has the callback or refuses it for good.
func (c *Callbacks) deliver(ctx context.Context, e order.Event, places chan struct{}) {
	pauses := c.Pauses
	if pauses == nil {
		pauses = callbackPauses
	}
	for try := 0; ; try++ {
		again, err := c.once(ctx, e, places)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !again || try == len(pauses) {
			c.Log.Error("a verdict did not reach the platform", "event", e.ID, "order", e.Order.Number, "error", err)
			return
		}
		c.Log.Warn("a verdict did not reach the platform; trying again", "event", e.ID, "in", pauses[try], "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pauses[try]):
		}
	}
}

// once sends a callback, and reports whether sending it again can help.
func (c *Callbacks) once(ctx context.Context, e order.Event, places chan struct{}) (again bool, err error) {
	places <- struct{}{}
	defer func() { <-places }()
	destinations, err := c.Store.Destinations(ctx)
	if err != nil {
		return true, err
	}
	for _, d := range destinations {
		if d.Kind == order.KindTOP && d.Takes(e.API, e.Order.Seller) {
			return c.send(ctx, d, e)
		}
	}
	return false, nil
}

func (c *Callbacks) send(ctx context.Context, d *order.Destination, e order.Event) (again bool, err error) {
	session := d.SessionOf(e.Order.Seller)
	if session == "" {
		return false, errors.New("destination " + d.Name + " has no session of seller " + e.Order.Seller)
	}
	params, err := paramsOf(e)
	if err != nil {
		return false, err
	}
	target, err := wire.TOP{}.Target(d.URL)
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

// paramsOf reads the parameters of an event, in the order of its API's rows.
func paramsOf(e order.Event) (params []contract.Param, err error) {
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
