package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/ordergate/ordergate/internal/bench"
)

type benchCmd struct {
	Ingest  benchIngestCmd  `cmd:"" help:"event.produce and its batch, against a bare server, raw commits and the disk."`
	Deliver benchDeliverCmd `cmd:"" help:"event.produce from the call to a webhook, against a bare server, raw commits, bare posts and the disk."`
	Mixed   benchMixedCmd   `cmd:"" help:"All APIs at once."`
	Growth  benchGrowthCmd  `cmd:"" help:"Ingest and look-ups on a large ledger, against a tenth of it."`
	Nodes   benchNodesCmd   `cmd:"" help:"event.produce on PostgreSQL: one gateway, two and three, and group commits against single ones."`
	Bare    benchBareCmd    `cmd:"" hidden:"" help:"The server that stores nothing."`
	Post    benchPostCmd    `cmd:"" hidden:"" help:"The client that only posts."`
}

type benchDatabase struct {
	Database string `placeholder:"URL" help:"A database of a PostgreSQL server, postgres://…, beside which databases are made and dropped, instead of SQLite."`
}

// at tells where the databases are to be.
func (d *benchDatabase) at(measure func(*bench.Bench, context.Context) (*bench.Report, error)) func(*bench.Bench, context.Context) (*bench.Report, error) {
	return func(b *bench.Bench, ctx context.Context) (*bench.Report, error) {
		b.Database = d.Database
		return measure(b, ctx)
	}
}

type benchFlags struct {
	Duration time.Duration `default:"4s" help:"How long each stage is measured (default ${default})."`
	Rounds   int           `default:"5" help:"How often all stages are measured (default ${default})."`
	Dir      string        `type:"existingdir" placeholder:"FOLDER" help:"Where the databases go: the disk that is measured (default: the temporary folder)."`
	JSON     bool          `name:"json" help:"Print one JSON object instead of a table."`
}

// shortest is how short a stage may be.
const shortest = 10 * time.Millisecond

// errWrong means that the ledger is not what was answered.
var errWrong = errors.New("what was answered is not what the ledger holds")

func (f *benchFlags) run(t *terminal, events int, measure func(*bench.Bench, context.Context) (*bench.Report, error)) error {
	if f.Duration < shortest || f.Rounds <= 0 {
		return misused("--duration must be at least %v, --rounds positive", shortest)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := measure(&bench.Bench{
		Program: program, Version: version + " " + commit(), Dir: f.Dir, Duration: f.Duration, Rounds: f.Rounds, Events: events, Progress: t.err,
	}, t)
	if err != nil {
		return err
	}
	write := r.Table
	if f.JSON {
		write = r.JSON
	}
	if err := write(t.out); err != nil {
		return err
	}
	if len(r.Wrong) > 0 {
		return errWrong
	}
	return nil
}

type benchIngestCmd struct {
	benchFlags
	benchDatabase
}

// Run measures and prints.
func (cmd *benchIngestCmd) Run(t *terminal) error {
	return cmd.run(t, 0, cmd.at((*bench.Bench).Ingest))
}

type benchMixedCmd struct {
	benchFlags
	benchDatabase
}

// Run measures and prints.
func (cmd *benchMixedCmd) Run(t *terminal) error { return cmd.run(t, 0, cmd.at((*bench.Bench).Mixed)) }

type benchGrowthCmd struct {
	benchFlags
	Events int `default:"5000000" help:"How large the ledger gets (default ${default})."`
}

// Run measures and prints.
func (cmd *benchGrowthCmd) Run(t *terminal) error {
	return cmd.run(t, cmd.Events, (*bench.Bench).Growth)
}

type benchNodesCmd struct {
	benchFlags
	benchDatabase
}

// Run measures and prints.
func (cmd *benchNodesCmd) Run(t *terminal) error { return cmd.run(t, 0, cmd.at((*bench.Bench).Nodes)) }

type benchDeliverCmd struct {
	benchFlags
	benchDatabase
	Backlog int `default:"1000000" help:"How many events a destination that is gone gets behind (default ${default}; 0: that is not measured, nor with --database)."`
}

// Run measures and prints.
func (cmd *benchDeliverCmd) Run(t *terminal) error {
	if cmd.Backlog < 0 {
		return misused("--backlog must not be negative")
	}
	return cmd.run(t, cmd.Backlog, cmd.at((*bench.Bench).Deliver))
}

type benchPostCmd struct {
	URL string `arg:""`
}

// Run posts until it is stopped.
func (cmd *benchPostCmd) Run(t *terminal) error {
	if _, err := io.WriteString(t.out, "database none\n"); err != nil {
		return err
	}
	bench.Post(t, cmd.URL)
	return nil
}

type benchBareCmd struct{}

// Run answers until it is stopped.
func (cmd *benchBareCmd) Run(t *terminal) error {
	l, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(t.out, fmt.Sprintf("protocols http://%s/\ndatabase none\n", l.Addr())); err != nil {
		return err
	}
	return bench.Bare(t, l)
}
