package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// pageSize is how many events or orders are read at once.
const pageSize = 10_000

// sameEvents compares the ledger with the first n events of a load: each is
// there once, nothing else is, and every order holds what its events say.
func sameEvents(s order.Store, n int) error {
	seen, count := make([]bool, n), 0
	reported := make([]uint8, n/len(statuses)+ordersPerBlock) // statuses, by order
	err := eachEvent(s, func(e *order.Event) error {
		var record struct {
			Params struct{ Status, Tid string }
		}
		if err := json.Unmarshal(e.Record, &record); err != nil {
			return err
		}
		i, ok := indexOf(record.Params.Tid, record.Params.Status)
		switch {
		case !ok || i >= n:
			return fmt.Errorf("order %s, %s is in the ledger and was not answered", record.Params.Tid, record.Params.Status)
		case seen[i]:
			return fmt.Errorf("order %s, %s is in the ledger twice", record.Params.Tid, record.Params.Status)
		}
		seen[i] = true
		count++
		o, _ := event(i)
		reported[o]++
		return nil
	})
	if err != nil {
		return err
	}
	if i := slices.Index(seen, false); i >= 0 {
		o, status := event(i)
		return fmt.Errorf("order %s, %s was answered and is not in the ledger; %d of %d are", orderNumber(o), status, count, n)
	}
	return sameOrders(s, reported)
}

// indexOf finds which event of a load reports a status of an order.
func indexOf(number, status string) (i int, ok bool) {
	n, err := strconv.ParseInt(number, 10, 64)
	o, step := int(n-firstOrder), slices.Index(statuses, status)
	if err != nil || o < 0 || step < 0 {
		return 0, false
	}
	return o/ordersPerBlock*ordersPerBlock*len(statuses) + step*ordersPerBlock + o%ordersPerBlock, true
}

// sameOrders compares orders with how many statuses each reported.
func sameOrders(s order.Store, reported []uint8) error {
	states := order.States(order.Taobao)
	orders := 0
	for f := (order.OrderFilter{Limit: pageSize}); ; {
		page, more, err := s.Orders(context.Background(), f)
		if err != nil {
			return err
		}
		for _, o := range page {
			i, ok := indexOf(o.Number, statuses[0])
			if !ok {
				return fmt.Errorf("order %s is in the ledger and was not reported", o.Number)
			}
			at, _ := event(i)
			n := int(reported[at])
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
	if want := len(reported) - count(reported, 0); orders != want {
		return fmt.Errorf("%d orders reported, the ledger has %d", want, orders)
	}
	return nil
}

func count(counts []uint8, value uint8) (n int) {
	for _, c := range counts {
		if c == value {
			n++
		}
	}
	return n
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
