package store

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// ticking makes options whose clock a test moves.
func ticking(t *testing.T) (o Options, clock *time.Time) {
	at := now
	o = options(t)
	o.Clock = func() time.Time { return at }
	return o, &at
}

func numbersOf(orders []*order.Order) string {
	var found []string
	for _, o := range orders {
		found = append(found, o.Number)
	}
	return strings.Join(found, " ")
}

// Orders come in the order that a list asks for, page by page.
func testOrderSorts(t *testing.T, db database) {
	o, clock := ticking(t)
	s := opened(t, db, o)
	for _, number := range []string{"30", "10", "20", "11"} {
		commit(t, s, report(number, contract.StatusTransfer))
		*clock = clock.Add(time.Minute)
	}
	commit(t, s, report("30", contract.StatusTransfer+"_X"), report("99", contract.StatusOut)) // 30 has changed last
	commit(t, s, suningOrder("77", "x", *clock, order.Card), suningOrder("78", "x", clock.Add(-time.Hour), order.Gift), suningOrder("79", "x", *clock, order.Physical))
	list := func(f order.OrderFilter) []*order.Order {
		t.Helper()
		orders, _, err := s.Orders(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return orders
	}
	for _, c := range []struct {
		want string
		f    order.OrderFilter
	}{
		{"79 78 77 99", order.OrderFilter{Sort: order.ByNewest, Limit: 4}},
		{"10 11 20 30 77 78 79 99", order.OrderFilter{Sort: order.ByNumber, Limit: 10}},
		{"10 11", order.OrderFilter{Sort: order.ByNumber, Prefix: "1", Limit: 10}},
		{"10 20 11 30", order.OrderFilter{Sort: order.ByUnchanged, Stage: order.Transferred, Limit: 10}},
		{"10 20", order.OrderFilter{Sort: order.ByUnchanged, Stage: order.Transferred, UpdatedUpTo: now.Add(2 * time.Minute), Limit: 10}},
		{"78 77", order.OrderFilter{Sort: order.ByRefund, Limit: 10}},
	} {
		if got := numbersOf(list(c.f)); got != c.want {
			t.Errorf("%+v: %s, want %s", c.f, got, c.want)
		}
	}
	for _, sort := range []order.OrderSort{order.ByNewest, order.ByNumber, order.ByUnchanged} {
		f := order.OrderFilter{Sort: sort, Stage: order.Transferred, Limit: 1}
		var paged []*order.Order
		for range 10 {
			page := list(f)
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
			f.After, f.Behind = page[0].ID, &order.Behind{Number: page[0].Number, At: page[0].UpdatedAt, ID: page[0].ID}
		}
		if got, want := numbersOf(paged), numbersOf(list(order.OrderFilter{Sort: sort, Stage: order.Transferred, Limit: 10})); got != want {
			t.Errorf("sort %d: page by page %s, at once %s", sort, got, want)
		}
	}
	if rest := list(order.OrderFilter{Sort: order.ByRefund, Behind: &order.Behind{At: clock.Add(-time.Hour + order.RefundAfter), ID: 1 << 40}, Limit: 10}); numbersOf(rest) != "77" {
		t.Errorf("behind the first refund: %s", numbersOf(rest))
	}
	counts, err := s.Stages(t.Context(), now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	want := []order.StageCount{{Platform: order.Suning, Stage: order.Waiting, Orders: 3}, {Platform: order.Taobao, Stage: order.Transferred, Orders: 4, Stuck: 1}}
	if !slices.Equal(counts, want) {
		t.Errorf("stages %+v, want %+v", counts, want)
	}
}

// The log is read from its end, and what Ordergate made itself is found.
func testNewestEvents(t *testing.T, db database) {
	s := opened(t, db, options(t))
	for i := range 5 {
		commit(t, s, report(fmt.Sprint(i), contract.StatusTransfer))
	}
	commit(t, s, suningOrder("1", "x", now.Add(-2*order.RefundAfter), order.Card))
	if err := (&order.Sweeper{Store: s, Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(f order.EventFilter) (seqs []int64) {
		t.Helper()
		events, _, err := s.Events(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			seqs = append(seqs, e.Seq)
		}
		return seqs
	}
	all := read(order.EventFilter{Limit: 10})
	slices.Reverse(all)
	if got := read(order.EventFilter{Newest: true, Limit: 10}); !slices.Equal(got, all) || len(all) != 6 {
		t.Errorf("the newest first: %v, want %v", got, all)
	}
	if got := read(order.EventFilter{Newest: true, UpTo: all[2], After: all[5], Limit: 2}); !slices.Equal(got, all[2:4]) {
		t.Errorf("a stretch: %v, want %v", got, all[2:4])
	}
	if got := read(order.EventFilter{Own: true, Limit: 10}); !slices.Equal(got, all[:1]) {
		t.Errorf("own events: %v, want %v", got, all[:1])
	}
	if got := read(order.EventFilter{App: "a", Limit: 10}); len(got) != 5 {
		t.Errorf("events of an app: %v", got)
	}
}

// The lists that stand on partial indexes use them: their texts must be those of the
// indexes.
func TestListsUseTheirIndexes(t *testing.T) {
	t.Parallel()
	s := opened(t, at("sqlite:"+t.TempDir()+"/test.db"), options(t)).(*sqliteStore)
	for text, index := range map[string]string{
		"SELECT id FROM orders WHERE stage = 'new' AND updated_at <= 5 AND (updated_at, id) > (1, 2) ORDER BY updated_at, id": "orders_open",
		"SELECT platform, stage, count(*) FROM orders WHERE " + isOpen + " GROUP BY stage, platform":                          "COVERING INDEX orders_open",
		"SELECT seq FROM event WHERE " + isOwn + " ORDER BY seq DESC":                                                         "event_own",
		"SELECT id FROM orders WHERE number >= '1' AND number < '2' ORDER BY number, id":                                      "sqlite_autoindex_orders_1",
		"SELECT id FROM orders WHERE refund_due IS NOT NULL ORDER BY refund_due, id":                                          "orders_refund",
	} {
		var plan []string
		err := s.write.query("EXPLAIN QUERY PLAN "+text, func(row record) error {
			plan = append(plan, row.Text(3))
			return nil
		})
		if err != nil || !strings.Contains(strings.Join(plan, "; "), index) {
			t.Errorf("%s\n%v, %v; want %s", text, plan, err, index)
		}
	}
}

// asListed compares an event's parameters with those that the documents list.
func asListed(t *testing.T, e *order.Event) {
	t.Helper()
	values, err := e.Values()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(order.OwnEventRows, func(row order.OwnEvent) bool { return row.Name == e.API })
	if got, want := slices.Sorted(maps.Keys(values)), slices.Sorted(slices.Values(order.OwnEventRows[i].Params)); !slices.Equal(got, want) {
		t.Errorf("%s has the parameters %v, and lists %v", e.API, got, want)
	}
}

// An order that gets stuck is told of once, whoever looks and however often; one that
// moves before is not.
func testStuckAlerts(t *testing.T, db database) {
	o, clock := ticking(t)
	s := opened(t, db, o)
	look := func() {
		t.Helper()
		a := &order.Alerter{Store: s, Clock: func() time.Time { return *clock }, Log: slog.New(slog.DiscardHandler), StuckAfter: time.Hour} // a new one: nothing is remembered
		if err := a.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	told := func() string {
		t.Helper()
		events, _, err := s.Events(t.Context(), order.EventFilter{API: order.AlertOrderStuck, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var numbers []string
		for _, e := range events {
			asListed(t, e)
			numbers = append(numbers, e.Order.Number)
		}
		return strings.Join(numbers, " ")
	}
	commit(t, s, report("before", contract.StatusTransfer))
	*clock = clock.Add(2 * time.Hour)
	look() // nobody has looked before: what is stuck already is not told
	for i := range 3 {
		commit(t, s, report(fmt.Sprint("stuck", i), contract.StatusTransfer)) // all at one time
	}
	commit(t, s, report("moves", contract.StatusTransfer), report("out", contract.StatusOut))
	*clock = clock.Add(time.Hour - time.Millisecond)
	look()
	commit(t, s, report("moves", contract.StatusCheck))
	if got := told(); got != "" {
		t.Fatalf("too early: %s", got)
	}
	*clock = clock.Add(time.Millisecond)
	look()
	look()
	if got := told(); got != "stuck0 stuck1 stuck2" {
		t.Fatalf("told of %s", got)
	}
	*clock = clock.Add(time.Hour)
	look()
	if got := told(); got != "stuck0 stuck1 stuck2 moves" {
		t.Fatalf("told of %s", got)
	}
	alerts, _, err := s.Events(t.Context(), order.EventFilter{API: order.AlertOrderStuck, Limit: 1})
	if err != nil || alerts[0].Lane.Event() != alerts[0].Place || alerts[0].Order.Number != "stuck0" {
		t.Errorf("an alert is in the lane of its order: %+v, %v", alerts, err)
	}
	lane := order.OrderLane(oneOrder(t, s, "stuck0").ID)
	if own, _, err := s.Events(t.Context(), order.EventFilter{Lane: lane, Settled: true, Limit: 10}); err != nil || len(own) != 1 {
		t.Errorf("%d events in the order's lane, %v", len(own), err)
	}
	if line, _, err := s.Events(t.Context(), order.EventFilter{OrderID: lane.Order(), Limit: 10}); err != nil || len(line) != 2 {
		t.Errorf("%d events on the order's time line, %v", len(line), err)
	}
	commit(t, s, report("stuck1", contract.StatusCheck)) // it moves, and is stuck again; the alert was no change
	*clock = clock.Add(2 * time.Hour)
	look()
	if got := told(); got != "stuck0 stuck1 stuck2 moves stuck1" {
		t.Errorf("told of %s", got)
	}
}

// A refund that is near is told of once for each payment, also by who remembers nothing,
// and not when the line was shipped before.
func testNearAlerts(t *testing.T, db database) {
	o, clock := ticking(t)
	s := opened(t, db, o)
	a := &order.Alerter{}
	look := func(remembers bool) (numbers []string) {
		t.Helper()
		if !remembers {
			a = &order.Alerter{Store: s, Clock: func() time.Time { return *clock }, Log: slog.New(slog.DiscardHandler), RefundNear: 20 * time.Minute}
		}
		if err := a.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		events, _, err := s.Events(t.Context(), order.EventFilter{API: order.AlertRefundNear, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			asListed(t, e)
			numbers = append(numbers, e.Order.Number+":"+strings.Join(e.Lines, ","))
		}
		return numbers
	}
	commit(t, s, suningOrder("1", "x", now, order.Card, order.Physical, order.Gift), suningOrder("2", "x", now, order.Card))
	*clock = now.Add(order.RefundAfter - 20*time.Minute - time.Millisecond)
	if got := look(false); got != nil {
		t.Fatalf("too early: %v", got)
	}
	commit(t, s, status(t, "2", "1", "180", contract.Card{Code: "1", Password: "2"}))
	*clock = clock.Add(time.Minute)
	want := []string{"1:1,3"}
	for _, remembers := range []bool{false, true, false} {
		if got := look(remembers); !slices.Equal(got, want) {
			t.Fatalf("told of %v, want %v", got, want)
		}
	}
	late := *clock
	commit(t, s, suningOrder("3", "x", late.Add(-order.RefundAfter+5*time.Minute), order.Recharge))  // imported late
	commit(t, s, suningOrder("4", "x", late.Add(-order.RefundAfter+59*time.Second), order.Recharge)) // too late for anybody to act
	if got := look(true); !slices.Equal(got, append(want, "3:1")) {
		t.Errorf("told of %v", got)
	}
}
