package intake

import (
	"net/http"
	"time"

	"github.com/ordergate/ordergate/internal/wire"
)

func (s *Server) serveSuning(w http.ResponseWriter, r *http.Request, suning wire.Suning) {
	if r.Method != http.MethodPost { // not a call: no SDK does it
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "send the message by POST", http.StatusMethodNotAllowed)
		return
	}
	started := time.Now()
	c := s.openSuning(w, r, suning)
	defer c.Release()
	c.serve(w, started, c.Release, func() error {
		err := walk(SuningChecks, OfBoth, c)
		if !c.read {
			wire.Discard(w, r)
		}
		return err
	})
}

// openSuning reads the headers of a call. The body waits until its caller is
// known: strangers take no place of a large one.
func (s *Server) openSuning(w http.ResponseWriter, r *http.Request, suning wire.Suning) *suningCall {
	c := &suningCall{call: s.newCall(suning, r), SuningCall: suning.Head(r), suning: suning, writer: w}
	c.now = s.Clock()
	c.method, c.key = c.Method, c.AppKey
	c.format, _ = c.Format()
	return c
}
