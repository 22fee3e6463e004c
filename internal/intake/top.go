package intake

import (
	"net/http"
	"time"

	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

func (s *Server) serveTOP(w http.ResponseWriter, r *http.Request, top wire.TOP) {
	started := time.Now()
	c := s.openTOP(w, r, top, top.Open)
	defer c.Release()
	c.serve(w, started, func() error { return walk(TOPChecks, OfBoth, c) })
}

// serveBatch answers several calls of one request. They are checked one by one
// and stored in one transaction; a refused call harms no other.
func (s *Server) serveBatch(w http.ResponseWriter, r *http.Request, top wire.TOP) {
	started := time.Now()
	c := s.openTOP(w, r, top, top.OpenBatch)
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
	for i, inner := range batch.Calls {
		calls[i] = c.inner(inner)
		refused[i] = calls[i].guarded(func() error { return walk(TOPChecks, OfCall, calls[i]) })
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
		answers[i] = call.finish(started, refused[i])
		c.injection = together(c.injection, call.injection)
	}
	c.send(w, batch.Join(answers))
}

// openTOP reads the request of a call.
func (s *Server) openTOP(w http.ResponseWriter, r *http.Request, top wire.TOP, open func(http.ResponseWriter, *http.Request) (*wire.Call, error)) *topCall {
	c := &topCall{call: s.newCall(top, r)}
	c.Call, c.unread = open(w, r)
	c.now = s.Clock() // after the body, which may have taken its time
	c.read()
	return c
}

// inner is a call of the batch that c is the request of.
func (c *topCall) inner(of *wire.Call) *topCall {
	inner := &topCall{Call: of, call: c.server.newCall(c.protocol, c.http)}
	inner.now, inner.app, inner.seller = c.now, c.app, c.seller
	inner.read()
	return inner
}

// read takes from the request what does not wait for its checks.
func (c *topCall) read() {
	c.method, _ = c.Get("method")
	c.key, _ = c.Get("app_key")
	c.format, _ = c.Format()
}
