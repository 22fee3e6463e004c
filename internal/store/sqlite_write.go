package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// transact implements engine.
func (s *sqliteStore) transact(w *wanted, decide func(*order.View) *writes) (err error) {
	if err := s.write.do("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	before := s.nextID
	defer func() {
		if err != nil {
			s.nextID = before
			if !s.write.conn.AutocommitEnabled() {
				err = errors.Join(err, s.write.do("ROLLBACK"))
			}
		}
	}()
	view, err := s.load(w)
	if err != nil {
		return err
	}
	changes := decide(view)
	if changes.empty() {
		return s.write.do("ROLLBACK")
	}
	if err := s.writeAll(changes, view.Orders); err != nil {
		return err
	}
	if s.beforeCommit != nil {
		if err := s.beforeCommit(); err != nil {
			return err
		}
	}
	return s.write.do("COMMIT")
}

func (s *sqliteStore) load(w *wanted) (*order.View, error) {
	view := newView(w)
	for _, k := range w.orders.list {
		o, err := loadOrder(s.write, k)
		if err != nil {
			return nil, fmt.Errorf("loading an order: %w", err)
		}
		view.Orders[k] = o
	}
	if err := s.loadNumbers(w, view); err != nil {
		return nil, fmt.Errorf("loading orders of a number: %w", err)
	}
	for _, key := range w.apps.list {
		app, err := s.readApp(s.write, key)
		if err != nil {
			return nil, fmt.Errorf("loading an app: %w", err)
		}
		if app != nil {
			view.Apps[key] = app
		}
	}
	if w.destinations {
		destinations, err := s.readDestinations(s.write)
		if err != nil {
			return nil, fmt.Errorf("loading destinations: %w", err)
		}
		for _, d := range destinations {
			view.Destinations[d.Name] = d
		}
		err = s.write.query("SELECT queue FROM cursor WHERE instr(queue, '/') > 0", func(row record) error {
			view.Replaying[order.QueueName(row.Text(0)).Destination()] = true
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("loading replays: %w", err)
		}
	}
	return view, s.loadWorkOrders(w, view)
}

// loadNumbers loads the orders of each wanted number. One that is loaded by its
// key already is the same.
func (s *sqliteStore) loadNumbers(w *wanted, view *order.View) error {
	for _, number := range w.numbers.list {
		view.Named[number] = nil
		err := s.write.query(selectNumber, func(row record) error {
			o, err := scanOrder(row)
			if err != nil {
				return err
			}
			if loaded, ok := view.Orders[o.Key]; ok {
				o = loaded
			}
			view.Orders[o.Key] = o
			named(view, o)
			return nil
		}, number.Number, number.Platform)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *sqliteStore) loadWorkOrders(w *wanted, view *order.View) error {
	for _, k := range w.work.list {
		err := s.write.query(selectWork, func(row record) error {
			view.WorkOrders[k] = scanWorkOrder(row)
			return nil
		}, k.ID, k.Tenant, k.App)
		if err != nil {
			return fmt.Errorf("loading a work order: %w", err)
		}
	}
	for _, k := range w.eventIDs.list {
		err := s.write.query(selectEventID, func(row record) error {
			view.EventIDs[k] = row.Text(0)
			return nil
		}, k.App, k.Tenant, k.ID)
		if err != nil {
			return fmt.Errorf("loading an event id: %w", err)
		}
	}
	return nil
}

func (s *sqliteStore) writeAll(w *writes, loaded map[order.Key]*order.Order) error {
	if w.contradiction != nil {
		return w.contradiction
	}
	for _, o := range w.orders {
		if err := s.writeOrder(o); err != nil {
			return fmt.Errorf("writing an order: %w", err)
		}
	}
	if err := s.writeWorkOrders(w); err != nil {
		return fmt.Errorf("writing work orders: %w", err)
	}
	for i := range w.events {
		if err := s.writeEvent(&w.events[i], loaded, w); err != nil {
			return fmt.Errorf("writing an event: %w", err)
		}
	}
	for _, a := range w.answers {
		if err := s.write.do(updateAnswer, string(a.Answer), a.Event); err != nil {
			return fmt.Errorf("writing an answer: %w", err)
		}
	}
	rest := &writer{conn: s.write}
	if err := errors.Join(rest.writeDirectory(s.key, w), rest.writeBookmarks(w)); err != nil {
		return err
	}
	if err := s.writeDeliveries(w); err != nil {
		return err
	}
	if w.probe {
		if err := s.write.do("INSERT INTO meta (name, value) VALUES ('probe', datetime()) ON CONFLICT DO UPDATE SET value = excluded.value"); err != nil {
			return err
		}
	}
	for _, u := range w.usage {
		err := s.write.do("INSERT INTO usage (day, app, calls) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls", u.Day, u.AppKey, u.Calls)
		if err != nil {
			return fmt.Errorf("counting calls: %w", err)
		}
	}
	return nil
}

const (
	insertOrder = "INSERT INTO orders (id, number, platform, seller, stage, reached, buyer, buyer_open_uid, paid_at, created_at, updated_at, refund_due, lines, marks, locks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	updateOrder = "UPDATE orders SET stage = ?, reached = ?, buyer = ?, buyer_open_uid = ?, paid_at = ?, updated_at = ?, refund_due = ?, lines = ?, marks = ?, locks = ? WHERE id = ?"
	touchOrder  = "UPDATE orders SET updated_at = ? WHERE id = ?"
	insertEvent = "INSERT INTO event (seq, order_id, work_order_id, id, api, app, at, lines, record, answer, warnings, sealed, owed, asked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

	updateAnswer = "UPDATE event SET answer = ?, asked = 2 WHERE asked = 1 AND id = ?"
	settleEvent  = "UPDATE event SET place = ?, answer = ?, warnings = ?, asked = 3 WHERE asked = 1 AND id = ?"

	insertWork    = "INSERT INTO work_order (id, number, tenant, app, type, status, plan_id, order_no, ts, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	updateWork    = "UPDATE work_order SET type = ?, status = ?, plan_id = ?, order_no = ?, ts = ?, updated_at = ? WHERE id = ?"
	upsertEventID = "INSERT INTO event_id (app, tenant, id, content) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET content = excluded.content"
)

func (s *sqliteStore) writeOrder(o *dirty) error {
	switch {
	case o.ID == 0:
		o.ID = s.nextID.order
		s.nextID.order++
		return s.write.do(insertOrder, o.ID, o.Number, o.Platform, o.Seller, string(o.Stage), string(o.Reached), o.Buyer, o.BuyerOpenUID, millis(o.PaidAt), millis(o.CreatedAt), millis(o.UpdatedAt), millis(o.RefundDue()), encodeLines(o.Lines), encodeMarks(o.Marks), encodeLocks(o.Locks))
	case o.changed:
		return s.write.do(updateOrder, string(o.Stage), string(o.Reached), o.Buyer, o.BuyerOpenUID, millis(o.PaidAt), millis(o.UpdatedAt), millis(o.RefundDue()), encodeLines(o.Lines), encodeMarks(o.Marks), encodeLocks(o.Locks), o.ID)
	}
	return s.write.do(touchOrder, millis(o.UpdatedAt), o.ID)
}

func (s *sqliteStore) writeWorkOrders(w *writes) error {
	for _, o := range w.work {
		var err error
		if o.Row == 0 {
			o.Row = s.nextID.workOrder
			s.nextID.workOrder++
			err = s.write.do(insertWork, o.Row, o.ID, o.Tenant, o.App, o.Type, o.Status, o.PlanID, o.OrderID, o.Timestamp, millis(o.CreatedAt), millis(o.UpdatedAt))
		} else {
			err = s.write.do(updateWork, o.Type, o.Status, o.PlanID, o.OrderID, o.Timestamp, millis(o.UpdatedAt), o.Row)
		}
		if err != nil {
			return err
		}
	}
	for _, id := range w.eventIDs {
		if err := s.write.do(upsertEventID, id.App, id.Tenant, id.ID, id.Content); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqliteStore) writeEvent(e *logged, loaded map[order.Key]*order.Order, w *writes) error {
	e.Place = s.nextID.event
	e.Lane = order.EventLane(e.Place)
	s.nextID.event++
	if !e.final {
		e.Seq = e.Place
	}
	var workOrder any // NULL: it concerns no work order
	if i, ok := w.workAt[e.WorkOrder]; ok {
		workOrder = w.work[i].Row
		e.Lane = order.WorkOrderLane(w.work[i].Row)
	}
	var orderID any // NULL: the event concerns no order
	if o, ok := loaded[e.Order]; ok {
		orderID = o.ID
		if !order.IsAlert(e.API) {
			e.Lane = order.OrderLane(o.ID)
		}
	}
	if e.final {
		err := s.write.do(settleEvent, e.Place, string(e.Answer), list(e.Warnings), e.ID)
		e.lost = s.write.conn.Changes() == 0
		return err
	}
	var sealed any // NULL: nothing is
	if e.Sealed != "" {
		sealed = s.key.Seal(string(e.Sealed), eventPlace(e.ID))
	}
	insert := insertEvent
	if e.API == order.EventRefund { // of a line and a payment there is one already
		insert += " ON CONFLICT DO NOTHING"
	}
	err := s.write.do(insert, e.Seq, orderID, workOrder, e.ID, e.API, e.App, millis(e.At), list(e.Lines), string(e.Record), string(e.Answer), list(e.Warnings), sealed, orNull(e.Owed), orNull(e.Asked))
	e.lost = s.write.conn.Changes() == 0
	return err
}

// orNull stores a claim that seldom holds: NULL when it does not.
func orNull(is bool) any {
	if is {
		return 1
	}
	return nil
}

// writeDeliveries writes what follows from deliveries, and destinations with their queues.
func (s *sqliteStore) writeDeliveries(w *writes) error {
	rest, end := &writer{conn: s.write}, s.nextID.event-1
	if err := rest.writeDestinations(s.key, w, sqliteShards, end); err != nil {
		return err
	}
	for _, p := range w.progress {
		if err := s.writeProgress(p); err != nil {
			return fmt.Errorf("writing progress of %s: %w", p.Queue, err)
		}
	}
	for _, r := range w.retries {
		if err := rest.writeRetry(r); err != nil {
			return fmt.Errorf("writing a retry: %w", err)
		}
	}
	for _, q := range w.replays {
		if err := rest.writeReplay(q, sqliteShards, end); err != nil {
			return fmt.Errorf("writing a replay: %w", err)
		}
	}
	for _, p := range w.prunes {
		if err := s.prune(p); err != nil {
			return fmt.Errorf("pruning: %w", err)
		}
	}
	return nil
}

// millis stores a time; the zero time is NULL.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// list stores texts as a JSON array; none as the empty text.
func list(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return string(appendTexts(nil, texts...))
}
