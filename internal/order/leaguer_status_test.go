package order_test

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// statusCall is a call of leaguerstatus.add about line 2 of order 1.
func statusCall(status string, cards ...contract.Card) *order.Call {
	return &order.Call{
		API: contract.LeaguerStatus, App: &order.App{Key: "a", Protocol: contract.Suning, SupplierCode: "s"}, At: now,
		Request: &contract.LeaguerStatusRequest{Status: status, OrderID: "1", LineID: "2", Cards: cards},
	}
}

// virtual is order 1 with line 2, paid now.
func virtual(kind order.Kind, state order.State, quantity string) *order.Order {
	k := order.Key{Platform: order.Suning, Seller: "s", Number: "1"}
	o := order.Fresh(k)
	o.Apply(order.Change{Key: k, Header: order.Header{Reached: order.Waiting, PaidAt: now}, Lines: []order.Line{{Number: "2", Kind: kind, Quantity: quantity, State: state, SupplierCode: "s"}}}, now)
	return o
}

// decide judges a call on orders of its number, and returns the state of line 2 as
// the decision leaves it.
func decide(t *testing.T, c *order.Call, at time.Time, orders ...*order.Order) (order.Decision, order.State, error) {
	t.Helper()
	work, err := rule(t, contract.LeaguerStatus).Judge(c)
	if err != nil {
		return order.Decision{}, "", err
	}
	v := &order.View{Now: at, Orders: map[order.Key]*order.Order{}, Named: map[order.NumberKey][]*order.Order{}}
	for _, o := range orders {
		v.Orders[o.Key] = o
		number := order.NumberKey{Platform: o.Platform, Number: o.Number}
		v.Named[number] = append(v.Named[number], o)
	}
	for _, k := range work.Tasks[0].Orders {
		if v.Orders[k] == nil {
			v.Orders[k] = order.Fresh(k)
		}
	}
	d, err := work.Tasks[0].Decide(v)
	for _, change := range d.Orders {
		for _, l := range change.Lines {
			if l.Number == "2" {
				return d, l.State, err
			}
		}
	}
	return d, "", err
}

// letters are the states of the notes.
var letters = map[string]order.State{"W": order.Waiting, "S": order.Shipped, "R": order.Received, "F": order.Refunding, "T": order.Timeout, "C": order.Closed}

// Every cell of the table in docs/protocol/suning.md 5.4.
func TestLeaguerStatusTable(t *testing.T) {
	t.Parallel()
	notes, err := os.ReadFile("../../docs/protocol/suning.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(notes), "### 5.4 ")
	var columns []string
	cells := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			if columns != nil {
				break
			}
			continue
		}
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		switch {
		case columns == nil:
			columns = row
			continue
		case strings.HasPrefix(row[0], "---"):
			continue
		}
		for i, want := range row[1:] {
			status, kinds, _ := strings.Cut(columns[i+1], " ")
			for kind := range strings.SplitSeq(kinds, ", ") {
				cells++
				compareCell(t, letters[row[0]], status, order.Kind(strings.ToLower(kind)), want)
			}
		}
	}
	if cells != 6*12 { // states; four statuses, three kinds
		t.Errorf("%d cells, want 72", cells)
	}
}

func compareCell(t *testing.T, state order.State, status string, kind order.Kind, want string) {
	t.Helper()
	d, got, err := decide(t, statusCall(status, contract.Card{Code: "c", Password: "p"}), now, virtual(kind, state, "1.00000"))
	want, _, _ = strings.Cut(want, ", or ") // 112 when a refund does not start
	if _, otherwise, ok := strings.Cut(want, "else "); ok {
		want = otherwise // the cards are right
	}
	if letter, moves := strings.CutPrefix(want, "→"); moves {
		if err != nil || got != letters[letter] || d.Reply.(*contract.LeaguerStatusReply).Result != "Y" || len(d.Events) != 1 {
			t.Errorf("%s in %s, %s: %s, %v; want %s", kind, state, status, got, err, want)
		}
		return
	}
	if refusal, ok := errors.AsType[*contract.Refusal](err); !ok || refusal.Code != bizCode(want) || len(d.Events) != 0 {
		t.Errorf("%s in %s, %s: %s, %v; want %s", kind, state, status, got, err, want)
	}
}

func bizCode(number string) string {
	return "biz.selfmarket.addleaguerstatus.invalid-biz:" + number
}

// A physical line is refused whatever the status, as is a status that there is not.
func TestLeaguerStatusBefore(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"180", "190", "200", "210"} {
		for _, state := range order.States(order.Suning) {
			if _, _, err := decide(t, statusCall(status), now.Add(time.Hour*3), virtual(order.Physical, state, "1")); !errors.Is(err, contract.LineNotVirtual) {
				t.Errorf("physical, %s in %s: %v", status, state, err)
			}
		}
	}
	for _, status := range []string{"181", "180 ", " 180", "0180", "180.0", "a"} {
		if _, _, err := decide(t, statusCall(status), now); !errors.Is(err, contract.StatusNotLegal) { // before 101
			t.Errorf("status %q: %v", status, err)
		}
	}
}

// Cards are checked in the order 113, 115, 116, 114, and only where they count.
func TestLeaguerStatusCards(t *testing.T) {
	t.Parallel()
	good := contract.Card{Code: "c", Password: "p"}
	many := func(n int, last contract.Card) []contract.Card {
		cards := slices.Repeat([]contract.Card{good}, n)
		cards[n-1] = last
		return cards
	}
	blank := contract.Card{Code: " ", Password: "p"}
	for _, c := range []struct {
		name     string
		cards    []contract.Card
		quantity string
		want     string
		swapped  string // with the cards counted first
	}{
		{"none", nil, "1", "113", "113"},
		{"one", many(1, good), "1.00000", "", ""},
		{"two for two", many(2, good), "02.0", "", ""},
		{"1000", many(1000, good), "1000", "", ""},
		{"1001", many(1001, good), "1001", "115", "115"},
		{"1001, one blank, wrong count", many(1001, blank), "1", "115", "114"},
		{"a blank code", many(1, blank), "1", "116", "116"},
		{"a blank password", many(1, contract.Card{Code: "c"}), "1", "116", "116"},
		{"one blank, wrong count", many(2, blank), "1", "116", "114"},
		{"too few", many(1, good), "2", "114", "114"},
		{"half a card", many(1, good), "1.5", "114", "114"},
		{"no card sold", many(1, good), "0", "114", "114"},
		{"quantity unknown", many(3, good), "", "", ""},
		{"the same card twice", many(2, good), "2", "", ""},
	} {
		for option, want := range map[string]string{"": c.want, "113,114,115,116": c.swapped} {
			call := statusCall("180", c.cards...)
			if option != "" {
				call.App.Options = map[string]string{"card_checks": option}
			}
			d, state, err := decide(t, call, now, virtual(order.Card, order.Waiting, c.quantity))
			switch {
			case want == "" && (err != nil || state != order.Shipped || d.Orders[0].Lines[0].Cards != len(c.cards)):
				t.Errorf("%s: %s, %v", c.name, state, err)
			case want != "" && (err == nil || err.Error() != bizCode(want)):
				t.Errorf("%s: %v, want %s", c.name, err, want)
			}
		}
	}
	for _, kind := range []order.Kind{order.Recharge, order.Gift} { // cardList is ignored
		if d, state, err := decide(t, statusCall("180", many(3, blank)...), now, virtual(kind, order.Waiting, "1")); err != nil || state != order.Shipped || d.Orders[0].Lines[0].Cards != 0 {
			t.Errorf("%s with cards: %s, %v", kind, state, err)
		}
	}
	if _, _, err := decide(t, statusCall("180"), now, virtual(order.Card, order.Shipped, "1")); !errors.Is(err, contract.AlreadyShipped) { // state before cards
		t.Errorf("a repeat without its cards: %v", err)
	}
}

// At 100:00 a line still ships; after that it is refunded, once, by whoever comes
// first, with all late lines of its order.
func TestAutomaticRefund(t *testing.T) {
	t.Parallel()
	limit := now.Add(order.RefundAfter)
	if limit.Sub(now) != 100*time.Minute {
		t.Fatalf("refund after %s", order.RefundAfter)
	}
	card := contract.Card{Code: "c", Password: "p"}
	for _, kind := range []order.Kind{order.Recharge, order.Card, order.Gift} {
		if _, state, err := decide(t, statusCall("180", card), limit, virtual(kind, order.Waiting, "1")); err != nil || state != order.Shipped {
			t.Errorf("%s at 100:00: %s, %v", kind, state, err)
		}
		o := virtual(kind, order.Waiting, "1")
		o.Apply(order.Change{Key: o.Key, Header: o.Header, Lines: []order.Line{{Number: "3", Kind: order.Recharge, State: order.Waiting}, {Number: "4", Kind: order.Physical, State: order.Waiting}, {Number: "5", Kind: order.Gift, State: order.Shipped}}}, now)
		d, state, err := decide(t, statusCall("180", card), limit.Add(time.Millisecond), o)
		if err != nil || !errors.Is(d.Refusal, contract.RefundedByTime) || state != order.Timeout || len(d.Events) != 2 || len(d.Orders[0].Lines) != 2 {
			t.Fatalf("%s after 100:00: %s, %v, %+v", kind, state, err, d)
		}
		for i, line := range []string{"2", "3"} {
			if e := d.Events[i]; e.API != order.EventRefund || !slices.Equal(e.Lines, []string{line}) || e.Order != o.Key || len(e.ID) != 26 || !strings.Contains(string(e.Record), strconv.Quote(now.Format(time.RFC3339))) {
				t.Errorf("event %+v %s", e, e.Record)
			}
		}
		if due := o.RefundDue(); !due.Equal(limit) {
			t.Errorf("due at %v", due)
		}
		o.Apply(d.Orders[0], now)
		if due := o.RefundDue(); !due.IsZero() {
			t.Errorf("still due at %v", due)
		}
		again, _, err := decide(t, statusCall("180", card), limit.Add(time.Hour), o)
		if !errors.Is(err, contract.RefundedByTime) || len(again.Events) != 0 {
			t.Errorf("again: %v, %+v", err, again)
		}
		// An import brings the line back: the same payment makes no second event, another does.
		o.Lines[0].State = order.Waiting
		if d, _, _ := decide(t, statusCall("180", card), limit.Add(time.Hour), o); !errors.Is(d.Refusal, contract.RefundedByTime) || len(d.Events) != 0 || len(d.Orders) != 1 {
			t.Errorf("brought back: %+v", d)
		}
		o.PaidAt = now.Add(time.Minute)
		if d, _, _ := decide(t, statusCall("180", card), limit.Add(time.Hour), o); !errors.Is(d.Refusal, contract.RefundedByTime) || len(d.Events) != 1 {
			t.Errorf("paid again: %+v", d)
		}
	}
	// 210 meets the clock, too; what is refused before the state is looked at does not.
	if d, _, _ := decide(t, statusCall("210"), limit.Add(time.Second), virtual(order.Recharge, order.Waiting, "1")); !errors.Is(d.Refusal, contract.RefundedByTime) || len(d.Events) != 1 {
		t.Errorf("210 after 100:00: %+v", d)
	}
	if d, _, err := decide(t, statusCall("210"), limit.Add(time.Second), virtual(order.Card, order.Waiting, "1")); !errors.Is(err, contract.KindCannotFail) || len(d.Events) != 0 {
		t.Errorf("210 of a card after 100:00: %v, %+v", err, d)
	}
	for name, o := range map[string]*order.Order{
		"shipped": virtual(order.Card, order.Shipped, "1"), "physical": virtual(order.Physical, order.Waiting, "1"), "unknown": virtual(order.Unknown, order.Waiting, "1"), "unpaid": unpaid(),
	} {
		if due := o.RefundDue(); !due.IsZero() {
			t.Errorf("%s: due at %v", name, due)
		}
	}
}

func unpaid() *order.Order {
	o := virtual(order.Card, order.Waiting, "1")
	o.PaidAt = time.Time{}
	return o
}

// Who may speak of a line: docs/protocol/suning.md 5.4, steps 3 and 4.
func TestSupplierOwnsLine(t *testing.T) {
	t.Parallel()
	other := virtual(order.Recharge, order.Waiting, "1")
	other.Key.Seller, other.Lines[0].SupplierCode = "other", "other"
	nobodys := virtual(order.Recharge, order.Waiting, "1")
	nobodys.Key.Seller, nobodys.Lines[0].SupplierCode = "", ""
	sellers := virtual(order.Recharge, order.Waiting, "1")
	sellers.Lines[0].SupplierCode = ""
	mine := virtual(order.Recharge, order.Waiting, "1")
	for name, c := range map[string]struct {
		app, named string
		orders     []*order.Order
		want       error
	}{
		"no order":                        {"s", "", nil, contract.LineUnknown},
		"mine":                            {"s", "", []*order.Order{mine}, nil},
		"mine, named":                     {"s", "s", []*order.Order{mine}, nil},
		"blank name":                      {"s", " ", []*order.Order{mine}, nil},
		"another named":                   {"s", "x", []*order.Order{mine}, contract.SupplierNotOwned},
		"another's":                       {"s", "", []*order.Order{other}, contract.SupplierNotOwned},
		"another's, named":                {"s", "other", []*order.Order{other}, contract.SupplierNotOwned},
		"an app for all":                  {"", "", []*order.Order{other}, nil},
		"an app for all, another named":   {"", "x", []*order.Order{other}, contract.SupplierNotOwned},
		"nobody's":                        {"s", "x", []*order.Order{nobodys}, nil},
		"the order's seller owns":         {"s", "s", []*order.Order{sellers}, nil},
		"the order's seller owns it only": {"x", "", []*order.Order{sellers}, contract.SupplierNotOwned},
		"one of two orders of the number": {"s", "", []*order.Order{other, mine}, nil},
	} {
		call := statusCall("180")
		call.App.SupplierCode = c.app
		call.Request.(*contract.LeaguerStatusRequest).SupplierCode = c.named
		d, _, err := decide(t, call, now, c.orders...)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if name == "one of two orders of the number" && d.Orders[0].Key != mine.Key {
			t.Errorf("%s: changed %v", name, d.Orders[0].Key)
		}
	}
	call := statusCall("180")
	call.Request.(*contract.LeaguerStatusRequest).LineID = "02" // leading zeros count
	if _, _, err := decide(t, call, now, mine); !errors.Is(err, contract.LineUnknown) {
		t.Errorf("another line: %v", err)
	}
}

// Each option changes the one answer that it is about.
func TestSuningOptions(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	closed := virtual(order.Gift, order.Closed, "1")
	closed.Lines[0].RefundOf = now
	for _, c := range []struct {
		option, value, status string
		order                 *order.Order
		accepts               *bool
		want                  string // a number, or a state
	}{
		{"ship_received", "105", "180", virtual(order.Card, order.Received, "1"), nil, "105"},
		{"ship_received", "105", "190", virtual(order.Card, order.Received, "1"), nil, "106"},
		{"grant_waiting", "103", "200", virtual(order.Gift, order.Waiting, "1"), nil, "103"},
		{"grant_waiting", "103", "200", virtual(order.Gift, order.Shipped, "1"), nil, "received"},
		{"confirmation", "100", "190", virtual(order.Gift, order.Shipped, "1"), nil, "100"},
		{"confirmation", "100", "200", virtual(order.Card, order.Closed, "1"), nil, "100"},
		{"confirmation", "synonym", "190", virtual(order.Gift, order.Waiting, "1"), nil, "received"},
		{"confirmation", "synonym", "200", virtual(order.Card, order.Waiting, "1"), nil, "103"},
		{"confirmation", "synonym", "200", virtual(order.Recharge, order.Shipped, "1"), nil, "received"},
		{"failure", "virtual", "210", virtual(order.Card, order.Waiting, "1"), nil, "refunding"},
		{"failure", "virtual", "210", virtual(order.Gift, order.Shipped, "1"), nil, "110"},
		{"failure", "virtual", "210", virtual(order.Card, order.Waiting, "1"), &no, "109"},
		{"failure", "recharge", "210", virtual(order.Card, order.Waiting, "1"), &yes, "refunding"},
		{"failure", "recharge", "210", virtual(order.Recharge, order.Waiting, "1"), &no, "109"},
		{"timeout_closed", "104", "180", closed, nil, "104"},
		{"timeout_closed", "107", "180", closed, nil, "107"},
		{"timeout_closed", "107", "180", virtual(order.Gift, order.Closed, "1"), nil, "104"},
	} {
		call := statusCall(c.status, contract.Card{Code: "c", Password: "p"})
		call.App.Options = map[string]string{c.option: c.value}
		c.order.Lines[0].AcceptsFailure = c.accepts
		_, state, err := decide(t, call, now, c.order)
		got := string(state)
		if err != nil {
			_, got, _ = strings.Cut(err.Error(), "invalid-biz:")
		}
		if got != c.want {
			t.Errorf("%s=%s, %s: %s, want %s", c.option, c.value, c.status, got, c.want)
		}
	}
}

// Each value that an option may have is one that a test chooses, and no other is
// chosen.
func TestSuningOptionsAreTested(t *testing.T) {
	t.Parallel()
	tested := map[string][]string{
		"json": {"strict"}, "sign": {"any"}, "card_checks": {"113,114,115,116"}, // in package intake, and TestLeaguerStatusCards
		"ship_received": {"105"}, "grant_waiting": {"103"}, "confirmation": {"100", "synonym"}, "failure": {"virtual"}, "timeout_closed": {"107"},
	}
	for _, o := range order.SuningOptions {
		if !slices.Equal(o.Values[1:], tested[o.Name]) || o.Text == "" {
			t.Errorf("option %+v, tested %v", o, tested[o.Name])
		}
		delete(tested, o.Name)
	}
	if len(tested) != 0 {
		t.Errorf("no such options: %v", tested)
	}
}

// For an upstream's ledger unknown orders and lines are taken as they come, and
// the states follow.
func TestStatusUpstream(t *testing.T) {
	t.Parallel()
	send := func(status string, orders ...*order.Order) (order.Decision, order.State, error) {
		call := statusCall(status, contract.Card{})
		call.App.Authority = order.Upstream
		return decide(t, call, now, orders...)
	}
	d, state, err := send("180")
	if err != nil || state != order.Shipped || d.Orders[0].Key != (order.Key{Platform: order.Suning, Seller: "s", Number: "1"}) {
		t.Fatalf("unknown order: %v %s %+v", err, state, d)
	}
	if l := d.Orders[0].Lines[0]; l.Kind != order.Unknown || l.SupplierCode != "s" {
		t.Errorf("unknown line: %+v", l)
	}
	for _, c := range []struct {
		status string
		from   order.State
		want   order.State
	}{
		{"190", order.Waiting, order.Received}, {"180", order.Received, order.Received}, {"210", order.Waiting, order.Refunding},
		{"200", order.Shipped, order.Received}, {"180", order.Closed, order.Closed},
	} {
		if _, state, err := send(c.status, virtual(order.Card, c.from, "5")); err != nil || state != c.want {
			t.Errorf("%s in %s: %s, %v; want %s", c.status, c.from, state, err, c.want)
		}
	}
	if _, _, err := send("181"); !errors.Is(err, contract.StatusNotLegal) {
		t.Errorf("181: %v", err)
	}
	elsewhere := virtual(order.Card, order.Waiting, "1")
	elsewhere.Key.Seller = "elsewhere"
	if d, _, err := send("180", elsewhere); err != nil || d.Orders[0].Key != elsewhere.Key {
		t.Errorf("a line that is known: %v, %+v", err, d)
	}
	other := order.Fresh(order.Key{Platform: order.Suning, Seller: "elsewhere", Number: "1"}) // without the line
	other.Apply(order.Change{Key: other.Key, Header: other.Header, Lines: []order.Line{{Number: "7", Kind: order.Card}}}, now)
	call := statusCall("180")
	call.App.Authority, call.App.SupplierCode = order.Upstream, ""
	if d, _, err := decide(t, call, now, other); err != nil || d.Orders[0].Key != other.Key {
		t.Errorf("another line of an order, no supplier named: %v, %+v", err, d)
	}
	call.Request.(*contract.LeaguerStatusRequest).SupplierCode = "named"
	if d, _, err := decide(t, call, now, other); err != nil || d.Orders[0].Key.Seller != "named" {
		t.Errorf("another supplier's order: %v, %+v", err, d)
	}
	mine := virtual(order.Card, order.Waiting, "1")
	if d, _, err := send("180", mine, elsewhere); err != nil || d.Orders[0].Key != mine.Key {
		t.Errorf("two orders of the number: %v, %+v", err, d)
	}
}

// What is kept of a call holds no card; that is kept apart.
func TestCardsAreSealed(t *testing.T) {
	t.Parallel()
	call := statusCall("180", contract.Card{Code: "hush1", Password: "hush2"})
	call.Record.Params = contract.LeaguerStatus.Params(call.Request)
	d, _, err := decide(t, call, now, virtual(order.Card, order.Waiting, "1"))
	if err != nil {
		t.Fatal(err)
	}
	e := d.Events[0]
	if strings.Contains(string(e.Record), "hush") || !strings.Contains(string(e.Record), `"cardList":"***"`) {
		t.Errorf("record %s", e.Record)
	}
	if want := `{"cardList":"[{\"cardCode\":\"hush1\",\"cardSec\":\"hush2\"}]"}`; string(e.Sealed) != want {
		t.Errorf("sealed %s, want %s", string(e.Sealed), want)
	}
}

// Texts say the numbers that the rules have.
func TestTextsSayTheNumbers(t *testing.T) {
	t.Parallel()
	decision, err := os.ReadFile("../../docs/decisions/0008-suning.md")
	if err != nil {
		t.Fatal(err)
	}
	minutes := strconv.Itoa(int(order.RefundAfter.Minutes()))
	every := map[time.Duration]string{time.Second: "Once a second"}[order.SweepEvery]
	for _, c := range []struct{ text, word string }{
		{contract.RefundedByTime.When, minutes + " minutes"}, {contract.RefundedByTime.Text, "超" + minutes + "分钟"}, {string(decision), "The " + minutes + " minutes*"},
		{string(decision), every}, {string(decision), "at most " + strconv.Itoa(order.SweepSize) + " orders"}, {string(decision), order.EventRefund},
		{contract.CardsTooMany.When, "more than " + strconv.Itoa(contract.MaxCards)}, {contract.CardsTooMany.Text, "大于" + strconv.Itoa(contract.MaxCards)},
	} {
		if c.word == "" || !strings.Contains(c.text, c.word) {
			t.Errorf("%.100q does not say %q", c.text, c.word)
		}
	}
}
