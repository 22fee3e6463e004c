package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ordergate/ordergate/internal/admin"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

type deliveriesCmd struct {
	List  deliveriesListCmd  `cmd:"" help:"List deliveries: what is owed to destinations, and what became of it."`
	Retry deliveriesRetryCmd `cmd:"" help:"Try deliveries again now, from the first attempt on."`
	Skip  deliveriesSkipCmd  `cmd:"" help:"Give a delivery up that is retrying or held, so that its order goes on."`
}

// listing is what lists of the management API have in common.
type listing struct {
	management
	Limit int  `default:"100" help:"How many to print at most (default ${default})."`
	JSON  bool `name:"json" help:"Print one JSON object a line."`
}

// each prints the items of a list: as JSON, or as show prints them in columns.
func each[T any](t *terminal, l *listing, path string, query url.Values, show func(w *tabwriter.Writer, item T)) error {
	if l.Limit <= 0 {
		return misused("--limit must be positive")
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for left := l.Limit; left > 0; {
		query.Set("limit", strconv.Itoa(min(left, 1000)))
		var page admin.List[json.RawMessage]
		if err := l.send(t, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		for _, raw := range page.Items {
			left--
			if l.JSON {
				if _, err := fmt.Fprintln(t.out, string(bytes.TrimSpace(raw))); err != nil {
					return err
				}
				continue
			}
			var item T
			if err := json.Unmarshal(raw, &item); err != nil {
				return err
			}
			show(w, item)
		}
		if page.Next == "" {
			break
		}
		query.Set("after", page.Next)
	}
	return w.Flush()
}

type deliveriesListCmd struct {
	listing
	State       order.DeliveryState `placeholder:"STATE" help:"pending, in_flight, done, retrying, dead, or held: dead ones whose orders wait for a person."`
	Destination string              `placeholder:"NAME" help:"Of one destination."`
}

// Run asks the management API.
func (cmd *deliveriesListCmd) Run(t *terminal) error {
	query := url.Values{}
	set(query, "state", string(cmd.State))
	set(query, "destination", cmd.Destination)
	return each(t, &cmd.listing, "/v1/deliveries", query, showDelivery)
}

// set sets a query parameter that is given.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

func showDelivery(w *tabwriter.Writer, d admin.Delivery) {
	next := ""
	if d.NextAt != nil {
		next = "next " + timeText(d.NextAt)
	}
	state := string(d.State)
	if d.Held {
		state += ", held"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\tattempts %d\t%s\t%s\n", d.ID, state, d.API, oneLine(cmp.Or(d.Order, "-")), d.Attempts, next, oneLine(d.Reason))
}

type deliveriesRetryCmd struct {
	management
	IDs         []string            `arg:"" name:"id" optional:"" help:"Deliveries, as deliveries list prints them; none: as the flags select."`
	Destination string              `placeholder:"NAME" help:"Without ids: of one destination (default: of all)."`
	State       order.DeliveryState `placeholder:"STATE" help:"Without ids: retrying, dead or held (default: dead)."`
	FromSeq     int64               `placeholder:"SEQ" help:"Without ids: from this place in the log on."`
	ToSeq       int64               `placeholder:"SEQ" help:"Without ids: up to this place in the log."`
}

// Run asks the management API.
func (cmd *deliveriesRetryCmd) Run(t *terminal) error {
	if len(cmd.IDs) > 0 {
		if cmd.Destination != "" || cmd.State != "" || cmd.FromSeq != 0 || cmd.ToSeq != 0 {
			return misused("give ids or a selection, not both")
		}
		return cmd.act(t, cmd.IDs, "retry")
	}
	body, err := json.Marshal(admin.RetryFilter{Destination: cmd.Destination, State: cmd.State, FromSeq: cmd.FromSeq, ToSeq: cmd.ToSeq})
	if err != nil {
		return err
	}
	var done admin.Retried
	if err := cmd.send(t, http.MethodPost, "/v1/deliveries/retry", body, &done); err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "retried %d\n", done.Retried)
	return err
}

type deliveriesSkipCmd struct {
	management
	IDs []string `arg:"" name:"id" help:"Deliveries, as deliveries list prints them."`
}

// Run asks the management API.
func (cmd *deliveriesSkipCmd) Run(t *terminal) error { return cmd.act(t, cmd.IDs, "skip") }

// act does something to deliveries, and prints each.
func (m *management) act(t *terminal, ids []string, what string) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, id := range ids {
		var d admin.Delivery
		if err := m.send(t, http.MethodPost, "/v1/deliveries/"+url.PathEscape(id)+"/"+what, nil, &d); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		showDelivery(w, d)
	}
	return w.Flush()
}

type destinationsCmd struct {
	List   destinationsListCmd   `cmd:"" help:"List destinations, and say how they are doing."`
	Show   destinationsShowCmd   `cmd:"" help:"Print how a destination is declared."`
	Test   destinationsTestCmd   `cmd:"" help:"Reach a destination with something of no consequence."`
	Replay destinationsReplayCmd `cmd:"" help:"Deliver part of the log to a destination again, beside what it gets otherwise."`
	Delete destinationsDeleteCmd `cmd:"" help:"Delete a destination, and what it is owed."`
}

type destinationsListCmd struct {
	management
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

// Run asks the management API.
func (cmd *destinationsListCmd) Run(t *terminal) error {
	var stats admin.Stats
	if err := cmd.send(t, http.MethodGet, "/v1/stats", nil, &stats); err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, d := range stats.Destinations {
		if cmd.JSON {
			if err := json.NewEncoder(t.out).Encode(d); err != nil {
				return err
			}
			continue
		}
		next := ""
		if d.NextAt != nil {
			next = "next try " + timeText(d.NextAt)
		}
		fmt.Fprintf(w, "%s\t%s\tlag %d\tretrying %d\tdead %d\theld %d\t%s\t%s\n", d.Name, d.State, d.Lag, d.Retrying, d.Dead, d.Held, next, oneLine(d.Reason))
	}
	return w.Flush()
}

type destinationName struct {
	management
	Name string `arg:"" help:"The destination."`
}

func (n *destinationName) path() string { return "/v1/destinations/" + url.PathEscape(n.Name) }

type destinationsShowCmd struct{ destinationName }

// Run asks the management API.
func (cmd *destinationsShowCmd) Run(t *terminal) error {
	var raw json.RawMessage
	if err := cmd.send(t, http.MethodGet, cmd.path(), nil, &raw); err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(t.out, indented.String())
	return err
}

type destinationsTestCmd struct{ destinationName }

// Run asks the management API. It fails when the destination is not good.
func (cmd *destinationsTestCmd) Run(t *terminal) error {
	var trial admin.Trial
	if err := cmd.send(t, http.MethodPost, cmd.path()+"/test", nil, &trial); err != nil {
		return err
	}
	if !trial.OK {
		return fmt.Errorf("%s: %s (after %.1f ms)", cmd.Name, cmp.Or(oneLine(trial.Reason), fmt.Sprintf("HTTP %d", trial.Status)), trial.LatencyMS)
	}
	_, err := fmt.Fprintf(t.out, "%s is good: HTTP %d after %.1f ms\n", cmd.Name, trial.Status, trial.LatencyMS)
	return err
}

type destinationsReplayCmd struct {
	destinationName
	From string `required:"" placeholder:"PLACE" help:"earliest, the place of an event in the log, or a time such as 2026-01-02T15:04:05+08:00."`
	To   int64  `placeholder:"SEQ" help:"Place of the last event (default: the end of the log now)."`
}

// Run asks the management API.
func (cmd *destinationsReplayCmd) Run(t *terminal) error {
	behind, at, err := apply.ParsePlace(cmd.From)
	if err != nil {
		return misused("--from %v", err)
	}
	r := admin.ReplayRange{ToSeq: cmd.To}
	if behind != nil {
		r.FromSeq = *behind + 1
	} else {
		r.FromTime = apply.AsTime(at)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := cmd.send(t, http.MethodPost, cmd.path()+"/replay", body, &r); err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "replaying to %s from %d on\n", cmd.Name, r.FromSeq)
	return err
}

type destinationsDeleteCmd struct{ destinationName }

// Run asks the management API.
func (cmd *destinationsDeleteCmd) Run(t *terminal) error {
	return cmd.send(t, http.MethodDelete, cmd.path(), nil, nil)
}

type eventsCmd struct {
	List eventsListCmd `cmd:"" help:"List the log."`
	Tail eventsTailCmd `cmd:"" help:"Follow the log."`
}

type eventsListCmd struct {
	listing
	Order string `placeholder:"NUMBER" help:"Of one order."`
	API   string `name:"api" placeholder:"METHOD" help:"Of one API."`
	After int64  `placeholder:"SEQ" help:"Behind a place in the log."`
}

// Run asks the management API.
func (cmd *eventsListCmd) Run(t *terminal) error {
	query := url.Values{}
	set(query, "order", cmd.Order)
	set(query, "api", cmd.API)
	if cmd.After > 0 {
		query.Set("after", strconv.FormatInt(cmd.After, 10))
	}
	return each(t, &cmd.listing, "/v1/events", query, func(w *tabwriter.Writer, e admin.Event) {
		fmt.Fprintln(w, strings.Join(eventTexts(&e), "\t"))
	})
}

// eventTexts are the columns of an event, each one line.
func eventTexts(e *admin.Event) []string {
	return []string{strconv.FormatInt(e.Seq, 10), timeText(e.At), e.API, oneLine(cmp.Or(e.Platform, "-")), oneLine(cmp.Or(e.Order, e.WorkOrder, "-")), paramsText(e.Params)}
}

type eventsTailCmd struct {
	management
	After *int64 `placeholder:"SEQ" help:"Begin behind a place in the log, 0 for its beginning (default: with what comes from now on)."`
	JSON  bool   `name:"json" help:"Print one JSON object a line."`
}

// tailPause is how long a broken stream is left alone.
const tailPause = time.Second

// Run follows the stream until the context ends, and goes on where it broke.
func (cmd *eventsTailCmd) Run(t *terminal) error {
	last, began := "", false
	if cmd.After != nil {
		last = strconv.FormatInt(*cmd.After, 10)
	}
	for {
		lines, closeStream, err := cmd.stream(t, "/v1/events/stream", last)
		if err == nil {
			began = true
			last, err = cmd.follow(t, lines, last)
			closeStream()
		}
		if t.Err() != nil {
			return nil
		}
		if _, refused := errors.AsType[*refusedError](err); refused || !began {
			return err
		}
		fmt.Fprintf(t.err, "ordergate: the stream broke, going on behind %s: %v\n", last, err)
		select {
		case <-t.Done():
			return nil
		case <-time.After(tailPause):
		}
	}
}

// follow prints what a stream brings, and returns the place of the last event.
func (cmd *eventsTailCmd) follow(t *terminal, lines *bufio.Scanner, last string) (string, error) {
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "": // a comment: the place where it begins
			if at, ok := strings.CutPrefix(value, admin.StreamBegins); ok && last == "" {
				last = at
			}
		case "id":
			last = value
		case "data":
			if err := cmd.print(t, value); err != nil {
				return last, err
			}
		}
	}
	return last, cmp.Or(lines.Err(), errStreamEnded)
}

func (cmd *eventsTailCmd) print(t *terminal, data string) error {
	if cmd.JSON {
		_, err := fmt.Fprintln(t.out, data)
		return err
	}
	var e admin.Event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return err
	}
	_, err := fmt.Fprintln(t.out, strings.Join(eventTexts(&e), "  "))
	return err
}
