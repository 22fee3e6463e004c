package intake

import (
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// Server answers the protocol port. Fields without a comment are required.
type Server struct {
	Store          order.Store
	Limits         *Limits
	Clock          func() time.Time
	Log            *slog.Logger
	TrustedProxies []netip.Prefix      // peers whose X-Forwarded-For counts
	Observe        func(Outcome)       // told of every call; nil: nobody
	Injections     *order.Injections   // faults on demand; nil: none
	Merchants      Merchants           // whom destinations wait for; nil: the ledger decides everything
	Refused        *order.RefusedCalls // keeps the last calls that were refused; nil: they are not kept
	ReverseAge     time.Duration       // how old a reverse call may be; 0: wire.Tolerance
}

// Outcome is how a call ended, for metrics.
type Outcome struct {
	API      string // empty when the call named none that is known
	Answer   string // "ok"; the sub code of the row that refused it, or its code; "no" when a batch held a refused event; "fault" when one on demand replaced it
	Duration time.Duration
}

// Handler serves the protocol port's paths.
func (s *Server) Handler() http.Handler {
	large := make(chan struct{}, largeBodies)
	top := wire.TOP{Large: large}
	suning := wire.Suning{Large: large, Parsing: semaphore.NewWeighted(parsedAtOnce)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Refused != nil {
			defer watch(r)()
		}
		// A mux would redirect a stray slash, which no SDK follows.
		switch at := path.Clean("/" + r.URL.Path); at {
		case wire.TOPPath:
			s.serveTOP(w, r, top, false)
		case wire.QimenPath, wire.QimenTestPath:
			s.serveTOP(w, r, top, true)
		case wire.SPIPath:
			s.serveSPI(w, r, wire.SPI{Large: large})
		case wire.BatchPath:
			s.serveBatch(w, r, top)
		case "/healthz":
			_, _ = w.Write([]byte("ok\n"))
		default:
			if at == wire.SuningPath || path.Dir(at) == wire.SuningPath {
				s.serveSuning(w, r, suning)
				return
			}
			http.NotFound(w, r)
		}
	})
}

// How many bodies over wire.SmallBody may be in memory at once, and how many bytes
// of messages may be parsed at a time.
const (
	largeBodies  = 64
	parsedAtOnce = 2 * wire.MaxBody
)
