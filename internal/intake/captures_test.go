package intake

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// capture is one recorded request of testdata/captures.
type capture struct {
	ID        string
	API       string
	AppKey    string `json:"app_key"`
	Secret    contract.Secret
	Timestamp string
	Sign      struct{ Value, Where string }
	Params    texts
	Expect    string `json:"expect_signature"`
	Request   struct {
		Raw []byte `json:"raw_b64"`
	}
}

// texts are parameters by name; lists are JSON text.
type texts map[string]string

func (p *texts) UnmarshalJSON(data []byte) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	*p = texts{}
	for name, value := range values {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		(*p)[name] = text
	}
	return nil
}

// captures returns the recorded calls of an API.
func captures(t *testing.T, api string) []capture {
	t.Helper()
	files, err := filepath.Glob("../../testdata/captures/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var found []capture
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c capture
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if c.API == api {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no captures of %s", api)
	}
	return found
}

// serveCapture declares a capture's app and sets the clock to its time.
func serveCapture(t *testing.T, c capture) *gateway {
	t.Helper()
	g := newGateway(t)
	at, ok := wire.ParseTimestamp(c.Timestamp)
	if !ok {
		t.Fatalf("%s: timestamp %q", c.ID, c.Timestamp)
	}
	g.now = at.Add(time.Minute)
	g.declare(t, &apply.Document{
		Apps:     []apply.App{{Key: c.AppKey, Protocol: contract.TOP, Secret: c.Secret}},
		Sessions: []apply.Session{{Token: "test", AppKey: c.AppKey, Seller: "seller_001"}},
	})
	return g
}

// replay sends bytes as they are and reads the answer.
func (g *gateway) replay(t *testing.T, raw []byte) (answer, *http.Response) {
	t.Helper()
	body, response := g.rawExchange(t, raw)
	return readAnswer(t, body), response
}

// rawExchange sends bytes as they are and returns the answer's body.
func (g *gateway) rawExchange(t *testing.T, raw []byte) (string, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Header.Get("Content-Encoding") == "gzip" {
		return gunzip(t, response.Body), response
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return body.String(), response
}

// As recorded, without a session, a capture passes every check up to that one.
func TestCapturesAsRecorded(t *testing.T) {
	t.Parallel()
	for _, c := range captures(t, contract.EventProduce.Method) {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if got, _ := serveCapture(t, c).replay(t, c.Request.Raw); got.Code != "26" {
				t.Errorf("got %v, want 26", got)
			}
		})
	}
}

// With a session added where the client puts its parameters, and signed again,
// a capture is accepted and kept as its client meant it.
func TestCapturesWithSession(t *testing.T) {
	t.Parallel()
	for _, c := range captures(t, contract.EventProduce.Method) {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			g := serveCapture(t, c)
			raw, json := addSession(t, c)
			got, response := g.replay(t, raw)
			if !got.Success || response.StatusCode != http.StatusOK || got.XML == json {
				t.Fatalf("got %v", got)
			}
			g.kept(t, c.Params)
		})
	}
}

// kept compares the only event with the parameters that its client meant.
func (g *gateway) kept(t *testing.T, want map[string]string) *order.Event {
	t.Helper()
	events := g.events(t)
	if len(events) != 1 {
		t.Fatalf("%d events, want 1", len(events))
	}
	if params := paramsOf(t, events[0].Record); !maps.Equal(params, want) {
		t.Errorf("kept %v, want %v", params, want)
	}
	return events[0]
}

func paramsOf(t *testing.T, record []byte) map[string]string {
	t.Helper()
	var kept struct{ Params map[string]string }
	if err := json.Unmarshal(record, &kept); err != nil {
		t.Fatal(err)
	}
	return kept.Params
}

// addSession puts session=test into a recorded request and signs it again.
func addSession(t *testing.T, c capture) (raw []byte, json bool) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.Request.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := call.Digest()
	format, _ := call.Format()
	params := append(slices.Clone(call.Params), contract.Param{Name: "session", Value: "test"})
	slices.SortFunc(params, func(a, b contract.Param) int { return strings.Compare(a.Name, b.Name) })
	sign := wire.Sign(digest, c.Secret, wire.SignedText(params, call.Document))

	head, body, _ := strings.Cut(string(c.Request.Raw), "\r\n\r\n")
	switch c.Sign.Where {
	case "query":
		head = strings.Replace(head, c.Sign.Value, sign+"&session=test", 1)
	case "body":
		body = strings.Replace(body, c.Sign.Value, sign+"&session="+url.QueryEscape("test"), 1)
	case "multipart":
		boundary, _, _ := strings.Cut(body, "\r\n")
		body = boundary + "\r\nContent-Disposition: form-data; name=\"session\"\r\n\r\ntest\r\n" + strings.Replace(body, c.Sign.Value, sign, 1)
	default:
		t.Fatalf("%s: signature in %q", c.ID, c.Sign.Where)
	}
	lines := strings.Split(head, "\r\n")
	for i, line := range lines {
		if name, _, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Content-Length") {
			lines[i] = fmt.Sprintf("%s: %d", name, len(body))
		}
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n" + body), format.JSON
}
