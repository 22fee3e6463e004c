package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ordergate/ordergate/internal/order"
)

// Conditions by which PostgreSQL says what went wrong (SQLSTATE).
const (
	uniqueViolation = "23505"
	noPartition     = "23514"
	staleStatement  = "0A000"
	deadlock        = "40P01"
	serialization   = "40001"
	readOnly        = "25006"
	duplicateTable  = "42P07"
)

// unfit reports whether PostgreSQL refused a value: one that is no text to it, or a key that
// is too long for an index (2,704 bytes).
func unfit(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(refused.Code, "22") || strings.HasPrefix(refused.Code, "54"))
}

// maxTries is how often a transaction is tried. Each that fails because another node was
// faster finds afterwards what the other has stored.
const maxTries = 10

// transact implements engine. A transaction is two exchanges with the server: one loads
// and locks, one writes and commits.
//
// Rows that are there are locked in the order of their keys: of orders, then of work
// orders, event ids, cursors, and the row that counts changes. New rows are only added after that, again in the order of
// their keys; who finds that another has added one first begins anew. So nodes never wait
// for each other in a circle, and an order's rules are serial. Places in the log are drawn
// when all locks are held: an order's events have them in the order of their commits.
func (s *postgresStore) transact(w *wanted, decide func(*order.View) *writes) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), transactTimeout)
	defer cancel()
	writer := <-s.idle
	defer func() { s.idle <- writer }()
	fresh := false // connected by this transaction
	for try := 1; ; try++ {
		if writer.conn == nil {
			if err := s.reconnect(ctx, writer); err != nil {
				return err
			}
			fresh = true
		}
		t := &pgTransaction{postgresStore: s, pgWriter: writer, ctx: ctx}
		err = t.run(w, decide)
		if err == nil {
			if s.watch.grown != nil {
				s.watch.poke()
			}
			return nil
		}
		writer.recover(ctx, err)
		writer.unknown = t.writing && writer.conn == nil
		var refused *pgconn.PgError
		switch errors.As(err, &refused); {
		case try == maxTries:
			return err
		case refused != nil && refused.Code == noPartition:
			s.partitions.lack()
		case refused != nil && slices.Contains([]string{uniqueViolation, staleStatement, deadlock, serialization}, refused.Code):
		case !t.writing && writer.conn == nil && !fresh: // the connection was broken before anything was written
		default:
			return err
		}
	}
}

// connectAgain is how long a server that could not be reached is left alone.
const connectAgain = 200 * time.Millisecond

func (s *postgresStore) reconnect(ctx context.Context, w *pgWriter) error {
	if w.failure != nil && time.Since(w.failedAt) < connectAgain {
		return w.failure
	}
	w.conn, w.failure = nil, nil
	c, err := s.connect(ctx)
	if err == nil && w.unknown {
		if err = standbyAnswers(ctx, c); err != nil {
			_ = c.Close(ctx)
		}
	}
	if err != nil {
		w.failedAt, w.failure = time.Now(), fmt.Errorf("connecting: %w", err)
		return w.failure
	}
	w.conn, w.unknown = c, false
	s.orderIDs.drop() // a server that crashed may give them to another
	s.workIDs.drop()
	return nil
}

// recover makes the connection fit for the next transaction, or closes it.
func (w *pgWriter) recover(ctx context.Context, err error) {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) && !w.conn.IsClosed() && w.conn.PgConn().TxStatus() == 'I' {
		return // refused by this program
	}
	if !w.conn.IsClosed() && (refused == nil || refused.Code != readOnly) {
		if _, err := w.conn.Exec(ctx, "ROLLBACK"); err == nil {
			return
		}
	}
	_ = w.conn.Close(ctx)
	w.conn = nil
}

// pgTransaction is one try of a transaction.
type pgTransaction struct {
	*postgresStore
	*pgWriter
	ctx     context.Context
	writing bool // it may be committed

	queued  *pgx.Batch
	results []func(pgx.BatchResults) error // of what is queued

	cursors map[cursorKey]cursorState // that are locked
	known   map[order.EventIDKey]bool // event ids that are there

	addedWork map[*order.WorkOrder]bool
}

type cursorKey struct {
	queue order.QueueName
	shard int
}

type cursorState struct {
	epoch int64
	owner string
}

// queue adds a statement to the next exchange.
func (t *pgTransaction) queue(text string, args ...any) {
	t.batch().Queue(text, args...)
	t.results = append(t.results, func(r pgx.BatchResults) error {
		_, err := r.Exec()
		return err
	})
}

// queueRows adds a statement that has rows.
func (t *pgTransaction) queueRows(text string, each func(record) error, args ...any) {
	t.batch().Queue(text, args...)
	t.results = append(t.results, func(r pgx.BatchResults) error {
		rows, err := r.Query()
		if err != nil {
			return err
		}
		return eachRow(rows, each)
	})
}

func (t *pgTransaction) batch() *pgx.Batch {
	if t.queued == nil {
		t.queued = &pgx.Batch{}
	}
	return t.queued
}

// exchange sends what is queued and reads the results.
func (t *pgTransaction) exchange() error {
	batch, results := t.batch(), t.results
	t.queued, t.results = nil, nil
	r := t.conn.SendBatch(t.ctx, batch)
	var err error
	for i, read := range results {
		if err = read(r); err != nil {
			err = fmt.Errorf("statement %d: %w", i+1, err)
			break
		}
	}
	if closed := r.Close(); err == nil {
		err = closed
	}
	return err
}

func (t *pgTransaction) run(w *wanted, decide func(*order.View) *writes) error {
	if err := t.partitions.ensure(t.ctx, t.conn); err != nil {
		return fmt.Errorf("making a partition: %w", err)
	}
	view, err := t.load(w)
	if err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	changes := decide(view)
	if changes.contradiction != nil {
		return changes.contradiction
	}
	if changes.empty() {
		t.queue("ROLLBACK")
		return t.exchange()
	}
	if err := t.write(changes, view); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

const (
	lockOrders     = "SELECT " + orderColumns + " FROM orders WHERE (number, platform, seller) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[])) ORDER BY number, platform, seller FOR UPDATE"
	lockNumbers    = "SELECT " + orderColumns + " FROM orders WHERE (number, platform) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY number, platform, seller FOR UPDATE"
	lockBoth       = "SELECT " + orderColumns + " FROM orders WHERE id IN (SELECT id FROM orders WHERE (number, platform, seller) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[])) UNION ALL SELECT id FROM orders WHERE (number, platform) IN (SELECT * FROM unnest($4::text[], $5::text[]))) ORDER BY number, platform, seller FOR UPDATE"
	lockWork       = "SELECT " + workColumns + " FROM work_order WHERE (number, tenant, app) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[])) ORDER BY number, tenant, app FOR UPDATE"
	lockEventIDs   = "SELECT app, tenant, id, content FROM event_id WHERE (app, tenant, id) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[])) ORDER BY app, tenant, id FOR UPDATE"
	lockCursors    = "SELECT queue, shard, epoch, coalesce(owner, '') FROM cursor WHERE (queue, shard) IN (SELECT * FROM unnest($1::text[], $2::integer[])) ORDER BY queue, shard FOR UPDATE"
	lockAllCursors = "SELECT queue, shard, epoch, coalesce(owner, '') FROM cursor ORDER BY queue, shard FOR UPDATE"
	lockDirectory  = "SELECT value FROM meta WHERE name = 'changes' FOR UPDATE"
	countChange    = "UPDATE meta SET value = (value::bigint + 1)::text WHERE name = 'changes'"
	pgSelectApps   = "SELECT secret, old_secret, doc, key FROM app WHERE key = ANY ($1::text[])"
)

// load locks and reads what is wanted, in one exchange.
func (t *pgTransaction) load(w *wanted) (*order.View, error) {
	view := newView(w)
	t.cursors, t.known = map[cursorKey]cursorState{}, map[order.EventIDKey]bool{}
	t.queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	t.loadOrders(w, view)
	if keys := w.work.list; len(keys) > 0 {
		t.queueRows(lockWork, func(row record) error {
			o := scanWorkOrder(row)
			view.WorkOrders[o.WorkOrderKey] = o
			return nil
		}, column(keys, func(k order.WorkOrderKey) string { return toText(k.ID) }), column(keys, func(k order.WorkOrderKey) string { return toText(k.Tenant) }), column(keys, func(k order.WorkOrderKey) string { return toText(k.App) }))
	}
	if keys := w.eventIDs.list; len(keys) > 0 {
		t.queueRows(lockEventIDs, func(row record) error {
			k := order.EventIDKey{App: row.Text(0), Tenant: row.Text(1), ID: row.Text(2)}
			view.EventIDs[k], t.known[k] = row.Text(3), true
			return nil
		}, column(keys, func(k order.EventIDKey) string { return toText(k.App) }), column(keys, func(k order.EventIDKey) string { return toText(k.Tenant) }), column(keys, func(k order.EventIDKey) string { return toText(k.ID) }))
	}
	t.lockQueues(w)
	if len(w.apps.list) > 0 || w.destinations { // whoever changes these, does so alone
		t.queueRows(lockDirectory, func(record) error { return nil })
	}
	if len(w.apps.list) > 0 {
		t.queueRows(pgSelectApps, func(row record) error {
			app, err := t.scanApp(row, row.Text(3))
			view.Apps[row.Text(3)] = app
			return err
		}, column(w.apps.list, toText))
	}
	if err := t.exchange(); err != nil {
		return nil, err
	}
	for _, k := range w.orders.list {
		if view.Orders[k] == nil {
			view.Orders[k] = order.Fresh(k)
		}
	}
	if !w.destinations {
		return view, nil
	}
	return view, t.loadDestinations(view)
}

// loadOrders locks orders by their keys and by their numbers.
func (t *pgTransaction) loadOrders(w *wanted, view *order.View) {
	var args []any
	if keys := w.orders.list; len(keys) > 0 {
		args = append(args, column(keys, func(k order.Key) string { return toText(k.Number) }), column(keys, func(k order.Key) string { return toText(k.Platform) }), column(keys, func(k order.Key) string { return toText(k.Seller) }))
	}
	text := lockOrders
	if keys := w.numbers.list; len(keys) > 0 {
		if text = lockBoth; len(args) == 0 {
			text = lockNumbers
		}
		args = append(args, column(keys, func(k order.NumberKey) string { return toText(k.Number) }), column(keys, func(k order.NumberKey) string { return toText(k.Platform) }))
		for _, k := range keys {
			view.Named[k] = nil
		}
	}
	if len(args) == 0 {
		return
	}
	var found []*order.Order
	t.queueRows(text, func(row record) error {
		o, err := scanOrder(row)
		if err != nil {
			return err
		}
		found = append(found, o)
		view.Orders[o.Key] = o
		return nil
	}, args...)
	read := t.results[len(t.results)-1]
	t.results[len(t.results)-1] = func(r pgx.BatchResults) error {
		err := read(r)
		slices.SortFunc(found, func(a, b *order.Order) int { return cmp.Compare(a.ID, b.ID) })
		for _, o := range found {
			named(view, o)
		}
		return err
	}
}

// lockQueues locks the cursors of queues whose progress is written, or of all.
func (t *pgTransaction) lockQueues(w *wanted) {
	locked := func(row record) error {
		t.cursors[cursorKey{order.QueueName(row.Text(0)), int(row.Int(1))}] = cursorState{row.Int(2), row.Text(3)}
		return nil
	}
	if w.destinations {
		t.queueRows(lockAllCursors, locked)
		return
	}
	var queues []string
	var shards []int32
	for _, q := range w.queues {
		for shard := range q.Shards.All() {
			queues, shards = append(queues, string(q.Name)), append(shards, int32(shard))
		}
	}
	if len(queues) > 0 {
		t.queueRows(lockCursors, locked, queues, shards)
	}
}

func (t *pgTransaction) loadDestinations(view *order.View) error {
	destinations, err := t.readDestinations(&pgConn{t.ctx, t.conn})
	for _, d := range destinations {
		view.Destinations[d.Name] = d
	}
	for k := range t.cursors {
		if k.queue.Replay() {
			view.Replaying[k.queue.Destination()] = true
		}
	}
	return err
}

// write writes everything and commits.
func (t *pgTransaction) write(w *writes, view *order.View) error {
	if err := t.name(w); err != nil {
		return err
	}
	rest := len(w.apps)+len(w.sessions)+len(w.destinations)+len(w.retries)+len(w.replays)+len(w.purged) > 0
	if rest { // before anything is added: see transact
		t.queue(countChange)
	}
	t.queue(haveXID) // before a place is drawn: see watcher
	t.writeOrders(w)
	t.writeWorkOrders(w)
	t.writeEventIDs(w)
	if err := t.writeEvents(w, view); err != nil {
		return err
	}
	t.writeProgress(w)
	t.writeUsage(w)
	if w.probe {
		t.queue(pgProbe, t.id)
	}
	if rest || len(w.bookmarks) > 0 {
		if err := t.exchange(); err != nil {
			return err
		}
		if err := t.writeRest(w); err != nil {
			return err
		}
	}
	if t.beforeCommit != nil {
		if err := t.exchange(); err != nil {
			return err
		}
		if err := t.beforeCommit(); err != nil {
			return err
		}
	}
	t.writing = true
	t.queue("COMMIT")
	if err := t.exchange(); err != nil {
		return err
	}
	if t.conn.PgConn().TxStatus() != 'I' {
		return errors.New("the transaction did not end")
	}
	return nil
}
