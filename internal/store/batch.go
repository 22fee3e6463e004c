package store

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// batch is the tasks of one transaction.
type batch struct {
	now    time.Time
	log    *slog.Logger
	tasks  []*order.Task
	writes *writes
}

// writes is what a transaction has to write.
type writes struct {
	orders       []*dirty // in the order in which they were first touched
	events       []order.Event
	apps         []*order.App
	dropApps     []string
	sessions     []*order.Session
	dropSessions []contract.Secret
	usage        []order.Usage
	probe        bool

	byKey map[order.Key]*dirty
}

// dirty is an order that changed, and what of it.
type dirty struct {
	*order.Order
	header bool
	lines  map[string]bool // numbers of lines that changed
	marks  []order.Mark    // new ones
}

func (w *writes) empty() bool {
	return !w.probe && len(w.orders)+len(w.events)+len(w.apps)+len(w.dropApps)+len(w.sessions)+len(w.dropSessions)+len(w.usage) == 0
}

// keys lists the orders that the tasks concern, each once.
func (b *batch) keys() []order.Key {
	keys := make([]order.Key, 0, len(b.tasks))
	seen := make(map[order.Key]bool, len(b.tasks))
	for _, t := range b.tasks {
		for _, k := range t.Orders {
			if !seen[k] {
				seen[k] = true
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// decide decides the tasks in turn. Each sees what those before it did.
func (b *batch) decide(loaded map[order.Key]*order.Order) *writes {
	b.writes = &writes{byKey: make(map[order.Key]*dirty, len(loaded))}
	view := &order.View{Now: b.now, Orders: loaded}
	for _, t := range b.tasks {
		d, err := b.judge(t, view)
		t.Reply, t.Err = d.Reply, err
		if err == nil {
			b.writes.add(d, view)
		}
	}
	return b.writes
}

// judge keeps a fault in one rule from failing the whole group.
func (b *batch) judge(t *order.Task, view *order.View) (d order.Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			b.log.Error("rule panicked", "panic", p)
			d, err = order.Decision{}, fmt.Errorf("%w: rule panicked", order.ErrNotStored)
		}
	}()
	return t.Decide(view)
}

func (w *writes) add(d order.Decision, view *order.View) {
	for _, change := range d.Orders {
		w.apply(change, view)
	}
	w.events = append(w.events, d.Events...)
	w.apps = append(w.apps, d.Apps...)
	w.dropApps = append(w.dropApps, d.DropApps...)
	w.sessions = append(w.sessions, d.Sessions...)
	w.dropSessions = append(w.dropSessions, d.DropSessions...)
	w.usage = append(w.usage, d.Usage...)
	w.probe = w.probe || d.Probe
}

func (w *writes) apply(change order.Change, view *order.View) {
	o, ok := w.byKey[change.Key]
	if !ok {
		o = &dirty{Order: view.Orders[change.Key]}
		w.byKey[change.Key] = o
		w.orders = append(w.orders, o)
	}
	before, stage := o.Header, o.Stage
	o.Apply(change, view.Now)
	o.header = o.header || o.Header != before || o.Stage != stage
	o.marks = append(o.marks, change.Marks...)
	for _, l := range change.Lines {
		if o.lines == nil {
			o.lines = map[string]bool{}
		}
		o.lines[l.Number] = true
	}
}
