package wire_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// capture is one recorded request of testdata/captures.
type capture struct {
	ID        string
	API       string
	Secret    contract.Secret
	Timestamp string
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

func captures(t *testing.T) []capture {
	t.Helper()
	files, err := filepath.Glob("../../testdata/captures/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	all := make([]capture, len(files))
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &all[i]); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return all
}

// Requests of real clients verify and give exactly the parameters they meant.
func TestCaptures(t *testing.T) {
	t.Parallel()
	for _, c := range captures(t) {
		if strings.HasPrefix(c.API, "suning.") {
			continue // TestSuningCaptures
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.Request.Raw)))
		if err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
		if err != nil || call.Broken {
			t.Fatalf("%s: not opened: %v", c.ID, err)
		}
		if got, want := (wire.TOP{}).Verify(call, c.Secret), c.Expect == "valid"; got != want {
			t.Errorf("%s: signature valid %t, want %t", c.ID, got, want)
		}
		got := map[string]string{}
		for _, p := range call.Params {
			if !contract.IsTOPParam(p.Name) {
				got[p.Name] = p.Value
			}
		}
		if !maps.Equal(got, c.Params) {
			t.Errorf("%s: params\n got %v\nwant %v", c.ID, got, c.Params)
		}
		if timestamp, _ := call.Get("timestamp"); timestamp != c.Timestamp {
			t.Errorf("%s: timestamp %q, want %q", c.ID, timestamp, c.Timestamp)
		}
		if method, _ := call.Get("method"); method != c.API {
			t.Errorf("%s: method %q, want %q", c.ID, method, c.API)
		}
	}
}
