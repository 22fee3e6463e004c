package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// Of the stages of delivery: how much of what was answered must be delivered when the
// load stops, the share of the sustained rate at which the latency is measured, and how
// many destinations are beside each other.
const (
	sustainedShare = 0.95
	calmShare      = 0.3
	severalTargets = 10
	slowRate       = 100 // events a second, beside a destination that is slow
	slowAnswer     = 4 * time.Second
)

// webhookSecret is that of the sink.
const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// nowhere is an address at which nobody listens.
const nowhere = "http://127.0.0.1:1/"

// destination declares a webhook.
func destination(name, url string, more string) string {
	return fmt.Sprintf(`{"name":%q,"kind":"webhook","url":%q,"secret":%q%s}`, name, url, webhookSecret, more)
}

// Deliver measures events from the call to a sink, against the limits. Backlog is how
// many events a destination is behind that was gone; 0: that is not measured.
func (b *Bench) Deliver(ctx context.Context) (*Report, error) {
	b.ctx = ctx
	r := newResults()
	if err := b.rounds(func(round int) error { return b.deliverRound(r, round) }); err != nil {
		return nil, err
	}
	if b.Events > 0 && b.Database == "" { // it copies the database's file
		if err := b.backlog(r); err != nil {
			return nil, err
		}
	}
	return r.report(environment(b.dir(), b.Version), checkedDelivered), nil
}

func (b *Bench) deliverRound(r *results, round int) error {
	now := time.Now()
	w := produceRequests(0, max(b.most(), distinct), now)
	limit := w
	limit.requests = w.requests[:distinct]
	var a, raw, posts, sync, alone, several, sustained, crowded, calm Stage
	var share, crowdedShare float64
	stages := []func() error{
		func() (err error) { a, err = b.bare(some, limit); return err },
		func() (err error) { raw, err = b.raw(some); return err },
		func() (err error) { posts, err = b.posts(); return err },
		func() error {
			return b.inDir(func(dir string) (err error) { sync, err = probeSync(dir, syncs); return err })
		},
		func() (err error) { alone, err = b.durable(r, "ingest", some, 1, w, sameEvents); return err },
		func() (err error) {
			var gone []string
			for i := range severalTargets {
				gone = append(gone, destination(fmt.Sprint("gone", i), nowhere, ""))
			}
			several, err = b.durable(r, "ten gone", some, 1, w, sameEvents, gone...)
			return err
		},
		func() (err error) { sustained, share, err = b.deliver(r, "deliver", some, w, 0); return err },
		func() (err error) { crowded, crowdedShare, err = b.deliver(r, "deliver", many, w, 0); return err },
	}
	for i := range stages { // rotated, so that no stage always follows the same one
		if err := stages[(i+round)%len(stages)](); err != nil {
			return err
		}
	}
	calm, _, err := b.deliver(r, "deliver 30%", some, w, sustained.Rate*calmShare)
	if err != nil {
		return err
	}
	quiet, _, err := b.deliver(r, "100/s", some, w, slowRate)
	if err != nil {
		return err
	}
	beside, err := b.besideSlow(r, w)
	if err != nil {
		return err
	}
	r.add(a, raw, posts, sync, alone, several, sustained, crowded, calm, quiet, beside)
	r.ratio("slow_neighbour_p99", beside.P99/quiet.P99, beside, quiet)
	r.ratio("deliver_64_to_A", sustained.Rate/a.Rate, sustained, a)
	r.ratio("deliver_64_to_harmonic", sustained.Rate*(1/a.Rate+1/raw.Rate+1/posts.Rate), sustained, a, raw, posts)
	r.ratio("deliver_64_share", share, sustained)
	r.ratio("deliver_256_share", crowdedShare, crowded)
	r.ratio("deliver_30_p99_to_F", calm.P99/sync.P50, calm, sync)
	r.ratio("ten_dest_to_ingest", several.Rate/alone.Rate, several, alone)
	r.atMost("rss_mb", max(alone.RSS, several.RSS, sustained.RSS, calm.RSS))
	return nil
}

// deliver measures a gateway that delivers to a sink: as fast as it answers, or at a
// rate, and then from the answer to the delivery. It returns how much of what was
// answered was delivered when the load stopped.
func (b *Bench) deliver(r *results, name string, conns int, w work, rate float64, others ...string) (s Stage, share float64, err error) {
	s, err = b.undisturbed(func() (s Stage, err error) {
		err = b.inDir(func(dir string) error {
			to, err := startSink("", 0, len(w.requests), 0)
			if err != nil {
				return err
			}
			defer to.close()
			p, err := b.startGateway(dir, append(others, destination("sink", to.url(), ""))...)
			if err != nil {
				return err
			}
			w.answered = make([]time.Time, len(w.requests))
			w.rate = rate
			var out *outcome
			if s, out, err = b.measured(name, p, conns, 1, w); err != nil {
				p.kill()
				return err
			}
			share = float64(to.count()) / float64(out.sent)
			if err := to.await(out.sent); err != nil {
				p.kill()
				return err
			}
			s.RSS = peakRSS(p.cmd.Process.Pid)
			if err := p.stop(); err != nil {
				return fmt.Errorf("stopping the gateway: %w", err)
			}
			if rate > 0 {
				s.P50, s.P99 = percentiles(to.latencies(w.answered[:out.sent]))
			}
			r.check(to.verdict(out.sent))
			r.check(b.withLedger(dir, func(ledger order.Store) error { return sameEvents(ledger, out.sent) }))
			return nil
		})
		return s, err
	})
	return s, share, err
}

// besideSlow measures delivery beside a destination that takes seconds for an answer.
func (b *Bench) besideSlow(r *results, w work) (Stage, error) {
	slow, err := startSink("", 0, len(w.requests), slowAnswer)
	if err != nil {
		return Stage{}, err
	}
	defer slow.close()
	s, _, err := b.deliver(r, "beside slow", some, w, slowRate, destination("slow", slow.url(), ""))
	return s, err
}

// latencies are from the answers to the deliveries. What was delivered before its caller
// had read the answer took no time.
func (s *sink) latencies(answered []time.Time) (took []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, at := range answered {
		took = append(took, max(0, s.at[i].Sub(at)))
	}
	return took
}

// posts measures the limit B: bare posts to the sink, by a process of their own.
func (b *Bench) posts() (Stage, error) {
	return b.undisturbed(func() (s Stage, err error) {
		err = b.inDir(func(dir string) error {
			to, err := startSink("", 0, distinct, 0)
			if err != nil {
				return err
			}
			defer to.close()
			p, err := b.start(dir, nil, "bench", PostCommand, to.url())
			if err != nil {
				return err
			}
			defer p.kill()
			before, from := readClock(p.cmd.Process.Pid), to.posts.Load()
			select {
			case <-time.After(b.Duration):
			case <-b.ctx.Done():
				return b.ctx.Err()
			}
			after, n := readClock(p.cmd.Process.Pid), int(to.posts.Load()-from)
			if n == 0 {
				return errors.New("nothing was posted")
			}
			s = p.stage("B", postLanes, n, before, after)
			return nil
		})
		return s, err
	})
}

// PostCommand is the argument with which the program is Post.
const PostCommand = "post"

// postLanes is how many posts are on their way at a time.
const postLanes = 32

// Post posts events to a sink over and over, until ctx ends: what a delivery cannot do
// without. Its rate is the limit "B".
func Post(ctx context.Context, url string) {
	bodies := make([][]byte, distinct/10)
	for i := range bodies {
		o := produced(i, time.Now())
		bodies[i] = fmt.Appendf(nil, `{"specversion":"1.0","id":"%026d","source":"ordergate/taobao/bench","type":"taobao.qimen.event.produce","subject":"%s","time":"2026-01-02T15:04:05.123456789+08:00","datacontenttype":"application/json","sequence":"%020d","data":{"params":{"status":"%s","tid":"%s","erp_order_id":"%s","taobao_sub_order_ids":"%s","event_time":"%s"},"answer":{"is_success":true}}}`,
			i, o.OrderID, i, o.Status, o.OrderID, o.ERPOrderID, o.SubOrders, o.OccurredAt)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: postLanes, MaxIdleConnsPerHost: postLanes, DisableCompression: true}}
	var all sync.WaitGroup
	for lane := range postLanes {
		all.Go(func() {
			for i := lane; ctx.Err() == nil; i += postLanes {
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(bodies[i%len(bodies)]))
				if err != nil {
					return
				}
				response, err := client.Do(r)
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
	all.Wait()
}

// backlog measures ingest on a ledger whose only destination is gone and behind by all
// of it, against the same ledger without one, and that destination's return.
func (b *Bench) backlog(r *results) error {
	return b.inDir(func(dir string) error {
		alone, behind := filepath.Join(dir, "alone"), filepath.Join(dir, "behind")
		for _, d := range []string{alone, behind} {
			if err := os.Mkdir(d, 0o700); err != nil {
				return err
			}
		}
		if err := b.fill(behind, 0, b.Events); err != nil {
			return err
		}
		if err := copyLedger(alone, behind); err != nil {
			return err
		}
		to, err := startSink("", 0, b.Events+b.Rounds*tries*b.most(), 0)
		if err != nil {
			return err
		}
		address := to.listener.Addr().String()
		to.close() // it will be back
		gone := destination("sink", "http://"+address+"/", `,"from":"earliest"`)
		filled := map[string]int{alone: b.Events, behind: b.Events}
		for round := range b.Rounds {
			measured := map[string]Stage{}
			for _, d := range turns(round, alone, behind) {
				var destinations []string
				if d == behind {
					destinations = append(destinations, gone)
				}
				s, err := b.further(d, some, filled, nil, destinations...)
				if err != nil {
					return err
				}
				measured[d] = s
				r.add(s)
			}
			r.ratio("backlog_to_ingest", measured[behind].Rate/measured[alone].Rate, measured[alone], measured[behind])
			r.atMost("backlog_rss_mb", measured[behind].RSS)
		}
		return b.catchUp(r, behind, address, filled[behind])
	})
}

// catchUp lets a destination return that is behind by n events.
func (b *Bench) catchUp(r *results, dir, address string, n int) error {
	to, err := startSink(address, 0, n, 0)
	if err != nil {
		return err
	}
	defer to.close()
	p, err := b.startGateway(dir, destination("sink", "http://"+address+"/", ""))
	if err != nil {
		return err
	}
	before := readClock(p.cmd.Process.Pid)
	if err := to.await(n); err != nil {
		p.kill()
		return err
	}
	s := p.stage("catch up", some, n, before, readClock(p.cmd.Process.Pid))
	b.say("  caught up %d events, %.0f/s", n, s.Rate)
	r.add(s)
	r.atMost("backlog_rss_mb", s.RSS)
	r.check(to.verdict(n))
	return p.stop()
}

// withDestinations adds destinations to the state of a gateway.
func withDestinations(declared []string) (string, error) {
	text := strings.TrimSuffix(state, "}") + `,"destinations":[` + strings.Join(declared, ",") + `]}`
	if !json.Valid([]byte(text)) {
		return "", errors.New("the state is no JSON")
	}
	return text, nil
}
