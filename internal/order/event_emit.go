package order

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// WarnOlder is the warning of event.emit.
var WarnOlder = Warning{"older", "its ts lies before that of the work order's status, which stays as it is"}

// emitted is one event.emit, read as the rules see it. Blank fields are empty.
type emitted struct {
	contract.EventEmitRequest
	call   *Call
	event  string // our id
	record json.RawMessage
}

// emitEvent judges taobao.bcpush.isv.event.emit. The order of the checks is that
// of docs/protocol/top.md 10: ctx_data, ts, something to name it by, and last, in
// the ledger, whether its event_id was used for other content.
func emitEvent(c *Call) (*Work, error) {
	e := &emitted{EventEmitRequest: *c.Request.(*contract.EventEmitRequest), call: c}
	for _, field := range []*string{
		&e.EventID, &e.WorkOrderID, &e.PlanID, &e.OrderID, &e.TenantCode, &e.Context, &e.Timestamp, &e.WorkOrderType, &e.WorkOrderStatus,
	} {
		if contract.Blank(*field) {
			*field = ""
		}
	}
	switch {
	case e.Context != "" && !json.Valid([]byte(e.Context)):
		return nil, contract.About(contract.InvalidParameter, "ctx_data")
	case e.Timestamp != "" && !contract.Digits(e.Timestamp):
		return nil, contract.About(contract.InvalidParameter, "ts")
	case e.EventID+e.WorkOrderID+e.PlanID+e.OrderID == "":
		return &Work{Sum: func() any { return declined(contract.EventNamesNothing) }}, nil
	}
	e.event, e.record = NewEventID(), c.Record.JSON()
	t := &Task{Decide: e.decide}
	if e.OrderID != "" {
		t.Orders = []Key{e.order()}
	}
	if e.WorkOrderID != "" {
		t.WorkOrders = []WorkOrderKey{e.workOrder()}
	}
	if e.EventID != "" {
		t.EventIDs = []EventIDKey{e.id()}
	}
	return alone(t), nil
}

func (e *emitted) order() Key {
	return Key{Platform: Taobao, Seller: e.call.Seller, Number: e.OrderID}
}

func (e *emitted) workOrder() WorkOrderKey {
	return WorkOrderKey{App: e.call.App.Key, Tenant: e.TenantCode, ID: e.WorkOrderID}
}

func (e *emitted) id() EventIDKey {
	return EventIDKey{App: e.call.App.Key, Tenant: e.TenantCode, ID: e.EventID}
}

func (e *emitted) decide(v *View) (Decision, error) {
	reply := &contract.EventEmitReply{Result: contract.EventEmitResult{Success: true, Module: true, ErrorCode: "0", Version: contract.EventEmitVersion}}
	d := Decision{Reply: reply}
	if e.EventID != "" {
		content := contentOf(e.call)
		if before, known := v.EventIDs[e.id()]; known && e.call.App.Authority != Upstream {
			if before != content {
				d.Reply = declined(contract.EventIDTaken)
			}
			return d, nil
		}
		d.EventIDs = []EventID{{e.id(), content}}
	}
	event := Event{
		ID: e.event, API: e.call.API.Method, App: e.call.App.Key, At: e.call.At,
		Record: e.record, Answer: e.call.API.JSON(reply), Session: e.call.Session,
	}
	if e.OrderID != "" {
		event.Order = e.order()
		d.Orders = []Change{{Key: event.Order, Header: v.Orders[event.Order].Header}}
	}
	if e.WorkOrderID != "" {
		event.WorkOrder = e.workOrder()
		w, older := e.move(v)
		if older {
			event.Warnings = []string{WarnOlder.Code}
		}
		d.WorkOrders = []*WorkOrder{w}
	}
	d.Events = []Event{event}
	return d, nil
}

// declined is the answer that says no with a row.
func declined(row *contract.Refusal) any {
	reply, _ := contract.EventEmit.Declined(row) // its answers have room for one
	return reply
}

// move returns the work order as the event leaves it. An event that is older
// than the status joins the history and moves nothing.
func (e *emitted) move(v *View) (w *WorkOrder, older bool) {
	w = &WorkOrder{WorkOrderKey: e.workOrder(), CreatedAt: v.Now}
	if known := v.WorkOrders[w.WorkOrderKey]; known != nil {
		*w = *known
	}
	w.UpdatedAt = v.Now
	if e.Timestamp != "" && w.Timestamp != "" && compareDigits(e.Timestamp, w.Timestamp) < 0 {
		return w, true
	}
	if e.WorkOrderStatus != "" {
		w.Status, w.Timestamp = e.WorkOrderStatus, e.Timestamp
	}
	w.Type = cmp.Or(e.WorkOrderType, w.Type)
	w.PlanID = cmp.Or(e.PlanID, w.PlanID)
	w.OrderID = cmp.Or(e.OrderID, w.OrderID)
	return w, false
}

// compareDigits compares decimal numbers of any length.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// contentOf tells contents of one event id apart: the fields of the page that
// are not blank, byte for byte.
func contentOf(c *Call) string {
	h := sha256.New()
	for _, p := range c.API.Params(c.Request) {
		_, _ = io.WriteString(h, p.Name+"="+strconv.Itoa(len(p.Value))+":"+p.Value) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
