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
		c := g.intake.openTOP(w, r, wire.TOP{}, wire.TOP{}.Open)
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

func BenchmarkDecodeAndCheck(b *testing.B) {
	run := decodeAndCheck(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}
