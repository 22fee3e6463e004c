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
	Answer   string // "ok"; the sub code of the row that refused it, or its code; "no" when a batch held a refused event
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
		case wire.BatchPath:
			s.serveBatch(w, r, top)
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
	c := s.open(w, r, top.Open)
	err := c.guarded(func() error { return c.check(OfBoth) })
	if err == nil {
		err = s.commit(c.ctx, c.work.Tasks)
	}
	s.write(w, r, top, c.finish(top, started, err))
}

// serveBatch answers several calls of one request. They are checked one by one
// and stored in one transaction; a refused call harms no other.
func (s *Server) serveBatch(w http.ResponseWriter, r *http.Request, top wire.TOP) {
	started := time.Now()
	c := s.open(w, r, top.OpenBatch)
	c.batch = true
	var batch *wire.Batch
	err := c.guarded(func() (err error) {
		if err := c.check(OfRequest); err != nil {
			return err
		}
		batch, err = c.Batch(r.Header.Get(wire.SeparatorHeader))
		return err
	})
	if err != nil {
		s.write(w, r, top, c.finish(top, started, err))
		return
	}
	calls := make([]*topCall, len(batch.Calls))
	refused := make([]error, len(batch.Calls))
	var tasks []*order.Task
	for i, inner := range batch.Calls {
		calls[i] = &topCall{Call: inner, server: s, ctx: c.ctx, http: r, now: c.now, id: wire.NewRequestID(), app: c.app, seller: c.seller}
		refused[i] = calls[i].guarded(func() error { return calls[i].check(OfCall) })
		if refused[i] == nil {
			tasks = append(tasks, calls[i].work.Tasks...)
		}
	}
	stored := s.commit(c.ctx, tasks)
	answers := make([]wire.Answer, len(calls))
	for i, call := range calls {
		if refused[i] == nil {
			refused[i] = stored
		}
		answers[i] = call.finish(top, started, refused[i])
	}
	s.write(w, r, top, batch.Join(answers))
}

// open reads the request of a call.
func (s *Server) open(w http.ResponseWriter, r *http.Request, open func(http.ResponseWriter, *http.Request) (*wire.Call, error)) *topCall {
	c := &topCall{server: s, ctx: context.WithoutCancel(r.Context()), http: r, id: wire.NewRequestID()}
	c.Call, c.unread = open(w, r)
	c.now = s.Clock() // after the body, which may have taken its time
	return c
}

// guarded makes a fault in the code this call's failure alone.
func (c *topCall) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.server.Log.Error("call panicked", "id", c.id, "panic", p, "stack", string(debug.Stack()))
			err = contract.Unavailable
		}
	}()
	return f()
}

// check walks the checks of a part; a call that is alone is both.
func (c *topCall) check(part Part) error {
	for i := range TOPChecks {
		if TOPChecks[i].Batch&part == 0 {
			continue
		}
		if err := TOPChecks[i].run(c); err != nil {
			return err
		}
	}
	return nil
}

// commit stores what calls decide, as one unit.
func (s *Server) commit(ctx context.Context, tasks []*order.Task) error {
	if len(tasks) == 0 {
		return nil
	}
	err := s.Store.Commit(ctx, tasks...)
	if errors.Is(err, order.ErrBusy) {
		return contract.Busy
	}
	return err
}

// finish makes the answer of a call that was refused with err, or stored.
func (c *topCall) finish(top wire.TOP, started time.Time, err error) (answer wire.Answer) {
	var reply any
	if err == nil {
		reply, err = c.work.Outcome()
	}
	format, _ := c.Format()
	outcome := Outcome{Answer: "ok"}
	if c.rule.API != nil {
		outcome.API = c.rule.API.Method
	}
	if err != nil {
		refused := top.Word(err, c.id)
		outcome.Answer = c.server.logRefusal(c, refused, err)
		answer = top.Refuse(format, refused)
	} else {
		if no := c.rule.API.Refusal(reply); no != nil {
			outcome.Answer = cmp.Or(no.Code, "no")
		}
		answer = top.Reply(format, c.rule.API, reply, c.id)
	}
	if c.server.Observe != nil {
		outcome.Duration = time.Since(started)
		c.server.Observe(outcome)
	}
	return answer
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, top wire.TOP, answer wire.Answer) {
	if err := top.Write(w, r, answer); err != nil {
		s.Log.Debug("answer not sent", "from", r.RemoteAddr, "error", err)
	}
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
