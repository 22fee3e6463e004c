package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// Asker asks merchants. Fields without a comment are required. It asks each question
// once: what became of it is not known when no answer comes, and asking again could
// lock what its buyer has given up.
type Asker struct {
	Store order.Store
	HTTP  *http.Client // see NewClient
	Clock func() time.Time
	Log   *slog.Logger

	mu       sync.Mutex
	inFlight map[string]int // by destination
	asking   sync.WaitGroup // questions, and verdicts that are not stored yet
	quit     chan struct{}  // closed by Close; nil: nobody has asked yet
	closed   bool
}

// Ask commits that the merchant is asked, asks, and commits what came of it. For a
// caller who does not wait it returns after the first step; Close waits for the others.
// The error is the store's, or about a row of contract.TOPBackend.
func (a *Asker) Ask(ctx context.Context, d *order.Destination, q *order.Question) (reply any, err error) {
	if err := a.enter(d); err != nil {
		return nil, err
	}
	ask := q.Ask(d.Name)
	if err := a.commit(ctx, ask); err != nil || len(ask.Events) == 0 && ask.Reply != nil {
		a.leave(d)
		return ask.Reply, err
	}
	if q.Later {
		go func() { // Close waits for it
			defer a.leave(d)
			defer a.recovered(recorded(ask))
			_, _ = a.decide(ctx, d, q, ask) // what came of it is in the ledger, or else in the log
		}()
		return ask.Reply, nil
	}
	defer a.leave(d)
	return a.decide(ctx, d, q, ask)
}

// recorded is the event by which a question was recorded; it is empty when the ledger
// keeps nothing of it.
func recorded(ask *order.Task) (e order.Event) {
	if len(ask.Events) > 0 {
		e = ask.Events[0]
	}
	return e
}

// recovered makes a fault in the code this question's failure alone.
func (a *Asker) recovered(event order.Event) {
	if p := recover(); p != nil {
		a.Log.Error("asking a merchant panicked", "event", event.ID, "panic", p, "stack", string(debug.Stack()))
	}
}

// Close refuses new questions, and returns when those that were asked are answered and
// recorded.
func (a *Asker) Close() {
	a.mu.Lock()
	if !a.closed {
		a.closed = true
		close(a.quitting())
	}
	a.mu.Unlock()
	a.asking.Wait()
}

// quitting returns the channel that Close closes; a.mu is held.
func (a *Asker) quitting() chan struct{} {
	if a.quit == nil {
		a.quit = make(chan struct{})
	}
	return a.quit
}

func (a *Asker) enter(d *order.Destination) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inFlight == nil {
		a.inFlight = map[string]int{}
	}
	switch {
	case a.closed:
		return contract.Unavailable
	case a.inFlight[d.Name] >= a.Store.Share().Part(d.InFlight()):
		return contract.CallLimited
	}
	a.quitting() // for insist
	a.inFlight[d.Name]++
	a.asking.Add(1)
	return nil
}

func (a *Asker) leave(d *order.Destination) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inFlight[d.Name]--; a.inFlight[d.Name] == 0 {
		delete(a.inFlight, d.Name)
	}
	a.asking.Done()
}

// commit stores what one task decides, or returns what it refuses.
func (a *Asker) commit(ctx context.Context, t *order.Task) error {
	if err := a.Store.Commit(ctx, t); err != nil {
		return err
	}
	return t.Err
}

// decide asks and records the verdict. A caller whose verdict cannot be recorded is
// told what is true: that the outcome is unknown.
func (a *Asker) decide(ctx context.Context, d *order.Destination, q *order.Question, ask *order.Task) (reply any, err error) {
	verdict := a.forward(ctx, d, q, recorded(ask))
	settle := q.Settle(verdict)
	err = a.commit(ctx, settle)
	if !errors.Is(err, order.ErrBusy) && !errors.Is(err, order.ErrNotStored) {
		return settle.Reply, err
	}
	a.Log.Error("a merchant's verdict is not stored yet; trying again", "destination", d.Name, "event", recorded(ask).ID, "error", err)
	a.asking.Go(func() { a.insist(ctx, q.Settle(verdict)) }) // the question itself is still counted
	return nil, contract.ReadTimeout
}

// How often a verdict is stored again, and how many times: what is not stored by then
// is unknown at the next start.
const (
	insistEvery = time.Second
	insistTimes = 20
)

// insist stores a verdict that could not be stored.
func (a *Asker) insist(ctx context.Context, settle *order.Task) {
	for range insistTimes {
		t := time.NewTimer(insistEvery)
		select {
		case <-t.C:
		case <-a.quit:
		}
		t.Stop()
		if a.Store.Commit(ctx, settle) == nil {
			return
		}
	}
	a.Log.Error("a merchant's verdict could not be stored; its locks stay asked until the next start")
}

// forward asks the merchant, once.
func (a *Asker) forward(ctx context.Context, d *order.Destination, q *order.Question, event order.Event) order.Verdict {
	ctx, cancel := context.WithTimeout(ctx, d.Deadline())
	defer cancel()
	started := a.Clock()
	body, err := a.send(ctx, d, q, event)
	var reply any
	if err == nil {
		reply, err = unseal(d.Kind, q.API, body)
	}
	if no, ok := errors.AsType[*contract.Refused](err); ok { // a platform's own word
		return order.Verdict{Err: no}
	}
	if err == nil {
		a.Log.Debug("whom a call waits for has answered", "destination", d.Name, "event", event.ID, "after", a.Clock().Sub(started))
		return order.Verdict{Reply: reply}
	}
	row, known := errors.AsType[*contract.Refusal](err)
	if !known { // his answer is none, or he cannot be asked as he is declared
		row = contract.ParseError
	}
	a.Log.Warn("whom a call waits for gave no verdict", "destination", d.Name, "event", event.ID, "code", row.Code, "reason", wire.WithoutURL(reasonOf(err)))
	return order.Verdict{Err: row}
}

// reasonOf is why an exchange has no answer, for the log.
func reasonOf(err error) error {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.reason
	}
	return err
}

func (a *Asker) send(ctx context.Context, d *order.Destination, q *order.Question, event order.Event) ([]byte, error) {
	r, err := a.request(ctx, d, q, event)
	if err != nil {
		return nil, fmt.Errorf("the request cannot be made: %w", err)
	}
	return exchange(ctx, a.HTTP, r)
}

// request makes what a destination is asked by. A webhook gets the event with what the
// merchant is asked, which has no answer yet.
func (a *Asker) request(ctx context.Context, d *order.Destination, q *order.Question, event order.Event) (*http.Request, error) {
	if d.Kind == order.KindWebhook {
		return asked(ctx, d, event, q.API.Params(q.Request), a.Clock())
	}
	return sealed(ctx, d, q.API, q.Params, q.Request, cmp.Or(d.SessionOf(q.Seller), q.Session), a.Clock())
}
