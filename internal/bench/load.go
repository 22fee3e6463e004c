package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// work is what a load sends: ready requests, one after the other.
type work struct {
	requests [][]byte
	accepts  [][]byte // what answers hold that say yes: of request i the i-th, and over again
	cycle    bool     // begin again at the end: for a server that stores nothing

	rate     float64     // requests a second, each at its time; 0: as fast as they are answered
	answered []time.Time // is told when each was answered; nil: nobody asks
}

// outcome is what became of a load.
type outcome struct {
	sent     int             // requests, all of them answered yes unless failed says otherwise
	took     []time.Duration // of each
	duration time.Duration
	failed   error // the first answer that was no yes
}

// load sends requests over a number of connections, each as soon as the one
// before it on its connection is answered, until the time or the work is over.
// Requests are taken in their order: the first sent of them were sent.
// The address may be several, with commas between, who share the connections.
func load(ctx context.Context, address string, conns int, duration time.Duration, w work) (*outcome, error) {
	addresses := strings.Split(address, ",")
	callers := make([]*caller, conns)
	for i := range callers {
		conn, err := net.Dial("tcp", addresses[i%len(addresses)])
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		callers[i] = &caller{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range callers {
			_ = c.conn.Close()
		}
	})
	defer stop()
	var next atomic.Int64
	var all sync.WaitGroup
	started := time.Now()
	deadline := started.Add(duration)
	for _, c := range callers {
		all.Go(func() { c.run(&next, started, deadline, w) })
	}
	all.Wait()
	out := &outcome{duration: time.Since(started)}
	for _, c := range callers {
		out.took = append(out.took, c.took...)
		if out.failed == nil {
			out.failed = c.failed
		}
	}
	out.sent = len(out.took)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if out.sent == 0 && out.failed == nil {
		return nil, errors.New("nothing was answered in that time: measure longer")
	}
	return out, nil
}

// caller is one connection.
type caller struct {
	conn   net.Conn
	in     *bufio.Reader
	body   []byte
	took   []time.Duration
	failed error
}

func (c *caller) run(next *atomic.Int64, started, deadline time.Time, w work) {
	for began := time.Now(); began.Before(deadline); {
		i := int(next.Add(1) - 1)
		if w.rate > 0 { // the time of a request that waits for a connection counts
			began = started.Add(time.Duration(float64(i) / w.rate * float64(time.Second)))
			time.Sleep(time.Until(began))
		}
		if i >= len(w.requests) {
			if !w.cycle {
				return
			}
			i %= len(w.requests)
		}
		if err := c.exchange(w.requests[i]); err != nil {
			c.failed = err
			return
		}
		now := time.Now()
		c.took = append(c.took, now.Sub(began))
		if w.answered != nil {
			w.answered[i] = now
		}
		began = now
		if !bytes.Contains(c.body, w.accepts[i%len(w.accepts)]) {
			c.failed = fmt.Errorf("answer %.300s", c.body)
			return
		}
	}
}

var (
	statusOK      = []byte("HTTP/1.1 200 OK\r\n")
	contentLength = []byte("Content-Length: ")
)

// exchange sends a request and reads the answer: status 200, a length, a body.
func (c *caller) exchange(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.Equal(line, statusOK) {
		return fmt.Errorf("status %q", line)
	}
	length := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	_, err = io.ReadFull(c.in, c.body)
	return err
}
