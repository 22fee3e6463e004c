package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
)

// secretText is the secret of webhooks.
const secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// gate is a store and what delivers from it, with receivers instead of a network.
type gate struct {
	t          testing.TB
	dir        string
	database   string // of a server, which others may share; empty: a file in dir
	store      order.Store
	dispatcher *dispatch.Dispatcher
	net        *network
	stop       func()
	orders     int
}

// network carries requests to receivers by host.
type network struct {
	mu    sync.Mutex
	hosts map[string]*receiver
}

// receiver is a destination.
type receiver struct {
	mu     sync.Mutex
	got    []post
	tries  map[string]int                                    // by id
	answer func(p post) (status int, body string, err error) // nil: 200
	takes  time.Duration
	header http.Header
}

// post is one request to a receiver.
type post struct {
	at      time.Time
	id      string
	api     string
	subject string
	status  string // of an event.produce
	seq     string
	body    string
	header  http.Header
	url     string
	try     int // of this id, from 1
	yes     bool
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	host := n.hosts[r.URL.Hostname()]
	n.mu.Unlock()
	if host == nil {
		return nil, dialing
	}
	p := post{at: time.Now(), id: r.Header.Get("webhook-id"), body: string(body), header: r.Header, url: r.URL.String()}
	var event struct {
		Type, Subject, Sequence string
		Data                    struct{ Params map[string]string }
	}
	if json.Unmarshal(body, &event) == nil {
		p.api, p.subject, p.seq, p.status = event.Type, event.Subject, event.Sequence, event.Data.Params["status"]
	}
	status, text, err := host.take(r.Context(), p)
	if err != nil {
		return nil, err
	}
	host.mu.Lock()
	defer host.mu.Unlock()
	header := host.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (h *receiver) take(ctx context.Context, p post) (status int, body string, err error) {
	h.mu.Lock()
	if h.tries == nil {
		h.tries = map[string]int{}
	}
	h.tries[p.id]++
	p.try = h.tries[p.id]
	answer, takes := h.answer, h.takes
	place := len(h.got)
	h.got = append(h.got, p)
	h.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return 0, "", ctx.Err()
		}
	}
	status = http.StatusOK
	if answer != nil {
		status, body, err = answer(p)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got[place].yes = err == nil && status/100 == 2
	return status, body, err
}

// answers changes what the receiver answers.
func (h *receiver) answers(f func(p post) (int, string, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

// posts returns what the receiver got so far.
func (h *receiver) posts() []post {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

// accepted returns the first time that each event was accepted, in their order.
func (h *receiver) accepted() (posts []post) {
	seen := map[string]bool{}
	for _, p := range h.posts() {
		if p.yes && !seen[p.id] {
			seen[p.id] = true
			posts = append(posts, p)
		}
	}
	return posts
}

// dialing is the error of a connection that is refused.
var dialing = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

// within runs a test in simulated time.
func within(t *testing.T, test func(t *testing.T, g *gate)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t, dir: dir, net: &network{hosts: map[string]*receiver{}}}
		g.open()
		defer g.close()
		test(t, g)
	})
}

// open opens the store and begins to deliver.
func (g *gate) open() {
	g.t.Helper()
	key, err := secret.New(make([]byte, secret.KeySize))
	if err != nil {
		g.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if g.net != nil {
		g.dispatcher = &dispatch.Dispatcher{Transport: g.net}
	}
	g.dispatcher.Clock, g.dispatcher.Log = time.Now, log
	database := "sqlite:" + g.dir + "/x.db"
	if g.database != "" {
		database, g.dispatcher.SyncEvery = g.database, 100*time.Millisecond
	}
	g.store, err = store.Open(context.Background(), database, store.Options{Key: key, Log: log, OnGrown: g.dispatcher.Grown, OnCommit: func(group store.Group) {
		if group.Next {
			g.dispatcher.Committed(group.Events, group.Redirected)
		}
	}})
	if err != nil {
		g.t.Fatal(err)
	}
	g.deliver(g.store)
}

// deliver delivers from a store until the gate is stopped.
func (g *gate) deliver(from order.Store) {
	g.dispatcher.Store = from
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { g.dispatcher.Run(ctx) })
	g.stop = func() {
		cancel()
		running.Wait()
	}
}

func (g *gate) close() {
	g.t.Helper()
	g.stop()
	if err := g.store.Close(); err != nil {
		g.t.Error(err)
	}
}

// restart ends the process and starts another on its database.
func (g *gate) restart() {
	g.t.Helper()
	g.close()
	g.open()
}

// crash ends the process as a power cut does, and starts another on what is on disk.
func (g *gate) crash() {
	g.t.Helper()
	dir := g.t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(g.dir + "/x.db" + suffix)
		if err != nil {
			g.t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/x.db"+suffix, data, 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	g.close()
	g.dir = dir
	g.open()
}

// to declares a webhook, with changes, and returns its receiver.
func (g *gate) to(name string, changes ...func(*order.Destination)) *receiver {
	g.t.Helper()
	d := &order.Destination{Name: name, Kind: order.KindWebhook, URL: "http://" + name + "/", DestinationSecrets: order.DestinationSecrets{Secret: secretText}}
	for _, change := range changes {
		change(d)
	}
	g.net.mu.Lock()
	if g.net.hosts[name] == nil {
		g.net.hosts[name] = &receiver{}
	}
	h := g.net.hosts[name]
	g.net.mu.Unlock()
	g.commit(order.Declare(order.Declared{Destinations: []*order.Destination{d}}))
	return h
}

func (g *gate) commit(tasks ...*order.Task) {
	g.t.Helper()
	if err := g.store.Commit(context.Background(), tasks...); err != nil {
		g.t.Fatal(err)
	}
	for _, t := range tasks {
		if t.Err != nil {
			g.t.Fatal(t.Err)
		}
	}
}

var steps = []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut}

// report commits the next statuses of orders of a seller.
func (g *gate) report(seller, number string, statuses ...string) {
	g.t.Helper()
	g.commit(g.reports(seller, number, statuses...)...)
}

func (g *gate) reports(seller, number string, statuses ...string) (tasks []*order.Task) {
	g.t.Helper()
	rule, _ := order.RuleOf(contract.EventProduce)
	for _, status := range statuses {
		r := &contract.EventProduceRequest{Status: status, OrderID: number, SubOrders: number + "1"}
		work, err := rule.Judge(&order.Call{
			API: contract.EventProduce, App: &order.App{Key: "a"}, Seller: seller, At: time.Now(), Request: r, Session: "the-session",
			Record: order.Record{RequestID: "r", Format: "json", Params: contract.EventProduce.Params(r)},
		})
		if err != nil {
			g.t.Fatal(err)
		}
		tasks = append(tasks, work.Tasks...)
	}
	return tasks
}

// orders commits all statuses of n new orders, one status after the other.
func (g *gate) load(n int) {
	g.t.Helper()
	for _, status := range steps {
		var tasks []*order.Task
		for i := range n {
			tasks = append(tasks, g.reports("s", fmt.Sprint("o", g.orders+i), status)...)
		}
		g.commit(tasks...)
	}
	g.orders += n
}

// settle lets time pass.
func (g *gate) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// events reads the log.
func (g *gate) events() []*order.Event {
	g.t.Helper()
	events, _, err := g.store.Events(context.Background(), order.EventFilter{Limit: 100_000})
	if err != nil {
		g.t.Fatal(err)
	}
	return events
}

// complete checks that a receiver accepted every event of the log once or more, each
// order's in order, and nothing else.
func (g *gate) complete(h *receiver) {
	g.t.Helper()
	want := map[string]int64{}
	for _, e := range g.events() {
		if e.API != order.AlertDeliveryDead { // of itself a destination is not told
			want[e.ID] = e.Seq
		}
	}
	last := map[string]int64{}
	got := h.accepted()
	for _, p := range got {
		seq, known := want[p.id]
		if !known {
			g.t.Errorf("event %s is not in the log, and was delivered", p.id)
		}
		if seq < last[p.subject] {
			g.t.Errorf("order %s: event %d behind %d", p.subject, seq, last[p.subject])
		}
		last[p.subject] = seq
		if p.seq != fmt.Sprintf("%020d", seq) {
			g.t.Errorf("event %d says that it is %s", seq, p.seq)
		}
		delete(want, p.id)
	}
	if len(want) > 0 {
		g.t.Errorf("%d of %d events were not delivered", len(want), len(want)+len(got))
	}
}

// owing is what a destination is owed.
func (g *gate) owing(name string) order.Owing {
	g.t.Helper()
	all, err := g.store.Owing(context.Background())
	if err != nil {
		g.t.Fatal(err)
	}
	for _, o := range all {
		if o.Destination == name {
			return o
		}
	}
	return order.Owing{}
}

// deliveries lists deliveries in some states.
func (g *gate) deliveries(q order.QueueName, states ...order.DeliveryState) []order.Delivery {
	g.t.Helper()
	page, _, err := g.store.Delivered(context.Background(), order.DeliveryFilter{Queue: q, States: states, Limit: 10_000})
	if err != nil {
		g.t.Fatal(err)
	}
	return slices.DeleteFunc(page, func(d order.Delivery) bool { return d.Event.API == order.AlertDeliveryDead })
}
