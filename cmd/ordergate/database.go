package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/store"
)

// migrateCmd brings a database's schema up to date. serve does so, too: this is for those
// who want it done before, or by somebody else.
type migrateCmd struct {
	databaseFlags
}

// Run migrates.
func (cmd *migrateCmd) Run(t *terminal) error {
	named := cmd.Database != ""
	if err := cmd.chosen(); err != nil {
		return t.config.located(err)
	}
	if _, err := os.Stat(defaultDatabase); !named && err != nil { // else a new ledger would be made of a mistaken folder
		return fmt.Errorf("--database names no ledger, and this folder has none: %w", err)
	}
	given, err := secretOf("key", cmd.Key, cmd.KeyFile)
	if err != nil {
		return t.config.located(err)
	}
	key, err := databaseKey(cmd.Database, given)
	if err != nil && !store.Shared(cmd.Database) {
		return err
	}
	version, err := store.Migrate(t, cmd.Database, key)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "schema version %d: %s\n", version, store.Redacted(cmd.Database))
	return nil
}

// copyCmd copies a ledger from SQLite to PostgreSQL.
type copyCmd struct {
	From string          `required:"" placeholder:"URL" help:"What is copied: sqlite:FILE. Nothing may serve it."`
	To   string          `required:"" placeholder:"URL" help:"Where to: postgres://…, a new database, or one that a copy was broken off into."`
	Key  contract.Secret `placeholder:"BASE64" help:"32 bytes that seal secrets at rest (default: those beside the file). Who serves the copy needs them as ORDERGATE_KEY."`
}

// Run copies and compares.
func (cmd *copyCmd) Run(t *terminal) error {
	file, err := store.File(cmd.From)
	if err != nil {
		return misused("--from: want sqlite:FILE")
	}
	if _, err := os.Stat(file); err != nil { // else a key would be made for it
		return err
	}
	if !store.Shared(cmd.To) {
		return misused("--to: want postgres://USER@HOST/DATABASE")
	}
	key, err := databaseKey(cmd.From, cmd.Key)
	if err != nil {
		return err
	}
	tables, err := store.Copy(t, cmd.From, cmd.To, key, func(table string, rows int64) { fmt.Fprintf(t.err, "%s: %d rows\n", table, rows) })
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "table\trows\tchecksum, the same on both sides")
	for _, table := range tables {
		fmt.Fprintf(w, "%s\t%d\t%s\n", table.Name, table.Rows, table.Checksum)
	}
	fmt.Fprintln(w, "\nThe copy is complete. Serve it with ORDERGATE_KEY set to the key of the file, and put the file away: nobody should serve both.")
	return w.Flush()
}
