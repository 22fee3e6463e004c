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
	o := y.call(ctx, api, nil, request, session, e.At)
	if o.verdict == refused && o.status == http.StatusOK { // it looked at the call itself
		o.verdict = delivered
	}
	return o
}
