package intake

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

const separator = "\r\n-S-\r\n"

// batched is a request of /router/batch in the making.
type batched struct {
	*request
	separator string // of the client's own
	raw       string
}

func newBatch(chunks ...string) *batched {
	r := newRequest().drop("method").drop("status").drop("tid")
	return &batched{request: r, raw: strings.Join(chunks, separator)}
}

// chunk is one call of a batch.
func chunk(fields ...string) string {
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return values.Encode()
}

func produceChunk(tid string, more ...string) string {
	return chunk(append([]string{"method", "taobao.qimen.event.produce", "status", "QIMEN_CP_OUT", "tid", tid}, more...)...)
}

// sendBatch makes the request and returns the answers, request ids as ID.
func (g *gateway) sendBatch(t *testing.T, b *batched) []string {
	t.Helper()
	g.declare(t, &apply.Document{
		Apps:     []apply.App{b.app},
		Sessions: []apply.Session{{Token: "test", AppKey: b.app.Key, Seller: "seller_001"}},
	})
	values := b.signedWith(b.raw)
	q, err := http.NewRequestWithContext(t.Context(), b.verb, g.URL+"/router/batch?"+values.Encode(), strings.NewReader(b.raw))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	sep := separator
	if b.separator != "" {
		sep = b.separator
		q.Header.Set("top-api-separator", sep)
	}
	return strings.Split(anyID.ReplaceAllString(g.exchange(t, q), "${1}ID"), sep)
}

const (
	produceYes      = `{"qimen_event_produce_response":{"is_success":true,"request_id":"ID"}}`
	produceRepeated = `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isv.invalid-param: status has already backflow","sub_msg":"状态已经回流","request_id":"ID"}}`
)

func fault(code int, text string) string {
	return fmt.Sprintf(`{"error_response":{"code":%d,"msg":%q,"request_id":"ID"}}`, code, text)
}

// Each call is answered in its place: good, bad, repeated and unknown ones.
func TestBatchCallByCall(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	chunks := []struct{ chunk, want string }{
		{produceChunk("1"), produceYes},
		{produceChunk("1"), produceRepeated},
		{produceChunk("2", "unknown_extra", "x"), produceYes}, // unknown parameters are allowed
		{produceChunk(""), fault(40, "Missing required arguments:tid")},
		{chunk("method", "taobao.bcpush.isv.event.emit", "work_order_id", "w", "text", "a-S-b\r\n-S-\r\n"), emitYes},
		{chunk("method", "taobao.trade.get"), fault(22, "Invalid method")},
		{chunk("status", "QIMEN_CP_OUT", "tid", "3"), strings.Replace(fault(21, "Missing method"), `,"request_id`, `,"sub_msg":"http传入的参数加入method字段","request_id`, 1)},
		{produceChunk("4", "session", "unheard-of"), `{"error_response":{"code":27,"msg":"Invalid session","sub_code":"invalid-sessionkey","sub_msg":"SessionKey非法","request_id":"ID"}}`},
		{produceChunk("5") + "&ext=%zz", fault(47, "Invalid encoding")},
		{produceChunk("6", "app_key", "stranger", "format", "xml", "timestamp", "never", "v", "9", "sign", "x"), produceYes}, // these are the request's
		{chunk("method", "taobao.qimen.events.produce", "messages", `[{"event":{"status":"QIMEN_CP_OUT","tid":"7"}},{"event":{"status":"QIMEN_CP_OUT","tid":"6"}}]`), answered("ok", elementRepeated)},
		{strings.Repeat("a=&", 1001), fault(43, "Parameter error")},
		{"N", strings.Replace(fault(21, "Missing method"), `,"request_id`, `,"sub_msg":"http传入的参数加入method字段","request_id`, 1)},
	}
	var raw, want []string
	for _, c := range chunks {
		raw, want = append(raw, c.chunk), append(want, c.want)
	}
	got := g.sendBatch(t, newBatch(raw...))
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if groups := g.groupsOf(t, 5); len(groups) != 1 {
		t.Errorf("%d transactions, want 1", len(groups))
	}
	if p := paramsOf(t, g.events(t)[2].Record); p["text"] != "a-S-b\r\n-S-\r\n" {
		t.Errorf("kept %v", p)
	}
}

// What calls share stands in front; what a call says itself counts.
func TestBatchPublicParameters(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	public := "#PUBLIC#" + chunk("method", "taobao.qimen.event.produce", "status", "QIMEN_CP_OUT", "tid", "1")
	got := g.sendBatch(t, newBatch(public, "N", chunk("tid", "2"), chunk("status", "QIMEN_ERP_CHECK"), chunk("method", "taobao.bcpush.isv.event.emit", "plan_id", "p")))
	if want := []string{produceYes, produceYes, produceYes, emitYes}; !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	b := newBatch("N", chunk("tid", "4"))
	b.set("method", "taobao.qimen.event.produce").set("status", "QIMEN_CP_OUT").set("tid", "3") // in the URL
	if got := g.sendBatch(t, b); !slices.Equal(got, []string{produceYes, produceYes}) {
		t.Errorf("method in the URL: %s", got)
	}
}

func TestBatchOfOne(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	if got := g.sendBatch(t, newBatch(produceChunk("1"))); !slices.Equal(got, []string{produceYes}) {
		t.Errorf("got %s", got)
	}
	if got := g.sendBatch(t, newBatch(produceChunk("8"), "")); !slices.Equal(got, []string{produceYes}) {
		t.Errorf("with a separator behind it: %s", got)
	}
	if got := g.sendBatch(t, newBatch(produceChunk("2")+"\r\n")); !slices.Equal(got, []string{produceYes}) {
		t.Errorf("with a line end: %s", got)
	}
	xml := newBatch(produceChunk("3"))
	xml.set("format", "xml")
	if got := g.sendBatch(t, xml); len(got) != 1 || !strings.HasPrefix(got[0], `<?xml version="1.0" encoding="utf-8" ?><qimen_event_produce_response>`) {
		t.Errorf("xml: %s", got)
	}
}

// A client's own separator is taken literally and used for the answers.
func TestBatchSeparator(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	b := newBatch(produceChunk("1") + "{mine}" + produceChunk("1"))
	b.separator = "{mine}"
	if got := g.sendBatch(t, b); !slices.Equal(got, []string{produceYes, produceRepeated}) {
		t.Errorf("got %s", got)
	}
}

// What the request fails is the one answer to all of it.
func TestBatchRefusedWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want  string
		spoil func(*batched)
	}{
		"signature":   {"25", func(b *batched) { b.spoil = append(b.spoil, func(v url.Values) { v.Set("sign", "X") }) }},
		"body":        {"25", func(b *batched) { b.spoil = append(b.spoil, func(url.Values) { b.raw += " " }) }},
		"app":         {"29", func(b *batched) { b.spoil = append(b.spoil, func(v url.Values) { v.Set("app_key", "x") }) }},
		"no app":      {"28", func(b *batched) { b.drop("app_key") }},
		"timestamp":   {"31", func(b *batched) { b.set("timestamp", "2024-06-18 04:00:00") }},
		"version":     {"33", func(b *batched) { b.set("v", "3") }},
		"format":      {"23", func(b *batched) { b.set("format", "yaml") }},
		"verb":        {"9", func(b *batched) { b.verb = http.MethodPut }},
		"encoding":    {"47", func(b *batched) { b.set("x", "\xff") }},
		"no calls":    {"43", func(b *batched) { b.raw = "" }},
		"only public": {"43", func(b *batched) { b.raw = "#PUBLIC#method=taobao.qimen.event.produce" }},
		"51 calls":    {"43", func(b *batched) { b.raw = strings.Repeat(produceChunk("1")+separator, 50) + produceChunk("2") }},
		"shared": {"43", func(b *batched) {
			b.raw = "#PUBLIC#a=" + strings.Repeat("x", 600_000) + separator + produceChunk("1") + separator + produceChunk("2")
		}},
	} {
		g := newGateway(t)
		b := newBatch(produceChunk("1"), produceChunk("2"))
		c.spoil(b)
		got := g.sendBatch(t, b)
		if len(got) != 1 {
			t.Errorf("%s: %d answers", name, len(got))
			continue
		}
		if a := readAnswer(t, got[0]); a.Code != c.want {
			t.Errorf("%s: got %v, want %s", name, a, c.want)
		}
		if n := len(g.events(t)); n != 0 {
			t.Errorf("%s: %d events", name, n)
		}
	}
}

// Fifty calls are one transaction, and each counts for the app's rate.
func TestBatchOfFifty(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	chunks := make([]string, wire.MaxCalls)
	for i := range chunks {
		chunks[i] = produceChunk(fmt.Sprint(i))
	}
	b := newBatch(chunks...)
	b.app.Rate = &apply.Rate{PerDay: 45}
	got := g.sendBatch(t, b)
	for i, a := range got {
		if i < 45 && a != produceYes || i >= 45 && !strings.Contains(a, `"code":7,`) {
			t.Errorf("call %d: %s", i+1, a)
		}
	}
	if groups := g.groupsOf(t, 45); len(got) != 50 || len(groups) != 1 {
		t.Errorf("%d answers, %d transactions", len(got), len(groups))
	}
}

// When nothing can be stored, every call that would have been is told so.
func TestBatchNotStored(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]string{order.ErrBusy: "isp.system-busy", order.ErrNotStored: "isp.remote-service-error"} {
		g := newGateway(t)
		g.intake.Store = failingStore{g.store, errors.Join(cause)}
		got := g.sendBatch(t, newBatch(produceChunk("1"), produceChunk(""), produceChunk("2")))
		if len(got) != 3 || !strings.Contains(got[0], want) || got[1] != fault(40, "Missing required arguments:tid") || !strings.Contains(got[2], want) {
			t.Errorf("%v: %s", cause, got)
		}
	}
}

// Sessions travel in the body of a batch; no log shows them.
func TestBatchLogsNoSessions(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	var log strings.Builder
	g.intake.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := newBatch(produceChunk("1", "session", "hush-token"))
	b.spoil = append(b.spoil, func(v url.Values) { v.Set("sign", "X") })
	g.sendBatch(t, b)
	g.sendBatch(t, newBatch(produceChunk("1", "session", "hush-token")))
	if strings.Contains(log.String(), "hush") || !strings.Contains(log.String(), "signature differs") {
		t.Errorf("log: %s", log.String())
	}
}
