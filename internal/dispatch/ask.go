package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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
	later    sync.WaitGroup // what is asked behind an answered caller's back
}

// Ask commits that the merchant is asked, asks, and commits what came of it. For a
// caller who does not wait it returns after the first step; Wait waits for the others.
// The error is the store's, or about a row of contract.TOPBackend.
func (a *Asker) Ask(ctx context.Context, d *order.Destination, q *order.Question) (reply any, err error) {
	if !a.enter(d) {
		return nil, contract.CallLimited
	}
	ask := q.Ask(d.Name)
	if err := a.commit(ctx, ask); err != nil {
		a.leave(d)
		return nil, err
	}
	if q.Later {
		a.later.Go(func() {
			defer a.leave(d)
			_, _ = a.decide(ctx, d, q, ask) // what came of it is in the ledger, or else in the log
		})
		return ask.Reply, nil
	}
	defer a.leave(d)
	return a.decide(ctx, d, q, ask)
}

// Wait returns when everything that was asked is answered and recorded.
func (a *Asker) Wait() { a.later.Wait() }

func (a *Asker) enter(d *order.Destination) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inFlight == nil {
		a.inFlight = map[string]int{}
	}
	if a.inFlight[d.Name] >= d.InFlight() {
		return false
	}
	a.inFlight[d.Name]++
	return true
}

func (a *Asker) leave(d *order.Destination) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inFlight[d.Name]--; a.inFlight[d.Name] == 0 {
		delete(a.inFlight, d.Name)
	}
}

// commit stores what one task decides, or returns what it refuses.
func (a *Asker) commit(ctx context.Context, t *order.Task) error {
	if err := a.Store.Commit(ctx, t); err != nil {
		return err
	}
	return t.Err
}

// decide asks and records the verdict.
func (a *Asker) decide(ctx context.Context, d *order.Destination, q *order.Question, ask *order.Task) (reply any, err error) {
	verdict := a.forward(ctx, d, q, ask.Events[0])
	settle := q.Settle(verdict)
	err = a.commit(ctx, settle)
	if errors.Is(err, order.ErrBusy) || errors.Is(err, order.ErrNotStored) {
		a.Log.Error("a merchant's verdict is not stored yet; trying again", "destination", d.Name, "event", ask.Events[0].ID, "error", err)
		a.later.Go(func() { a.insist(ctx, q.Settle(verdict)) })
	}
	return settle.Reply, err
}

// How often a verdict is stored again, and how many times: what is not stored by then
// is unknown at the next start.
const (
	insistEvery = time.Second
	insistTimes = 20
)

// insist stores a verdict that could not be stored. Its caller was told to try again.
func (a *Asker) insist(ctx context.Context, settle *order.Task) {
	for range insistTimes {
		time.Sleep(insistEvery)
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
		reply, err = wire.SPI{}.Unseal(q.API, body)
	}
	row, known := errors.AsType[*contract.Refusal](err)
	switch {
	case err == nil:
		a.Log.Debug("merchant answered", "destination", d.Name, "event", event.ID, "after", a.Clock().Sub(started))
		return order.Verdict{Reply: reply}
	case !known:
		row = contract.ParseError
	}
	a.Log.Warn("a merchant gave no verdict", "destination", d.Name, "event", event.ID, "code", row.Code, "reason", wire.WithoutURL(reasonOf(err)))
	return order.Verdict{Err: row}
}

func reasonOf(err error) error {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.reason
	}
	return err
}

func (a *Asker) send(ctx context.Context, d *order.Destination, q *order.Question, event order.Event) ([]byte, error) {
	r, err := a.request(ctx, d, q, event)
	if err != nil { // it cannot be written: its URL is none
		return nil, &failure{contract.ConnectionRefused, err}
	}
	return exchange(ctx, a.HTTP, r)
}

func (a *Asker) request(ctx context.Context, d *order.Destination, q *order.Question, event order.Event) (*http.Request, error) {
	if d.Kind == order.KindWebhook {
		return webhook(ctx, d, event, a.Clock())
	}
	sealed, err := wire.SPI{}.Seal(ctx, wire.Message{URL: d.URL, AppKey: d.AppKey, Target: d.AppKey, Secret: d.Secret, API: q.API, Time: a.Clock()}, q.Request)
	return sealed.Request, err
}
