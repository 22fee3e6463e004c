package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
)

func TestUnknownDatabase(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "sqlite:", "mysql://x", "ordergate.db"} {
		if s, err := Open(t.Context(), url, options(t)); err == nil {
			t.Errorf("%q opened: %v", url, s)
		}
	}
}

// No secret, no token and no card is readable in the files of the database.
func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(t.Context(), "sqlite:"+dir+"/x.db", options(t))
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, order.Declare(order.Declared{
		Apps:     []*order.App{{Key: "a", Secret: "readable-secret", OldSecret: "readable-old", OldUntil: now}},
		Sessions: []*order.Session{{Token: "readable-token", AppKey: "a"}},
	}))
	commit(t, s, suningOrder("1", "x", now, order.Card), status(t, "1", "1", "180", contract.Card{Code: "readable-code", Password: "readable-password"}))
	for _, closed := range []bool{false, true} {
		if closed {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		files, err := filepath.Glob(dir + "/*")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte("readable-")) {
				t.Errorf("%s holds a secret, closed %t", file, closed)
			}
		}
	}
}

func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/x.db"
	s, err := Open(t.Context(), "sqlite:"+path, options(t))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what, want string, o Options) {
		t.Helper()
		if s, err := Open(t.Context(), "sqlite:"+path, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want an error with %q", what, s, err, want)
		}
	}
	refused("a second process", "another process", options(t))
	if err := os.Symlink(path, path+".link"); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), "sqlite:"+path+".link", options(t)); err == nil {
		t.Errorf("a second process by another name: %v", s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := options(t)
	if other.Key, err = secret.New(bytes.Repeat([]byte{1}, secret.KeySize)); err != nil {
		t.Fatal(err)
	}
	refused("another key", "sealed with another key", other)
	none := options(t)
	none.Key = nil
	refused("no key", "no key", none)

	c, err := sqlite.OpenConn(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(c, "PRAGMA user_version = 999", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	refused("a newer schema", "newer ordergate", options(t))
}

// A transaction that fails before anything is decided harms nobody else.
func TestLoadingFails(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/x.db"
	s, err := Open(t.Context(), "sqlite:"+path, options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	commit(t, s, report("1", contract.StatusTransfer))
	rename := func(from, to string) {
		c, err := sqlite.OpenConn(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := sqlitex.ExecuteTransient(c, "ALTER TABLE "+from+" RENAME TO "+to, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	rename("orders", "gone")
	if err := s.Commit(t.Context(), report("1", contract.StatusCheck)); !errors.Is(err, order.ErrNotStored) {
		t.Errorf("got %v", err)
	}
	rename("gone", "orders")
	commit(t, s, report("1", contract.StatusCheck))
}

// Another program's lock on the file, such as a backup's, ends in "try again",
// and never in a gateway that neither answers nor stops.
func TestForeignLock(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/x.db"
	o := options(t)
	o.busyTimeout = 10 * time.Millisecond
	s, err := Open(t.Context(), "sqlite:"+path, o)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := sqlite.OpenConn(path)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if err := sqlitex.ExecuteTransient(foreign, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), report("1", contract.StatusTransfer)); !errors.Is(err, order.ErrNotStored) {
		t.Errorf("locked: %v", err)
	}
	if err := s.Ready(t.Context()); err == nil {
		t.Error("locked, and ready")
	}
	if err := sqlitex.ExecuteTransient(foreign, "ROLLBACK", nil); err != nil {
		t.Fatal(err)
	}
	commit(t, s, report("1", contract.StatusTransfer))
	if err := sqlitex.ExecuteTransient(foreign, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing under a lock: %v", err)
	}
}

// Durability rests on these settings.
func TestSettings(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "sqlite:"+t.TempDir()+"/x.db", options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "page_size": "8192"} {
		var got string
		err := sqlitex.ExecuteTransient(s.(*sqliteStore).write.conn, "PRAGMA "+pragma, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			got = row.ColumnText(0)
			return nil
		}})
		if err != nil || got != want {
			t.Errorf("%s is %s, want %s: %v", pragma, got, want, err)
		}
	}
}

// The keys that refer to other rows are not looked up when they are written.
func TestReferencesHold(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "sqlite:"+t.TempDir()+"/x.db", options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	commit(t, s, order.Declare(order.Declared{
		Apps: []*order.App{{Key: "a", Protocol: contract.TOP, Secret: "s"}}, Sessions: []*order.Session{{Token: "t", AppKey: "a"}},
		Orders: []order.Import{{Key: key("9"), Lines: []order.ImportLine{{Number: "1"}}}},
	}))
	commit(t, s, report("1", contract.StatusTransfer), report("1", contract.StatusOut), report("2", "QIMEN_SPLIT"), emitted("1", "1", "a"), emitted("2", "2", "a"))
	commit(t, s, report("1", contract.StatusCheck), report("9", contract.StatusOut))
	for _, check := range []string{"foreign_key_check", "integrity_check"} {
		err := sqlitex.ExecuteTransient(s.(*sqliteStore).write.conn, "PRAGMA "+check, &sqlitex.ExecOptions{ResultFunc: func(row *sqlite.Stmt) error {
			if text := row.ColumnText(0); text != "ok" {
				t.Errorf("%s: %s row %d refers to no row of %s", check, text, row.ColumnInt64(1), row.ColumnText(2))
			}
			return nil
		}})
		if err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	s, err := Open(b.Context(), "sqlite:"+b.TempDir()+"/x.db", options(b))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.SetParallelism(128)
	b.ReportAllocs()
	statuses := []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut}
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			number := order.NewEventID()
			for _, status := range statuses {
				if err := s.Commit(b.Context(), report(number, status)); err != nil {
					b.Error(err)
				}
				if !pb.Next() {
					return
				}
			}
		}
	})
}
