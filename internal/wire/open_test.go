package wire_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// read opens a raw HTTP request. Content-Length: * is the body's length.
func read(t *testing.T, raw string) (*wire.Call, error) {
	t.Helper()
	raw = strings.ReplaceAll(raw, "\n", "\r\n")
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	raw = strings.Replace(raw, "Content-Length: *", fmt.Sprint("Content-Length: ", len(body)), 1)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return wire.TOP{}.Open(httptest.NewRecorder(), r)
}

// Every placement of docs/protocol/top.md 4 and 14 gives the same parameters.
func TestPlacements(t *testing.T) {
	t.Parallel()
	const form = "a=1+2&b=%E5%95%86"
	for name, raw := range map[string]string{
		"query of a GET":              "GET /router/rest?" + form + " HTTP/1.1\nHost: h\n\n",
		"query of a POST, empty body": "POST /router/rest?" + form + " HTTP/1.1\nHost: h\nContent-Length: 0\n\n",
		"form":                        "POST /router/rest HTTP/1.1\nHost: h\nContent-Type: application/x-www-form-urlencoded;charset=utf-8\nContent-Length: *\n\n" + form,
		"form, type in capitals":      "POST /router/rest HTTP/1.1\nHost: h\nContent-Type: Application/X-WWW-Form-Urlencoded ; charset=UTF-8\nContent-Length: *\n\n" + form,
		"form without a type":         "POST /router/rest HTTP/1.1\nHost: h\nContent-Length: *\n\n" + form,
		"body of a GET":               "GET /router/rest HTTP/1.1\nHost: h\nContent-Type: application/x-www-form-urlencoded\nContent-Length: *\n\n" + form,
		"HTTP/1.0":                    "POST /router/rest HTTP/1.0\nContent-Type: application/x-www-form-urlencoded\nContent-Length: *\n\n" + form,
		"chunked":                     "POST /router/rest HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n5\na=1+2\nC\n&b=%E5%95%86\n0\n\n",
		"split":                       "POST /router/rest?a=1%202 HTTP/1.1\nHost: h\nContent-Length: *\n\nb=%e5%95%86",
		"query wins over the form":    "POST /router/rest?" + form + " HTTP/1.1\nHost: h\nContent-Length: *\n\na=3&b=4",
		"the first of a repeated one": "POST /router/rest HTTP/1.1\nHost: h\nContent-Length: *\n\n" + form + "&a=3&b=4",
		"empty pairs":                 "POST /router/rest HTTP/1.1\nHost: h\nContent-Length: *\n\n&&" + form + "&&",
		"raw UTF-8 and blanks":        "POST /router/rest HTTP/1.1\nHost: h\nContent-Length: *\n\na=1 2&b=商",
		"multipart of the Java SDK": "POST /router/rest HTTP/1.1\nHost: h\nContent-Type: multipart/form-data;charset=UTF-8;boundary=xyz\nContent-Length: *\n\n" +
			"\n--xyz\nContent-Disposition:form-data;name=\"a\"\nContent-Type:text/plain\n\n1 2\n--xyz\nContent-Disposition:form-data;name=\"b\"\nContent-Type:text/plain\n\n商\n--xyz--\n",
		"multipart without a final line break": "POST /router/rest HTTP/1.1\nHost: h\nContent-Type: multipart/form-data; boundary=--xyz\nContent-Length: *\n\n" +
			"----xyz\nContent-Disposition: form-data; name=\"a\"\n\n1 2\n----xyz\nContent-Disposition: form-data; name=\"b\"\n\n商\n----xyz--",
	} {
		call, err := read(t, raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, want := fmt.Sprint(call.Params), "[{a 1 2} {b 商}]"; got != want || call.Broken || call.Files {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestDocumentBodyIsSignedAsSent(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"application/json;charset=utf-8", "text/xml;charset=utf-8", "text/plain;charset=UTF-8", "application/xml"} {
		body := " {\"a\":\"=&+%zz\"}\r\n"
		r := httptest.NewRequest("POST", "/router/rest?b=1", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
		if err != nil || call.Broken || call.Document != body {
			t.Errorf("%s: document %q, %v", kind, call.Document, err)
		}
		if got, want := wire.SignedText(call.Params, call.Document), "b1"+body; got != want {
			t.Errorf("%s: signs %q, want %q", kind, got, want)
		}
	}
}

// The PHP SDK writes a blank behind filename="file".
func TestFilesAreNeitherSignedNorParameters(t *testing.T) {
	t.Parallel()
	body := "--b\r\nContent-Disposition: form-data; name=\"pic\"; filename=\"file\" \r\nContent-Type: image/png\r\n\r\n\xff\xfe\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"
	r := httptest.NewRequest("POST", "/router/rest", strings.NewReader(body))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
	if err != nil || !call.Files || call.Broken || fmt.Sprint(call.Params) != "[{a 1}]" {
		t.Errorf("got %+v, %v", call, err)
	}
}

func TestBrokenEncoding(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"a=%", "a=%4", "a=%zz", "%4=1", "a=\xd6\xd0", "\xd6\xd0=1", "a=%D6%D0", "a=%C0%80", "a=%ED%A0%80", "%E5=%95%86"} {
		if call := open(t, form); !call.Broken {
			t.Errorf("%q: taken for %v", form, call.Params)
		}
	}
	for _, form := range []string{"a=%00", "a=%F0%9F%98%80", "a=%7E*!'()\"", "a=1;b=2", "=1", "a==", "a=%25zz"} {
		if call := open(t, form); call.Broken {
			t.Errorf("%q: refused", form)
		}
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	multi := func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=b") }
	cases := map[string]struct {
		body io.Reader
		edit func(*http.Request)
	}{
		"over 1 MiB, announced":      {strings.NewReader("a=" + strings.Repeat("x", wire.MaxBody)), nil},
		"over 1 MiB, chunked":        {strings.NewReader("a=" + strings.Repeat("x", wire.MaxBody)), func(r *http.Request) { r.ContentLength = -1 }},
		"broken off":                 {io.MultiReader(strings.NewReader("a=1"), iotest.ErrReader(io.ErrUnexpectedEOF)), func(r *http.Request) { r.ContentLength = 100 }},
		"over 1,000 parameters":      {strings.NewReader(strings.Repeat("a&", wire.MaxParams+1)), nil},
		"multipart cut short":        {strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"), multi},
		"multipart without boundary": {strings.NewReader("x"), func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data") }},
		"multipart of many parts":    {strings.NewReader(strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n", wire.MaxParams+1) + "--b--"), multi},
	}
	for name, c := range cases {
		r := httptest.NewRequest("POST", "/router/rest?format=json", c.body)
		if c.edit != nil {
			c.edit(r)
		}
		call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
		if !errors.Is(err, contract.BadRequest) {
			t.Errorf("%s: got %v, want the fault BadRequest", name, err)
		}
		if format, ok := call.Format(); !ok || !format.JSON {
			t.Errorf("%s: the URL's format is forgotten", name)
		}
	}
	exact := httptest.NewRequest("POST", "/router/rest", strings.NewReader("a="+strings.Repeat("x", wire.MaxBody-2)))
	if _, err := (wire.TOP{}).Open(httptest.NewRecorder(), exact); err != nil {
		t.Errorf("exactly 1 MiB: %v", err)
	}
}

// Where net/url decodes a form, the reader decodes the same.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=1&b=2", "a=%41%zz", "a=+&a=2", "&&=&a", "a;b=1", "%E5%95%86=商", "a=1&a=%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, form string) {
		r := httptest.NewRequest("POST", "/router/rest", strings.NewReader(form))
		call, err := wire.TOP{}.Open(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		want, err := url.ParseQuery(form)
		if err != nil { // net/url also refuses semicolons
			return
		}
		if len(call.Params) != len(want) {
			t.Fatalf("%q: got %v, want %v", form, call.Params, want)
		}
		for _, p := range call.Params {
			if want.Get(p.Name) != p.Value {
				t.Fatalf("%q: %q is %q, want %q", form, p.Name, p.Value, want.Get(p.Name))
			}
		}
	})
}
