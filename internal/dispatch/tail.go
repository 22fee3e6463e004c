package dispatch

import (
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
	base    int64 // everything of the log behind this place is in entries
	last    int64 // place of the last event
	entries []*entry
	bytes   int
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
		t.entries, t.bytes, t.base = nil, 0, t.last
		return
	}
	for _, e := range events {
		kept := newEntry(owned(e))
		t.entries, t.bytes = append(t.entries, kept), t.bytes+kept.size
	}
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

// behind returns up to n events that follow a place, and false when the log has to be
// read up to base first.
func (t *tail) behind(seq int64, n int) (entries []*entry, base int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun || seq < t.base {
		return nil, t.base, false
	}
	i, found := slices.BinarySearchFunc(t.entries, seq, func(e *entry, seq int64) int { return int(e.Place - seq) })
	if found {
		i++
	}
	return slices.Clone(t.entries[i:min(len(t.entries), i+n)]), t.base, true
}

// end is the place of the last event that was committed since the start; 0: none was.
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
