package store

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/ordergate/ordergate/internal/secret"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// Readers take CPU from the committer, so they are few. Look-ups that calls
// wait for have their own: a list never delays a call.
const (
	sqliteLookups = 1
	sqliteLists   = 2
	sqliteLog     = 2
)

// busyTimeout is how long a transaction waits for another program's lock on the
// file, such as a backup's, before its calls are told to try again.
const busyTimeout = 5 * time.Second

// sqliteStore is the ledger in one SQLite file. One connection writes, and only
// the committer uses it.
type sqliteStore struct {
	*committer
	*directory
	key    *secret.Key
	write  *sqlite.Conn
	lookup *sqlitex.Pool // for calls
	lists  *sqlitex.Pool // for operators
	log    *sqlitex.Pool // for those who deliver
	lock   *os.File
	nextID ids

	beforeCommit func() error
}

// ids are the next keys to give out. Only the committer uses them.
type ids struct{ order, event, workOrder int64 }

func openSQLite(ctx context.Context, path string, o Options) (_ *sqliteStore, err error) {
	o.Queue = cmp.Or(o.Queue, 4096)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if real, err := filepath.EvalSymlinks(path); err == nil { // one database, one lock
		path = real
	}
	s := &sqliteStore{key: o.Key, beforeCommit: o.beforeCommit}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening %s: %w", path, err), s.close())
		}
	}()
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	if s.write, err = sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate); err != nil {
		return nil, err
	}
	s.write.SetBusyTimeout(cmp.Or(o.busyTimeout, busyTimeout))
	if err := prepareWriter(s.write); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if err := s.checkKey(); err != nil {
		return nil, err
	}
	if s.nextID, err = readIDs(s.write); err != nil {
		return nil, err
	}
	if s.lookup, err = readers(path, sqliteLookups); err != nil {
		return nil, err
	}
	if s.lists, err = readers(path, sqliteLists); err != nil {
		return nil, err
	}
	if s.log, err = readers(path, sqliteLog); err != nil {
		return nil, err
	}
	s.directory = newDirectory(s)
	s.committer = newCommitter(s, s.directory, o)
	go s.run() // until Close
	return s, nil
}

func readers(path string, n int) (*sqlitex.Pool, error) {
	return sqlitex.NewPool(path, sqlitex.PoolOptions{
		Flags: sqlite.OpenReadOnly | sqlite.OpenWAL, PoolSize: n,
		PrepareConn: func(c *sqlite.Conn) error {
			return sqlitex.ExecuteTransient(c, "PRAGMA cache_size = -16384", nil)
		},
	})
}

// lockFile keeps a second process away from the database: keys and caches are
// this process's own. The lock goes with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another process serves this database; stop it, or name another with --database")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func prepareWriter(c *sqlite.Conn) error {
	for _, pragma := range []string{
		"PRAGMA page_size = 8192", // of a new file
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL", // every commit is on disk before it returns
		"PRAGMA wal_autocheckpoint = 2000",
		"PRAGMA cache_size = -32768",
		// The one path that writes, writes parents first: looking them up again
		// is work in every commit. TestReferencesHold checks a whole file.
		"PRAGMA foreign_keys = OFF",
	} {
		if err := sqlitex.ExecuteTransient(c, pragma, nil); err != nil {
			return fmt.Errorf("%s: %w", pragma, err)
		}
	}
	return nil
}

func (s *sqliteStore) migrate(ctx context.Context) error {
	names, err := fs.Glob(sqliteMigrations, "migrations/sqlite/*.sql")
	if err != nil {
		return err
	}
	schema := sqlitemigration.Schema{AppID: 0x4f726467} // "Ordg"
	for _, name := range names {
		sql, err := sqliteMigrations.ReadFile(name)
		if err != nil {
			return err
		}
		schema.Migrations = append(schema.Migrations, string(sql))
	}
	var version int
	err = sqlitex.ExecuteTransient(s.write, "PRAGMA user_version", &sqlitex.ExecOptions{
		ResultFunc: func(row *sqlite.Stmt) error { version = row.ColumnInt(0); return nil },
	})
	if err != nil {
		return err
	}
	if version > len(names) {
		return fmt.Errorf("its schema is version %d and this program knows %d: run a newer ordergate", version, len(names))
	}
	return sqlitemigration.Migrate(ctx, s.write, schema)
}

// checkKey refuses a key that cannot open what the database holds.
func (s *sqliteStore) checkKey() error {
	if s.key == nil {
		return errors.New("no key to seal secrets with")
	}
	var known string
	err := sqlitex.Execute(s.write, "SELECT value FROM meta WHERE name = 'key'", &sqlitex.ExecOptions{
		ResultFunc: func(row *sqlite.Stmt) error { known = row.ColumnText(0); return nil },
	})
	switch {
	case err != nil:
		return err
	case known == s.key.Fingerprint():
		return nil
	case known != "":
		return fmt.Errorf("its secrets were sealed with another key (%s, not %s): set ORDERGATE_KEY or restore the key file", known, s.key.Fingerprint())
	}
	return sqlitex.Execute(s.write, "INSERT INTO meta (name, value) VALUES ('key', ?)", &sqlitex.ExecOptions{Args: []any{s.key.Fingerprint()}})
}

func readIDs(c *sqlite.Conn) (next ids, err error) {
	err = sqlitex.Execute(c, "SELECT coalesce(max(id), 0) + 1, (SELECT max(coalesce(max(seq), 0), (SELECT coalesce(max(place), 0) FROM event WHERE place IS NOT NULL), (SELECT coalesce(max(seq), 0) FROM cursor)) + 1 FROM event), (SELECT coalesce(max(id), 0) + 1 FROM work_order) FROM orders", &sqlitex.ExecOptions{
		ResultFunc: func(row *sqlite.Stmt) error {
			next = ids{order: row.ColumnInt64(0), event: row.ColumnInt64(1), workOrder: row.ColumnInt64(2)}
			return nil
		},
	})
	return next, err
}

// reading lends a read connection of a pool. Its queries end with ctx.
func reading(ctx context.Context, pool *sqlitex.Pool, f func(*sqlite.Conn) error) error {
	c, err := pool.Take(ctx)
	if err != nil {
		return err
	}
	defer pool.Put(c)
	return f(c)
}

// Close implements [order.Store].
func (s *sqliteStore) Close() error {
	s.stop()
	return s.close()
}

func (s *sqliteStore) close() error {
	var errs []error
	for _, pool := range []*sqlitex.Pool{s.lookup, s.lists, s.log} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if s.write != nil {
		errs = append(errs, s.write.Close()) // the last connection folds the WAL into the file
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
