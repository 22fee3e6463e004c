// Package ordergatetest runs a gateway inside a Go test: the vendors' sandbox,
// in the test's own process and gone with it.
//
//	g := ordergatetest.Start(t)
//	_, err := g.Client().EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: "1"})
//
// [Gateway.SuningClient] speaks to it as a supplier of Suning, [Gateway.MerchantClient]
// as the platform that calls a merchant, and [Gateway.Inject] has
// it answer with any row of the vendors' catalogues, late, or not at all.
//
// The gateway knows what `ordergate serve --demo` knows: the apps, sessions and
// orders of the vendors' pages. It answers over real HTTP on loopback and keeps
// its ledger in a temporary SQLite file, so programs in other languages can be
// pointed at [Gateway.URL] as well.
package ordergatetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/client"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/admin"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/intake"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
)

// Gateway is a running gateway.
type Gateway struct {
	URL        string          // of the protocols, http://127.0.0.1:PORT
	AdminURL   string          // of the management API
	AdminToken contract.Secret // for the management API, as Authorization: Bearer

	// The demo's TOP app, and the session of its seller, seller_001.
	AppKey  string
	Secret  contract.Secret
	Session contract.Secret

	// The demo's app of the merchant whom Qimen calls.
	MerchantAppKey string
	MerchantSecret contract.Secret

	// The demo's Suning app, whose supplier is 10042869.
	SuningAppKey string
	SuningSecret contract.Secret

	clock       func() time.Time
	stepped     bool // the clock is the test's
	log         *slog.Logger
	state       []string
	dir         string
	store       order.Store
	front, back *httptest.Server
	stop        context.CancelFunc
	background  sync.WaitGroup
	injections  order.Injections
	asker       *dispatch.Asker
	courier     *dispatch.Dispatcher
	closing     chan struct{} // closed when streams have to end
	closed      bool
}

// Option changes how a gateway starts.
type Option func(*Gateway)

// WithClock gives the gateway its time, and the clients of [Gateway.Client] and
// [Gateway.SuningClient] theirs. It is called while calls are served. What time
// brings, the automatic refund of virtual lines, then comes by [Gateway.Sweep].
func WithClock(clock func() time.Time) Option {
	return func(g *Gateway) { g.clock, g.stepped = clock, true }
}

// WithLog has the gateway log; else it is silent.
func WithLog(log *slog.Logger) Option { return func(g *Gateway) { g.log = log } }

// WithState declares apps, sessions, destinations and orders, as `ordergate apply` does, in
// YAML or JSON.
func WithState(document string) Option {
	return func(g *Gateway) { g.state = append(g.state, document) }
}

// Start starts a gateway that ends with the test. A gateway that does not start
// fails the test.
func Start(t testing.TB, options ...Option) *Gateway {
	t.Helper()
	g, err := New(options...)
	if err != nil {
		t.Fatalf("ordergatetest: %v", err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("ordergatetest: %v", err)
		}
	})
	return g
}

// New starts a gateway. Its owner closes it.
func New(options ...Option) (_ *Gateway, err error) {
	g := &Gateway{clock: time.Now, log: slog.New(slog.DiscardHandler), AdminToken: "test"}
	for _, option := range options {
		option(g)
	}
	if g.dir, err = os.MkdirTemp("", "ordergatetest-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.abandon())
		}
	}()
	key, err := secret.Load(filepath.Join(g.dir, "key"))
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	guard := dispatch.Guard{Allow: dispatch.Loopback}
	g.asker = &dispatch.Asker{HTTP: dispatch.NewClient(guard), Clock: g.clock, Log: g.log}
	g.courier = &dispatch.Dispatcher{Guard: guard, Clock: time.Now, Log: g.log}
	g.store, err = store.Open(ctx, "sqlite:"+filepath.Join(g.dir, "ordergate.db"), store.Options{
		Key: key, Clock: g.clock, Log: g.log, OnCommit: func(group store.Group) { g.courier.Committed(group.Events, group.Redirected) },
	})
	if err != nil {
		return nil, err
	}
	g.asker.Store, g.courier.Store = g.store, g.store
	if err := g.declare(ctx); err != nil {
		return nil, err
	}
	limits, err := intake.NewLimits(ctx, g.store, g.clock())
	if err != nil {
		return nil, err
	}
	working, stop := context.WithCancel(ctx)
	g.stop = stop
	g.background.Go(func() { limits.Run(working, g.store, g.log) })
	if !g.stepped {
		g.background.Go(func() { g.sweeper().Run(working) })
	}
	g.background.Go(func() { g.courier.Run(working) })
	g.closing = make(chan struct{})
	g.front = httptest.NewServer((&intake.Server{Store: g.store, Limits: limits, Clock: g.clock, Log: g.log, Injections: &g.injections, Merchants: g.asker}).Handler())
	mux := http.NewServeMux()
	(&admin.Server{Store: g.store, Token: g.AdminToken, Clock: g.clock, Log: g.log, Version: "test", Injections: &g.injections, Courier: g.courier, Closing: g.closing}).Register(mux)
	g.back = httptest.NewServer(mux)
	g.URL, g.AdminURL = g.front.URL, g.back.URL
	return g, nil
}

func (g *Gateway) sweeper() *order.Sweeper {
	return &order.Sweeper{Store: g.store, Clock: g.clock, Log: g.log}
}

// Sweep makes the automatic refunds that are due by the gateway's clock. Without
// [WithClock] they come by themselves, within a second.
func (g *Gateway) Sweep() error { return g.sweeper().Sweep(context.Background()) }

// declare declares the demo and what the options say.
func (g *Gateway) declare(ctx context.Context) error {
	demo, err := apply.Demo()
	if err != nil {
		return err
	}
	app, session := demo.Apps[0], demo.Sessions[0]
	g.AppKey, g.Secret, g.Session = app.Key, app.Secret, session.Token
	for _, app := range demo.Apps {
		switch {
		case app.Protocol == contract.Suning:
			g.SuningAppKey, g.SuningSecret = app.Key, app.Secret
		case app.Seller != "":
			g.MerchantAppKey, g.MerchantSecret = app.Key, app.Secret
		}
	}
	for i := range demo.Orders { // paid by the gateway's clock
		if demo.Orders[i].PaidAt != nil {
			now := apply.Time(g.clock())
			demo.Orders[i].PaidAt = &now
		}
	}
	if err := demo.Store(ctx, g.store); err != nil {
		return err
	}
	for _, document := range g.state {
		if err := g.Apply(document); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) abandon() error {
	var err error
	if g.store != nil {
		err = g.store.Close()
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// Close stops the gateway and removes its files.
func (g *Gateway) Close() error {
	if g.closed {
		return nil
	}
	g.closed = true
	close(g.closing)
	g.front.Close()
	g.back.Close()
	g.asker.Close()
	g.stop()
	g.background.Wait()
	return g.abandon()
}

// Client returns a client of the demo's TOP app and seller.
func (g *Gateway) Client() *client.Client {
	return &client.Client{URL: g.URL, AppKey: g.AppKey, Secret: g.Secret, Session: g.Session, Clock: g.clock}
}

// MerchantClient returns a client that calls the demo's merchant, 苏宁易购官方旗舰店, as
// the platform does: for [client.Client.OrderIntercept].
func (g *Gateway) MerchantClient() *client.Client {
	c := g.Client()
	c.Target = g.MerchantAppKey
	return c
}

// SuningClient returns a client of the demo's Suning app, supplier 10042869.
func (g *Gateway) SuningClient() *client.Client {
	return &client.Client{URL: g.URL, AppKey: g.SuningAppKey, Secret: g.SuningSecret, Clock: g.clock}
}

// Inject declares a fault on demand, in the JSON of PUT /v1/faults/{name}: calls
// that match are refused, delayed or left without their answer. An empty document
// removes it.
func (g *Gateway) Inject(name, document string) error {
	if document == "" {
		return g.injections.Delete(name)
	}
	injection, err := admin.ParseFault(name, []byte(document))
	if err != nil {
		return err
	}
	g.injections.Put(injection)
	return nil
}

// Apply declares apps, sessions, destinations and orders, as `ordergate apply` does, in YAML
// or JSON.
func (g *Gateway) Apply(document string) error {
	d, err := apply.Parse([]byte(document))
	if err != nil {
		return err
	}
	return d.Store(context.Background(), g.store)
}

// Event is an accepted fact.
type Event struct {
	Seq       int64
	ID        string
	API       string
	Platform  string
	Seller    string
	Order     string // its number; empty: it concerns none
	WorkOrder string // its id; empty: it concerns none
	Lines     []string
	App       string
	At        time.Time
	Params    map[string]string // as received
	Warnings  []string
}

// Events returns all that the gateway has accepted, the oldest first.
func (g *Gateway) Events() (events []Event, err error) {
	for after := int64(0); ; {
		page, more, err := g.store.Events(context.Background(), order.EventFilter{After: after, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			event := Event{
				Seq: e.Seq, ID: e.ID, API: e.API, Platform: e.Order.Platform, Seller: e.Order.Seller, Order: e.Order.Number,
				WorkOrder: e.WorkOrder.ID, Lines: e.Lines, App: e.App, At: e.At, Warnings: e.Warnings,
			}
			if err := json.Unmarshal(e.Record, &event); err != nil { // params
				return nil, fmt.Errorf("event %d: %w", e.Seq, err)
			}
			events, after = append(events, event), e.Seq
		}
		if !more {
			return events, nil
		}
	}
}

// Order is an order as the gateway knows it.
type Order struct {
	Platform string
	Seller   string
	Number   string
	Stage    string // state of the line that has come least far
	Lines    []Line
}

// Line is a sub order or order line.
type Line struct {
	Number string
	State  string
	Locked bool // it must not be shipped
	Cards  int  // of Suning: how many it was shipped with
}

// Order returns an order: its platform is "taobao", "suning" or a code such as JD,
// its seller that of the session, or Suning's supplier code. The error is
// [ErrNoOrder] when there is none.
func (g *Gateway) Order(platform, seller, number string) (Order, error) {
	found, _, err := g.store.Orders(context.Background(), order.OrderFilter{Key: order.Key{Platform: platform, Seller: seller, Number: number}, Limit: 1})
	if err != nil {
		return Order{}, err
	}
	if len(found) == 0 {
		return Order{}, ErrNoOrder
	}
	o := found[0]
	out := Order{Platform: o.Platform, Seller: o.Seller, Number: o.Number, Stage: string(o.Stage)}
	for _, l := range o.Lines {
		out.Lines = append(out.Lines, Line{Number: l.Number, State: string(l.State), Locked: o.Held(l.Number), Cards: l.Cards})
	}
	return out, nil
}

// ErrNoOrder means that the gateway knows no such order.
var ErrNoOrder = errors.New("no such order")
