package intake

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/order"
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

// hangUp sends bytes and goes away.
func (g *gateway) hangUp(t *testing.T, raw string) {
	t.Helper()
	conn, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(raw)); err != nil {
		t.Fatal(err)
	}
}

// Requests that are broken off leave nothing, and the gateway answers on.
func TestBrokenRequestsLeaveNothing(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	form := newRequest().signed().Encode()
	whole := fmt.Sprintf("POST /router/rest HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form)
	for n := 0; n < len(whole); n += 7 {
		g.hangUp(t, whole[:n])
	}
	for _, nonsense := range []string{"\x16\x03\x01\x02\x00\x01", "GET\r\n\r\n", "POST /router/rest HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"} {
		g.hangUp(t, nonsense)
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

// A caller that sends far too much still gets its answer.
func TestFarTooLargeBodiesAreAnswered(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	const size = 8 << 20
	for name, raw := range map[string]string{
		"announced": fmt.Sprintf("POST /router/rest HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("a", size)),
		"chunked":   fmt.Sprintf("POST /router/rest HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("a", size)),
	} {
		if got, _ := g.replay(t, []byte(raw)); got.Code != "43" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Only so many large bodies are in memory at once; the places come back.
func TestLargeBodiesTakePlaces(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	const head = "POST /router/rest?format=json HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n"
	var stalled []net.Conn
	stall := func() {
		conn, err := net.Dial("tcp", g.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write([]byte(head + strings.Repeat("a", 100_000))); err != nil {
			t.Fatal(err)
		}
		stalled = append(stalled, conn)
	}
	for range largeBodies {
		stall()
	}
	multipart := "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n" + strings.Repeat("a", 100_000) + "\r\n--b--"
	large := fmt.Sprintf("POST /router/rest?format=json HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s", len(multipart), multipart)
	eventually := func(code string, otherwise func()) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			got, _ := g.replay(t, []byte(large))
			if got.Code == code {
				return
			}
			otherwise()
			if time.Now().After(deadline) {
				t.Fatalf("got %v, want %s", got, code)
			}
		}
	}
	eventually("10", stall) // another one: this call may have taken the place of one that was turned away
	if got := g.send(t, newRequest()); !got.Success {
		t.Errorf("a small body meanwhile: %v", got)
	}
	for _, conn := range stalled {
		conn.Close()
	}
	eventually("21", func() {})
	for range 2 * largeBodies { // each gives its place back
		if got, _ := g.replay(t, []byte(large)); got.Code != "21" {
			t.Fatalf("got %v", got)
		}
	}
}

// A stray slash in a client's configuration does no harm.
func TestStraySlashes(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	for i, path := range []string{"/router/rest/", "//router/rest", "/router//rest"} {
		form := newRequest().set("tid", fmt.Sprint(i)).signed().Encode()
		if got, _ := g.replay(t, fmt.Appendf(nil, "GET %s?%s HTTP/1.1\r\nHost: h\r\n\r\n", path, form)); !got.Success {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// A fault in the code fails the one call that meets it.
func TestPanicsFailOneCall(t *testing.T) {
	t.Parallel()
	g := newGateway(t).demo(t)
	g.intake.Store = panickingStore{g.store}
	if got, _ := g.replay(t, fmt.Appendf(nil, "GET /router/rest?%s HTTP/1.1\r\nHost: h\r\n\r\n", newRequest().signed().Encode())); got.Code != "10" || got.SubCode != "isp.remote-service-error" {
		t.Errorf("got %v", got)
	}
}

type panickingStore struct{ order.Store }

func (panickingStore) App(context.Context, string) (*order.App, error) { panic("a bug") }

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
