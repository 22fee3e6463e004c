package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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

// Where is the field of a form that is meant.
func (p fieldProblem) Where() string {
	where := p.Location
	for _, list := range []string{"apps[0].", "destinations[0].", "sessions[0].", "body."} {
		where = strings.TrimPrefix(where, list)
	}
	return strings.TrimPrefix(where, "body")
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
	if a.status >= http.StatusMultipleChoices && a.status < http.StatusBadRequest { // a name that a path cannot hold
		return &problem{Status: http.StatusUnprocessableEntity, Detail: "this cannot be a name: " + path}
	}
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

// What is counted over everything counts for a while. Then it is counted again, and a page
// waits for that a moment if it has it a little old, and longer if it has it older.
const (
	rememberFor = 5 * time.Second
	stale       = 30 * time.Second
	waitFresh   = 100 * time.Millisecond
	waitStale   = 3 * time.Second
	giveUp      = time.Minute
)

// remembered is what is expensive to know and may be a little old.
type remembered[T any] struct {
	mu    sync.Mutex
	value T
	known bool
	at    time.Time
	busy  chan struct{} // closed when it is known anew; nil: nobody finds it out
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
	age := time.Since(m.at)
	if age <= rememberFor {
		return m.value, nil
	}
	if m.busy == nil {
		m.busy = make(chan struct{})
		go m.refresh(context.WithoutCancel(ctx), find)
	}
	busy, wait := m.busy, time.NewTimer(waitFresh)
	if age > stale {
		wait.Reset(waitStale)
	}
	m.mu.Unlock()
	select {
	case <-busy:
	case <-wait.C:
	case <-ctx.Done():
	}
	wait.Stop()
	m.mu.Lock()
	return m.value, nil
}

func (m *remembered[T]) refresh(ctx context.Context, find func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	value, err := find(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.value, m.at = value, time.Now()
	}
	close(m.busy)
	m.busy = nil
}

// escape writes a part of a path.
func escape(part string) string { return url.PathEscape(part) }
