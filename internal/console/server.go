package console

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Server answers the console's pages. Fields without a comment are required.
type Server struct {
	Store   order.Store
	Courier Courier
	Manage  http.Handler // the management API, which accepts every token: every change goes through it
	Gateway http.Handler // the protocol port: calls that are tried go there
	// URL is where callers reach the protocol port.
	URL     string
	Accepts func(token string) bool    // whether a token is the admin token
	Mark    func(text string) [32]byte // a keyed MAC, which changes with the admin token and with nothing else: it marks sessions
	Refused *order.RefusedCalls
	Counts  func() map[string]int64 // of refused calls since the start, by code
	Meter   *Meter
	Clock   func() time.Time
	Log     *slog.Logger
	Version string

	Caller     func(*http.Request) netip.Addr // where a request comes from, behind proxies; nil: its peer
	Injections *order.Injections              // faults on demand; nil: this is no sandbox
	Demo       bool                           // its secrets are published
	StuckAfter func() time.Duration           // how long an open order may be unchanged, 0: order.StuckAfter; nil: that
	Shared     bool                           // other processes may share the store: what is in memory is this one's

	totals  remembered[order.Totals]
	stages  remembered[[]order.StageCount]
	owing   remembered[[]order.Owing]
	strikes strikes
}

// Courier is who delivers.
type Courier interface {
	// Condition is how a destination is doing.
	Condition(destination string) order.Condition
	// OnTheirWay lists the places of the events that a queue is delivering.
	OnTheirWay(q order.QueueName) map[int64]bool
}

// Handler serves the console's paths.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", serveAsset)
	mux.HandleFunc("GET /login", s.showLogin)
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("POST /logout", s.logOut)
	mux.HandleFunc("POST /language", s.chooseLanguage)
	for _, p := range pages {
		mux.Handle(p.pattern, s.guarded(p))
	}
	mux.Handle("/", s.guarded(page{"/", "", (*Server).missing}))
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// secured sets the headers of every answer. Nothing is loaded from elsewhere, and nothing
// inline is run or applied.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		head.Set("Referrer-Policy", "same-origin")
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

// page is one path of the console.
type page struct {
	pattern  string
	template string // empty: the handler answers itself, or redirects
	show     func(*Server, *visit) (any, error)
}

// pages are the console's paths, in the order of its menu.
var pages = []page{
	{"GET /{$}", "overview", (*Server).overview},
	{"GET /orders", "orders", (*Server).orders},
	{"GET /orders/import", "import", (*Server).showImport},
	{"POST /orders/import", "import", (*Server).importOrders},
	{"GET /orders/{platform}/{number}", "order", (*Server).order},
	{"GET /funnel", "funnel", (*Server).funnel},
	{"GET /events", "events", (*Server).events},
	{"GET /events/new", "events_new", (*Server).newEvents},
	{"GET /events/{seq}", "event", (*Server).event},
	{"GET /alerts", "events", (*Server).alerts},
	{"GET /refused", "refused", (*Server).refused},
	{"GET /refused/{n}", "refused_call", (*Server).refusedCall},
	{"GET /deliveries", "deliveries", (*Server).deliveries},
	{"POST /deliveries", "deliveries", (*Server).changeDeliveries},
	{"GET /deliveries/{id}", "delivery", (*Server).delivery},
	{"POST /deliveries/{id}", "delivery", (*Server).changeDelivery},
	{"GET /destinations", "destinations", (*Server).destinations},
	{"POST /destinations", "destinations", (*Server).addDestination},
	{"GET /destinations/{name}", "destination", (*Server).destination},
	{"POST /destinations/{name}", "destination", (*Server).changeDestination},
	{"GET /work-orders", "work_orders", (*Server).workOrders},
	{"GET /work-orders/{row}", "work_order", (*Server).workOrder},
	{"GET /locks", "locks", (*Server).locks},
	{"GET /locks/{id}/release", "locks", (*Server).toLocks},
	{"POST /locks/{id}/release", "locks", (*Server).releaseLock},
	{"GET /apps", "apps", (*Server).apps},
	{"POST /apps", "apps", (*Server).addApp},
	{"GET /apps/{key}", "app", (*Server).app},
	{"POST /apps/{key}", "app", (*Server).changeApp},
	{"GET /apis", "apis", (*Server).apis},
	{"GET /apis/{method}", "api", (*Server).api},
	{"POST /apis/{method}", "api", (*Server).tryAPI},
	{"GET /verify", "verify", (*Server).showVerify},
	{"POST /verify", "verify", (*Server).verify},
	{"GET /faults", "faults", (*Server).faults},
	{"POST /faults", "faults", (*Server).changeFaults},
}

// visit is one request of somebody who has logged in.
type visit struct {
	*http.Request
	language language
	status   int    // of the answer; 0: 200
	goTo     string // where the browser is sent instead of being answered
	anew     bool   // it has to read its page again
	problem  *problem
}

// say translates a text.
func (v *visit) say(text string, args ...any) string { return v.language.say(text, args...) }

// done sends the browser to a page that says what was done.
func (v *visit) done(path, notice string) (any, error) {
	at, err := url.Parse(path)
	if err != nil {
		return nil, err
	}
	query := at.Query()
	query.Set("did", notice)
	at.RawQuery = query.Encode()
	v.goTo = at.String()
	return nil, nil
}

// failed has a page say what was wrong with what it was sent: it returns nil where it can.
func (v *visit) failed(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		v.problem, v.status = p, p.Status
		return nil
	}
	return err
}

// guarded serves a page to who has logged in.
func (s *Server) guarded(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !s.loggedIn(r) {
			s.askToLogIn(w, r, p.template != "")
			return
		}
		v := &visit{Request: r, language: languageOf(r)}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		data, err := p.show(s, v)
		if err == nil && v.goTo != "" {
			v.redirect(w)
			return
		}
		name := p.template
		if err != nil {
			name, data = "error", s.explainFailure(v, err)
		}
		s.render(w, v, name, data)
	})
}

// maxForm is how large what a form sends may be: an import of the most orders.
const maxForm = 64 << 20

func (v *visit) redirect(w http.ResponseWriter) {
	if v.Header.Get("HX-Request") != "" {
		w.Header().Set("HX-Redirect", v.goTo)
		return
	}
	http.Redirect(w, v.Request, v.goTo, http.StatusSeeOther)
}

// failure is what the error page says.
type failure struct{ Title, Text string }

func (s *Server) explainFailure(v *visit, err error) failure {
	if errors.Is(err, order.ErrNotFound) {
		v.status = http.StatusNotFound
		return failure{v.say("Not found"), v.say("There is nothing of that name. It may have been deleted, or pruned.")}
	}
	if p, ok := errors.AsType[*problem](err); ok {
		v.status = p.Status
		return failure{v.say("That did not work"), p.Error()}
	}
	if v.status = http.StatusServiceUnavailable; !errors.Is(err, context.Canceled) {
		s.Log.Error("console page failed", "path", v.URL.Path, "error", err)
	}
	return failure{v.say("That did not work"), v.say("The database did not answer. Try again; the log of the gateway says why.")}
}

func (s *Server) missing(v *visit) (any, error) { return nil, order.ErrNotFound }

// frame is what every page has.
type frame struct {
	Language language
	Menu     []menuGroup
	Notice   string
	Problem  *problem
	Demo     bool
	Shared   bool
	Version  string
	Search   string
	Now      time.Time
	Data     any
}

// menuGroup is a part of the menu.
type menuGroup struct {
	Title string
	Items []menuItem
}

type menuItem struct {
	Path, Title string
	Here        bool
}

// menu lists what stands in it.
var menu = []menuGroup{
	{"", []menuItem{{Path: "/", Title: "Overview"}}},
	{"Orders", []menuItem{{Path: "/orders", Title: "Orders"}, {Path: "/funnel", Title: "Funnel"}, {Path: "/locks", Title: "Locks"}, {Path: "/work-orders", Title: "Work orders"}}},
	{"Traffic", []menuItem{{Path: "/events", Title: "Events"}, {Path: "/refused", Title: "Refused calls"}, {Path: "/alerts", Title: "Alerts"}}},
	{"Delivery", []menuItem{{Path: "/deliveries", Title: "Deliveries"}, {Path: "/destinations", Title: "Destinations"}}},
	{"Settings", []menuItem{{Path: "/apps", Title: "Apps"}}},
	{"Tools", []menuItem{{Path: "/apis", Title: "APIs"}, {Path: "/verify", Title: "Verify"}, {Path: "/faults", Title: "Faults"}}},
}

func (s *Server) menu(path string) []menuGroup {
	groups := make([]menuGroup, 0, len(menu))
	for _, g := range menu {
		shown := menuGroup{Title: g.Title}
		for _, item := range g.Items {
			if item.Path == "/faults" && s.Injections == nil {
				continue
			}
			item.Here = path == item.Path || item.Path != "/" && strings.HasPrefix(path, item.Path+"/")
			shown.Items = append(shown.Items, item)
		}
		groups = append(groups, shown)
	}
	return groups
}

// render answers with a page.
func (s *Server) render(w http.ResponseWriter, v *visit, name string, data any) {
	f := frame{
		Language: v.language, Menu: s.menu(v.URL.Path), Notice: v.noticed(), Problem: v.problem,
		Demo: s.Demo, Shared: s.Shared, Version: s.Version, Now: s.Clock().In(contract.Zone), Data: data,
	}
	if name == "orders" {
		f.Search = v.URL.Query().Get("q")
	}
	s.write(w, v, name, f)
}

func (s *Server) write(w http.ResponseWriter, v *visit, name string, f frame) {
	var out bytes.Buffer
	root := "layout"
	if strings.HasSuffix(name, "_new") { // a part of a page
		root = "content"
	}
	if err := templates[v.language][name]().ExecuteTemplate(&out, root, f); err != nil {
		s.Log.Error("console page not rendered", "page", name, "error", err)
		http.Error(w, v.say("That did not work"), http.StatusInternalServerError)
		return
	}
	if v.anew {
		w.Header().Set("HX-Refresh", "true")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(v.language))
	if v.status != 0 {
		w.WriteHeader(v.status)
	}
	if _, err := out.WriteTo(w); err != nil {
		s.Log.Debug("console page not sent", "error", err)
	}
}

// noticed is what was done before the page was shown, in words.
func (v *visit) noticed() string {
	if did := v.URL.Query().Get("did"); isNotice(did) {
		return v.say(did)
	}
	return ""
}
