package intake

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// Server answers the protocol port. Fields without a comment are required.
type Server struct {
	Store          order.Store
	Limits         *Limits
	Clock          func() time.Time
	Log            *slog.Logger
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For counts
	Observe        func(Outcome)  // told of every call; nil: nobody
}

// Outcome is how a call ended, for metrics.
type Outcome struct {
	API      string // empty when the call named none that is known
	Answer   string // "ok", or the sub code of the row that refused it, or its code
	Duration time.Duration
}

// Handler serves the protocol port's paths.
func (s *Server) Handler() http.Handler {
	top := wire.TOP{Large: make(chan struct{}, largeBodies)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A mux would redirect a stray slash, which no SDK follows.
		switch path.Clean("/" + r.URL.Path) {
		case wire.TOPPath:
			s.serveTOP(w, r, top)
		case "/healthz":
			_, _ = w.Write([]byte("ok\n"))
		default:
			http.NotFound(w, r)
		}
	})
}

// largeBodies is how many bodies over wire.SmallBody may be in memory at once.
const largeBodies = 64

func (s *Server) serveTOP(w http.ResponseWriter, r *http.Request, top wire.TOP) {
	started := time.Now()
	c := s.open(w, r, top)
	err := c.carryOut()
	format, _ := c.Format()
	outcome := Outcome{Answer: "ok"}
	if c.rule.API != nil {
		outcome.API = c.rule.API.Method
	}
	var answer wire.Answer
	if err != nil {
		refused := top.Word(err, c.id)
		outcome.Answer = s.logRefusal(c, refused, err)
		answer = top.Refuse(format, refused)
	} else {
		answer = top.Reply(format, c.rule.API, c.task.Reply, c.id)
	}
	if err := top.Write(w, r, answer); err != nil {
		s.Log.Debug("answer not sent", "id", c.id, "error", err)
	}
	if s.Observe != nil {
		outcome.Duration = time.Since(started)
		s.Observe(outcome)
	}
}

// open reads the request of a call.
func (s *Server) open(w http.ResponseWriter, r *http.Request, top wire.TOP) *topCall {
	c := &topCall{server: s, ctx: context.WithoutCancel(r.Context()), http: r, id: wire.NewRequestID()}
	c.Call, c.unread = top.Open(w, r)
	c.now = s.Clock() // after the body, which may have taken its time
	return c
}

// carryOut checks the call and stores it. A fault in the code is this call's
// failure alone.
func (c *topCall) carryOut() (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.server.Log.Error("call panicked", "id", c.id, "panic", p, "stack", string(debug.Stack()))
			err = contract.Unavailable
		}
	}()
	if err := c.check(); err != nil {
		return err
	}
	return c.commit()
}

// check walks the checks.
func (c *topCall) check() error {
	for i := range TOPChecks {
		if err := TOPChecks[i].run(c); err != nil {
			return err
		}
	}
	return nil
}

// commit stores the call.
func (c *topCall) commit() error {
	err := c.server.Store.Commit(c.ctx, c.task)
	if errors.Is(err, order.ErrBusy) {
		return contract.Busy
	}
	if err != nil {
		return err
	}
	return c.task.Err
}

// logRefusal logs a refused call and returns the code that counts it. What an
// API refuses in its own words is everyday traffic; the rest wants attention.
func (s *Server) logRefusal(c *topCall, refused *contract.Refused, err error) string {
	level, answer := slog.LevelInfo, cmp.Or(refused.SubCode, refused.Code)
	switch refusal, isRefusal := errors.AsType[*contract.Refusal](err); {
	case isRefusal:
		level, answer = slog.LevelDebug, refusal.Code
	case refused.Row == contract.Unavailable:
		level = slog.LevelError
	}
	if !s.Log.Enabled(c.http.Context(), level) {
		return answer
	}
	method, _ := c.Get("method")
	app, _ := c.Get("app_key")
	s.Log.Log(c.http.Context(), level, "call refused",
		"id", c.id, "api", clip(method), "app", clip(app), "code", refused.Code, "sub_code", refused.SubCode,
		"from", c.http.RemoteAddr, "reason", err.Error())
	return answer
}

// clip keeps what strangers send from filling the log.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
