package store

import (
	"context"
	"sync"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// maxCached bounds each of the directory's maps. A full map is emptied: the
// next look-ups fill it again.
const maxCached = 100_000

// directory keeps apps, sessions and destinations in memory, because calls look them
// up.
type directory struct {
	engine engine

	mu         sync.RWMutex
	generation int // changes when anything was forgotten
	apps       map[string]*order.App
	sessions   map[contract.Secret]*order.Session

	sellers      map[string]*order.App // by seller
	destinations []*order.Destination  // nil: not loaded
}

func newDirectory(e engine) *directory {
	return &directory{engine: e, apps: map[string]*order.App{}, sessions: map[contract.Secret]*order.Session{}, sellers: map[string]*order.App{}}
}

// App implements [order.Store].
func (d *directory) App(ctx context.Context, key string) (*order.App, error) {
	return cached(ctx, d, d.apps, key, d.engine.loadApp)
}

// Session implements [order.Store].
func (d *directory) Session(ctx context.Context, token contract.Secret) (*order.Session, error) {
	return cached(ctx, d, d.sessions, token, d.engine.loadSession)
}

// AppOf implements [order.Store].
func (d *directory) AppOf(ctx context.Context, seller string) (*order.App, error) {
	return cached(ctx, d, d.sellers, seller, d.engine.loadAppOf)
}

// Destinations implements [order.Store].
func (d *directory) Destinations(ctx context.Context) ([]*order.Destination, error) {
	d.mu.RLock()
	known, generation := d.destinations, d.generation
	d.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	loaded, err := d.engine.loadDestinations(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.generation == generation {
		d.destinations = append([]*order.Destination{}, loaded...)
	}
	return loaded, nil
}

// forgetAll drops everything: another process has changed something.
func (d *directory) forgetAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
	d.destinations = nil
	clear(d.sellers)
	clear(d.apps)
	clear(d.sessions)
}

func cached[K comparable, V any](ctx context.Context, d *directory, m map[K]V, key K, load func(context.Context, K) (V, error)) (V, error) {
	d.mu.RLock()
	v, ok := m[key]
	generation := d.generation
	d.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := load(ctx, key)
	if err != nil {
		return v, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.generation == generation { // else what was loaded may be older than a change
		if len(m) >= maxCached {
			clear(m)
		}
		m[key] = v
	}
	return v, nil
}

// forget drops what a transaction may have changed.
func (d *directory) forget(w *writes) {
	if len(w.apps)+len(w.sessions)+len(w.destinations) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
	if len(w.destinations) > 0 {
		d.destinations = nil
	}
	if len(w.apps) > 0 {
		clear(d.sellers)
	}
	for key := range w.apps {
		delete(d.apps, key)
	}
	for token := range w.sessions {
		delete(d.sessions, token)
	}
	if len(w.purged) > 0 {
		clear(d.sessions)
	}
}
