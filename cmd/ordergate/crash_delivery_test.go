//go:build crash

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// What makes this test binary the receiver of webhooks: where it listens, and the file
// that it writes what it got to, before it answers.
const (
	sinkAddress = "ORDERGATE_TEST_SINK"
	sinkFile    = "ORDERGATE_TEST_SINK_FILE"
)

// TestSinkProcess is the receiver, when it is asked to be: it ends with a signal.
func TestSinkProcess(t *testing.T) {
	address := os.Getenv(sinkAddress)
	if address == "" {
		return // make crash starts it
	}
	out, err := os.OpenFile(os.Getenv(sinkFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if rand.IntN(50) == 0 { // some are refused, by chance
			http.Error(w, "not now", []int{http.StatusBadRequest, http.StatusInternalServerError}[rand.IntN(2)])
			return
		}
		line := fmt.Appendf(nil, "%s %s\n", r.Header.Get("webhook-id"), bytes.ReplaceAll(body, []byte("\n"), nil))
		if _, err := out.Write(line); err != nil { // one write: it is whole, or was not answered
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})))
}

func startSink(t *testing.T, address, file string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSinkProcess$")
	cmd.Env = append(os.Environ(), sinkAddress+"="+address, sinkFile+"="+file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// Gateway and receiver are killed at random moments under load. Every event that was
// answered arrives at least once, those of an order in order; repetitions have the same
// webhook-id and are the same to the byte.
func TestKilledWhileDelivering(t *testing.T) {
	t.Setenv("ORDERGATE_ALLOW_PRIVATE", "127.0.0.0/8")
	program, dir := buildOrdergate(t), t.TempDir()
	address, file := freeAddress(t), dir+"/got"
	sink := startSink(t, address, file)
	killSink := func() {
		_ = sink.Process.Kill()
		_ = sink.Wait()
	}
	defer func() { killSink() }()
	var answered sync.Map // "order status"
	for round := range crashRounds {
		p := start(t, dir, program)
		if round == 0 {
			declareSink(t, p, address)
		}
		stop := p.load(t, round, 8, &answered)
		time.Sleep(time.Duration(20+rand.IntN(300)) * time.Millisecond)
		if round%2 == 0 {
			killSink()
			time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
			sink = startSink(t, address, file)
			time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		}
		p.kill(t)
		stop()
	}
	p := start(t, dir, program)
	logged, distinct, posts := checkDelivered(t, p, file)
	n := checkLedger(t, p, &answered)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds, %d events answered, %d in the log, %d posts", crashRounds, n, logged, posts)
	if n < crashRounds*10 || posts <= distinct {
		t.Errorf("the load did not load, or nothing came twice")
	}
}

// checkDelivered waits until nothing is owed and compares what came with the log: every
// event of it came, nothing else did, and each order's came in order for the first time. It
// returns how many events the log has, how many came, and how many posts there were.
func checkDelivered(t *testing.T, p *process, file string) (logged, distinct, posts int) {
	t.Helper()
	awaitDelivered(t, p)
	events := list[struct {
		listedEvent
		ID string
	}](t, p, "/v1/events")
	place := map[string]int64{}
	for _, e := range events {
		place[e.ID] = e.Seq
	}
	first, posts := readSink(t, file)
	last := map[string]int64{}
	for _, got := range first {
		seq, known := place[got.id]
		if !known {
			t.Errorf("delivered and not in the log: %s", got.id)
		}
		if seq < last[got.order] {
			t.Errorf("order %s: event %d behind %d", got.order, seq, last[got.order])
		}
		last[got.order] = seq
		delete(place, got.id)
	}
	for id, seq := range place {
		t.Errorf("event %d, %s, was not delivered", seq, id)
	}
	return len(events), len(first), posts
}

func declareSink(t *testing.T, p *process, address string) {
	t.Helper()
	body := fmt.Sprintf(`{"kind":"webhook","url":"http://%s/","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, address)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.adminURL+"/v1/destinations/sink", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin")
	response, err := http.DefaultClient.Do(r)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatal(response.Status, err)
	}
	_ = response.Body.Close()
}

// awaitDelivered waits until nothing is owed. What failed by itself is not waited for: it
// is tried again now.
func awaitDelivered(t *testing.T, p *process) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var stats struct {
			Destinations []struct{ Lag, Retrying, Dead int }
		}
		p.manage(t, http.MethodGet, "/v1/stats", nil, &stats)
		d := stats.Destinations[0]
		if d.Lag+d.Retrying+d.Dead == 0 {
			return
		}
		if d.Lag == 0 {
			var retried struct{ Retried int }
			p.manage(t, http.MethodPost, "/v1/deliveries/retry", []byte(`{"state":"retrying"}`), &retried)
		}
		if time.Now().After(deadline) {
			t.Fatalf("owed %+v", stats)
		}
	}
}

type received struct{ id, order string }

// readSink returns what came for the first time, in its order, and how much came at all.
func readSink(t *testing.T, file string) (first []received, posts int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bodies := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); posts++ {
		id, body, _ := strings.Cut(lines.Text(), " ")
		var event struct{ ID, Subject string }
		if err := json.Unmarshal([]byte(body), &event); err != nil || event.ID != id {
			t.Errorf("%s: %v", lines.Text(), errors.Join(err))
		}
		before, again := bodies[id]
		if again && before != body {
			t.Errorf("event %s came again, and differs:\n%s\n%s", id, before, body)
		}
		if !again {
			bodies[id] = body
			first = append(first, received{id, event.Subject})
		}
	}
	return first, posts
}

// freeAddress is an address on which nobody listens yet.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
