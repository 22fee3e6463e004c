package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/admin"
	"github.com/ordergate/ordergate/internal/apply"
)

type ordersCmd struct {
	Show ordersShowCmd `cmd:"" help:"Show an order with its lines and its time line."`
}

type ordersShowCmd struct {
	management
	Platform string  `arg:"" help:"taobao, suning, or a code such as JD."`
	Number   string  `arg:"" help:"Order number."`
	Seller   *string `placeholder:"SELLER" help:"Its seller; needed when several have an order of that number."`
	JSON     bool    `name:"json" help:"Print what the management API answers."`
}

// Run asks the management API.
func (cmd *ordersShowCmd) Run(t *terminal) error {
	path := "/v1/orders/" + url.PathEscape(cmd.Platform) + "/" + url.PathEscape(cmd.Number)
	if cmd.Seller != nil {
		path += "?seller=" + url.QueryEscape(*cmd.Seller)
	}
	var raw json.RawMessage
	if err := cmd.send(t, http.MethodGet, path, nil, &raw); err != nil {
		return err
	}
	if cmd.JSON {
		_, err := fmt.Fprintln(t.out, string(bytes.TrimSpace(raw)))
		return err
	}
	var o admin.OrderView
	if err := json.Unmarshal(raw, &o); err != nil {
		return err
	}
	return showOrder(t, &o)
}

// showOrder prints an order a line each for itself, its lines and its events.
func showOrder(t *terminal, o *admin.OrderView) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "order\t%s\t%s\t%s\tseller %s\t%s\n", oneLine(o.Platform), oneLine(o.Number), o.Stage, oneLine(cmp.Or(o.Seller, "-")), labelled("paid", timeText(o.PaidAt)))
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range o.Lines {
		details := l.Statuses
		if l.Locked {
			details = append(details, "locked")
		}
		if len(l.Cards) > 0 {
			details = append(details, fmt.Sprintf("cards %d", len(l.Cards)))
		}
		if l.RefundOf != nil {
			details = append(details, "refunded automatically")
		}
		fmt.Fprintf(w, "line\t%s\t%s\t%s\t%s\t%s\n", oneLine(l.Number), l.Kind, l.State, labelled("quantity", l.Quantity), strings.Join(details, ", "))
	}
	if err := w.Flush(); err != nil { // each group has columns of its own
		return err
	}
	for _, l := range o.Locks {
		fmt.Fprintf(w, "lock\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, oneLine(l.Line), l.State, timeText(l.AskedAt), oneLine(cmp.Or(l.Destination, "-")), oneLine(strings.TrimSpace(l.Code+" "+l.Text)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, e := range o.Timeline {
		fmt.Fprintf(w, "event\t%d\t%s\t%s\t%s\t%s\n", e.Seq, timeText(e.At), e.API, oneLine(cmp.Or(strings.Join(e.Lines, ","), "-")), paramsText(e.Params))
	}
	return w.Flush()
}

// paramsText prints parameters in one line, sorted by name.
func paramsText(params map[string]string) string {
	texts := make([]string, 0, len(params))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		texts = append(texts, name+"="+oneLine(params[name]))
	}
	return strings.Join(texts, " ")
}

// oneLine keeps what callers sent from moving the cursor or forging lines: control
// characters show as escapes.
func oneLine(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	quoted := strconv.QuoteToGraphic(text)
	return quoted[1 : len(quoted)-1]
}

func labelled(label, text string) string {
	if text == "" {
		return ""
	}
	return label + " " + text
}

// timeText prints a time as the platforms write it, in GMT+8.
func timeText(t *apply.Time) string {
	if t == nil {
		return ""
	}
	return time.Time(*t).In(contract.Zone).Format(contract.TimeLayout)
}
