package wire

import (
	"bytes"
	"context"
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

// How long a large body waits for a place, and how long it may take to arrive once
// it has one: places are few.
const (
	placeTime = 2 * time.Second
	largeTime = 10 * time.Second
)

// receive reads a body within its limits. A large one takes a place, which the
// caller releases when nothing of the body is needed any more; release is nil when
// none was taken.
func receive(w http.ResponseWriter, r *http.Request, body *bytes.Buffer, places chan struct{}) (release func(), err error) {
	if r.ContentLength == 0 || r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > MaxBody {
		return nil, drain(w, r)
	}
	if _, err := body.ReadFrom(io.LimitReader(r.Body, SmallBody)); err != nil || body.Len() < SmallBody {
		return nil, err
	}
	if release, err = take(r.Context(), places); err != nil {
		return nil, err
	}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(largeTime)) // where there is no connection, nobody is slow
	_, err = body.ReadFrom(io.LimitReader(r.Body, MaxBody+1-SmallBody))
	_ = deadline.SetReadDeadline(time.Time{})
	if err != nil || body.Len() <= MaxBody {
		return release, err
	}
	return release, drain(w, r)
}

// take takes a place, if there are any to take.
func take(ctx context.Context, places chan struct{}) (release func(), err error) {
	if places == nil {
		return nil, nil
	}
	late := time.NewTimer(placeTime)
	defer late.Stop()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-late.C:
	case <-ctx.Done():
	}
	return nil, contract.Busy
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

// Discard throws the body of a refused request away, so that its caller reads the
// answer.
func Discard(w http.ResponseWriter, r *http.Request) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime)); err == nil {
		_, _ = io.CopyN(io.Discard, r.Body, MaxBody)
	}
}

// unreadable is why a body was not read, as a fault.
func unreadable(err error) error {
	if errors.Is(err, contract.Busy) {
		return err
	}
	return contract.About(contract.BadRequest, err.Error())
}
