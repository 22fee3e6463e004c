package bench

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// consoleVisits is how often each page of the console is looked at.
const consoleVisits = 40

// consolePage is a page of the console that is looked at.
type consolePage struct {
	name string
	path func(number string) string // of an order
	says func(number string) string // what it must hold
}

// consolePages are the pages that people look at first: what they show of a full ledger
// must come while they wait.
var consolePages = []consolePage{
	{"console overview", func(string) string { return "/" }, func(string) string { return "tiles" }},
	{"console search", func(number string) string { return "/orders?list=1&q=" + number[:len(number)-1] }, func(number string) string { return number }},
	{"console order", func(number string) string { return "/orders?q=" + number }, func(number string) string { return "timeline" }},
	{"console funnel", func(string) string { return "/funnel" }, func(string) string { return "funnel" }},
	{"console events", func(string) string { return "/events?api=taobao.bcpush.isv.event.emit" }, func(string) string { return "rows" }},
}

// visitConsole looks at the console's pages as a browser does that has logged in, the
// first time of each included.
func (b *Bench) visitConsole(p *process, events int) (stages []Stage, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Jar: jar}
	base := "http://" + p.admin
	response, err := client.PostForm(base+"/login", url.Values{"token": {adminToken}})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(drain(response), response.Body.Close()); err != nil {
		return nil, err
	}
	for _, page := range consolePages {
		took := make([]time.Duration, consoleVisits)
		before := readClock(p.cmd.Process.Pid)
		for i := range took {
			o, _ := event(rand.IntN(events))
			number := orderNumber(o)
			started := time.Now()
			response, err := client.Get(base + page.path(number))
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(response.Body)
			took[i] = time.Since(started)
			if err := errors.Join(err, response.Body.Close()); err != nil {
				return nil, err
			}
			if response.StatusCode != http.StatusOK || !strings.Contains(string(body), page.says(number)) {
				return nil, fmt.Errorf("%s: HTTP %s %.200s", page.name, response.Status, body)
			}
		}
		s := p.stage(page.name, 1, consoleVisits, before, readClock(p.cmd.Process.Pid))
		s.P50, s.P99 = percentiles(took)
		stages = append(stages, s)
	}
	return stages, nil
}

func drain(r *http.Response) error {
	_, err := io.Copy(io.Discard, r.Body)
	return err
}
