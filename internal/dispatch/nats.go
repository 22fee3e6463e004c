package dispatch

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ordergate/ordergate/internal/order"
)

// stream delivers into NATS JetStream: each event as the body of a webhook, on the
// subject <prefix>.<api>, with its id as Nats-Msg-Id, by which the stream drops
// repetitions. The prefix is the path of the destination's URL. A connection that was
// lost is made anew by the next delivery.
type stream struct {
	declared *order.Destination
	guard    Guard
	servers  []string // of a cluster, any
	prefix   string

	mu     sync.Mutex
	conn   *nats.Conn
	js     jetstream.JetStream
	closed bool
}

// defaultPrefix begins the subjects of a destination whose URL has no path.
const defaultPrefix = "ordergate"

func newStream(d *order.Destination, guard Guard) *stream {
	s := &stream{declared: d, guard: guard, prefix: defaultPrefix}
	for _, server := range order.Servers(d.URL) {
		if u, err := url.Parse(server); err == nil {
			if path := strings.Trim(u.Path, "/"); path != "" {
				s.prefix = strings.ReplaceAll(path, "/", ".")
			}
			u.Path = ""
			server = u.String()
		}
		s.servers = append(s.servers, server)
	}
	return s
}

// Dial implements [nats.CustomDialer].
func (s *stream) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: connectTimeout, Control: s.guard.control}).Dial(network, address)
}

// connect returns the connection, made anew if it was lost.
func (s *stream) connect() (jetstream.JetStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed: // the destination is declared anew
		return nil, nats.ErrConnectionClosed
	case s.conn != nil && s.conn.IsConnected():
		return s.js, nil
	}
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	options := []nats.Option{nats.Name("ordergate"), nats.NoReconnect(), nats.SetCustomDialer(s), nats.Timeout(connectTimeout), nats.IgnoreDiscoveredServers()}
	switch secret := string(s.declared.Secret); {
	case s.declared.AppKey != "":
		options = append(options, nats.UserInfo(s.declared.AppKey, secret))
	case secret != "":
		options = append(options, nats.Token(secret))
	}
	conn, err := nats.Connect(strings.Join(s.servers, ","), options...)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	s.conn, s.js = conn, js
	return js, nil
}

func (s *stream) send(ctx context.Context, e *entry, _ time.Time) outcome {
	body, o, ok := e.cloudEvent()
	if !ok {
		return o
	}
	js, err := s.connect()
	if err != nil {
		return outcome{verdict: down, reason: err.Error(), body: err.Error()}
	}
	subject := s.prefix + "." + e.API
	m := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{"Content-Type": {webhookType}, jetstream.MsgIDHeader: {e.ID}}}
	identify(ctx, http.Header(m.Header), e.Event)
	_, err = js.PublishMsg(ctx, m)
	var api *jetstream.APIError
	switch {
	case err == nil:
		return outcome{}
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		reason := "no stream takes the subject " + subject + "; add one: nats stream add --subjects '" + s.prefix + ".>'"
		return outcome{verdict: down, reason: reason, body: reason}
	case errors.Is(err, nats.ErrMaxPayload):
		return outcome{verdict: refused, reason: err.Error(), body: err.Error()}
	case errors.As(err, &api) && api.Code >= 500: // the stream has no leader, or no room
		return outcome{verdict: down, status: api.Code, reason: err.Error(), body: err.Error()}
	case errors.As(err, &api):
		return outcome{verdict: unsure, status: api.Code, reason: err.Error(), body: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return outcome{verdict: unsure, reason: "no answer in time", body: err.Error()}
	}
	return outcome{verdict: down, reason: err.Error(), body: err.Error()}
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}
