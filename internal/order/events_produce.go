package order

import (
	"errors"

	"github.com/ordergate/ordergate/contract"
)

// produceEvents judges taobao.qimen.events.produce. Each element is judged as
// taobao.qimen.event.produce judges it, and recorded as such an event; a refused
// one harms no other, and each sees what those before it did.
func produceEvents(c *Call) (*Work, error) {
	messages, err := contract.ParseMessages(c.Request.(*contract.EventsProduceRequest).Messages)
	if err != nil {
		return nil, err
	}
	judged := make([]outcome, len(messages))
	w := &Work{Tasks: make([]*Task, 0, len(messages)), Sum: func() any { return sum(judged) }}
	for i, m := range messages {
		o := &judged[i]
		if o.err = m.Err; o.err != nil {
			continue
		}
		element := *c
		element.API = contract.EventProduce
		element.Record.Via, element.Record.Params = c.API.Method, m.Params
		p := &produced{EventProduceRequest: m.Event, call: &element, unknown: m.Unknown}
		if o.task, o.err = p.judge(); o.err == nil {
			w.Tasks, w.Elements = append(w.Tasks, o.task), append(w.Elements, i)
		}
	}
	return w, nil
}

// outcome is what becomes of an element: refused at once, or decided by a task.
type outcome struct {
	task *Task
	err  error
}

func sum(judged []outcome) *contract.EventsProduceReply {
	reply := &contract.EventsProduceReply{AllSuccess: true, Results: make([]contract.EventResult, len(judged))}
	for i, o := range judged {
		err := o.err
		if err == nil {
			err = o.task.Err
		}
		reply.Results[i] = resultOf(err)
		reply.AllSuccess = reply.AllSuccess && err == nil
	}
	return reply
}

// resultOf words an element's refusal as event.produce would. Limits of our own
// have no sub code there; here they are an invalid parameter.
func resultOf(err error) contract.EventResult {
	if err == nil {
		return contract.EventResult{Success: true}
	}
	if refusal, ok := errors.AsType[*contract.Refusal](err); ok {
		return contract.EventResult{ErrorCode: refusal.SubCode(contract.Detail(err)), ErrorText: refusal.Text}
	}
	if errors.Is(err, contract.BadArgument) {
		return contract.EventResult{ErrorCode: contract.InvalidParameter.SubCode(contract.Detail(err)), ErrorText: contract.InvalidParameter.Text}
	}
	row := contract.TOPFaults[contract.Unavailable]
	return contract.EventResult{ErrorCode: row.SubCode, ErrorText: row.Text}
}
