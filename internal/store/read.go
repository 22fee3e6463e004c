package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

const (
	orderColumns  = "id, number, platform, seller, stage, reached, buyer, buyer_open_uid, paid_at, created_at, updated_at, lines, marks, locks"
	selectOrder   = "SELECT " + orderColumns + " FROM orders WHERE number = ? AND platform = ? AND seller = ?"
	selectNumber  = "SELECT " + orderColumns + " FROM orders WHERE number = ? AND platform = ? ORDER BY id"
	selectApp     = "SELECT secret, old_secret, doc FROM app WHERE key = ?"
	workColumns   = "id, number, tenant, app, type, status, plan_id, order_no, ts, created_at, updated_at"
	selectWork    = "SELECT " + workColumns + " FROM work_order WHERE number = ? AND tenant = ? AND app = ?"
	selectEventID = "SELECT content FROM event_id WHERE app = ? AND tenant = ? AND id = ?"
	selectSession = "SELECT id, app_key, seller, expires_at FROM session WHERE mark = ?"
)

// loadOrder reads an order whole; an unknown one is fresh.
func loadOrder(c conn, k order.Key) (o *order.Order, err error) {
	err = c.query(selectOrder, func(row record) error {
		o, err = scanOrder(row)
		return err
	}, k.Number, k.Platform, k.Seller)
	if o == nil {
		o = order.Fresh(k)
	}
	return o, err
}

func scanOrder(row record) (o *order.Order, err error) {
	o = &order.Order{
		ID:    row.Int(0),
		Key:   order.Key{Number: row.Text(1), Platform: row.Text(2), Seller: row.Text(3)},
		Stage: order.State(row.Text(4)),
		Header: order.Header{
			Reached: order.State(row.Text(5)), Buyer: row.Text(6), BuyerOpenUID: row.Text(7), PaidAt: scanTime(row, 8),
		},
		CreatedAt: scanTime(row, 9), UpdatedAt: scanTime(row, 10),
	}
	if o.Lines, err = decodeLines(row.Text(11)); err != nil {
		return nil, fmt.Errorf("order %d: %w", o.ID, err)
	}
	if o.Marks, err = decodeMarks(row.Text(12)); err != nil {
		return nil, fmt.Errorf("order %d: %w", o.ID, err)
	}
	if o.Locks, err = decodeLocks(row.Text(13)); err != nil {
		return nil, fmt.Errorf("order %d: %w", o.ID, err)
	}
	return o, nil
}

// scanTime reads what millis wrote.
func scanTime(row record, column int) time.Time {
	if row.Null(column) {
		return time.Time{}
	}
	return time.UnixMilli(row.Int(column)).In(contract.Zone)
}

// readPage reads a page of a list. It ends at its limit, or where what its rows
// hold gets too large; more says that the list goes on.
func readPage[T any](ctx context.Context, r reader, p purpose, text string, args []any, limit, maxSize int, sizeOf func(record) int, scan func(record) (T, error)) (page []T, more bool, err error) {
	size := 0
	err = r.read(ctx, p, func(c conn) error {
		return c.query(text+" LIMIT ?", func(row record) error {
			size += sizeOf(row)
			if len(page) == limit || len(page) > 0 && size > maxSize {
				more = true
				return errEnough
			}
			item, err := scan(row)
			page = append(page, item)
			return err
		}, append(args, limit+1)...)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return page, more, err
}

// errEnough ends a query early.
var errEnough = errors.New("enough")

// Where a page of orders or events ends, in bytes of what they hold: a single one
// may have a megabyte. Orders take many times that in memory, and what is delivered is
// read for many destinations at a time.
const (
	maxOrders    = 1 << 20
	maxPage      = 16 << 20
	maxDelivered = 1 << 20
)

// Events implements [order.Store].
func (l *ledger) Events(ctx context.Context, f order.EventFilter) (events []*order.Event, more bool, err error) {
	if f, err = l.bounded(ctx, f); err != nil {
		return nil, false, err
	}
	if f.Settled {
		return l.placed(ctx, f)
	}
	var w where
	w.add(f.After > 0, "seq > ?", f.After)
	w.add(f.UpTo > 0, "seq <= ?", f.UpTo)
	w.add(f.Seq > 0, "seq = ?", f.Seq)
	w.add(f.OrderID > 0, "order_id = ?", f.OrderID)
	w.add(f.WorkOrder > 0, "work_order_id = ?", f.WorkOrder)
	w.add(f.WorkOrderID != "", "work_order_id IN (SELECT id FROM work_order WHERE number = ?)", f.WorkOrderID)
	w.add(f.Order != "", "order_id IN (SELECT id FROM orders WHERE number = ?)", f.Order)
	w.add(f.API != "", "api = ?", f.API)
	w.add(f.App != "", "event.app = ?", f.App)
	w.add(f.Own, isOwn)
	w.add(f.Asked, "asked = 1")
	by := "seq"
	if f.Asked { // they are few, and have an index
		by = "+seq"
	}
	if f.Newest {
		by += " DESC"
	}
	return l.readEvents(ctx, forLists, w, by, f)
}

// halves are the columns from whose places events are delivered: those that nobody was
// asked about, and those that somebody was.
var halves = [2]string{"event.seq", "event.place"}

// placed reads the log as it is delivered: events that nobody was asked about at their
// own places, and those that were at the places where that was settled.
func (l *ledger) placed(ctx context.Context, f order.EventFilter) (events []*order.Event, more bool, err error) {
	var lists [2][]*order.Event
	var further [2]bool
	for i := range halves {
		i = len(halves) - 1 - i // places first: they may bound the other
		column := halves[i]
		var w where
		w.add(column == halves[0], "asked IS NULL")
		w.add(true, column+" > ?", f.After) // of places it says that there is one
		w.add(f.UpTo > 0, column+" <= ?", f.UpTo)
		w.add(f.Seq > 0, column+" = ?", f.Seq)
		w.lane(f.Lane, column)
		w.add(f.Shards&order.AllShards != order.AllShards && f.Shards != 0, "(CAST(? AS BIGINT) >> CAST("+l.shardOf(laneColumn)+" AS INTEGER)) & 1 = 1", int64(f.Shards))
		if lists[i], further[i], err = l.readEvents(ctx, forLog, w, column, f); err != nil {
			return nil, false, err
		}
		if further[i] {
			f.UpTo = lists[i][len(lists[i])-1].Place
		}
	}
	events, more = inOrder(lists, further, f.Limit, func(e *order.Event) int64 { return e.Place })
	return events, more, nil
}

// inOrder merges two lists that are sorted by a place. Where one of them goes on, what the
// other has behind it is left for the next page.
func inOrder[T any](lists [2][]T, further [2]bool, limit int, place func(T) int64) (merged []T, more bool) {
	if len(lists[1]) == 0 {
		return lists[0], further[0]
	}
	merged = slices.SortedFunc(slices.Values(slices.Concat(lists[0], lists[1])), func(a, b T) int { return cmp.Compare(place(a), place(b)) })
	for i, list := range lists {
		if further[i] {
			last := place(list[len(list)-1])
			if behind := slices.IndexFunc(merged, func(t T) bool { return place(t) > last }); behind >= 0 {
				merged = merged[:behind]
			}
			more = true
		}
	}
	if len(merged) > limit {
		return merged[:limit], true
	}
	return merged, more
}

// isOwn is the condition of the index of Ordergate's own events.
const isOwn = "api >= 'ordergate.' AND api < 'ordergate/'"

// readEvents reads events of a filter's conditions, sorted by a column.
func (l *ledger) readEvents(ctx context.Context, p purpose, w where, by string, f order.EventFilter) ([]*order.Event, bool, error) {
	most := maxPage
	if f.Settled {
		most = maxDelivered
	}
	return readPage(ctx, l, p, "SELECT "+eventColumns+" FROM event"+eventJoins+w.text()+" ORDER BY "+by, w.args, f.Limit, most, eventSize,
		func(row record) (*order.Event, error) { return l.scanEvent(row, f.Sealed) })
}

// What scanEvent reads.
const (
	eventColumns     = "event.seq, event.id, api, event.app, event.at, event.lines, record, answer, warnings, orders.platform, orders.seller, orders.number, work_order.app, work_order.tenant, work_order.number, sealed, owed IS NOT NULL, asked IS NOT NULL AND asked < 3, event.order_id, event.work_order_id, coalesce(place, event.seq)"
	eventColumnCount = 21
	eventJoins       = " LEFT JOIN orders ON orders.id = event.order_id LEFT JOIN work_order ON work_order.id = event.work_order_id"
)

func eventSize(row record) int {
	return row.Size(5) + row.Size(6) + row.Size(15)
}

// Overdue implements [order.Store].
func (l *ledger) Overdue(ctx context.Context, now time.Time, limit int) (keys []order.Key, err error) {
	err = l.read(ctx, forLists, func(c conn) error {
		return c.query("SELECT platform, seller, number FROM orders WHERE refund_due < ? ORDER BY refund_due LIMIT ?", func(row record) error {
			keys = append(keys, order.Key{Platform: row.Text(0), Seller: row.Text(1), Number: row.Text(2)})
			return nil
		}, now.UnixMilli(), limit)
	})
	return keys, err
}

func (l *ledger) scanEvent(row record, open bool) (e *order.Event, err error) {
	e = &order.Event{
		Seq: row.Int(0), ID: row.Text(1), API: row.Text(2), App: row.Text(3), At: scanTime(row, 4),
		Record: json.RawMessage(row.Text(6)), Answer: json.RawMessage(row.Text(7)),
		Order:     order.Key{Platform: row.Text(9), Seller: row.Text(10), Number: row.Text(11)},
		WorkOrder: order.WorkOrderKey{App: row.Text(12), Tenant: row.Text(13), ID: row.Text(14)},
		Owed:      row.Int(16) != 0, Asked: row.Int(17) != 0,
	}
	e.Place = row.Int(20)
	e.Lane = scanLane(row, e.API, 18, 19, e.Place)
	if e.Lines, err = scanList(row, 5); err != nil {
		return e, err
	}
	if e.Warnings, err = scanList(row, 8); err != nil || !open || row.Null(15) {
		return e, err
	}
	sealed, err := l.key.Open(row.Bytes(15), eventPlace(e.ID))
	e.Sealed = contract.Secret(sealed)
	return e, err
}

// scanList reads what list wrote.
func scanList(row record, column int) (texts []string, err error) {
	if text := row.Text(column); text != "" {
		err = json.Unmarshal([]byte(text), &texts)
	}
	return texts, err
}

// WorkOrders implements [order.Store].
func (l *ledger) WorkOrders(ctx context.Context, f order.WorkOrderFilter) (orders []*order.WorkOrder, more bool, err error) {
	var w where
	by := "id"
	if f.Newest {
		by = "id DESC"
		w.add(f.After > 0, "id < ?", f.After)
	} else {
		w.add(f.After > 0, "id > ?", f.After)
	}
	w.add(f.Key.ID != "", "number = ?", f.Key.ID)
	w.add(f.Key.Tenant != "", "tenant = ?", f.Key.Tenant)
	w.add(f.Key.App != "", "app = ?", f.Key.App)
	w.add(f.Status != "", "status = ?", f.Status)
	return readPage(ctx, l, forLists, "SELECT "+workColumns+" FROM work_order"+w.text()+" ORDER BY "+by, w.args, f.Limit, maxPage,
		func(record) int { return 0 }, func(row record) (*order.WorkOrder, error) { return scanWorkOrder(row), nil })
}

func scanWorkOrder(row record) *order.WorkOrder {
	return &order.WorkOrder{
		Row: row.Int(0), WorkOrderKey: order.WorkOrderKey{ID: row.Text(1), Tenant: row.Text(2), App: row.Text(3)},
		Type: row.Text(4), Status: row.Text(5), PlanID: row.Text(6), OrderID: row.Text(7), Timestamp: row.Text(8),
		CreatedAt: scanTime(row, 9), UpdatedAt: scanTime(row, 10),
	}
}

// loadApp implements engine.
func (l *ledger) loadApp(ctx context.Context, key string) (app *order.App, err error) {
	err = l.read(ctx, forCalls, func(c conn) error {
		app, err = l.readApp(c, key)
		return err
	})
	if err == nil && app == nil {
		err = order.ErrNotFound
	}
	return app, err
}

// loadAppOf implements engine.
func (l *ledger) loadAppOf(ctx context.Context, seller string) (app *order.App, err error) {
	key := ""
	err = l.read(ctx, forCalls, func(c conn) error {
		return c.query(l.appOf, func(row record) error {
			key = row.Text(0)
			return nil
		}, seller)
	})
	if err == nil && key == "" {
		err = order.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return l.loadApp(ctx, key)
}

// readApp returns nil when there is none.
func (l *ledger) readApp(c conn, key string) (app *order.App, err error) {
	err = c.query(selectApp, func(row record) error {
		app, err = l.scanApp(row, key)
		return err
	}, key)
	return app, err
}

func (l *ledger) scanApp(row record, key string) (*order.App, error) {
	app := &order.App{}
	if err := json.Unmarshal([]byte(row.Text(2)), app); err != nil {
		return nil, err
	}
	text, err := l.key.Open(row.Bytes(0), appPlace(key))
	if err != nil {
		return nil, err
	}
	app.Secret = contract.Secret(text)
	if row.Null(1) {
		return app, nil
	}
	text, err = l.key.Open(row.Bytes(1), appPlace(key))
	app.OldSecret = contract.Secret(text)
	return app, err
}

// loadDestinations implements engine.
func (l *ledger) loadDestinations(ctx context.Context) (destinations []*order.Destination, err error) {
	err = l.read(ctx, forCalls, func(c conn) error {
		destinations, err = l.readDestinations(c)
		return err
	})
	return destinations, err
}

func (l *ledger) readDestinations(c conn) (destinations []*order.Destination, err error) {
	return destinations, c.query("SELECT name, secrets, doc FROM destination ORDER BY name", func(row record) error {
		d := &order.Destination{}
		if err := json.Unmarshal([]byte(row.Text(2)), d); err != nil {
			return err
		}
		text, err := l.key.Open(row.Bytes(1), destinationPlace(row.Text(0)))
		if err != nil {
			return err
		}
		destinations = append(destinations, d)
		return openSecrets(&d.DestinationSecrets, text)
	})
}

// Apps implements [order.Store].
func (l *ledger) Apps(ctx context.Context, after string, limit int) (apps []*order.App, err error) {
	err = l.read(ctx, forLists, func(c conn) error {
		return c.query("SELECT secret, old_secret, doc, key FROM app WHERE key > ? ORDER BY key LIMIT ?", func(row record) error {
			app, err := l.scanApp(row, row.Text(3))
			apps = append(apps, app)
			return err
		}, after, limit)
	})
	return apps, err
}

// loadSession implements engine.
func (l *ledger) loadSession(ctx context.Context, token contract.Secret) (found *order.Session, err error) {
	mark := l.key.Mark(string(token))
	err = l.read(ctx, forCalls, func(c conn) error {
		return c.query(selectSession, func(row record) error {
			found = &order.Session{ID: row.Int(0), Token: token, AppKey: row.Text(1), Seller: row.Text(2), ExpiresAt: scanTime(row, 3)}
			return nil
		}, mark[:])
	})
	if err == nil && found == nil {
		err = order.ErrNotFound
	}
	return found, err
}

// Sessions implements [order.Store].
func (l *ledger) Sessions(ctx context.Context, after int64, limit int) (sessions []*order.Session, err error) {
	err = l.read(ctx, forLists, func(c conn) error {
		return c.query("SELECT id, mark, token, app_key, seller, expires_at FROM session WHERE id > ? ORDER BY id LIMIT ?", func(row record) error {
			token, err := l.key.Open(row.Bytes(2), sessionPlace([32]byte(row.Bytes(1))))
			sessions = append(sessions, &order.Session{ID: row.Int(0), Token: contract.Secret(token), AppKey: row.Text(3), Seller: row.Text(4), ExpiresAt: scanTime(row, 5)})
			return err
		}, after, limit)
	})
	return sessions, err
}

// Usage implements [order.Store].
func (l *ledger) Usage(ctx context.Context, day string) (map[string]int64, error) {
	calls := map[string]int64{}
	err := l.read(ctx, forLists, func(c conn) error {
		return c.query("SELECT app, calls FROM usage WHERE day = ?", func(row record) error {
			calls[row.Text(0)] = row.Int(1)
			return nil
		}, day)
	})
	return calls, err
}

// where collects the conditions of a filter.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(given bool, condition string, args ...any) {
	if given {
		w.conditions = append(w.conditions, condition)
		w.args = append(w.args, args...)
	}
}

func (w *where) text() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}
