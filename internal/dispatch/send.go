package dispatch

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// sender brings events to a destination.
type sender interface {
	// send tries to deliver an event, once.
	send(ctx context.Context, e *entry, now time.Time) outcome
	// close lets connections go that are not in use.
	close()
}

// routeOf says how a destination is reached.
func (d *Dispatcher) routeOf(declared *order.Destination) *route {
	r := &route{Destination: declared}
	p := poster{d.client(declared)}
	switch declared.Kind {
	case order.KindWebhook:
		r.sender = newWebhooks(p, declared)
	case order.KindNATS:
		r.sender = newStream(declared, d.Guard)
	default:
		r.sender = &relay{p, declared, &d.sessions}
	}
	return r
}

// idleTimeout is how long a connection is kept that nothing is sent on.
const idleTimeout = 30 * time.Second

// client makes the client by which a destination's deliveries travel: with connections
// of its own, so that no other waits for them. It follows no redirect.
func (d *Dispatcher) client(declared *order.Destination) *http.Client {
	transport := d.Transport
	if transport == nil {
		own := newTransport(d.Guard)
		own.MaxIdleConns, own.MaxIdleConnsPerHost, own.IdleConnTimeout = declared.InFlight(), declared.InFlight(), idleTimeout
		own.TLSHandshakeTimeout, own.DisableCompression = connectTimeout, true
		transport = own
	}
	return &http.Client{Transport: transport, CheckRedirect: noRedirect}
}

// poster sends requests and reads answers.
type poster struct{ http *http.Client }

func (p poster) close() { p.http.CloseIdleConnections() }

// post sends a request. When ok is false the outcome is decided: the answer, or that
// there is none, is about the destination. Otherwise it says what was answered, and has
// no verdict yet.
func (p poster) post(r *http.Request, now time.Time) (o outcome, ok bool) {
	response, err := p.http.Do(r)
	if err != nil {
		return unreached(err), false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswer))
	if err != nil {
		return unreached(err), false
	}
	_, _ = io.CopyN(io.Discard, response.Body, 1) // the end, so that the connection is used again
	o, about := statusOutcome(response.StatusCode, response.Header, now)
	o.body = wire.InUTF8(response.Header.Get("Content-Type"), string(body))
	return o, !about
}

// relay makes the same call to the real platform, or the reverse call to a merchant.
type relay struct {
	poster
	declared *order.Destination
	passed   *sessions
}

// sessions are those that calls came with last, by app and seller: what platforms are
// told whose destination has none of the seller. They are in memory only.
type sessions struct {
	mu     sync.Mutex
	tokens map[caller]contract.Secret
}

type caller struct{ app, seller string }

// maxSessions is how many are remembered; then they are learned anew.
const maxSessions = 100_000

func (s *sessions) learn(e *order.Event) {
	if e.Session == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := caller{e.App, e.Order.Seller}
	if s.tokens[key] == e.Session {
		return
	}
	if s.tokens == nil || len(s.tokens) >= maxSessions {
		s.tokens = map[caller]contract.Secret{}
	}
	s.tokens[caller{strings.Clone(e.App), strings.Clone(e.Order.Seller)}] = contract.Secret(strings.Clone(string(e.Session)))
}

func (s *sessions) of(e *order.Event) contract.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[caller{e.App, e.Order.Seller}]
}

func (y *relay) send(ctx context.Context, e *entry, now time.Time) outcome {
	api, known := contract.ByMethod(e.API)
	if !known {
		return outcome{verdict: refused, reason: "no API of the platform"}
	}
	params, err := paramsOf(api, e.Event)
	if err != nil {
		return outcome{verdict: refused, reason: "the event cannot be read: " + err.Error()}
	}
	request, err := requestOf(api, params)
	if err != nil {
		return outcome{verdict: refused, reason: "the call cannot be made: " + err.Error()}
	}
	session := cmp.Or(y.declared.SessionOf(e.Order.Seller), e.Session)
	if session == "" {
		session = y.passed.of(e.Event)
	}
	if session == "" && api.Session == contract.Required {
		return outcome{verdict: failed, reason: "the destination has no session of seller " + e.Order.Seller + "; declare it in sessions"}
	}
	return y.call(ctx, api, params, request, session, now)
}

// call makes a call and reads the answer.
func (y *relay) call(ctx context.Context, api *contract.API, params []contract.Param, request any, session contract.Secret, now time.Time) outcome {
	r, err := sealed(ctx, y.declared, api, params, request, session, now)
	if err != nil {
		return outcome{verdict: refused, reason: "the call cannot be made: " + err.Error()}
	}
	r.Header[retryable] = nil
	got, ok := y.post(r, now)
	if !ok {
		return got
	}
	if got.status != http.StatusOK { // platforms answer everything with 200: this is something in between
		got.verdict, got.reason = unsure, got.reason+" is no answer of the platform"
		return got
	}
	reply, err := unseal(y.declared.Kind, api, []byte(got.body))
	o := platformOutcome(api, request, reply, err)
	o.status, o.body = got.status, got.body
	return o
}

// requestOf reads a request from the parameters that an event keeps.
func requestOf(api *contract.API, params []contract.Param) (any, error) {
	if api.Protocol != contract.Suning {
		return api.Decode(func(name string) (string, bool) {
			for _, p := range params {
				if p.Name == name {
					return p.Value, true
				}
			}
			return "", false
		})
	}
	content, err := api.Content(params)
	if err != nil {
		return nil, err
	}
	return api.DecodeNode(content)
}

// sealed signs a call of a destination's kind.
func sealed(ctx context.Context, d *order.Destination, api *contract.API, params []contract.Param, request any, session contract.Secret, now time.Time) (*http.Request, error) {
	if d.Kind == order.KindQimen {
		s, err := wire.SPI{}.Seal(ctx, wire.Message{URL: d.URL, AppKey: d.AppKey, Target: d.AppKey, Secret: d.Secret, API: api, Time: now}, request)
		return s.Request, err
	}
	protocol := wire.Of(api)
	target, err := protocol.Target(d.URL)
	if err != nil {
		return nil, err
	}
	s, err := protocol.Seal(ctx, wire.Message{
		URL: target, AppKey: d.AppKey, Secret: d.Secret, Session: session, API: api, Params: params,
		Format: wire.Format{JSON: true}, Digest: wire.HMACSHA256, Time: now,
	})
	return s.Request, err
}

// unseal reads an answer of a destination's kind. A webhook that a call waits for answers
// as a merchant does.
func unseal(kind order.DestinationKind, api *contract.API, body []byte) (any, error) {
	if kind == order.KindQimen || kind == order.KindWebhook {
		return wire.SPI{}.Unseal(api, body)
	}
	return wire.Of(api).Unseal(api, body)
}

// shortSecret is how long a text must be to be hidden wherever it occurs.
const shortSecret = 4

// masked hides what must not be kept of a destination's answer: what it was sent that is
// secret.
func (r *route) masked(text string, e *entry) string {
	if text == "" {
		return text
	}
	var pairs []string
	hide := func(secret string) {
		if len(secret) >= shortSecret && strings.Contains(text, secret) {
			pairs = append(pairs, secret, contract.Masked)
		}
	}
	for _, secret := range []contract.Secret{r.Secret, r.OldSecret} {
		hide(string(secret))
		hide(strings.TrimPrefix(string(secret), order.WebhookSecret))
	}
	hide(string(r.Session))
	for _, session := range r.Sessions {
		hide(string(session))
	}
	if e != nil {
		hide(string(e.Session))
		for _, secret := range secretsOf(e.Event) {
			hide(secret)
		}
	}
	if pairs == nil {
		return text
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// secretsOf lists the texts within the secret parameters of an event.
func secretsOf(e *order.Event) (texts []string) {
	if e.Sealed == "" {
		return nil
	}
	var values map[string]string
	if json.Unmarshal([]byte(e.Sealed), &values) != nil {
		return nil
	}
	for _, value := range values {
		texts = append(texts, value)
		if n, err := contract.ParseJSON(value); err == nil {
			texts = appendTexts(texts, n)
		}
	}
	return texts
}

func appendTexts(texts []string, n *contract.Node) []string {
	if n.Kind == contract.TextNode {
		texts = append(texts, n.Text)
	}
	for _, part := range n.Parts {
		texts = appendTexts(texts, part.Node)
	}
	return texts
}
