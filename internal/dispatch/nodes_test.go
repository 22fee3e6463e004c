package dispatch_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/pgserver/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// node is one of several that deliver from a database.
func node(t *testing.T, database string, n *network) *gate {
	t.Helper()
	g := &gate{t: t, database: database, net: n}
	g.open()
	return g
}

// Nodes come and go while events come in at all of them, and some are refused at first:
// every event arrives, each order's in order. A replay that they share does the same.
func TestNodesDivideDeliveries(t *testing.T) {
	t.Parallel()
	database, n := pgtest.Database(t), &network{hosts: map[string]*receiver{}}
	first := node(t, database, n)
	defer first.close()
	oms := first.to("oms")
	oms.answer = func(p post) (int, string, error) {
		if p.try == 1 && strings.HasSuffix(p.seq, "7") {
			return http.StatusBadRequest, "not now", nil
		}
		return http.StatusOK, "", nil
	}
	first.load(50)
	second := node(t, database, n)
	second.orders = 1000
	for range 10 {
		first.load(10)
		second.load(10)
		time.Sleep(50 * time.Millisecond)
	}
	third := node(t, database, n)
	third.orders = 2000
	for range 10 {
		first.load(5)
		second.load(5)
		third.load(5)
		time.Sleep(50 * time.Millisecond)
	}
	second.close()
	first.load(20)
	third.load(20)
	third.eventually(func() bool {
		third.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: seqsOf(third.deliveries("oms", order.DeliveryRetrying))}))
		o := third.owing("oms")
		return o.Lag == 0 && o.Retrying+o.Held+o.Dead == 0
	})
	first.complete(oms)

	before := len(oms.posts())
	first.commit(order.Replay("oms", 0, 0))
	third.load(20)
	first.eventually(func() bool {
		queues, err := first.store.Queues(context.Background())
		first.commit(order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: seqsOf(first.deliveries("oms", order.DeliveryRetrying))}))
		o := first.owing("oms")
		return err == nil && len(queues) == 1 && o.Lag+int64(o.Retrying) == 0
	})
	third.close()
	// What was replayed comes again, each order's in order; what is new, once.
	last, again := map[string]string{}, map[string]bool{}
	for _, p := range oms.posts()[before:] {
		if !p.yes {
			continue
		}
		if p.seq < last[p.subject] {
			t.Errorf("order %s: event %s behind %s", p.subject, p.seq, last[p.subject])
		}
		if again[p.seq] {
			t.Errorf("event %s came twice in the replay", p.seq)
		}
		last[p.subject], again[p.seq] = p.seq, true
	}
	if want := len(first.events()); len(again) != want {
		t.Errorf("%d events came again, or for the first time, want %d", len(again), want)
	}
}

func seqsOf(deliveries []order.Delivery) (seqs []int64) {
	for _, d := range deliveries {
		seqs = append(seqs, d.Event.Place)
	}
	return seqs
}

// A destination that takes one delivery at a time, gets one at a time of all nodes.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	database, n := pgtest.Database(t), &network{hosts: map[string]*receiver{}}
	nodes := []*gate{node(t, database, n), node(t, database, n), node(t, database, n)}
	for _, g := range nodes {
		defer g.close()
	}
	nodes[0].eventually(func() bool {
		return nodes[0].store.Share().Of == 3 && nodes[1].store.Share().Of == 3 && nodes[2].store.Share().Of == 3
	})
	under, most := make(chan struct{}, 100), 0
	slow := nodes[0].to("slow", func(d *order.Destination) { d.MaxInFlight = 1 })
	slow.answer = func(post) (int, string, error) {
		under <- struct{}{}
		most = max(most, len(under)) // guarded by nothing: there is but one, or the race detector says so
		time.Sleep(2 * time.Millisecond)
		<-under
		return http.StatusOK, "", nil
	}
	for i, g := range nodes {
		g.orders = 100 * i
		g.load(20)
	}
	nodes[0].eventually(func() bool { return nodes[0].owing("slow").Lag == 0 })
	if nodes[0].complete(slow); most != 1 {
		t.Error(fmt.Sprint(most), "were on their way")
	}
}
