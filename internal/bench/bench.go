package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
)

// Bench is how to measure.
type Bench struct {
	Program  string        // the executable that is measured
	Version  string        // its version, for the report
	Dir      string        // where databases go; empty: a temporary folder
	Duration time.Duration // of each stage
	Rounds   int
	Database string    // URL of a PostgreSQL server's database, beside which databases are made; empty: SQLite
	Events   int       // growth: how large the ledger gets; deliver: how far a destination gets behind
	Progress io.Writer // says what is being measured

	ctx context.Context // ends everything
}

// fastest is the most requests a second for which a stage has work ready.
const fastest = 60_000

// most is how many requests a stage can send.
func (b *Bench) most() int { return int(b.Duration.Seconds() * fastest) }

// distinct is how many different requests a stage repeats that stores nothing.
const distinct = 50_000

// inDir runs f with a folder of its own, which goes afterwards.
func (b *Bench) inDir(f func(dir string) error) error {
	dir, err := os.MkdirTemp(b.Dir, "ordergate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if b.Database == "" {
		return f(dir)
	}
	if err := b.execute("CREATE DATABASE " + databaseName(dir)); err != nil {
		return err
	}
	return errors.Join(f(dir), b.execute("DROP DATABASE "+databaseName(dir)+" WITH (FORCE)"))
}

// databaseName names the database of a folder.
func databaseName(dir string) string {
	return strings.ReplaceAll(strings.ToLower(filepath.Base(dir)), "-", "_")
}

// execute runs a statement in the database that was given.
func (b *Bench) execute(statement string) error {
	c, err := pgx.Connect(b.ctx, b.Database)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(b.ctx))
	_, err = c.Exec(b.ctx, statement)
	return err
}

// databaseOf is the URL of the database of a folder.
func (b *Bench) databaseOf(dir string) (string, error) {
	if b.Database == "" {
		return "sqlite:" + filepath.Join(dir, databaseFile), nil
	}
	u, err := url.Parse(b.Database)
	if err != nil {
		return "", errors.New("the database's URL cannot be read")
	}
	u.Path = "/" + databaseName(dir)
	return u.String(), nil
}

// sharedKey seals what is in databases of PostgreSQL.
const sharedKey = "b3JkZXJnYXRlIGJlbmNoIGlzIG5vIHNlY3JldC4uLi4="

func (b *Bench) say(format string, args ...any) {
	if b.Progress != nil {
		fmt.Fprintf(b.Progress, format+"\n", args...)
	}
}

// tries is how often a disturbed stage is measured.
const tries = 3

// rounds measures all stages so often, one round after the other.
func (b *Bench) rounds(measure func(round int) error) error {
	for round := range b.Rounds {
		b.say("round %d of %d", round+1, b.Rounds)
		if err := measure(round); err != nil {
			return err
		}
	}
	return nil
}

// undisturbed measures a stage until nothing disturbs it, at most so often.
func (b *Bench) undisturbed(measure func() (Stage, error)) (s Stage, err error) {
	for range tries {
		if s, err = measure(); err != nil || !s.Noisy {
			break
		}
	}
	if err == nil {
		disturbed := ""
		if s.Noisy {
			disturbed = ", noisy"
		}
		b.say("  %-10s %4d conns  %8.0f/s  p50 %.3f ms  p99 %.3f ms  %.0f us CPU%s", s.Name, s.Conns, s.Rate, s.P50, s.P99, s.CPU, disturbed)
	}
	return s, err
}

// measured puts a load on a server. Each request counts per times.
func (b *Bench) measured(name string, p *process, conns, per int, w work) (Stage, *outcome, error) {
	before := readClock(p.cmd.Process.Pid)
	out, err := load(b.ctx, p.protocol, conns, b.Duration, w)
	after := readClock(p.cmd.Process.Pid)
	if err != nil {
		return Stage{}, nil, err
	}
	if out.failed != nil {
		return Stage{}, nil, fmt.Errorf("%s: %w", name, out.failed)
	}
	s := p.stage(name, conns, out.sent*per, before, after)
	s.Noisy = b.noisy(before, after)
	s.Rate = float64(out.sent*per) / out.duration.Seconds()
	s.P50, s.P99 = percentiles(out.took)
	return s, out, nil
}

// stage is what a server did n of between two readings of its clock.
func (p *process) stage(name string, conns, n int, before, after clock) Stage {
	return Stage{
		Name: name, Conns: conns, Rate: float64(n) / after.at.Sub(before.at).Seconds(),
		CPU:   float64((after.child - before.child).Microseconds()) / float64(n),
		RSS:   peakRSS(p.cmd.Process.Pid),
		Noisy: noisy(before, after),
	}
}

// bare measures the limit A.
func (b *Bench) bare(conns int, w work) (Stage, error) {
	w.cycle = true
	return b.undisturbed(func() (s Stage, err error) {
		err = b.inDir(func(dir string) error {
			p, err := b.startBare(dir)
			if err != nil {
				return err
			}
			defer p.kill()
			s, _, err = b.measured("A", p, conns, 1, w)
			return err
		})
		return s, err
	})
}

// durable measures a fresh gateway and compares its ledger with what was
// answered: check is given the ledger and how many requests were sent. What it
// finds is wrong, and no end of the run.
func (b *Bench) durable(r *results, name string, conns, per int, w work, check func(order.Store, int) error, destinations ...string) (Stage, error) {
	return b.undisturbed(func() (s Stage, err error) {
		err = b.inDir(func(dir string) error {
			p, err := b.startGateway(dir, destinations...)
			if err != nil {
				return err
			}
			var out *outcome
			if s, out, err = b.measured(name, p, conns, per, w); err != nil {
				p.kill()
				return err
			}
			if err := p.stop(); err != nil {
				return fmt.Errorf("stopping the gateway: %w", err)
			}
			r.check(b.withLedger(dir, func(s order.Store) error { return check(s, out.sent) }))
			return nil
		})
		return s, err
	})
}

// withLedger opens what a stopped gateway left.
func (b *Bench) withLedger(dir string, f func(order.Store) error) (err error) {
	s, err := b.openStore(dir)
	if err != nil {
		return err
	}
	defer func() {
		if closing := s.Close(); err == nil {
			err = closing
		}
	}()
	return f(s)
}

func (b *Bench) openStore(dir string) (order.Store, error) {
	return b.openGrouping(dir, 0)
}

// openGrouping opens a ledger whose transactions have at most so many tasks; 0: as many as
// a gateway's.
func (b *Bench) openGrouping(dir string, group int) (order.Store, error) {
	key, err := secret.Parse(sharedKey)
	if b.Database == "" {
		key, err = secret.Load(filepath.Join(dir, databaseFile) + ".key")
	}
	if err != nil {
		return nil, err
	}
	database, err := b.databaseOf(dir)
	if err != nil {
		return nil, err
	}
	return store.Open(context.Background(), database, store.Options{Key: key, Group: group, Log: slog.New(slog.DiscardHandler)})
}

// raw measures group commits of the same events without HTTP: as many callers,
// each waiting for its own.
func (b *Bench) raw(callers int) (Stage, error) {
	return b.undisturbed(func() (s Stage, err error) {
		err = b.inDir(func(dir string) error {
			return b.withLedger(dir, func(ledger order.Store) error {
				s, err = b.commits([]order.Store{ledger}, callers)
				return err
			})
		})
		return s, err
	})
}

// commits measures commits of as many callers, who are divided among stores.
func (b *Bench) commits(ledgers []order.Store, callers int) (Stage, error) {
	at := time.Now()
	tasks := make([]*order.Task, b.most())
	app := &order.App{Key: appKey}
	rule, _ := order.RuleOf(contract.EventProduce)
	for i := range tasks {
		r := produced(i, at)
		work, err := rule.Judge(&order.Call{
			API: contract.EventProduce, App: app, Seller: seller, Request: r, At: at,
			Record: order.Record{RequestID: "bench", Format: "json", Digest: "hmac-sha256", Params: contract.EventProduce.Params(r)},
		})
		if err != nil {
			return Stage{}, err
		}
		tasks[i] = work.Tasks[0]
	}
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	next := make(chan *order.Task, len(tasks))
	for _, t := range tasks {
		next <- t
	}
	close(next)
	before := readClock(0)
	deadline := before.at.Add(b.Duration)
	var all sync.WaitGroup
	for i := range callers {
		ledger := ledgers[i%len(ledgers)]
		all.Go(func() {
			var own []time.Duration
			var err error
			for began := time.Now(); began.Before(deadline) && err == nil; {
				t, ok := <-next
				if !ok {
					break
				}
				if err = ledger.Commit(context.Background(), t); err == nil {
					err = t.Err
				}
				now := time.Now()
				own = append(own, now.Sub(began))
				began = now
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			if failed == nil {
				failed = err
			}
		})
	}
	all.Wait()
	after := readClock(0)
	n := float64(len(took))
	s := Stage{
		Name: "store", Conns: callers, Rate: n / after.at.Sub(before.at).Seconds(), CPU: float64((after.own - before.own).Microseconds()) / n,
		Noisy: b.noisy(before, after),
	}
	s.P50, s.P99 = percentiles(took)
	return s, failed
}
