// Package pgtest gives tests databases of a PostgreSQL server of their own.
package pgtest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ordergate/ordergate/internal/pgserver"
)

// shared is a server for all tests of a process. What they write need not outlive it.
var shared = sync.OnceValues(func() (*pgserver.Server, error) {
	started.Store(true)
	return pgserver.Start("", "fsync = off", "full_page_writes = off", "synchronous_commit = off")
})

var (
	started   atomic.Bool
	databases atomic.Int64
)

// Main runs the tests of a package whose tests use Database.
func Main(m *testing.M) { os.Exit(Tests{m}.Run()) }

// Tests are the tests of a package whose tests use Database, for who has to do something
// else around them.
type Tests struct{ M *testing.M }

// Run runs them, and returns the exit code.
func (t Tests) Run() int {
	code := t.M.Run()
	if started.Load() {
		if s, err := shared(); err == nil {
			if err := s.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	return code
}

// Database returns the URL of a fresh database. Without PostgreSQL the test is skipped,
// but in CI it fails.
func Database(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if errors.Is(err, pgserver.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Create(fmt.Sprintf("test_%d", databases.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	return url
}
