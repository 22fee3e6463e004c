package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/console"
	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/intake"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
)

// stopTimeout is how long a stop waits for calls that are under way, merchants who are
// asked included.
const stopTimeout = 30 * time.Second

// shortToken is how long an admin token should be at least, in characters.
const shortToken = 16

// How long a caller may take for the headers of a request, and for all of it.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 30 * time.Second
)

// syncEvery is how often it is looked what of deliveries is whose, of those who share a
// database.
const syncEvery = time.Second

// gateway is a running serve.
type gateway struct {
	terminal *terminal
	cmd      atomic.Pointer[serveCmd] // as it is configured now
	settings *settings                // as they were at the start
	level    slog.LevelVar
	log      *slog.Logger
	metrics  *metrics
	store    order.Store
	limits   *intake.Limits

	token     contract.Secret
	tokenAt   string // file of the token; empty: it was given
	tokenHash string // of the token that all who share the database accept; empty: it is known
	key       *secret.Key
	shared    bool // other processes may share the database

	demo       *apply.Document   // nil: not the demo
	injections *order.Injections // nil: no sandbox
	refused    *order.RefusedCalls
	meter      *console.Meter

	gateway     http.Handler                    // the protocol port
	gatewayURL  string                          // where callers reach it
	certificate atomic.Pointer[tls.Certificate] // nil: no TLS
	private     *dispatch.Networks              // that destinations may be in
	asker       *dispatch.Asker
	courier     *dispatch.Dispatcher
	tracing     *tracing // nil: nothing is traced

	chores     sync.WaitGroup // background work that settings decide about
	stopChores func()
	stopping   atomic.Bool
}

// newGateway makes what needs no database.
func newGateway(t *terminal, cmd *serveCmd, s *settings) (*gateway, error) {
	g := &gateway{terminal: t, settings: s, refused: &order.RefusedCalls{}, meter: &console.Meter{}, private: &dispatch.Networks{}}
	g.cmd.Store(cmd)
	g.level.Set(cmd.LogLevel)
	g.log = newLog(t.err, cmd.LogFormat, &g.level)
	g.certificate.Store(s.certificate)
	g.allow(s)
	if cmd.Trace != "" {
		var err error
		if g.tracing, err = startTracing(t, cmd.Trace, cmd.TraceShare, g.log); err != nil {
			return nil, err
		}
	}
	guard := dispatch.Guard{Networks: g.private}
	g.asker = &dispatch.Asker{HTTP: dispatch.NewClient(guard), Clock: time.Now, Log: g.log}
	g.courier = &dispatch.Dispatcher{Guard: guard, Clock: time.Now, Log: g.log, Tracer: g.tracing.tracer()} // the store comes later
	g.metrics = newMetrics()
	g.courier.Observe = g.metrics.observeDelivery
	return g, nil
}

// allow has destinations be in what settings name; those of a demo on loopback, too.
func (g *gateway) allow(s *settings) {
	list := s.allow
	if g.cmd.Load().Demo {
		list = append(list[:len(list):len(list)], dispatch.Loopback...)
	}
	g.private.Set(list)
}

// newLog makes the log.
func newLog(to io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

// open opens the store with its secrets and applies what the flags name.
func (g *gateway) open(ctx context.Context) error {
	cmd := g.cmd.Load()
	g.shared = store.Shared(cmd.Database)
	var err error
	if g.key, err = databaseKey(cmd.Database, g.settings.key); err != nil {
		return err
	}
	g.token = g.settings.token
	if g.token == "" && !g.shared {
		path, err := store.File(cmd.Database)
		if err != nil {
			return err
		}
		if g.tokenAt, err = filepath.Abs(path + tokenSuffix); err != nil {
			return err
		}
		text, err := secret.LoadText(g.tokenAt, rand.Text)
		if err != nil {
			return fmt.Errorf("admin token: %w", err)
		}
		g.token = contract.Secret(text)
	}
	if n := len(g.token); n > 0 && n < shortToken && !isLoopback(cmd.Admin) {
		g.log.Warn("the admin token is short and the admin port is not on loopback: it can be guessed. Leave it out to have one made, or: openssl rand -hex 24", "characters", n)
	}
	if g.shared {
		g.courier.SyncEvery = syncEvery
	}
	g.store, err = store.Open(ctx, cmd.Database, store.Options{Key: g.key, Log: g.log, Lagging: g.courier.Lagging, OnCommit: g.committed, OnGrown: g.courier.Grown})
	if err != nil {
		return err
	}
	g.asker.Store, g.courier.Store = g.store, g.store
	g.metrics.watch(g)
	if err := errors.Join(g.agreeOnToken(ctx), g.prepare(ctx)); err != nil {
		return errors.Join(err, g.store.Close())
	}
	return nil
}

// databaseKey is the key that seals what a database holds: as given, or the one beside it.
func databaseKey(database string, given contract.Secret) (*secret.Key, error) {
	var key *secret.Key
	var err error
	switch {
	case given != "":
		key, err = secret.Parse(string(given))
	case store.Shared(database):
		return nil, misused("--key: with PostgreSQL it must be given, best as ORDERGATE_KEY: 32 bytes in Base64, the same for all who share the database (openssl rand -base64 32)")
	default:
		var path string
		if path, err = store.File(database); err == nil {
			key, err = secret.Load(path + keySuffix)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return key, nil
}

// committed hands over what was committed.
func (g *gateway) committed(group store.Group) {
	g.metrics.observeCommit(group)
	if group.Next {
		g.courier.Committed(group.Events, group.Redirected)
	} else {
		g.courier.Learn(group.Events)
	}
}

// agreer is a store whose processes agree on values that it keeps.
type agreer interface {
	Agree(ctx context.Context, name string, fresh func() string) (value string, made bool, err error)
}

// agreeOnToken finds out which token all who share the database accept, when none is
// given: of one that is made now, the hash is kept, and it is shown once.
func (g *gateway) agreeOnToken(ctx context.Context) error {
	shared, ok := g.store.(agreer)
	if !ok || g.token != "" {
		return nil
	}
	token := rand.Text()
	hash, made, err := shared.Agree(ctx, "admin_token", func() string { return secret.Hash(token) })
	if err != nil {
		return fmt.Errorf("admin token: %w", err)
	}
	g.tokenHash = hash
	if made {
		g.token = contract.Secret(token)
	}
	return nil
}

func (g *gateway) prepare(ctx context.Context) (err error) {
	if !g.shared { // else others may be asking
		n, err := order.AbandonAsked(ctx, g.store, time.Time{})
		if err != nil {
			return fmt.Errorf("locks that were asked for: %w", err)
		} else if n > 0 {
			g.log.Warn("merchants were asked for locks when the last process ended; they are unknown now", "orders", n)
		}
	}
	if g.cmd.Load().Demo {
		if g.demo, err = apply.Demo(); err != nil {
			return err
		}
		if err := g.demo.Store(ctx, g.store); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	if _, err := g.declare(ctx, g.settings.states); err != nil {
		return err
	}
	g.limits, err = intake.NewLimits(ctx, g.store, time.Now())
	return err
}

// declare stores declared states, each as a whole or not at all, and returns how many it
// stored.
func (g *gateway) declare(ctx context.Context, states []*declared) (stored int, err error) {
	for i, d := range states {
		if err := d.document.Store(ctx, g.store); err != nil {
			return i, d.located(err)
		}
	}
	return len(states), nil
}

// serve answers both ports until ctx ends.
func (g *gateway) serve(t *terminal, hangups <-chan os.Signal) error {
	cmd := g.cmd.Load()
	protocol, err := net.Listen("tcp", cmd.Listen)
	if err != nil {
		return fmt.Errorf("%w; another address: --listen", err)
	}
	management, err := net.Listen("tcp", cmd.Admin)
	if err != nil {
		return errors.Join(fmt.Errorf("%w; another address: --admin", err), protocol.Close())
	}
	if cmd.Sandbox || cmd.Demo {
		g.injections = &order.Injections{}
	}
	g.gatewayURL = g.scheme() + "://" + protocol.Addr().String()
	g.gateway = (&intake.Server{
		Store: g.store, Limits: g.limits, Clock: time.Now, Log: g.log, TrustedProxies: g.settings.proxies, Observe: g.observe, Injections: g.injections,
		Merchants: g.asker, ReverseAge: cmd.QimenAge, Refused: g.refused,
	}).Handler()
	if g.tracing != nil {
		g.gateway = otelhttp.NewHandler(g.gateway, "call", otelhttp.WithTracerProvider(g.tracing.provider), otelhttp.WithPropagators(g.tracing.propagator), otelhttp.WithMeterProvider(noMeters))
	}
	front := g.server(g.gateway)
	closing := make(chan struct{})
	back := g.server(g.adminHandler(closing))
	back.RegisterOnShutdown(func() { close(closing) })

	working, stopWorking := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { g.limits.Run(working, g.store, g.log) })
	background.Go(func() { g.courier.Run(working) })
	background.Go(func() { (&order.Sweeper{Store: g.store, Clock: time.Now, Log: g.log, Abandon: g.shared}).Run(working) })
	g.startChores(working, g.settings.keep)
	failed := make(chan error, 2)
	background.Go(func() { failed <- g.answer(front, protocol) })
	background.Go(func() { failed <- back.Serve(management) })

	if cmd.Demo {
		takeAway, err := leaveToken(management.Addr(), g.token)
		if err != nil {
			g.log.Debug("commands of this user have to be given the token", "error", err)
		} else {
			defer takeAway()
		}
	}
	g.announce(t, protocol.Addr(), management.Addr())
	err = g.wait(t, working, hangups, failed)
	g.stopping.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err = errors.Join(err, front.Shutdown(ctx), back.Shutdown(ctx))
	g.asker.Close()
	stopWorking()
	g.chores.Wait()
	background.Wait()
	return err
}

// wait returns when the gateway is to stop. It reloads when it is told to, and stops being
// ready a while before it stops.
func (g *gateway) wait(t *terminal, working context.Context, hangups <-chan os.Signal, failed <-chan error) error {
	read, reading := make(chan rereading, 1), false
	for {
		again := hangups
		if reading { // one after the other; a stop does not wait for a file that does not come
			again = nil
		}
		select {
		case <-again:
			reading = true
			go func() { read <- reread(t.args) }()
			continue
		case r := <-read:
			reading = false
			g.reload(t, working, r)
			continue
		case err := <-failed:
			return err
		case <-t.Done():
		}
		drain := g.cmd.Load().Drain
		g.log.Info("stopping; finishing what was accepted", "ports_close_in", drain)
		g.stopping.Store(true)
		select {
		case err := <-failed:
			return err
		case <-time.After(drain):
			return nil
		}
	}
}

// startChores starts what the settings decide about.
func (g *gateway) startChores(working context.Context, keep time.Duration) {
	cmd := g.cmd.Load()
	ctx, stop := context.WithCancel(working)
	g.stopChores = stop
	if keep > 0 {
		g.chores.Go(func() { (&order.Keeper{Store: g.store, Keep: keep, Clock: time.Now, Log: g.log}).Run(ctx) })
	}
	g.chores.Go(func() {
		(&order.Alerter{Store: g.store, Clock: time.Now, Log: g.log, StuckAfter: cmd.AlertStuck, RefundNear: cmd.AlertRefund}).Run(ctx)
	})
}

func (g *gateway) answer(front *http.Server, l net.Listener) error {
	if g.certificate.Load() == nil {
		return front.Serve(l)
	}
	front.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return g.certificate.Load(), nil }}
	return front.ServeTLS(l, "", "")
}

// server has limits for slow and idle peers.
func (g *gateway) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
	}
}

// caller is where a request comes from, behind trusted proxies.
func (g *gateway) caller(r *http.Request) netip.Addr {
	return intake.CallerAddress(r, g.settings.proxies)
}

// observe counts a call.
func (g *gateway) observe(o intake.Outcome) {
	g.metrics.observeCall(o)
	g.meter.Count(time.Now(), o.Answer == "ok")
}
