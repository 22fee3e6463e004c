//go:build crash

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/pgserver"
	"github.com/ordergate/ordergate/internal/store"
	"github.com/ordergate/ordergate/internal/wire"
)

// nodesKey seals what nodes share.
const nodesKey = "b3JkZXJnYXRlIGNyYXNoIHRlc3RzIGtub3cgaXQuLi4="

// chaosTime is how long nodes are killed, in seconds, and killEvery how often one is; make
// chaos takes longer than CI.
const (
	chaosTime = "ORDERGATE_CHAOS_SECONDS"
	killEvery = "ORDERGATE_CHAOS_EVERY"
)

func seconds(t *testing.T, name string, otherwise time.Duration) time.Duration {
	t.Helper()
	n, err := strconv.ParseFloat(os.Getenv(name), 64)
	if err != nil {
		return otherwise
	}
	return time.Duration(n * float64(time.Second))
}

// cluster is gateways that share a database. One that is being started again is nil.
type cluster struct {
	t        *testing.T
	program  string
	database string
	dir      string

	mu    sync.Mutex
	nodes []*process
	next  atomic.Int64
}

func startCluster(t *testing.T, database string, n int) *cluster {
	t.Helper()
	t.Setenv("ORDERGATE_KEY", nodesKey)
	t.Setenv("ORDERGATE_ALLOW_PRIVATE", "127.0.0.0/8")
	c := &cluster{t: t, program: buildOrdergate(t), database: database, dir: t.TempDir(), nodes: make([]*process, n)}
	for i := range n {
		c.start(i)
	}
	return c
}

// start starts a node, however long its database is away.
func (c *cluster) start(i int) {
	c.t.Helper()
	file := c.dir + "/state.yaml"
	if err := os.WriteFile(file, []byte(crashState), 0o600); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		p, err := launch(exec.Command(c.program, "serve", "--database", c.database, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-token", "admin", "--apply", file), fmt.Sprintf("%s/node%d.log", c.dir, i))
		if err == nil {
			c.mu.Lock()
			c.nodes[i] = p
			c.mu.Unlock()
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatal(err)
		}
	}
}

// kill ends a node as a loss of power would, and starts it again a little later.
func (c *cluster) kill(i int) {
	c.mu.Lock()
	p := c.nodes[i]
	c.nodes[i] = nil
	c.mu.Unlock()
	p.kill(c.t)
	time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
	c.start(i)
}

func (c *cluster) stop() {
	for _, p := range c.nodes {
		if err := p.stop(); err != nil {
			c.t.Error(err)
		}
	}
}

// any returns one of the nodes that are there, each in its turn.
func (c *cluster) any() *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range c.nodes {
		if p := c.nodes[int(c.next.Add(1))%len(c.nodes)]; p != nil {
			return p
		}
	}
	return nil
}

// load has callers report all statuses of one order after the other until ctx ends. Who is
// told to try again, or nothing, does so, at another node: that it was stored before then
// counts as an answer, too.
func (c *cluster) load(ctx context.Context, callers int, answered *sync.Map) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				number := fmt.Sprintf("%d-%d", caller, i)
				for _, status := range []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut} {
					if !c.insist(ctx, number, status) {
						return
					}
					answered.Store(number+" "+status, true)
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

func (c *cluster) insist(ctx context.Context, number, status string) bool {
	for ctx.Err() == nil {
		p := c.any()
		if p == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		call, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := p.produce(call, number, status, number+"-1")
		late := call.Err() == context.DeadlineExceeded
		cancel()
		if late {
			c.t.Errorf("%s %s was not answered in 15 s", number, status)
		}
		refused, ok := errors.AsType[*contract.Refused](err)
		switch {
		case err == nil, ok && contract.IsDone(contract.EventProduce, refused.SubCode):
			return true
		case ok && !strings.HasPrefix(refused.SubCode, "isp."):
			c.t.Errorf("%s %s: %v", number, status, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// ready waits until a node is.
func (c *cluster) ready() {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if p := c.any(); p != nil {
			if r, err := http.Get(p.adminURL + "/readyz"); err == nil {
				_ = r.Body.Close()
				if r.StatusCode == http.StatusOK {
					return
				}
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatal("no node gets ready")
		}
	}
}

// check compares what was answered with the ledger and with what the sink got.
func (c *cluster) check(answered *sync.Map, file string) {
	c.t.Helper()
	c.ready()
	p := c.any()
	_, _, posts := checkDelivered(c.t, p, file)
	n := checkLedger(c.t, p, answered)
	c.t.Logf("%d events in the log, %d posts", n, posts)
	if n < 1000 {
		c.t.Errorf("the load did not load")
	}
}

// Three nodes share a database under load. One after the other is killed, and the server
// twice: once it is stopped, once killed. Nothing that was answered is lost or half there,
// and each order's events arrive in order.
func TestKilledNodes(t *testing.T) {
	server, err := pgserver.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	database, err := server.Create("nodes")
	if err != nil {
		t.Fatal(err)
	}
	address, file := freeAddress(t), t.TempDir()+"/got"
	sink := startSink(t, address, file)
	defer func() { _ = sink.Process.Kill() }()
	c := startCluster(t, database, 3)
	declareSink(t, c.any(), address)
	var answered sync.Map
	stop := c.load(t.Context(), 16, &answered)
	during, every := seconds(t, chaosTime, 24*time.Second), seconds(t, killEvery, 4*time.Second)
	restarts := []func() error{server.Stop, server.Kill}
	began := time.Now()
	for i := 0; time.Since(began) < during; i++ {
		time.Sleep(every)
		c.kill(i % len(c.nodes))
		if len(restarts) > 0 && time.Since(began) > during*time.Duration(3-len(restarts))/3 {
			if err := restarts[0](); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if err := server.Run(); err != nil {
				t.Fatal(err)
			}
			restarts = restarts[1:]
		}
	}
	stop()
	c.check(&answered, file)
	c.stop()
}

// The primary is killed under load and its standby promoted: nodes follow by themselves,
// and nothing that was answered is lost.
func TestKilledPrimary(t *testing.T) {
	primary, err := pgserver.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer primary.Close()
	standby, err := primary.Standby("standby")
	if err != nil {
		t.Fatal(err)
	}
	defer standby.Close()
	for _, text := range []string{"CREATE DATABASE nodes", "ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"} {
		if _, err := primary.Execute("postgres", text); err != nil {
			t.Fatal(err)
		}
	}
	address, file := freeAddress(t), t.TempDir()+"/got"
	sink := startSink(t, address, file)
	defer func() { _ = sink.Process.Kill() }()
	c := startCluster(t, primary.URL("nodes", standby), 2)
	declareSink(t, c.any(), address)
	var answered sync.Map
	stop := c.load(t.Context(), 16, &answered)
	time.Sleep(4 * time.Second)
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	promoted := time.Now()
	c.ready()
	t.Logf("ready %v after the promotion", time.Since(promoted))
	time.Sleep(5 * time.Second)
	stop()
	c.check(&answered, file)
	c.stop()
}

// One of three servers of a JetStream cluster is killed under load, and comes back: every
// event is in the stream once, and in order for each order.
func TestKilledStreamNode(t *testing.T) {
	dir, program := t.TempDir(), t.TempDir()+"/nats-server"
	if out, err := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var clients, routes, urls []string
	for range 3 {
		clients, routes = append(clients, freeAddress(t)), append(routes, freeAddress(t))
	}
	servers := make([]*exec.Cmd, 3)
	startServer := func(i int) {
		servers[i] = exec.Command(program, "-n", fmt.Sprint("n", i), "-a", "127.0.0.1", "-p", clients[i][strings.LastIndexByte(clients[i], ':')+1:],
			"-js", "-sd", fmt.Sprint(dir, "/", i), "-cluster_name", "orders", "-cluster", "nats://"+routes[i], "-routes", "nats://"+strings.Join(routes, ",nats://"))
		if err := servers[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range servers {
		startServer(i)
		urls = append(urls, "nats://"+clients[i])
	}
	defer func() {
		for _, s := range servers {
			_ = s.Process.Kill()
		}
	}()
	js := streamOf(t, strings.Join(urls, ","))
	stream := createStream(t, js)

	c := startCluster(t, "sqlite:"+t.TempDir()+"/x.db", 1)
	var state map[string]any
	c.any().manage(t, http.MethodPost, "/v1/apply", []byte(`{"destinations":[{"name":"stream","kind":"nats","url":"nats://`+strings.Join(clients, ",")+`/shop"}]}`), &state)
	var answered sync.Map
	stop := c.load(t.Context(), 8, &answered)
	time.Sleep(2 * time.Second)
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leader, err := strconv.Atoi(strings.TrimPrefix(info.Cluster.Leader, "n"))
	if err != nil {
		t.Fatal(err)
	}
	_ = servers[leader].Process.Kill()
	_ = servers[leader].Wait()
	time.Sleep(4 * time.Second)
	startServer(leader)
	time.Sleep(2 * time.Second)
	stop()
	awaitDelivered(t, c.any())
	checkStream(t, stream, c.any(), &answered)
	c.stop()
}

func streamOf(t *testing.T, urls string) jetstream.JetStream {
	t.Helper()
	var conn *nats.Conn
	var err error
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if conn, err = nats.Connect(urls, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond)); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func createStream(t *testing.T, js jetstream.JetStream) jetstream.Stream {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "orders", Subjects: []string{"shop.>"}, Replicas: 3})
		cancel()
		if err == nil {
			return stream
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// checkStream compares a stream with the log.
func checkStream(t *testing.T, stream jetstream.Stream, p *process, answered *sync.Map) {
	t.Helper()
	checkLedger(t, p, answered)
	place, orders := map[string]int64{}, map[string]string{}
	for _, e := range list[struct {
		listedEvent
		ID string
	}](t, p, "/v1/events") {
		place[e.ID], orders[e.ID] = e.Seq, e.Order
	}
	consumer, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	total, last := len(place), map[string]int64{}
	for range info.State.Msgs {
		m, err := messages.Next(jetstream.NextMaxWait(30 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		id := m.Headers().Get(jetstream.MsgIDHeader)
		seq, owed := place[id]
		switch order := orders[id]; {
		case !owed:
			t.Errorf("event %s is in the stream twice, or not in the log", id)
		case seq < last[order]:
			t.Errorf("order %s: event %d behind %d", order, seq, last[order])
		default:
			last[order] = seq
		}
		delete(place, id)
	}
	for id, seq := range place {
		t.Errorf("event %d, %s, is not in the stream", seq, id)
	}
	t.Logf("%d events", total)
	if total < 500 {
		t.Error("the load did not load")
	}
}

// copyEvents is how many events are copied, unless this says otherwise: CI copies fewer
// than what is promised.
const copyEvents = "ORDERGATE_COPY_EVENTS"

// A copy is killed twice on the way, and then ends: both sides are the same.
func TestKilledCopy(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv(copyEvents))
	if err != nil {
		n = 60_000
	}
	server, err := pgserver.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	database, err := server.Create("copy")
	if err != nil {
		t.Fatal(err)
	}
	program, dir := buildOrdergate(t), t.TempDir()
	from := "sqlite:" + dir + "/x.db"
	fill(t, from, n)
	var killed int
	var rows string
	began := time.Now()
	for try := 0; ; try++ {
		cmd := exec.Command(program, "copy", "--from", from, "--to", database)
		var out strings.Builder
		cmd.Stdout = &out
		progress, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines, events := bufio.NewScanner(progress), 0; lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "event:") {
				events++
			}
			if killed < 2 && events == 1+killed { // in the middle of what is most
				killed++
				_ = cmd.Process.Kill()
				break
			}
		}
		_, _ = io.Copy(io.Discard, progress)
		if err := cmd.Wait(); err == nil {
			rows = out.String()
			break
		}
		if try == 2 {
			t.Fatal("it was not killed, and did not end well")
		}
	}
	took := time.Since(began)
	if killed != 2 || !strings.Contains(rows, fmt.Sprintf("event        %d", n)) {
		t.Errorf("killed %d times; copied\n%s", killed, rows)
	}
	count, err := server.Execute("copy", "SELECT (SELECT count(*) FROM event) || ' ' || (SELECT count(*) FROM orders) || ' ' || (SELECT count(DISTINCT order_id) FROM event)")
	if want := fmt.Sprint(n, " ", n/4, " ", n/4); err != nil || count != want {
		t.Errorf("the copy has %s, want %s; %v", count, want, err)
	}
	t.Logf("%d events copied in %v, killed twice\n%s", n, took, rows)
}

// fill stores so many events, four of each order.
func fill(t *testing.T, database string, n int) {
	t.Helper()
	key, err := databaseKey(database, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), database, store.Options{Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	rule, _ := order.RuleOf(contract.EventProduce)
	var tasks []*order.Task
	for i := range n {
		r := &contract.EventProduceRequest{Status: []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut}[i%4], OrderID: fmt.Sprint(i / 4), SubOrders: fmt.Sprint(i/4, "1")}
		work, err := rule.Judge(&order.Call{API: contract.EventProduce, App: &order.App{Key: "1"}, Seller: "x", At: time.Now(), Request: r, Record: order.Record{RequestID: "r", Format: "json", Digest: "md5", Params: contract.EventProduce.Params(r)}})
		if err != nil {
			t.Fatal(err)
		}
		if tasks = append(tasks, work.Tasks...); len(tasks) >= 1000 || i == n-1 {
			if err := s.Commit(t.Context(), tasks...); err != nil {
				t.Fatal(err)
			}
			tasks = nil
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Three nodes hold an app's limits together, whether calls are spread over them or all
// come to one: within a tenth.
func TestLimitsAreShared(t *testing.T) {
	server, err := pgserver.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	database, err := server.Create("limits")
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, database, 3)
	var state map[string]any
	const perSecond, perDay = 100, 2000
	c.any().manage(t, http.MethodPost, "/v1/apply", fmt.Appendf(nil, `{"apps":[{"key":"1","protocol":"top","secret":"s","rate":{"per_second":%d}},{"key":"3","protocol":"top","secret":"s","rate":{"per_day":%d}}],"sessions":[{"token":"t3","app_key":"3","seller":"x"}]}`, perSecond, perDay), &state)
	time.Sleep(3 * time.Second) // they know of each other
	// hammer calls for a time, and counts who gets through.
	var number atomic.Int64
	hammer := func(app string, during time.Duration, nodes ...*process) (passed int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), during)
		defer cancel()
		var n atomic.Int64
		var all sync.WaitGroup
		for i := range 6 {
			p := nodes[i%len(nodes)]
			all.Go(func() {
				for ctx.Err() == nil {
					err := p.call(ctx, contract.EventProduce, wire.TOPPath, app, &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: fmt.Sprint(app, number.Add(1))})
					if err == nil {
						n.Add(1)
					}
					time.Sleep(3 * time.Millisecond)
				}
			})
		}
		all.Wait()
		return n.Load()
	}
	within := func(what string, got int64, want float64) {
		t.Helper()
		t.Logf("%s: %d calls, want %.0f", what, got, want)
		if float64(got) < 0.9*want || float64(got) > 1.1*want {
			t.Errorf("%s: %d calls got through, want %.0f within a tenth", what, got, want)
		}
	}
	hammer("1", 3*time.Second, c.nodes...)
	within("spread", hammer("1", 5*time.Second, c.nodes...), 5*perSecond)
	hammer("1", 3*time.Second, c.nodes[0])
	within("at one", hammer("1", 5*time.Second, c.nodes[0]), 5*perSecond)
	within("in a day", hammer("3", 8*time.Second, c.nodes...), perDay)
	c.stop()
}
