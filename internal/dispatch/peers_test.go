package dispatch_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/order"
)

// Faults that other gateways shipped and paid for. docs/delivery.md lists them with the
// tests that keep them out.

func TestEventWithoutADestinationStaysInTheLog(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		g.load(3)
		g.settle(time.Hour)
		beginning := int64(0)
		h := g.to("oms", func(d *order.Destination) { d.From = &beginning })
		g.settle(time.Second)
		g.complete(h)
	})
}

func TestCrashBetweenCommitAndHandOver(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		g.settle(time.Second)
		g.stop() // nothing is handed over
		g.load(20)
		g.crash()
		g.settle(time.Second)
		g.complete(h)
	})
}

func TestCrashRepeatsWithTheSameID(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.takes = 3 * time.Millisecond
		for range 20 {
			g.load(10)
			time.Sleep(17 * time.Millisecond)
			g.crash()
		}
		g.settle(time.Minute)
		g.complete(h)
		if posts, first := h.posts(), h.accepted(); len(posts) <= len(first) {
			t.Errorf("%d posts of %d events: no crash came between", len(posts), len(first))
		}
	})
}

func TestRetryTimersOutliveTheProcess(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(refuses("a", 1))
		g.report("s", "a", steps...)
		g.settle(time.Hour)
		g.crash()
		n := len(h.posts())
		h.answers(nil)
		g.settle(10 * time.Second) // it is not due
		if len(h.posts()) != n {
			t.Error("tried before its time")
		}
		g.settle(3 * time.Hour)
		g.complete(h)
	})
}

func TestAttemptsAreCountedAcrossRestarts(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(refuses("a", 1))
		g.report("s", "a", steps[0])
		for range 50 {
			g.settle(exhaust / 50)
			g.crash()
		}
		if n := len(h.posts()); n != len(order.RetryPauses)+1 {
			t.Errorf("%d tries, want %d: each pause once, the last one too", n, len(order.RetryPauses)+1)
		}
		if o := g.owing("oms"); o.Dead != 1 || o.Retrying != 0 {
			t.Errorf("owed %+v", o)
		}
	})
}

func TestDeliveriesOfAnOrderDoNotOverlap(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms", func(d *order.Destination) { d.Timeout = 10 * time.Second })
		h.takes = 9 * time.Second
		g.load(20)
		g.settle(time.Hour)
		g.complete(h)
		last := map[string]time.Time{}
		for _, p := range h.posts() {
			if p.at.Sub(last[p.subject]) < 9*time.Second {
				t.Errorf("order %s: two deliveries within %v", p.subject, p.at.Sub(last[p.subject]))
			}
			last[p.subject] = p.at
		}
	})
}

func TestUnknownHostIsNoFaultOfTheEvent(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(func(post) (int, string, error) {
			return 0, "", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
		})
		g.load(10)
		g.settle(100 * time.Hour)
		if o := g.owing("oms"); o.Dead+o.Retrying+o.Held > 0 {
			t.Errorf("owed %+v", o)
		}
		h.answers(nil)
		g.settle(time.Hour)
		g.complete(h)
	})
}

func TestBrokenEventBlocksNoOther(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		g.report("s", "a", steps[0])
		g.commit(&order.Task{Orders: []order.Key{{Platform: order.Taobao, Seller: "s", Number: "a"}}, Decide: func(v *order.View) (order.Decision, error) {
			k := order.Key{Platform: order.Taobao, Seller: "s", Number: "a"}
			return order.Decision{Orders: []order.Change{{Key: k, Header: v.Orders[k].Header}}, Events: []order.Event{{ID: "broken", API: contract.EventProduce.Method, Order: k, At: v.Now, Record: []byte(`{"params":`), Answer: []byte("{}")}}}, nil
		}})
		g.report("s", "a", steps[1])
		g.report("s", "b", steps[0])
		g.settle(time.Second)
		if n := len(h.accepted()); n != 3 {
			t.Errorf("%d delivered", n)
		}
		dead := g.deliveries("oms", order.DeliveryDead)
		if len(dead) != 1 || !strings.Contains(dead[0].Reason, "cannot be written") {
			t.Errorf("dead %+v", dead)
		}
	})
}

func TestParametersArriveToTheByte(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		rule, _ := order.RuleOf(contract.EventProduce)
		odd := "{\"z\":1.0,\"a\":1e3,\t\"号\":\"<&>\u2028\\u0041\", \"dup\":1,\"dup\":2}"
		r := &contract.EventProduceRequest{Status: steps[0], OrderID: "1", Extension: odd}
		params := []contract.Param{{Name: "tid", Value: "1"}, {Name: "ext", Value: odd}, {Name: "status", Value: steps[0]}, {Name: "of no row", Value: "007"}}
		work, err := rule.Judge(&order.Call{API: contract.EventProduce, App: &order.App{Key: "a"}, Seller: "s", At: time.Now(), Request: r, Record: order.Record{Params: params}})
		if err != nil {
			t.Fatal(err)
		}
		g.commit(work.Tasks...)
		g.settle(time.Second)
		g.commit(order.Replay("oms", 0, 0))
		g.settle(time.Second)
		g.restart()
		g.commit(order.Replay("oms", 0, 0)) // from the database
		g.settle(time.Second)
		want := `"data":{"params":{"tid":"1","ext":"{\"z\":1.0,\"a\":1e3,\t\"号\":\"<&>` + "\u2028" + `\\u0041\", \"dup\":1,\"dup\":2}","status":"` + steps[0] + `","of no row":"007"},"answer":{"is_success":true}}}`
		posts := h.posts()
		for _, p := range posts {
			if !strings.HasSuffix(p.body, want) && !strings.HasSuffix(p.body, strings.ReplaceAll(want, "\u2028", `\u2028`)) || p.body != posts[0].body {
				t.Errorf("delivered %s\nwant     …%s", p.body, want)
			}
		}
		if len(posts) != 3 {
			t.Errorf("%d deliveries", len(posts))
		}
	})
}

func TestAttemptHistoryIsBounded(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		h := g.to("oms")
		h.answers(refuses("a", 1))
		g.report("s", "a", steps[0])
		for range 10 {
			g.settle(exhaust)
			g.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{1}}))
		}
		g.settle(exhaust)
		if n := len(h.posts()); n != 11*(len(order.RetryPauses)+1) {
			t.Errorf("%d tries", n)
		}
		if all := g.deliveries("oms"); len(all) != 1 || len(all[0].Last) != order.KeptAttempts {
			t.Errorf("%d attempts are kept", len(all[0].Last))
		}
	})
}

func TestKeepingDeletesInSmallBatchesAndNothingThatIsOwed(t *testing.T) {
	within(t, func(t *testing.T, g *gate) {
		gone, done := g.to("gone"), g.to("done")
		gone.answers(func(post) (int, string, error) { return 0, "", dialing })
		g.load(300)
		g.settle(100 * time.Hour)
		g.load(1)
		g.settle(time.Second)
		keeper := &order.Keeper{Store: g.store, Keep: 50 * time.Hour, Clock: time.Now, Log: slog.New(slog.DiscardHandler)}
		sweep := func() (batches []int) {
			for {
				n, err := keeper.Sweep(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					return batches
				}
				batches = append(batches, n)
			}
		}
		if got := sweep(); got != nil {
			t.Errorf("deleted %v of what is owed", got)
		}
		gone.answers(nil)
		g.settle(time.Hour)
		g.complete(gone)
		g.complete(done)
		if got := sweep(); !slices.Equal(got, []int{500, 500, 200}) {
			t.Errorf("deleted %v", got)
		}
		if n := len(g.events()); n != 4 {
			t.Errorf("%d events are left", n)
		}
		totals, err := g.store.Totals(context.Background())
		if err != nil || totals.Orders != 1 {
			t.Errorf("totals %+v, %v: orders that have ended go with their events", totals, err)
		}
		g.settle(200 * time.Hour)
		sweep()
		g.restart()
		g.load(1)
		if first := g.events()[0]; first.Seq < 1204 {
			t.Errorf("place %d is given a second time", first.Seq)
		}
	})
}

// Connections that a receiver closes are made anew, whether it closes them between two
// deliveries or in one.
func TestLostConnectionsAreMadeAnew(t *testing.T) {
	t.Parallel()
	var got atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		switch n := got.Add(1); {
		case n%7 == 0:
			w.Header().Set("Connection", "close")
		case n%11 == 0: // without an answer
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}
	}))
	defer server.Close()
	g := newGate(t, &dispatch.Dispatcher{Guard: dispatch.Guard{Allow: dispatch.Loopback}})
	g.commit(order.Declare(order.Declared{Destinations: []*order.Destination{{
		Name: "oms", Kind: order.KindWebhook, URL: server.URL, DestinationSecrets: order.DestinationSecrets{Secret: secretText},
	}}}))
	for range 2 {
		g.load(5)
		g.eventually(func() bool { o := g.owing("oms"); return o.Lag == 0 && o.Retrying == 0 })
		server.CloseClientConnections()
	}
}

// The guard keeps deliveries away from addresses that are not public, and no redirect
// leads there; a certificate that nobody signed is none.
func TestDeliveriesAreGuarded(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inside.Close()
	unsigned := httptest.NewTLSServer(inside.Config.Handler)
	defer unsigned.Close()
	redirects := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	g := newGate(t, &dispatch.Dispatcher{})
	allowed := &dispatch.Dispatcher{Guard: dispatch.Guard{Allow: dispatch.Loopback}, Clock: time.Now}
	for url, by := range map[string]*dispatch.Dispatcher{inside.URL: g.dispatcher, strings.Replace(inside.URL, "127.0.0.1", "localhost", 1): g.dispatcher, unsigned.URL: allowed, redirects.URL: allowed} {
		trial := by.Try(t.Context(), &order.Destination{Name: "x", Kind: order.KindWebhook, URL: url, DestinationSecrets: order.DestinationSecrets{Secret: secretText}})
		if trial.Good || trial.Reason == "" || strings.Contains(trial.Reason, secretText) {
			t.Errorf("%s: %+v", url, trial)
		}
	}
	if reached.Load() > 0 {
		t.Error("what is inside was reached")
	}
	if trial := allowed.Try(t.Context(), &order.Destination{Name: "x", Kind: order.KindWebhook, URL: inside.URL, DestinationSecrets: order.DestinationSecrets{Secret: secretText}}); !trial.Good || trial.Status != 200 {
		t.Errorf("allowed: %+v", trial)
	}
}

// A receiver's answer may be endless: a part of it is read, and the delivery counts.
func TestEndlessAnswersEnd(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		for chunk := []byte(strings.Repeat("x", 4096)); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	g := newGate(t, &dispatch.Dispatcher{Guard: dispatch.Guard{Allow: dispatch.Loopback}})
	trial := g.dispatcher.Try(t.Context(), &order.Destination{Name: "x", Kind: order.KindWebhook, URL: server.URL, DestinationSecrets: order.DestinationSecrets{Secret: secretText}})
	if trial.Good || trial.Status != http.StatusTeapot || len(trial.Body) != 64<<10 {
		t.Errorf("%t, status %d, %d bytes", trial.Good, trial.Status, len(trial.Body))
	}
}

// newGate is a gate in real time, on a real network.
func newGate(t *testing.T, d *dispatch.Dispatcher) *gate {
	t.Helper()
	g := &gate{t: t, dir: t.TempDir(), dispatcher: d}
	g.open()
	t.Cleanup(g.close)
	return g
}

// eventually waits for something that takes real time.
func (g *gate) eventually(done func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("it does not come: %+v", g.owing("oms"))
		}
	}
}
