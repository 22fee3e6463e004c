package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// Lock is a buyer's wish that a sub order be not shipped, and what became of it.
type Lock struct {
	ID          string          `json:"id" doc:"Of its order, and its number there"`
	Platform    string          `json:"platform"`
	Seller      string          `json:"seller"`
	Order       string          `json:"order"`
	Line        string          `json:"line" doc:"The sub order"`
	State       order.LockState `json:"state" doc:"asked: a merchant has not answered yet; locked: it must not be shipped; refused; unknown: nobody knows what the merchant did; released"`
	Event       string          `json:"event" doc:"Id of the event that asked for it"`
	Destination string          `json:"destination,omitempty" doc:"Who was asked; absent: the ledger decided"`
	Code        string          `json:"code,omitempty" doc:"Why it is not held: the merchant's errorCode, or why there is no verdict"`
	Text        string          `json:"text,omitempty"`
	AskedAt     *apply.Time     `json:"asked_at"`
	SettledAt   *apply.Time     `json:"settled_at,omitempty"`
	ViolatedAt  *apply.Time     `json:"violated_at,omitempty" doc:"When the sub order was shipped all the same"`
}

// LockPath names a lock.
type LockPath struct {
	ID string `path:"id"`
}

// placed is a lock of an order.
type placed struct {
	order *order.Order
	lock  order.Lock
}

func (p placed) id() string { return fmt.Sprintf("%d-%d", p.order.ID, p.lock.Number) }

func (p placed) show() Lock {
	return Lock{
		ID: p.id(), Platform: p.order.Platform, Seller: p.order.Seller, Order: p.order.Number,
		Line: p.lock.Line, State: p.lock.State, Event: p.lock.Event, Destination: p.lock.Destination, Code: p.lock.Code, Text: p.lock.Text,
		AskedAt: apply.AsTime(p.lock.AskedAt), SettledAt: apply.AsTime(p.lock.SettledAt), ViolatedAt: apply.AsTime(p.lock.ViolatedAt),
	}
}

func (s *Server) registerLocks(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "list-locks", Method: http.MethodGet, Path: "/v1/locks", Summary: "List locks"},
		func(ctx context.Context, in *struct {
			TextPage
			State order.LockState `query:"state" enum:"asked,locked,refused,unknown,released"`
			Order string          `query:"order" doc:"Order number"`
		}) (*listOutput[Lock], error) {
			locks, more, err := s.locks(ctx, in.State, in.Order, in.After, in.Limit)
			if err != nil {
				return nil, err
			}
			return page(locks, more, placed.id, placed.show), nil
		})
	huma.Register(api, huma.Operation{
		OperationID: "release-lock", Method: http.MethodPost, Path: "/v1/locks/{id}/release", Summary: "Release a lock that is locked or unknown",
	}, func(ctx context.Context, in *LockPath) (*struct{ Body Lock }, error) {
		id, number, ok := readLockID(in.ID)
		if !ok {
			return nil, s.failed(order.ErrNotFound)
		}
		o, err := s.orderOf(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := s.commit(ctx, order.Release(o.Key, number)); err != nil {
			return nil, err
		}
		if o, err = s.orderOf(ctx, id); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(o.Locks, func(l order.Lock) bool { return l.Number == number })
		if i < 0 {
			return nil, s.failed(order.ErrNotFound)
		}
		return &struct{ Body Lock }{placed{o, o.Locks[i]}.show()}, nil
	})
}

func readLockID(text string) (id int64, number int, ok bool) {
	before, behind, _ := strings.Cut(text, "-")
	id, err := strconv.ParseInt(before, 10, 64)
	number, err2 := strconv.Atoi(behind)
	return id, number, err == nil && err2 == nil && id > 0
}

// orderOf finds the order of a row.
func (s *Server) orderOf(ctx context.Context, id int64) (*order.Order, error) {
	found, _, err := s.Store.Orders(ctx, order.OrderFilter{After: id - 1, Limit: 1})
	if err != nil {
		return nil, s.failed(err)
	}
	if len(found) == 0 || found[0].ID != id {
		return nil, s.failed(order.ErrNotFound)
	}
	return found[0], nil
}

// locks lists locks of a state and an order, either of which may be empty, behind the
// one of an id.
func (s *Server) locks(ctx context.Context, state order.LockState, number, after string, limit int) (page []placed, more bool, err error) {
	id, seen, ok := readLockID(after)
	if after != "" && !ok {
		return nil, false, problem(http.StatusUnprocessableEntity, "a query parameter is wrong", Detail{"query.after", "is no next of a page of locks"})
	}
	states := order.LockStates
	if state != "" {
		states = []order.LockState{state}
	}
	from := max(id-1, 0) // the order of the last one seen may have more
	for {
		orders, further, err := s.Store.Orders(ctx, order.OrderFilter{Key: order.Key{Number: number}, Locks: states, After: from, Limit: limit})
		if err != nil {
			return nil, false, s.failed(err)
		}
		for _, o := range orders {
			from = o.ID
			for _, l := range o.Locks {
				if o.ID == id && l.Number <= seen || state != "" && l.State != state {
					continue
				}
				if len(page) == limit {
					return page, true, nil
				}
				page = append(page, placed{o, l})
			}
		}
		if !further {
			return page, false, nil
		}
	}
}
