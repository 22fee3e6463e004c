package wire

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// MaxAnswer is how much of an answer a caller reads, in bytes.
const MaxAnswer = 16 << 20

// Target completes a gateway's address: without a path it gets the protocol's.
func (TOP) Target(base string) (string, error) {
	target, err := url.Parse(base)
	switch {
	case err != nil, target.Host == "", target.Scheme != "http" && target.Scheme != "https":
		return "", fmt.Errorf("%q: want http://HOST or https://HOST", base)
	case target.RawQuery != "", target.Fragment != "":
		return "", fmt.Errorf("%q: the call fills the query itself", base)
	case strings.Trim(target.Path, "/") == "":
		target.Path = TOPPath
	}
	return target.String(), nil
}

// WithoutURL returns why a request failed. The library's text holds the URL with
// the session; the reason does not.
func WithoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
