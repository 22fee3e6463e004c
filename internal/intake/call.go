package intake

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
	"go.opentelemetry.io/otel/trace"
)

// Check is one step of a protocol's checks.
type Check[C any] struct {
	Text   string           // what is checked
	Faults []contract.Fault // what it answers, in the order in which it looks
	Batch  Part             // what of a batch is checked; 0: the protocol has none
	run    func(C) error
}

// Part is a part of a batch. What a request lacks refuses the whole batch, what
// a call lacks that call.
type Part int

// The parts.
const (
	OfRequest Part = 1 << iota
	OfCall
	OfBoth = OfRequest | OfCall
)

// String names the part, for the documents.
func (p Part) String() string {
	return [...]string{OfRequest: "the request", OfCall: "each call", OfBoth: "both"}[p]
}

// walk makes the checks of a part in their order; a call that is alone is both.
func walk[C any](checks []Check[C], part Part, c C) error {
	for i := range checks {
		if of := checks[i].Batch; of != 0 && of&part == 0 {
			continue
		}
		if err := checks[i].run(c); err != nil {
			return err
		}
	}
	return nil
}

// rulesOf are the rules of the APIs that travel by a protocol, by method.
func rulesOf(protocol contract.Protocol) map[string]order.Rule {
	m := map[string]order.Rule{}
	for _, r := range order.Rules {
		if r.API.Protocol == protocol {
			m[r.API.Method] = r
		}
	}
	return m
}

// protocol is what writes the answers of a call.
type protocol interface {
	Word(api *contract.API, err error, requestID string) *contract.Refused
	Refuse(f wire.Format, refused *contract.Refused) wire.Answer
	Reply(f wire.Format, api *contract.API, reply any, requestID string) wire.Answer
	Write(w http.ResponseWriter, r *http.Request, a wire.Answer) error
}

// call is one call on its way through the checks, whatever its protocol. Each
// check may use what those before it found.
type call struct {
	server    *Server
	protocol  protocol
	ctx       context.Context // goes on when the caller hangs up: what arrived whole is carried through
	http      *http.Request
	now       time.Time
	id        string
	span      trace.Span // records nothing when calls are not traced
	inside    bool       // it is one of a batch
	method    string     // as the caller names it, as is key
	key       string
	format    wire.Format
	rule      order.Rule
	app       *order.App
	merchant  *order.App // whom a reverse call reaches; nil: nobody who is known
	seller    string
	token     string // of the session that it came with; empty: none
	request   any
	accepted  *order.Call
	work      *order.Work
	question  *order.Question  // what is asked, once somebody is found who is
	injection *order.Injection // nil: none
}

func (s *Server) newCall(p protocol, r *http.Request) call {
	return call{server: s, protocol: p, span: trace.SpanFromContext(r.Context()), ctx: context.WithoutCancel(r.Context()), http: r, id: wire.NewRequestID()}
}

// guarded makes a fault in the code this call's failure alone.
func (c *call) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.server.Log.Error("call panicked", "id", c.id, "panic", p, "stack", string(debug.Stack()))
			err = contract.Unavailable
		}
	}()
	return f()
}

// serve makes the checks of a call that is alone, stores what it decides or asks who
// decides, and answers. Release gives its body back.
func (c *call) serve(w http.ResponseWriter, started time.Time, release func(), check func() error) {
	err := c.guarded(func() error {
		if err := check(); err != nil {
			return err
		}
		return c.carryOut(release)
	})
	c.send(w, c.finish(started, err))
}

// findApp finds an app of a protocol.
func (c *call) findApp(key string, p contract.Protocol) (*order.App, error) {
	app, err := c.server.Store.App(c.ctx, key)
	switch {
	case errors.Is(err, order.ErrNotFound):
		return nil, contract.UnknownApp
	case err != nil:
		return nil, err
	case app.Protocol != p:
		return nil, contract.UnknownApp
	}
	return app, nil
}

// calledBy makes an app that was found the caller.
func (c *call) calledBy(app *order.App, err error) error {
	if err == nil {
		c.app, c.seller = app, app.Seller
	}
	return err
}

// activeApp finds an app of TOP, which does not tell apps that are no longer active
// from those that never were.
func (c *call) activeApp(key string) (*order.App, error) {
	app, err := c.findApp(key, contract.TOP)
	if err == nil && !app.Active(c.now) {
		return nil, contract.UnknownApp
	}
	return app, err
}

func (c *call) addressAllowed() error {
	if len(c.app.IPAllow) > 0 && !c.app.AllowsIP(CallerAddress(c.http, c.server.TrustedProxies)) {
		return contract.IPNotAllowed
	}
	return nil
}

func (c *call) methodAllowed() error { return c.app.Permits(c.rule.API.Method) }

// within reports whether a call's time is near enough.
func (c *call) within(at time.Time) bool {
	off := wire.Off(c.now, at).Abs()
	if off > wire.Tolerance {
		// Only Java forces GMT+8; other SDKs use the zone of their machine.
		c.server.Log.Info("the call's time is off; it must be GMT+8", "id", c.id, "time", at.Format(contract.TimeLayout), "off", off.Round(time.Second))
	}
	return off <= wire.Tolerance
}

// findSession finds the session of a token that the ledger decides about. It is
// nil, without an error, when the platform behind decides and the ledger does not
// know it.
func (c *call) findSession(token string) (*order.Session, error) {
	session, err := c.server.Store.Session(c.ctx, contract.Secret(token))
	if err != nil && !errors.Is(err, order.ErrNotFound) {
		return nil, err
	}
	known := err == nil && session.AppKey == c.app.Key
	switch {
	case known && c.app.Authority == order.Upstream:
		return session, nil
	case c.app.Authority == order.Upstream:
		return nil, nil
	case !known:
		return nil, contract.UnknownSession
	case !session.ExpiresAt.IsZero() && !c.now.Before(session.ExpiresAt):
		return nil, contract.ExpiredSession
	}
	return session, nil
}

// judge asks the API's rule, unless a fault on demand comes before it.
func (c *call) judge(record order.Record, warnings []string) (err error) {
	if handled, err := c.inject(); handled {
		return err
	}
	record.Trace = traceOf(c.span)
	c.accepted = &order.Call{
		API: c.rule.API, App: c.app, Seller: c.seller, Request: c.request, Record: record, At: c.now, Session: contract.Secret(c.token), Merchant: c.merchant, Warnings: warnings,
	}
	c.work, err = c.rule.Judge(c.accepted)
	return err
}

// commit stores what calls decide, as one unit.
func (c *call) commit(tasks []*order.Task) error {
	if len(tasks) == 0 {
		return nil
	}
	ctx, span := startSpan(c.ctx, c.span, "commit")
	defer span.End()
	return stored(c.server.Store.Commit(ctx, tasks...))
}

// stored words what a store says.
func stored(err error) error {
	if errors.Is(err, order.ErrBusy) {
		return contract.Busy
	}
	return err
}

// finish makes the answer of a call that was refused with err, or stored.
func (c *call) finish(started time.Time, err error) (answer wire.Answer) {
	var reply any
	if err == nil {
		reply, err = c.work.Outcome()
	}
	outcome, broken := Outcome{Answer: "ok"}, false
	if c.rule.API != nil {
		outcome.API = c.rule.API.Method
	}
	if err != nil {
		refused := c.word(err)
		broken = errors.Is(refused, contract.Unavailable)
		answer = c.protocol.Refuse(c.format, refused)
		if outcome.Answer = "fault"; !errors.Is(err, errReplaced) {
			outcome.Answer = c.logRefusal(refused, err)
			c.keepRefused(refused, err)
		}
	} else {
		if no := c.rule.API.Refusal(reply); no != nil {
			outcome.Answer = cmp.Or(no.Code, "no")
		}
		answer = c.protocol.Reply(c.format, c.rule.API, reply, c.id)
	}
	if c.injection != nil && c.injection.Body != nil {
		answer.Body = []byte(*c.injection.Body)
	}
	c.note(outcome, broken)
	if c.server.Observe != nil {
		outcome.Duration = time.Since(started)
		c.server.Observe(outcome)
	}
	return answer
}

// word words an error: by its row, or as the platform that was asked has worded it.
func (c *call) word(err error) *contract.Refused {
	said, ok := errors.AsType[*contract.Refused](err)
	if !ok || c.rule.API.Protocol == contract.TOP && !contract.Digits(said.Code) {
		return c.protocol.Word(c.rule.API, err, c.id)
	}
	refused := *said
	refused.RequestID = cmp.Or(refused.RequestID, c.id)
	return &refused
}

// send writes the answer, as far as a fault on demand lets it.
func (c *call) send(w http.ResponseWriter, answer wire.Answer) {
	w.Header()[wire.RequestIDHeader] = []string{c.id}
	if c.injection != nil && c.disturb(w) {
		return
	}
	if err := c.protocol.Write(w, c.http, answer); err != nil {
		c.server.Log.Debug("answer not sent", "from", c.http.RemoteAddr, "error", err)
	}
}

// logRefusal logs a refused call and returns the code that counts it. What an
// API refuses in its own words is everyday traffic; the rest wants attention.
func (c *call) logRefusal(refused *contract.Refused, err error) string {
	level, answer := slog.LevelInfo, cmp.Or(refused.SubCode, refused.Code)
	switch refusal, isRefusal := errors.AsType[*contract.Refusal](err); {
	case isRefusal:
		level, answer = slog.LevelDebug, refusal.Code
	case errors.Is(refused, contract.Unavailable) && !errors.Is(err, contract.Busy):
		level = slog.LevelError
	}
	reason := err.Error()
	if c.injection != nil && c.injection.Replaces() {
		level, reason = slog.LevelInfo, "a fault on demand: "+reason
	}
	log := c.server.Log
	if !log.Enabled(c.http.Context(), level) {
		return answer
	}
	log.Log(c.http.Context(), level, "call refused",
		"id", c.id, "api", clip(c.method), "app", clip(c.key), "code", refused.Code, "sub_code", refused.SubCode,
		"from", c.http.RemoteAddr, "reason", reason)
	return answer
}

// clip keeps what strangers send from filling the log.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
