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

// place is what a large body has taken. The zero value is none.
type place struct{ of chan struct{} }

// Release gives the place of a large body back, if the call has one. Nothing of the
// call may be used afterwards.
func (p *place) Release() {
	if p.of != nil {
		<-p.of
		p.of = nil
	}
}

// take takes a place, if there are any to take.
func (p *place) take(ctx context.Context, places chan struct{}) error {
	if places == nil {
		return nil
	}
	late := time.NewTimer(placeTime)
	defer late.Stop()
	select {
	case places <- struct{}{}:
		p.of = places
		return nil
	case <-late.C:
	case <-ctx.Done():
	}
	return contract.Busy
}

// receive reads a body within its limits. A large one takes a place, which its
// call keeps until nothing of the body is needed any more.
func (p *place) receive(w http.ResponseWriter, r *http.Request, body *bytes.Buffer, places chan struct{}) error {
	if r.ContentLength == 0 || r.Body == nil {
		return nil
	}
	if r.ContentLength > MaxBody {
		return drain(w, r)
	}
	if _, err := body.ReadFrom(io.LimitReader(r.Body, SmallBody)); err != nil || body.Len() < SmallBody {
		return err
	}
	if err := p.take(r.Context(), places); err != nil {
		return err
	}
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(largeTime)) // where there is no connection, nobody is slow
	_, err := body.ReadFrom(io.LimitReader(r.Body, MaxBody+1-SmallBody))
	_ = conn.SetReadDeadline(time.Time{})
	if err != nil || body.Len() <= MaxBody {
		return err
	}
	return drain(w, r)
}

// drain throws the rest of a body over MaxBody away.
func drain(w http.ResponseWriter, r *http.Request) error {
	discard(w, r, drainBody)
	w.Header().Set("Connection", "close")
	return errors.New("body over 1 MiB")
}

// Discard throws the body of a refused request away, so that its caller reads the
// answer.
func Discard(w http.ResponseWriter, r *http.Request) { discard(w, r, MaxBody) }

func discard(w http.ResponseWriter, r *http.Request, most int64) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime)); err == nil {
		_, _ = io.CopyN(io.Discard, r.Body, most)
	}
}

// unreadable is why a body was not read, as a fault.
func unreadable(err error) error {
	if errors.Is(err, contract.Busy) {
		return err
	}
	return contract.About(contract.BadRequest, err.Error())
}
