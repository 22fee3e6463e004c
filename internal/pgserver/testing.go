package pgserver

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// shared is a server for all tests of a process. What they write need not outlive it.
var shared = sync.OnceValues(func() (*Server, error) {
	started.Store(true)
	return Start("", "fsync = off", "full_page_writes = off", "synchronous_commit = off")
})

var (
	started   atomic.Bool
	databases atomic.Int64
)

// Main runs the tests of a package whose tests use Database.
func Main(m *testing.M) {
	code := m.Run()
	if started.Load() {
		if s, err := shared(); err == nil {
			if err := s.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	os.Exit(code)
}

// Database returns the URL of a fresh database. Without PostgreSQL the test is skipped,
// but in CI it fails.
func Database(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
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
