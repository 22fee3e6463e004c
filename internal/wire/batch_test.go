package wire_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// The body of a batch is signed as it stands, behind the sorted query. The
// signatures were computed with Python's hashlib and hmac.
func TestBatchVectors(t *testing.T) {
	t.Parallel()
	const body = "#PUBLIC#method=taobao.qimen.event.produce\r\n-S-\r\nstatus=QIMEN_CP_OUT&tid=1&nick=%E5%90%91%E9%98%B3\r\n-S-\r\nN"
	for digest, sign := range map[wire.Digest]string{
		wire.MD5:        "BAA5D93CC5B1A27662827B32C3BE614A",
		wire.HMAC:       "02C50C2482427D381822CFE1B0961DC0",
		wire.HMACSHA256: "7E8C56E7D1B85CC6866494A30AEAB7AD1C9FCE25A6E73EFDC1C06EA4545DBBF0",
	} {
		for _, contentType := range []string{"text/plain;charset=UTF-8", "application/x-www-form-urlencoded", ""} {
			r := httptest.NewRequest("POST", "/router/batch?v=2.0&app_key=12345678&timestamp=2024-06-18+09%3A30%3A05&format=json&session=test&sign_method="+string(digest)+"&sign="+sign, strings.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			call, err := wire.TOP{}.OpenBatch(httptest.NewRecorder(), r)
			if err != nil {
				t.Fatal(err)
			}
			if !(wire.TOP{}).Verify(call, "helloworld") {
				t.Errorf("%s, %q: does not verify", digest, contentType)
			}
			batch, err := call.Batch("")
			if err != nil || len(batch.Calls) != 2 {
				t.Fatalf("%v, %+v", err, batch)
			}
			for name, want := range map[string]string{"method": "taobao.qimen.event.produce", "tid": "1", "nick": "向阳", "app_key": "12345678", "session": "test"} {
				if got, _ := batch.Calls[0].Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if _, ok := batch.Calls[1].Get("tid"); ok {
				t.Error("the second call has the first one's tid")
			}
		}
	}
}

// Any body splits into as many calls as it has separators, or is refused.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{"N", "a=1\r\n-S-\r\nb=2", "#PUBLIC#a=1\r\n-S-\r\nN", "#PUBLIC#", "\r\n-S-\r\n", "a=%zz\r\n-S-\r\n#PUBLIC#a=1", "a=-S-"} {
		f.Add(seed, "", "session=x")
		f.Add(strings.ReplaceAll(seed, "\r\n-S-\r\n", "|"), "|", "")
	}
	f.Fuzz(func(t *testing.T, body, separator, query string) {
		r := httptest.NewRequest("POST", "/router/batch", strings.NewReader(body))
		r.URL.RawQuery = query
		call, err := wire.TOP{}.OpenBatch(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		batch, err := call.Batch(separator)
		if len(separator) > 256 {
			if err == nil {
				t.Fatalf("a separator of %d bytes is taken", len(separator))
			}
			return
		}
		if separator == "" {
			separator = "\r\n-S-\r\n"
		}
		chunks := strings.Split(body, separator)
		if strings.HasPrefix(chunks[0], "#PUBLIC#") {
			chunks = chunks[1:]
		}
		if last := len(chunks) - 1; last >= 0 && strings.Trim(chunks[last], "\r\n") == "" {
			chunks = chunks[:last]
		}
		empty := len(chunks) == 0
		if err != nil {
			if !empty && len(chunks) <= wire.MaxCalls && len(body)*len(chunks) < wire.MaxBody {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if len(batch.Calls) != len(chunks) || empty || len(chunks) > wire.MaxCalls {
			t.Fatalf("%q: %d calls of %d chunks", body, len(batch.Calls), len(chunks))
		}
		for _, c := range batch.Calls {
			if !slices.IsSortedFunc(c.Params, func(a, b contract.Param) int { return strings.Compare(a.Name, b.Name) }) {
				t.Fatalf("%q: %v is not sorted", body, c.Params)
			}
		}
	})
}
