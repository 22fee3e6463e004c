package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/ordergate/ordergate/internal/order"
)

// Inspection is what can be seen of a database by somebody who does not serve it, and
// changes nothing.
type Inspection struct {
	Engine       string
	New          bool // there is no ledger yet
	Served       bool // SQLite: a process serves it
	Schema       int  // version
	Known        int  // the version that this program makes of it
	Key          string
	Damaged      []string // SQLite: what a check of its structure found
	Unchecked    bool     // there was no time for that
	Destinations []*order.Destination
	Server       *PostgresServer // nil: SQLite
}

// PostgresServer is what a server says of itself.
type PostgresServer struct {
	Version     int               // as server_version_num
	Settings    map[string]string // those that durability hangs on
	Replica     bool              // it takes no writes
	Connections int               // that are left for others than superusers
	Behind      time.Duration     // its clock, compared with this machine's
	Latency     time.Duration     // of a question
	MayCreate   bool              // this role may make tables
}

// Inspect looks at a database.
func Inspect(ctx context.Context, database string) (*Inspection, error) {
	if Shared(database) {
		return inspectPostgres(ctx, database)
	}
	file, err := File(database)
	if err != nil {
		return nil, err
	}
	return inspectSQLite(ctx, file)
}

// selectDestinations lists what is not secret of them.
const selectDestinations = "SELECT name, doc FROM destination ORDER BY name"

func (i *Inspection) ledger(c conn) (err error) {
	if i.Key, err = fingerprintIn(c); err != nil {
		return err
	}
	return c.query(selectDestinations, func(row record) error {
		d := &order.Destination{}
		if err := json.Unmarshal([]byte(row.Text(1)), d); err != nil {
			return fmt.Errorf("destination %s: %w", row.Text(0), err)
		}
		i.Destinations = append(i.Destinations, d)
		return nil
	})
}

func inspectSQLite(ctx context.Context, file string) (i *Inspection, err error) {
	i = &Inspection{Engine: EngineSQLite}
	names, err := fs.Glob(sqliteMigrations, "migrations/sqlite/*.sql")
	if err != nil {
		return nil, err
	}
	i.Known = len(names)
	if info, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		i.New = true
		return i, nil
	}
	i.Served = isLocked(file + ".lock")
	c, err := openUntouched(file, i.Served)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetBusyTimeout(busyTimeout)
	if i.Schema, err = schemaOf(c); err != nil {
		return nil, err
	}
	if err := i.ledger(sqliteConn{c}); err != nil {
		return nil, err
	}
	c.SetInterrupt(ctx.Done())
	err = sqlitex.ExecuteTransient(c, "PRAGMA quick_check(5)", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		if text := row.ColumnText(0); text != "ok" {
			i.Damaged = append(i.Damaged, text)
		}
		return nil
	}})
	if i.Unchecked = err != nil && ctx.Err() != nil; i.Unchecked {
		err = nil
	}
	c.SetInterrupt(nil)
	return i, err
}

// openUntouched opens a database to read it, without making its log: one that nobody
// serves, and that was closed well, has none.
func openUntouched(file string, served bool) (*sqlite.Conn, error) {
	if _, err := os.Stat(file + "-wal"); served || err == nil {
		return sqlite.OpenConn(file, sqlite.OpenReadOnly)
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: "immutable=1"}
	return sqlite.OpenConn(u.String(), sqlite.OpenReadOnly|sqlite.OpenURI)
}

// isLocked reports whether a process has a lock file.
func isLocked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// MostConnections is how many connections a node has at most: those that read, those that
// commit, and the one that watches.
func MostConnections() int {
	n := postgresWriters + 1
	for _, readers := range postgresReaders {
		n += int(readers)
	}
	return n
}

// durable are the settings of a server that what was answered hangs on, and what they must
// be.
var durable = []string{"fsync", "full_page_writes", "synchronous_commit"}

func inspectPostgres(ctx context.Context, database string) (i *Inspection, err error) {
	c, err := connectURL(ctx, database)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	i = &Inspection{Engine: EnginePostgres, Server: &PostgresServer{Settings: map[string]string{}}}
	names, err := fs.Glob(postgresMigrations, "migrations/postgres/*.sql")
	if err != nil {
		return nil, err
	}
	i.Known = len(names)
	s := i.Server
	asked := time.Now()
	var there time.Time
	err = c.QueryRow(ctx, `SELECT clock_timestamp(), current_setting('server_version_num')::int, pg_is_in_recovery(),
		current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int,
		has_schema_privilege(current_schema(), 'CREATE'), to_regclass('schema_version') IS NULL`).
		Scan(&there, &s.Version, &s.Replica, &s.Connections, &s.MayCreate, &i.New)
	if err != nil {
		return nil, err
	}
	s.Latency = time.Since(asked)
	s.Behind = asked.Add(s.Latency / 2).Sub(there)
	for _, name := range durable {
		var value string
		if err := c.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return nil, err
		}
		s.Settings[name] = value
	}
	if i.New {
		return i, nil
	}
	rows := &pgConn{ctx, c}
	if i.Schema, err = postgresSchema(rows); err != nil {
		return nil, err
	}
	return i, i.ledger(rows)
}
