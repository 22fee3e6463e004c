package intake

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
)

func gunzip(t *testing.T, body io.Reader) string {
	t.Helper()
	z, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Requests that are broken off leave nothing, and the gateway answers on.
func TestBrokenRequestsLeaveNothing(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	form := newRequest().signed().Encode()
	whole := fmt.Sprintf("POST /router/rest HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form)
	for n := 0; n < len(whole); n += 7 {
		conn, err := net.Dial("tcp", g.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(whole[:n])); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	for _, nonsense := range []string{"\x16\x03\x01\x02\x00\x01", "GET\r\n\r\n", "POST /router/rest HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"} {
		conn, err := net.Dial("tcp", g.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(nonsense)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if n := len(g.events(t)); n != 0 {
		t.Errorf("%d events of broken requests", n)
	}
	if got, _ := g.replay(t, []byte(whole)); !got.Success {
		t.Errorf("afterwards: %v", got)
	}
}

// A caller that hangs up while its call is being stored changes nothing: the
// call stands.
func TestHangingUpDoesNotUndo(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	form := newRequest().signed().Encode()
	conn, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /router/rest HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(form), form)
	conn.Close()
	for deadline := time.Now().Add(10 * time.Second); len(g.events(t)) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the event never came")
		}
		runtime.Gosched()
	}
}

// Bodies over the limit do not stay in memory.
func TestOversizedBodiesAreNotKept(t *testing.T) {
	g := newGateway(t).demo(t)
	body := bytes.Repeat([]byte("x"), 2<<20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 200 {
		r := httptest.NewRequest("POST", "/router/rest?format=json", bytes.NewReader(body))
		if i%2 == 0 {
			r.ContentLength = -1
		}
		w := httptest.NewRecorder()
		g.intake.Handler().ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), `"code":43`) {
			t.Fatalf("got %s", w.Body)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("heap grew by %d MiB", grown>>20)
	}
}

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
		c := g.intake.open(w, r)
		if err := c.check(); err != nil {
			tb.Fatal(err)
		}
		if c.task == nil || c.request.(*contract.EventProduceRequest).OrderID != "12231221231232" {
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
