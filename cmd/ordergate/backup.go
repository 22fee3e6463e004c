package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/pgserver"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
)

// manifestSuffix is what stands behind a backup's name in that of its manifest.
const manifestSuffix = ".json"

// databaseFlags say which database a command is about, as serve's flags do.
type databaseFlags struct {
	configured
	Database string          `placeholder:"URL" help:"sqlite:FILE (default sqlite:${database}) or postgres://…."`
	Key      contract.Secret `placeholder:"BASE64" help:"32 bytes that its secrets are sealed with (default: those beside the file)."`
	KeyFile  string          `placeholder:"FILE" help:"File that holds the key, in Base64."`
}

// chosen fills in the default and checks the URL.
func (f *databaseFlags) chosen() error {
	f.Database = cmp.Or(f.Database, "sqlite:"+defaultDatabase)
	if err := store.Check(f.Database); err != nil {
		return wrongFlag("database", "is none: %s", strings.TrimPrefix(err.Error(), "database: "))
	}
	return nil
}

// knownKey is the key as given, or as it stands beside the file; nil: there is none. It
// makes none.
func (f *databaseFlags) knownKey() (*secret.Key, error) {
	given, err := secretOf("key", f.Key, f.KeyFile)
	if err != nil {
		return nil, err
	}
	if given != "" {
		return secret.Parse(string(given))
	}
	path, err := store.File(f.Database)
	if err != nil {
		return nil, nil // PostgreSQL
	}
	text, err := os.ReadFile(path + keySuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	key, err := secret.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path+keySuffix, err)
	}
	return key, nil
}

// backupCmd copies a ledger.
type backupCmd struct {
	databaseFlags
	To string `required:"" placeholder:"FILE" help:"The file to write; beside it FILE.json says what it holds. $${TIME} in the name is the present on this machine, as YYYYMMDD-hhmmss."`
}

// Run copies, checks the copy, and says what it holds.
func (cmd *backupCmd) Run(t *terminal) error {
	if err := cmd.chosen(); err != nil {
		return t.config.located(err)
	}
	key, err := cmd.knownKey()
	if err != nil {
		return err
	}
	if cmd.To == "" {
		return misused("--to: name the file to write")
	}
	to := strings.ReplaceAll(cmd.To, "${TIME}", time.Now().Format("20060102-150405"))
	if _, err := os.Stat(to + manifestSuffix); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: name a new file, or move it away", to+manifestSuffix)
	}
	var m *store.Manifest
	if store.Shared(cmd.Database) {
		m, err = store.BackupPostgres(t, cmd.Database, to, cmd.dump)
	} else {
		var file string
		if file, err = store.File(cmd.Database); err == nil {
			m, err = store.BackupSQLite(t, file, to)
		}
	}
	if err != nil {
		return err
	}
	if err := m.Write(to + manifestSuffix); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	describe(t, to, m)
	switch {
	case key == nil:
		fmt.Fprintf(t.out, "Its secrets open with the key %s, which is not in it: keep ORDERGATE_KEY, or the file .key beside the database, somewhere else.\n", m.Key)
	case key.Fingerprint() != m.Key:
		return fmt.Errorf("the backup is written, and the key that was found (%s) is not the one of its secrets (%s): find that one", key.Fingerprint(), m.Key)
	default:
		fmt.Fprintf(t.out, "Its secrets open with the key %s, which is not in it: keep it somewhere else.\n", m.Key)
	}
	return nil
}

func describe(t *terminal, file string, m *store.Manifest) {
	fmt.Fprintf(t.out, "%s: %s, schema %d, taken at %s, checked\n", file, m.Engine, m.Schema, m.TakenAt.In(contract.Zone).Format(time.RFC3339))
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, table := range m.Tables {
		fmt.Fprintf(w, "  %s\t%d rows\n", table.Name, table.Rows)
	}
	_ = w.Flush() // to the terminal
}

// dump has pg_dump write what a snapshot shows.
func (cmd *backupCmd) dump(ctx context.Context, snapshot, to string) error {
	return postgresTool(ctx, cmd.Database, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--snapshot="+snapshot, "--file="+to)
}

// restoreCmd makes a ledger of a backup.
type restoreCmd struct {
	databaseFlags
	From string `required:"" placeholder:"FILE" help:"The backup; FILE.json beside it says what it holds."`
}

// Run restores and compares.
func (cmd *restoreCmd) Run(t *terminal) error {
	if err := cmd.chosen(); err != nil {
		return t.config.located(err)
	}
	text, err := os.ReadFile(cmd.From + manifestSuffix)
	if err != nil {
		return fmt.Errorf("what the backup holds is not known; it is written beside it: %w", err)
	}
	m := &store.Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return fmt.Errorf("%s: %w", cmd.From+manifestSuffix, err)
	}
	if engine := store.EngineOf(cmd.Database); engine != m.Engine {
		return misused("%s is a backup of %s, and --database is %s; ordergate copy brings SQLite to PostgreSQL", cmd.From, m.Engine, engine)
	}
	key, err := cmd.knownKey()
	if err != nil {
		return err
	}
	if key != nil && key.Fingerprint() != m.Key {
		return fmt.Errorf("its secrets are sealed with the key %s, and the one that was found is %s: give the right one by --key-file", m.Key, key.Fingerprint())
	}
	if store.Shared(cmd.Database) {
		err = store.RestorePostgres(t, m, cmd.From, cmd.Database, cmd.load)
	} else {
		err = cmd.restoreFile(t, m)
	}
	if err != nil {
		return err
	}
	describe(t, store.Redacted(cmd.Database), m)
	if key == nil {
		fmt.Fprintf(t.out, "It is served with the key %s: ORDERGATE_KEY, --key-file, or a file .key beside it.\n", m.Key)
	}
	return nil
}

func (cmd *restoreCmd) restoreFile(t *terminal, m *store.Manifest) error {
	file, err := store.File(cmd.Database)
	if err != nil {
		return err
	}
	return store.RestoreSQLite(t, m, cmd.From, file)
}

// load has pg_restore fill the database, all or nothing.
func (cmd *restoreCmd) load(ctx context.Context) error {
	return postgresTool(ctx, cmd.Database, "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", cmd.From)
}

// postgresTool runs a program of PostgreSQL's on a database. The password is not on its
// command line.
func postgresTool(ctx context.Context, database, name string, args ...string) error {
	folder, err := pgserver.Find(name)
	if err != nil {
		return fmt.Errorf("%s is not installed (apt-get install postgresql-client), of the server's version or newer; ORDERGATE_PG_BIN names its folder", name)
	}
	database, env := forLibpq(database)
	run := exec.CommandContext(ctx, filepath.Join(folder, name), append([]string{"--dbname=" + database}, args...)...)
	run.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	if err := run.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// forLibpq is a database URL as PostgreSQL's own programs read it, and what goes into
// their environment instead: the password, which must not stand on a command line, and
// settings that they do not take in a URL. Several hosts with ports are no URL that net/url
// reads.
func forLibpq(database string) (rest string, env []string) {
	scheme, rest, _ := strings.Cut(database, "://")
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts, known := cutAtLast(authority, "@")
	name, password, _ := strings.Cut(user, ":")
	if decoded, err := url.PathUnescape(password); err == nil {
		password = decoded
	}
	kept, options := url.Values{}, []string{os.Getenv("PGOPTIONS")}
	values, _ := url.ParseQuery(query) // the store has read it
	for name, value := range values {
		switch {
		case name == "password":
			password = value[0]
		case slices.Contains(libpqParams, name):
			kept[name] = value
		case !strings.HasPrefix(name, "pool_") && !slices.Contains(pgxParams, name): // the server's
			options = append(options, "-c "+name+"="+strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(value[0]))
		}
	}
	rest = scheme + "://"
	if known {
		rest += name + "@"
	}
	rest += hosts + "/" + path
	if len(kept) > 0 {
		rest += "?" + strings.ReplaceAll(kept.Encode(), "+", "%20")
	}
	if password != "" {
		env = append(env, "PGPASSWORD="+password)
	}
	if len(options) > 1 {
		slices.Sort(options[1:])
		env = append(env, "PGOPTIONS="+strings.TrimSpace(strings.Join(options, " ")))
	}
	return rest, env
}

// libpqParams are what PostgreSQL's programs take in a URL, and pgxParams what only this
// one does. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
var (
	libpqParams = strings.Fields("host hostaddr port dbname user passfile require_auth channel_binding connect_timeout client_encoding options application_name fallback_application_name keepalives keepalives_idle " +
		"keepalives_interval keepalives_count tcp_user_timeout gssencmode sslmode sslnegotiation sslcompression sslcert sslkey sslpassword sslcertmode sslrootcert sslcrl sslcrldir sslsni requirepeer " +
		"ssl_min_protocol_version ssl_max_protocol_version krbsrvname gsslib service target_session_attrs load_balance_hosts")
	pgxParams = strings.Fields("default_query_exec_mode statement_cache_capacity description_cache_capacity min_read_buffer_size servicefile sslinline")
)

func cutAtLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}
