package store

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/pgserver"
	"github.com/ordergate/ordergate/internal/pgserver/pgtest"
)

// A server that crashes may forget that places were drawn, and draw them again: what is
// stored there is not passed over.
func TestForgottenPlaces(t *testing.T) {
	t.Parallel()
	if _, err := pgserver.Binaries(); err != nil {
		pgtest.Database(t) // skips, or fails
	}
	server, err := pgserver.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	url, err := server.Create("forgetting")
	if err != nil {
		t.Fatal(err)
	}
	s := node(t, url)
	read, seen := int64(0), map[string]bool{}
	follow := func() {
		t.Helper()
		end := s.watch.end.Load() // as far as a queue reads
		events, _, err := s.Events(t.Context(), order.EventFilter{Settled: true, After: read, UpTo: max(end, 1), Limit: 10_000})
		if err != nil {
			return
		}
		for _, e := range events {
			seen[e.ID] = true
		}
		read = max(read, end)
	}
	commit(t, s, report("first", contract.StatusOut))
	await(t, "the server forgets", func() bool { // unless anybody's commit was on disk meanwhile
		time.Sleep(300 * time.Millisecond) // the node has come back, and its lease is on disk
		c := plain(t, url)
		execute(t, c, "BEGIN; SELECT pg_current_xact_id(); SELECT nextval('event_seq') FROM generate_series(1, 500); ROLLBACK")
		drawn := scan[int64](t, c, lastDrawn)
		time.Sleep(watchEvery + 20*time.Millisecond)
		follow()
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Run(); err != nil {
			t.Fatal(err)
		}
		return scan[int64](t, plain(t, url), lastDrawn) < drawn-100
	})
	await(t, "it stores again", func() bool {
		return s.Commit(t.Context(), report("again", contract.StatusTransfer)) == nil
	})
	for i := range 100 {
		commit(t, s, report(fmt.Sprint(i), contract.StatusOut))
		follow()
	}
	await(t, "all are read", func() bool {
		follow()
		return len(seen) == len(allEvents(t, s))
	})
}

// A value that PostgreSQL cannot hold fails its own call, and no other of its group.
func TestUnfitValues(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s := node(t, pgtest.Database(t), func(o *Options) { o.writers = 1 })
	slow := &order.Task{Decide: func(*order.View) (order.Decision, error) {
		close(entered)
		<-release
		return order.Decision{}, nil
	}}
	var all sync.WaitGroup
	all.Go(func() { commit(t, s, slow) })
	<-entered
	for i := range 5 { // they wait, and stand in one group
		all.Go(func() { commit(t, s, report(fmt.Sprint(i), contract.StatusOut)) })
	}
	all.Go(func() {
		if err := s.Commit(t.Context(), report(incompressible(8000), contract.StatusOut)); err == nil || !strings.Contains(err.Error(), "index row size") {
			t.Errorf("an order number of 8,000 bytes: %v", err)
		}
	})
	time.Sleep(100 * time.Millisecond)
	close(release)
	all.Wait()
	if n := len(allEvents(t, s)); n != 5 {
		t.Errorf("%d events, want 5", n)
	}
}

// Whoever changes apps or sessions, and counts calls in the same transaction, waits for
// nobody in a circle.
func TestDirectoryWithoutDeadlocks(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	nodes := []*postgresStore{node(t, url), node(t, url)}
	commit(t, nodes[0], order.Declare(order.Declared{Apps: []*order.App{{Key: "a", Secret: "one"}}}))
	var all sync.WaitGroup
	for _, s := range nodes {
		for _, change := range []func() *order.Task{
			func() *order.Task { return order.DropSession("nobody's") },
			func() *order.Task { return order.Rotate("a", "two", 0) },
			func() *order.Task { return order.RetryDeliveries(order.Retry{Queue: "oms", Seqs: []int64{1}}) },
		} {
			all.Go(func() {
				for range 100 {
					commit(t, s, order.CountCalls([]order.Usage{{AppKey: "a", Day: "2024-01-01", Calls: 1}}), change())
				}
			})
		}
	}
	all.Wait()
	if n := scan[int](t, plain(t, url), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
	if calls, err := nodes[0].Usage(t.Context(), "2024-01-01"); err != nil || calls["a"] != 600 {
		t.Errorf("%v calls are counted, want 600; %v", calls, err)
	}
}

// A node whose lease has lapsed holds nothing of what it had before, even if nobody took it.
func TestLapsedLease(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := node(t, url)
	q := webhook(t, s, "oms")
	if !s.Holds(q.Lease) {
		t.Fatal("it does not hold what it has claimed")
	}
	c := plain(t, url)
	execute(t, c, "UPDATE cursor SET owner = 'other'")
	execute(t, c, "INSERT INTO node (id, until) VALUES ('other', now() + interval '1 hour')")
	past := time.Now().Add(-time.Second)
	s.held.Store(&held{lease: q.Lease, until: past})
	await(t, "it is there again", func() bool { return s.held.Load().until.After(time.Now()) })
	if s.Holds(q.Lease) {
		t.Error("it holds what it had before")
	}
	if got, err := s.Claim(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("it claims %+v, %v", got, err)
	}
	execute(t, c, "UPDATE node SET until = now() - interval '1 second' WHERE id = 'other'")
	await(t, "it knows that it is alone", func() bool { return s.Share() == order.Whole })
	again := queueOf(t, s, "oms")
	if again.Shards != order.AllShards || again.Lease == q.Lease || !s.Holds(again.Lease) {
		t.Errorf("it has %+v again", again)
	}
	// What a queue of before has to say, is not stored.
	commit(t, s, report("1", contract.StatusOut), recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 1}))
	if got := queueOf(t, s, "oms"); got.Seq() != 0 {
		t.Errorf("the cursor is at %d", got.Seq())
	}
}

// Connections that are dead without a word keep nobody waiting for long: not calls, nor
// those who read.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	parsed, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: parsed.Host}
	parsed.Host = p.listen(t)
	s := node(t, parsed.String())
	commit(t, s, report("0", contract.StatusOut))
	if _, err := s.Queues(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.generation.Add(1)
	began := time.Now()
	await(t, "it reads and stores again", func() bool {
		_, err := s.Queues(t.Context())
		_, lookup := s.AppOf(t.Context(), "nobody")
		return err == nil && lookup == order.ErrNotFound && s.Commit(t.Context(), report("1", contract.StatusOut)) == nil
	})
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("that took %v", took)
	}
}

// proxy stands between a store and its server. When its generation changes, connections
// that there are become silent.
type proxy struct {
	to         string
	generation atomic.Int64
}

func (p *proxy) listen(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", p.to)
			if err != nil {
				_ = c.Close()
				continue
			}
			generation := p.generation.Load()
			go p.pipe(c, server, generation)
			go p.pipe(server, c, generation)
		}
	}()
	return l.Addr().String()
}

func (p *proxy) pipe(from, to net.Conn, generation int64) {
	defer to.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.generation.Load() == generation {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}
