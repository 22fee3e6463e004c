package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ordergate/ordergate/internal/admin"
	"github.com/ordergate/ordergate/internal/console"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/wire"
)

// readyTimeout is how long readiness waits for a write.
const readyTimeout = 2 * time.Second

// adminHandler answers the admin port. Streams end when closing is closed.
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
		Store: g.store, Courier: g.courier, Manage: inner, Gateway: g.gateway, URL: g.gatewayURL, Accepts: management.Accepts, Mark: g.markSession, Caller: g.caller,
		Refused: g.refused, Counts: g.metrics.refusedCalls, Meter: g.meter, Clock: time.Now, Log: g.log, Version: version,
		Injections: g.injections, Demo: g.cmd.Load().Demo, StuckAfter: func() time.Duration { return g.cmd.Load().AlertStuck }, Shared: g.shared,
	}).Handler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", g.ready)
	mux.Handle("GET /debug/pprof/", profiles(management.Accepts))
	return g.logged(mux)
}

// profiles serves what Go tells of a running program to whoever has the admin token: as
// Authorization: Bearer, or as the password in the URL, which is what go tool pprof can.
func profiles(accepts func(token string) bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/debug/pprof/cmdline", http.NotFoundHandler()) // secrets may be flags
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, token, ok := r.BasicAuth()
		if !ok {
			token, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		}
		if !ok || !accepts(token) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Ordergate: any name, and the admin token"`)
			http.Error(w, "send the admin token as Authorization: Bearer, or as the password: http://admin:TOKEN@HOST/debug/pprof/", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// logged logs what is asked of the admin port: changes, and for those who want it reads,
// too. Each answer says by which id.
func (g *gateway) logged(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		level := slog.LevelDebug
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			level = slog.LevelInfo
		}
		id := wire.NewRequestID()
		w.Header().Set(wire.RequestIDHeader, id)
		if !g.log.Enabled(r.Context(), level) {
			h.ServeHTTP(w, r)
			return
		}
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		started := time.Now()
		h.ServeHTTP(seen, r)
		g.log.Log(r.Context(), level, "admin request", "id", id, "method", r.Method, "path", loggedPath(r.URL.Path), "status", seen.status, "ms", time.Since(started).Milliseconds(), "from", r.RemoteAddr)
	})
}

// sessionsPath is what access tokens stand behind.
const sessionsPath = "/v1/sessions/"

// loggedPath is a path without secrets, and no longer than a log wants it.
func loggedPath(asked string) string {
	clean := path.Clean("/" + asked)
	if i := strings.Index(strings.ToLower(clean), sessionsPath); i >= 0 {
		return clean[:i] + sessionsPath + "***"
	}
	if len(clean) > 200 {
		return clean[:200] + "…"
	}
	return clean
}

// statusWriter remembers an answer's status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController what it controls.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// markSession marks a session of the console: another key or another token ends it.
func (g *gateway) markSession(text string) [32]byte {
	token := g.tokenHash
	if token == "" {
		token = secret.Hash(string(g.token))
	}
	return g.key.Mark(token + " " + text)
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
