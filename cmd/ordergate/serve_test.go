package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that their time is
// the bubble's.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A peer that sends slowly, or nothing, is cut off.
func TestSlowRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	const head = "POST /router/rest HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"
	for name, c := range map[string]struct {
		sent   string
		within time.Duration
	}{
		"half a header": {head[:40], 11 * time.Second},
		"half a body":   {head + "a=1", 31 * time.Second},
		"nothing":       {"", 11 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := &gateway{log: slog.New(slog.DiscardHandler)}
			l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
			server := g.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
			}))
			var serving sync.WaitGroup
			serving.Go(func() { _ = server.Serve(l) })
			client, peer := net.Pipe()
			l.conns <- peer
			started := time.Now()
			if _, err := client.Write([]byte(c.sent)); err != nil {
				t.Fatal(err)
			}
			_, err := io.Copy(io.Discard, client)
			if took := time.Since(started); took > c.within || err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: cut off after %v, %v", name, took, err)
			}
			client.Close()
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			serving.Wait()
		})
	}
}
