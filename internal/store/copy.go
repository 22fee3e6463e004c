package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
)

// copied is a table that Copy copies, row by row, sorted by the first of its columns.
type copied struct {
	name    string
	keys    int      // columns that are its key
	columns []string // that both engines have
	where   string   // rows of the source; empty: all
	from    string   // its name in the source, if that is another

	// shardOf is the column with the lane of a row, whose shard PostgreSQL keeps besides.
	shardOf string
}

// copiedTables are all tables but meta, whose rows are each side's own, and those about
// nodes.
var copiedTables = []copied{
	{name: "app", keys: 1, columns: []string{"key", "secret", "old_secret", "doc"}},
	{name: "session", keys: 1, columns: []string{"id", "mark", "token", "app_key", "seller", "expires_at"}},
	{name: "destination", keys: 1, columns: []string{"name", "secrets", "doc"}},
	{name: "usage", keys: 2, columns: []string{"day", "app", "calls"}},
	{name: "orders", keys: 1, columns: []string{"id", "number", "platform", "seller", "stage", "reached", "buyer", "buyer_open_uid", "paid_at", "created_at", "updated_at", "refund_due", "lines", "marks", "locks"}},
	{name: "work_order", keys: 1, columns: []string{"id", "number", "tenant", "app", "type", "status", "plan_id", "order_no", "ts", "created_at", "updated_at"}},
	{name: "event_id", keys: 3, columns: []string{"app", "tenant", "id", "content"}},
	{name: "refund", keys: 1, columns: []string{"id"}, from: "event", where: "api = '" + order.EventRefund + "'"},
	{name: "event", keys: 1, columns: []string{"seq", "order_id", "work_order_id", "id", "api", "app", "at", "lines", "record", "answer", "warnings", "sealed", "owed", "asked", "place"}},
	{name: "done", keys: 2, columns: []string{"queue", "seq"}},
	{name: "blocked", keys: 2, columns: []string{"queue", "lane", "first_seq", "attempts", "next_at", "held", "reason"}, shardOf: "lane"},
	{name: "dead", keys: 2, columns: []string{"queue", "seq", "lane", "reason", "at", "attempts", "next_at"}, shardOf: "lane"},
	{name: "attempt", keys: 3, columns: []string{"queue", "seq", "n", "at", "status", "latency_us", "body"}},
	{name: "cursor", keys: 1, columns: []string{"queue", "epoch", "start", "seq", "up_to"}},
}

// How much is copied in one transaction, in rows and in bytes.
const (
	copyRows  = 5_000
	copyBytes = 8 << 20
)

// CopiedTable is what has become of a table.
type CopiedTable struct {
	Name     string `json:"name"`
	Rows     int64  `json:"rows"`
	Checksum string `json:"checksum"` // of all rows; the same on both sides
}

// Copy copies the ledger in a SQLite file into a PostgreSQL database that is new, or that
// an earlier copy of the same file was broken off into: it goes on where that ended. In
// the end it compares the rows of both. Nobody can serve the file meanwhile, nor the
// database until the copy has ended. Progress is told of each table, and from time to
// time, if it is not nil.
func Copy(ctx context.Context, from, to string, key *secret.Key, progress func(table string, rows int64)) (_ []CopiedTable, err error) {
	file, err := File(from)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	source, err := openSQLite(ctx, file, Options{Key: key}) // of this schema, and nobody else's now
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	rows, err := sqlite.OpenConn(file, sqlite.OpenReadOnly)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	target, err := connectURL(ctx, to)
	if err != nil {
		return nil, err
	}
	defer target.Close(context.WithoutCancel(ctx))
	c := &copying{ctx: ctx, source: sqliteConn{rows}, target: target, progress: progress}
	if c.progress == nil {
		c.progress = func(string, int64) {}
	}
	if err := c.begin(key.Fingerprint()); err != nil {
		return nil, err
	}
	for _, t := range copiedTables {
		if err := c.table(t); err != nil {
			return nil, fmt.Errorf("copying %s: %w", t.name, err)
		}
	}
	tables, err := c.compare()
	if err != nil {
		return nil, err
	}
	return tables, c.end()
}

// copying is a copy under way.
type copying struct {
	ctx      context.Context
	source   sqliteConn
	target   *pgx.Conn
	progress func(string, int64)
	upper    int64 // the first place of the log that has no partition
}

// begin makes the schema, and refuses a database that is in use.
func (c *copying) begin(fingerprint string) error {
	if err := migratePostgres(c.ctx, c.target); err != nil {
		return err
	}
	rows := &pgConn{c.ctx, c.target}
	begun, used, ended := false, false, ""
	err := rows.query("SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'copying'), coalesce((SELECT value FROM meta WHERE name = 'copied'), ''), EXISTS (SELECT 1 FROM orders) OR EXISTS (SELECT 1 FROM event) OR EXISTS (SELECT 1 FROM app) OR EXISTS (SELECT 1 FROM destination) OR EXISTS (SELECT 1 FROM node WHERE until > now())", func(row record) error {
		begun, ended, used = row.Int(0) != 0, row.Text(1), row.Int(2) != 0
		return nil
	})
	switch {
	case err != nil:
		return err
	case ended != "":
		return fmt.Errorf("a copy into the database has ended, at %s, and both sides were the same: serve it", ended)
	case !begun && used:
		return errors.New("the database is in use: copy into a new one, made with createdb")
	}
	if err := checkKey(rows, fingerprint); err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	for _, text := range []string{
		"INSERT INTO meta (name, value) VALUES ('copying', '') ON CONFLICT DO NOTHING",
		"CREATE TABLE IF NOT EXISTS copied (name text PRIMARY KEY, rows bigint NOT NULL, last text NOT NULL, ended boolean NOT NULL)",
	} {
		if _, err := rows.exec(text); err != nil {
			return err
		}
	}
	return rows.query("SELECT coalesce(max(upper), 1) FROM log_part", func(row record) error {
		c.upper = row.Int(0)
		return nil
	})
}

// table copies a table, from where an earlier copy ended.
func (c *copying) table(t copied) error {
	var last []any
	var count int64
	ended := false
	err := (&pgConn{c.ctx, c.target}).query("SELECT rows, last, ended FROM copied WHERE name = ?", func(row record) error {
		count, ended = row.Int(0), row.Int(2) != 0
		return decodeKey(row.Text(1), &last)
	}, t.name)
	for err == nil && !ended {
		var rows [][]any
		if rows, err = c.page(t, last); err != nil {
			break
		}
		if ended = len(rows) == 0; !ended {
			last = slices.Clone(rows[len(rows)-1][:t.keys])
		}
		count += int64(len(rows))
		if err = c.store(t, rows, count, last, ended); !ended {
			c.progress(t.name, count)
		}
	}
	return err
}

// page reads the next rows of the source.
func (c *copying) page(t copied, last []any) (rows [][]any, err error) {
	size := 0
	err = c.source.query(t.query(last != nil)+" LIMIT ?", func(row record) error {
		values, n := valuesOf(row.(sqliteRow), len(t.columns))
		rows = append(rows, values)
		if size += n; size > copyBytes {
			return errEnough
		}
		return nil
	}, append(slices.Clone(last), copyRows)...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return rows, err
}

// query selects the rows of a table behind a key, if one is given.
func (t copied) query(behind bool) string {
	table := t.name
	if t.from != "" {
		table = t.from
	}
	var conditions []string
	if t.where != "" {
		conditions = append(conditions, t.where)
	}
	key := strings.Join(t.columns[:t.keys], ", ")
	if behind {
		conditions = append(conditions, "("+key+") > ("+marks(t.keys)+")")
	}
	text := "SELECT DISTINCT "
	if t.from == "" && t.name != "cursor" { // else rows stand for several
		text = "SELECT "
	}
	text += strings.Join(t.columns, ", ") + " FROM " + table
	if len(conditions) > 0 {
		text += " WHERE " + strings.Join(conditions, " AND ")
	}
	return text + " ORDER BY " + key
}

// store writes rows, and how far the table is, in one transaction.
func (c *copying) store(t copied, rows [][]any, count int64, last []any, ended bool) error {
	key, err := encodeKey(last)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(c.ctx, c.target, func(tx pgx.Tx) error {
		if t.name == "event" && len(rows) > 0 {
			if err := c.partition(tx, rows[len(rows)-1][0].(int64)); err != nil {
				return err
			}
		}
		columns, rows := t.targetRows(rows) // the key has been taken of them
		if _, err := tx.CopyFrom(c.ctx, pgx.Identifier{t.name}, columns, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		_, err := tx.Exec(c.ctx, "INSERT INTO copied (name, rows, last, ended) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE SET rows = excluded.rows, last = excluded.last, ended = excluded.ended", t.name, count, key, ended)
		return err
	})
}

// partition makes partitions up to a place.
func (c *copying) partition(tx pgx.Tx, place int64) error {
	for c.upper <= place {
		var size int64
		err := c.source.query("SELECT max(seq) / 16 FROM event", func(row record) error {
			size = min(max(leastPartition, row.Int(0)), mostPartition)
			return nil
		})
		if err != nil {
			return err
		}
		if err := makePartition(c.ctx, tx, c.upper, c.upper+size, time.Now()); err != nil {
			return err
		}
		c.upper += size
	}
	return nil
}

// targetRows are rows as PostgreSQL keeps them.
func (t copied) targetRows(rows [][]any) (columns []string, _ [][]any) {
	columns = t.columns
	for _, row := range rows {
		encoded(row)
	}
	switch {
	case t.name == "cursor": // one for each shard
		var all [][]any
		for _, row := range rows {
			for shard := range order.ShardCount {
				all = append(all, append(slices.Clone(row), shard))
			}
		}
		return append(slices.Clone(columns), "shard"), all
	case t.shardOf != "":
		lane := slices.Index(t.columns, t.shardOf)
		for i, row := range rows {
			rows[i] = append(row, order.Lane(row[lane].(int64)).Shard())
		}
		return append(slices.Clone(columns), "shard"), rows
	case t.name == "app":
		for i, row := range rows {
			rows[i] = append(row, sellerOf(row[len(t.columns)-1].(string)))
		}
		return append(slices.Clone(columns), "seller"), rows
	case t.name == "done": // its shard is that of an event that is looked at again: any will do
		for i, row := range rows {
			rows[i] = append(row, 0)
		}
		return append(slices.Clone(columns), "shard"), rows
	}
	return columns, rows
}

// sellerOf is the seller of a TOP app; nil for others.
func sellerOf(doc string) any {
	app := &order.App{}
	if json.Unmarshal([]byte(doc), app) != nil || app.Protocol != contract.TOP || app.Seller == "" {
		return nil
	}
	return toText(app.Seller)
}

// valuesOf are the values of a row of SQLite, and their size.
func valuesOf(row sqliteRow, n int) (values []any, size int) {
	values = make([]any, n)
	for i := range values {
		switch row.ColumnType(i) {
		case sqlite.TypeInteger:
			values[i] = row.Int(i)
		case sqlite.TypeText:
			values[i] = row.Text(i)
		case sqlite.TypeBlob:
			values[i] = row.Bytes(i)
		}
		size += row.Size(i)
	}
	return values, size
}

// encodeKey writes a key, which is of numbers and texts.
func encodeKey(key []any) (string, error) {
	key = slices.Clone(key)
	encoded(key)
	b, err := json.Marshal(key)
	return string(b), err
}

func decodeKey(text string, key *[]any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(key); err != nil {
		return err
	}
	for i, v := range *key {
		if n, ok := v.(json.Number); ok {
			number, err := n.Int64()
			if err != nil {
				return err
			}
			(*key)[i] = number
		}
	}
	for i, v := range *key {
		if text, ok := v.(string); ok {
			(*key)[i] = fromText(text)
		}
	}
	return nil
}

// compare reads both sides and compares the numbers of rows and their checksums.
func (c *copying) compare() (tables []CopiedTable, err error) {
	for _, t := range copiedTables {
		source, target := newRowsSum(t), newRowsSum(t)
		if err := c.source.query(t.query(false), source.add); err != nil {
			return nil, fmt.Errorf("comparing %s: %w", t.name, err)
		}
		copiedTo := t
		copiedTo.from, copiedTo.where = "", ""
		if err := (&pgConn{c.ctx, c.target}).query(copiedTo.query(false), target.add); err != nil {
			return nil, fmt.Errorf("comparing %s: %w", t.name, err)
		}
		if a, b := source.result(), target.result(); a != b {
			return nil, fmt.Errorf("%s is not the same on both sides: %d rows (%s) and %d (%s). Was the file served since the copy began? Then copy into a new database", t.name, a.Rows, a.Checksum, b.Rows, b.Checksum)
		}
		tables = append(tables, source.result())
		c.progress("compared "+t.name, source.rows)
	}
	return tables, nil
}

// rowsSum is a checksum of rows.
type rowsSum struct {
	table copied
	sum   uint64
	rows  int64
	one   []byte
}

func newRowsSum(t copied) *rowsSum { return &rowsSum{table: t} }

// add adds a row's SHA-256, the first 64 bits of it: whatever the order of the rows is, the
// sum is the same. It is of each value whether it is NULL, its length and its bytes; of a
// number its digits.
func (s *rowsSum) add(row record) error {
	s.rows++
	s.one = s.one[:0]
	for i := range s.table.columns {
		if row.Null(i) {
			s.one = append(s.one, 0)
			continue
		}
		value := s.value(row, i)
		s.one = binary.AppendUvarint(append(s.one, 1), uint64(len(value)))
		s.one = append(s.one, value...)
	}
	digest := sha256.Sum256(s.one)
	s.sum += binary.BigEndian.Uint64(digest[:])
	return nil
}

func (s *rowsSum) value(row record, i int) []byte {
	switch r := row.(type) {
	case sqliteRow:
		if r.ColumnType(i) == sqlite.TypeInteger {
			return fmt.Append(nil, r.Int(i))
		}
		return r.Bytes(i)
	case *pgRow:
		if r.isInteger(i) {
			return fmt.Append(nil, r.Int(i))
		}
		if r.isText(i) {
			return []byte(r.Text(i))
		}
	}
	return row.Bytes(i)
}

func (s *rowsSum) result() CopiedTable {
	return CopiedTable{Name: s.table.name, Rows: s.rows, Checksum: fmt.Sprintf("%016x", s.sum)}
}

// end has sequences go on behind what was copied, and opens the database for nodes.
func (c *copying) end() error {
	return pgx.BeginFunc(c.ctx, c.target, func(tx pgx.Tx) error {
		for _, text := range []string{
			"SELECT setval('event_seq', greatest(1, (SELECT coalesce(max(seq), 0) FROM event), (SELECT coalesce(max(place), 0) FROM event), (SELECT coalesce(max(seq), 0) FROM cursor)))",
			fmt.Sprintf("SELECT setval('order_block', (SELECT coalesce(max(id), 0) / %d FROM orders))", idBlockSize),
			fmt.Sprintf("SELECT setval('work_order_block', (SELECT coalesce(max(id), 0) / %d FROM work_order))", idBlockSize),
			"SELECT setval(pg_get_serial_sequence('session', 'id'), (SELECT coalesce(max(id), 1) FROM session))",
			"DROP TABLE copied",
			"DELETE FROM meta WHERE name = 'copying'",
		} {
			if _, err := tx.Exec(c.ctx, text); err != nil {
				return err
			}
		}
		_, err := tx.Exec(c.ctx, "INSERT INTO meta (name, value) VALUES ('copied', $1)", time.Now().Format(time.RFC3339))
		return err
	})
}

// Migrate brings the schema of a database up to date, and returns its version.
func Migrate(ctx context.Context, url string, key *secret.Key) (version int, err error) {
	if !Shared(url) {
		file, err := File(url)
		if err != nil {
			return 0, err
		}
		s, err := openSQLite(ctx, file, Options{Key: key})
		if err != nil {
			return 0, err
		}
		version, err = schemaOf(s.write.conn)
		return version, errors.Join(err, s.Close())
	}
	c, err := connectURL(ctx, url)
	if err != nil {
		return 0, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	if err := migratePostgres(ctx, c); err != nil {
		return 0, err
	}
	return postgresSchema(&pgConn{ctx, c})
}
