package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ordergate/ordergate/client"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/ordergatetest"
)

const statusYes = `{"sn_responseContent":{"sn_body":{"addLeaguerstatus":{"result":"Y","orderId":"1","orderItemId":"2"}}}}`

func statusNo(code string) string {
	if len(code) == 3 {
		code = "biz.selfmarket.addleaguerstatus.invalid-biz:" + code
	}
	return fmt.Sprintf(`{"sn_responseContent":{"sn_error":{"error_code":%q}}}`, code)
}

// What each answer means for each status: docs/protocol/suning.md 5.6.
func TestLeaguerStatusAnswers(t *testing.T) {
	t.Parallel()
	reset := errors.New("connection reset")
	for _, c := range []struct {
		status  string
		answers []any
		tries   int
		before  *contract.Refusal // the platform had it
		want    error             // nil: it has it
		advice  contract.Advice
	}{
		{"180", []any{statusYes}, 1, nil, nil, contract.Done},
		{"180", []any{statusNo("105")}, 1, contract.AlreadyShipped, nil, contract.Done},
		{"180", []any{statusNo("106")}, 1, contract.AlreadyReceived, nil, contract.Done},
		{"190", []any{statusNo("106")}, 1, contract.AlreadyReceived, nil, contract.Done},
		{"200", []any{statusNo("106")}, 1, contract.AlreadyReceived, nil, contract.Done},
		{"210", []any{statusNo("111")}, 1, contract.RefundStarted, nil, contract.Done},
		{"180", []any{statusNo("111")}, 1, nil, contract.RefundStarted, contract.Stop},
		{"190", []any{statusNo("111")}, 1, nil, contract.RefundStarted, contract.Stop},
		{"180", []any{statusNo("107")}, 1, nil, contract.RefundedByTime, contract.Stop},
		{"180", []any{statusNo("104")}, 1, nil, contract.LineReturned, contract.Stop},
		{"190", []any{statusNo("103")}, 1, nil, contract.LineNotShipped, contract.Fix},
		{"210", []any{statusNo("110")}, 1, nil, contract.StateCannotFail, contract.Stop},
		{"210", []any{statusNo("112"), statusYes}, 2, nil, nil, contract.Done},
		{"180", []any{statusNo("100"), statusNo("105")}, 2, contract.AlreadyShipped, nil, contract.Done},
		{"180", []any{reset, statusNo("105")}, 2, contract.AlreadyShipped, nil, contract.Done},
		{"210", []any{reset, statusNo("111")}, 2, contract.RefundStarted, nil, contract.Done},
		{"180", []any{statusNo("isp.sys.service.unavailable.somp"), statusYes}, 2, nil, nil, contract.Done},
		{"180", []any{statusNo("isp.sys.service.unavailable.mcmp")}, 4, nil, client.ErrUnknown, contract.Stop},
		{"180", []any{503, statusYes}, 2, nil, nil, contract.Done},
		{"180", []any{503}, 4, nil, contract.NetworkStatus, contract.Stop},
		{"180", []any{reset}, 4, nil, contract.NetworkFailure, contract.Stop},
		{"180", []any{403, statusYes}, 1, nil, contract.NetworkStatus, contract.Fix},
		{"180", []any{"<html/>"}, 1, nil, client.ErrNotAnswer, contract.Stop},
		{"180", []any{statusNo("sys.check.app-sign:error")}, 1, nil, contract.BadSign, contract.Fix},
		{"180", []any{statusNo("sys.check.app-time:error")}, 1, nil, contract.BadTimestamp, contract.Fix},
		{"180", []any{statusNo("sys.controller.api-frequency:limit"), statusYes}, 2, nil, nil, contract.Done},
		{"180", []any{statusNo("sys.unheard.of")}, 1, nil, &contract.Refused{}, contract.Stop},
		{"180", []any{strings.Replace(statusYes, `"Y"`, `"N"`, 1), statusYes}, 2, nil, nil, contract.Done},
		{"180", []any{strings.Replace(statusYes, `"Y"`, `"N"`, 1)}, 4, nil, contract.NotApplied, contract.Retry},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &platform{answers: c.answers}
			got, err := (&client.Client{URL: "http://platform", AppKey: "k", Secret: "s", HTTP: &http.Client{Transport: p}}).LeaguerStatus(t.Context(), &contract.LeaguerStatusRequest{Status: c.status, OrderID: "1", LineID: "2"})
			name := fmt.Sprintf("%s, %.120v", c.status, c.answers)
			if len(p.tries) != c.tries {
				t.Errorf("%s: %d tries, want %d", name, len(p.tries), c.tries)
			}
			_, refusal := errors.AsType[*contract.Refused](err)
			_, any := c.want.(*contract.Refused)
			if !errors.Is(err, c.want) && !(any && refusal) || (err == nil) != (c.want == nil) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			if advice := client.Advice(err); advice != c.advice {
				t.Errorf("%s: advice %s, want %s", name, advice, c.advice)
			}
			switch {
			case err != nil:
			case c.before == nil && (got.Before != nil || got.Reply == nil || got.Reply.Result != "Y"):
				t.Errorf("%s: got %+v", name, got)
			case c.before != nil && (got.Before == nil || got.Before.Row != error(c.before) || got.Reply != nil):
				t.Errorf("%s: got %+v, want %v", name, got, c.before)
			}
		})
	}
}

// Client and gateway understand each other in both formats.
func TestSuningAgainstGateway(t *testing.T) {
	t.Parallel()
	for _, xml := range []bool{false, true} {
		now := time.Date(2024, 3, 5, 14, 7, 9, 0, contract.Zone)
		g := ordergatetest.Start(t, ordergatetest.WithClock(func() time.Time { return now }))
		c := g.SuningClient()
		c.XML = xml
		ship := &contract.LeaguerStatusRequest{Status: contract.StatusShipped, OrderID: "1000531505", LineID: "00000208117601", SupplierCode: "10042869", Cards: []contract.Card{{Code: `a"<&>]]>`, Password: "密 码"}}}
		if got, err := c.LeaguerStatus(t.Context(), ship); err != nil || got.Reply == nil || got.Reply.LineID != ship.LineID {
			t.Errorf("xml %t: %+v, %v", xml, got, err)
		}
		if got, err := c.LeaguerStatus(t.Context(), ship); err != nil || got.Before == nil || !errors.Is(got.Before, contract.AlreadyShipped) {
			t.Errorf("xml %t, again: %+v, %v", xml, got, err)
		}
		if _, err := c.LeaguerStatus(t.Context(), &contract.LeaguerStatusRequest{Status: "180", OrderID: "1000531505"}); !errors.Is(err, contract.LineMissing) || !errors.Is(err, contract.MissingArgument) {
			t.Errorf("xml %t, no line: %v", xml, err)
		}
		if at, err := c.Systime(t.Context()); err != nil || !at.Equal(now) {
			t.Errorf("xml %t: the clock shows %v, %v", xml, at, err)
		}
		wrong := g.SuningClient()
		wrong.Secret = "wrong"
		if _, err := wrong.LeaguerStatus(t.Context(), ship); !errors.Is(err, contract.BadSign) || client.Advice(err) != contract.Fix {
			t.Errorf("a wrong secret: %v", err)
		}
		now = now.Add(2 * time.Hour)
		if err := g.Sweep(); err != nil {
			t.Fatal(err)
		}
		order, err := g.Order("suning", "10042869", "1000531505")
		if err != nil || order.Lines[0].State != "shipped" || order.Lines[0].Cards != 1 || order.Lines[1].State != "timeout" {
			t.Errorf("order %+v, %v", order, err)
		}
	}
}

// The cards of a request do not print.
func TestCardsDoNotPrint(t *testing.T) {
	t.Parallel()
	r := &contract.LeaguerStatusRequest{Cards: []contract.Card{{Code: "hush", Password: "hush"}}}
	c := &client.Client{URL: "http://127.0.0.1:1", AppKey: "k", Secret: "s", Retry: client.Retry{Tries: 1}}
	_, err := c.LeaguerStatus(context.Background(), r)
	if text := fmt.Sprintf("%v %+v %#v %v", r, r, r, err); strings.Contains(text, "hush") {
		t.Error(text)
	}
}

// Cards that are not UTF-8 are not sent: what arrived would be other cards.
func TestUnsendableCards(t *testing.T) {
	t.Parallel()
	c := &client.Client{URL: "http://127.0.0.1:1", AppKey: "k", Secret: "s", Retry: client.Retry{Tries: 1}}
	_, err := c.LeaguerStatus(t.Context(), &contract.LeaguerStatusRequest{Status: "180", OrderID: "1", LineID: "2", Cards: []contract.Card{{Code: "a", Password: "b"}, {Code: "a", Password: "\xff"}}})
	if err == nil || !strings.Contains(err.Error(), "cardSec is not UTF-8") || errors.Is(err, client.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

// A fault on demand is a test's way to what a rule cannot produce.
func TestInject(t *testing.T) {
	t.Parallel()
	g := ordergatetest.Start(t)
	c := g.SuningClient()
	fail := &contract.LeaguerStatusRequest{Status: contract.StatusFailed, OrderID: "1000531505", LineID: "00000208117602"}
	if err := g.Inject("refund", `{"match": {"order": "1000531505"}, "answer": "biz.selfmarket.addleaguerstatus.invalid-biz:112", "times": 1}`); err != nil {
		t.Fatal(err)
	}
	c.Retry.Tries = 1
	if _, err := c.LeaguerStatus(t.Context(), fail); !errors.Is(err, contract.RefundNotStarted) || client.Advice(err) != contract.Retry {
		t.Errorf("got %v", err)
	}
	if err := g.Inject("refund", `{"drop_after_apply": true}`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.LeaguerStatus(t.Context(), fail); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("a lost answer: %v", err)
	}
	if err := g.Inject("refund", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := c.LeaguerStatus(t.Context(), fail); err != nil || !errors.Is(got.Before, contract.RefundStarted) {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
	if err := g.Inject("x", `{"answer": "no such code"}`); err == nil {
		t.Error("an answer that there is not")
	}
	if err := g.Inject("x", ""); err == nil {
		t.Error("a fault that there is not")
	}
}
