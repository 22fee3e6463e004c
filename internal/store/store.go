package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
)

// DefaultQueue is how many calls may wait to be stored.
const DefaultQueue = 4096

// Options say how a store is opened. The zero value of each field but Key works.
type Options struct {
	Key      *secret.Key      // seals secrets and tokens
	Queue    int              // calls that may wait; 0: DefaultQueue
	Group    int              // tasks in a transaction before it takes no further call; 0: 512
	Clock    func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: slog.Default
	OnCommit func(Group)      // told of every group after its transaction; must be quick
	// OnGrown is told up to where the log may be read, and whether another process changed
	// what is kept in memory, if the database is shared. It must be quick.
	OnGrown func(end int64, redirected bool)
	Lagging func() bool // whether deliveries lag for want of the machine; nil: nothing is delivered

	// For tests.
	beforeCommit func() error  // an error fails the transaction
	busyTimeout  time.Duration // 0: 5 s
	partition    int64         // places of a partition of the log; 0: 131,072
	writers      int           // transactions beside each other; 0: as many as the engine has
}

// Group is what one transaction held.
type Group struct {
	Tasks    int
	Events   []*order.Event // in their order; none of a transaction that failed. Their texts must be copied to be kept
	Duration time.Duration
	Err      error

	Redirected bool // destinations changed, or what is to be tried again
	Next       bool // the events are the next ones of the log: no other process adds to it
}

func (o Options) withDefaults() Options {
	o.Queue = cmp.Or(o.Queue, DefaultQueue)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

var errNoKey = errors.New("no key to seal secrets with")

// checkKey refuses a key that cannot open what a database holds.
func checkKey(c conn, fingerprint string) error {
	known, _, err := agree(c, "key", fingerprint)
	if err == nil && known != fingerprint {
		err = fmt.Errorf("its secrets were sealed with another key (%s, not %s): set ORDERGATE_KEY or restore the key file", known, fingerprint)
	}
	return err
}

// agree returns what is stored under a name: the fresh value, which was made so by this
// call, if there was nothing yet.
func agree(c conn, name, fresh string) (value string, made bool, err error) {
	changed, err := c.exec("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", name, fresh)
	if err != nil {
		return "", false, err
	}
	err = c.query("SELECT value FROM meta WHERE name = ?", func(row record) error {
		value = row.Text(0)
		return nil
	}, name)
	return value, changed == 1, err
}

// newerSchema refuses a database of a newer program.
func newerSchema(version, known int) error {
	return fmt.Errorf("its schema is version %d and this program knows %d: run a newer ordergate", version, known)
}

// Open opens the database of a URL, sqlite:FILE or postgres://…, and brings its schema up
// to date.
func Open(ctx context.Context, url string, o Options) (order.Store, error) {
	if Shared(url) {
		return openPostgres(ctx, url, o)
	}
	path, err := File(url)
	if err != nil {
		return nil, err
	}
	return openSQLite(ctx, path, o)
}

// Check reports whether a URL is one that Open takes.
func Check(url string) error {
	if Shared(url) {
		_, err := postgresConfig(url)
		return err
	}
	_, err := File(url)
	return err
}

// Shared reports whether a URL is of a database that several processes may share.
func Shared(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// File returns the file of a database URL. The error does not repeat the URL,
// which may hold a password.
func File(url string) (string, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" {
		return "", errors.New("database: want sqlite:FILE or postgres://USER@HOST/DATABASE")
	}
	return path, nil
}

// engine is what a database must do beyond order.Store's reading methods.
type engine interface {
	// transact loads what is wanted, has decide make the writes from it, and
	// makes the writes durable. It may call decide again, on a view that is
	// loaded again, when it repeats a transaction. Without writes nothing need
	// be committed.
	transact(w *wanted, decide func(*order.View) *writes) error
	loadApp(ctx context.Context, key string) (*order.App, error)
	loadAppOf(ctx context.Context, seller string) (*order.App, error)
	loadSession(ctx context.Context, token contract.Secret) (*order.Session, error)
	loadDestinations(ctx context.Context) ([]*order.Destination, error)
}
