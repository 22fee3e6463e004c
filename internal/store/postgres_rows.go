package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// column lists a column of rows.
func column[T, V any](rows []T, value func(T) V) []V {
	values := make([]V, len(rows))
	for i, row := range rows {
		values[i] = value(row)
	}
	return values
}

// nullable is a time as it is stored; nil for the zero time.
func nullable(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

const (
	pgInsertOrders = "INSERT INTO orders (id, number, platform, seller, stage, reached, buyer, buyer_open_uid, paid_at, created_at, updated_at, refund_due, lines, marks, locks) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[])"
	pgUpdateOrders = "UPDATE orders SET stage = u.stage, reached = u.reached, buyer = u.buyer, buyer_open_uid = u.buyer_open_uid, paid_at = u.paid_at, updated_at = u.updated_at, refund_due = u.refund_due, lines = u.lines, marks = u.marks, locks = u.locks FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[]) AS u (id, stage, reached, buyer, buyer_open_uid, paid_at, updated_at, refund_due, lines, marks, locks) WHERE orders.id = u.id"
	pgTouchOrders  = "UPDATE orders SET updated_at = u.updated_at FROM unnest($1::bigint[], $2::bigint[]) AS u (id, updated_at) WHERE orders.id = u.id"

	pgInsertWork = "INSERT INTO work_order (id, number, tenant, app, type, status, plan_id, order_no, ts, created_at, updated_at) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[])"
	pgUpdateWork = "UPDATE work_order SET type = u.type, status = u.status, plan_id = u.plan_id, order_no = u.order_no, ts = u.ts, updated_at = u.updated_at FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[]) AS u (id, type, status, plan_id, order_no, ts, updated_at) WHERE work_order.id = u.id"

	pgInsertEventIDs = "INSERT INTO event_id (app, tenant, id, content) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])"
	pgUpdateEventIDs = "UPDATE event_id SET content = u.content FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u (app, tenant, id, content) WHERE (event_id.app, event_id.tenant, event_id.id) = (u.app, u.tenant, u.id)"

	drawPlaces     = "SELECT nextval('event_seq') FROM generate_series(1, $1)"
	pgInsertRefund = "INSERT INTO refund (id) SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING id"
	pgSettle       = "UPDATE event SET place = u.place, answer = u.answer, warnings = u.warnings, asked = 3 FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) AS u (id, place, answer, warnings) WHERE event.asked = 1 AND event.id = u.id RETURNING event.id"
	pgAnswer       = "UPDATE event SET answer = u.answer, asked = 2 FROM unnest($1::text[], $2::text[]) AS u (id, answer) WHERE event.asked = 1 AND event.id = u.id"

	eventArrays   = "unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[], $12::integer[], $13::integer[])"
	eventInto     = "INSERT INTO event (seq, order_id, work_order_id, id, api, app, at, lines, record, answer, warnings, sealed, owed, asked) SELECT "
	insertDrawn   = eventInto + "u.seq, order_id, work_order_id, id, api, app, at, lines, record, answer, warnings, sealed, owed, asked FROM " + eventArrays + " WITH ORDINALITY AS e (order_id, work_order_id, id, api, app, at, lines, record, answer, warnings, sealed, owed, asked, n) JOIN unnest($14::bigint[]) WITH ORDINALITY AS u (seq, n) USING (n)"
	insertDrawing = eventInto + "nextval('event_seq'), e.* FROM " + eventArrays + " AS e RETURNING seq"
	haveXID       = "SELECT pg_current_xact_id()::text::bigint"
	pgUpsertUsage = "INSERT INTO usage (day, app, calls) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) ON CONFLICT (day, app) DO UPDATE SET calls = usage.calls + excluded.calls"
	pgProbe       = "UPDATE node SET probe = probe + 1 WHERE id = $1"
	lastDrawn     = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_seq"
)

// name gives new orders and work orders their keys.
func (t *pgTransaction) name(w *writes) error {
	t.addedWork = map[*order.WorkOrder]bool{}
	orders := 0
	for _, o := range w.orders {
		if o.added = o.ID == 0; o.added {
			orders++
		}
	}
	for _, o := range w.work {
		if o.Row == 0 {
			t.addedWork[o] = true
		}
	}
	ids, err := t.orderIDs.take(t.ctx, t.conn, orders)
	if err != nil {
		return err
	}
	rows, err := t.workIDs.take(t.ctx, t.conn, len(t.addedWork))
	if err != nil {
		return err
	}
	for _, o := range w.orders {
		if o.added {
			o.ID, ids = ids[0], ids[1:]
		}
	}
	for _, o := range w.work {
		if t.addedWork[o] {
			o.Row, rows = rows[0], rows[1:]
		}
	}
	return nil
}

// writeOrders writes orders in the order of their keys: new ones may be another's, too.
func (t *pgTransaction) writeOrders(w *writes) {
	var added, changed, touched []*order.Order
	for _, o := range w.orders {
		switch {
		case o.added:
			added = append(added, o.Order)
		case o.changed:
			changed = append(changed, o.Order)
		default:
			touched = append(touched, o.Order)
		}
	}
	slices.SortFunc(added, func(a, b *order.Order) int {
		return cmp.Or(cmp.Compare(toText(a.Number), toText(b.Number)), cmp.Compare(toText(a.Platform), toText(b.Platform)), cmp.Compare(toText(a.Seller), toText(b.Seller)))
	})
	text := func(list []*order.Order, value func(*order.Order) string) []string {
		return column(list, func(o *order.Order) string { return toText(value(o)) })
	}
	times := func(list []*order.Order, value func(*order.Order) time.Time) []*int64 {
		return column(list, func(o *order.Order) *int64 { return nullable(value(o)) })
	}
	var (
		id       = func(o *order.Order) int64 { return o.ID }
		stage    = func(o *order.Order) string { return string(o.Stage) }
		reached  = func(o *order.Order) string { return string(o.Reached) }
		buyer    = func(o *order.Order) string { return o.Buyer }
		openUID  = func(o *order.Order) string { return o.BuyerOpenUID }
		paid     = func(o *order.Order) time.Time { return o.PaidAt }
		updated  = func(o *order.Order) time.Time { return o.UpdatedAt }
		due      = func(o *order.Order) time.Time { return o.RefundDue() }
		lines    = func(o *order.Order) string { return encodeLines(o.Lines) }
		marks    = func(o *order.Order) string { return encodeMarks(o.Marks) }
		locks    = func(o *order.Order) string { return encodeLocks(o.Locks) }
		number   = func(o *order.Order) string { return o.Number }
		platform = func(o *order.Order) string { return o.Platform }
		seller   = func(o *order.Order) string { return o.Seller }
		created  = func(o *order.Order) time.Time { return o.CreatedAt }
	)
	if len(added) > 0 {
		t.queue(pgInsertOrders, column(added, id), text(added, number), text(added, platform), text(added, seller), text(added, stage), text(added, reached), text(added, buyer), text(added, openUID), times(added, paid), times(added, created), times(added, updated), times(added, due), text(added, lines), text(added, marks), text(added, locks))
	}
	if len(changed) > 0 {
		t.queue(pgUpdateOrders, column(changed, id), text(changed, stage), text(changed, reached), text(changed, buyer), text(changed, openUID), times(changed, paid), times(changed, updated), times(changed, due), text(changed, lines), text(changed, marks), text(changed, locks))
	}
	if len(touched) > 0 {
		t.queue(pgTouchOrders, column(touched, id), times(touched, updated))
	}
}

func (t *pgTransaction) writeWorkOrders(w *writes) {
	var added, changed []*order.WorkOrder
	for _, o := range w.work {
		if t.addedWork[o] {
			added = append(added, o)
		} else {
			changed = append(changed, o)
		}
	}
	slices.SortFunc(added, func(a, b *order.WorkOrder) int {
		return cmp.Or(cmp.Compare(toText(a.ID), toText(b.ID)), cmp.Compare(toText(a.Tenant), toText(b.Tenant)), cmp.Compare(toText(a.App), toText(b.App)))
	})
	text := func(list []*order.WorkOrder, value func(*order.WorkOrder) string) []string {
		return column(list, func(o *order.WorkOrder) string { return toText(value(o)) })
	}
	var (
		id        = func(o *order.WorkOrder) int64 { return o.Row }
		number    = func(o *order.WorkOrder) string { return o.ID }
		tenant    = func(o *order.WorkOrder) string { return o.Tenant }
		app       = func(o *order.WorkOrder) string { return o.App }
		kind      = func(o *order.WorkOrder) string { return o.Type }
		status    = func(o *order.WorkOrder) string { return o.Status }
		plan      = func(o *order.WorkOrder) string { return o.PlanID }
		orderNo   = func(o *order.WorkOrder) string { return o.OrderID }
		timestamp = func(o *order.WorkOrder) string { return o.Timestamp }
		created   = func(o *order.WorkOrder) *int64 { return nullable(o.CreatedAt) }
		updated   = func(o *order.WorkOrder) *int64 { return nullable(o.UpdatedAt) }
	)
	if len(added) > 0 {
		t.queue(pgInsertWork, column(added, id), text(added, number), text(added, tenant), text(added, app), text(added, kind), text(added, status), text(added, plan), text(added, orderNo), text(added, timestamp), column(added, created), column(added, updated))
	}
	if len(changed) > 0 {
		t.queue(pgUpdateWork, column(changed, id), text(changed, kind), text(changed, status), text(changed, plan), text(changed, orderNo), text(changed, timestamp), column(changed, updated))
	}
}

func (t *pgTransaction) writeEventIDs(w *writes) {
	last := map[order.EventIDKey]string{}
	for _, id := range w.eventIDs {
		last[id.EventIDKey] = id.Content
	}
	var added, changed []order.EventIDKey
	for k := range last {
		if t.known[k] {
			changed = append(changed, k)
		} else {
			added = append(added, k)
		}
	}
	for text, keys := range map[string][]order.EventIDKey{pgInsertEventIDs: added, pgUpdateEventIDs: changed} {
		if len(keys) == 0 {
			continue
		}
		slices.SortFunc(keys, func(a, b order.EventIDKey) int {
			return cmp.Or(cmp.Compare(toText(a.App), toText(b.App)), cmp.Compare(toText(a.Tenant), toText(b.Tenant)), cmp.Compare(toText(a.ID), toText(b.ID)))
		})
		t.queue(text, column(keys, func(k order.EventIDKey) string { return toText(k.App) }), column(keys, func(k order.EventIDKey) string { return toText(k.Tenant) }), column(keys, func(k order.EventIDKey) string { return toText(k.ID) }), column(keys, func(k order.EventIDKey) string { return toText(last[k]) }))
	}
}

// writeEvents writes the log. Mostly events are new and draw their places while they are
// added. Where some are settled, or may be there already, places are drawn first.
func (t *pgTransaction) writeEvents(w *writes, view *order.View) error {
	simple := true
	for i := range w.events {
		e := &w.events[i]
		e.Lane, e.order = 0, 0
		if j, ok := w.workAt[e.WorkOrder]; ok {
			e.Lane = order.WorkOrderLane(w.work[j].Row)
		}
		if o, ok := view.Orders[e.Order]; ok {
			if e.order = o.ID; !order.IsAlert(e.API) {
				e.Lane = order.OrderLane(o.ID)
			}
		}
		simple = simple && !e.final && e.API != order.EventRefund
	}
	if len(w.events) == 0 {
		t.answer(w.answers)
		return nil
	}
	if simple {
		n := 0
		t.queueRows(insertDrawing, func(row record) error {
			if n == len(w.events) {
				return errors.New("more events than were added")
			}
			e := w.events[n].Event
			e.Seq, e.Place = row.Int(0), row.Int(0)
			n++
			return nil
		}, t.eventColumns(w, w.events)...)
		t.results = append(t.results[:len(t.results)-1], located(t.results[len(t.results)-1], w, t, &n))
		t.answer(w.answers)
		return nil
	}
	return t.writeDrawn(w)
}

// located reads the places of events and gives those that are in nobody's lane their own.
func located(read func(pgx.BatchResults) error, w *writes, t *pgTransaction, n *int) func(pgx.BatchResults) error {
	return func(r pgx.BatchResults) error {
		if err := read(r); err != nil {
			return err
		}
		if *n != len(w.events) {
			return errors.New("fewer events than were added")
		}
		t.place(w)
		return nil
	}
}

// place completes events that have their places.
func (t *pgTransaction) place(w *writes) {
	for _, e := range w.events {
		if e.Lane == 0 {
			e.Lane = order.EventLane(e.Place)
		}
	}
	if n := len(w.events); n > 0 {
		t.partitions.drew(w.events[n-1].Place)
	}
}

// writeDrawn draws places, finds out which refunds are new, and writes events with the
// places that they have.
func (t *pgTransaction) writeDrawn(w *writes) error {
	var places []int64
	t.queueRows(drawPlaces, func(row record) error {
		places = append(places, row.Int(0))
		return nil
	}, len(w.events))
	var refunds []string
	for _, e := range w.events {
		if !e.final && e.API == order.EventRefund {
			refunds = append(refunds, toText(e.ID))
		}
	}
	fresh := map[string]bool{}
	if len(refunds) > 0 {
		slices.Sort(refunds)
		t.queueRows(pgInsertRefund, func(row record) error {
			fresh[row.Text(0)] = true
			return nil
		}, slices.Compact(refunds))
	}
	if err := t.exchange(); err != nil {
		return err
	}
	var added, settled []logged
	seen := map[string]bool{}
	for i := range w.events {
		e := &w.events[i]
		e.Place = places[i]
		if e.final {
			if e.lost = seen[e.ID]; !e.lost {
				settled, seen[e.ID] = append(settled, *e), true
			}
			continue
		}
		e.Seq = e.Place
		if e.API == order.EventRefund {
			if e.lost = !fresh[e.ID]; e.lost {
				continue
			}
			delete(fresh, e.ID)
		}
		added = append(added, *e)
	}
	t.place(w)
	if len(settled) > 0 {
		found := map[string]bool{}
		t.queueRows(pgSettle, func(row record) error {
			found[row.Text(0)] = true
			return nil
		}, column(settled, func(e logged) string { return toText(e.ID) }), column(settled, func(e logged) int64 { return e.Place }), column(settled, func(e logged) string { return toText(string(e.Answer)) }), column(settled, func(e logged) string { return toText(list(e.Warnings)) }))
		read := t.results[len(t.results)-1]
		t.results[len(t.results)-1] = func(r pgx.BatchResults) error {
			err := read(r)
			for i := range w.events {
				e := &w.events[i]
				e.lost = e.lost || e.final && !found[e.ID]
			}
			return err
		}
	}
	if len(added) > 0 {
		t.queue(insertDrawn, append(t.eventColumns(w, added), column(added, func(e logged) int64 { return e.Seq }))...)
	}
	t.answer(w.answers)
	return nil
}

// answer stores answers of events that stay where they are. The first of an event counts.
func (t *pgTransaction) answer(answers []order.Answered) {
	seen := map[string]bool{}
	var ids, texts []string
	for _, a := range answers {
		if !seen[a.Event] {
			seen[a.Event] = true
			ids, texts = append(ids, toText(a.Event)), append(texts, toText(string(a.Answer)))
		}
	}
	if len(ids) > 0 {
		t.queue(pgAnswer, ids, texts)
	}
}

// eventColumns lists the columns of new events, but for their places.
func (t *pgTransaction) eventColumns(w *writes, events []logged) []any {
	text := func(value func(logged) string) []string {
		return column(events, func(e logged) string { return toText(value(e)) })
	}
	claim := func(is func(logged) bool) []*int32 {
		return column(events, func(e logged) *int32 {
			if !is(e) {
				return nil
			}
			yes := int32(1)
			return &yes
		})
	}
	key := func(id int64) *int64 {
		if id == 0 {
			return nil
		}
		return &id
	}
	return []any{
		column(events, func(e logged) *int64 { return key(e.order) }),
		column(events, func(e logged) *int64 {
			if j, ok := w.workAt[e.WorkOrder]; ok {
				return key(w.work[j].Row)
			}
			return nil
		}),
		text(func(e logged) string { return e.ID }), text(func(e logged) string { return e.API }), text(func(e logged) string { return e.App }),
		column(events, func(e logged) *int64 { return nullable(e.At) }),
		text(func(e logged) string { return list(e.Lines) }), text(func(e logged) string { return string(e.Record) }), text(func(e logged) string { return string(e.Answer) }), text(func(e logged) string { return list(e.Warnings) }),
		column(events, func(e logged) []byte {
			if e.Sealed == "" {
				return nil
			}
			return t.key.Seal(string(e.Sealed), eventPlace(e.ID))
		}),
		claim(func(e logged) bool { return e.Owed }), claim(func(e logged) bool { return e.Asked }),
	}
}

func (t *pgTransaction) writeUsage(w *writes) {
	calls := map[order.Usage]int64{}
	for _, u := range w.usage {
		calls[order.Usage{Day: u.Day, AppKey: u.AppKey}] += u.Calls
	}
	if len(calls) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(calls), func(a, b order.Usage) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(toText(a.AppKey), toText(b.AppKey)))
	})
	t.queue(pgUpsertUsage, column(keys, func(u order.Usage) string { return u.Day }), column(keys, func(u order.Usage) string { return toText(u.AppKey) }), column(keys, func(u order.Usage) int64 { return calls[u] }))
}

// writeRest writes what is seldom written, row by row.
func (t *pgTransaction) writeRest(w *writes) error {
	rest := &writer{conn: &pgConn{t.ctx, t.conn}}
	if err := errors.Join(rest.writeDirectory(t.key, w), rest.writeBookmarks(w)); err != nil {
		return err
	}
	for key, app := range w.apps { // by whom sellers' apps are found
		if app != nil && app.Protocol == contract.TOP && app.Seller != "" {
			rest.do("UPDATE app SET seller = ? WHERE key = ?", app.Seller, key)
		} else {
			rest.do("UPDATE app SET seller = NULL WHERE key = ?", key)
		}
	}
	if rest.err != nil {
		return rest.err
	}
	end := int64(0)
	err := rest.query(lastDrawn, func(row record) error {
		end = row.Int(0)
		return nil
	})
	if err != nil {
		return err
	}
	if err := rest.writeDestinations(t.key, w, order.ShardCount, end); err != nil {
		return err
	}
	for _, r := range w.retries {
		if err := rest.writeRetry(r); err != nil {
			return fmt.Errorf("a retry: %w", err)
		}
	}
	for _, q := range w.replays {
		if err := rest.writeReplay(q, order.ShardCount, end); err != nil {
			return fmt.Errorf("a replay: %w", err)
		}
	}
	return nil
}
