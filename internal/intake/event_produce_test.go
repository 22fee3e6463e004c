package intake

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// The page's example, verbatim, gets the page's answer; again, it has flowed
// back before.
func TestPageExample(t *testing.T) {
	t.Parallel()
	id := regexp.MustCompile(`[0-9a-z]{12,13}`)
	for format, want := range map[string][2]string{
		"json": {
			`{"qimen_event_produce_response":{"is_success":true,"request_id":"ID"}}`,
			`{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isv.invalid-param: status has already backflow","sub_msg":"状态已经回流","request_id":"ID"}}`,
		},
		"xml": {
			`<?xml version="1.0" encoding="utf-8" ?><qimen_event_produce_response><is_success>true</is_success><request_id>ID</request_id></qimen_event_produce_response>`,
			`<?xml version="1.0" encoding="utf-8" ?><error_response><code>50</code><msg>Remote service error</msg><sub_code>isv.invalid-param: status has already backflow</sub_code><sub_msg>状态已经回流</sub_msg><request_id>ID</request_id></error_response>`,
		},
	} {
		for _, digest := range wire.Digests {
			g := newGateway(t).demo(t)
			for i := range 2 {
				r := page().set("format", format)
				r.digest = digest
				got := g.send(t, r).Body
				shown := strings.ReplaceAll(got, id.FindString(strings.SplitAfter(got, "request_id")[1]), "ID")
				if shown != want[i] {
					t.Errorf("%s %s, call %d:\n got %s\nwant %s", format, digest, i+1, shown, want[i])
				}
			}
			if n := len(g.events(t)); n != 1 {
				t.Errorf("%s %s: %d events, want 1", format, digest, n)
			}
		}
	}
}

func TestPageExampleIsKept(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	r := page()
	answer := g.send(t, r)
	e := g.events(t)[0]
	if want := (order.Key{Platform: "JD", Seller: "seller_001", Number: "12231221231232"}); e.Order != want {
		t.Errorf("order %+v, want %+v", e.Order, want)
	}
	var record struct {
		RequestID  string `json:"request_id"`
		Format     string
		SignMethod string `json:"sign_method"`
		Params     map[string]string
	}
	if err := json.Unmarshal(e.Record, &record); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"status": "QIMEN_ERP_TRANSFER", "ext": `{"rdsName","123wdx1"}`, "tid": "12231221231232", "platform": "JD", "create": "20170808",
		"nick": "seller_001", "erp_order_id": "erp_order_id", "taobao_sub_order_ids": "taobao_sub_order_ids", "event_time": "yyyy-mm-dd HH:mm:ss",
	}
	if !maps.Equal(record.Params, want) {
		t.Errorf("params %v, want %v", record.Params, want)
	}
	if !strings.Contains(answer.Body, record.RequestID) || record.Format != "json" || record.SignMethod != "md5" || string(e.Answer) != `{"is_success":true}` {
		t.Errorf("record %s, answer %s of %s", e.Record, e.Answer, answer)
	}
	for _, secret := range []string{"helloworld", "session", r.signed().Get("sign")} {
		if strings.Contains(string(e.Record), secret) {
			t.Errorf("record %s holds %s", e.Record, secret)
		}
	}
}

// misdeeds are ways in which event.produce says no, in the order of its checks
// (docs/decisions/0005). Sub codes and texts are the page's, typed again here.
var misdeeds = []struct {
	name    string
	subCode string
	subText string
	commit  func(*request)
}{
	{"status no topic", "isv.invalid-param: topic-empty", "topic不能为空", with("status", "Q")},
	{"topic not subscribed", "isv.topic-limitation: pub", "应用没有发送消息的权限", withTopics(apply.Topic{Status: "QIMEN_CP_OUT"})},
	{"ext no JSON", "isv.ivalid-message-content: error-json-format", "消息体content的json格式错误", with("ext", `{"a":`)},
	{"ext with another key", "isv.invalid-message-field: unmatch-topic-meta-info", "消息content中的字段与系统定义的字段不一致", func(r *request) {
		with("ext", `{"other":1}`)(r)
		withTopics(apply.Topic{Status: "*", ExtFields: []string{"rdsName"}})(r)
	}},
	{"create no number", "isv.invalid-parameter:create", "非法参数", with("create", "2017-08-08")},
	{"event_time no time", "isv.invalid-parameter:event_time", "非法参数", with("event_time", "yesterday")},
	{"repeated", "isv.invalid-param: status has already backflow", "状态已经回流", func(r *request) { r.app.Name = "repeated" }},
}

func withTopics(topics ...apply.Topic) func(*request) {
	return func(r *request) { r.app.Topics = &topics }
}

func sendMisdeed(t *testing.T, r *request) answer {
	g := newGateway(t)
	if r.app.Name == "repeated" {
		first := newRequest()
		if status := r.params["status"]; status != "Q" {
			first.set("status", status)
		}
		if got := g.send(t, first); !got.Success {
			t.Fatalf("the first of two: %v", got)
		}
	}
	return g.send(t, r)
}

func TestEveryRefusalOverHTTP(t *testing.T) {
	t.Parallel()
	produced := map[string]bool{}
	for i, m := range misdeeds {
		r := newRequest()
		m.commit(r)
		got := sendMisdeed(t, r)
		if got.Code != "50" || got.Text != "Remote service error" || got.SubCode != m.subCode || got.SubText != m.subText {
			t.Errorf("%s: got %v, want 50 %s %s", m.name, got, m.subCode, m.subText)
		}
		code, _, _ := strings.Cut(m.subCode, ":c")
		code, _, _ = strings.Cut(code, ":e")
		produced[code] = true
		for _, second := range misdeeds[i+1:] {
			r := newRequest()
			m.commit(r)
			if second.name == "ext with another key" && m.name == "ext no JSON" {
				continue // one ext, one mistake
			}
			topics := r.app.Topics
			second.commit(r)
			if topics != nil {
				r.app.Topics = topics
			}
			if got := sendMisdeed(t, r); got.SubCode != m.subCode {
				t.Errorf("%s and %s: got %v, want %s", m.name, second.name, got, m.subCode)
			}
		}
	}
	for _, row := range contract.EventProduce.Refusals {
		if produced[row.Code] == (row.Reserved != "") {
			t.Errorf("row %s: produced by a test %t, reserved %q", row.Code, produced[row.Code], row.Reserved)
		}
	}
}

// What is accepted and what is not, value by value.
func TestValues(t *testing.T) {
	t.Parallel()
	const (
		json  = "isv.ivalid-message-content: error-json-format"
		topic = "isv.invalid-param: topic-empty"
	)
	g := newGateway(t)
	for i, c := range []struct{ name, value, refusal string }{
		{"ext", `{}`, ""}, {"ext", ` {"a":{"b":[1,null]}} `, ""}, {"ext", "", ""}, {"ext", "  ", ""},
		{"ext", `{"rdsName","123wdx1"}`, ""}, {"ext", `{ "a" , "b\"c" }`, ""},
		{"ext", `{"a","b","c"}`, json}, {"ext", `{"a",1}`, json}, {"ext", `[]`, json}, {"ext", `"a"`, json}, {"ext", `null`, json}, {"ext", `{"a":1`, json}, {"ext", `{"a":1}x`, json}, {"ext", `{'a':'b'}`, json}, {"ext", `{"a","\x"}`, json},
		{"status", "QIMEN_SPLIT", ""}, {"status", "ABC", ""}, {"status", "A" + strings.Repeat("B", 63), ""},
		{"status", "AB", topic}, {"status", "A" + strings.Repeat("B", 64), topic}, {"status", "1AB", topic}, {"status", "_AB", topic}, {"status", "QIMEN ERP", topic}, {"status", "qimen_erp", topic}, {"status", " QIMEN_CP_OUT", topic}, {"status", "商家商家", topic},
		{"create", "20170808", ""}, {"create", "1502163000000", ""}, {"create", "", ""}, {"create", " ", ""}, {"create", "99999999999999999999999999", ""},
		{"create", "2017.1", "isv.invalid-parameter:create"}, {"create", "-1", "isv.invalid-parameter:create"}, {"create", " 1", "isv.invalid-parameter:create"}, {"create", "１", "isv.invalid-parameter:create"},
		{"event_time", "2017-08-08 12:30:00", ""}, {"event_time", "yyyy-mm-dd HH:mm:ss", ""}, {"event_time", "", ""},
		{"event_time", "2017-02-30 12:30:00", "isv.invalid-parameter:event_time"}, {"event_time", "yyyy-MM-dd HH:mm:ss", "isv.invalid-parameter:event_time"}, {"event_time", "1502163000000", "isv.invalid-parameter:event_time"}, {"event_time", "2017-08-08T12:30:00", "isv.invalid-parameter:event_time"},
		{"platform", "MARS", ""}, {"platform", "", ""}, {"nick", "@abc", ""}, {"tid", "任意 text\x00😀", ""}, {"tid", strings.Repeat("x", 256), ""},
		{"taobao_sub_order_ids", " 1, ,2,1,", ""}, {"unknown_extra", "x", ""},
	} {
		r := newRequest().set("tid", fmt.Sprint(i)).set(c.name, c.value)
		got := g.send(t, r)
		if got.Success != (c.refusal == "") || got.SubCode != c.refusal {
			t.Errorf("%s=%q: got %v, want %q", c.name, c.value, got, c.refusal)
		}
	}
	for name, value := range map[string]string{"tid": strings.Repeat("x", 257), "platform": strings.Repeat("x", 257), "erp_order_id": strings.Repeat("商", 257), "taobao_sub_order_ids": strings.Repeat("1,", 1000)} {
		if got := g.send(t, newRequest().set(name, value)); got.Code != "41" || got.Text != "Invalid arguments:"+name {
			t.Errorf("%s of %d bytes: %v", name, len(value), got)
		}
	}
	for _, name := range []string{"status", "tid"} {
		for _, r := range []*request{newRequest().drop(name), newRequest().set(name, ""), newRequest().set(name, " \t")} {
			if got := g.send(t, r); got.Code != "40" || got.Text != "Missing required arguments:"+name {
				t.Errorf("%s not given: %v", name, got)
			}
		}
	}
	if got := g.send(t, newRequest().drop("status").drop("tid")); got.Text != "Missing required arguments:status" {
		t.Errorf("neither given: %v", got)
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	for i, c := range []struct {
		topics []apply.Topic
		ext    string
		want   string
	}{
		{[]apply.Topic{}, "", "isv.topic-limitation: pub"},
		{[]apply.Topic{{Status: "QIMEN_CP_OUT"}}, "", "isv.topic-limitation: pub"},
		{[]apply.Topic{{Status: "QIMEN_ERP_TRANSFER"}}, `{"any":1}`, ""},
		{[]apply.Topic{{Status: "*"}}, `{"any":1}`, ""},
		{[]apply.Topic{{Status: "QIMEN_ERP_TRANSFER", ExtFields: []string{"rdsName"}}}, `{"rdsName","123wdx1"}`, ""},
		{[]apply.Topic{{Status: "QIMEN_ERP_TRANSFER", ExtFields: []string{"rdsName"}}}, `{"rds","123wdx1"}`, "isv.invalid-message-field: unmatch-topic-meta-info"},
		{[]apply.Topic{{Status: "QIMEN_ERP_TRANSFER", ExtFields: []string{"a"}}, {Status: "*"}}, `{"b":1}`, "isv.invalid-message-field: unmatch-topic-meta-info"},
		{[]apply.Topic{{Status: "QIMEN_ERP_TRANSFER", ExtFields: []string{}}}, `{"b":1}`, "isv.invalid-message-field: unmatch-topic-meta-info"},
		{[]apply.Topic{{Status: "QIMEN_ERP_TRANSFER", ExtFields: []string{"a"}}}, `{"a":1`, "isv.ivalid-message-content: error-json-format"},
	} {
		r := newRequest().set("tid", fmt.Sprint(i)).set("ext", c.ext)
		r.app.Topics = &c.topics
		if got := g.send(t, r); got.SubCode != c.want || got.Success != (c.want == "") {
			t.Errorf("topics %v, ext %s: got %v, want %q", c.topics, c.ext, got, c.want)
		}
	}
}

// Of 64 callers that report one status at once, one is told yes.
func TestConcurrentRepeats(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	form := newRequest().signed()
	var answers [64]bool
	var callers sync.WaitGroup
	for i := range answers {
		callers.Go(func() {
			response, err := g.Client().PostForm(g.URL+"/router/rest", form)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			answers[i] = err == nil && strings.Contains(string(body), `"is_success":true`)
		})
	}
	callers.Wait()
	yes := 0
	for _, a := range answers {
		if a {
			yes++
		}
	}
	if n := len(g.events(t)); yes != 1 || n != 1 {
		t.Errorf("%d callers were told yes, %d events; want 1 and 1", yes, n)
	}
}
