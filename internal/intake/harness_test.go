package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
	"github.com/ordergate/ordergate/internal/wire"
)

// noon is when the tests happen, unless they say otherwise.
var noon = time.Date(2024, 6, 18, 12, 0, 0, 0, contract.Zone)

// gateway is a server over real HTTP with a real store.
type gateway struct {
	*httptest.Server
	intake *Server
	store  order.Store
	now    time.Time
	mu     sync.Mutex
	groups []store.Group // transactions so far
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	key, err := secret.New(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{now: noon}
	clock := func() time.Time { return g.now }
	log := slog.New(slog.DiscardHandler)
	g.store, err = store.Open(t.Context(), "sqlite:"+t.TempDir()+"/test.db", store.Options{Key: key, Clock: clock, Log: log, OnCommit: func(group store.Group) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.groups = append(g.groups, group)
	}})
	if err != nil {
		t.Fatal(err)
	}
	limits, err := NewLimits(t.Context(), g.store, g.now)
	if err != nil {
		t.Fatal(err)
	}
	g.intake = &Server{Store: g.store, Limits: limits, Clock: clock, Log: log}
	g.Server = httptest.NewServer(g.intake.Handler())
	t.Cleanup(func() {
		g.Close()
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// demo declares what serve --demo does.
func (g *gateway) demo(t testing.TB) *gateway {
	t.Helper()
	d, err := apply.Demo()
	if err != nil {
		t.Fatal(err)
	}
	g.declare(t, d)
	return g
}

func (g *gateway) declare(t testing.TB, d *apply.Document) {
	t.Helper()
	if err := d.Store(t.Context(), g.store); err != nil {
		t.Fatal(err)
	}
}

// events returns the whole log.
func (g *gateway) events(t testing.TB) []*order.Event {
	t.Helper()
	events, _, err := g.store.Events(context.Background(), order.EventFilter{Sealed: true, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// request is a call in the making: good until a test spoils it.
type request struct {
	app    apply.App // declared before the call
	spent  bool      // the app has used up its rate
	digest wire.Digest
	verb   string
	params map[string]string
	spoil  []func(url.Values) // after signing
	body   string             // instead of the form
	path   string             // empty: /router/rest

	document string // instead of the form, and signed
	header   http.Header
}

func newRequest() *request {
	return &request{
		app:  apply.App{Key: "12345678", Protocol: contract.TOP, Secret: "helloworld"},
		verb: http.MethodPost,
		params: map[string]string{
			"method": "taobao.qimen.event.produce", "app_key": "12345678", "session": "test", "timestamp": "2024-06-18 12:00:00",
			"v": "2.0", "format": "json", "status": "QIMEN_ERP_TRANSFER", "tid": "1",
		},
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded;charset=UTF-8"}},
	}
}

// page is the page's own example.
func page() *request {
	r := newRequest()
	for _, f := range contract.EventProduce.Request {
		r.params[f.Name] = f.Example
	}
	return r
}

func (r *request) set(name, value string) *request {
	r.params[name] = value
	return r
}

func (r *request) drop(name string) *request {
	delete(r.params, name)
	return r
}

// signed returns the parameters with their signature.
func (r *request) signed() url.Values { return r.signedWith("") }

// signedWith signs a document, too.
func (r *request) signedWith(document string) url.Values {
	if r.digest != "" {
		r.params["sign_method"] = string(r.digest)
	}
	values := url.Values{}
	var sorted []contract.Param
	for name, value := range r.params {
		values.Set(name, value)
		sorted = append(sorted, contract.Param{Name: name, Value: value})
	}
	slices.SortFunc(sorted, func(a, b contract.Param) int { return strings.Compare(a.Name, b.Name) })
	values.Set("sign", wire.Sign(r.digest, r.app.Secret, wire.SignedText(sorted, document)))
	for _, spoil := range r.spoil {
		spoil(values)
	}
	return values
}

// answer is a reply as a client reads it.
type answer struct {
	Code, Text, SubCode, SubText string // of an error_response
	Success                      bool
	Body                         string
	XML                          bool
}

func (a answer) String() string { return a.Body }

// send declares the app and makes the call.
func (g *gateway) send(t testing.TB, r *request) answer {
	t.Helper()
	if r.spent {
		first := newRequest()
		first.app.Rate = r.app.Rate
		first.app.Key = r.app.Key
		if a := g.send(t, first.set("tid", "spent")); !a.Success {
			t.Fatalf("the call that uses up the rate: %v", a)
		}
	}
	return readAnswer(t, g.post(t, r))
}

// post declares the app, makes the call and returns the answer's body.
func (g *gateway) post(t testing.TB, r *request) string {
	t.Helper()
	g.declare(t, &apply.Document{
		Apps:     []apply.App{r.app},
		Sessions: []apply.Session{{Token: "test", AppKey: r.app.Key, Seller: "seller_001"}},
	})
	form := r.signedWith(r.document)
	target, body := g.URL+cmp.Or(r.path, "/router/rest"), form.Encode()
	if r.verb == http.MethodGet {
		target, body = target+"?"+body, ""
	}
	if text := cmp.Or(r.body, r.document); text != "" {
		target, body = target+"?"+body, text
	}
	q, err := http.NewRequestWithContext(t.Context(), r.verb, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header = r.header
	return g.exchange(t, q)
}

// exchange sends a request and returns the body of its answer, which is HTTP 200.
func (g *gateway) exchange(t testing.TB, q *http.Request) string {
	t.Helper()
	response, err := g.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d %q: %v", response.StatusCode, text, err)
	}
	return string(text)
}

// readAnswer reads a body independently of package wire.
func readAnswer(t testing.TB, body string) answer {
	t.Helper()
	type refusal struct {
		Code    json.Number `json:"code" xml:"code"`
		Msg     string      `json:"msg" xml:"msg"`
		SubCode string      `json:"sub_code" xml:"sub_code"`
		SubMsg  string      `json:"sub_msg" xml:"sub_msg"`
	}
	type success struct {
		Success bool `json:"is_success" xml:"is_success"`
	}
	var (
		root struct {
			Error *refusal `json:"error_response"`
			OK    *success `json:"qimen_event_produce_response"`
			success
		}
		a   = answer{Body: body, XML: strings.HasPrefix(body, "<?xml")}
		err error
	)
	switch {
	case strings.Contains(body, "<error_response>"):
		root.Error = &refusal{}
		err = xml.Unmarshal([]byte(body), root.Error)
	case a.XML:
		root.OK = &success{}
		err = xml.Unmarshal([]byte(body), root.OK)
	default:
		err = json.Unmarshal([]byte(body), &root)
	}
	if err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	if e := root.Error; e != nil {
		a.Code, a.Text, a.SubCode, a.SubText = string(e.Code), e.Msg, e.SubCode, e.SubMsg
	}
	a.Success = root.OK != nil && root.OK.Success || root.Success
	return a
}

// failingStore fails every commit.
type failingStore struct {
	order.Store
	err error
}

func (s failingStore) Commit(context.Context, ...*order.Task) error { return s.err }

// brokenStore cannot look anything up.
type brokenStore struct{ order.Store }

func (brokenStore) App(context.Context, string) (*order.App, error) {
	return nil, errors.New("disk gone")
}

func mustPrefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func describe(r *request) string { return fmt.Sprintf("%s %v", r.verb, r.signed()) }
