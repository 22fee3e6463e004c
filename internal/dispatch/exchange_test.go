package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/ordergate/ordergate/contract"
)

// What goes wrong on the way to a destination, in the platform's words. The others are
// TestMerchantsFail in ordergatetest.
func TestFailures(t *testing.T) {
	t.Parallel()
	late := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		err       error
		connected bool
		want      *contract.Refusal
	}{
		{late, false, contract.ConnectionTimeout},
		{context.DeadlineExceeded, false, contract.ConnectionTimeout},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false, contract.ConnectionRefused},
		{&net.DNSError{Err: "no such host"}, false, contract.ConnectionRefused},
		{errors.New("tls: bad certificate"), false, contract.ConnectionRefused},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), true, contract.ReadTimeout},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, true, contract.ReadTimeout},
		{io.EOF, true, contract.ConnectionClosed},
		{fmt.Errorf("wrapped: %w", io.ErrUnexpectedEOF), true, contract.ConnectionClosed},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true, contract.ConnectionClosed},
		{syscall.EPIPE, true, contract.ConnectionClosed},
		{errors.New("malformed HTTP response"), true, contract.ParseError},
	} {
		if got := unanswered(c.err, c.connected); got != c.want {
			t.Errorf("%v, connected %t: %v, want %v", c.err, c.connected, got, c.want)
		}
	}
}
