// Command ordergate is a gateway for order events between merchants and
// marketplaces, in the marketplaces' own protocols. See ordergate --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitDone    = 0
	exitRefused = 1 // or failed
	exitMisused = 2
)

// Files: the database without --database, and what is kept beside a database.
const (
	defaultDatabase = "ordergate.db"
	keySuffix       = ".key"
	tokenSuffix     = ".admin-token"
)

// errMisused marks an error in how the program was called.
var errMisused = errors.New("misused")

func misused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errMisused}, args...)...)
}

// cli is the command line: the one table that parsing, environment variables
// and help come from.
type cli struct {
	ShowVersion kong.VersionFlag `name:"version" env:"-" help:"Print the version."`

	Serve  serveCmd  `cmd:"" help:"Run the gateway."`
	Apply  applyCmd  `cmd:"" help:"Declare apps, sessions, destinations and orders at a running gateway, from a YAML or JSON file."`
	Orders ordersCmd `cmd:"" help:"Look at orders of a running gateway."`
	Events eventsCmd `cmd:"" help:"Read the log of a running gateway, or follow it."`

	Destinations destinationsCmd `cmd:"" help:"Look at destinations of a running gateway, try them, deliver to them again."`
	Deliveries   deliveriesCmd   `cmd:"" help:"Look at deliveries of a running gateway, and try them again."`

	Call    callCmd    `cmd:"" help:"Sign and send one call to any gateway, and print the answer."`
	Verify  verifyCmd  `cmd:"" help:"Say whether a request's signature holds, and if not, which known mistake was made."`
	Migrate migrateCmd `cmd:"" help:"Bring a database's schema up to date, as serve does at its start."`
	Copy    copyCmd    `cmd:"" help:"Copy a ledger from SQLite to PostgreSQL, and compare both."`

	Backup  backupCmd  `cmd:"" help:"Copy a ledger into a file while it is served, and check the copy."`
	Restore restoreCmd `cmd:"" help:"Make a ledger of a backup, and compare it with what was backed up."`
	Doctor  doctorCmd  `cmd:"" help:"Look whether this machine is fit: clock, disk, permissions, database, destinations."`
	Healthy healthyCmd `cmd:"" help:"Ask a running gateway whether it is ready."`

	Completion completionCmd `cmd:"" help:"Print what completes commands and flags in a shell."`
	Man        manCmd        `cmd:"" help:"Print the man page."`

	Bench   benchCmd   `cmd:"" help:"Measure this program on this machine."`
	Version versionCmd `cmd:"" help:"Print version, commit and Go release."`
}

// terminal is where a command reads and writes.
type terminal struct {
	context.Context
	out, err io.Writer
	args     []string        // of the command
	config   *configResolver // the file that it was configured by
}

func newParser(c *cli, config *configResolver, exit func(int), out, err io.Writer) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("ordergate"),
		kong.Description("A self-hosted gateway for order events between merchants and marketplaces, in the marketplaces' own protocols."),
		kong.DefaultEnvars("ORDERGATE"),
		kong.Vars{"version": "ordergate " + version, "database": defaultDatabase, "token_file": defaultDatabase + tokenSuffix},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Resolvers(config),
		kong.Writers(out, err),
		kong.Exit(exit),
	)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(&terminal{Context: ctx, out: os.Stdout, err: os.Stderr, args: os.Args[1:]}))
}

func run(t *terminal) int {
	t.config = &configResolver{}
	parser, err := newParser(&cli{}, t.config, os.Exit, t.out, t.err)
	if err != nil {
		fmt.Fprintln(t.err, "ordergate:", err)
		return exitMisused
	}
	command, err := parser.Parse(t.args)
	if t.config.err != nil { // without the flag at which it was read
		fmt.Fprintln(t.err, "ordergate:", t.config.err)
		return exitMisused
	}
	if err != nil {
		fmt.Fprintf(t.err, "ordergate: %v\nSee: ordergate --help\n", err)
		return exitMisused
	}
	switch err := command.Run(t); {
	case errors.Is(err, errMisused):
		fmt.Fprintln(t.err, "ordergate:", err)
		return exitMisused
	case err != nil:
		fmt.Fprintln(t.err, "ordergate:", err)
		return exitRefused
	}
	return exitDone
}
