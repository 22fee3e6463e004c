// Package pgserver runs PostgreSQL servers of its own from installed binaries, for tests
// and measurements: with fresh data, on loopback, and gone with the process.
package pgserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrMissing means that no PostgreSQL is installed.
var ErrMissing = errors.New("no PostgreSQL server is installed: apt-get install postgresql, or set ORDERGATE_PG_BIN to the folder of initdb")

// user of the server's own, and its first database.
const (
	superuser = "ordergate"
	database  = "postgres"
)

// Server is a server with its data.
type Server struct {
	dir  string // everything of it
	bin  string
	port int
	as   *syscall.SysProcAttr // PostgreSQL refuses root

	// FileLimit is how large a file may become, in bytes, from the next Run on: as if the
	// disk were full then. 0: as large as there is room.
	FileLimit int64

	run   *exec.Cmd
	alive io.Closer // the server ends when this is closed
	log   *os.File
}

// Binaries returns the folder of the newest installed server's programs, or ErrMissing.
func Binaries() (string, error) { return Find("initdb") }

// Find returns the folder of a program of PostgreSQL's, the newest that is installed, or
// ErrMissing.
func Find(program string) (string, error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	slices.SortFunc(candidates, func(a, b string) int { return cmp.Compare(versionOf(b), versionOf(a)) })
	if dir := os.Getenv("ORDERGATE_PG_BIN"); dir != "" {
		candidates = []string{filepath.Join(dir, program)}
	} else if path, err := exec.LookPath(program); err == nil {
		candidates = append(candidates, path)
	}
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	return "", ErrMissing
}

// versionOf is the version in /usr/lib/postgresql/15/bin/initdb.
func versionOf(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// Start makes a server with fresh data in a folder of its own within dir, empty for the
// temporary one, and starts it. Settings are lines of postgresql.conf.
func Start(dir string, settings ...string) (*Server, error) {
	s, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	if err := s.command("initdb", "-D", s.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s.configured(settings)
}

// Standby makes a server that follows s by streaming replication, and starts it.
func (s *Server) Standby(name string, settings ...string) (*Server, error) {
	standby, err := prepare(filepath.Dir(s.dir))
	if err != nil {
		return nil, err
	}
	if err := standby.command("pg_basebackup", "-d", s.URL(database)+"&application_name="+name, "-D", standby.data(), "-R", "-c", "fast", "-X", "stream"); err != nil {
		return nil, errors.Join(err, standby.Close())
	}
	return standby.configured(settings)
}

// prepare makes a folder for a server, and finds a port.
func prepare(dir string) (*Server, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	if s.dir, err = os.MkdirTemp(dir, "ordergate-pg-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if err := s.giveAway(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if s.port, err = freePort(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// giveAway makes the folder another user's, and lets programs run as that user.
func (s *Server) giveAway() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return err
	}
	s.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(s.dir, int(uid), int(gid))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command runs one of PostgreSQL's programs to its end.
func (s *Server) command(name string, args ...string) error {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir, c.SysProcAttr = s.dir, s.as
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// configured writes settings and starts the server.
func (s *Server) configured(settings []string) (*Server, error) {
	lines := append([]string{
		fmt.Sprintf("port = %d", s.port),
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("unix_socket_directories = '%s'", s.dir),
		"max_connections = 200",
	}, settings...)
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintln(f, strings.Join(lines, "\n"))
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		err = s.Run()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// guarded runs a server that ends at once when standard input does: so it does not
// outlive a process that was killed.
const guarded = `ulimit -f "$LIMIT"; "$0" "$@" & server=$!; cat >/dev/null; kill -INT $server 2>/dev/null; wait $server`

// Run starts a server that is stopped, and waits until it answers.
func (s *Server) Run() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	s.log = log
	s.run = exec.Command("sh", "-c", guarded, filepath.Join(s.bin, "postgres"), "-D", s.data())
	limit := "unlimited"
	if s.FileLimit > 0 {
		limit = strconv.FormatInt(s.FileLimit/512, 10)
	}
	s.run.Env = append(os.Environ(), "LIMIT="+limit)
	s.run.Dir, s.run.SysProcAttr, s.run.Stdout, s.run.Stderr = s.dir, s.as, log, log
	if s.alive, err = s.run.StdinPipe(); err != nil {
		return err
	}
	if err := s.run.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for s.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-d", database) != nil {
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the server does not answer: %s", text)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Stop stops the server as an administrator would, with the calls that are under way
// broken off.
func (s *Server) Stop() error {
	if s.run == nil {
		return nil
	}
	err := s.alive.Close()
	_ = s.run.Wait() // the server was told to end: its status says so
	s.run = nil
	return errors.Join(err, s.log.Close())
}

// Kill ends the server as a loss of power would, as far as its processes go.
func (s *Server) Kill() error {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Kill(pid, syscall.SIGQUIT), s.Stop())
}

// Promote makes a standby the primary.
func (s *Server) Promote() error {
	return s.command("pg_ctl", "promote", "-D", s.data(), "-w")
}

// Host is where the server listens, HOST:PORT.
func (s *Server) Host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the URL of a database of the server, or of several servers of which one takes
// writes.
func (s *Server) URL(name string, others ...*Server) string {
	hosts := []string{s.Host()}
	query := url.Values{"sslmode": {"disable"}}
	for _, other := range others {
		hosts = append(hosts, other.Host())
		query.Set("target_session_attrs", "read-write")
	}
	return (&url.URL{Scheme: "postgres", User: url.User(superuser), Host: strings.Join(hosts, ","), Path: "/" + name, RawQuery: query.Encode()}).String()
}

// Execute runs a statement in a database, and returns what psql prints of it.
func (s *Server) Execute(name, statement string) (string, error) {
	c := exec.Command(filepath.Join(s.bin, "psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", s.URL(name), "-c", statement)
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, bytes.TrimSpace(out))
	}
	return strings.TrimSpace(string(out)), nil
}

// Create makes a database, and returns its URL.
func (s *Server) Create(name string) (string, error) {
	_, err := s.Execute(database, "CREATE DATABASE "+name)
	return s.URL(name), err
}

// Close stops the server and deletes its data.
func (s *Server) Close() error { return errors.Join(s.Stop(), os.RemoveAll(s.dir)) }
