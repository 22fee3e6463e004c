package bench

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// pageSize is how many events or orders are read at once.
const pageSize = 10_000

// sameEvents compares the ledger with the first n events of a load: each is
// there once, nothing else is, and every order holds what its events say.
func sameEvents(s order.Store, n int) error {
	marks := map[string]int{} // by order number
	seen := make(map[[2]string]bool, n)
	err := eachEvent(s, func(e *order.Event) error {
		var record struct {
			Params struct{ Status, Tid string }
		}
		if err := json.Unmarshal(e.Record, &record); err != nil {
			return err
		}
		key := [2]string{record.Params.Tid, record.Params.Status}
		if seen[key] {
			return fmt.Errorf("%v is in the ledger twice", key)
		}
		seen[key] = true
		marks[key[0]]++
		return nil
	})
	if err != nil {
		return err
	}
	for i := range n {
		o, status := event(i)
		if !seen[[2]string{orderNumber(o), status}] {
			return fmt.Errorf("order %s, %s was answered and is not in the ledger", orderNumber(o), status)
		}
	}
	if len(seen) != n {
		return fmt.Errorf("%d events were answered, the ledger has %d", n, len(seen))
	}
	return sameOrders(s, marks)
}

// sameOrders compares orders with how many statuses each reported.
func sameOrders(s order.Store, reported map[string]int) error {
	states := order.States(order.Taobao)
	orders := 0
	for f := (order.OrderFilter{Limit: pageSize}); ; {
		page, more, err := s.Orders(context.Background(), f)
		if err != nil {
			return err
		}
		for _, o := range page {
			n := reported[o.Number]
			if len(o.Marks) != n || len(o.Lines) != 1 || o.Lines[0].State != states[n] || o.Stage != states[n] {
				return fmt.Errorf("order %s reported %d statuses, and is %s with %d marks", o.Number, n, o.Stage, len(o.Marks))
			}
			f.After = o.ID
		}
		orders += len(page)
		if !more {
			break
		}
	}
	if orders != len(reported) {
		return fmt.Errorf("%d orders reported, the ledger has %d", len(reported), orders)
	}
	return nil
}

func eachEvent(s order.Store, f func(*order.Event) error) error {
	for filter := (order.EventFilter{Limit: pageSize}); ; {
		page, more, err := s.Events(context.Background(), filter)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := f(e); err != nil {
				return err
			}
			filter.After = e.Seq
		}
		if !more {
			return nil
		}
	}
}

// countEvents counts the ledger's events by API.
func countEvents(s order.Store) (map[string]int, error) {
	count := map[string]int{}
	ids := map[string]bool{}
	err := eachEvent(s, func(e *order.Event) error {
		if ids[e.ID] {
			return fmt.Errorf("event %s is in the ledger twice", e.ID)
		}
		ids[e.ID] = true
		count[e.API]++
		return nil
	})
	return count, err
}

// sameCounts compares the ledger with the numbers of events that were answered.
func sameCounts(s order.Store, want map[string]int) error {
	got, err := countEvents(s)
	if err != nil {
		return err
	}
	for _, api := range contract.All {
		if got[api.Method] != want[api.Method] {
			return fmt.Errorf("%d events of %s were answered, the ledger has %d", want[api.Method], api.Method, got[api.Method])
		}
	}
	return nil
}
