package order

import (
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// RefusedCall is a call that was refused, as it came. Its texts hold secrets: show them
// masked.
type RefusedCall struct {
	N      int64 // counts refused calls from 1
	At     time.Time
	ID     string // request_id of the answer
	Method string // as the caller names it, as is App
	App    string
	From   string // address
	Code   string
	Sub    string // sub code
	Text   string // what the caller was told
	Reason string // what the log was told
	Advice contract.Advice
	Order  string // number, as far as it was known

	Head    string // its line and headers
	Body    string
	Cut     bool // not all of it is kept
	Reverse bool // it came to a path of Qimen's own reverse calls
}

// KeptRefused is how many refused calls are kept.
const KeptRefused = 1000

// RefusedCalls keeps the last refused calls in memory. The zero value is empty.
type RefusedCalls struct {
	mu    sync.Mutex
	calls []RefusedCall // a ring
	n     int64
}

// Add keeps a call, and forgets the oldest one if there are too many.
func (r *RefusedCalls) Add(c RefusedCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	c.N = r.n
	if len(r.calls) < KeptRefused {
		r.calls = append(r.calls, c)
		return
	}
	r.calls[int((c.N-1)%KeptRefused)] = c
}

// List lists those before a number, the newest first; 0: all.
func (r *RefusedCalls) List(before int64) (calls []RefusedCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before == 0 {
		before = r.n + 1
	}
	for n := min(before-1, r.n); n > r.n-int64(len(r.calls)); n-- {
		calls = append(calls, r.calls[int((n-1)%KeptRefused)])
	}
	return calls
}

// Get finds a call by its number, or fails with ErrNotFound.
func (r *RefusedCalls) Get(n int64) (RefusedCall, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < 1 || n > r.n || n <= r.n-int64(len(r.calls)) {
		return RefusedCall{}, ErrNotFound
	}
	return r.calls[int((n-1)%KeptRefused)], nil
}
