//go:build crash

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// crashRounds is how often the gateway is killed.
const crashRounds = 20

const crashState = "apps:\n  - {key: \"1\", protocol: top, secret: s}\n  - {key: \"2\", protocol: suning, secret: s}\nsessions:\n  - {token: t, app_key: \"1\", seller: x}\n"

// buildOrdergate builds the real program, as it is shipped.
func buildOrdergate(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/ordergate"
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func start(t *testing.T, dir string, command ...string) *process {
	t.Helper()
	if err := os.WriteFile(dir+"/state.yaml", []byte(crashState), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(command[1:], "serve", "--database", "sqlite:"+dir+"/x.db", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-token", "admin", "--apply", dir+"/state.yaml")
	p, err := launch(exec.Command(command[0], args...), dir+"/serve.log")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// produce reports a status of an order and returns what the gateway said.
func (p *process) produce(ctx context.Context, number, status, line string) error {
	return p.call(ctx, contract.EventProduce, wire.TOPPath, "1", &contract.EventProduceRequest{Status: status, OrderID: number, SubOrders: line})
}

// kill ends it as a power cut does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	p.log.Close()
}

// manage makes a request to the management API and decodes the answer.
func (p *process) manage(t *testing.T, method, path string, body []byte, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.adminURL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, response.Status, err)
	}
}

// call makes a call of an app and returns what the gateway said.
func (p *process) call(ctx context.Context, api *contract.API, path, app string, request any) error {
	protocol := wire.Of(api)
	sealed, err := protocol.Seal(ctx, wire.Message{
		URL: p.url + path, AppKey: app, Secret: "s", Session: contract.Secret(strings.TrimSuffix("t"+app, "1")), API: api,
		Format: wire.Format{JSON: true}, Digest: wire.HMACSHA256, Time: time.Now(), Params: api.Params(request),
	})
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(sealed.Request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	_, err = protocol.Unseal(api, body)
	return err
}

// list reads a whole list of the management API.
func list[T any](t *testing.T, p *process, path string) []T {
	t.Helper()
	var all []T
	for query := "?limit=1000"; ; {
		var page struct {
			Items []T
			Next  string
		}
		p.manage(t, http.MethodGet, path+query, nil, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		query = "?limit=1000&after=" + page.Next
	}
}

type listedEvent struct {
	Seq    int64
	API    string
	Order  string
	Lines  []string
	Params map[string]string
}

type listedOrder struct {
	Number, Stage string
	Lines         []struct {
		Number, State string
		Statuses      []string
	}
}

// load has callers report all statuses of one order after the other, and notes what was
// answered. The returned function waits for them to notice that the gateway is gone.
func (p *process) load(t *testing.T, round, callers int, answered *sync.Map) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				number := fmt.Sprintf("%d-%d-%d", round, c, i)
				for _, status := range []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut} {
					if p.produce(ctx, number, status, number+"-1") != nil {
						return // killed
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

// The gateway is killed at random moments under load. Every event that was
// answered is there, and nothing is half there: orders, lines and marks are
// what the log says.
func TestKilledUnderLoad(t *testing.T) {
	program, dir := buildOrdergate(t), t.TempDir()
	var answered sync.Map // "order status"
	total := 0
	for round := range crashRounds {
		p := start(t, dir, program)
		checkLedger(t, p, &answered)
		stop := p.load(t, round, 16, &answered)
		time.Sleep(time.Duration(20+rand.IntN(400)) * time.Millisecond)
		p.kill(t)
		stop()
	}
	p := start(t, dir, program)
	total = checkLedger(t, p, &answered)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds, %d events", crashRounds, total)
	if total < crashRounds*10 {
		t.Errorf("only %d events in %d rounds: the load did not load", total, crashRounds)
	}
}

// The gateway is killed while merchants are asked for locks. At the next start no lock
// is asked: it is held only if the merchant said yes, else unknown, with an event that
// says so, and with the verdict that its asynchronous caller waits for.
func TestKilledWhileAsked(t *testing.T) {
	t.Setenv("ORDERGATE_ALLOW_PRIVATE", "127.0.0.0/8")
	program, dir := buildOrdergate(t), t.TempDir()
	var said sync.Map // lines to which the merchant said yes
	merchant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ BizOrder struct{ SubOrderIDs string } }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		select {
		case <-time.After(time.Duration(rand.IntN(60)) * time.Millisecond):
			said.Store(asked.BizOrder.SubOrderIDs, true)
			_, _ = io.WriteString(w, `{"success":true}`)
		case <-r.Context().Done():
		}
	}))
	defer merchant.Close()
	var answered sync.Map // lines of which the caller heard yes
	for round := range crashRounds / 2 {
		p := start(t, dir, program)
		checkLocks(t, p, &said, &answered)
		var state map[string]any
		p.manage(t, http.MethodPost, "/v1/apply", []byte(`{"destinations":[{"name":"erp","kind":"qimen","url":"`+merchant.URL+`","app_key":"1","secret":"s","wait":true}]}`), &state)
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for c := range 16 {
			callers.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					line := fmt.Sprintf("l-%d-%d-%d", round, c, i)
					request := &contract.OrderInterceptRequest{SellerNick: "x", BuyerNick: "b", CallType: contract.CallSynchronous, Order: contract.InterceptedOrder{ID: line, SubOrders: line}}
					if c%4 == 0 {
						request.CallType = contract.CallAsynchronous
					}
					if p.call(ctx, contract.OrderIntercept, wire.QimenPath, "1", request) != nil {
						return // killed
					}
					if c%4 != 0 {
						answered.Store(line, true)
					}
				}
			})
		}
		time.Sleep(time.Duration(50+rand.IntN(300)) * time.Millisecond)
		p.kill(t)
		cancel()
		callers.Wait()
	}
	p := start(t, dir, program)
	unknown := checkLocks(t, p, &said, &answered)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds, %d locks unknown", crashRounds/2, unknown)
	if unknown < crashRounds/2 {
		t.Errorf("only %d locks were cut short in %d rounds", unknown, crashRounds/2)
	}
}

// checkLocks compares the locks with what the merchant and the callers know, and
// returns how many are unknown.
func checkLocks(t *testing.T, p *process, said, answered *sync.Map) (unknown int) {
	t.Helper()
	type lock struct{ Line, State, Event string }
	told, async, verdicts := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, e := range list[listedEvent](t, p, "/v1/events") {
		switch {
		case e.API == "ordergate.lock.unknown":
			told[e.Order] = true
		case e.API == contract.InterceptCallback.Method:
			verdicts[e.Order] = e.Params["success"] + e.Params["error_code"]
		case e.Params["callType"] == contract.CallAsynchronous:
			async[e.Order] = true
		}
	}
	states := map[string]string{}
	for _, l := range list[lock](t, p, "/v1/locks") {
		states[l.Line] = l.State
		_, yes := said.Load(l.Line)
		want := map[string]string{"locked": "true", "unknown": "false1009"}[l.State]
		switch {
		case l.State == "locked" && !yes, l.State == "unknown" && !told[l.Line], want == "":
			t.Errorf("lock %+v: the merchant said yes %t, told %t", l, yes, told[l.Line])
		case async[l.Line] && verdicts[l.Line] != want:
			t.Errorf("lock %+v: the verdict is %q, want %q", l, verdicts[l.Line], want)
		}
		if l.State == "unknown" {
			unknown++
		}
	}
	answered.Range(func(line, _ any) bool {
		if states[line.(string)] != "locked" {
			t.Errorf("%v was answered yes and is %q", line, states[line.(string)])
		}
		return true
	})
	return unknown
}

// The gateway is killed while virtual lines are shipped, received and refunded by
// time. What was answered stands, each line has one history that the table allows,
// and each refund one event.
func TestKilledDuringShipments(t *testing.T) {
	program, dir := buildOrdergate(t), t.TempDir()
	const lines = 1000
	var answered sync.Map // "line status"
	for round := range crashRounds / 2 {
		p := start(t, dir, program)
		checkLines(t, p, &answered)
		p.importLines(t, round, lines)
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for c := range 8 {
			callers.Go(func() {
				for i := c; i < lines && ctx.Err() == nil; i += 8 {
					for _, status := range []string{contract.StatusShipped, contract.StatusActivated} {
						line := fmt.Sprint(i)
						err := p.call(ctx, contract.LeaguerStatus, wire.SuningPath, "2", &contract.LeaguerStatusRequest{Status: status, OrderID: fmt.Sprintf("%d-%d", round, i/10), LineID: line})
						if _, refused := errors.AsType[*contract.Refused](err); err != nil && !refused {
							return // killed
						}
						if err == nil {
							answered.Store(fmt.Sprintf("%d-%d %s %s", round, i/10, line, status), true)
						}
					}
				}
			})
		}
		time.Sleep(time.Duration(100+rand.IntN(1200)) * time.Millisecond)
		p.kill(t)
		cancel()
		callers.Wait()
	}
	p := start(t, dir, program)
	if n := checkLines(t, p, &answered); n < 1000 {
		t.Errorf("only %d events", n)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// importLines imports orders of ten recharge lines each, every third of them paid
// so that its time passes in half a second.
func (p *process) importLines(t *testing.T, round, lines int) {
	t.Helper()
	var orders []map[string]any
	for i := range lines / 10 {
		paid := time.Now()
		if i%3 == 0 {
			paid = paid.Add(500*time.Millisecond - 100*time.Minute)
		}
		o := map[string]any{"platform": "suning", "number": fmt.Sprintf("%d-%d", round, i), "paid_at": paid.Format(time.RFC3339Nano)}
		var of []map[string]any
		for j := range 10 {
			of = append(of, map[string]any{"number": fmt.Sprint(i*10 + j), "kind": "recharge"})
		}
		o["lines"] = of
		orders = append(orders, o)
	}
	body, err := json.Marshal(orders)
	if err != nil {
		t.Fatal(err)
	}
	var imported struct{ Orders int }
	p.manage(t, http.MethodPost, "/v1/orders", body, &imported)
}

// checkLines compares virtual lines with their events, and both with what was
// answered.
func checkLines(t *testing.T, p *process, answered *sync.Map) (events int) {
	t.Helper()
	history := map[string]string{}
	log := list[listedEvent](t, p, "/v1/events")
	orders := list[listedOrder](t, p, "/v1/orders")
	for again := list[listedEvent](t, p, "/v1/events"); len(again) > len(log); again = list[listedEvent](t, p, "/v1/events") { // refunds go on
		log, orders = again, list[listedOrder](t, p, "/v1/orders")
	}
	for _, e := range log {
		if order.IsAlert(e.API) { // it moves nothing
			continue
		}
		step := e.Params["iqStatus"]
		if step == "" {
			step = "T"
		}
		history[e.Order+" "+e.Lines[0]] += " " + step
	}
	answered.Range(func(key, _ any) bool {
		line, status, _ := cutLast(key.(string))
		if !strings.Contains(history[line], status) {
			t.Errorf("%s was answered and is lost", key)
		}
		return true
	})
	states := map[string]string{"": "waiting", " 180": "shipped", " 180 190": "received", " T": "timeout"}
	for _, o := range orders {
		for _, l := range o.Lines {
			said := history[o.Number+" "+l.Number]
			if want, legal := states[said]; !legal || want != l.State {
				t.Errorf("order %s line %s: history%s, state %s", o.Number, l.Number, said, l.State)
			}
		}
	}
	return len(log)
}

func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndex(text, " ")
	return text[:i], text[i+1:], i >= 0
}

// A stop under load ends by itself, and everything that was answered is there.
func TestStoppedUnderLoad(t *testing.T) {
	program, dir := buildOrdergate(t), t.TempDir()
	var answered sync.Map
	p := start(t, dir, program)
	var callers sync.WaitGroup
	for c := range 16 {
		callers.Go(func() {
			for i := 0; ; i++ {
				number := fmt.Sprintf("%d-%d", c, i)
				if p.produce(t.Context(), number, contract.StatusTransfer, number+"-1") != nil {
					return // stopped
				}
				answered.Store(number+" "+contract.StatusTransfer, true)
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	if err := p.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	callers.Wait()
	p = start(t, dir, program)
	if n := checkLedger(t, p, &answered); n < 100 {
		t.Errorf("only %d events", n)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// checkLedger compares what the gateway holds with what was answered, and its
// orders with its log.
func checkLedger(t *testing.T, p *process, answered *sync.Map) (events int) {
	t.Helper()
	log := list[listedEvent](t, p, "/v1/events")
	told := map[string][]string{} // line: statuses, from the log
	seen := map[string]bool{}
	for i, e := range log {
		key := e.Order + " " + e.Params["status"]
		if seen[key] {
			t.Errorf("%s is in the log twice", key)
		}
		if i > 0 && e.Seq <= log[i-1].Seq {
			t.Errorf("seq %d after %d", e.Seq, log[i-1].Seq)
		}
		seen[key] = true
		for _, line := range e.Lines {
			told[line] = append(told[line], e.Params["status"])
		}
	}
	answered.Range(func(key, _ any) bool {
		if !seen[key.(string)] {
			t.Errorf("%s was answered and is lost", key)
		}
		return true
	})
	kept := map[string][]string{}
	for _, o := range list[listedOrder](t, p, "/v1/orders") {
		for _, line := range o.Lines {
			kept[line.Number] = line.Statuses
			if line.State != o.Stage {
				t.Errorf("order %s is %s, its line %s", o.Number, o.Stage, line.State)
			}
		}
	}
	if len(kept) != len(told) {
		t.Errorf("%d lines are kept, the log speaks of %d", len(kept), len(told))
	}
	for line, statuses := range told {
		if !slices.Equal(kept[line], statuses) {
			t.Errorf("line %s keeps %v, the log says %v", line, kept[line], statuses)
		}
	}
	return len(log)
}

// The kernel says in which order things happened: the sync of the write-ahead
// log returns before the answer is written.
func TestSyncReturnsBeforeTheAnswer(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is needed: apt-get install strace")
	}
	program, dir := buildOrdergate(t), t.TempDir()
	trace := dir + "/trace"
	p := start(t, dir, strace, "-D", "-f", "-y", "-s", "400", "-e", "trace=fsync,fdatasync,pwrite64,read,write", "-o", trace, program)
	const calls = 5
	for i := range calls {
		if err := p.produce(t.Context(), fmt.Sprint(i), contract.StatusOut, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	answers := 0
	var written, synced bool     // since the last request
	syncing := map[string]bool{} // threads whose sync has not returned
	for line := range bytes.Lines(readTrace(t, trace)) {
		text := string(line)
		thread, _, _ := strings.Cut(text, " ")
		isSync := strings.Contains(text, "sync(") && strings.Contains(text, "x.db-wal>")
		switch {
		case strings.Contains(text, "read(") && strings.Contains(text, "POST /router/rest"), strings.Contains(text, "read resumed") && strings.Contains(text, "POST /router/rest"):
			written, synced = false, false
		case strings.Contains(text, "pwrite64(") && strings.Contains(text, "x.db-wal>"):
			written, synced = true, false
		case isSync && strings.Contains(text, "unfinished"):
			syncing[thread] = true
		case isSync && strings.Contains(text, "= 0"):
			synced = true
		case strings.Contains(text, "sync resumed") && syncing[thread]:
			delete(syncing, thread)
			synced = true
		case strings.Contains(text, "write(") && strings.Contains(text, "Application-Host"):
			answers++
			if !written || !synced {
				t.Errorf("answer %d: log written %t, synced %t\n%.200s", answers, written, synced, text)
			}
		}
	}
	if answers != calls {
		t.Errorf("saw %d answers of %d", answers, calls)
	}
}

// readTrace waits until the tracer, which runs apart, has written its last line.
func readTrace(t *testing.T, path string) []byte {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Split(bytes.TrimSpace(data), []byte("\n")); bytes.Contains(lines[len(lines)-1], []byte("+++ exited with")) || time.Now().After(deadline) {
			return data
		}
	}
}
