package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
)

// platform is a TOP that counts the sub orders that it is told of.
type platform struct {
	*httptest.Server
	mu     sync.Mutex
	told   []string
	answer func(http.ResponseWriter, *http.Request)
}

func newPlatform(t *testing.T) *platform {
	p := &platform{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := r.FormValue("sub_order_ids")
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		p.mu.Lock()
		p.told = append(p.told, lines)
		p.mu.Unlock()
		_, _ = io.WriteString(w, `{"gearfactory_intercept_order_callback_response":{"is_success":true}}`)
	}))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

func (p *platform) answers(f func(http.ResponseWriter, *http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// heard waits until the platform was told of so many, and returns them sorted.
func (p *platform) heard(t *testing.T, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		told := slices.Sorted(slices.Values(p.told))
		p.mu.Unlock()
		if len(told) >= n {
			return told
		}
		if time.Now().After(deadline) {
			t.Fatalf("told of %v, want %d", told, n)
		}
	}
}

// post is a store whose callbacks are sent by Run.
type post struct {
	order.Store
	callbacks *dispatch.Callbacks
}

func newPost(t *testing.T) *post {
	t.Helper()
	key, err := secret.New(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	p := &post{callbacks: &dispatch.Callbacks{
		HTTP: dispatch.NewClient(dispatch.Guard{Allow: dispatch.Loopback}), Clock: time.Now, Log: slog.New(slog.DiscardHandler), Pauses: []time.Duration{10 * time.Millisecond, 20 * time.Millisecond},
	}}
	p.Store, err = store.Open(t.Context(), "sqlite:"+t.TempDir()+"/x.db", store.Options{Key: key, Log: slog.New(slog.DiscardHandler), OnCommit: func(g store.Group) { p.callbacks.Wake(g.Events) }})
	if err != nil {
		t.Fatal(err)
	}
	p.callbacks.Store = p.Store
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// run sends until the returned function is called.
func (p *post) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.callbacks.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (p *post) commit(t *testing.T, tasks ...*order.Task) {
	t.Helper()
	if err := p.Commit(t.Context(), tasks...); err != nil {
		t.Fatal(err)
	}
}

// to declares a destination of kind top for a seller.
func (p *post) to(t *testing.T, seller, url string) {
	t.Helper()
	p.commit(t, order.Declare(order.Declared{Destinations: []*order.Destination{{
		Name: seller, Kind: order.KindTOP, URL: url, AppKey: "k", Sellers: []string{seller}, Timeout: 5 * time.Second,
		DestinationSecrets: order.DestinationSecrets{Secret: "s", Session: "t"},
	}}}))
}

// verdict leaves the callback of an asynchronous call about a line that nobody knows.
func (p *post) verdict(t *testing.T, seller string, lines ...string) {
	t.Helper()
	rule, _ := order.RuleOf(contract.OrderIntercept)
	var tasks []*order.Task
	for _, line := range lines {
		work, err := rule.Judge(&order.Call{
			API: contract.OrderIntercept, App: &order.App{Key: "a"}, At: time.Now(),
			Request: &contract.OrderInterceptRequest{SellerNick: seller, BuyerNick: "b", CallType: contract.CallAsynchronous, Order: contract.InterceptedOrder{ID: line, SubOrders: line}},
		})
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, work.Tasks...)
	}
	p.commit(t, tasks...)
}

// owed counts what the log owes.
func (p *post) owed(t *testing.T) int {
	t.Helper()
	events, _, err := p.Events(t.Context(), order.EventFilter{Owed: true, Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

func (p *post) settles(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); p.owed(t) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d are owed", p.owed(t))
		}
	}
}

// A verdict that was not sent is owed in the log, and sent by whoever runs next.
func TestVerdictsOutliveTheirSender(t *testing.T) {
	t.Parallel()
	p, taobao := newPost(t), newPlatform(t)
	p.to(t, "x", taobao.URL)
	p.verdict(t, "x", "1", "2") // nobody sends
	taobao.answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	stop := p.run()
	p.verdict(t, "x", "3")
	time.Sleep(50 * time.Millisecond) // it is on its way
	stop()
	if n := p.owed(t); n != 3 {
		t.Errorf("%d are owed, want 3", n)
	}
	taobao.answers(nil)
	defer p.run()()
	if told := taobao.heard(t, 3); !slices.Equal(told, []string{"1", "2", "3"}) {
		t.Errorf("told of %v", told)
	}
	p.settles(t)
}

// A platform that is gone delays no other, however much it is owed, and gets it all when
// it returns.
func TestPlatformsDoNotDelayEachOther(t *testing.T) {
	t.Parallel()
	const backlog = 1500 // more than there is room for
	p, gone, good := newPost(t), newPlatform(t), newPlatform(t)
	hung := make(chan struct{})
	gone.answers(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	})
	p.to(t, "gone", gone.URL)
	p.to(t, "good", good.URL)
	defer p.run()()
	var lines []string
	for i := range backlog {
		lines = append(lines, fmt.Sprintf("l%05d", i))
	}
	p.verdict(t, "gone", lines...)
	started := time.Now()
	p.verdict(t, "good", "1")
	good.heard(t, 1)
	if took := time.Since(started); took > 3*time.Second { // the other's timeout is 5 s
		t.Errorf("the good one waited %s", took)
	}
	gone.answers(nil)
	close(hung)
	told := slices.Compact(gone.heard(t, backlog))
	if !slices.Equal(told, lines) {
		t.Errorf("told of %d, want %d", len(told), backlog)
	}
	p.settles(t)
}

// What a platform refuses for good, what it never takes, and what is owed to nobody, is
// not owed for ever.
func TestVerdictsEnd(t *testing.T) {
	t.Parallel()
	p, taobao := newPost(t), newPlatform(t)
	defer p.run()()
	p.verdict(t, "x", "nobody's")
	p.settles(t)
	p.to(t, "x", taobao.URL)
	for answer, want := range map[string]int{
		`{"error_response":{"code":27,"msg":"Invalid session","sub_code":"session-expired"}}`:                 1,
		`{"error_response":{"code":15,"msg":"Remote service error","sub_code":"isp.remote-service-timeout"}}`: 3,
		`<html>a proxy's</html>`: 3,
		`{"gearfactory_intercept_order_callback_response":{"is_success":false}}`: 1,
	} {
		tries := 0
		taobao.answers(func(w http.ResponseWriter, _ *http.Request) {
			tries++
			_, _ = io.WriteString(w, answer)
		})
		p.verdict(t, "x", "1")
		p.settles(t)
		if tries != want {
			t.Errorf("%s: %d tries, want %d", answer, tries, want)
		}
	}
}
