package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Sizes of request bodies in bytes.
const (
	MaxBody   = 1 << 20  // the largest that is read
	SmallBody = 16 << 10 // beyond this a body takes a place in Large
)

// drainBody is how much of a body over MaxBody is thrown away, and drainTime for
// how long, before the answer: a caller that is still sending would not read it.
const (
	drainBody = 32 << 20
	drainTime = 5 * time.Second
)

// keepBuffer is how large a buffer may be to be used again: what a large request
// grew is not kept.
const keepBuffer = 64 << 10

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func borrow() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

func giveBack(b *bytes.Buffer) {
	if b.Cap() <= keepBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// receive reads a body within its limits. A large one has taken a place, unless
// there are none to take.
func receive(w http.ResponseWriter, r *http.Request, body *bytes.Buffer, places chan struct{}) (large bool, err error) {
	if r.ContentLength == 0 || r.Body == nil {
		return false, nil
	}
	if r.ContentLength > MaxBody {
		return false, drain(w, r)
	}
	if _, err := body.ReadFrom(io.LimitReader(r.Body, SmallBody)); err != nil || body.Len() < SmallBody {
		return false, err
	}
	if places != nil {
		select {
		case places <- struct{}{}:
			large = true
		default:
			return false, contract.Busy
		}
	}
	if _, err := body.ReadFrom(io.LimitReader(r.Body, MaxBody+1-SmallBody)); err != nil || body.Len() <= MaxBody {
		return large, err
	}
	return large, drain(w, r)
}

// drain throws the rest of a body over MaxBody away.
func drain(w http.ResponseWriter, r *http.Request) error {
	deadline := time.Now().Add(drainTime)
	if err := http.NewResponseController(w).SetReadDeadline(deadline); err == nil {
		_, _ = io.CopyN(io.Discard, r.Body, drainBody)
	}
	w.Header().Set("Connection", "close")
	return errors.New("body over 1 MiB")
}

// unreadable is why a body was not read, as a fault.
func unreadable(err error) error {
	if errors.Is(err, contract.Busy) {
		return err
	}
	return contract.About(contract.BadRequest, err.Error())
}
