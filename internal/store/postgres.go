package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

// LeastPostgres is the oldest PostgreSQL that is served.
const LeastPostgres = 140000

// Readers of a node, by what they read for. With those that commit and the one that
// watches a node has nine connections at most.
var postgresReaders = [purposes]int32{forCalls: 2, forLists: 2, forLog: 2}

// What a database that does not answer is given, so that callers are told to try again in
// a bounded time: a connection, and a transaction from its begin to its end.
const (
	connectTimeout  = 3 * time.Second
	transactTimeout = 8 * time.Second
)

// readTimeouts are how long reads may take, by what they are for: a connection that is dead
// without a word must not keep calls waiting, nor a node that delivers nothing from seeing
// that it does not.
var readTimeouts = [purposes]time.Duration{forCalls: 3 * time.Second, forLists: 30 * time.Second, forLog: 5 * time.Second}

// postgresDialect is how PostgreSQL says it.
var postgresDialect = dialect{
	contains: func(column, text string) string { return "strpos(" + column + ", '" + text + "') > 0" },
	indexed:  func(string) string { return "" },
	shardOf:  shardOfLane,
	each:     "SELECT value::bigint FROM json_array_elements_text(CAST(? AS json))",
	appOf:    "SELECT key FROM app WHERE seller = ? ORDER BY key LIMIT 1",
}

// postgresWriters is how many transactions a node has under way: while the server works on
// one, the callers of another are answered and call again.
const postgresWriters = 2

// pgWriter is a connection that commits, and what only its transactions use.
type pgWriter struct {
	conn     *pgx.Conn // nil: it is to be connected again
	unknown  bool      // the end of its last transaction is not known
	failedAt time.Time // when it could last not be
	failure  error
}

// postgresStore is the ledger in PostgreSQL, which other processes may share: nodes. Some
// connections commit, one watches (postgres_watch.go), others read.
type postgresStore struct {
	*committer
	*directory
	ledger
	*nodes
	config *pgx.ConnConfig
	warn   func(string, ...any)
	pools  pgPools
	watch  *watcher

	writers    []*pgWriter
	idle       chan *pgWriter
	partitions partitions
	orderIDs   idBlock
	workIDs    idBlock

	// Only Prune uses these.
	pruned int64 // the last place that was in a dropped partition
	looked int64 // the last order that was looked at

	beforeCommit func() error
}

func openPostgres(ctx context.Context, text string, o Options) (_ *postgresStore, err error) {
	o = o.withDefaults()
	o.writers = cmp.Or(o.writers, postgresWriters)
	config, err := postgresConfig(text)
	if err != nil {
		return nil, err
	}
	s := &postgresStore{config: config, warn: o.Log.Warn, beforeCommit: o.beforeCommit, idle: make(chan *pgWriter, o.writers), partitions: partitions{least: cmp.Or(o.partition, leastPartition), most: cmp.Or(o.partition, mostPartition)}, orderIDs: idBlock{sequence: "order_block"}, workIDs: idBlock{sequence: "work_order_block"}}
	for range o.writers {
		w := &pgWriter{}
		s.writers = append(s.writers, w)
		s.idle <- w
	}
	s.ledger = ledger{reader: &s.pools, dialect: postgresDialect, key: o.Key}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("opening %s: %w", Redacted(text), err), s.close())
		}
	}()
	if o.Key == nil {
		return nil, errNoKey
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	for purpose, n := range postgresReaders {
		if s.pools[purpose], err = s.pool(ctx, n); err != nil {
			return nil, err
		}
	}
	s.nodes = &nodes{id: rand.Text(), readers: &s.pools, clock: time.Now}
	s.directory = newDirectory(s)
	s.committer = newCommitter(s, s.directory, o)
	s.unfit = unfit
	if s.watch, err = newWatcher(ctx, s, o); err != nil {
		return nil, err
	}
	s.end = s.watch.reached
	s.start(len(s.writers))
	return s, nil
}

// prepare migrates the database and checks that it is what it has to be.
func (s *postgresStore) prepare(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.writers[0].conn = c
	if version, _ := strconv.Atoi(c.PgConn().ParameterStatus("server_version_num")); version != 0 && version < LeastPostgres {
		return fmt.Errorf("its server is older than PostgreSQL %d", LeastPostgres/10000)
	}
	if err := migratePostgres(ctx, c); err != nil {
		return err
	}
	rows := &pgConn{ctx, c}
	err = rows.query("SELECT 1 WHERE current_setting('fsync') = 'off'", func(record) error {
		s.warn("the server does not wait for its disk (fsync = off): what is acknowledged may be lost")
		return nil
	})
	if err != nil {
		return err
	}
	if err := checkKey(rows, s.key.Fingerprint()); err != nil {
		return err
	}
	return rows.query("SELECT value FROM meta WHERE name = 'copying'", func(row record) error {
		return errors.New("a copy into it has not ended: run ordergate copy again")
	})
}

// postgresConfig reads a URL. The error does not repeat it: it may hold a password.
func postgresConfig(text string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("database: %w", withoutURL(err))
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > time.Minute {
		config.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name": "ordergate",
		"jit":              "off",
		// Each statement sees what was committed before it.
		"default_transaction_isolation": "read committed",
		// A node that is gone without a word must not keep its locks.
		"idle_in_transaction_session_timeout": "10s",
		"tcp_keepalives_idle":                 "5",
		"tcp_keepalives_interval":             "2",
		"tcp_keepalives_count":                "3",
		"tcp_user_timeout":                    "10000",
	} {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// withoutURL is why a URL cannot be read.
func withoutURL(err error) error {
	if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok && errors.Unwrap(parse) != nil {
		err = errors.Unwrap(parse)
	}
	if parse, ok := errors.AsType[*url.Error](err); ok {
		return parse.Err
	}
	return err
}

// committing are settings of the connection that commits. What its statements are about
// stands in arrays, and is found by indexes however little the server knows of a table.
var committing = map[string]string{
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	"plan_cache_mode":  "force_generic_plan",
	"lock_timeout":     "5s",
}

// connect makes a connection that commits.
func (s *postgresStore) connect(ctx context.Context) (*pgx.Conn, error) {
	config := s.config.Copy()
	for name, value := range committing {
		config.RuntimeParams[name] = value
	}
	// A request to cancel would let a transaction go that waits for its standby: it would
	// be seen although it may be lost. So none is sent.
	var connected atomic.Bool
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connected.Load() {
			return nil, errors.New("nothing is cancelled")
		}
		return dial(ctx, network, address)
	}
	ctx, cancel := context.WithTimeout(ctx, max(config.ConnectTimeout, connectTimeout))
	defer cancel()
	c, err := connectTo(ctx, config)
	connected.Store(true)
	if err != nil {
		return nil, err
	}
	// Answers wait for the disk, whatever the server is set to.
	if _, err := c.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"); err != nil {
		_ = c.Close(ctx)
		return nil, err
	}
	return c, nil
}

// connectTo makes a connection. Its error is one line that says what to do, if that is known.
func connectTo(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		return c, nil
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return nil, fmt.Errorf("%s (SQLSTATE %s)%s", refused.Message, refused.Code, connectHints[refused.Code])
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return nil, failed
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return nil, errors.New(strings.TrimSpace(lines[len(lines)-1]))
}

// connectHints say what to do about what a server refuses.
var connectHints = map[string]string{
	"28P01": ": the password in the URL is not the user's (write / as %2F, @ as %40)",
	"28000": ": the server does not let this user in from here; see pg_hba.conf",
	"3D000": ": make it, with createdb",
	"42704": ": a parameter behind the ? of the URL is not known",
}

// maxWaiting is how many commits of nodes may wait for a standby that does not answer, each
// with a connection of the server, before no more are begun.
const maxWaiting = 8

// standbyAnswers refuses to begin transactions while too many wait for a standby.
func standbyAnswers(ctx context.Context, c *pgx.Conn) error {
	waiting := 0
	err := c.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = current_user").Scan(&waiting)
	if err == nil && waiting >= maxWaiting {
		err = fmt.Errorf("%d commits wait for a standby that does not answer", waiting)
	}
	return err
}

// pool makes connections that read, when they are first needed.
func (s *postgresStore) pool(ctx context.Context, most int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	config.ConnConfig = s.config.Copy()
	config.ConnConfig.RuntimeParams["statement_timeout"] = strconv.FormatInt(readTimeouts[forLists].Milliseconds(), 10)
	config.MaxConns, config.MinConns = most, 0
	return pgxpool.NewWithConfig(ctx, config)
}

// Redacted is a database's URL without its password.
func Redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		if scheme, _, ok := strings.Cut(text, ":"); ok {
			return scheme + ":…"
		}
		return "…"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "password") {
			query.Set(name, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	if u.Opaque != "" { // sqlite:FILE
		return text
	}
	return u.Redacted()
}

// migrationLock keeps nodes that start together from migrating together.
const migrationLock = 0x4f726467 // "Ordg"

// migratePostgres brings the schema up to date.
func migratePostgres(ctx context.Context, c *pgx.Conn) (err error) {
	if _, err := c.Exec(ctx, "SET lock_timeout = 0"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			_, err = c.Exec(ctx, "SET lock_timeout = '"+committing["lock_timeout"]+"'")
		}
	}()
	names, err := fs.Glob(postgresMigrations, "migrations/postgres/*.sql")
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		made := false
		if err := tx.QueryRow(ctx, "SELECT to_regclass('schema_version') IS NOT NULL").Scan(&made); err != nil {
			return err
		}
		if !made {
			if _, err := tx.Exec(ctx, "CREATE TABLE schema_version (version integer NOT NULL)"); err != nil {
				return err
			}
		}
		version := 0
		if err := tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version); err != nil {
			return err
		}
		if version > len(names) {
			return newerSchema(version, len(names))
		}
		for i, name := range names[version:] {
			sql, err := postgresMigrations.ReadFile(name)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(sql)); err != nil {
				if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == duplicateTable {
					return fmt.Errorf("the database has tables of others (%s): make one of its own, with createdb", refused.Message)
				}
				return fmt.Errorf("%s: %w", name, err)
			}
			if _, err := tx.Exec(ctx, "INSERT INTO schema_version (version) VALUES ($1)", version+i+1); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close implements [order.Store].
func (s *postgresStore) Close() error {
	s.stop()
	return s.close()
}

func (s *postgresStore) close() error {
	if s.watch != nil {
		s.watch.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if s.nodes != nil {
		s.nodes.leave(ctx)
	}
	for _, pool := range s.pools {
		if pool != nil {
			pool.Close()
		}
	}
	var errs []error
	for _, w := range s.writers {
		if w.conn != nil {
			errs = append(errs, w.conn.Close(ctx))
		}
	}
	return errors.Join(errs...)
}

// Agree returns what is stored under a name, and stores what fresh returns when there is
// nothing yet. made says that it was this call's.
func (s *postgresStore) Agree(ctx context.Context, name string, fresh func() string) (value string, made bool, err error) {
	err = s.read(ctx, forLists, func(c conn) error {
		value, made, err = agree(c, name, fresh())
		return err
	})
	return value, made, err
}

// idBlock gives out keys from blocks of a sequence.
type idBlock struct {
	sequence string

	mu         sync.Mutex
	next, last int64 // keys that are left; last is not one of them
}

const idBlockSize = 1000

// drop forgets the keys that are left.
func (b *idBlock) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = b.last
}

// take gives out keys in ascending order.
func (b *idBlock) take(ctx context.Context, c *pgx.Conn, n int) (ids []int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(ids) < n {
		if b.next == b.last {
			var block int64
			if err := c.QueryRow(ctx, "SELECT nextval($1::text::regclass)", b.sequence).Scan(&block); err != nil {
				return nil, err
			}
			b.next, b.last = block*idBlockSize+1, (block+1)*idBlockSize+1
		}
		ids = append(ids, b.next)
		b.next++
	}
	return ids, nil
}
