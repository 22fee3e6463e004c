package wire

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// MaxAnswer is how much of an answer a caller reads, in bytes.
const MaxAnswer = 16 << 20

// Target implements [Protocol].
func (TOP) Target(base string) (string, error) { return target(base, TOPPath) }

// target completes a gateway's address with a protocol's path.
func target(base, path string) (string, error) {
	t, err := url.Parse(base)
	switch {
	case err != nil, t.Host == "", t.Scheme != "http" && t.Scheme != "https":
		return "", fmt.Errorf("%q: want http://HOST or https://HOST", base)
	case t.RawQuery != "", t.Fragment != "":
		return "", fmt.Errorf("%q: the call fills the query itself", base)
	case strings.Trim(t.Path, "/") == "":
		t.Path = path
	}
	return t.String(), nil
}

// WithoutURL returns why a request failed. The library's text holds the URL with
// the session; the reason does not.
func WithoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
