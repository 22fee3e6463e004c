package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/order"
)

// delivering is a store that delivers to a receiver; fail says whether the next
// transaction fails.
func delivering(t *testing.T, fail func() error) (s order.Store, got func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	ids := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ids[r.Header.Get("webhook-id")]++
	}))
	t.Cleanup(receiver.Close)
	d := &dispatch.Dispatcher{Guard: dispatch.Guard{Allow: dispatch.Loopback}, Clock: time.Now, Log: slog.New(slog.DiscardHandler)}
	o := options(t)
	o.Clock = time.Now
	o.OnCommit = func(g Group) { d.Committed(g.Events, g.Redirected) }
	o.beforeCommit = fail
	s, err := Open(t.Context(), "sqlite:"+t.TempDir()+"/x.db", o)
	if err != nil {
		t.Fatal(err)
	}
	d.Store = s
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for declared := false; !declared; { // also when the transaction is one that fails
		declared = s.Commit(t.Context(), order.Declare(order.Declared{Destinations: []*order.Destination{{
			Name: "oms", Kind: order.KindWebhook, URL: receiver.URL, DestinationSecrets: order.DestinationSecrets{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		}}})) == nil
	}
	return s, func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		copied := map[string]int{}
		for id, n := range ids {
			copied[id] = n
		}
		return copied
	}
}

// Every third transaction fails: what is delivered is exactly what was committed, and who
// was told yes.
func TestDeliveredIsCommitted(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	s, got := delivering(t, func() error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%3 == 0 {
			return errors.New("the disk is full")
		}
		return nil
	})
	var callers sync.WaitGroup
	var yes, no sync.Map // ids
	for c := range 8 {
		callers.Go(func() {
			for i := range 200 {
				task := report(fmt.Sprintf("%d-%d", c, i), contract.StatusOut)
				if err := s.Commit(t.Context(), task); err != nil {
					for _, e := range task.Events {
						no.Store(e.ID, true)
					}
					continue
				}
				yes.Store(task.Events[0].ID, true)
			}
		})
	}
	callers.Wait()
	committed := map[string]bool{}
	for _, e := range allEvents(t, s) {
		committed[e.ID] = true
	}
	for deadline := time.Now().Add(30 * time.Second); len(got()) < len(committed) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	failed := 0
	for id := range got() {
		if _, refused := no.Load(id); refused || !committed[id] {
			t.Errorf("event %s was delivered: committed %t, its caller told to try again %t", id, committed[id], refused)
		}
	}
	no.Range(func(any, any) bool { failed++; return true })
	yes.Range(func(id, _ any) bool {
		if !committed[id.(string)] || got()[id.(string)] == 0 {
			t.Errorf("event %v was answered yes: committed %t, delivered %d", id, committed[id.(string)], got()[id.(string)])
		}
		return true
	})
	if failed < 100 {
		t.Errorf("%d transactions failed: the test tests nothing", failed)
	}
}

// A call of several events is stored whole or not at all.
func TestBatchIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	fail := true
	s, got := delivering(t, func() error {
		if fail = !fail; fail {
			return errors.New("the disk is full")
		}
		return nil
	})
	stored := 0
	for i := range 20 {
		var tasks []*order.Task
		for j := range 50 {
			tasks = append(tasks, report(fmt.Sprintf("%d-%d", i, j), contract.StatusOut))
		}
		if s.Commit(t.Context(), tasks...) == nil {
			stored++
		}
		if n := len(allEvents(t, s)); n != 50*stored {
			t.Fatalf("%d events of %d batches", n, stored)
		}
	}
	if stored == 0 || stored == 20 {
		t.Errorf("%d batches were stored", stored)
	}
	for deadline := time.Now().Add(10 * time.Second); len(got()) < 50*stored && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if n := len(got()); n != 50*stored {
		t.Errorf("%d delivered", n)
	}
}

// An event_id is used up by what was stored, not by what failed; it is known to the next
// process.
func TestEventIDsOutliveFailuresAndRestarts(t *testing.T) {
	t.Parallel()
	path, fail := t.TempDir()+"/x.db", true
	o := options(t)
	o.beforeCommit = func() error {
		if fail {
			return errors.New("the disk is full")
		}
		return nil
	}
	s, err := Open(t.Context(), "sqlite:"+path, o)
	if err != nil {
		t.Fatal(err)
	}
	emit := func() *order.Task {
		rule, _ := order.RuleOf(contract.EventEmit)
		r := &contract.EventEmitRequest{EventID: "e", TenantCode: "t", Text: "x"}
		work, err := rule.Judge(&order.Call{API: contract.EventEmit, App: &order.App{Key: "a"}, At: now, Request: r, Record: order.Record{Params: contract.EventEmit.Params(r)}})
		if err != nil {
			t.Fatal(err)
		}
		return work.Tasks[0]
	}
	if err := s.Commit(t.Context(), emit()); !errors.Is(err, order.ErrNotStored) {
		t.Fatal(err)
	}
	fail = false
	commit(t, s, emit())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), "sqlite:"+path, o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	again := emit()
	commit(t, s, again)
	if reply, ok := again.Reply.(*contract.EventEmitReply); !ok || !reply.Result.Success || len(again.Events) != 0 || len(allEvents(t, s)) != 1 {
		t.Errorf("again: %+v, %d events in the log", again.Reply, len(allEvents(t, s)))
	}
}
