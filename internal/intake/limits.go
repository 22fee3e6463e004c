package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// FlushInterval is how often daily counters are stored. A crash forgets at most
// the calls of one interval.
const FlushInterval = time.Second

// Limits counts calls per app and refuses those beyond an app's rate.
type Limits struct {
	mu      sync.Mutex
	now     time.Time // the latest seen: calls do not come in the order of their times
	day     string
	ends    time.Time             // when the day does
	today   map[string]int64      // calls by app
	pending map[order.Usage]int64 // not yet stored; Calls is zero in the key
	second  map[string]*rate.Limiter
}

// NewLimits continues with what the store has counted for today.
func NewLimits(ctx context.Context, store order.Store, now time.Time) (*Limits, error) {
	l := &Limits{now: now, day: dayOf(now), ends: midnightAfter(now), pending: map[order.Usage]int64{}, second: map[string]*rate.Limiter{}}
	var err error
	l.today, err = store.Usage(ctx, l.day)
	return l, err
}

func dayOf(t time.Time) string { return t.In(contract.Zone).Format(time.DateOnly) }

// Ban says why a call is one too many, and for how long others will be.
type Ban struct {
	Daily bool // the day's calls are used up, else the second's
	For   time.Duration
}

// Count counts a call, or returns what bans it. A banned call is not counted.
func (l *Limits) Count(app *order.App, now time.Time) *Ban {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.now) {
		now = l.now
	}
	l.now = now
	if !now.Before(l.ends) {
		l.day, l.ends = dayOf(now), midnightAfter(now)
		clear(l.today)
	}
	if limit := app.Rate.PerDay; limit > 0 && l.today[app.Key] >= int64(limit) {
		return &Ban{Daily: true, For: l.ends.Sub(now)}
	}
	if app.Rate.PerSecond > 0 && !l.limiter(app).AllowN(now, 1) {
		return &Ban{For: time.Second}
	}
	l.today[app.Key]++
	l.pending[order.Usage{AppKey: app.Key, Day: l.day}]++
	return nil
}

func (l *Limits) limiter(app *order.App) *rate.Limiter {
	n := app.Rate.PerSecond
	b, ok := l.second[app.Key]
	if !ok || b.Burst() != n {
		b = rate.NewLimiter(rate.Limit(n), n)
		l.second[app.Key] = b
	}
	return b
}

func midnightAfter(now time.Time) time.Time {
	y, m, d := now.In(contract.Zone).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, contract.Zone)
}

// Run stores the daily counters until ctx ends, and once more then.
func (l *Limits) Run(ctx context.Context, store order.Store, log *slog.Logger) {
	tick := time.NewTicker(FlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush(context.WithoutCancel(ctx), store, log)
			return
		case <-tick.C:
			l.flush(ctx, store, log)
		}
	}
}

func (l *Limits) flush(ctx context.Context, store order.Store, log *slog.Logger) {
	usage := l.take()
	if len(usage) == 0 {
		return
	}
	if err := store.Commit(ctx, order.CountCalls(usage)); err != nil {
		log.Warn("daily counters not stored; trying again", "error", err)
		l.giveBack(usage)
	}
}

func (l *Limits) take() []order.Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	var usage []order.Usage
	for u, calls := range l.pending {
		u.Calls = calls
		usage = append(usage, u)
	}
	clear(l.pending)
	return usage
}

func (l *Limits) giveBack(usage []order.Usage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range usage {
		l.pending[order.Usage{AppKey: u.AppKey, Day: u.Day}] += u.Calls
	}
}
