package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// question is what an intercept of lines of an order asks a merchant.
func question(t testing.TB, number, lines string) *order.Question {
	t.Helper()
	request := &contract.OrderInterceptRequest{SellerNick: "s", BuyerNick: "b", CallType: contract.CallSynchronous, Order: contract.InterceptedOrder{ID: number, SubOrders: lines}}
	rule, _ := order.RuleOf(contract.OrderIntercept)
	work, err := rule.Judge(&order.Call{API: contract.OrderIntercept, App: &order.App{Key: "a"}, Request: request, At: now})
	if err != nil {
		t.Fatal(err)
	}
	return work.Question
}

var yes = order.Verdict{Reply: &contract.OrderInterceptReply{Result: contract.InterceptResult{Success: true}}}

// lockStates lists the locks of an order: line, state and code.
func lockStates(t testing.TB, s order.Store, number string) (states []string) {
	t.Helper()
	for _, l := range oneOrder(t, s, number).Locks {
		states = append(states, strings.TrimSpace(l.Line+" "+string(l.State)+" "+l.Code))
	}
	return states
}

func testLocks(t *testing.T, db database) {
	s := db(t, options(t))
	first, second := question(t, "1", "x,y"), question(t, "2", "z")
	ask := first.Ask("erp")
	commit(t, s, ask)
	commit(t, s, second.Ask("erp"))
	commit(t, s, report("3", contract.StatusOut))
	if len(ask.Events) != 1 || ask.Events[0].Seq != 1 || string(allEvents(t, s)[0].Answer) != "{}" {
		t.Errorf("events %+v", ask.Events)
	}
	settle := first.Settle(yes)
	commit(t, s, settle)
	if got := string(allEvents(t, s)[0].Answer); got != `{"result":{"success":true}}` {
		t.Errorf("the answer of the event is %s", got)
	}
	before := oneOrder(t, s, "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, db, options(t))
	if diff := cmp.Diff(before, oneOrder(t, s, "1"), cmpopts.IgnoreUnexported(order.Order{})); diff != "" {
		t.Errorf("- before + after\n%s", diff)
	}
	for states, want := range map[string][]string{"asked": {"2"}, "locked": {"1"}, "asked locked": {"1", "2"}, "refused": nil} {
		var f order.OrderFilter
		for state := range strings.FieldsSeq(states) {
			f.Locks = append(f.Locks, order.LockState(state))
		}
		f.Limit = 10
		found, _, err := s.Orders(t.Context(), f)
		var got []string
		for _, o := range found {
			got = append(got, o.Number)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("with locks that are %s: %v, %v; want %v", states, got, err, want)
		}
	}
	n, err := order.AbandonAsked(t.Context(), s, time.Time{})
	if err != nil || n != 2 || fmt.Sprint(lockStates(t, s, "2")) != "[z unknown interrupted]" {
		t.Errorf("abandoned %d, %v: %v", n, err, lockStates(t, s, "2"))
	}
	if n, err := order.AbandonAsked(t.Context(), s, time.Time{}); n != 0 || err != nil {
		t.Errorf("abandoned again: %d, %v", n, err)
	}
	events := allEvents(t, s)
	if last := events[len(events)-1]; last.API != order.EventLockUnknown || fmt.Sprint(last.Lines) != "[z]" {
		t.Errorf("last event %+v", last)
	}
	commit(t, s, second.Settle(yes)) // too late
	if got := lockStates(t, s, "2"); fmt.Sprint(got) != "[z unknown interrupted]" {
		t.Errorf("a verdict behind the end: %v", got)
	}
}

// A line that is asked for again keeps its lock, whatever the merchant says then; a
// second yes replaces the first.
func testLocksAgain(t *testing.T, db database) {
	s := opened(t, db, options(t))
	for _, c := range []struct {
		verdict order.Verdict
		want    string
	}{
		{order.Verdict{Err: contract.ReadTimeout}, "[x unknown isp.http-read-timeout]"},
		{yes, "[x unknown isp.http-read-timeout x locked]"},
		{order.Verdict{Reply: &contract.OrderInterceptReply{Result: contract.InterceptResult{ErrorCode: "1001"}}}, "[x unknown isp.http-read-timeout x locked x refused 1001]"},
		{yes, "[x unknown isp.http-read-timeout x released x refused 1001 x locked]"},
	} {
		q := question(t, "1", "x")
		commit(t, s, q.Ask("erp"))
		settle := q.Settle(c.verdict)
		commit(t, s, settle)
		if got := fmt.Sprint(lockStates(t, s, "1")); got != c.want || !errors.Is(settle.Err, c.verdict.Err) {
			t.Errorf("got %s, %v; want %s, %v", got, settle.Err, c.want, c.verdict.Err)
		}
	}
}

// What a merchant says at length stands once, with the event: its locks have the
// beginning.
func testLongReasons(t *testing.T, db database) {
	s := opened(t, db, options(t))
	q := question(t, "1", "x,y")
	text := strings.Repeat("长", 10_000)
	commit(t, s, q.Ask("erp"))
	commit(t, s, q.Settle(order.Verdict{Reply: &contract.OrderInterceptReply{Result: contract.InterceptResult{ErrorCode: text, ErrorText: text}}}))
	for _, l := range oneOrder(t, s, "1").Locks {
		if want := strings.Repeat("长", 66) + "…"; l.Code != want || l.Text != want { // 200 bytes, at a character's end
			t.Errorf("code %q, text %q", l.Code, l.Text)
		}
	}
	if answer := string(allEvents(t, s)[0].Answer); !strings.Contains(answer, `"errorMsg":"`+text+`"`) {
		t.Errorf("the answer has %d bytes", len(answer))
	}
}

// An order remembers so many locks; those that bind are not forgotten.
func testLocksForgotten(t *testing.T, db database) {
	s := opened(t, db, options(t))
	refused := order.Verdict{Reply: &contract.OrderInterceptReply{Result: contract.InterceptResult{ErrorCode: "1001"}}}
	held := question(t, "1", "held")
	commit(t, s, held.Ask("erp"))
	commit(t, s, held.Settle(yes))
	lines := make([]string, 999)
	for i := range lines {
		lines[i] = fmt.Sprint("l", i)
	}
	for range 4 {
		q := question(t, "1", strings.Join(lines, ","))
		commit(t, s, q.Ask("erp"))
		commit(t, s, q.Settle(refused))
	}
	o := oneOrder(t, s, "1")
	if len(o.Locks) != order.MaxLocks || !o.Held("held") || o.Locks[0].Line != "held" {
		t.Errorf("%d locks, held %t", len(o.Locks), o.Held("held"))
	}
	for range 2 {
		q := question(t, "1", strings.Join(lines, ","))
		commit(t, s, q.Ask("erp"))
	}
	q := question(t, "1", "one-more,and-one")
	ask := q.Ask("erp")
	commit(t, s, ask)
	if !errors.Is(ask.Err, contract.BadArgument) {
		t.Errorf("beyond the limit: %v", ask.Err)
	}
}

func testDestinations(t *testing.T, db database) {
	s := db(t, options(t))
	declare := func(d ...*order.Destination) *order.Task {
		task := order.Declare(order.Declared{Destinations: d})
		commit(t, s, task)
		return task
	}
	erp := order.Destination{
		Name: "erp", Kind: order.KindTOP, URL: "https://x.example", AppKey: "k", APIs: []string{"a"}, Sellers: []string{"s"}, Timeout: time.Second, MaxInFlight: 7,
		DestinationSecrets: order.DestinationSecrets{Secret: "hush-secret", Session: "hush-session", Sessions: map[string]contract.Secret{"s": "hush-token"}},
	}
	if task := declare(&order.Destination{Name: "erp"}); task.Err == nil {
		t.Error("a new destination without a secret is stored")
	}
	if list, err := s.Destinations(t.Context()); len(list) != 0 || err != nil {
		t.Errorf("list %v, %v", list, err)
	}
	declare(&erp, &order.Destination{Name: "b", DestinationSecrets: order.DestinationSecrets{Secret: "x"}, Disabled: true})
	again := erp // as it reads back: without its secrets
	again.DestinationSecrets = order.DestinationSecrets{Sessions: map[string]contract.Secret{"s": ""}}
	declare(&again)
	commit(t, s, order.RotateDestination("erp", "hush-newer", time.Hour))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, db, options(t))
	want := erp
	want.Secret, want.OldSecret, want.OldUntil = "hush-newer", "hush-secret", now.Add(time.Hour)
	list, err := s.Destinations(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != "b" || !list[0].Disabled {
		t.Fatalf("list %v, %v", list, err)
	}
	if diff := cmp.Diff(&want, list[1], cmp.Comparer(func(a, b contract.Secret) bool { return string(a) == string(b) })); diff != "" {
		t.Errorf("- want + got\n%s", diff)
	}
	if got := fmt.Sprintf("%d %d %s %s", len(list[1].Secrets(now)), len(list[1].Secrets(now.Add(time.Hour))), string(list[1].SessionOf("s")), string(list[1].SessionOf("z"))); got != "2 1 hush-token hush-session" {
		t.Errorf("secrets %s", got)
	}
	commit(t, s, order.DropDestination("erp"))
	if list, err = s.Destinations(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("after a drop: %v, %v", list, err)
	}
	missing := order.RotateDestination("erp", "x", 0)
	commit(t, s, missing)
	if !errors.Is(missing.Err, order.ErrNotFound) {
		t.Errorf("rotating what is gone: %v", missing.Err)
	}
}

func testAppOf(t *testing.T, db database) {
	s := opened(t, db, options(t))
	app := func(key, seller string, p contract.Protocol) *order.App {
		return &order.App{Key: key, Protocol: p, Secret: "x", Seller: seller}
	}
	if _, err := s.AppOf(t.Context(), "s"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("nobody's: %v", err)
	}
	commit(t, s, order.Declare(order.Declared{Apps: []*order.App{app("1", "s", contract.Suning), app("3", "s", contract.TOP), app("2", "s", contract.TOP), app("4", "z", contract.TOP)}}))
	for seller, want := range map[string]string{"s": "2", "z": "4"} {
		if got, err := s.AppOf(t.Context(), seller); err != nil || got.Key != want {
			t.Errorf("app of %s: %v, %v", seller, got, err)
		}
	}
	commit(t, s, order.DropApp("2"))
	if got, err := s.AppOf(t.Context(), "s"); err != nil || got.Key != "3" {
		t.Errorf("after a change: %v, %v", got, err)
	}
}

// What a destination signs with is not readable in the file.
func TestDestinationsAreSealed(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/x.db"
	s, err := Open(t.Context(), "sqlite:"+path, options(t))
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, order.Declare(order.Declared{Destinations: []*order.Destination{{Name: "erp", DestinationSecrets: order.DestinationSecrets{Secret: "hush", Session: "hush", Sessions: map[string]contract.Secret{"s": "hush"}}}}}))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(data), "hush") || !strings.Contains(string(data), "erp") {
		t.Errorf("readable, %v", err)
	}
}
