package dispatch

import (
	"context"
	"net/http"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Try reaches a destination with something of no consequence, and says what came of it.
// Webhooks and streams get an event that is in no log. Platforms and merchants get a call
// that lacks what it requires: when they miss that, they have found address, app,
// signature and session right.
func (d *Dispatcher) Try(ctx context.Context, declared *order.Destination) order.Trial {
	r := d.routeOf(declared)
	defer r.close()
	ctx, cancel := context.WithTimeout(ctx, declared.Deadline())
	defer cancel()
	started := d.Clock()
	e := newEntry(&order.Event{ID: order.NewEventID(), API: order.EventTest, At: started, Record: order.Record{}.JSON(), Answer: []byte("{}")})
	var o outcome
	if y, ok := r.sender.(*relay); ok {
		o = y.try(ctx, e)
	} else {
		o = r.send(ctx, e, started)
	}
	return order.Trial{Good: o.verdict == delivered, Status: o.status, Latency: d.Clock().Sub(started), Reason: r.masked(o.reason, nil), Body: r.masked(o.body, nil)}
}

// trialOf is the call that tries each kind.
var trialOf = map[order.DestinationKind]*contract.API{
	order.KindTOP: contract.EventProduce, order.KindSuning: contract.SystimeGet, order.KindQimen: contract.OrderIntercept,
}

func (y *relay) try(ctx context.Context, e *entry) outcome {
	api := trialOf[y.declared.Kind]
	request := api.NewRequest()
	session := y.declared.Session
	for _, other := range y.declared.Sessions {
		if session == "" {
			session = other
		}
	}
	r, err := sealed(ctx, y.declared, api, nil, request, session, e.At)
	if err != nil {
		return outcome{verdict: failed, reason: "the call cannot be made: " + err.Error()}
	}
	a, o, ok := y.post(r, e.At)
	if !ok {
		return o
	}
	if a.status != http.StatusOK {
		return outcome{verdict: unsure, status: a.status, body: a.body, reason: "HTTP " + http.StatusText(a.status) + " is no answer of the platform"}
	}
	reply, err := unseal(y.declared.Kind, api, []byte(a.body))
	o = platformOutcome(api, request, reply, err)
	o.status, o.body = a.status, a.body
	if o.verdict == refused { // it looked at the call itself
		o.verdict = delivered
	}
	return o
}
