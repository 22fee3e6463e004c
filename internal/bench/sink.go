package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// sink is a receiver of webhooks that answers at once, and notes when it got each event
// of a load for the first time. It speaks just as much HTTP as it is sent.
type sink struct {
	listener net.Listener
	posts    atomic.Int64  // requests, repetitions included
	takes    time.Duration // before it answers

	mu       sync.Mutex
	conns    map[net.Conn]bool
	first    int         // the first event of the load
	at       []time.Time // when each was delivered
	reached  []uint8     // by order: how many of its events were
	got      int         // different events
	repeated int
	wrong    error // an event that came before an earlier one of its order, or is none of the load
}

// startSink starts a sink that expects the events of a load from first on, n at most. An
// empty address is any. It takes some time for each answer.
func startSink(address string, first, n int, takes time.Duration) (*sink, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, takes: takes, conns: map[net.Conn]bool{}, first: first, at: make([]time.Time, n), reached: make([]uint8, (first+n)/len(statuses)+2*ordersPerBlock)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	return s, nil
}

func (s *sink) url() string { return "http://" + s.listener.Addr().String() + "/" }

func (s *sink) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

var (
	sinkAnswer    = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	subjectMember = []byte(`"subject":"`)
	statusMember  = []byte(`"status":"`)
)

func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 16<<10)
	var body []byte
	for {
		var err error
		if body, err = readPost(in, body); err != nil {
			return
		}
		s.posts.Add(1)
		s.note(body, time.Now())
		if s.takes > 0 {
			time.Sleep(s.takes)
		}
		if _, err := conn.Write(sinkAnswer); err != nil {
			return
		}
	}
}

// readPost reads the body of a request that has a length.
func readPost(in *bufio.Reader, body []byte) ([]byte, error) {
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	if length < 0 {
		return nil, errors.New("a request without a length")
	}
	if cap(body) < length {
		body = make([]byte, length)
	}
	body = body[:length]
	_, err := io.ReadFull(in, body)
	return body, err
}

// textBehind returns the JSON string, without escapes, behind a member's name.
func textBehind(body, member []byte) string {
	_, rest, _ := bytes.Cut(body, member)
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(text)
}

// note notes an event of the load.
func (s *sink) note(body []byte, now time.Time) {
	number, status := textBehind(body, subjectMember), textBehind(body, statusMember)
	i, ok := indexOf(number, status)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i -= s.first; !ok || i < 0 || i >= len(s.at) {
		s.fail("order %s, %s was delivered and is none of the load", number, status)
		return
	}
	if !s.at[i].IsZero() {
		s.repeated++
		return
	}
	s.at[i] = now
	s.got++
	order, _ := event(s.first + i)
	step := uint8((s.first+i)%(ordersPerBlock*len(statuses))/ordersPerBlock) + 1
	if step < s.reached[order] {
		s.fail("order %s: %s came behind a later event", number, status)
	}
	s.reached[order] = step
}

func (s *sink) fail(format string, args ...any) {
	if s.wrong == nil {
		s.wrong = fmt.Errorf(format, args...)
	}
}

// count is how many different events have come.
func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

// await waits until so many different events have come, and fails when nothing does for
// a while.
func (s *sink) await(n int) error {
	last, since := -1, time.Now()
	for {
		got := s.count()
		switch {
		case got >= n:
			return nil
		case got != last:
			last, since = got, time.Now()
		case time.Since(since) > sinkPatience:
			return fmt.Errorf("%d events were delivered of %d that were answered", got, n)
		}
		time.Sleep(time.Millisecond)
	}
}

// sinkPatience is how long nothing may come while something is owed: longer than a
// destination that was down is left alone.
const sinkPatience = 90 * time.Second

// verdict returns what is wrong with what came, when the first n events of the load
// were answered.
func (s *sink) verdict(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong != nil {
		return s.wrong
	}
	for i, at := range s.at {
		if at.IsZero() != (i >= n) {
			return fmt.Errorf("event %d of %d that were answered: delivered %t", i, n, !at.IsZero())
		}
	}
	return nil
}
