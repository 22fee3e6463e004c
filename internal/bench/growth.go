package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// Of the growth load: the ledger that a full one is compared with is a tenth of
// it; look-ups of orders on each.
const (
	smallShare = 10
	lookups    = 500
)

// Growth fills a ledger and compares ingest on it with ingest on a tenth of it:
// the same file as it was then. It measures a look-up of an order on both.
func (b *Bench) Growth(ctx context.Context) (*Report, error) {
	b.ctx = ctx
	if whole := smallShare * batchSize; b.Events < whole || b.Events%whole != 0 {
		return nil, fmt.Errorf("events: want a multiple of %d", whole)
	}
	r := newResults()
	err := b.inDir(func(dir string) error {
		small, large := filepath.Join(dir, "small"), filepath.Join(dir, "large")
		for _, d := range []string{small, large} {
			if err := os.Mkdir(d, 0o700); err != nil {
				return err
			}
		}
		if err := b.fill(large, 0, b.Events/smallShare); err != nil {
			return err
		}
		if err := copyLedger(small, large); err != nil {
			return err
		}
		if err := b.fill(large, b.Events/smallShare, b.Events); err != nil {
			return err
		}
		filled := map[string]int{small: b.Events / smallShare, large: b.Events}
		if err := b.rounds(func(round int) error { return b.growthRound(r, round, small, large, filled) }); err != nil {
			return err
		}
		for d, n := range filled {
			b.say("comparing %d events with the ledger", n)
			r.check(b.withLedger(d, func(s order.Store) error { return sameEvents(s, n) }))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.report(environment(b.dir(), b.Version), checkedWhole), nil
}

// fillSlice is how many events are signed at a time while a ledger is filled.
const fillSlice = 100_000

// fill brings a ledger from one number of events to another.
func (b *Bench) fill(dir string, from, to int) error {
	b.say("filling the ledger to %d events", to)
	p, err := b.startGateway(dir)
	if err != nil {
		return err
	}
	for first := from; first < to; first += fillSlice {
		n := min(fillSlice, to-first)
		w := batchRequests(first, n/batchSize, batchSize, time.Now())
		started := time.Now()
		out, err := load(b.ctx, p.protocol, batchConns, time.Hour, w)
		if err == nil {
			err = out.failed
		}
		if err != nil {
			p.kill()
			return err
		}
		b.say("  %d events, %.0f/s", first+n, float64(n)/time.Since(started).Seconds())
	}
	return p.stop()
}

func (b *Bench) growthRound(r *results, round int, small, large string, filled map[string]int) error {
	measured := map[string]Stage{}
	for _, dir := range turns(round, small, large) {
		var look Stage
		var seen []Stage
		s, err := b.further(dir, many, filled, func(p *process) (err error) {
			if look, err = b.lookup(p, filled[dir]); err == nil {
				seen, err = b.visitConsole(p, filled[dir])
			}
			return err
		})
		if err != nil {
			return err
		}
		look.Name += " " + filepath.Base(dir)
		measured[dir] = s
		r.add(s, look)
		for _, page := range seen {
			figure := strings.ReplaceAll(page.Name, " ", "_") + "_p99_ms"
			page.Name += " " + filepath.Base(dir)
			r.add(page)
			if dir == large {
				r.ratio(figure, page.P99, page)
			}
		}
		if dir == large {
			r.ratio("lookup_p99_ms", look.P99, look)
			r.ratio("lookup_p50_ms", look.P50, look)
		}
		r.atMost("rss_mb", s.RSS)
	}
	r.ratio("growth", measured[large].Rate/measured[small].Rate, measured[small], measured[large])
	return nil
}

// turns are two folders, the first of them first in every other round.
func turns(round int, a, b string) []string {
	if round%2 == 1 {
		return []string{b, a}
	}
	return []string{a, b}
}

// further loads a gateway on a ledger, behind what fills it already. Something else may
// be done with the gateway before; nil: nothing is.
func (b *Bench) further(dir string, conns int, filled map[string]int, before func(*process) error, destinations ...string) (s Stage, err error) {
	p, err := b.startGateway(dir, destinations...)
	if err != nil {
		return s, err
	}
	if before != nil {
		err = before(p)
	}
	if err == nil {
		s, err = b.undisturbed(func() (Stage, error) {
			s, out, err := b.measured(filepath.Base(dir), p, conns, 1, produceRequests(filled[dir], b.most(), time.Now()))
			if err == nil {
				filled[dir] += out.sent
			}
			return s, err
		})
	}
	if err != nil {
		p.kill()
		return s, err
	}
	return s, p.stop()
}

// lookup reads orders with their lines and time lines over the management API.
func (b *Bench) lookup(p *process, events int) (Stage, error) {
	took := make([]time.Duration, lookups)
	before := readClock(p.cmd.Process.Pid)
	for i := range took {
		o, _ := event(rand.IntN(events))
		request, err := http.NewRequest(http.MethodGet, "http://"+p.admin+"/v1/orders/"+order.Taobao+"/"+orderNumber(o), nil)
		if err != nil {
			return Stage{}, err
		}
		request.Header.Set("Authorization", "Bearer "+adminToken)
		started := time.Now()
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return Stage{}, err
		}
		body, err := io.ReadAll(response.Body)
		took[i] = time.Since(started)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			return Stage{}, err
		}
		var found struct {
			Number   string
			Timeline []struct{ Seq int64 }
		}
		if err := json.Unmarshal(body, &found); err != nil || found.Number != orderNumber(o) || len(found.Timeline) == 0 {
			return Stage{}, fmt.Errorf("look-up of order %s: HTTP %s %.200s", orderNumber(o), response.Status, body)
		}
	}
	s := p.stage("lookup", 1, lookups, before, readClock(p.cmd.Process.Pid))
	s.P50, s.P99 = percentiles(took)
	return s, nil
}

// copyLedger copies a ledger that nobody has open.
func copyLedger(to, from string) error {
	for _, suffix := range []string{"", ".key"} {
		if err := copyFile(filepath.Join(to, databaseFile+suffix), filepath.Join(from, databaseFile+suffix)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
