package intake

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// sandbox is a demo with one fault on demand.
func sandbox(t *testing.T, i order.Injection) *gateway {
	t.Helper()
	g := newGateway(t).demo(t)
	g.intake.Injections = &order.Injections{}
	if err := i.Check(); err != nil {
		t.Fatalf("%+v: %v", i, err)
	}
	g.intake.Injections.Put(i)
	return g
}

// Every row of TOP's catalogues and of its APIs' own can be had on demand, and
// the call is not carried out.
func TestEveryTOPRowOnDemand(t *testing.T) {
	t.Parallel()
	for _, row := range contract.TOPFaults[1:] {
		if row.Code == "" {
			continue
		}
		answer := row.Code
		if row.SubCode != "" {
			answer += " " + row.SubCode
		}
		g := sandbox(t, order.Injection{Answer: answer})
		if got := g.send(t, newRequest()); got.Code != row.Code || got.SubCode != row.SubCode || len(g.events(t)) != 0 {
			t.Errorf("%s: %v", answer, got)
		}
	}
	for _, row := range contract.TOPBackend {
		g := sandbox(t, order.Injection{Answer: row.Code})
		if got := g.send(t, newRequest()); got.Code == "" || got.SubCode != row.Code {
			t.Errorf("%s: %v", row.Code, got)
		}
	}
	for _, api := range []*contract.API{contract.EventProduce, contract.EventEmit, contract.EventsProduce} {
		for _, row := range api.Refusals {
			g := sandbox(t, order.Injection{API: api.Method, Answer: row.Code})
			r := newRequest()
			switch api {
			case contract.EventEmit:
				r = emit("event_id", "1")
			case contract.EventsProduce:
				r.set("method", api.Method).set("messages", `[{"event":{"status":"QIMEN_CP_OUT","tid":"1"}}]`)
			}
			if got := g.send(t, r); !strings.Contains(got.Body, row.Code) || len(g.events(t)) != 0 {
				t.Errorf("%s %s: %v", api.Method, row.Code, got)
			}
		}
	}
	for answer, want := range map[string]string{"40:tid": "Missing required arguments:tid", "isv.invalid-parameter:create": "isv.invalid-parameter:create", "isp.anything-else": `"isp.anything-else"`, "accesscontrol.limited-by-app-access-count": "App Call Limited"} {
		g := sandbox(t, order.Injection{Answer: answer})
		if got := g.send(t, newRequest()); !strings.Contains(got.Body, want) {
			t.Errorf("%s: %v", answer, got)
		}
	}
}

// A fault meets the calls that it names, so many of them, and no others.
func TestInjectionMatches(t *testing.T) {
	t.Parallel()
	refused := func(g *gateway, r *request) bool { return g.send(t, r).Code == "7" }
	for name, c := range map[string]struct {
		injection order.Injection
		hits      []bool // of calls about orders 1, 2, 1, and an event.emit about 1
	}{
		"all":         {order.Injection{}, []bool{true, true, true, true}},
		"an API":      {order.Injection{API: contract.EventEmit.Method}, []bool{false, false, false, true}},
		"an order":    {order.Injection{Order: "1"}, []bool{true, false, true, true}},
		"twice":       {order.Injection{Times: 2}, []bool{true, true, false, false}},
		"another app": {order.Injection{App: "87654321"}, []bool{false, false, false, false}},
		"this app":    {order.Injection{App: "12345678", Order: "2"}, []bool{false, true, false, false}},
	} {
		c.injection.Answer = "7"
		g := sandbox(t, c.injection)
		for i, r := range []*request{newRequest(), newRequest().set("tid", "2"), newRequest().set("status", "QIMEN_CP_OUT"), emit("biz_order_id", "1")} {
			if got := refused(g, r); got != c.hits[i] {
				t.Errorf("%s, call %d: refused %t", name, i+1, got)
			}
		}
	}
	g := sandbox(t, order.Injection{Answer: "7", Percent: 30})
	hits := 0
	for i := range 400 {
		if refused(g, newRequest().set("tid", strings.Repeat("1", i%200+1)).set("status", []string{"QIMEN_CP_OUT", "QIMEN_ERP_CHECK"}[i/200])) {
			hits++
		}
	}
	if hits < 60 || hits > 180 { // 120 expected; both are over six standard deviations away
		t.Errorf("%d of 400 calls, want about 120", hits)
	}
	g = sandbox(t, order.Injection{Answer: "biz.selfmarket.addleaguerstatus.invalid-biz:105"}) // not a code of TOP
	if refused(g, newRequest()) {
		t.Error("Suning's answer to a call of TOP")
	}
	g = sandbox(t, order.Injection{Answer: "7", Times: 1})
	bad := newRequest()
	after("sign", "x")(bad)
	if got := g.send(t, bad); got.Code != "25" {
		t.Errorf("a call that fails a check: %v", got)
	}
	if !refused(g, newRequest()) {
		t.Error("a call that failed a check used the fault up")
	}
}

// What a fault does to the answer, and whether the call stands.
func TestInjectionEffects(t *testing.T) {
	t.Parallel()
	node, err := contract.ParseJSON(`{"result":"N"}`)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"sn_responseContent":{"sn_head":{},"sn_error":{"error_code":"x"}}}`
	for name, c := range map[string]struct {
		injection order.Injection
		status    int // 0: no answer
		body      string
		events    int
	}{
		"result": {order.Injection{Result: node}, 200, `{"sn_responseContent":{"sn_body":{"addLeaguerstatus":{"result":"N"}}}}`, 0},
		"body":   {order.Injection{Body: &body}, 200, body, 0},
		"status": {order.Injection{Status: 503}, 503, "", 0},
		"drop":   {order.Injection{DropAfterApply: true}, 0, "", 1},
		"delay":  {order.Injection{Delay: 30 * time.Millisecond}, 200, `{"sn_responseContent":{"sn_body":{"addLeaguerstatus":{"result":"Y","orderId":"1000531505","orderItemId":"00000208117602"}}}}`, 1},
	} {
		g := sandbox(t, c.injection)
		r := newSuning(lineStatus("00000208117602", "180"))
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+wire.SuningPath, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range r.sign() {
			q.Header[name] = []string{value}
		}
		started := time.Now()
		response, err := g.Client().Do(q)
		got := ""
		if err == nil {
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			got = string(text)
		}
		switch {
		case (err != nil) != (c.status == 0):
			t.Errorf("%s: %v", name, err)
		case err == nil && (response.StatusCode != c.status || got != c.body):
			t.Errorf("%s: %d %s", name, response.StatusCode, got)
		case time.Since(started) < c.injection.Delay:
			t.Errorf("%s: after %s", name, time.Since(started))
		}
		if n := len(g.events(t)); n != c.events {
			t.Errorf("%s: %d events, want %d", name, n, c.events)
		}
	}
}

// Of a batch each call has its own fault; what happens to the exchange happens to
// all of it.
func TestInjectionInBatches(t *testing.T) {
	t.Parallel()
	g := sandbox(t, order.Injection{Order: "2", Answer: "isp.http-read-timeout"})
	answers := g.sendBatch(t, newBatch(produceChunk("1"), produceChunk("2")))
	if !strings.Contains(answers[0], "true") || !strings.Contains(answers[1], "isp.http-read-timeout") || len(g.events(t)) != 1 {
		t.Errorf("answers %q", answers)
	}
	g.intake.Injections.Put(order.Injection{Name: "a", Order: "3", DropAfterApply: true})
	g.intake.Injections.Put(order.Injection{Name: "b", Order: "4", Delay: time.Millisecond})
	b := newBatch(produceChunk("3"), produceChunk("4"))
	q, err := http.NewRequestWithContext(t.Context(), b.verb, g.URL+"/router/batch?"+b.signedWith(b.raw).Encode(), strings.NewReader(b.raw))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := g.Client().Do(q); err == nil || len(g.events(t)) != 3 {
		t.Errorf("dropped: %v, %d events", response, len(g.events(t)))
	}
}

func TestInjectionCheck(t *testing.T) {
	t.Parallel()
	node, err := contract.ParseJSON(`{"nothing":1}`)
	if err != nil {
		t.Fatal(err)
	}
	body := ""
	for where, i := range map[string]order.Injection{
		"match.api":        {API: "taobao.trade.get", Answer: "7"},
		"answer":           {Answer: "no such code"},
		"result":           {Result: node},
		"status":           {Status: 99},
		"delay":            {Delay: time.Minute},
		"times":            {Answer: "7", Times: -1},
		"percent":          {Answer: "7", Percent: 101},
		"drop_after_apply": {Answer: "7", DropAfterApply: true},
	} {
		mistakes, ok := i.Check().(order.Mistakes)
		if !ok || mistakes[0].Location != where {
			t.Errorf("%s: %v", where, i.Check())
		}
	}
	for _, i := range []order.Injection{{}, {Answer: "7", Status: 503}, {Body: &body, Status: 503}, {API: contract.EventEmit.Method, Answer: "sys.check.app-sign:error"}} {
		if i.Check() == nil {
			t.Errorf("%+v is taken", i)
		}
	}
}
