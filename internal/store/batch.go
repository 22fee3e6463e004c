package store

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// batch is the tasks of one transaction.
type batch struct {
	now    time.Time
	log    *slog.Logger
	tasks  []*order.Task
	prunes []*prune
	writes *writes
}

// prune deletes events that are older than a time and owed to nobody.
type prune struct {
	before time.Time
	limit  int // events at most

	deleted int // events
}

// writes is what a transaction has to write.
type writes struct {
	orders   []*dirty           // in the order in which they were first touched
	events   []logged           // of the tasks: they learn their places in the log
	work     []*order.WorkOrder // as the last task left each
	eventIDs []order.EventID
	purged   []string                           // apps whose sessions go, before anything is put
	apps     map[string]*order.App              // nil: dropped
	sessions map[contract.Secret]*order.Session // nil: dropped
	usage    []order.Usage
	answers  []order.Answered // of events that stay where they are
	progress []order.Progress
	retries  []order.Retry
	replays  []order.Queue
	prunes   []*prune
	probe    bool
	now      time.Time

	bookmarks map[string]string

	destinations map[string]*order.Destination // nil: dropped

	contradiction error // what no transaction may write

	byKey  map[order.Key]*dirty
	workAt map[order.WorkOrderKey]int // places in work
}

// logged is an event that gets a place in the log: a new one, or one that is final now.
type logged struct {
	*order.Event
	final bool
	lost  bool  // it was there already, or is no more
	order int64 // the store's id of its order, where PostgreSQL is told of all events at once
}

// dirty is an order that changed, and what of it.
type dirty struct {
	*order.Order
	changed bool // besides the time of its last event
	added   bool // it is new
}

func (w *writes) empty() bool {
	return !w.probe && len(w.orders)+len(w.events)+len(w.work)+len(w.eventIDs)+len(w.apps)+len(w.sessions)+len(w.usage)+len(w.answers)+len(w.progress)+len(w.retries)+len(w.replays)+len(w.prunes)+len(w.destinations)+len(w.bookmarks) == 0
}

// wanted is what a transaction must load, each once.
type wanted struct {
	orders   set[order.Key]
	numbers  set[order.NumberKey]
	apps     set[string]
	work     set[order.WorkOrderKey]
	eventIDs set[order.EventIDKey]

	destinations bool
	queues       []order.QueueShards
}

// newView is the view of what is wanted, with nothing in it yet.
func newView(w *wanted) *order.View {
	return &order.View{
		Orders: make(map[order.Key]*order.Order, len(w.orders.list)), Named: make(map[order.NumberKey][]*order.Order, len(w.numbers.list)), Apps: make(map[string]*order.App, len(w.apps.list)),
		WorkOrders: make(map[order.WorkOrderKey]*order.WorkOrder, len(w.work.list)), EventIDs: make(map[order.EventIDKey]string, len(w.eventIDs.list)),
		Destinations: map[string]*order.Destination{}, Replaying: map[string]bool{},
	}
}

// set lists keys, each once, in the order in which they came.
type set[K comparable] struct {
	list []K
	seen map[K]bool
}

func (s *set[K]) add(keys []K) {
	for _, k := range keys {
		if s.seen == nil {
			s.seen = map[K]bool{}
		}
		if !s.seen[k] {
			s.seen[k] = true
			s.list = append(s.list, k)
		}
	}
}

func (b *batch) wanted() *wanted {
	w := &wanted{}
	for _, t := range b.tasks {
		w.orders.add(t.Orders)
		w.numbers.add(t.Numbers)
		w.apps.add(t.Apps)
		w.work.add(t.WorkOrders)
		w.eventIDs.add(t.EventIDs)
		w.destinations = w.destinations || t.Destinations
		w.queues = append(w.queues, t.Queues...)
	}
	return w
}

// decide decides the tasks in turn. Each sees what those before it did.
func (b *batch) decide(view *order.View) *writes {
	b.writes = &writes{
		byKey: make(map[order.Key]*dirty, len(view.Orders)),
		now:   b.now, prunes: b.prunes,
		apps: map[string]*order.App{}, bookmarks: map[string]string{}, sessions: map[contract.Secret]*order.Session{}, destinations: map[string]*order.Destination{},
	}
	view.Now = b.now
	for _, t := range b.tasks {
		d, err := b.judge(t, view)
		t.Reply, t.Err, t.Events = d.Reply, err, d.Events
		if err == nil {
			b.writes.add(d, view)
			t.Err = d.Refusal
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
	for _, a := range d.Answers {
		if a.Final == nil {
			w.answers = append(w.answers, a)
			continue
		}
		e := *a.Final
		e.Answer, e.Asked = a.Answer, false
		w.events = append(w.events, logged{Event: &e, final: true})
	}
	for i := range d.Events {
		w.events = append(w.events, logged{Event: &d.Events[i]})
	}
	for _, o := range d.WorkOrders {
		w.putWorkOrder(o)
		view.WorkOrders[o.WorkOrderKey] = o
	}
	for _, id := range d.EventIDs {
		view.EventIDs[id.EventIDKey] = id.Content
	}
	w.eventIDs = append(w.eventIDs, d.EventIDs...)
	for _, a := range d.Apps {
		w.apps[a.Key], view.Apps[a.Key] = a, a
	}
	for _, key := range d.DropApps {
		w.dropApp(key)
		delete(view.Apps, key)
	}
	for _, s := range d.Sessions {
		w.sessions[s.Token] = s
	}
	for _, token := range d.DropSessions {
		w.sessions[token] = nil
	}
	for _, destination := range d.Destinations {
		w.destinations[destination.Name], view.Destinations[destination.Name] = destination, destination
	}
	for _, name := range d.DropDestinations {
		w.destinations[name] = nil
		delete(view.Destinations, name)
	}
	w.progress = append(w.progress, d.Progress...)
	w.retries = append(w.retries, d.Retries...)
	w.replays = append(w.replays, d.Replays...)
	for _, q := range d.Replays {
		view.Replaying[q.Name.Destination()] = true
	}
	w.usage = append(w.usage, d.Usage...)
	maps.Copy(w.bookmarks, d.Bookmarks)
	w.probe = w.probe || d.Probe
}

// logged lists the events that have a place in the log now.
func (w *writes) logged() []*order.Event {
	if len(w.events) == 0 {
		return nil
	}
	events := make([]*order.Event, 0, len(w.events))
	for _, e := range w.events {
		if !e.lost {
			events = append(events, e.Event)
		}
	}
	return events
}

func (w *writes) putWorkOrder(o *order.WorkOrder) {
	if i, ok := w.workAt[o.WorkOrderKey]; ok {
		w.work[i] = o
		return
	}
	if w.workAt == nil {
		w.workAt = map[order.WorkOrderKey]int{}
	}
	w.workAt[o.WorkOrderKey] = len(w.work)
	w.work = append(w.work, o)
}

// dropApp drops an app with its sessions, those of this transaction included.
func (w *writes) dropApp(key string) {
	w.apps[key] = nil
	w.purged = append(w.purged, key)
	for token, s := range w.sessions {
		if s != nil && s.AppKey == key {
			w.sessions[token] = nil
		}
	}
}

func (w *writes) apply(change order.Change, view *order.View) {
	o, ok := w.byKey[change.Key]
	if !ok {
		o = &dirty{Order: view.Orders[change.Key]}
		w.byKey[change.Key] = o
		w.orders = append(w.orders, o)
	}
	if repeats(o.Marks, change.Marks) {
		w.contradiction = fmt.Errorf("order %v: a mark is added twice", change.Key)
	}
	before, stage, existed := o.Header, o.Stage, o.Exists()
	o.Apply(change, view.Now)
	if !existed {
		named(view, o.Order)
	}
	o.changed = o.changed || o.Header != before || o.Stage != stage || len(change.Lines)+len(change.Marks)+len(change.Locks) > 0
}

// named lists an order that exists under its number, if that is wanted.
func named(view *order.View, o *order.Order) {
	number := order.NumberKey{Platform: o.Platform, Number: o.Number}
	if list, wanted := view.Named[number]; wanted && !slices.Contains(list, o) {
		view.Named[number] = append(list, o)
	}
}

// repeats reports whether one of the added marks is there already: a rule's
// mistake, which must not be stored.
func repeats(known, added []order.Mark) bool {
	if len(added) <= 1 {
		return len(added) == 1 && slices.Contains(known, added[0])
	}
	seen := make(map[order.Mark]bool, len(known)+len(added)) // both may be many
	for _, m := range known {
		seen[m] = true
	}
	for _, m := range added {
		if seen[m] {
			return true
		}
		seen[m] = true
	}
	return false
}
