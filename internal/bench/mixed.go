package bench

import (
	"context"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// yes is what the answer of each kind holds.
func yes() (accepts [][]byte) {
	for _, api := range kinds {
		accepts = append(accepts, map[*contract.API][]byte{contract.EventProduce: produceYes, contract.EventsProduce: batchYes, contract.EventEmit: emitYes, contract.LeaguerStatus: statusYes, contract.OrderIntercept: interceptYes}[api])
	}
	return accepts
}

// kinds is what ten calls of the mixed load are. Each API has a range of orders
// of its own, so that every call is answered yes.
var kinds = []*contract.API{
	contract.EventProduce, contract.EventProduce, contract.EventEmit, contract.EventProduce, contract.EventProduce,
	contract.EventsProduce, contract.OrderIntercept, contract.LeaguerStatus, contract.EventEmit, contract.EventProduce,
}

// Of the mixed load: events in one events.produce, and the first event of each
// API that shares orders with another.
const (
	mixedSize = 10
	apart     = 100_000_000
)

func mixedRequest(i int, at time.Time) []byte {
	switch api := kinds[i%len(kinds)]; api {
	case contract.EventEmit:
		return request(api, emitted(i, at), at)
	case contract.LeaguerStatus:
		return suningRequest(api, shipped(i), at)
	case contract.OrderIntercept:
		return request(api, intercepted(2*apart+i), at)
	case contract.EventsProduce:
		events := make([]*contract.EventProduceRequest, mixedSize)
		for j := range events {
			events[j] = produced(apart+i/len(kinds)*mixedSize+j, at)
		}
		return request(api, &contract.EventsProduceRequest{Messages: contract.Messages(events...)}, at)
	default:
		return request(api, produced(i, at), at)
	}
}

// Mixed measures all APIs at once.
func (b *Bench) Mixed(ctx context.Context) (*Report, error) {
	b.ctx = ctx
	r := newResults()
	if err := b.rounds(func(int) error { return b.mixedRound(r) }); err != nil {
		return nil, err
	}
	return r.report(environment(b.dir(), b.Version), checkedCounts), nil
}

func (b *Bench) mixedRound(r *results) error {
	now := time.Now()
	most := max(b.most(), distinct)
	w := work{requests: build(most, func(i int) []byte { return mixedRequest(i, now) }), accepts: yes()}
	a, err := b.bare(some, produceRequests(0, distinct, now))
	if err != nil {
		return err
	}
	for _, conns := range []int{1, some, many} {
		mixed, err := b.durable(r, "mixed", conns, 1, w, func(s order.Store, sent int) error {
			want := map[string]int{}
			for i := range sent {
				switch api := kinds[i%len(kinds)]; api {
				case contract.EventsProduce:
					want[contract.EventProduce.Method] += mixedSize
				case contract.OrderIntercept:
					want[contract.InterceptCallback.Method]++
					fallthrough
				default:
					want[api.Method]++
				}
			}
			return sameCounts(s, want)
		})
		if err != nil {
			return err
		}
		r.add(mixed)
		if conns == some {
			r.ratio("mixed_64_to_A", mixed.Rate/a.Rate, mixed, a)
		}
		r.atMost("rss_mb", mixed.RSS)
	}
	r.add(a)
	return nil
}
