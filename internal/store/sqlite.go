package store

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// Readers take CPU from the committer, so they are few. Look-ups that calls
// wait for have their own: a list never delays a call.
var sqliteReaders = [purposes]int{forCalls: 1, forLists: 2, forLog: 2}

// sqliteDialect is how SQLite says it.
var sqliteDialect = dialect{
	head:     "SELECT max((SELECT coalesce(max(seq), 0) FROM event), (SELECT coalesce(max(place), 0) FROM event WHERE place IS NOT NULL))",
	contains: func(column, text string) string { return "instr(" + column + ", '" + text + "') > 0" },
	indexed:  func(index string) string { return " INDEXED BY " + index },
	shardOf:  func(string) string { return strconv.Itoa(shard) },
	each:     "SELECT value FROM json_each(?)",
	appOf:    "SELECT key FROM app WHERE json_extract(doc, '$.seller') = ? AND json_extract(doc, '$.protocol') = 'top' ORDER BY key LIMIT 1",
}

// busyTimeout is how long a transaction waits for another program's lock on the
// file, such as a backup's, before its calls are told to try again.
const busyTimeout = 5 * time.Second

// sqliteStore is the ledger in one SQLite file. One connection writes, and only
// the committer uses it.
type sqliteStore struct {
	*committer
	*directory
	ledger
	single
	write  sqliteConn
	pools  sqlitePools
	lock   *os.File
	nextID ids

	beforeCommit func() error
}

// ids are the next keys to give out. Only the committer uses them.
type ids struct{ order, event, workOrder int64 }

func openSQLite(ctx context.Context, path string, o Options) (_ *sqliteStore, err error) {
	o = o.withDefaults()
	if real, err := filepath.EvalSymlinks(path); err == nil { // one database, one lock
		path = real
	}
	s := &sqliteStore{beforeCommit: o.beforeCommit}
	s.ledger = ledger{reader: &s.pools, dialect: sqliteDialect, key: o.Key}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening %s: %w", path, err), s.close())
		}
	}()
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	if err = own(path); err != nil {
		return nil, err
	}
	if s.write.conn, err = sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate); err != nil {
		return nil, err
	}
	s.write.conn.SetBusyTimeout(cmp.Or(o.busyTimeout, busyTimeout))
	if err := prepareWriter(s.write.conn); err != nil {
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
	for purpose, n := range sqliteReaders {
		if s.pools[purpose], err = readers(path, n); err != nil {
			return nil, err
		}
	}
	s.directory = newDirectory(s)
	s.committer = newCommitter(s, s.directory, o)
	s.sole = true
	s.start(1)
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
		err = errors.New("another process serves this database; stop it, or use another database")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// own makes a new database's file its owner's alone, as SQLite makes its log's, too.
func own(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
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
	version, err := schemaOf(s.write.conn)
	if err != nil {
		return err
	}
	if version > len(names) {
		return newerSchema(version, len(names))
	}
	return sqlitemigration.Migrate(ctx, s.write.conn, schema)
}

// checkKey refuses a key that cannot open what the database holds.
func (s *sqliteStore) checkKey() error {
	if s.key == nil {
		return errNoKey
	}
	return checkKey(s.write, s.key.Fingerprint())
}

func readIDs(c conn) (next ids, err error) {
	err = c.query("SELECT coalesce(max(id), 0) + 1, (SELECT max(coalesce(max(seq), 0), (SELECT coalesce(max(place), 0) FROM event WHERE place IS NOT NULL), (SELECT coalesce(max(seq), 0) FROM cursor)) + 1 FROM event), (SELECT coalesce(max(id), 0) + 1 FROM work_order) FROM orders", func(row record) error {
		next = ids{order: row.Int(0), event: row.Int(1), workOrder: row.Int(2)}
		return nil
	})
	return next, err
}

// Close implements [order.Store].
func (s *sqliteStore) Close() error {
	s.stop()
	return s.close()
}

func (s *sqliteStore) close() error {
	var errs []error
	for _, pool := range s.pools {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if s.write.conn != nil {
		errs = append(errs, s.write.conn.Close()) // the last connection folds the WAL into the file
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
