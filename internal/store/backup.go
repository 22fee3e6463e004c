package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Manifest says what a backup holds. It is kept beside it, as JSON.
type Manifest struct {
	Engine      string        `json:"engine"` // sqlite or postgres
	Schema      int           `json:"schema"` // version
	TakenAt     time.Time     `json:"taken_at"`
	Key         string        `json:"key"`    // fingerprint of the key that its secrets are sealed with
	Tables      []CopiedTable `json:"tables"` // of the ledger
	SHA256      string        `json:"sha256"` // of the file
	Description string        `json:"description"`
}

// Engines that a backup can be of.
const (
	EngineSQLite   = "sqlite"
	EnginePostgres = "postgres"
)

// EngineOf is the engine of a database URL.
func EngineOf(url string) string {
	if Shared(url) {
		return EnginePostgres
	}
	return EngineSQLite
}

// backupPages is how many pages are copied before it is looked whether to go on.
const backupPages = 2000

// BackupSQLite copies the database in a file, which may be served, into another, as it
// stands now: whatever was answered before is in it. It waits for nobody and nobody waits
// for it. The copy is read whole and checked before it gets its name.
func BackupSQLite(ctx context.Context, from, to string) (m *Manifest, err error) {
	if _, err := os.Stat(from); err != nil { // else an empty one would be made
		return nil, err
	}
	err = written(to, func(partial string) error {
		if err := copyPages(ctx, from, partial); err != nil {
			return fmt.Errorf("copying %s: %w", from, err)
		}
		m, err = checkSQLite(ctx, partial)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.TakenAt = time.Now()
	m.SHA256, err = sumOf(to)
	return m, err
}

// Write writes what a backup holds beside it.
func (m *Manifest) Write(to string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return written(to, func(partial string) error { return os.WriteFile(partial, append(text, '\n'), 0o600) })
}

// written has a file of mode 0600 written under another name, and gives it its own when it
// is on disk. It replaces nothing.
func written(to string, write func(partial string) error) error {
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: name a new file, or move it away", to)
	}
	f, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*.partial") // mode 0600
	if err != nil {
		return err
	}
	partial := f.Name()
	defer func() {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} { // SQLite's, of a copy that was broken off
			_ = os.Remove(partial + suffix)
		}
	}()
	if err := errors.Join(f.Close(), write(partial), syncFile(partial)); err != nil {
		return err
	}
	if err := os.Link(partial, to); err != nil { // unlike a rename it replaces nothing
		return err
	}
	return syncFile(filepath.Dir(to))
}

// syncFile has a file or a folder on disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// copyPages copies a database page by page, as of one moment.
func copyPages(ctx context.Context, from, to string) (err error) {
	flags := sqlite.OpenReadOnly
	if !isLocked(from + ".lock") {
		flags = sqlite.OpenReadWrite // nobody serves it: the log that is made to read it is taken away again
	}
	source, err := sqlite.OpenConn(from, flags)
	if err != nil && flags != sqlite.OpenReadOnly {
		source, err = sqlite.OpenConn(from, sqlite.OpenReadOnly)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	source.SetBusyTimeout(busyTimeout)
	target, err := sqlite.OpenConn(to, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	// While it is read in one transaction, what others commit does not touch the copy.
	if err := sqlitex.ExecuteTransient(source, "BEGIN", nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sqlitex.ExecuteTransient(source, "ROLLBACK", nil)) }()
	if err := sqlitex.ExecuteTransient(source, "SELECT name FROM sqlite_schema LIMIT 1", nil); err != nil {
		return err
	}
	backup, err := sqlite.NewBackup(target, "main", source, "main")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backup.Close()) }()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = backup.Step(backupPages); err != nil {
			return err
		}
	}
	return nil
}

// checkSQLite reads all of a file that nobody serves, and says what it holds. It leaves a
// single file, without a log beside it.
func checkSQLite(ctx context.Context, file string) (m *Manifest, err error) {
	c, err := sqlite.OpenConn(file, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetInterrupt(ctx.Done())
	if err := sqlitex.ExecuteTransient(c, "PRAGMA journal_mode = DELETE", nil); err != nil {
		return nil, err
	}
	var wrong []string
	err = sqlitex.ExecuteTransient(c, "PRAGMA integrity_check", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
		if text := row.ColumnText(0); text != "ok" {
			wrong = append(wrong, text)
		}
		return nil
	}})
	if err == nil && wrong != nil {
		err = fmt.Errorf("%s is damaged: %s", file, strings.Join(wrong, "; "))
	}
	if err != nil {
		return nil, err
	}
	m = &Manifest{Engine: EngineSQLite, Description: "ordergate restore reads it; keep the key of its secrets apart"}
	rows := sqliteConn{c}
	if m.Schema, err = schemaOf(c); err != nil {
		return nil, err
	}
	if m.Key, err = fingerprintIn(rows); err != nil {
		return nil, fmt.Errorf("%s is no ledger: %w", file, err)
	}
	m.Tables, err = sumTables(rows, func(t copied) copied { return t })
	return m, err
}

func schemaOf(c *sqlite.Conn) (version int, err error) {
	err = sqlitex.ExecuteTransient(c, "PRAGMA user_version", &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error { version = row.ColumnInt(0); return nil }})
	return version, err
}

// fingerprintIn is that of the key with which the secrets of a ledger are sealed.
func fingerprintIn(c conn) (fingerprint string, err error) {
	err = c.query("SELECT value FROM meta WHERE name = 'key'", func(row record) error { fingerprint = row.Text(0); return nil })
	return fingerprint, err
}

// sumTables counts the rows of all tables of the ledger, with their checksums.
func sumTables(c conn, at func(copied) copied) (tables []CopiedTable, err error) {
	for _, t := range copiedTables {
		sum := newRowsSum(t)
		if err := c.query(at(t).query(false), sum.add); err != nil {
			return nil, fmt.Errorf("reading %s: %w", t.name, err)
		}
		tables = append(tables, sum.result())
	}
	return tables, nil
}

func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// checkFile refuses a file that is not the one that was written.
func (m *Manifest) checkFile(file string) error {
	sum, err := sumOf(file)
	if err == nil && sum != m.SHA256 {
		err = fmt.Errorf("%s is not the file that was written: its SHA-256 is %s, and was %s", file, sum, m.SHA256)
	}
	return err
}

// RestoreSQLite makes a database of a backup, where there is none, and compares what it
// holds with what was backed up.
func RestoreSQLite(ctx context.Context, m *Manifest, from, to string) error {
	for _, beside := range []string{to + "-wal", to + "-shm"} { // they would be taken for its own
		if _, err := os.Stat(beside); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there, of another database: move it away", beside)
		}
	}
	if err := m.checkFile(from); err != nil {
		return err
	}
	return written(to, func(partial string) error {
		if err := copyFile(from, partial); err != nil {
			return err
		}
		got, err := checkSQLite(ctx, partial)
		if err != nil {
			return err
		}
		return m.compare(got)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// compare tells what is different from what was backed up.
func (m *Manifest) compare(got *Manifest) error {
	var errs []error
	if got.Schema != m.Schema || got.Key != m.Key {
		errs = append(errs, fmt.Errorf("schema %d and key %s, not schema %d and key %s", got.Schema, got.Key, m.Schema, m.Key))
	}
	if len(m.Tables) != len(got.Tables) {
		errs = append(errs, fmt.Errorf("%d tables, not the %d of its manifest", len(got.Tables), len(m.Tables)))
	}
	for i, want := range m.Tables {
		if i < len(got.Tables) && got.Tables[i] != want {
			errs = append(errs, fmt.Errorf("table %s has not the %d rows that were backed up", want.Name, want.Rows))
		}
	}
	return errors.Join(errs...)
}

// BackupPostgres has dump write a backup of a database, which may be served, of the state
// that a snapshot shows, and says what that state is.
func BackupPostgres(ctx context.Context, url, to string, dump func(ctx context.Context, snapshot, partial string) error) (m *Manifest, err error) {
	c, err := connectURL(ctx, url)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	err = pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
			return err
		}
		var snapshot string
		if err := tx.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&snapshot); err != nil {
			return err
		}
		taken := time.Now()
		if m, err = describePostgres(ctx, tx); err != nil {
			return err
		}
		m.TakenAt = taken
		return written(to, func(partial string) error { return dump(ctx, snapshot, partial) })
	})
	if err != nil {
		return nil, err
	}
	m.SHA256, err = sumOf(to)
	return m, err
}

func connectURL(ctx context.Context, url string) (*pgx.Conn, error) {
	config, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	c, err := connectTo(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", Redacted(url), err)
	}
	return c, nil
}

// postgresSchema is the version of a ledger's schema.
func postgresSchema(rows conn) (version int, err error) {
	err = rows.query("SELECT max(version) FROM schema_version", func(row record) error { version = int(row.Int(0)); return nil })
	return version, err
}

func describePostgres(ctx context.Context, q querier) (m *Manifest, err error) {
	m = &Manifest{Engine: EnginePostgres, Description: "made by pg_dump; ordergate restore reads it; keep the key of its secrets apart"}
	rows := &pgConn{ctx, q}
	if m.Schema, err = postgresSchema(rows); err != nil {
		return nil, fmt.Errorf("no ledger is there: %w", err)
	}
	if m.Key, err = fingerprintIn(rows); err != nil {
		return nil, err
	}
	m.Tables, err = sumTables(rows, func(t copied) copied {
		t.from, t.where = "", "" // each is a table of its own
		return t
	})
	return m, err
}

// RestorePostgres has load fill a database that is empty, and compares what it holds with
// what was backed up.
func RestorePostgres(ctx context.Context, m *Manifest, from, url string, load func(ctx context.Context) error) error {
	if err := m.checkFile(from); err != nil {
		return err
	}
	c, err := connectURL(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	var tables int
	if err := c.QueryRow(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		return fmt.Errorf("%s has %d tables: restore into a new database, made with createdb", Redacted(url), tables)
	}
	if err := load(ctx); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, "DELETE FROM node"); err != nil { // none is there
		return err
	}
	got, err := describePostgres(ctx, c)
	if err != nil {
		return err
	}
	return m.compare(got)
}
