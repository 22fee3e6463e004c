package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/internal/order"
)

// How a stream of events is read: so many at a time, and so often something is sent
// where nothing comes, to keep what lies between from closing it.
const (
	streamPage = 100
	streamBeat = 15 * time.Second
)

// StreamBegins stands in the first comment of a stream, before the place behind which it
// begins.
const StreamBegins = "the log behind "

func (s *Server) registerStream(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/v1/events/stream", Summary: "Follow the log",
		Description: "Server-sent events: id is the place in the log, event the API, data the event as /v1/events shows it. It goes on behind Last-Event-ID; without one with what comes from now on. A call that waits for somebody comes when he has answered.",
		Responses:   map[string]*huma.Response{"200": {Description: "The log, as it grows", Content: map[string]*huma.MediaType{"text/event-stream": {}}}},
	}, func(ctx context.Context, in *struct {
		LastEventID string `header:"Last-Event-ID" doc:"id of the last event that was seen"`
		After       string `query:"after" doc:"The same, for whoever cannot set headers; 0: from the beginning"`
	}) (*huma.StreamResponse, error) {
		after, err := s.streamFrom(ctx, in.LastEventID, in.After)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(to huma.Context) {
			to.SetHeader("Content-Type", "text/event-stream")
			to.SetHeader("Cache-Control", "no-store")
			if w, ok := to.BodyWriter().(http.ResponseWriter); ok {
				s.follow(to.Context(), w, after)
			}
		}}, nil
	})
}

// streamFrom is the place behind which a stream begins.
func (s *Server) streamFrom(ctx context.Context, header, query string) (int64, error) {
	text, at := header, "header.Last-Event-ID"
	if text == "" {
		text, at = query, "query.after"
	}
	if text == "" {
		head, err := s.Store.Head(ctx)
		if err != nil {
			return 0, s.failed(err)
		}
		return head, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, problem(http.StatusUnprocessableEntity, "the stream cannot begin there", Detail{at, "is no place in the log"})
	}
	return after, nil
}

// follow writes the log until ctx ends or the reader is gone. The reader may take its
// time: what it has not read stays in the log.
func (s *Server) follow(ctx context.Context, w http.ResponseWriter, after int64) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() { // until the stream ends
		select {
		case <-s.Closing:
			end()
		case <-ctx.Done():
		}
	}()
	out := http.NewResponseController(w)
	write := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(2 * streamBeat)) // the server's own is for answers that end
		_, err := w.Write([]byte(text))
		return err == nil && out.Flush() == nil
	}
	if !write(": " + StreamBegins + strconv.FormatInt(after, 10) + "\n\n") {
		return
	}
	for ctx.Err() == nil {
		head, err := s.Store.Head(ctx)
		var events []*order.Event
		more := false
		if err == nil {
			events, more, err = s.Store.Events(ctx, order.EventFilter{Settled: true, After: after, UpTo: max(head, 1), Limit: streamPage})
		}
		if err != nil {
			s.Log.Warn("a stream of events ended", "error", err)
			return
		}
		for _, e := range events {
			text, err := streamed(e)
			if err != nil {
				s.Log.Error("an event cannot be shown", "seq", e.Seq, "error", err)
			} else if !write(text) {
				return
			}
			after = e.Place
		}
		if more {
			continue
		}
		after = max(after, head) // what was asked, and is no fact yet, has no place before it
		waiting, done := context.WithTimeout(ctx, streamBeat)
		err = s.Courier.Await(waiting, after)
		done()
		if err != nil && !write(": \n\n") {
			return
		}
	}
}

// streamed is an event in a stream.
func streamed(e *order.Event) (string, error) {
	shown, err := showEvent(e)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(shown)
	return fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Place, e.API, data), err
}
