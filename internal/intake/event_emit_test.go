package intake

import (
	"regexp"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// emit is a call of event.emit with only these fields, name, value, name, value.
func emit(fields ...string) *request {
	r := newRequest().set("method", "taobao.bcpush.isv.event.emit").drop("status").drop("tid")
	for i := 0; i < len(fields); i += 2 {
		r.set(fields[i], fields[i+1])
	}
	return r
}

// emitPage is the page's own example.
func emitPage() *request {
	return emit("source_name", "mockTenantCode", "event_id", "123456", "ctx_data", "{}", "plan_id", "123456", "biz_order_id", "123456",
		"work_order_type", "0", "work_order_status", "0", "work_order_id", "123456", "ts", "123456", "text", "工单描述", "result_msg", "已处理退款",
		"buyer_id", "123456", "miniapp_scene_code", "123", "buyer_nick", "用户名a", "biz_scene_code", "123", "tenant_code", "mockTenantCode",
		"buyer_open_id", "asdiofasdfa2wergwq")
}

var anyID = regexp.MustCompile(`(request_id(?:":"|>))[0-9a-z]{12,13}`)

// body makes the call and returns its answer with ID for the request id.
func (g *gateway) body(t testing.TB, r *request) string {
	t.Helper()
	return anyID.ReplaceAllString(g.send(t, r).Body, "${1}ID")
}

// Answers of event.emit, in JSON, as docs/protocol/top.md 10 has them.
const (
	emitYes      = `{"bcpush_isv_event_emit_response":{"result":{"success":true,"module":true,"error_code":0,"version":"1.0"},"request_id":"ID"}}`
	emitNothing  = `{"bcpush_isv_event_emit_response":{"result":{"solution":"give at least one of event_id, work_order_id, plan_id, biz_order_id","success":false,"module":false,"error_message":"event_id, work_order_id, plan_id and biz_order_id are all absent","error_code":400},"request_id":"ID"}}`
	emitConflict = `{"bcpush_isv_event_emit_response":{"result":{"solution":"send a changed event with a new event_id","success":false,"module":false,"error_message":"event_id was sent before with different content","error_code":409},"request_id":"ID"}}`
	emitContext  = `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isv.invalid-parameter:ctx_data","sub_msg":"非法参数","request_id":"ID"}}`
	emitTime     = `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isv.invalid-parameter:ts","sub_msg":"非法参数","request_id":"ID"}}`
)

// The page's example, verbatim, gets the page's answer, also when it comes again.
func TestEmitPageExample(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"json":     emitYes,
		"xml":      `<?xml version="1.0" encoding="utf-8" ?><bcpush_isv_event_emit_response><result><success>true</success><module>true</module><error_code>0</error_code><version>1.0</version></result><request_id>ID</request_id></bcpush_isv_event_emit_response>`,
		"simplify": `{"result":{"success":true,"module":true,"error_code":0,"version":"1.0"},"request_id":"ID"}`,
	} {
		for _, digest := range wire.Digests {
			g := newGateway(t).demo(t)
			for range 2 {
				r := emitPage()
				r.digest = digest
				if r.set("format", format); format == "simplify" {
					r.set("format", "json").set("simplify", "true")
				}
				if got := g.body(t, r); got != want {
					t.Errorf("%s %s:\n got %s\nwant %s", format, digest, got, want)
				}
			}
			want := emitPage().params
			for _, protocol := range contract.TOPParams {
				delete(want, protocol.Name)
			}
			e := g.kept(t, want)
			if e.Order != (order.Key{Platform: "taobao", Seller: "seller_001", Number: "123456"}) || e.WorkOrder != (order.WorkOrderKey{App: "12345678", Tenant: "mockTenantCode", ID: "123456"}) {
				t.Errorf("kept as %+v", e)
			}
		}
	}
}

// The checks of event.emit in their order; each row offends all those below it
// that it can.
func TestEmitChecks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields []string
		want   string
	}{
		"ctx_data no JSON, ts no digits, nothing named": {[]string{"ctx_data", "{", "ts", "now"}, emitContext},
		"ts no digits, nothing named":                   {[]string{"ts", "1.5"}, emitTime},
		"ts negative":                                   {[]string{"ts", "-1", "event_id", "1"}, emitTime},
		"nothing named":                                 {[]string{"text", "x", "tenant_code", "t"}, emitNothing},
		"blank names":                                   {[]string{"event_id", " ", "work_order_id", "", "plan_id", "\t", "biz_order_id", "\u3000"}, emitNothing},
		"no parameter at all":                           {nil, emitNothing},
		"an event id alone":                             {[]string{"event_id", "1"}, emitYes},
		"a work order alone":                            {[]string{"work_order_id", "1"}, emitYes},
		"a plan alone":                                  {[]string{"plan_id", "1"}, emitYes},
		"an order alone":                                {[]string{"biz_order_id", "1"}, emitYes},
		"any JSON":                                      {[]string{"plan_id", "1", "ctx_data", ` [1,"a",null] `}, emitYes},
		"blank ctx_data and ts":                         {[]string{"plan_id", "1", "ctx_data", " ", "ts", ""}, emitYes},
		"a ts beyond every clock":                       {[]string{"plan_id", "1", "ts", strings.Repeat("9", 100)}, emitYes},
		"an unknown parameter":                          {[]string{"plan_id", "1", "extra", "x"}, emitYes},
		"a long event id":                               {[]string{"event_id", strings.Repeat("x", 257)}, `{"error_response":{"code":41,"msg":"Invalid arguments:event_id","request_id":"ID"}}`},
	} {
		g := newGateway(t)
		if got := g.body(t, emit(c.fields...)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if n := len(g.events(t)); (n == 1) != (c.want == emitYes) {
			t.Errorf("%s: %d events", name, n)
		}
	}
}

// An event id names one content for an app and a tenant.
func TestEmitRepeats(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	for i, c := range []struct {
		want   string
		app    string
		events int
		fields []string
	}{
		{emitYes, "1", 1, []string{"event_id", "e", "text", "a"}},
		{emitYes, "1", 1, []string{"event_id", "e", "text", "a"}},
		{emitYes, "1", 1, []string{"event_id", "e", "text", "a", "buyer_nick", " "}}, // blank: not given
		{emitYes, "1", 1, []string{"event_id", "e", "text", "a", "extra", "x"}},      // not one of the page's fields
		{emitConflict, "1", 1, []string{"event_id", "e", "text", "a "}},
		{emitConflict, "1", 1, []string{"event_id", "e"}},
		{emitConflict, "1", 1, []string{"event_id", "e", "result_msg", "a"}}, // the same text in another field
		{emitYes, "1", 2, []string{"event_id", "e", "text", "b", "tenant_code", "t"}},
		{emitConflict, "1", 2, []string{"event_id", "e", "text", "a", "tenant_code", "t"}},
		{emitYes, "2", 3, []string{"event_id", "e", "text", "b"}},
		{emitYes, "1", 4, []string{"work_order_id", "w"}},
		{emitYes, "1", 5, []string{"work_order_id", "w"}}, // without an event id nothing is a repeat
	} {
		r := emit(c.fields...).set("app_key", c.app).drop("session")
		r.app.Key = c.app
		if got := g.body(t, r); got != c.want {
			t.Errorf("call %d: got %s, want %s", i+1, got, c.want)
		}
		if n := len(g.events(t)); n != c.events {
			t.Errorf("call %d: %d events, want %d", i+1, n, c.events)
		}
	}
}

// A session is checked when it is given.
func TestEmitSession(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	if got := g.body(t, emit("plan_id", "1").drop("session")); got != emitYes {
		t.Errorf("without a session: %s", got)
	}
	if got := g.body(t, emit("plan_id", "1").set("session", " ")); got != emitYes {
		t.Errorf("with a blank session: %s", got)
	}
	if got := g.send(t, emit("plan_id", "1").set("session", "unheard-of")); got.SubCode != "invalid-sessionkey" {
		t.Errorf("with an unknown session: %s", got)
	}
}

// Recorded requests are accepted as they are and kept as their clients meant them.
func TestEmitCaptures(t *testing.T) {
	t.Parallel()
	for _, c := range captures(t, contract.EventEmit.Method) {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			g := serveCapture(t, c)
			got, _ := g.replay(t, c.Request.Raw)
			if c.Expect != "valid" {
				if got.Code != "25" {
					t.Errorf("got %v, want 25", got)
				}
				return
			}
			if !strings.Contains(got.Body, "true") || got.Code != "" {
				t.Fatalf("got %v", got)
			}
			g.kept(t, c.Params)
		})
	}
}
