package store

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// suningOrder imports an order of one line per kind, paid at a time.
func suningOrder(number, seller string, paid time.Time, kinds ...order.Kind) *order.Task {
	in := order.Import{Key: order.Key{Platform: order.Suning, Seller: seller, Number: number}, PaidAt: &paid}
	for i, kind := range kinds {
		in.Lines = append(in.Lines, order.ImportLine{Number: fmt.Sprint(i + 1), Kind: &kind, SupplierCode: &seller})
	}
	return order.Declare(order.Declared{Orders: []order.Import{in}})
}

// status reports a status of a line.
func status(t testing.TB, number, line, value string, cards ...contract.Card) *order.Task {
	t.Helper()
	request := &contract.LeaguerStatusRequest{Status: value, OrderID: number, LineID: line, Cards: cards}
	rule, _ := order.RuleOf(contract.LeaguerStatus)
	work, err := rule.Judge(&order.Call{
		API: contract.LeaguerStatus, App: &order.App{Key: "a"}, Request: request, At: now,
		Record: order.Record{Params: contract.LeaguerStatus.Params(request)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return work.Tasks[0]
}

func suningOrders(t testing.TB, s order.Store, number string) []*order.Order {
	t.Helper()
	orders, _, err := s.Orders(t.Context(), order.OrderFilter{Key: order.Key{Platform: order.Suning, Number: number}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	return orders
}

// A task sees the orders of a number that were stored before, and those that the
// tasks before it in its transaction made, whichever way they were asked for.
func testNumbers(t *testing.T, db database) {
	s := opened(t, db, options(t))
	first := status(t, "1", "1", "180")
	commit(t, s, first, suningOrder("1", "x", now, order.Recharge), status(t, "2", "1", "180"))
	if !errors.Is(first.Err, contract.LineUnknown) {
		t.Errorf("before the order: %v", first.Err)
	}
	ship, again := status(t, "1", "1", "180"), status(t, "1", "1", "180")
	commit(t, s, suningOrder("1", "y", now, order.Physical, order.Recharge), ship, again, status(t, "1", "2", "180"))
	if ship.Err != nil || !errors.Is(again.Err, contract.AlreadyShipped) {
		t.Errorf("ship: %v, again: %v", ship.Err, again.Err)
	}
	orders := suningOrders(t, s, "1")
	if len(orders) != 2 || orders[0].Lines[0].State != order.Shipped || orders[1].Lines[0].State != order.Waiting || orders[1].Lines[1].State != order.Shipped {
		t.Errorf("orders %+v", orders)
	}
	if n := len(allEvents(t, s)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// An import that names no seller means the only order of its number.
func testImportByNumber(t *testing.T, db database) {
	s := opened(t, db, options(t))
	quantity := "3"
	unnamed := func() *order.Task {
		return order.Declare(order.Declared{Orders: []order.Import{{Key: order.Key{Platform: order.Suning, Number: "1"}, Lines: []order.ImportLine{{Number: "1", Quantity: &quantity}}}}})
	}
	commit(t, s, suningOrder("1", "x", now, order.Card))
	commit(t, s, unnamed())
	if found := suningOrders(t, s, "1"); len(found) != 1 || found[0].Lines[0].Quantity != "3" || found[0].Lines[0].Kind != order.Card {
		t.Errorf("orders %+v", found)
	}
	task := unnamed()
	commit(t, s, suningOrder("1", "y", now, order.Card), task)
	var mistakes order.Mistakes
	if !errors.As(task.Err, &mistakes) || mistakes[0].Location != "orders[0].seller" {
		t.Errorf("of two sellers: %v", task.Err)
	}
}

func testVirtualLines(t *testing.T, db database) {
	yes := true
	s := db(t, options(t))
	commit(t, s, suningOrder("1", "x", now, order.Card, order.Recharge))
	commit(t, s, order.Declare(order.Declared{Orders: []order.Import{{Key: order.Key{Platform: order.Suning, Seller: "x", Number: "1"}, Lines: []order.ImportLine{{Number: "2", AcceptsFailure: &yes}}}}}))
	ship := status(t, "1", "1", "180", contract.Card{Code: "hush-code", Password: "hush-password"}, contract.Card{Code: "hush-code", Password: "hush-password"})
	commit(t, s, ship)
	if ship.Err != nil {
		t.Fatal(ship.Err)
	}
	before := suningOrders(t, s, "1")[0]
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, db, options(t))
	if diff := cmp.Diff(before, suningOrders(t, s, "1")[0], cmpopts.IgnoreUnexported(order.Order{})); diff != "" {
		t.Errorf("- before + after\n%s", diff)
	}
	if l := before.Lines; l[0].Cards != 2 || l[0].State != order.Shipped || l[1].AcceptsFailure == nil || !*l[1].AcceptsFailure {
		t.Errorf("lines %+v", l)
	}
	const want = `{"cardList":"[{\"cardCode\":\"hush-code\",\"cardSec\":\"hush-password\"},{\"cardCode\":\"hush-code\",\"cardSec\":\"hush-password\"}]"}`
	for _, open := range []bool{false, true} {
		events, _, err := s.Events(t.Context(), order.EventFilter{Sealed: open, Limit: 10})
		if err != nil || len(events) != 1 || string(events[0].Sealed) != map[bool]string{true: want}[open] {
			t.Errorf("opened %t: %v, %v", open, events, err)
		}
	}
}

func testSweep(t *testing.T, db database) {
	at := now
	var mu sync.Mutex
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	o := options(t)
	o.Clock = clock
	s := opened(t, db, o)
	const orders = 230 // more than two transactions of the sweeper
	for i := range orders {
		commit(t, s, suningOrder(fmt.Sprint(i), "x", now, order.Card, order.Gift, order.Physical))
	}
	commit(t, s, suningOrder("later", "x", now.Add(time.Minute), order.Card))
	sweeper := &order.Sweeper{Store: s, Clock: clock, Log: slog.New(slog.DiscardHandler)}
	sweep := func(want int) {
		t.Helper()
		if err := sweeper.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(allEvents(t, s)); n != want {
			t.Errorf("at %v: %d events, want %d", at.Sub(now), n, want)
		}
	}
	at = now.Add(order.RefundAfter)
	sweep(0)
	at = at.Add(time.Millisecond)
	call := status(t, "7", "1", "180", contract.Card{Code: "c", Password: "p"}) // a call comes first
	commit(t, s, call)
	if !errors.Is(call.Err, contract.RefundedByTime) {
		t.Errorf("the call: %v", call.Err)
	}
	sweep(2 * orders)
	sweep(2 * orders)
	seen := map[string]bool{}
	for _, e := range allEvents(t, s) {
		if e.API != order.EventRefund || seen[e.ID] || !e.At.Equal(at) {
			t.Fatalf("event %+v", e)
		}
		seen[e.ID] = true
	}
	for _, o := range append(suningOrders(t, s, "7"), suningOrders(t, s, "9")...) {
		states := []order.State{o.Lines[0].State, o.Lines[1].State, o.Lines[2].State}
		if !slices.Equal(states, []order.State{order.Timeout, order.Timeout, order.Waiting}) {
			t.Errorf("order %s: %v", o.Number, states)
		}
	}
	at = at.Add(time.Minute)
	sweep(2*orders + 1)
	waiting, sooner := order.Waiting, now.Add(-time.Hour)
	back := func(paid time.Time) {
		commit(t, s, order.Declare(order.Declared{Orders: []order.Import{{Key: order.Key{Platform: order.Suning, Seller: "x", Number: "7"}, PaidAt: &paid, Lines: []order.ImportLine{{Number: "1", State: &waiting}}}}}))
	}
	back(now) // the same payment
	sweep(2*orders + 1)
	back(sooner)
	sweep(2*orders + 2)
	back(now) // the first payment again
	sweep(2*orders + 2)
	if o := suningOrders(t, s, "7")[0]; o.Lines[0].State != order.Timeout {
		t.Errorf("brought back, the line is %s", o.Lines[0].State)
	}
}

func testRefusalWithChange(t *testing.T, db database) {
	s := opened(t, db, options(t))
	task := &order.Task{Orders: []order.Key{key("1")}, Decide: func(*order.View) (order.Decision, error) {
		return order.Decision{Refusal: contract.AlreadyBackflow, Orders: []order.Change{{Key: key("1"), Header: order.Header{Reached: order.Out}}}}, nil
	}}
	commit(t, s, task)
	if o := oneOrder(t, s, "1"); !errors.Is(task.Err, contract.AlreadyBackflow) || o.Reached != order.Out {
		t.Errorf("%v, %+v", task.Err, o)
	}
}
