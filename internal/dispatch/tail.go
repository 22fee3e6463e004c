package dispatch

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// entry is an event in memory, with what is made of it once for all destinations.
type entry struct {
	*order.Event
	size int // in bytes, about

	once sync.Once
	body []byte // as webhooks and streams get it
	err  error
}

func newEntry(e *order.Event) *entry {
	return &entry{Event: e, size: entrySize + len(e.Record) + len(e.Answer) + len(e.Sealed)}
}

// entrySize is about what an event takes besides its record.
const entrySize = 512

// cloudEvent is the event as webhooks and streams get it. When ok is false the event
// alone is broken, and the outcome says why.
func (e *entry) cloudEvent() (body []byte, o outcome, ok bool) {
	e.once.Do(func() { e.body, e.err = eventJSON(*e.Event) })
	if e.err != nil {
		return nil, outcome{verdict: refused, reason: "the event cannot be written: " + e.err.Error()}, false
	}
	return e.body, o, true
}

// How much of the log's end stays in memory.
const (
	tailEvents = 8192
	tailBytes  = 16 << 20
)

// tail is the end of the log, as it was committed. Destinations that are near it need
// not read the database. It takes a bounded share of the memory, however many they are.
type tail struct {
	mu      sync.Mutex
	begun   bool
	base    int64 // everything of the log between this place and covered is in entries
	covered int64
	last    int64 // the end of the log
	entries []*entry
	bytes   int

	filling sync.Mutex // one reads the database for all
	resets  int
	opened  bool         // what is read has its secret parameters
	shards  order.Shards // whose events are in memory
}

// add appends what was committed. Unless it is to be kept, only its place is noted.
func (t *tail) add(events []*order.Event, keep bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun {
		t.begun, t.base = true, events[0].Place-1
	}
	t.last = events[len(events)-1].Place
	if !keep {
		t.forget()
		return
	}
	for _, e := range events {
		t.keep(newEntry(owned(e)))
	}
	t.covered = t.last
	t.trim()
}

// forget leaves nothing of the log in memory; t.mu is held.
func (t *tail) forget() { t.entries, t.bytes, t.base, t.covered = nil, 0, t.last, t.last }

func (t *tail) keep(e *entry) { t.entries, t.bytes = append(t.entries, e), t.bytes+e.size }

// reset forgets what is in memory, when others than before are to read it.
func (t *tail) reset(opened bool, shards order.Shards) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened == opened && shards&^t.shards == 0 {
		return
	}
	t.opened, t.shards = opened, shards
	t.resets++
	if t.begun {
		t.forget()
	}
}

// extend notes a new end of the log that is read from the database. Unless it is to be
// kept, only the place is noted.
func (t *tail) extend(end int64, keep bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = max(t.last, end)
	if !keep || !t.begun {
		t.begun = true
		t.forget()
	}
}

// short reports whether the log goes on behind a place, and not in memory.
func (t *tail) short(place int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return place >= t.covered && place < t.last
}

// fillEvents is how much is read of the end of the log at a time.
const fillEvents = 512

// fill reads what follows in the log, for all who will want it.
func (t *tail) fill(ctx context.Context, store order.Store) error {
	t.filling.Lock()
	defer t.filling.Unlock()
	t.mu.Lock()
	f := order.EventFilter{Settled: true, Sealed: t.opened, Shards: t.shards, After: t.covered, UpTo: t.last, Limit: fillEvents}
	resets := t.resets
	t.mu.Unlock()
	if f.After >= f.UpTo { // another has read it
		return nil
	}
	events, more, err := store.Events(ctx, f)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resets != resets || t.covered != f.After { // nobody is near the end any more, or wants something else
		return nil
	}
	for _, e := range events {
		t.keep(newEntry(e))
	}
	if t.covered = f.UpTo; more {
		t.covered = events[len(events)-1].Place
	}
	t.trim()
	return nil
}

// trim keeps what is in memory within its bounds; t.mu is held.
func (t *tail) trim() {
	drop := max(0, len(t.entries)-tailEvents)
	for _, e := range t.entries[:drop] {
		t.bytes -= e.size
	}
	for ; t.bytes > tailBytes; drop++ {
		t.bytes -= t.entries[drop].size
	}
	if drop > 0 {
		t.base = t.entries[drop-1].Place
		clear(t.entries[:drop])
		t.entries = t.entries[drop:]
	}
}

// behind returns up to n events that follow a place, and the place up to which they are
// all of some shards; 0 when the log has to be read up to base first.
func (t *tail) behind(seq int64, n int, shards order.Shards) (entries []*entry, upTo, base int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if shards&^t.shards != 0 {
		return nil, 0, t.last
	}
	if !t.begun || seq < t.base {
		return nil, 0, t.base
	}
	if seq >= t.covered {
		return nil, seq, t.base
	}
	i, found := slices.BinarySearchFunc(t.entries, seq, func(e *entry, seq int64) int { return int(e.Place - seq) })
	if found {
		i++
	}
	if len(t.entries)-i > n {
		entries = slices.Clone(t.entries[i : i+n])
		return entries, entries[n-1].Place, t.base
	}
	return slices.Clone(t.entries[i:]), t.covered, t.base
}

// end is the end of the log, as far as it grew since the start; 0: it did not.
func (t *tail) end() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// owned copies an event: its texts may be parts of a request that is let go.
func owned(e *order.Event) *order.Event {
	c := *e
	texts := []*string{&c.Order.Platform, &c.Order.Seller, &c.Order.Number, &c.WorkOrder.App, &c.WorkOrder.Tenant, &c.WorkOrder.ID, &c.App, (*string)(&c.Session)}
	c.Lines = slices.Clone(e.Lines)
	for i := range c.Lines {
		texts = append(texts, &c.Lines[i])
	}
	size := 0
	for _, text := range texts {
		size += len(*text)
	}
	var b strings.Builder
	b.Grow(size)
	for _, text := range texts {
		b.WriteString(*text)
	}
	all := b.String()
	for _, text := range texts {
		*text, all = all[:len(*text)], all[len(*text):]
	}
	return &c
}

// paramsOf reads the parameters that an event keeps of its call: secret ones as far as
// they were opened.
func paramsOf(api *contract.API, e *order.Event) ([]contract.Param, error) {
	values, err := e.Values()
	if err != nil {
		return nil, err
	}
	params := make([]contract.Param, 0, len(values))
	for _, f := range api.Request {
		if value := values[f.Name]; !contract.Blank(value) {
			params = append(params, contract.Param{Name: f.Name, Value: value})
		}
	}
	return params, nil
}
