package intake

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// Strangers whose calls are refused fill no memory, however large the calls are.
func TestRefusedCallsAreSmall(t *testing.T) {
	s := newGateway(t).intake
	s.Refused = &order.RefusedCalls{}
	front := s.Handler()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	large := strings.Repeat("A", 1<<20-100)
	for i := range 100 {
		r := httptest.NewRequest(http.MethodPost, wire.TOPPath, strings.NewReader("method="+large[:i]+"&app_key=nobody&a="+large[:len(large)-200]))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Large", large)
		front.ServeHTTP(httptest.NewRecorder(), r)
	}
	if kept := s.Refused.List(0); len(kept) != 100 || !kept[0].Cut || kept[0].App != "nobody" {
		t.Fatalf("%d calls are kept", len(kept))
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("100 refused calls keep %d MB", grown>>20)
	}
}
