package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

var noon = time.Date(2024, 6, 18, 12, 0, 0, 0, contract.Zone)

// Every request of a load is signed, and no two events are the same.
func TestRequests(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	mixed := work{requests: build(200, func(i int) []byte { return mixedRequest(i, noon) })}
	for _, w := range []work{produceRequests(0, 200, noon), produceRequests(ordersPerBlock-100, 200, noon), batchRequests(1000, 10, batchSize, noon), mixed} {
		for i, raw := range w.requests {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			if !signed(t, r) {
				t.Fatalf("request %d is not signed", i)
			}
		}
	}
	for i := range 3 * ordersPerBlock * len(statuses) {
		o, status := event(i)
		key := orderNumber(o) + status
		if seen[key] {
			t.Fatalf("event %d repeats %s", i, key)
		}
		seen[key] = true
	}
}

func signed(t *testing.T, r *http.Request) bool {
	t.Helper()
	if wire.IsSuning(r) {
		call := wire.Suning{}.Head(r)
		return wire.Suning{}.Read(httptest.NewRecorder(), r, call) == nil && wire.Suning{}.Verify(call, appSecret)
	}
	call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
	return err == nil && wire.TOP{}.Verify(call, appSecret)
}

// ledger has the first events of a load, but for those left out.
func ledger(t *testing.T, n int, without ...int) order.Store {
	t.Helper()
	s, err := (&Bench{}).openStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	left := map[int]bool{}
	for _, i := range without {
		left[i] = true
	}
	for i := range n {
		if left[i] {
			continue
		}
		r := produced(i, noon)
		rule, _ := order.RuleOf(contract.EventProduce)
		work, err := rule.Judge(&order.Call{
			API: contract.EventProduce, App: &order.App{Key: appKey}, Seller: seller, Request: r, At: noon,
			Record: order.Record{Params: contract.EventProduce.Params(r)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), work.Tasks...); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestCheckFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		s    order.Store
		sent int
		want string
	}{
		"all there":   {ledger(t, 50), 50, ""},
		"one missing": {ledger(t, 50, 17), 50, "answered and is not in the ledger"},
		"one more":    {ledger(t, 51), 50, "is in the ledger and was not answered"},
		"last lost":   {ledger(t, 49), 50, "answered and is not in the ledger"},
	} {
		err := sameEvents(c.s, c.sent)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		count := sameCounts(c.s, map[string]int{contract.EventProduce.Method: c.sent})
		if wrong := c.want != ""; (count != nil) != wrong {
			t.Errorf("%s: counts: %v", name, count)
		}
	}
	for i := range 3 * ordersPerBlock * len(statuses) {
		o, status := event(i)
		if got, ok := indexOf(orderNumber(o), status); !ok || got != i {
			t.Fatalf("event %d is found as %d, %t", i, got, ok)
		}
	}
}

// An answer that is no yes ends a load.
func TestLoadWantsYes(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Bare(ctx, l) }()
	w := produceRequests(0, 100, noon)
	out, err := load(t.Context(), l.Addr().String(), 4, time.Minute, w)
	if err != nil || out.failed != nil || out.sent != 100 {
		t.Errorf("%+v, %v", out, err)
	}
	few := w
	few.requests, few.cycle = w.requests[:5], true
	if out, err = load(t.Context(), l.Addr().String(), 4, 50*time.Millisecond, few); err != nil || out.failed != nil || out.sent <= len(few.requests) {
		t.Errorf("cycling: %+v, %v", out, err)
	}
	w.requests[3] = bytes.Replace(w.requests[3], []byte("tid="), []byte("tid=0"), 1)
	out, err = load(t.Context(), l.Addr().String(), 4, time.Minute, w)
	if err != nil || out.failed == nil || !strings.Contains(out.failed.Error(), "Invalid signature") {
		t.Errorf("a bad signature: %+v, %v", out, err)
	}
	stop()
	if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// Ratios are taken inside a round; noise makes a missed gate inconclusive.
func TestReport(t *testing.T) {
	t.Parallel()
	r := newResults()
	for i, rates := range [][2]float64{{100, 50}, {200, 60}, {10, 4}} {
		a := Stage{Name: "A", Conns: 64, Rate: rates[0]}
		in := Stage{Name: "ingest", Conns: 64, Rate: rates[1], Noisy: i == 0}
		r.add(a, in)
		r.ratio("ingest_64_to_A", in.Rate/a.Rate, in, a)
		r.ratio("ingest_256_to_A", in.Rate/a.Rate, a)
		r.ratio("ingest_64_p99_to_A", 2, a)
		r.ratio("growth", 0.5, in)
		r.atMost("rss_mb", rates[0])
	}
	out := r.report(Env{}, checkedWhole)
	if len(out.Stages) != 2 || out.Stages[0].Rate != 100 || out.Stages[1].Rate != 50 || out.Stages[1].Min != 4 || out.Stages[1].N != 3 || !out.Stages[1].Noisy {
		t.Errorf("stages %+v", out.Stages)
	}
	if out.Ratios["ingest_64_to_A"] != 0.4 {
		t.Errorf("ratios %v", out.Ratios)
	}
	if out.Ratios["rss_mb"] != 200 {
		t.Errorf("the most memory is %v", out.Ratios["rss_mb"])
	}
	results := map[string]string{}
	for _, g := range out.Gates {
		results[g.Name] = g.Result
	}
	want := map[string]string{"ingest_64_to_A": "pass", "ingest_256_to_A": "missed", "ingest_64_p99_to_A": "pass", "growth": "inconclusive", "rss_mb": "pass"}
	for name, result := range want {
		if results[name] != result {
			t.Errorf("%s: %s, want %s", name, results[name], result)
		}
	}
	if len(results) != len(want) {
		t.Errorf("gates %v", results)
	}
	var table, object bytes.Buffer
	if err := errors.Join(out.Table(&table), out.JSON(&object)); err != nil || !strings.Contains(table.String(), "at least 0.4: pass") {
		t.Errorf("%v\n%s", err, table.String())
	}
	var decoded map[string]any
	if err := json.Unmarshal(object.Bytes(), &decoded); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"env", "stages", "ratios"} {
		if decoded[name] == nil {
			t.Errorf("no %s in %s", name, object.String())
		}
	}
}

func TestNoise(t *testing.T) {
	t.Parallel()
	at := func(busy, steal, own, child time.Duration) clock {
		return clock{at: noon.Add(time.Second), busy: busy, steal: steal, own: own, child: child}
	}
	before := clock{at: noon}
	for name, c := range map[string]struct {
		after clock
		want  bool
	}{
		"alone":        {at(time.Second, 0, time.Second/2, time.Second/2), false},
		"others":       {at(2*time.Second, 0, time.Second/2, time.Second/2), true},
		"taken away":   {at(time.Second, time.Second/5, time.Second/2, time.Second/2), true},
		"next to idle": {at(0, 0, 0, 0), false},
	} {
		if got := noisy(before, c.after); got != c.want {
			t.Errorf("%s: noisy %t", name, got)
		}
	}
	if c := readClock(os.Getpid()); c.busy == 0 || c.own == 0 {
		t.Errorf("clock %+v", c)
	}
}
