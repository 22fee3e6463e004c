package order

import (
	"encoding/json"
	"errors"
	"maps"

	"github.com/ordergate/ordergate/contract"
)

// QuestionOf returns what a judged call asks of whoever decides about it, when a
// destination waits for it: what its rule says, or that it be passed on to a platform as
// it is. It is nil when there is nothing to ask.
func QuestionOf(c *Call, w *Work) *Question {
	switch {
	case w.Question != nil:
		return w.Question
	case len(w.Tasks) == 0 || c.API.Reverse:
		return nil
	}
	p := &passed{call: c, tasks: w.Tasks, elements: w.Elements}
	q := &Question{API: c.API, Request: c.Request, Params: c.Record.Params, Session: c.Session, Ask: p.ask, Settle: p.settle}
	q.Platform, q.Seller = Taobao, c.Seller
	if c.API.Protocol == contract.Suning {
		q.Platform, q.Seller = Suning, c.App.SupplierCode
	}
	if t := w.Tasks[0]; len(t.Orders) > 0 {
		q.Platform, q.Seller = t.Orders[0].Platform, t.Orders[0].Seller
	}
	return q
}

// passed is a call that a platform decides about. Its rule says beforehand what the
// ledger would make of it, and afterwards what the ledger makes of a yes.
type passed struct {
	call  *Call
	tasks []*Task

	elements []int    // of a list: which each task is
	ids      []string // of the event of each task, as it was asked; empty: the ledger has none
}

// loads is the task that loads what all tasks load.
func (p *passed) loads(decide func(*View) (Decision, error)) *Task {
	t := &Task{Decide: decide}
	for _, part := range p.tasks {
		t.Orders, t.Numbers = append(t.Orders, part.Orders...), append(t.Numbers, part.Numbers...)
		t.WorkOrders, t.EventIDs = append(t.WorkOrders, part.WorkOrders...), append(t.EventIDs, part.EventIDs...)
	}
	return t
}

// ask makes the task that records the call before the platform hears of it, unless the
// ledger refuses it. Nothing moves; orders and work orders that nobody knew exist from
// now on.
func (p *passed) ask(string) *Task {
	return p.loads(func(v *View) (Decision, error) {
		var d Decision
		p.ids = make([]string, len(p.tasks))
		for i, t := range p.tasks {
			would, err := t.Decide(v)
			switch {
			case err != nil && p.elements != nil: // one of several; the platform says so itself
				continue
			case err != nil, would.Refusal != nil, len(would.Events) == 0: // refused, or a repetition
				return would, err
			}
			e := would.Events[0] // the others are what would follow
			e.Asked, e.Answer = true, noAnswer
			d.Events = append(d.Events, e)
			p.ids[i] = e.ID
			if o := v.Orders[e.Order]; o != nil {
				d.Orders = append(d.Orders, Change{Key: o.Key, Header: o.Header})
			}
			if e.WorkOrder.ID != "" {
				d.WorkOrders = append(d.WorkOrders, p.asIs(v, e.WorkOrder))
			}
		}
		return d, nil
	})
}

// asIs is a work order as it is, or a new one of which nothing is known.
func (p *passed) asIs(v *View, k WorkOrderKey) *WorkOrder {
	if known := v.WorkOrders[k]; known != nil {
		return known
	}
	return &WorkOrder{WorkOrderKey: k, CreatedAt: v.Now, UpdatedAt: v.Now}
}

// settle makes the task that records what the platform said. What it accepts, or had
// accepted before, is a fact and moves the ledger; what it refuses, and what nobody
// knows the end of, stays in the log as that.
func (p *passed) settle(verdict Verdict) *Task {
	return p.loads(func(v *View) (Decision, error) {
		var all Decision
		after := *v // as the tasks leave it, one after the other
		after.Orders = maps.Clone(v.Orders)
		for i, t := range p.tasks {
			if i >= len(p.ids) || p.ids[i] == "" {
				continue
			}
			answer, yes, done := p.verdictOn(i, verdict)
			answered := Answered{Event: p.ids[i], Answer: answer}
			if yes || done {
				d, err := t.Decide(&after)
				if err == nil && len(d.Events) > 0 && (yes || d.moves(&after)) { // else the ledger knows it already
					all.take(d, &after)
					answered.Final = &d.Events[0]
					all.Events = append(all.Events, d.Events[1:]...)
				}
			}
			all.Answers = append(all.Answers, answered)
		}
		all.Reply, all.Refusal = verdict.Reply, verdict.Err
		if verdict.Reply == nil && verdict.Err == nil {
			all.Refusal = contract.ParseError
		}
		return all, nil
	})
}

// take adds what another decision writes, but for its events, and shows it to those that
// follow.
func (d *Decision) take(other Decision, v *View) {
	for _, c := range other.Orders {
		o := v.Orders[c.Key].clone()
		o.Apply(c, v.Now)
		v.Orders[c.Key] = o
	}
	d.Orders = append(d.Orders, other.Orders...)
	d.WorkOrders = append(d.WorkOrders, other.WorkOrders...)
	d.EventIDs = append(d.EventIDs, other.EventIDs...)
}

// moves reports whether a decision changes what the ledger knows, besides the log.
func (d *Decision) moves(v *View) bool {
	for _, c := range d.Orders {
		o := v.Orders[c.Key]
		if c.Header != o.Header || len(c.Marks) > 0 {
			return true
		}
		for _, l := range c.Lines {
			if known, ok := o.Line(l.Number); !ok || known.State != l.State {
				return true
			}
		}
	}
	for _, id := range d.EventIDs {
		if _, known := v.EventIDs[id.EventIDKey]; !known {
			return true
		}
	}
	return false
}

// verdictOn is what the platform said about one of the tasks: whether it accepts it, or
// had accepted it before.
func (p *passed) verdictOn(task int, verdict Verdict) (answer json.RawMessage, yes, done bool) {
	switch {
	case verdict.Err != nil:
		return refusedAnswer(verdict.Err), false, p.call.API.Done(p.call.Request, verdict.Err)
	case verdict.Reply == nil:
		return refusedAnswer(contract.ParseError), false, false
	}
	reply, list := verdict.Reply.(*contract.EventsProduceReply)
	if !list {
		return p.call.API.JSON(verdict.Reply), p.call.API.Yes(verdict.Reply), false
	}
	if p.elements[task] >= len(reply.Results) {
		return refusedAnswer(contract.ParseError), false, false
	}
	if result := reply.Results[p.elements[task]]; !result.Success {
		refused := &contract.Refused{SubCode: result.ErrorCode, SubText: result.ErrorText}
		return refusedAnswer(refused), false, contract.IsDone(contract.EventProduce, result.ErrorCode)
	}
	return contract.EventProduce.JSON(&contract.EventProduceReply{Success: true}), true, false
}

// refusedAnswer is the answer of an event that the platform refused, or whose end nobody
// knows.
func refusedAnswer(err error) json.RawMessage {
	fields := struct {
		Code    string `json:"code,omitempty"`
		Text    string `json:"msg,omitempty"`
		SubCode string `json:"sub_code,omitempty"`
		SubText string `json:"sub_msg,omitempty"`
	}{}
	if refused, ok := errors.AsType[*contract.Refused](err); ok {
		fields.Code, fields.Text, fields.SubCode, fields.SubText = refused.Code, refused.Text, refused.SubCode, refused.SubText
	} else if row, ok := errors.AsType[*contract.Refusal](err); ok {
		fields.SubCode, fields.SubText = row.Code, row.Text
	}
	b, err := json.Marshal(fields)
	if err != nil {
		panic(err) // texts have JSON
	}
	return b
}
