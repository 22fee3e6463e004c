package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/admin"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/console"
	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/intake"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
	"github.com/ordergate/ordergate/internal/wire"
)

// stopTimeout is how long a stop waits for calls that are under way, merchants who are
// asked included.
const stopTimeout = 30 * time.Second

// readyTimeout is how long readiness waits for a write.
const readyTimeout = 2 * time.Second

// syncEvery is how often it is looked what of deliveries is whose, of those who share a
// database.
const syncEvery = time.Second

// gcPercent makes the collector run seldom: what lives is small, and what calls
// leave behind is much. Collecting at Go's default costs a fifth of the rate.
const gcPercent = 400

// memoryLimit makes it run more often once that much is in use.
const memoryLimit = 512 << 20

type serveCmd struct {
	Listen         string          `default:"127.0.0.1:8787" placeholder:"ADDRESS" help:"Address of the protocol port (default ${default})."`
	Admin          string          `default:"127.0.0.1:8788" placeholder:"ADDRESS" help:"Address of the admin port: console, management API and metrics (default ${default})."`
	Database       string          `placeholder:"URL" help:"sqlite:FILE (default sqlite:${database}; with --demo a temporary one), or postgres://USER:PASSWORD@HOST/DATABASE, which any number of processes may share."`
	Demo           bool            `help:"Start with the demo's apps and orders, against which every example of the vendors' pages works. Loopback only."`
	Sandbox        bool            `help:"Let the management API inject faults (/v1/faults)."`
	Apply          []string        `sep:"none" placeholder:"FILE" type:"path" help:"YAML or JSON file to apply at the start; repeatable."`
	AdminToken     contract.Secret `placeholder:"TOKEN" help:"Token of the management API (default: made at the first start and kept beside the database; of PostgreSQL shown once, and its hash kept)."`
	Key            contract.Secret `placeholder:"BASE64" help:"32 bytes that seal secrets at rest (default: made at the first start and kept beside the database; with PostgreSQL it must be given, the same to every process)."`
	AllowPrivate   []string        `placeholder:"NETWORK" help:"Networks that are not public and that destinations may be in, such as 10.0.0.0/8; with --demo loopback is allowed."`
	AlertStuck     time.Duration   `default:"24h" placeholder:"DURATION" help:"How long an order may wait for its next step before an event says so, ordergate.alert.order.stuck; 0: none does (default ${default})."`
	AlertRefund    time.Duration   `default:"20m" placeholder:"DURATION" help:"How long before the automatic refund of a line an event says so, ordergate.alert.refund.near; 0: none does (default ${default})."`
	Keep           string          `placeholder:"TIME" help:"How long events and what is left of their deliveries are kept, such as 90d: as far as nobody is owed them (default: for ever)."`
	QimenAge       time.Duration   `default:"10m" placeholder:"DURATION" help:"How old a reverse call to /spi/qimen may be (default ${default})."`
	TrustedProxies []string        `placeholder:"NETWORK" help:"Proxies whose X-Forwarded-For is believed for ip_allow."`
	TLSCert        string          `name:"tls-cert" placeholder:"FILE" type:"existingfile" help:"Certificate for TLS on the protocol port."`
	TLSKey         string          `name:"tls-key" placeholder:"FILE" type:"existingfile" help:"Its private key."`
	LogLevel       slog.Level      `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (default ${default})."`
}

// gateway is a running serve.
type gateway struct {
	cmd        *serveCmd
	log        *slog.Logger
	metrics    *metrics
	store      order.Store
	limits     *intake.Limits
	token      contract.Secret
	tokenAt    string // file of the token; empty: it was given
	tokenHash  string // of the token that all who share the database accept; empty: it is known
	shared     bool   // other processes may share the database
	proxies    []netip.Prefix
	demo       *apply.Document   // nil: not the demo
	injections *order.Injections // nil: no sandbox
	refused    *order.RefusedCalls
	meter      *console.Meter
	key        *secret.Key
	gateway    http.Handler // the protocol port
	gatewayURL string       // where callers reach it
	asker      *dispatch.Asker
	courier    *dispatch.Dispatcher
	keep       time.Duration // of events; 0: for ever
	stopping   atomic.Bool
}

// Run serves until the context ends, then finishes what was accepted.
func (cmd *serveCmd) Run(t *terminal) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if err := cmd.check(); err != nil {
		return err
	}
	g := &gateway{cmd: cmd, metrics: newMetrics(), refused: &order.RefusedCalls{}, meter: &console.Meter{}, log: slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: cmd.LogLevel}))}
	for _, text := range cmd.TrustedProxies {
		prefix, err := apply.ParsePrefix(text)
		if err != nil {
			return misused("--trusted-proxies %q: neither an address nor a network", text)
		}
		g.proxies = append(g.proxies, prefix)
	}
	guard := dispatch.Guard{}
	for _, text := range cmd.AllowPrivate {
		prefix, err := apply.ParsePrefix(text)
		if err != nil {
			return misused("--allow-private %q: neither an address nor a network", text)
		}
		guard.Allow = append(guard.Allow, prefix)
	}
	if cmd.Demo {
		guard.Allow = append(guard.Allow, dispatch.Loopback...)
	}
	if cmd.QimenAge <= 0 {
		return misused("--qimen-age %s: want a duration such as 10m", cmd.QimenAge)
	}
	keep, err := parseKeep(cmd.Keep)
	if err != nil {
		return misused("--keep %q: %v", cmd.Keep, err)
	}
	g.keep = keep
	g.asker = &dispatch.Asker{HTTP: dispatch.NewClient(guard), Clock: time.Now, Log: g.log}
	g.courier = &dispatch.Dispatcher{Guard: guard, Clock: time.Now, Log: g.log} // the store comes later
	cleanUp, err := cmd.chooseDatabase()
	if err != nil {
		return err
	}
	defer cleanUp()
	if err := g.open(t); err != nil {
		return err
	}
	err = g.serve(t)
	return errors.Join(err, g.store.Close())
}

// parseKeep reads how long events are kept: days, as 90d, or a duration.
func parseKeep(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err == nil && n > 0 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	if keep, err := time.ParseDuration(text); err == nil && keep > 0 {
		return keep, nil
	}
	return 0, errors.New("write days, such as 90d, or a duration such as 36h")
}

func (cmd *serveCmd) check() error {
	if (cmd.TLSCert == "") != (cmd.TLSKey == "") {
		return misused("--tls-cert and --tls-key belong together")
	}
	if err := store.Check(cmd.Database); cmd.Database != "" && err != nil {
		return misused("--%v", err)
	}
	for _, address := range []string{cmd.Listen, cmd.Admin} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return misused("address %q: want HOST:PORT", address)
		}
	}
	if !cmd.Demo {
		return nil
	}
	for _, address := range []string{cmd.Listen, cmd.Admin} {
		if !isLoopback(address) {
			return misused("--demo listens on loopback only, not on %s: its secrets are published", address)
		}
	}
	return nil
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// chooseDatabase fills in the default. The demo's temporary one goes with it.
func (cmd *serveCmd) chooseDatabase() (cleanUp func(), err error) {
	switch {
	case cmd.Database != "":
		return func() {}, nil
	case !cmd.Demo:
		cmd.Database = "sqlite:" + defaultDatabase
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "ordergate-demo-")
	if err != nil {
		return nil, err
	}
	cmd.Database = "sqlite:" + filepath.Join(dir, defaultDatabase)
	return func() { _ = os.RemoveAll(dir) }, nil
}

// open opens the store with its secrets and applies what the flags name.
func (g *gateway) open(ctx context.Context) error {
	g.shared = store.Shared(g.cmd.Database)
	key, err := databaseKey(g.cmd.Database, g.cmd.Key)
	if err != nil {
		return err
	}
	g.key = key
	g.token = g.cmd.AdminToken
	if g.token == "" && !g.shared {
		path, err := store.File(g.cmd.Database)
		if err != nil {
			return err
		}
		g.tokenAt = path + tokenSuffix
		text, err := secret.LoadText(g.tokenAt, rand.Text)
		if err != nil {
			return fmt.Errorf("admin token: %w", err)
		}
		g.token = contract.Secret(text)
	}
	if g.shared {
		g.courier.SyncEvery = syncEvery
	}
	g.store, err = store.Open(ctx, g.cmd.Database, store.Options{Key: key, Log: g.log, Lagging: g.courier.Lagging, OnCommit: g.committed, OnGrown: g.courier.Grown})
	if err != nil {
		return err
	}
	g.asker.Store, g.courier.Store = g.store, g.store
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
	if g.cmd.Demo {
		if g.demo, err = apply.Demo(); err != nil {
			return err
		}
		if err := g.demo.Store(ctx, g.store); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	for _, file := range g.cmd.Apply {
		d, _, err := readDocument(file)
		if err != nil {
			return err
		}
		if err := d.Store(ctx, g.store); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	g.limits, err = intake.NewLimits(ctx, g.store, time.Now())
	return err
}

// serve answers both ports until ctx ends.
func (g *gateway) serve(t *terminal) error {
	protocol, err := net.Listen("tcp", g.cmd.Listen)
	if err != nil {
		return err
	}
	management, err := net.Listen("tcp", g.cmd.Admin)
	if err != nil {
		return errors.Join(err, protocol.Close())
	}
	if g.cmd.Sandbox || g.cmd.Demo {
		g.injections = &order.Injections{}
	}
	g.gatewayURL = g.scheme() + "://" + protocol.Addr().String()
	g.gateway = (&intake.Server{
		Store: g.store, Limits: g.limits, Clock: time.Now, Log: g.log, TrustedProxies: g.proxies, Observe: g.observe, Injections: g.injections,
		Merchants: g.asker, ReverseAge: g.cmd.QimenAge, Refused: g.refused,
	}).Handler()
	front := g.server(g.gateway)
	closing := make(chan struct{})
	back := g.server(g.adminHandler(closing))
	back.RegisterOnShutdown(func() { close(closing) })

	working, stopWorking := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { g.limits.Run(working, g.store, g.log) })
	background.Go(func() { g.courier.Run(working) })
	if g.keep > 0 {
		background.Go(func() { (&order.Keeper{Store: g.store, Keep: g.keep, Clock: time.Now, Log: g.log}).Run(working) })
	}
	background.Go(func() { (&order.Sweeper{Store: g.store, Clock: time.Now, Log: g.log, Abandon: g.shared}).Run(working) })
	background.Go(func() {
		(&order.Alerter{Store: g.store, Clock: time.Now, Log: g.log, StuckAfter: g.cmd.AlertStuck, RefundNear: g.cmd.AlertRefund}).Run(working)
	})
	failed := make(chan error, 2)
	background.Go(func() { failed <- g.answer(front, protocol) })
	background.Go(func() { failed <- back.Serve(management) })

	g.announce(t, protocol.Addr(), management.Addr())
	select {
	case <-t.Done():
		g.log.Info("stopping; finishing what was accepted")
		err = nil
	case err = <-failed:
	}
	g.stopping.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err = errors.Join(err, front.Shutdown(ctx), back.Shutdown(ctx))
	g.asker.Close()
	stopWorking()
	background.Wait()
	return err
}

func (g *gateway) answer(front *http.Server, l net.Listener) error {
	if g.cmd.TLSCert != "" {
		return front.ServeTLS(l, g.cmd.TLSCert, g.cmd.TLSKey)
	}
	return front.Serve(l)
}

// server has limits for slow and idle peers.
func (g *gateway) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
	}
}

func (g *gateway) adminHandler(closing <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	var accepts func(string) bool // nil: the token is known
	if g.tokenHash != "" {
		accepts = func(token string) bool { return secret.IsHash(g.tokenHash, token) }
	}
	management := admin.Server{Store: g.store, Token: g.token, Accepts: accepts, Clock: time.Now, Log: g.log, Version: version, Injections: g.injections, Courier: g.courier, Closing: closing, Refused: g.metrics.refusedCalls}
	management.Register(mux)
	if management.Accepts == nil {
		management.Accepts = management.IsToken
	}
	within := management // what the console does: its pages have asked who it is
	within.Accepts = func(string) bool { return true }
	inner := http.NewServeMux()
	within.Register(inner)
	mux.Handle("/", (&console.Server{
		Store: g.store, Courier: g.courier, Manage: inner, Gateway: g.gateway, URL: g.gatewayURL, Accepts: management.Accepts, Mark: g.markSession, Caller: func(r *http.Request) netip.Addr { return intake.CallerAddress(r, g.proxies) },
		Refused: g.refused, Counts: g.metrics.refusedCalls, Meter: g.meter, Clock: time.Now, Log: g.log, Version: version,
		Injections: g.injections, Demo: g.cmd.Demo, StuckAfter: g.cmd.AlertStuck, Shared: g.shared,
	}).Handler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", g.ready)
	return mux
}

// markSession marks a session of the console: another key or another token ends it.
func (g *gateway) markSession(text string) [32]byte {
	token := g.tokenHash
	if token == "" {
		token = secret.Hash(string(g.token))
	}
	return g.key.Mark(token + " " + text)
}

// observe counts a call.
func (g *gateway) observe(o intake.Outcome) {
	g.metrics.observeCall(o)
	g.meter.Count(time.Now(), o.Answer == "ok")
}

func (g *gateway) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	err := g.store.Ready(ctx)
	if g.stopping.Load() {
		err = errors.New("stopping")
	}
	if err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// scheme is what callers of the protocol port speak.
func (g *gateway) scheme() string {
	if g.cmd.TLSCert != "" {
		return "https"
	}
	return "http"
}

func (g *gateway) announce(t *terminal, protocol, management net.Addr) {
	token, bearer := "as given", "$ORDERGATE_ADMIN_TOKEN"
	switch {
	case g.tokenAt != "":
		token, bearer = "in "+g.tokenAt, "$(cat "+g.tokenAt+")"
	case g.tokenHash != "" && g.token != "":
		token, bearer = string(g.token)+" (shown this once; its hash is in the database)", string(g.token)
	case g.tokenHash != "":
		token = "as shown when the database was new"
	}
	fmt.Fprintf(t.out, "Ordergate %s is ready.\n  protocols   %s://%s%s (TOP), %s (Suning), %s and %s (Qimen)\n  console     http://%s/\n  management  http://%s/v1/openapi.json\n  admin token %s\n  database    %s\n",
		version, g.scheme(), protocol, wire.TOPPath, wire.SuningPath, wire.QimenPath, wire.SPIPath, management, management, token, store.Redacted(g.cmd.Database))
	if g.demo == nil {
		return
	}
	fmt.Fprintln(t.out, "Try:")
	for _, app := range g.demo.Apps {
		call := fmt.Sprintf("--url http://%s --app-key %s --secret %s", protocol, app.Key, string(app.Secret))
		show := fmt.Sprintf("--server http://%s --token \"%s\"", management, bearer)
		switch {
		case app.Protocol == contract.Suning:
			o := g.demo.Orders[0]
			fmt.Fprintf(t.out, "  ordergate call %s %s iqStatus=%s orderId=%s orderItemId=%s\n", contract.LeaguerStatus.Method, call, contract.StatusShipped, o.Number, o.Lines[1].Number)
			fmt.Fprintf(t.out, "  ordergate orders show %s %s %s\n", o.Platform, o.Number, show)
		case app.Key == g.demo.Sessions[0].AppKey:
			fmt.Fprintf(t.out, "  ordergate call %s %s --session %s status=%s tid=1\n", contract.EventProduce.Method, call, string(g.demo.Sessions[0].Token), contract.StatusTransfer)
			fmt.Fprintf(t.out, "  ordergate orders show %s 1 %s\n", order.Taobao, show)
		case app.Seller != "":
			caller, o := g.demo.Apps[0], g.demo.Orders[len(g.demo.Orders)-1] // it can be locked
			fmt.Fprintf(t.out, "  ordergate call %s --url http://%s --app-key %s --secret %s --target-app-key %s sellerNick=%s buyerNick=%s 'bizOrder={\"tid\":\"%s\",\"subOrderIds\":\"%s\"}' callType=%s\n",
				contract.OrderIntercept.Method, protocol, caller.Key, string(caller.Secret), app.Key, app.Seller, *o.Buyer, o.Number, o.Lines[0].Number, contract.CallSynchronous)
		}
	}
}
