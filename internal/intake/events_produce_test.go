package intake

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/store"
)

// several is a call of events.produce.
func several(messages string) *request {
	return newRequest().set("method", "taobao.qimen.events.produce").drop("status").drop("tid").set("messages", messages)
}

// answered is the answer of events.produce, in JSON: one word an event, "ok" or
// the error code and, behind a blank, its text.
func answered(results ...string) string {
	all := true
	items := make([]string, len(results))
	for i, r := range results {
		items[i] = `{"is_success":true}`
		if code, text, refused := strings.Cut(r, " | "); refused {
			all, items[i] = false, fmt.Sprintf(`{"is_success":false,"error_code":%q,"error_message":%q}`, code, text)
		}
	}
	return fmt.Sprintf(`{"qimen_events_produce_response":{"is_all_success":%t,"results":{"qimen_result":[%s]},"request_id":"ID"}}`, all, strings.Join(items, ","))
}

// What an element is answered. Codes and texts are those of docs/protocol/qimen.md
// 7.1 and 7.2, typed again here.
const (
	elementRequired = "isv.invalid-paramter | parameter required"
	elementUnknown  = "isv.invalid-message-field: unmatch-topic-meta-info | 消息content中的字段与系统定义的字段不一致"
	elementTopic    = "isv.invalid-param: topic-empty | topic不能为空"
	elementPub      = "isv.topic-limitation: pub | 应用没有发送消息的权限"
	elementJSON     = "isv.ivalid-message-content: error-json-format | 消息体content的json格式错误"
	elementRepeated = "isv.invalid-param: status has already backflow | 状态已经回流"
)

func TestEventsProduceElementByElement(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	messages := []struct{ message, want string }{
		{`{"event":{"status":"QIMEN_ERP_TRANSFER","tid":"1","taobao_sub_order_ids":"11,12","erp_order_id":"e"}}`, "ok"},
		{`{"event":{"status":"QIMEN_ERP_TRANSFER","tid":"1","taobao_sub_order_ids":"11","erp_order_id":"e"}}`, elementRepeated}, // by the element before
		{`{"event":{"status":"QIMEN_ERP_TRANSFER","tid":"1","taobao_sub_order_ids":"11,13","erp_order_id":"e"}}`, "ok"},         // 13 is new
		{`{"event":{"tid":"2"}}`, elementRequired},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":" "}}`, elementRequired},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":null}}`, elementRequired},
		{`{"event":{}}`, elementRequired},
		{`{}`, elementRequired},
		{`{"event":[]}`, elementRequired},
		{`{"event":[{"status":"QIMEN_CP_OUT","tid":"3"}]}`, elementRequired},
		{`7`, elementRequired},
		{`null`, elementRequired},
		{`{"status":"QIMEN_CP_OUT","tid":"3"}`, elementRequired}, // the extra level is real
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"4","color":"red"}}`, elementUnknown},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"4"},"color":"red"}`, elementUnknown},
		{`{"event":{"status":"Q","tid":"4","color":"red"}}`, elementTopic},                           // topic before fields
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"4","color":"red","ext":"{"}}`, elementJSON},       // content before fields
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"4","color":"red","create":"x"}}`, elementUnknown}, // fields before create
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"4","create":"x"}}`, "isv.invalid-parameter:create | 非法参数"},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"4","event_time":"x"}}`, "isv.invalid-parameter:event_time | 非法参数"},
		{fmt.Sprintf(`{"event":{"status":"QIMEN_CP_OUT","tid":"%s"}}`, strings.Repeat("4", 257)), "isv.invalid-parameter:tid | 非法参数"},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":5,"create":20170808}}`, "ok"}, // numbers, as Java writes a Long
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"6","ext":{"rdsName":"123wdx1"}}}`, "ok"},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"7","ext":"{\"rdsName\",\"123wdx1\"}","platform":"JD","nick":"\u5411\u9633😀"}}`, "ok"},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"12345678901234567890"}}`, "ok"},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"8","nick":null,"color":null},"color":null}`, "ok"},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":{"a":1}}}`, "isv.invalid-parameter:tid | 非法参数"},
		{`{"event":{"status":"QIMEN_CP_OUT","tid":"9","taobao_sub_order_ids":["1","2"]}}`, "isv.invalid-parameter:taobao_sub_order_ids | 非法参数"},
		{`{"event":{"status":true,"tid":"9"}}`, "isv.invalid-parameter:status | 非法参数"},
	}
	var sent, want []string
	for _, m := range messages {
		sent, want = append(sent, m.message), append(want, m.want)
	}
	if got := g.body(t, several("["+strings.Join(sent, " ,\n")+"]")); got != answered(want...) {
		t.Errorf("got  %s\nwant %s", got, answered(want...))
	}
	events := g.events(t)
	if len(events) != 7 {
		t.Fatalf("%d events, want 7", len(events))
	}
	for i, number := range []string{"1", "1", "5", "6", "7", "12345678901234567890", "8"} {
		e := events[i]
		if e.Order.Number != number || e.API != "taobao.qimen.event.produce" || !strings.Contains(string(e.Record), `"via":"taobao.qimen.events.produce"`) {
			t.Errorf("event %d: %+v %s", i+1, e.Order, e.Record)
		}
	}
	if p := paramsOf(t, events[4].Record); p["nick"] != "向阳😀" || p["ext"] != `{"rdsName","123wdx1"}` || len(p) != 5 {
		t.Errorf("kept %v", p)
	}
	if p := paramsOf(t, events[2].Record); p["tid"] != "5" || p["create"] != "20170808" {
		t.Errorf("kept %v", p)
	}
}

// What refuses all of it.
func TestEventsProduceRefused(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	one := `{"event":{"status":"QIMEN_CP_OUT","tid":"1"}}`
	for messages, want := range map[string]string{
		"":   `40 Missing required arguments:messages`,
		" ":  `40 Missing required arguments:messages`,
		"[]": `41 Invalid arguments:messages`,
		"[" + strings.Repeat(one+",", 50) + one + "]": `41 Invalid arguments:messages`,
		one:               `50 isv.ivalid-message-content: error-json-format`,
		"[" + one:         `50 isv.ivalid-message-content: error-json-format`,
		"[" + one + "]]":  `50 isv.ivalid-message-content: error-json-format`,
		"[" + one + ",]":  `50 isv.ivalid-message-content: error-json-format`,
		`"[]"`:            `50 isv.ivalid-message-content: error-json-format`,
		"null":            `50 isv.ivalid-message-content: error-json-format`,
		"x":               `50 isv.ivalid-message-content: error-json-format`,
		`{"messages":[]}`: `50 isv.ivalid-message-content: error-json-format`,
	} {
		got := g.send(t, several(messages))
		text := got.Code + " " + got.Text
		if got.SubCode != "" {
			text = got.Code + " " + got.SubCode
		}
		if text != want {
			t.Errorf("%.60s: got %s, want %s", messages, text, want)
		}
	}
	r := several("[" + one + "]")
	r.app.Topics = &[]apply.Topic{}
	if got := g.body(t, r); got != answered(elementPub) {
		t.Errorf("without topics: %s", got)
	}
	if n := len(g.events(t)); n != 0 {
		t.Errorf("%d events", n)
	}
}

// In every format; with simplify the list has no wrapper.
func TestEventsProduceFormats(t *testing.T) {
	t.Parallel()
	const messages = `[{"event":{"status":"QIMEN_CP_OUT","tid":"1"}},{"event":{"tid":"1"}}]`
	for format, want := range map[string]string{
		"xml":  `<?xml version="1.0" encoding="utf-8" ?><qimen_events_produce_response><is_all_success>false</is_all_success><results><qimen_result><is_success>true</is_success></qimen_result><qimen_result><is_success>false</is_success><error_code>isv.invalid-paramter</error_code><error_message>parameter required</error_message></qimen_result></results><request_id>ID</request_id></qimen_events_produce_response>`,
		"json": `{"is_all_success":false,"results":[{"is_success":true},{"is_success":false,"error_code":"isv.invalid-paramter","error_message":"parameter required"}],"request_id":"ID"}`,
	} {
		if got := newGateway(t).body(t, several(messages).set("format", format).set("simplify", "true")); got != want {
			t.Errorf("%s:\n got %s\nwant %s", format, got, want)
		}
	}
}

// fifty are messages about orders of their own.
func fifty(prefix string) string {
	events := make([]string, 50)
	for i := range events {
		events[i] = fmt.Sprintf(`{"event":{"status":"QIMEN_CP_OUT","tid":"%s%d","taobao_sub_order_ids":"%d"}}`, prefix, i, i)
	}
	return "[" + strings.Join(events, ",") + "]"
}

// Fifty events of one request are one transaction.
func TestEventsProduceIsOneCommit(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	yes := make([]string, 50)
	for i := range yes {
		yes[i] = "ok"
	}
	if got := g.body(t, several(fifty("a"))); got != answered(yes...) {
		t.Fatalf("got %s", got)
	}
	if groups := g.groupsOf(t, 50); len(groups) != 1 || groups[0].Tasks != 50 {
		t.Errorf("transactions %+v", groups)
	}
}

// groupsOf returns the transactions that stored events, once they have stored
// as many.
func (g *gateway) groupsOf(t *testing.T, events int) (groups []store.Group) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		groups = nil
		n := 0
		for _, group := range g.groups {
			if len(group.Events) > 0 {
				groups = append(groups, group)
				n += len(group.Events)
			}
		}
		g.mu.Unlock()
		if n >= events {
			return groups
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events in %d transactions", n, len(groups))
		}
	}
}
