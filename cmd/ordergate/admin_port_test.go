package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// startServe starts the program under test on free ports, with admin as its token.
func startServe(t *testing.T, args ...string) *process {
	t.Helper()
	program, err := exec.LookPath("ordergate")
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-token", "admin"}, args...)...), t.TempDir()+"/log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.stop()
		}
	})
	return p
}

// ask makes a request and returns the answer.
func ask(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(data)
}

const bearer = "Bearer admin"

// produce makes a call of event.produce as the demo's app and returns its answer.
func produce(t *testing.T, p *process, order string) string {
	t.Helper()
	program, err := exec.LookPath("ordergate")
	if err != nil {
		t.Fatal(err)
	}
	return runLine(t, program, p, "go run ./cmd/ordergate call taobao.qimen.event.produce --app-key 12345678 --secret helloworld --session test status=QIMEN_CP_OUT tid="+order)
}

// What Go tells of the program is told to who has the admin token, on the admin port only;
// its command line, which may hold secrets, to nobody.
func TestProfilesWantTheAdminToken(t *testing.T) {
	t.Parallel()
	p := startServe(t, "--demo")
	const heap = "/debug/pprof/heap"
	for _, c := range []struct {
		url, authorization string
		want               int
	}{
		{p.adminURL + heap, "", http.StatusUnauthorized},
		{p.adminURL + heap, "Bearer wrong", http.StatusUnauthorized},
		{p.adminURL + heap, bearer, http.StatusOK},
		{p.adminURL + "/debug/pprof/", bearer, http.StatusOK},
		{p.adminURL + "/debug/pprof/goroutine?debug=1", bearer, http.StatusOK},
		{p.adminURL + "/debug/pprof/cmdline", bearer, http.StatusNotFound},
		{p.url + heap, bearer, http.StatusNotFound},
		{strings.Replace(p.adminURL, "://", "://any:admin@", 1) + heap, "", http.StatusOK},
		{strings.Replace(p.adminURL, "://", "://any:wrong@", 1) + heap, "", http.StatusUnauthorized},
	} {
		var header []string
		if c.authorization != "" {
			header = []string{"Authorization", c.authorization}
		}
		if response, body := ask(t, http.MethodGet, c.url, "", header...); response.StatusCode != c.want {
			t.Errorf("%s with %q: %s %.100s", c.url, c.authorization, response.Status, body)
		}
	}
}

var metricName = regexp.MustCompile(`(?m)^# TYPE (ordergate_\w+) (\w+)$`)

// /metrics shows what its table lists, and nothing else of ours.
func TestMetricsAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer sink.Close()
	p := startServe(t, "--demo")
	ask(t, http.MethodPut, p.adminURL+"/v1/destinations/hook", `{"kind":"webhook","url":"`+sink.URL+`","secret":"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}`, "Authorization", bearer)
	if answer := produce(t, p, "1"); !strings.Contains(answer, "true") {
		t.Fatal(answer)
	}
	want := map[string]string{}
	for _, row := range metricRows {
		want[row.Name] = row.Kind
		if row.Name == "ordergate_ledger_read_errors_total" { // it has nothing to count
			delete(want, row.Name)
		}
	}
	var got map[string]string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && !maps.Equal(got, want); time.Sleep(20 * time.Millisecond) {
		_, text := ask(t, http.MethodGet, p.adminURL+"/metrics", "")
		got = map[string]string{}
		for _, found := range metricName.FindAllStringSubmatch(text, -1) {
			got[found[1]] = found[2]
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("/metrics has\n%v, the table\n%v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	_, text := ask(t, http.MethodGet, p.adminURL+"/metrics", "")
	for _, line := range []string{
		`ordergate_calls_total{answer="ok",api="taobao.qimen.event.produce"} 1`,
		`ordergate_events_total{api="taobao.qimen.event.produce"} 1`,
		`ordergate_delivery_attempts_total{destination="hook",result="delivered"} 1`,
		`ordergate_delivery_delay_seconds_count{destination="hook"} 1`,
		`ordergate_destination_up{destination="hook",kind="webhook"} 1`,
		`ordergate_destination_deliveries{destination="hook",state="dead"} 0`,
		`ordergate_orders_open{platform="suning",stage="waiting"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("/metrics has no line %s", line)
		}
	}
}

// One request_id leads from the answer over the log and the ledger to the delivery; and one
// trace from the caller's own through the call and its commit to the delivery.
func TestOneIDFromCallToDelivery(t *testing.T) {
	t.Parallel()
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	var mu sync.Mutex
	spans := map[string]*otlp.Span{}
	collecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var sent collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &sent); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range sent.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				for _, span := range scope.Spans {
					spans[span.Name] = span
				}
			}
		}
	}))
	defer collecting.Close()
	hooks := make(chan http.Header, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hooks <- r.Header
		w.WriteHeader(http.StatusNoContent)
	}))
	defer hook.Close()
	p := startServe(t, "--demo", "--trace", collecting.URL, "--log-format", "json")
	ask(t, http.MethodPut, p.adminURL+"/v1/destinations/hook", `{"kind":"webhook","url":"`+hook.URL+`","secret":"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}`, "Authorization", bearer)

	target, form := signedCall(t, p, "taobao.qimen.event.produce", "status=QIMEN_CP_OUT", "tid=77")
	response, body := ask(t, http.MethodPost, p.url+target, form, "Content-Type", "application/x-www-form-urlencoded", "Traceparent", "00-"+trace+"-"+parent+"-01")
	id := response.Header.Get("X-Request-Id")
	if !strings.Contains(body, `"request_id":"`+id+`"`) || id == "" {
		t.Fatalf("X-Request-Id %q, and the answer %s", id, body)
	}
	header := <-hooks
	if got := header.Get("X-Request-Id"); got != id {
		t.Errorf("the webhook has request_id %q, the answer %q", got, id)
	}
	if got := header.Get("Traceparent"); !strings.HasPrefix(got, "00-"+trace+"-") {
		t.Errorf("the webhook has traceparent %q", got)
	}
	if _, events := ask(t, http.MethodGet, p.adminURL+"/v1/events?order=77", "", "Authorization", bearer); !strings.Contains(events, `"request_id":"`+id+`"`) || !strings.Contains(events, `"trace":"00-`+trace) {
		t.Errorf("the log: %s", events)
	}
	refused, answer := ask(t, http.MethodPost, p.url+"/api/http/sopRequest", "{}", "Content-Type", "application/json")
	if err := p.stop(); err != nil { // the last traces are sent
		t.Fatal(err)
	}
	log, err := os.ReadFile(p.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if id := refused.Header.Get("X-Request-Id"); id == "" || !bytes.Contains(log, []byte(`"id":"`+id+`"`)) {
		t.Errorf("the log does not know the refused call %q (%s):\n%s", id, answer, log)
	}
	mu.Lock()
	defer mu.Unlock()
	call, commit, deliver := spans["call taobao.qimen.event.produce"], spans["commit"], spans["deliver hook"]
	if call == nil || commit == nil || deliver == nil {
		t.Fatalf("spans %v", slices.Sorted(maps.Keys(spans)))
	}
	for name, s := range map[string]*otlp.Span{"call": call, "commit": commit, "deliver": deliver} {
		if fmt.Sprintf("%x", s.TraceId) != trace {
			t.Errorf("%s is of trace %x", name, s.TraceId)
		}
	}
	if fmt.Sprintf("%x", call.ParentSpanId) != parent || !bytes.Equal(commit.ParentSpanId, call.SpanId) || !bytes.Equal(deliver.ParentSpanId, call.SpanId) {
		t.Errorf("parents: call %x, commit %x, deliver %x; the call is %x", call.ParentSpanId, commit.ParentSpanId, deliver.ParentSpanId, call.SpanId)
	}
	if attributes := fmt.Sprint(call.Attributes); !strings.Contains(attributes, id) || strings.Contains(fmt.Sprint(spans), "helloworld") || strings.Contains(fmt.Sprint(spans), "session") || strings.Contains(fmt.Sprint(spans), "sign=") {
		t.Errorf("attributes %s", attributes)
	}
}

// No access token gets into the log by the path that it stands in, however that is written.
func TestLoggedPathsHaveNoTokens(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"/v1/orders/taobao/1", "/v1/orders/taobao/1"},
		{"/v1/sessions/hush", "/v1/sessions/***"},
		{"//v1/sessions/hush", "/v1/sessions/***"},
		{"/v1/x/../sessions/hu/sh", "/v1/sessions/***"},
		{"/V1/Sessions/hush", "/v1/sessions/***"},
		{"/v1/sessions/" + strings.Repeat("h", 300), "/v1/sessions/***"},
	} {
		if got := loggedPath(c[0]); got != c[1] {
			t.Errorf("%s is logged as %s", c[0], got)
		}
	}
}

// signedCall is where a signed call goes, and its body.
func signedCall(t *testing.T, p *process, method string, params ...string) (target, form string) {
	t.Helper()
	program, err := exec.LookPath("ordergate")
	if err != nil {
		t.Fatal(err)
	}
	request := runLine(t, program, p, "go run ./cmd/ordergate call "+method+" --app-key 12345678 --secret helloworld --session test --dry-run "+strings.Join(params, " "))
	head, body, ok := strings.Cut(strings.ReplaceAll(request, "\r\n", "\n"), "\n\n")
	words := strings.Fields(head)
	if !ok || len(words) < 2 {
		t.Fatalf("no request: %s", request)
	}
	return words[1], strings.TrimSpace(body)
}

// Readiness is red before the ports close, so that a load balancer can turn away; calls
// are answered meanwhile.
func TestReadinessIsRedBeforeThePortsClose(t *testing.T) {
	t.Parallel()
	p := startServe(t, "--demo", "--drain", "1s")
	if response, body := ask(t, http.MethodGet, p.adminURL+"/readyz", ""); response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", response.Status, body)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	response, body := ask(t, http.MethodGet, p.adminURL+"/readyz", "")
	for deadline := time.Now().Add(time.Second); response.StatusCode == http.StatusOK && time.Now().Before(deadline); {
		response, body = ask(t, http.MethodGet, p.adminURL+"/readyz", "")
	}
	if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "stopping") {
		t.Errorf("readiness: %s %s", response.Status, body)
	}
	if answer := produce(t, p, "9"); !strings.Contains(answer, "true") {
		t.Errorf("a call before the ports close: %s", answer)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
