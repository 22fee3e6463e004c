package contract

import (
	"cmp"
	"errors"
	"fmt"
)

// EventsProduceRequest reports up to [MaxMessages] events in one call. Source:
// taobao.qimen.events.produce, docs/protocol/qimen.md 7.2.
type EventsProduceRequest struct {
	Messages string // JSON array of {"event":{…}}; see Messages
}

// EventsProduceReply answers event by event.
type EventsProduceReply struct {
	AllSuccess bool
	Results    []EventResult // in the order of the events
}

// EventResult is the outcome of one event.
type EventResult struct {
	Success   bool
	ErrorCode string // as the sub_code of event.produce
	ErrorText string
}

// MaxMessages is how many events one call may hold.
const MaxMessages = 50

// ParameterRequired is how an event without status or tid is refused.
var ParameterRequired = &Refusal{Code: "isv.invalid-paramter", Text: "parameter required", Advice: Fix, InReply: true} // sic

// EventsProduce is taobao.qimen.events.produce.
var EventsProduce = Define[EventsProduceRequest, EventsProduceReply](API{
	Method:     "taobao.qimen.events.produce",
	Title:      "批量发出奇门事件",
	About:      "批量通知奇门系统,一次最多50个事件,逐个返回结果。",
	Protocol:   TOP,
	Session:    Required,
	Repeatable: true,
	Request: []Field{
		{Name: "messages", Go: "Messages", Type: JSON, Required: true, Example: `[{"event":{"status":"QIMEN_ERP_TRANSFER","tid":"12231221231232"}}]`, Text: "JSON数组,每个元素为{\"event\":{…}},event的字段同taobao.qimen.event.produce"},
	},
	Reply: []Field{
		{Name: "is_all_success", Go: "AllSuccess", Type: Boolean, Verdict: true, Example: `true`, Text: "是否全部成功"},
		{Name: "results", Go: "Results", Type: "QimenResult[]", Item: "qimen_result", Text: "每个事件的结果,与发送顺序相同", Fields: []Field{
			{Name: "is_success", Go: "Success", Type: Boolean, Example: `true`, Text: "是否成功"},
			{Name: "error_code", Go: "ErrorCode", Type: String, Example: `isv.invalid-paramter`, Text: "错误码"},
			{Name: "error_message", Go: "ErrorText", Type: String, Example: `parameter required`, Text: "错误信息"},
		}},
	},
	Refusals: []*Refusal{UnmatchedField, TopicNotAllowed, BrokenJSON, TopicEmpty, AlreadyBackflow, InvalidParameter, ParameterRequired},
})

// Refused returns what an event was refused with; nil when it was accepted.
func (r EventResult) Refused() *Refused {
	if r.Success {
		return nil
	}
	return &Refused{
		Code: TOPFaults[BusinessRefused].Code, Text: TOPFaults[BusinessRefused].Text,
		SubCode: r.ErrorCode, SubText: r.ErrorText, Row: EventsProduce.refusalRow(r.ErrorCode),
	}
}

func (r *EventsProduceReply) decline(row *Refusal) {
	r.Results = []EventResult{{ErrorCode: row.Code, ErrorText: row.Text}}
}

// refusal sums up a no; what each event was refused with stands in its result.
func (r *EventsProduceReply) refusal() *Refused {
	refused := 0
	for _, result := range r.Results {
		if !result.Success {
			refused++
		}
	}
	return &Refused{Text: fmt.Sprintf("%d of %d events were refused", refused, len(r.Results))}
}

// Messages writes events as the messages of a call. Blank fields are left out.
func Messages(events ...*EventProduceRequest) string {
	var b []byte
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"event":{`...)
		for _, p := range EventProduce.Params(e) {
			b = AppendJSONString(append(AppendJSONString(b, p.Name), ':'), p.Value)
			b = append(b, ',')
		}
		b = append(closeObject(b), '}')
	}
	return "[" + string(b) + "]"
}

// Message is one element of messages, as it was received.
type Message struct {
	Event   *EventProduceRequest
	Params  []Param // of the event, in the order in which they stand
	Unknown bool    // it holds a field that event.produce does not have
	Err     error   // about ParameterRequired or InvalidParameter: Event is nil
}

// ParseMessages reads messages. The error is [BrokenJSON] when they are no JSON
// array, or about [BadArgument] when they are none or too many. What is wrong with
// one of them stands in it.
func ParseMessages(text string) ([]Message, error) {
	n, err := ParseJSON(text)
	switch {
	case err != nil, n.Kind != ListNode:
		return nil, BrokenJSON
	case len(n.Parts) == 0, len(n.Parts) > MaxMessages:
		return nil, About(BadArgument, "messages")
	}
	messages := make([]Message, len(n.Parts))
	for i := range n.Parts {
		messages[i] = parseMessage(n.Parts[i].Node)
	}
	return messages, nil
}

func parseMessage(element *Node) (m Message) {
	event, ok := element.Get("event")
	if !ok || event.Kind != ObjectNode {
		return Message{Err: ParameterRequired}
	}
	for _, p := range element.Parts {
		m.Unknown = m.Unknown || p.Node != event && p.Kind != NullNode
	}
	for _, p := range event.Parts {
		if p.Kind == NullNode {
			continue
		}
		row, known := EventProduce.Field(p.Name)
		m.Unknown = m.Unknown || !known
		if known && !row.Object && p.Kind != TextNode && p.Kind != NumberNode {
			m.Err = cmp.Or(m.Err, About(InvalidParameter, p.Name))
		}
		m.Params = append(m.Params, Param{p.Name, p.Text})
	}
	if m.Err != nil {
		return m
	}
	request, err := EventProduce.Decode(func(name string) (string, bool) {
		value, ok := event.Get(name)
		if !ok {
			return "", false
		}
		return value.Text, true
	})
	switch {
	case errors.Is(err, MissingArgument):
		m.Err = ParameterRequired
	case err != nil:
		m.Err = About(InvalidParameter, Detail(err))
	default:
		m.Event = request.(*EventProduceRequest)
	}
	return m
}
