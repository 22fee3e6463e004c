package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/pgserver/pgtest"
	"github.com/ordergate/ordergate/internal/secret"
)

var now = time.Date(2024, 6, 18, 12, 0, 0, 0, contract.Zone)

// database opens stores on one database, again and again.
type database func(t testing.TB, o Options) order.Store

// engines are the databases that must pass the suite.
var engines = map[string]func(t testing.TB) database{
	"sqlite":   func(t testing.TB) database { return at("sqlite:" + t.TempDir() + "/test.db") },
	"postgres": func(t testing.TB) database { return at(pgtest.Database(t)) },
}

// at is the database of a URL.
func at(url string) database {
	return func(t testing.TB, o Options) order.Store {
		t.Helper()
		s, err := Open(t.Context(), url, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func testKey(t testing.TB) *secret.Key {
	t.Helper()
	k, err := secret.New(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func options(t testing.TB) Options {
	return Options{Key: testKey(t), Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), OnCommit: func(Group) {}}
}

// conformance is what every store must do.
var conformance = map[string]func(t *testing.T, db database){
	"what is committed is there after a restart": testRestart,
	"tasks of a group see each other":            testGroup,
	"groups form under load":                     testLoad,
	"a failed transaction leaves nothing":        testFailedCommit,
	"a contradiction fails the whole group":      testContradiction,
	"refusals wait for the commit":               testRefusalsWait,
	"a panicking rule harms nobody else":         testPanic,
	"a full queue refuses":                       testBusy,
	"close finishes what was accepted":           testClose,
	"a cancelled caller is not queued":           testCancelled,
	"look-ups see what was committed":            testDirectory,
	"an app keeps the secret of its rotation":    testRotation,
	"a dropped app leaves no session":            testDroppedApp,
	"large orders end a page early":              testLargeOrders,
	"large events end a page early":              testLargeEvents,
	"lists filter and page":                      testLists,
	"work orders and event ids are kept":         testWorkOrders,
	"orders are found by their number":           testNumbers,
	"an import may leave the seller out":         testImportByNumber,
	"virtual lines and sealed cards are kept":    testVirtualLines,
	"late lines are refunded once":               testSweep,
	"a refusal may come with a change":           testRefusalWithChange,
	"locks are kept, found and given up":         testLocks,
	"a line may be asked for again":              testLocksAgain,
	"locks that bind nothing are forgotten":      testLocksForgotten,
	"long reasons stand once":                    testLongReasons,
	"destinations are kept and sealed":           testDestinations,
	"a seller's app is found":                    testAppOf,
	"queues are kept, and what deviates":         testQueues,
	"deliveries are retried and given up":        testRetries,
	"what was asked has another place":           testAskedPlaces,
	"what is old and owed to nobody is deleted":  testPrune,
	"ready writes":                               testReady,
	"daily counters add up":                      testUsage,
	"a declared state is stored whole":           testDeclared,
	"every text is kept":                         testTexts,
	"orders are sorted as lists ask":             testOrderSorts,
	"the log is read from its end":               testNewestEvents,
	"a stuck order is told of once":              testStuckAlerts,
	"a refund that is near is told of once":      testNearAlerts,
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, open := range engines {
		for claim, test := range conformance {
			t.Run(name+"/"+claim, func(t *testing.T) {
				t.Parallel()
				test(t, open(t))
			})
		}
	}
}

func opened(t *testing.T, db database, o Options) order.Store {
	t.Helper()
	s := db(t, o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func key(number string) order.Key {
	return order.Key{Platform: order.Taobao, Seller: "s", Number: number}
}

// report is an event.produce of one status of one order.
func report(number, status string) *order.Task {
	work, err := order.Rules[0].Judge(&order.Call{
		API: contract.EventProduce, App: &order.App{Key: "a"}, Seller: "s", At: now,
		Request: &contract.EventProduceRequest{Status: status, OrderID: number, ERPOrderID: "e", SubOrders: number + "1," + number + "2"},
		Record:  order.Record{RequestID: "r", Format: "json", Digest: "md5", Params: []contract.Param{{Name: "tid", Value: number}}},
	})
	if err != nil {
		panic(err)
	}
	return work.Tasks[0]
}

func commit(t testing.TB, s order.Store, tasks ...*order.Task) {
	t.Helper()
	if err := s.Commit(t.Context(), tasks...); err != nil {
		t.Fatal(err)
	}
}

func allEvents(t testing.TB, s order.Store) []*order.Event {
	t.Helper()
	events, _, err := s.Events(t.Context(), order.EventFilter{Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func oneOrder(t testing.TB, s order.Store, number string) *order.Order {
	t.Helper()
	orders, _, err := s.Orders(t.Context(), order.OrderFilter{Key: key(number), Limit: 10})
	if err != nil || len(orders) != 1 {
		t.Fatalf("%d orders %s, %v", len(orders), number, err)
	}
	return orders[0]
}

func testRestart(t *testing.T, db database) {
	methods := []string{"m"}
	app := &order.App{
		Key: "a", Protocol: contract.TOP, Authority: order.Ledger, Secret: "s1", OldSecret: "s0", OldUntil: now.Add(time.Hour), Name: "n", Seller: "s",
		SupplierCode: "c", Methods: &methods, Topics: &[]order.Topic{{Status: "*", ExtFields: []string{"f"}}, {Status: "X"}},
		IPAllow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Rate: order.Rate{PerSecond: 1, PerDay: 2}, ExpiresAt: now,
		OAuth: true, Options: map[string]string{"json": "strict"},
	}
	session := &order.Session{Token: "t", AppKey: "a", Seller: "s", ExpiresAt: now}
	buyer, state, quantity, kind := "翔", order.Shipped, "1.5", order.Card
	s := db(t, options(t))
	commit(t, s, order.Declare(order.Declared{
		Apps: []*order.App{app}, Sessions: []*order.Session{session},
		Orders: []order.Import{{Key: key("9"), Buyer: &buyer, BuyerOpenUID: &buyer, PaidAt: &now, Lines: []order.ImportLine{{Number: "1", Kind: &kind, State: &state, Quantity: &quantity, SupplierCode: &buyer}}}},
	}))
	commit(t, s, report("1", contract.StatusTransfer))
	commit(t, s, report("1", contract.StatusOut), report("2", "QIMEN_SPLIT"))
	before, order9 := allEvents(t, s), oneOrder(t, s, "9")
	order1 := oneOrder(t, s, "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = opened(t, db, options(t))
	if diff := cmp.Diff(before, allEvents(t, s)); diff != "" || len(before) != 3 {
		t.Errorf("%d events before, and - before + after\n%s", len(before), diff)
	}
	wantLines := []order.Line{{Number: "11", Kind: order.Physical, State: order.Out}, {Number: "12", Kind: order.Physical, State: order.Out}}
	if diff := cmp.Diff(wantLines, order1.Lines); diff != "" || len(order1.Marks) != 4 || order1.Stage != order.Out {
		t.Errorf("order %+v\n%s", order1, diff)
	}
	for _, o := range []*order.Order{order1, order9} {
		if diff := cmp.Diff(o, oneOrder(t, s, o.Number), cmpopts.IgnoreUnexported(order.Order{})); diff != "" {
			t.Errorf("- before + after\n%s", diff)
		}
	}
	if o := order9; o.Buyer != "翔" || !o.PaidAt.Equal(now) || o.Lines[0] != (order.Line{Number: "1", Kind: order.Card, Quantity: "1.5", State: order.Shipped, SupplierCode: "翔"}) {
		t.Errorf("imported %+v", o)
	}
	gotApp, err := s.App(t.Context(), "a")
	if diff := cmp.Diff(app, gotApp, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b contract.Secret) bool { return string(a) == string(b) })); err != nil || diff != "" {
		t.Errorf("app: %v\n%s", err, diff)
	}
	gotSession, err := s.Session(t.Context(), "t")
	session.ID = 1
	if diff := cmp.Diff(session, gotSession); err != nil || diff != "" {
		t.Errorf("session: %v\n%s", err, diff)
	}
	task := report("1", contract.StatusTransfer)
	commit(t, s, task, report("3", contract.StatusTransfer))
	if !errors.Is(task.Err, contract.AlreadyBackflow) {
		t.Errorf("repeated after the restart: %v", task.Err)
	}
	if events := allEvents(t, s); events[3].Seq <= before[2].Seq {
		t.Errorf("seq %d after %d", events[3].Seq, before[2].Seq)
	}
}

func testGroup(t *testing.T, db database) {
	s := opened(t, db, options(t))
	first, second, third := report("1", contract.StatusTransfer), report("1", contract.StatusTransfer), report("1", contract.StatusCheck)
	commit(t, s, first, second, third)
	if first.Err != nil || !errors.Is(second.Err, contract.AlreadyBackflow) || third.Err != nil {
		t.Errorf("got %v, %v, %v", first.Err, second.Err, third.Err)
	}
	if reply, ok := first.Reply.(*contract.EventProduceReply); !ok || !reply.Success {
		t.Errorf("reply %+v", first.Reply)
	}
	if events := allEvents(t, s); len(events) != 2 || events[0].ID == events[1].ID {
		t.Errorf("events %+v", events)
	}
	if o := oneOrder(t, s, "1"); o.Stage != order.Checked || len(o.Marks) != 4 {
		t.Errorf("order %+v", o)
	}
}

func testLoad(t *testing.T, db database) {
	const callers, calls = 32, 40
	o := options(t)
	var groups, tasks atomic.Int64
	o.OnCommit = func(g Group) {
		groups.Add(1)
		tasks.Add(int64(g.Tasks))
	}
	s := opened(t, db, o)
	var running sync.WaitGroup
	var accepted atomic.Int64
	for c := range callers {
		running.Go(func() {
			for i := range calls {
				task := report(fmt.Sprint(i), contract.StatusTransfer) // every caller reports the same orders
				if i%2 == 0 {
					task = report(fmt.Sprint(c, "-", i), contract.StatusTransfer)
				}
				if err := s.Commit(context.Background(), task); err != nil {
					t.Error(err)
				}
				if task.Err == nil {
					accepted.Add(1)
				}
			}
		})
	}
	running.Wait()
	events := allEvents(t, s)
	if want := int64(callers*calls/2 + calls/2); accepted.Load() != want || int64(len(events)) != want {
		t.Errorf("%d accepted, %d events, want %d", accepted.Load(), len(events), want)
	}
	for i := 1; i < len(events); i++ {
		if events[i].Seq <= events[i-1].Seq {
			t.Fatalf("seq %d after %d", events[i].Seq, events[i-1].Seq)
		}
	}
	if tasks.Load() != callers*calls || groups.Load() >= tasks.Load() {
		t.Errorf("%d tasks in %d groups", tasks.Load(), groups.Load())
	}
}

func testFailedCommit(t *testing.T, db database) {
	o := options(t)
	var fail atomic.Bool
	o.beforeCommit = func() error {
		if fail.Load() {
			return errors.New("disk full")
		}
		return nil
	}
	s := opened(t, db, o)
	commit(t, s, report("1", contract.StatusTransfer))
	fail.Store(true)
	failed := order.Declare(order.Declared{Apps: []*order.App{{Key: "new", Secret: "x"}}})
	err := s.Commit(t.Context(), report("1", contract.StatusCheck), report("2", contract.StatusTransfer), failed)
	if !errors.Is(err, order.ErrNotStored) {
		t.Errorf("got %v, want ErrNotStored", err)
	}
	if n := len(allEvents(t, s)); n != 1 {
		t.Errorf("%d events after the failure", n)
	}
	if o := oneOrder(t, s, "1"); o.Stage != order.Transferred {
		t.Errorf("order after the failure: %+v", o)
	}
	if _, err := s.App(t.Context(), "new"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("app after the failure: %v", err)
	}
	fail.Store(false)
	retry := report("1", contract.StatusCheck)
	commit(t, s, retry, report("2", contract.StatusTransfer))
	if events := allEvents(t, s); retry.Err != nil || len(events) != 3 || events[1].Seq <= events[0].Seq {
		t.Errorf("afterwards: %v, %d events", retry.Err, len(events))
	}
}

func testContradiction(t *testing.T, db database) {
	s := opened(t, db, options(t))
	mark := order.Mark{Status: "X"}
	wrong := &order.Task{Orders: []order.Key{key("2")}, Decide: func(*order.View) (order.Decision, error) {
		return order.Decision{Orders: []order.Change{{Key: key("2"), Header: order.Header{Reached: order.New}, Marks: []order.Mark{mark, mark}}}}, nil
	}}
	if err := s.Commit(t.Context(), report("1", contract.StatusTransfer), wrong); !errors.Is(err, order.ErrNotStored) {
		t.Errorf("got %v, want ErrNotStored", err)
	}
	if n := len(allEvents(t, s)); n != 0 {
		t.Errorf("%d events", n)
	}
	commit(t, s, report("1", contract.StatusTransfer))
}

// A caller that is told "already backflow" may rely on its twin being on disk.
func testRefusalsWait(t *testing.T, db database) {
	o := options(t)
	entered, release := make(chan struct{}), make(chan struct{})
	o.beforeCommit = func() error {
		entered <- struct{}{}
		<-release
		return nil
	}
	s := opened(t, db, o)
	answered := make(chan *order.Task, 2)
	both := []*order.Task{report("1", contract.StatusTransfer), report("1", contract.StatusTransfer)}
	go func() {
		if err := s.Commit(context.Background(), both...); err != nil {
			t.Error(err)
		}
		answered <- both[0]
		answered <- both[1]
	}()
	<-entered
	late := report("1", contract.StatusTransfer)
	go func() { // its own call: it waits for the transaction that holds its twin
		if err := s.Commit(context.Background(), late); err != nil {
			t.Error(err)
		}
		answered <- late
	}()
	select {
	case task := <-answered:
		t.Errorf("answered before the commit: %v", task.Err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	refused := 0
	for range 3 {
		if errors.Is((<-answered).Err, contract.AlreadyBackflow) {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d of 3 refused, want 2", refused)
	}
}

func testPanic(t *testing.T, db database) {
	s := opened(t, db, options(t))
	bad := &order.Task{Decide: func(*order.View) (order.Decision, error) { panic("rule is broken") }}
	good := report("1", contract.StatusTransfer)
	commit(t, s, bad, good)
	if !errors.Is(bad.Err, order.ErrNotStored) || good.Err != nil || len(allEvents(t, s)) != 1 {
		t.Errorf("got %v and %v", bad.Err, good.Err)
	}
}

func testBusy(t *testing.T, db database) {
	o := options(t)
	o.Queue, o.writers = 2, 1
	s := opened(t, db, o)
	entered, release := make(chan struct{}), make(chan struct{})
	slow := &order.Task{Decide: func(*order.View) (order.Decision, error) {
		close(entered)
		<-release
		return order.Decision{}, nil
	}}
	var running sync.WaitGroup
	running.Go(func() { commit(t, s, slow) })
	<-entered
	results := make(chan error, 8)
	for i := range 8 {
		running.Go(func() { results <- s.Commit(context.Background(), report(fmt.Sprint(i), contract.StatusTransfer)) })
	}
	for range 6 { // two wait, the others are refused at once
		if err := <-results; !errors.Is(err, order.ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
	}
	close(release)
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("a caller that waited: %v", err)
		}
	}
	running.Wait()
	if n := len(allEvents(t, s)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func testClose(t *testing.T, db database) {
	s := db(t, options(t))
	const callers = 50
	results := make(chan error, callers)
	for i := range callers {
		go func() { results <- s.Commit(context.Background(), report(fmt.Sprint(i), contract.StatusTransfer)) }()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for range callers {
		switch err := <-results; {
		case err == nil:
			stored++
		case !errors.Is(err, order.ErrNotStored):
			t.Errorf("got %v", err)
		}
	}
	if err := s.Commit(context.Background(), report("x", contract.StatusTransfer)); !errors.Is(err, order.ErrNotStored) {
		t.Errorf("after close: %v", err)
	}
	s = opened(t, db, options(t))
	if n := len(allEvents(t, s)); n != stored {
		t.Errorf("%d events, %d callers were told yes", n, stored)
	}
}

func testCancelled(t *testing.T, db database) {
	s := opened(t, db, options(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, report("1", contract.StatusTransfer)); !errors.Is(err, order.ErrNotStored) {
		t.Errorf("got %v", err)
	}
	if n := len(allEvents(t, s)); n != 0 {
		t.Errorf("%d events", n)
	}
}

func testDirectory(t *testing.T, db database) {
	s := opened(t, db, options(t))
	declare := func(name string) {
		commit(t, s, order.Declare(order.Declared{
			Apps:     []*order.App{{Key: "a", Name: name, Secret: contract.Secret(name)}, {Key: "b", Secret: "b"}},
			Sessions: []*order.Session{{Token: "t", AppKey: "a", Seller: name}, {Token: "u", AppKey: "b"}},
		}))
	}
	for _, name := range []string{"one", "two"} {
		declare(name)
		for range 2 { // from the database, then from memory
			app, err := s.App(t.Context(), "a")
			if err != nil || app.Name != name || string(app.Secret) != name {
				t.Errorf("app %+v, %v, want %s", app, err, name)
			}
			session, err := s.Session(t.Context(), "t")
			if err != nil || session.Seller != name {
				t.Errorf("session %+v, %v, want %s", session, err, name)
			}
		}
	}
	commit(t, s, order.DropSession("u"))
	if _, err := s.Session(t.Context(), "u"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("dropped session: %v", err)
	}
	commit(t, s, order.DropApp("a"))
	if _, err := s.App(t.Context(), "a"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("dropped app: %v", err)
	}
	if _, err := s.Session(t.Context(), "t"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("session of a dropped app: %v", err)
	}

	// A look-up that races with a change never leaves the older app in memory.
	declare("three")
	var running sync.WaitGroup
	for i := range 100 {
		running.Go(func() { _, _ = s.App(context.Background(), "a") })
		running.Go(func() { declare(fmt.Sprint(i)) })
	}
	running.Wait()
	declare("last")
	if app, err := s.App(t.Context(), "a"); err != nil || app.Name != "last" {
		t.Errorf("app %+v, %v", app, err)
	}
}

// Whatever order a rotation and a change without a secret come in, both stand.
func testRotation(t *testing.T, db database) {
	s := opened(t, db, options(t))
	commit(t, s, order.Declare(order.Declared{Apps: []*order.App{{Key: "a", Secret: "old"}}}))
	for i := range 50 {
		secret := contract.Secret(fmt.Sprint("new", i))
		var both sync.WaitGroup
		both.Go(func() { commit(t, s, order.Rotate("a", secret, time.Hour)) })
		both.Go(func() {
			commit(t, s, order.Declare(order.Declared{Apps: []*order.App{{Key: "a", Name: fmt.Sprint(i)}}}))
		})
		both.Wait()
		app, err := s.App(t.Context(), "a")
		if err != nil || app.Secret != secret || app.Name != fmt.Sprint(i) || app.OldSecret == "" {
			t.Fatalf("round %d: %q, %q, %q, %v", i, string(app.Secret), string(app.OldSecret), app.Name, err)
		}
	}
	// The present secret declared again leaves the overlap as it is; another ends it.
	app, _ := s.App(t.Context(), "a")
	commit(t, s, order.Declare(order.Declared{Apps: []*order.App{{Key: "a", Secret: app.Secret}}}))
	if again, err := s.App(t.Context(), "a"); err != nil || again.OldSecret != app.OldSecret {
		t.Errorf("declared again: %q, %v", string(again.OldSecret), err)
	}
	commit(t, s, order.Declare(order.Declared{Apps: []*order.App{{Key: "a", Secret: "other"}}}))
	if again, err := s.App(t.Context(), "a"); err != nil || again.OldSecret != "" {
		t.Errorf("another secret: %q, %v", string(again.OldSecret), err)
	}
	for _, task := range []*order.Task{order.Rotate("nobody", "x", 0), order.Declare(order.Declared{Apps: []*order.App{{Key: "b"}}})} {
		commit(t, s, task)
		if task.Err == nil {
			t.Error("an app that is not there")
		}
	}
}

func testDroppedApp(t *testing.T, db database) {
	s := opened(t, db, options(t))
	app := order.Declared{Apps: []*order.App{{Key: "a", Secret: "s"}}}
	session := order.Declared{Sessions: []*order.Session{{Token: "t", AppKey: "a"}}}
	for range 50 {
		commit(t, s, order.Declare(app))
		var both sync.WaitGroup
		both.Go(func() { commit(t, s, order.Declare(session)) })
		both.Go(func() { commit(t, s, order.DropApp("a")) })
		both.Wait()
		if _, err := s.Session(t.Context(), "t"); !errors.Is(err, order.ErrNotFound) {
			t.Fatalf("the session outlived its app: %v", err)
		}
	}
	// In one transaction the last word counts.
	commit(t, s, order.Declare(app), order.Declare(session), order.DropApp("a"), order.Declare(app))
	if _, err := s.Session(t.Context(), "t"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("session: %v", err)
	}
	if _, err := s.App(t.Context(), "a"); err != nil {
		t.Errorf("app: %v", err)
	}
	commit(t, s, order.Declare(session), order.DropApp("a"))
	if _, err := s.App(t.Context(), "a"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("app: %v", err)
	}
}

func testLargeOrders(t *testing.T, db database) {
	s := opened(t, db, options(t))
	const count = 30
	lines := make([]order.ImportLine, order.MaxLines)
	for i := range lines {
		lines[i].Number = fmt.Sprint(i)
	}
	for i := range count {
		commit(t, s, order.Declare(order.Declared{Orders: []order.Import{{Key: key(fmt.Sprint(i)), Lines: lines}}}))
	}
	first, more, err := s.Orders(t.Context(), order.OrderFilter{Limit: 1000})
	if err != nil || !more || len(first) == 0 || len(first) == count {
		t.Fatalf("%d orders, more %t, %v", len(first), more, err)
	}
	rest, more, err := s.Orders(t.Context(), order.OrderFilter{After: first[len(first)-1].ID, Limit: 1000})
	if err != nil || more || len(first)+len(rest) != count {
		t.Errorf("%d and %d orders, more %t, %v", len(first), len(rest), more, err)
	}
	over := order.Declare(order.Declared{Orders: []order.Import{{Key: key("0"), Lines: []order.ImportLine{{Number: "one more"}}}}})
	commit(t, s, over)
	if _, ok := errors.AsType[order.Mistakes](over.Err); !ok {
		t.Errorf("a line too many: %v", over.Err)
	}
}

// emitted is an event.emit about work order w of tenant t.
func emitted(id, status, text string) *order.Task {
	rule, _ := order.RuleOf(contract.EventEmit)
	work, err := rule.Judge(&order.Call{
		API: contract.EventEmit, App: &order.App{Key: "a"}, Seller: "s", At: now,
		Request: &contract.EventEmitRequest{EventID: id, TenantCode: "t", WorkOrderID: "w", WorkOrderStatus: status, Text: text, OrderID: "1", Timestamp: status},
	})
	if err != nil {
		panic(err)
	}
	return work.Tasks[0]
}

func testWorkOrders(t *testing.T, db database) {
	s := db(t, options(t))
	repeated, changed := emitted("1", "1", "a"), emitted("1", "1", "b")
	commit(t, s, emitted("1", "1", "a"), repeated, emitted("2", "2", "a"), changed) // in one transaction
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, db, options(t))
	later, again := emitted("3", "3", "a"), emitted("1", "1", "b")
	commit(t, s, later)
	commit(t, s, again)
	for name, c := range map[string]struct {
		task *order.Task
		yes  bool
	}{"repeated": {repeated, true}, "changed": {changed, false}, "later": {later, true}, "changed after a restart": {again, false}} {
		if yes := contract.EventEmit.Yes(c.task.Reply); c.task.Err != nil || yes != c.yes {
			t.Errorf("%s: %+v, %v", name, c.task.Reply, c.task.Err)
		}
	}
	key := order.WorkOrderKey{App: "a", Tenant: "t", ID: "w"}
	want := &order.WorkOrder{Row: 1, WorkOrderKey: key, Status: "3", OrderID: "1", Timestamp: "3", CreatedAt: now, UpdatedAt: now}
	for _, f := range []order.WorkOrderFilter{{}, {Key: key}, {Key: order.WorkOrderKey{Tenant: "t"}}, {Status: "3"}} {
		f.Limit = 1
		found, more, err := s.WorkOrders(t.Context(), f)
		if err != nil || more || len(found) != 1 {
			t.Fatalf("%+v: %d found, %v", f, len(found), err)
		}
		if diff := cmp.Diff(want, found[0]); diff != "" {
			t.Errorf("%+v: - want + got\n%s", f, diff)
		}
	}
	for _, f := range []order.WorkOrderFilter{{Key: order.WorkOrderKey{App: "b"}}, {Status: "2"}, {After: 1}} {
		f.Limit = 1
		if found, _, err := s.WorkOrders(t.Context(), f); err != nil || len(found) != 0 {
			t.Errorf("%+v: %d found, %v", f, len(found), err)
		}
	}
	history, _, err := s.Events(t.Context(), order.EventFilter{WorkOrder: 1, Limit: 10})
	if err != nil || len(history) != 3 {
		t.Fatalf("%d events, %v", len(history), err)
	}
	for _, e := range history {
		if e.WorkOrder != key || e.Order != (order.Key{Platform: order.Taobao, Seller: "s", Number: "1"}) {
			t.Errorf("event of %+v, %+v", e.WorkOrder, e.Order)
		}
	}
	if o := oneOrder(t, s, "1"); o.Stage != order.New || len(o.Lines) != 0 {
		t.Errorf("order %+v", o)
	}
}

func testLargeEvents(t *testing.T, db database) {
	s := opened(t, db, options(t))
	const count = 40
	for i := range count {
		work, err := order.Rules[0].Judge(&order.Call{
			API: contract.EventProduce, App: &order.App{Key: "a"}, Seller: "s", At: now,
			Request: &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: fmt.Sprint(i)},
			Record:  order.Record{Params: []contract.Param{{Name: "extra", Value: strings.Repeat("x", 1<<20)}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, work.Tasks...)
	}
	read, after := 0, int64(0)
	for pages := 0; ; pages++ {
		events, more, err := s.Events(t.Context(), order.EventFilter{After: after, Limit: 1000})
		if err != nil || len(events) == 0 {
			t.Fatal(len(events), err)
		}
		if read += len(events); !more {
			if read != count || pages < 2 {
				t.Errorf("%d events in %d pages", read, pages+1)
			}
			return
		}
		after = events[len(events)-1].Seq
	}
}

func testLists(t *testing.T, db database) {
	s := opened(t, db, options(t))
	for i := range 5 {
		commit(t, s, report(fmt.Sprint("10", i), contract.StatusTransfer), report(fmt.Sprint("20", i), contract.StatusOut))
	}
	numbers := func(f order.OrderFilter) string {
		t.Helper()
		orders, more, err := s.Orders(t.Context(), f)
		if err != nil || more && len(orders) != f.Limit {
			t.Fatalf("%d orders, more %t, %v", len(orders), more, err)
		}
		var found []string
		for _, o := range orders {
			found = append(found, o.Number)
		}
		return strings.Join(found, " ")
	}
	page, more, err := s.Orders(t.Context(), order.OrderFilter{Limit: 3})
	if err != nil || !more {
		t.Fatal(err)
	}
	for want, f := range map[string]order.OrderFilter{
		"100 200 101":         {Limit: 3},
		"201 102 202":         {After: page[2].ID, Limit: 3},
		"100 101 102 103 104": {Stage: order.Transferred, Limit: 10},
		"200 201 202 203 204": {Prefix: "2", Limit: 10},
		"203":                 {Key: order.Key{Number: "203"}, Limit: 10},
		"":                    {Key: order.Key{Number: "203", Platform: "JD"}, Limit: 10},
		"100 200 101 201":     {UpdatedUpTo: now, Limit: 4},
	} {
		if got := numbers(f); got != want {
			t.Errorf("%+v: got %q, want %q", f, got, want)
		}
	}
	if got := numbers(order.OrderFilter{UpdatedUpTo: now.Add(-1 * time.Millisecond), Limit: 4}); got != "" {
		t.Errorf("older ones: %q", got)
	}
	seqs := func(f order.EventFilter) int {
		t.Helper()
		events, more, err := s.Events(t.Context(), f)
		if err != nil || more != (len(events) == f.Limit) {
			t.Fatalf("%+v: %d events, more %t, %v", f, len(events), more, err)
		}
		return len(events)
	}
	events := allEvents(t, s)
	for want, f := range map[int]order.EventFilter{
		10: {Limit: 100}, 3: {Limit: 3}, 4: {After: events[5].Seq, Limit: 100}, 1: {Order: "203", Limit: 100}, 0: {API: "none", Limit: 100},
	} {
		if got := seqs(f); got != want {
			t.Errorf("%+v: %d events, want %d", f, got, want)
		}
	}
	if seqs(order.EventFilter{Seq: events[3].Seq, Limit: 9}) != 1 || seqs(order.EventFilter{OrderID: page[0].ID, API: contract.EventProduce.Method, Limit: 9}) != 1 {
		t.Error("events by seq and by order")
	}
	for i := range 3 {
		commit(t, s, order.Declare(order.Declared{Apps: []*order.App{{Key: fmt.Sprint(i), Secret: "s"}}, Sessions: []*order.Session{{Token: contract.Secret(fmt.Sprint(i)), AppKey: "0"}}}))
	}
	apps, err := s.Apps(t.Context(), "0", 1)
	if err != nil || len(apps) != 1 || apps[0].Key != "1" {
		t.Errorf("apps %+v, %v", apps, err)
	}
	first, err := s.Sessions(t.Context(), 0, 2)
	if err != nil || len(first) != 2 {
		t.Errorf("sessions %+v, %v", first, err)
	}
	rest, err := s.Sessions(t.Context(), first[1].ID, 2)
	if err != nil || len(rest) != 1 || string(rest[0].Token) != "2" {
		t.Errorf("sessions %+v, %v", rest, err)
	}
}

func testReady(t *testing.T, db database) {
	o := options(t)
	var fail atomic.Bool
	stuck := make(chan struct{})
	o.beforeCommit = func() error {
		if fail.Load() {
			<-stuck
			return errors.New("disk full")
		}
		return nil
	}
	s := opened(t, db, o)
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("a good database: %v", err)
	}
	fail.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Ready(ctx); err == nil {
		t.Error("a committer that hangs is ready")
	}
	close(stuck)
	if err := s.Ready(t.Context()); !errors.Is(err, order.ErrNotStored) {
		t.Errorf("a full disk: %v", err)
	}
	fail.Store(false)
	if err := s.Ready(t.Context()); err != nil || len(allEvents(t, s)) != 0 {
		t.Errorf("afterwards: %v", err)
	}
}

func testUsage(t *testing.T, db database) {
	s := opened(t, db, options(t))
	commit(t, s, order.CountCalls([]order.Usage{{AppKey: "a", Day: "2024-06-18", Calls: 3}, {AppKey: "b", Day: "2024-06-18", Calls: 1}}))
	commit(t, s, order.CountCalls([]order.Usage{{AppKey: "a", Day: "2024-06-18", Calls: 4}, {AppKey: "a", Day: "2024-06-19", Calls: 5}}))
	got, err := s.Usage(t.Context(), "2024-06-18")
	if diff := cmp.Diff(map[string]int64{"a": 7, "b": 1}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func testDeclared(t *testing.T, db database) {
	s := opened(t, db, options(t))
	var d order.Declared
	for i := range 2000 {
		d.Orders = append(d.Orders, order.Import{Key: key(fmt.Sprint(i)), Lines: []order.ImportLine{{Number: "1"}, {Number: "2"}}})
	}
	for range 2 { // the same again changes nothing
		commit(t, s, order.Declare(d))
	}
	orders, more, err := s.Orders(t.Context(), order.OrderFilter{Limit: 2000})
	if err != nil || more || len(orders) != 2000 || len(orders[1999].Lines) != 2 {
		t.Errorf("%d orders, %v", len(orders), err)
	}
}
