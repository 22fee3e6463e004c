package intake

import (
	"net/http"
	"sync"
	"time"

	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// serveTOP answers one call, in TOP's words or in those of Qimen Cloud.
func (s *Server) serveTOP(w http.ResponseWriter, r *http.Request, top wire.TOP, cloud bool) {
	started := time.Now()
	c := s.openTOP(w, r, top.Open, cloud)
	defer c.Release()
	c.serve(w, started, c.Release, func() error { return walk(TOPChecks, OfBoth, c) })
}

// serveBatch answers several calls of one request. They are checked one by one
// and stored in one transaction; a refused call harms no other.
func (s *Server) serveBatch(w http.ResponseWriter, r *http.Request, top wire.TOP) {
	started := time.Now()
	c := s.openTOP(w, r, top.OpenBatch, false)
	defer c.Release()
	c.batch = true
	var batch *wire.Batch
	err := c.guarded(func() (err error) {
		if err := walk(TOPChecks, OfRequest, c); err != nil {
			return err
		}
		batch, err = c.Batch(r.Header.Get(wire.SeparatorHeader))
		return err
	})
	if err != nil {
		c.send(w, c.finish(started, err))
		return
	}
	calls := make([]*topCall, len(batch.Calls))
	refused := make([]error, len(batch.Calls))
	var tasks []*order.Task
	var asked sync.WaitGroup
	questions := make([]*order.Destination, len(batch.Calls)) // nil: stored with the others
	for i, inner := range batch.Calls {
		call := c.inner(inner)
		calls[i] = call
		refused[i] = call.guarded(func() (err error) {
			if err := walk(TOPChecks, OfCall, call); err != nil {
				return err
			}
			questions[i], err = call.waiting()
			return err
		})
		if refused[i] == nil && questions[i] == nil {
			tasks = append(tasks, call.work.Tasks...)
		}
	}
	for i, d := range questions {
		if d != nil {
			c.Release() // merchants may take their time
			asked.Go(func() { refused[i] = calls[i].guarded(func() error { return calls[i].ask(d) }) })
		}
	}
	stored := c.commit(tasks)
	asked.Wait()
	answers := make([]wire.Answer, len(calls))
	for i, call := range calls {
		if refused[i] == nil && questions[i] == nil {
			refused[i] = stored
		}
		answers[i] = call.finish(started, refused[i])
		c.injection = together(c.injection, call.injection)
	}
	c.send(w, batch.Join(answers))
}

// How answers are written, made once and not with each call.
var (
	topWords   protocol = wire.TOP{}
	qimenWords protocol = wire.QimenCloud{}
)

// openTOP reads the request of a call.
func (s *Server) openTOP(w http.ResponseWriter, r *http.Request, open func(http.ResponseWriter, *http.Request) (*wire.Call, error), cloud bool) *topCall {
	c := &topCall{call: s.newCall(topWords, r), cloud: cloud}
	if cloud {
		c.protocol = qimenWords
	}
	c.Call, c.unread = open(w, r)
	c.now = s.Clock() // after the body, which may have taken its time
	c.read()
	return c
}

// inner is a call of the batch that c is the request of.
func (c *topCall) inner(of *wire.Call) *topCall {
	inner := &topCall{Call: of, call: c.server.newCall(c.protocol, c.http)}
	inner.ctx, inner.span = startSpan(c.ctx, c.span, "call") // note ends it
	inner.inside = true
	inner.now, inner.app, inner.seller = c.now, c.app, c.seller
	inner.read()
	return inner
}

// read takes from the request what does not wait for its checks.
func (c *topCall) read() {
	c.method, _ = c.Get("method")
	c.key, _ = c.Get("app_key")
	c.format, _ = c.wanted()
}
