package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// problem is what the management API refuses with.
type problem struct {
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	Errors []fieldProblem `json:"errors"`
}

// fieldProblem is what is wrong with one field.
type fieldProblem struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Error says what is wrong.
func (p *problem) Error() string { return p.Detail }

// wrong makes a problem of one sentence.
func wrong(detail string) *problem {
	return &problem{Status: http.StatusUnprocessableEntity, Detail: detail}
}

// manage calls the management API. What is sent is JSON, or a text as it stands; the error
// may be a problem.
func (s *Server) manage(ctx context.Context, method, path string, send, receive any) error {
	var body []byte
	switch b := send.(type) {
	case nil:
	case []byte:
		body = b
	default:
		var err error
		if body, err = json.Marshal(b); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://management"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.RequestURI = r.URL.RequestURI()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer console") // who asks has logged in
	a := newAnswer()
	s.Manage.ServeHTTP(a, r)
	if a.status >= http.StatusBadRequest {
		p := &problem{}
		if err := json.Unmarshal(a.body.Bytes(), p); err != nil || p.Detail == "" {
			return fmt.Errorf("management API answered %d", a.status)
		}
		p.Status = a.status
		return p
	}
	if receive == nil {
		return nil
	}
	return json.Unmarshal(a.body.Bytes(), receive)
}

// answer is an answer that is read here.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: http.Header{}, status: http.StatusOK} }

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// SetReadDeadline is there for who asks for it: nothing is read here.
func (a *answer) SetReadDeadline(time.Time) error { return nil }

// rememberFor is how long what is counted over everything counts.
const rememberFor = 5 * time.Second

// remembered is what is expensive to know and may be a little old: once it is known nobody
// waits for it again.
type remembered[T any] struct {
	mu    sync.Mutex
	value T
	known bool
	at    time.Time
	busy  bool
}

// get returns what is known, and has it found out when it is not known or old.
func (m *remembered[T]) get(ctx context.Context, find func(context.Context) (T, error)) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known {
		value, err := find(ctx)
		if err == nil {
			m.value, m.known, m.at = value, true, time.Now()
		}
		return value, err
	}
	if time.Since(m.at) > rememberFor && !m.busy {
		m.busy = true
		done := make(chan struct{})
		go func() {
			defer close(done)
			value, err := find(context.WithoutCancel(ctx))
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.busy = false; err == nil {
				m.value, m.at = value, time.Now()
			}
		}()
		m.mu.Unlock()
		wait := time.NewTimer(freshWithin)
		select { // what comes soon is shown
		case <-done:
		case <-wait.C:
		}
		wait.Stop()
		m.mu.Lock()
	}
	return m.value, nil
}

// freshWithin is how long a page waits for what it also has old.
const freshWithin = 100 * time.Millisecond

// escape writes a part of a path.
func escape(part string) string { return url.PathEscape(part) }
