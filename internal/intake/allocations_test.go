//go:build !race

package intake

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// decodeAndCheck walks one call through all checks, without storing it.
func decodeAndCheck(tb testing.TB) func() {
	g := newGateway(tb).demo(tb)
	form := page().signed().Encode()
	r := httptest.NewRequest("POST", "/router/rest", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
	r.ContentLength = int64(len(form))
	body := strings.NewReader(form)
	r.Body = io.NopCloser(body)
	w := httptest.NewRecorder()
	return func() {
		body.Reset(form)
		c := g.intake.openTOP(w, r, wire.TOP{}.Open, false)
		if err := walk(TOPChecks, OfBoth, c); err != nil {
			tb.Fatal(err)
		}
		if c.work == nil || c.request.(*contract.EventProduceRequest).OrderID != "12231221231232" {
			tb.Fatal("not the page's example")
		}
	}
}

// The gate is 25 allocations for decode and check of one call.
func TestDecodeAndCheckAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(1000, decodeAndCheck(t)); n > 25 {
		t.Errorf("%.0f allocations, want at most 25", n)
	}
}

// suningDecodeAndCheck does the same for the page's example of Suning, in JSON.
func suningDecodeAndCheck(tb testing.TB) func() {
	g := newGateway(tb).demo(tb)
	q := newSuning(lineStatus(pageLine, "180", oneCard))
	r := httptest.NewRequest("POST", wire.SuningPath, nil)
	for name, value := range q.sign() {
		r.Header.Set(name, value)
	}
	r.ContentLength = int64(len(q.body))
	body := strings.NewReader(q.body)
	r.Body = io.NopCloser(body)
	w := httptest.NewRecorder()
	return func() {
		body.Reset(q.body)
		c := g.intake.openSuning(w, r, wire.Suning{})
		defer c.Release()
		if err := walk(SuningChecks, OfBoth, c); err != nil {
			tb.Fatal(err)
		}
		if c.work == nil || c.request.(*contract.LeaguerStatusRequest).OrderID != pageOrder {
			tb.Fatal("not the page's example")
		}
	}
}

// A message is a tree, so that it costs more than a form.
func TestSuningDecodeAndCheckAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(1000, suningDecodeAndCheck(t)); n > 80 {
		t.Errorf("%.0f allocations, want at most 80", n)
	}
}

func BenchmarkSuningDecodeAndCheck(b *testing.B) {
	run := suningDecodeAndCheck(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}

func BenchmarkDecodeAndCheck(b *testing.B) {
	run := decodeAndCheck(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}
