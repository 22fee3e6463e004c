package wire_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http/httptest"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// What the reader makes of multipart bodies is what the standard library does.
func FuzzMultipart(f *testing.F) {
	part := "Content-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
	for _, seed := range []string{
		"--b\r\n" + part + "--b--", "\r\n--b\r\n" + part + "--b--\r\n", "--b\r\n" + part + "--b\r\nContent-Disposition:form-data;name=\"b\"\r\nContent-Type:text/plain\r\n\r\n%41+\r\n--b--",
		"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"file\" \r\n\r\nx\r\n--b--", "--b", "--b--", "--b\r\n\r\n\r\n--b--",
	} {
		f.Add(seed, "multipart/form-data; boundary=b")
	}
	f.Fuzz(func(t *testing.T, body, contentType string) {
		if kind, _, _ := strings.Cut(contentType, ";"); strings.TrimSpace(strings.ToLower(kind)) != "multipart/form-data" {
			return
		}
		r := httptest.NewRequest("POST", "/router/rest", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
		if err != nil || body == "" {
			return
		}
		_, attributes, err := mime.ParseMediaType(contentType)
		if err != nil {
			t.Fatalf("%q was read", contentType)
		}
		want, files := map[string]string{}, false
		for parts := multipart.NewReader(strings.NewReader(body), attributes["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%q was read: %v", body, err)
			}
			_, disposition, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
			if _, file := disposition["filename"]; file {
				files = true
				continue
			}
			value, _ := io.ReadAll(p)
			if _, again := want[disposition["name"]]; !again {
				want[disposition["name"]] = string(value)
			}
		}
		if len(call.Params) != len(want) || call.Files != files {
			t.Fatalf("%q: got %v, want %v", body, call.Params, want)
		}
		for _, p := range call.Params {
			if want[p.Name] != p.Value {
				t.Fatalf("%q: %q is %q, want %q", body, p.Name, p.Value, want[p.Name])
			}
		}
	})
}

// The signature of any parameters is that of the rule, written down once more:
// sorted by name, names and values joined, sign left out, the secret around it.
func FuzzSignedText(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.params, "")
	}
	f.Add("b=2&a=1&sign=x&a=3&A=&=0", "<xml/>")
	f.Fuzz(func(t *testing.T, form, document string) {
		r := httptest.NewRequest("POST", "/router/rest", strings.NewReader(document))
		r.URL.RawQuery = form
		r.Header.Set("Content-Type", "text/xml")
		call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		values := map[string]string{}
		var names []string
		for _, p := range call.Params {
			if _, again := values[p.Name]; again {
				t.Fatalf("%q twice", p.Name)
			}
			values[p.Name] = p.Value
			if p.Name != "sign" {
				names = append(names, p.Name)
			}
		}
		sort.Strings(names)
		text := ""
		for _, name := range names {
			text += name + values[name]
		}
		sum := md5.Sum([]byte("secret" + text + document + "secret"))
		want := strings.ToUpper(hex.EncodeToString(sum[:]))
		if got := wire.Sign(wire.MD5, "secret", wire.SignedText(call.Params, call.Document)); got != want {
			t.Fatalf("%q: got %s, want %s", form, got, want)
		}
	})
}

// An answer in JSON or XML is read, or refused as none; never is a panic.
func FuzzUnseal(f *testing.F) {
	for _, seed := range []string{
		`{"qimen_events_produce_response":{"is_all_success":true,"results":{"qimen_result":[{"is_success":true}]}}}`,
		`{"is_all_success":false,"results":[{"is_success":false,"error_code":"x"}],"request_id":"a"}`,
		`{"error_response":{"code":25,"msg":"Invalid signature"}}`, `{"qimen_events_produce_response":[]}`, `{"results":{"qimen_result":{}}}`,
		`<qimen_events_produce_response><is_all_success>true</is_all_success><results><qimen_result><is_success>true</is_success></qimen_result></results></qimen_events_produce_response>`,
		`<error_response><code>25</code></error_response><!--host-->`, `<a><b/></a>`, `<`, `{"a":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	top := wire.TOP{}
	f.Fuzz(func(t *testing.T, body []byte) {
		reply, err := top.Unseal(contract.EventsProduce, body)
		if err != nil {
			if _, refused := errors.AsType[*contract.Refused](err); !refused && !errors.Is(err, wire.ErrNotAnswer) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		for _, format := range []wire.Format{xmlFormat, jsonFormat, simplifiedFormat} { // what was read can be written and read again
			again, err := top.Unseal(contract.EventsProduce, top.Reply(format, contract.EventsProduce, reply, id).Body)
			if err != nil {
				t.Fatalf("%q: %+v: %v", body, format, err)
			}
			a, b := reply.(*contract.EventsProduceReply), again.(*contract.EventsProduceReply)
			if a.AllSuccess != b.AllSuccess || len(a.Results) != len(b.Results) {
				t.Fatalf("%q: %+v: %+v became %+v", body, format, a, b)
			}
		}
	})
}

// The reader of messages takes what encoding/json takes, element by element.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		`[{"event":{"status":"QIMEN_CP_OUT","tid":"1"}}]`, `[{"event":{"status":"A\u00e9\n","tid":1.50}},{},null,[],"x",{"event":null}]`, `[`, `{}`,
		` [ {"event" : {"tid":"\"","tid":"2","status":"\\"} } ] `, `[{"event":{"ext":{"a":[1,{"b":"]}"}]},"status":"X","tid":true}}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // refused before
		}
		var want []json.RawMessage
		err := json.Unmarshal([]byte(text), &want)
		got, gotErr := contract.ParseMessages(text)
		if err != nil || want == nil || len(want) == 0 || len(want) > contract.MaxMessages {
			if gotErr == nil {
				t.Fatalf("%q was read: %v", text, err)
			}
			return
		}
		if gotErr != nil || len(got) != len(want) {
			t.Fatalf("%q: %d messages of %d, %v", text, len(got), len(want), gotErr)
		}
		for i, m := range got {
			if m.Event == nil {
				continue
			}
			var outer map[string]json.RawMessage
			var event map[string]any
			d := json.NewDecoder(bytes.NewReader(want[i]))
			if err := d.Decode(&outer); err != nil {
				t.Fatalf("%q: an event in %s", text, want[i])
			}
			d = json.NewDecoder(bytes.NewReader(outer["event"]))
			d.UseNumber()
			if err := d.Decode(&event); err != nil {
				t.Fatalf("%q: an event in %s", text, want[i])
			}
			switch tid := event["tid"].(type) {
			case string:
				if tid != m.Event.OrderID {
					t.Fatalf("%q: tid %q, want %q", text, m.Event.OrderID, tid)
				}
			case json.Number:
				if tid.String() != m.Event.OrderID {
					t.Fatalf("%q: tid %q, want %q", text, m.Event.OrderID, tid)
				}
			}
		}
	})
}
