package order

import (
	"context"
	"log/slog"
	"time"
)

// Keeper deletes what is older than it is to be kept, as far as nobody is owed it:
// events with what is left of their deliveries, and orders that have ended and have no
// events any more.
type Keeper struct {
	Store Store
	Keep  time.Duration
	Clock func() time.Time
	Log   *slog.Logger
}

// How often the keeper looks, how many events it deletes in one transaction, and for how
// long it lets others work after each: calls wait for it.
const (
	keepEvery = time.Minute
	keepSize  = 500
	keepPause = 50 * time.Millisecond
)

// Run deletes until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := keepEvery
		n := 0
		leads, err := k.Store.Lead(ctx, "keep")
		if err == nil && leads {
			n, err = k.Sweep(ctx)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			k.Log.Warn("old events not deleted; trying again", "error", err)
		case n >= keepSize:
			wait = keepPause
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// Sweep deletes one batch, and returns how many events it had.
func (k *Keeper) Sweep(ctx context.Context) (int, error) {
	return k.Store.Prune(ctx, k.Clock().Add(-k.Keep), keepSize)
}
