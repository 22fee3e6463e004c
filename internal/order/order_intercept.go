package order

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// intercepted is one order.self.intercept, read as the rules see it.
type intercepted struct {
	*contract.OrderInterceptRequest
	call   *Call
	id     string // of the event
	record json.RawMessage
	order  Key // of the seller who is named
	lines  []string
	later  bool // the caller is acknowledged, and gets the verdict by a callback
}

// interceptOrder judges qimen.taobao.qianniu.cloudkefu.order.self.intercept. The
// ledger decides by the conditions of docs/protocol/qimen.md 6, in their order, unless
// a merchant is asked.
func interceptOrder(c *Call) (*Work, error) {
	i := &intercepted{OrderInterceptRequest: c.Request.(*contract.OrderInterceptRequest), call: c}
	if i.lines = splitIDs(i.Order.SubOrders); len(i.lines) == 0 {
		return nil, contract.About(contract.InvalidParameter, "bizOrder")
	}
	switch i.CallType {
	case contract.CallSynchronous:
	case contract.CallAsynchronous:
		i.later = true
	default:
		return nil, contract.About(contract.InvalidParameter, "callType")
	}
	i.order = Key{Platform: Taobao, Seller: i.SellerNick, Number: i.Order.ID}
	i.id, i.record = NewEventID(), c.Record.JSON()
	w := alone(&Task{Orders: []Key{i.order}, Numbers: []NumberKey{i.number()}, Decide: i.decide})
	asked := *i.OrderInterceptRequest
	asked.CallType = contract.CallSynchronous // the answer is the verdict, whenever the caller hears it
	w.Question = &Question{API: c.API, Platform: Taobao, Seller: i.SellerNick, Request: &asked, Later: i.later, Ask: i.ask, Settle: i.settle}
	return w, nil
}

func (i *intercepted) number() NumberKey { return NumberKey{Platform: Taobao, Number: i.Order.ID} }

// decide locks the sub orders by the ledger alone: all of them, or none.
func (i *intercepted) decide(v *View) (Decision, error) {
	no := i.refusal(v)
	verdict := &contract.OrderInterceptReply{Result: contract.InterceptResult{Success: no == nil}}
	if no != nil {
		verdict = i.declined(no)
	}
	if !i.later && (no == contract.InterceptUnknown || no == contract.InterceptFailed) { // of no order that is known to be this seller's and buyer's
		return Decision{Reply: verdict}, nil
	}
	o := v.Orders[i.order]
	change := Change{Key: i.order, Header: o.Header}
	if no == nil {
		change.Locks = i.locks(o, Lock{State: LockHeld, SettledAt: v.Now}, v.Now)
	}
	return i.decision(verdict, change, v.Now), nil
}

// decision records the call, and what it changes.
func (i *intercepted) decision(verdict *contract.OrderInterceptReply, change Change, now time.Time) Decision {
	answer := verdict
	if i.later {
		answer = acknowledgement
	}
	d := Decision{Reply: answer, Orders: []Change{change}, Events: []Event{i.event(i.call.API.JSON(answer))}}
	if i.later {
		d.Events = append(d.Events, callbacks(i.order, i.id, i.lines, verdict.Result, now)...)
	}
	return d
}

// event is that of the call, with its answer.
func (i *intercepted) event(answer json.RawMessage) Event {
	return Event{
		ID: i.id, API: i.call.API.Method, Order: i.order, Lines: i.lines, App: i.call.App.Key, At: i.call.At,
		Record: i.record, Answer: answer, Warnings: i.call.Warnings,
	}
}

// acknowledgement is the answer to a call whose verdict follows.
var acknowledgement = &contract.OrderInterceptReply{Result: contract.InterceptResult{Success: true}}

func (i *intercepted) declined(row *contract.Refusal) *contract.OrderInterceptReply {
	reply, _ := i.call.API.Declined(row) // its answers have room for one
	return reply.(*contract.OrderInterceptReply)
}

// refusal is why the ledger does not lock; nil when it does, or has.
func (i *intercepted) refusal(v *View) *contract.Refusal {
	o := v.Orders[i.order]
	switch {
	case i.knownTo(o) && i.isBuyer(o):
	case i.knownTo(o), slices.ContainsFunc(v.Named[i.number()], i.knownTo): // another buyer's, another seller's
		return contract.InterceptFailed
	default:
		return contract.InterceptUnknown
	}
	reached := map[State]bool{}
	for _, line := range i.lines {
		if !o.Held(line) {
			reached[o.stateOf(line)] = true
		}
	}
	switch {
	case reached[Shipped]:
		return contract.InterceptShipped
	case reached[Out]:
		return contract.InterceptOut
	case reached[Notified] && i.call.Merchant.lockUntil() == UntilNotify:
		return contract.InterceptPicked
	}
	return nil
}

// knownTo reports whether an order has all of the sub orders.
func (i *intercepted) knownTo(o *Order) bool {
	return !slices.ContainsFunc(i.lines, func(line string) bool {
		_, known := o.Line(line)
		return !known
	})
}

// isBuyer compares the buyer with what the order knows of him: by his open uid when
// the call gives one.
func (i *intercepted) isBuyer(o *Order) bool {
	if !contract.Blank(i.BuyerOpenUID) {
		return o.BuyerOpenUID == "" || o.BuyerOpenUID == i.BuyerOpenUID
	}
	return o.Buyer == "" || o.Buyer == i.BuyerNick
}

// locks makes a lock of each line that is not held.
func (i *intercepted) locks(o *Order, like Lock, now time.Time) []Lock {
	var locks []Lock
	next := o.lastLock()
	for _, line := range i.lines {
		if like.State == LockHeld && o.Held(line) {
			continue
		}
		next++
		like.Number, like.Line, like.Event, like.Later, like.AskedAt = next, line, i.id, i.later, now
		locks = append(locks, like)
	}
	return locks
}

// ask makes the task that records the call before the merchant hears of it.
func (i *intercepted) ask(destination string) *Task {
	return &Task{Orders: []Key{i.order}, Decide: func(v *View) (Decision, error) {
		o := v.Orders[i.order]
		if o.binding()+len(i.lines) > MaxLocks {
			return Decision{}, contract.About(contract.BadArgument, "bizOrder")
		}
		d := Decision{
			Orders: []Change{{Key: i.order, Header: o.Header, Locks: i.locks(o, Lock{State: LockAsked, Destination: destination}, v.Now)}},
			Events: []Event{i.event(noAnswer)},
		}
		if i.later {
			d.Reply, d.Events[0].Answer = acknowledgement, i.call.API.JSON(acknowledgement)
		}
		d.Events[0].Asked = !i.later
		return d, nil
	}}
}

// settle makes the task that records the merchant's verdict and answers with it.
func (i *intercepted) settle(verdict Verdict) *Task {
	return &Task{Orders: []Key{i.order}, Decide: func(v *View) (Decision, error) {
		o := v.Orders[i.order]
		asked := slices.DeleteFunc(slices.Clone(o.Locks), func(l Lock) bool { return l.Event != i.id || l.State != LockAsked })
		var result *contract.InterceptResult
		if reply, ok := verdict.Reply.(*contract.OrderInterceptReply); ok {
			result = &contract.InterceptResult{Success: reply.Result.Success}
			if !reply.Result.Success {
				*result = reply.Result
			}
		}
		s := settle(o, asked, result, i.id, verdict.Err, v.Now)
		d := Decision{Orders: []Change{s.change}, Events: s.events}
		told := linesOf(asked) // of the others a callback of the merchant's own has told
		switch {
		case i.later && result == nil:
			d.Events = append(d.Events, callbacks(i.order, i.id, told, brokenOff, v.Now)...)
			return d, nil
		case i.later:
			d.Events = append(d.Events, callbacks(i.order, i.id, told, *result, v.Now)...)
			return d, nil
		}
		final := i.event(noAnswer)
		if result = i.outcome(o, s.change, result); result == nil {
			d.Refusal = cmp.Or(verdict.Err, error(contract.ReadTimeout)) // a verdict that comes after the end of its locks is none
			d.Answers = []Answered{{Event: i.id, Answer: noAnswer, Final: &final}}
			return d, nil
		}
		reply := &contract.OrderInterceptReply{Result: *result}
		d.Reply = reply
		d.Answers = []Answered{{Event: i.id, Answer: i.call.API.JSON(reply), Final: &final}}
		return d, nil
	}}
}

// outcome is what the caller is told: the verdict, unless callbacks of the merchant's
// own have settled locks of the call otherwise. It is nil when one of them is unknown.
func (i *intercepted) outcome(o *Order, c Change, verdict *contract.InterceptResult) *contract.InterceptResult {
	after := o.clone()
	after.putLocks(c.Locks)
	all, held := 0, 0
	var no *contract.InterceptResult
	for _, l := range after.Locks {
		if l.Event != i.id {
			continue
		}
		switch all++; l.State {
		case LockUnknown:
			return nil
		case LockHeld:
			held++
		default:
			no = &contract.InterceptResult{ErrorCode: cmp.Or(l.Code, contract.InterceptFailed.Code), ErrorText: l.Text}
		}
	}
	switch {
	case all > 0 && held == all:
		return &contract.InterceptResult{Success: true}
	case verdict != nil && !verdict.Success, no == nil:
		return verdict
	}
	return no
}

// brokenOff is the verdict of a merchant who gave none.
var brokenOff = contract.InterceptResult{ErrorCode: contract.InterceptBroken.Code}

// callbacks are the events that bring the verdict of an asynchronous call to the
// platform, in chunks of as many sub orders as a call of theirs may hold.
func callbacks(k Key, call string, lines []string, result contract.InterceptResult, now time.Time) []Event {
	api := contract.InterceptCallback
	var events []Event
	for chunk := range slices.Chunk(lines, contract.MaxCallback) {
		request := &contract.InterceptCallbackRequest{OrderID: k.Number, SubOrders: strings.Join(chunk, ","), Success: result.Success, ErrorCode: callbackCode(result)}
		events = append(events, Event{
			ID: ownID(api.Method, k.Platform, k.Seller, k.Number, call, strconv.Itoa(len(events))), API: api.Method, Order: k, Lines: chunk, At: now,
			Record: Record{Params: api.Params(request)}.JSON(), Answer: noAnswer, Owed: true,
		})
	}
	return events
}

// callbackCode is an error code of the table that callbacks know; what a merchant
// says in other words is an undefined failure.
func callbackCode(result contract.InterceptResult) string {
	if result.Success {
		return ""
	}
	if len(result.ErrorCode) == 4 && result.ErrorCode >= contract.InterceptShipped.Code && result.ErrorCode <= contract.InterceptBroken.Code {
		return result.ErrorCode
	}
	return contract.InterceptFailed.Code
}

// interceptCallback judges taobao.gearfactory.intercept.order.callback: a merchant's
// own verdict about sub orders. It settles locks that wait for one, and makes or ends
// those of the lines it names.
func interceptCallback(c *Call) (*Work, error) {
	r := c.Request.(*contract.InterceptCallbackRequest)
	lines := splitIDs(r.SubOrders)
	if len(lines) == 0 {
		return nil, contract.About(contract.InvalidParameter, "sub_order_ids")
	}
	k := Key{Platform: Taobao, Seller: c.Seller, Number: r.OrderID}
	id, record := NewEventID(), c.Record.JSON()
	return alone(&Task{Orders: []Key{k}, Decide: func(v *View) (Decision, error) {
		o := v.Orders[k]
		result := &contract.InterceptResult{Success: r.Success, ErrorCode: r.ErrorCode}
		s := settle(o, concerned(o, lines, r.Success, id, v.Now), result, id, nil, v.Now)
		if r.Success && o.binding()+len(lines) > MaxLocks {
			return Decision{}, contract.About(contract.BadArgument, "sub_order_ids")
		}
		reply := &contract.InterceptCallbackReply{Success: true}
		event := Event{ID: id, API: c.API.Method, Order: k, Lines: lines, App: c.App.Key, At: c.At, Record: record, Answer: c.API.JSON(reply), Warnings: c.Warnings, Session: c.Session, Owed: len(s.change.Locks) > 0} // what is known already is not passed on: it may have come from there
		return Decision{Reply: reply, Orders: []Change{s.change}, Events: append([]Event{event}, s.events...)}, nil
	}}), nil
}

// concerned are the locks that a merchant's verdict about lines is about: those that
// wait for one or that it contradicts. A yes to a line of which none is held takes up
// one that was refused, or makes one.
func concerned(o *Order, lines []string, yes bool, event string, now time.Time) []Lock {
	var locks []Lock
	next := o.lastLock()
	for _, line := range lines {
		var refused *Lock
		found := false
		for _, l := range o.Locks {
			if l.Line != line {
				continue
			}
			switch l.State {
			case LockAsked, LockUnknown:
				locks, found = append(locks, l), true
			case LockHeld:
				if found = true; !yes {
					locks = append(locks, l)
				}
			case LockRefused:
				refused = &l
			}
		}
		switch {
		case !yes || found:
		case refused != nil:
			locks = append(locks, *refused)
		default:
			next++
			locks = append(locks, Lock{Number: next, Line: line, Event: event, AskedAt: now})
		}
	}
	return locks
}
