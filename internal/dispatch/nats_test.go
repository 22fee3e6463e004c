package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/order"
)

// natsServer is an embedded NATS with JetStream.
func natsServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true, Authorization: "token"})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS does not start")
	}
	return s
}

func jetStream(t *testing.T, s *server.Server) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(s.ClientURL(), nats.Token("token"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// A stream gets every event once, each order's in order, through an absence of the
// server; repetitions are dropped by their id.
func TestStream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := natsServer(t, dir, -1)
	port := s.Addr().String()[strings.LastIndexByte(s.Addr().String(), ':')+1:]
	g := newGate(t, &dispatch.Dispatcher{Guard: dispatch.Guard{Allow: dispatch.Loopback}})
	g.commit(order.Declare(order.Declared{Destinations: []*order.Destination{{
		Name: "oms", Kind: order.KindNATS, URL: "nats://127.0.0.1:" + port + "/shop/events", DestinationSecrets: order.DestinationSecrets{Secret: "token"},
	}}}))
	g.load(3)
	g.eventually(func() bool { return g.dispatcher.Condition("oms").Down })
	if reason := g.dispatcher.Condition("oms").Reason; !strings.Contains(reason, "nats stream add --subjects 'shop.events.>'") {
		t.Errorf("without a stream: %s", reason)
	}
	_, err := jetStream(t, s).CreateStream(t.Context(), jetstream.StreamConfig{Name: "orders", Subjects: []string{"shop.events.>"}})
	if err != nil {
		t.Fatal(err)
	}
	g.eventually(func() bool { return g.owing("oms").Lag == 0 })
	s.Shutdown()
	s.WaitForShutdown()
	g.load(20)
	g.eventually(func() bool { return g.dispatcher.Condition("oms").Down })
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	s = natsServer(t, dir, number)
	t.Cleanup(s.Shutdown)
	g.eventually(func() bool { return g.owing("oms").Lag == 0 })
	g.commit(order.Replay("oms", 0, 0)) // all of it again: the stream knows it
	g.eventually(func() bool {
		queues, err := g.store.Queues(context.Background())
		return err == nil && len(queues) == 1
	})
	stream, err := jetStream(t, s).Stream(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != 92 {
		t.Fatalf("%d messages, %v; want 92", info.State.Msgs, err)
	}
	last := map[string]string{}
	for seq := range info.State.Msgs {
		m, err := stream.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		var event struct{ ID, Type, Subject, Sequence, SpecVersion string }
		if err := json.Unmarshal(m.Data, &event); err != nil || m.Header.Get("Nats-Msg-Id") != event.ID || m.Subject != "shop.events."+event.Type || event.SpecVersion != "1.0" {
			t.Errorf("%s %v: %s, %v", m.Subject, m.Header, m.Data, err)
		}
		if event.Sequence <= last[event.Subject] {
			t.Errorf("order %s: %s behind %s", event.Subject, event.Sequence, last[event.Subject])
		}
		last[event.Subject] = event.Sequence
	}
	trial := g.dispatcher.Try(t.Context(), &order.Destination{Name: "x", Kind: order.KindNATS, URL: s.ClientURL(), DestinationSecrets: order.DestinationSecrets{Secret: "wrong"}})
	if trial.Good || !strings.Contains(trial.Reason, "uthorization") || strings.Contains(trial.Reason, "wrong") {
		t.Errorf("wrong token: %+v", trial)
	}
}
