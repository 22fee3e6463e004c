package intake

import (
	"context"
	"log/slog"
	"math"
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
	today   map[string]int64      // calls by app, of all processes, when last read
	since   map[string]int64      // this process's calls by app after that
	pending map[order.Usage]int64 // not yet stored; Calls is zero in the key
	second  map[string]*rate.Limiter
	soon    chan struct{}      // others should be told at once
	asked   map[string]int64   // calls by app that came since the others were told, refused ones too
	told    time.Time          // when that was
	share   float64            // of what is left of any limit, that is this process's
	shares  map[string]float64 // the same of apps that were called lately
	first   bool               // of the processes that share the store, this is the first
}

// NewLimits continues with what the store has counted for today.
func NewLimits(ctx context.Context, store order.Store, now time.Time) (*Limits, error) {
	l := &Limits{now: now, day: dayOf(now), ends: midnightAfter(now), since: map[string]int64{}, pending: map[order.Usage]int64{}, second: map[string]*rate.Limiter{}, asked: map[string]int64{}, share: 1, soon: make(chan struct{}, 1)}
	l.divide(store.Share())
	var err error
	l.today, err = store.Usage(ctx, l.day)
	return l, err
}

// divide notes this process's share of all limits.
func (l *Limits) divide(share order.Share) {
	l.share, l.first = float64(share.To-share.From)/float64(max(1, share.Of)), share.From == 0
}

func dayOf(t time.Time) string { return t.In(contract.Zone).Format(time.DateOnly) }

// A process that has used up a part of what was left of a day for all, tells the others at
// once, and hears of theirs: but only so often.
const (
	soonPart  = 20
	soonEvery = 50 * time.Millisecond
)

// part is how many of the calls that are left of a day are this process's. The parts of all
// are no more than that; the last ones are the first process's.
func (l *Limits) part(share float64, left int64) int64 {
	part := int64(share * float64(left))
	if l.first {
		part = max(part, 1)
	}
	return part
}

// Ban says why a call is one too many, and for how long others will be.
type Ban struct {
	Daily bool // the day's calls are used up, else the second's
	For   time.Duration
}

// shareOf is which fraction of an app's limits is this process's; l.mu is held.
func (l *Limits) shareOf(app string) float64 {
	if share, ok := l.shares[app]; ok {
		return share
	}
	return l.share
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
		clear(l.since)
	}
	l.asked[app.Key]++
	if limit := int64(app.Rate.PerDay); limit > 0 {
		left := limit - l.today[app.Key]
		if left-l.since[app.Key] <= 0 {
			return &Ban{Daily: true, For: l.ends.Sub(now)}
		}
		if share := l.shareOf(app.Key); share < 1 {
			if l.since[app.Key] >= left/soonPart {
				select {
				case l.soon <- struct{}{}:
				default: // it is known
				}
			}
			if l.since[app.Key] >= l.part(share, left) {
				return &Ban{Daily: true, For: FlushInterval} // the rest may be another's
			}
		}
	}
	if app.Rate.PerSecond > 0 && !l.limiter(app).AllowN(now, 1) {
		return &Ban{For: time.Second}
	}
	l.since[app.Key]++
	l.pending[order.Usage{AppKey: app.Key, Day: l.day}]++
	return nil
}

func (l *Limits) limiter(app *order.App) *rate.Limiter {
	limit := rate.Limit(float64(app.Rate.PerSecond) * l.shareOf(app.Key))
	burst := max(1, int(math.Ceil(float64(limit))))
	b, ok := l.second[app.Key]
	if !ok {
		b = rate.NewLimiter(limit, burst)
		l.second[app.Key] = b
	}
	if b.Limit() != limit || b.Burst() != burst {
		b.SetLimitAt(l.now, limit)
		b.SetBurstAt(l.now, burst)
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
		case <-l.soon:
			l.flush(ctx, store, log)
			t := time.NewTimer(soonEvery)
			select {
			case <-ctx.Done():
			case <-t.C:
			}
			t.Stop()
		}
	}
}

func (l *Limits) flush(ctx context.Context, store order.Store, log *slog.Logger) {
	if usage := l.take(); len(usage) > 0 {
		if err := store.Commit(ctx, order.CountCalls(usage)); err != nil {
			log.Warn("daily counters not stored; trying again", "error", err)
			l.giveBack(usage)
			return
		}
	}
	if err := l.agree(ctx, store); err != nil && ctx.Err() == nil {
		log.Warn("limits could not be shared with other processes; trying again", "error", err)
	}
}

// agree shares limits out among the processes that share the store: of each, a process
// has what its share of the calls of late was.
func (l *Limits) agree(ctx context.Context, store order.Store) error {
	whole := store.Share()
	l.mu.Lock()
	l.divide(whole)
	asked, alone, day := l.asked, l.share == 1 && l.shares == nil, l.day
	l.asked = map[string]int64{}
	took := max(time.Since(l.told), soonEvery)
	l.told = time.Now()
	l.mu.Unlock()
	if alone {
		return nil
	}
	for app, n := range asked { // in a second
		asked[app] = int64(math.Ceil(float64(n) / took.Seconds()))
	}
	shares, err := store.Shares(ctx, asked)
	if err != nil {
		return err
	}
	today, err := store.Usage(ctx, day)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shares = shares
	if l.day != day {
		return nil
	}
	l.today = today
	clear(l.since)
	for u, n := range l.pending { // it is not stored yet
		if u.Day == day {
			l.since[u.AppKey] = n
		}
	}
	return nil
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
