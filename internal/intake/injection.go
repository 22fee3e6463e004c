package intake

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// inject takes the fault on demand that the call gets, if any. When the call is
// not carried out, it is handled: refused with the error, or its work is an answer.
func (c *call) inject() (handled bool, err error) {
	if c.server.Injections == nil {
		return false, nil
	}
	number, _ := c.rule.API.OrderID(c.request)
	c.injection = c.server.Injections.Pick(c.rule.API, c.app.Key, number)
	if c.injection == nil || !c.injection.Replaces() {
		return false, nil
	}
	reply, err := c.replacement()
	c.work = &order.Work{Sum: func() any { return reply }}
	return true, err
}

// replacement is the answer that stands in for the call's own.
func (c *call) replacement() (reply any, err error) {
	switch api := c.rule.API; {
	case c.injection.Answer != "":
		row, _ := api.Answer(c.injection.Answer)
		if refusal, ok := row.(*contract.Refusal); ok && refusal.InReply {
			if reply, ok := api.Declined(refusal); ok {
				return reply, nil
			}
		}
		return nil, row
	case c.injection.Result != nil:
		reply, _ = api.DecodeReply(c.injection.Result)
		return reply, nil
	}
	return nil, errReplaced
}

// errReplaced stands for an answer that is not one of the API's.
var errReplaced = errors.New("a fault on demand replaces the answer")

// together is what happens to an exchange whose calls have two faults: the longer
// delay, the first status, and no answer if one of them drops it.
func together(a, b *order.Injection) *order.Injection {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return &order.Injection{Delay: max(a.Delay, b.Delay), Status: cmp.Or(a.Status, b.Status), DropAfterApply: a.DropAfterApply || b.DropAfterApply}
}

// disturb does to the exchange what the fault says, and reports whether that is
// its end.
func (c *call) disturb(w http.ResponseWriter) (ended bool) {
	if c.injection.Delay > 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the request is read; a late deadline would end the wait
		t := time.NewTimer(c.injection.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.http.Context().Done():
		}
	}
	switch {
	case c.injection.DropAfterApply:
		panic(http.ErrAbortHandler) // closes the connection
	case c.injection.Status != 0:
		w.WriteHeader(c.injection.Status)
		return true
	}
	return false
}
