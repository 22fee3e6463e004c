package order_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

var now = time.Date(2024, 6, 18, 12, 0, 0, 0, contract.Zone)

// ledger applies decisions in memory, as a store does on disk.
type ledger map[order.Key]*order.Order

// produce runs one event.produce of seller_001 through the rule.
func (l ledger) produce(t testing.TB, r contract.EventProduceRequest) (order.Event, error) {
	t.Helper()
	return l.produceAs(t, &order.App{Key: "a"}, r)
}

func (l ledger) produceAs(t testing.TB, app *order.App, r contract.EventProduceRequest) (order.Event, error) {
	t.Helper()
	work, err := order.Rules[0].Judge(&order.Call{API: contract.EventProduce, App: app, Seller: "seller_001", Request: &r, At: now})
	if err != nil {
		return order.Event{}, err
	}
	decision, err := l.run(t, work.Tasks[0])
	if err != nil {
		return order.Event{}, err
	}
	if len(decision.Events) != 1 || decision.Reply == nil {
		t.Fatalf("decision %+v", decision)
	}
	return decision.Events[0], nil
}

// run loads, decides and applies a task, as a store does.
func (l ledger) run(t testing.TB, task *order.Task) (order.Decision, error) {
	t.Helper()
	view := &order.View{Now: now, Orders: map[order.Key]*order.Order{}}
	for _, k := range task.Orders {
		if l[k] == nil {
			l[k] = order.Fresh(k)
		}
		view.Orders[k] = l[k]
	}
	decision, err := task.Decide(view)
	if err != nil {
		return decision, err
	}
	again, err := task.Decide(view) // the rule is pure
	if diff := cmp.Diff(decision, again); err != nil || diff != "" {
		t.Errorf("decided twice, %v:\n%s", err, diff)
	}
	for _, c := range decision.Orders {
		l[c.Key].Apply(c, now)
	}
	return decision, nil
}

const (
	transfer = contract.StatusTransfer
	check    = contract.StatusCheck
	notify   = contract.StatusNotify
	out      = contract.StatusOut
)

// event is one report in a story: status, ERP order, lines, and whether it has
// flowed back before.
type event struct {
	status, erp, lines, ext string
	again                   bool
}

// docs/decisions/0005: what counts as a repeat.
func TestBackflow(t *testing.T) {
	t.Parallel()
	for name, story := range map[string][]event{
		"the same twice":                                {{status: transfer}, {status: transfer, again: true}},
		"another status":                                {{status: transfer}, {status: check}, {status: transfer, again: true}, {status: check, again: true}},
		"another ERP order":                             {{status: transfer, erp: "1"}, {status: transfer, erp: "2"}, {status: transfer}, {status: transfer, erp: "1", again: true}},
		"a blank ERP order is none":                     {{status: transfer, erp: "  "}, {status: transfer, again: true}},
		"another line":                                  {{status: out, lines: "1"}, {status: out, lines: "2"}, {status: out, lines: "1", again: true}},
		"every named line known":                        {{status: out, lines: "1,2"}, {status: out, lines: "2", again: true}, {status: out, lines: "2,1,2", again: true}},
		"one of the named lines new":                    {{status: out, lines: "1"}, {status: out, lines: "1,2"}, {status: out, lines: "2", again: true}},
		"whole order covers its lines, also later ones": {{status: out}, {status: out, lines: "1", again: true}, {status: out, lines: "9", again: true}},
		"lines do not cover the whole order":            {{status: out, lines: "1"}, {status: out}, {status: out, again: true}},
		"unlisted status, other ext":                    {{status: "QIMEN_SPLIT", ext: `{"a":1}`}, {status: "QIMEN_SPLIT", ext: `{"a":2}`}, {status: "QIMEN_SPLIT", ext: `{"a":1}`, again: true}},
		"unlisted status, ext written otherwise":        {{status: "QIMEN_SPLIT", ext: `{"a":"b"}`}, {status: "QIMEN_SPLIT", ext: `{"a","b"}`, again: true}, {status: "QIMEN_SPLIT", ext: ` { "a": "b" } `, again: true}},
		"unlisted status, blank ext":                    {{status: "QIMEN_SPLIT"}, {status: "QIMEN_SPLIT", ext: " ", again: true}},
		"listed status, other ext":                      {{status: transfer, ext: `{"a":1}`}, {status: transfer, ext: `{"a":2}`, again: true}},
	} {
		l := ledger{}
		for i, e := range story {
			_, err := l.produce(t, contract.EventProduceRequest{Status: e.status, OrderID: "1", ERPOrderID: e.erp, SubOrders: e.lines, Extension: e.ext})
			if again := errors.Is(err, contract.AlreadyBackflow); again != e.again || err != nil && !again {
				t.Errorf("%s, event %d: %v, want repeated %t", name, i+1, err, e.again)
			}
		}
	}
}

func TestLineStates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		story []event
		want  string // stage, then number:state of each line
		odd   []int  // events with a warning of their order
	}{
		"whole order":               {[]event{{status: transfer}, {status: check}, {status: notify}, {status: out}}, "out", nil},
		"one line":                  {[]event{{status: transfer, lines: "1"}}, "transferred 1:transferred", nil},
		"skipped steps are normal":  {[]event{{status: out, lines: "1"}}, "out 1:out", nil},
		"the last line counts":      {[]event{{status: transfer, lines: "1,2"}, {status: out, lines: "1"}}, "transferred 1:out 2:transferred", nil},
		"never back":                {[]event{{status: out, lines: "1"}, {status: check, lines: "1"}}, "out 1:out", []int{1}},
		"never back, whole order":   {[]event{{status: notify}, {status: transfer}}, "notified", []int{1}},
		"whole order moves lines":   {[]event{{status: transfer, lines: "1,2"}, {status: check}}, "checked 1:checked 2:checked", nil},
		"whole order, one line on":  {[]event{{status: out, lines: "1"}, {status: transfer, lines: "2"}, {status: check}}, "checked 1:out 2:checked", []int{2}},
		"a line seen later":         {[]event{{status: check}, {status: notify, lines: "1"}}, "notified 1:notified", nil},
		"a line seen later, behind": {[]event{{status: notify}, {status: transfer, lines: "1"}}, "notified 1:notified", []int{1}},
		"unlisted moves nothing":    {[]event{{status: transfer, lines: "1"}, {status: "QIMEN_SPLIT", lines: "1,2"}}, "new 1:transferred 2:new", nil},
	} {
		l := ledger{}
		for i, e := range c.story {
			got, err := l.produce(t, contract.EventProduceRequest{Status: e.status, OrderID: "1", SubOrders: e.lines})
			if err != nil {
				t.Fatalf("%s, event %d: %v", name, i, err)
			}
			if odd := slices.Contains(got.Warnings, order.WarnStepOrder.Code); odd != slices.Contains(c.odd, i) {
				t.Errorf("%s, event %d: warnings %v", name, i, got.Warnings)
			}
		}
		o := l[order.Key{Platform: order.Taobao, Seller: "seller_001", Number: "1"}]
		got := string(o.Stage)
		for _, line := range o.Lines {
			got += fmt.Sprintf(" %s:%s", line.Number, line.State)
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// docs/decisions/0005: platform and seller of an order.
func TestWhoseOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		platform, nick string
		want           order.Key
		warning        string
	}{
		{"", "", order.Key{Platform: "taobao", Seller: "seller_001"}, ""},
		{" ", " ", order.Key{Platform: "taobao", Seller: "seller_001"}, ""},
		{"MAIN", "", order.Key{Platform: "taobao", Seller: "seller_001"}, ""},
		{"MAIN", "n", order.Key{Platform: "taobao", Seller: "n"}, ""},
		{"JD", "", order.Key{Platform: "JD", Seller: "seller_001"}, ""},
		{"JD", "n", order.Key{Platform: "JD", Seller: "n"}, ""},
		{"", "n", order.Key{Platform: "taobao", Seller: "seller_001"}, order.WarnNickAlone.Code},
		{"MARS", "", order.Key{Platform: "MARS", Seller: "seller_001"}, order.WarnPlatformCode.Code},
		{"suning", "n", order.Key{Platform: "SN", Seller: "n"}, order.WarnPlatformCode.Code},
		{"jd", "n", order.Key{Platform: "jd", Seller: "n"}, order.WarnPlatformCode.Code},
	} {
		c.want.Number = "1"
		e, err := ledger{}.produce(t, contract.EventProduceRequest{Status: transfer, OrderID: "1", Platform: c.platform, Nick: c.nick, ERPOrderID: "e", SubOrders: "1"})
		if err != nil || e.Order != c.want || strings.Join(e.Warnings, ",") != c.warning {
			t.Errorf("platform %q, nick %q: order %+v, warnings %v, %v; want %+v, %q", c.platform, c.nick, e.Order, e.Warnings, err, c.want, c.warning)
		}
	}
}

// The page asks for erp_order_id and taobao_sub_order_ids with the four steps.
func TestAskedFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, erp, lines string
		warned             bool
	}{
		{transfer, "e", "1", false}, {check, "", "1", true}, {notify, "e", "", true}, {out, "", "", true}, {"QIMEN_SPLIT", "", "", false},
	} {
		e, err := ledger{}.produce(t, contract.EventProduceRequest{Status: c.status, OrderID: "1", ERPOrderID: c.erp, SubOrders: c.lines})
		if err != nil || slices.Contains(e.Warnings, order.WarnNotGiven.Code) != c.warned {
			t.Errorf("%+v: warnings %v, %v", c, e.Warnings, err)
		}
	}
}

// An order is read whole by every call about it, so it does not grow for ever.
func TestOrdersAreBounded(t *testing.T) {
	t.Parallel()
	l := ledger{}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		lines := make([]string, 1000)
		for j := range lines {
			lines[j] = fmt.Sprint(i, "-", j)
		}
		_, err = l.produce(t, contract.EventProduceRequest{Status: transfer, OrderID: "1", SubOrders: strings.Join(lines, ",")})
	}
	if !errors.Is(err, contract.BadArgument) {
		t.Errorf("lines: %v", err)
	}
	err = nil
	lines := make([]string, 1000)
	for j := range lines {
		lines[j] = fmt.Sprint("0-", j)
	}
	for i := 0; err == nil && i < 100; i++ {
		_, err = l.produce(t, contract.EventProduceRequest{Status: transfer, OrderID: "1", ERPOrderID: fmt.Sprint(i), SubOrders: strings.Join(lines, ",")})
	}
	if !errors.Is(err, contract.BadArgument) {
		t.Errorf("marks: %v", err)
	}
	for _, o := range l {
		if len(o.Lines) > order.MaxLines || len(o.Marks) > order.MaxMarks {
			t.Errorf("%d lines, %d marks", len(o.Lines), len(o.Marks))
		}
	}
}

func TestUpstreamTakesRepeats(t *testing.T) {
	t.Parallel()
	l := ledger{}
	app := &order.App{Key: "a", Authority: order.Upstream}
	for range 2 {
		if _, err := l.produceAs(t, app, contract.EventProduceRequest{Status: out, OrderID: "1"}); err != nil {
			t.Error(err)
		}
	}
	for _, o := range l {
		if len(o.Marks) != 1 {
			t.Errorf("marks %v", o.Marks)
		}
	}
}

// Whatever is reported in whatever order: no mark stands twice, no line moves
// back, and a refused event changes nothing.
func TestAnyStory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		l := ledger{}
		key := order.Key{Platform: order.Taobao, Seller: "seller_001", Number: "1"}
		for range rapid.IntRange(1, 20).Draw(rt, "events") {
			var before order.Order
			if o := l[key]; o != nil {
				before = *o
				before.Lines = slices.Clone(o.Lines)
			}
			_, err := l.produce(t, contract.EventProduceRequest{
				OrderID:    "1",
				Status:     rapid.SampledFrom([]string{transfer, check, notify, out, "QIMEN_SPLIT"}).Draw(rt, "status"),
				ERPOrderID: rapid.SampledFrom([]string{"", "e"}).Draw(rt, "erp"),
				SubOrders:  rapid.SampledFrom([]string{"", "1", "2", "1,2", "2,3"}).Draw(rt, "lines"),
			})
			o := l[key]
			if err != nil && (len(o.Marks) != len(before.Marks) || fmt.Sprint(o.Lines) != fmt.Sprint(before.Lines)) {
				rt.Fatalf("refused with %v, yet changed", err)
			}
			seen := map[order.Mark]bool{}
			for _, m := range o.Marks {
				if seen[m] {
					rt.Fatalf("mark %+v stands twice", m)
				}
				seen[m] = true
			}
			states := order.States(order.Taobao)
			for _, was := range before.Lines {
				is, _ := o.Line(was.Number)
				if slices.Index(states, is.State) < slices.Index(states, was.State) {
					rt.Fatalf("line %s went from %s to %s", was.Number, was.State, is.State)
				}
			}
		}
	})
}

func TestEveryAPIHasARule(t *testing.T) {
	t.Parallel()
	if len(order.Rules) != len(contract.All) {
		t.Fatalf("%d rules for %d APIs", len(order.Rules), len(contract.All))
	}
	for i, rule := range order.Rules {
		if rule.API != contract.All[i] || rule.Judge == nil {
			t.Errorf("rule %d is not that of %s", i, contract.All[i].Method)
		}
	}
}
