package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/pgserver"
)

// single is how many connections commit beside each other when every request has a
// transaction of its own.
const single = 16

// mostNodes is how many gateways share a database at most.
const mostNodes = 3

// Nodes measures event.produce on PostgreSQL: one gateway, two and three on one database,
// and group commits against a transaction for each request. Without a database's URL it
// starts a server of its own.
func (b *Bench) Nodes(ctx context.Context) (_ *Report, err error) {
	b.ctx = ctx
	if b.Database == "" {
		server, err := pgserver.Start(b.Dir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		b.Database = server.URL("postgres")
	}
	r := newResults()
	if err := b.rounds(func(round int) error { return b.nodesRound(r, round) }); err != nil {
		return nil, err
	}
	return r.report(environment(b.dir(), b.Version), checkedWhole), nil
}

func (b *Bench) nodesRound(r *results, round int) error {
	w := produceRequests(0, max(b.most(), distinct), time.Now())
	limit := w
	limit.requests = w.requests[:distinct]
	var a, groups, alone Stage
	var nodes [mostNodes]Stage
	stages := []func() error{
		func() (err error) { a, err = b.bare(some, limit); return err },
		func() (err error) { groups, err = b.raw(many); return err },
		func() (err error) { alone, err = b.singly(many); return err },
	}
	for i := range nodes {
		stages = append(stages, func() (err error) { nodes[i], err = b.sharing(r, i+1, w); return err })
	}
	for i := range stages { // rotated, so that no stage always follows the same one
		if err := stages[(i+round)%len(stages)](); err != nil {
			return err
		}
	}
	r.add(a, groups, alone)
	r.add(nodes[:]...)
	r.ratio("pg_256_to_A", nodes[0].Rate/a.Rate, nodes[0], a)
	r.ratio("pg_group_to_single", groups.Rate/alone.Rate, groups, alone)
	r.ratio("nodes_3_to_1", nodes[mostNodes-1].Rate/nodes[0].Rate, nodes[0], nodes[mostNodes-1])
	return nil
}

// singly measures commits of which each has a transaction of its own, over some
// connections.
func (b *Bench) singly(callers int) (Stage, error) {
	return b.undisturbed(func() (s Stage, err error) {
		err = b.inDir(func(dir string) error {
			ledgers := make([]order.Store, 0, single)
			defer func() {
				for _, ledger := range ledgers {
					_ = ledger.Close() // it was only measured
				}
			}()
			for range single {
				ledger, err := b.openGrouping(dir, 1)
				if err != nil {
					return err
				}
				ledgers = append(ledgers, ledger)
			}
			s, err = b.commits(ledgers, callers)
			s.Name = "single"
			return err
		})
		return s, err
	})
}

// sharing measures so many gateways on one database, and compares their ledger with what
// was answered.
func (b *Bench) sharing(r *results, n int, w work) (Stage, error) {
	name := fmt.Sprintf("%d nodes", n)
	return b.undisturbed(func() (s Stage, err error) {
		err = b.inDir(func(dir string) (err error) {
			var nodes []*process
			defer func() {
				for _, p := range nodes {
					p.kill()
				}
			}()
			var addresses []string
			for i := range n {
				p, err := b.startNode(dir, i)
				if err != nil {
					return err
				}
				nodes, addresses = append(nodes, p), append(addresses, p.protocol)
			}
			all := *nodes[0]
			all.protocol = strings.Join(addresses, ",")
			var out *outcome
			if s, out, err = b.measured(name, &all, many, 1, w); err != nil {
				return err
			}
			for _, p := range nodes {
				if err := p.stop(); err != nil {
					return fmt.Errorf("stopping a gateway: %w", err)
				}
			}
			nodes = nil
			r.check(b.withLedger(dir, func(ledger order.Store) error { return sameEvents(ledger, out.sent) }))
			return nil
		})
		return s, err
	})
}

// startNode starts one of several gateways on the database of a folder.
func (b *Bench) startNode(dir string, i int) (*process, error) {
	database, err := b.databaseOf(dir)
	if err != nil {
		return nil, err
	}
	own := filepath.Join(dir, fmt.Sprint("node", i))
	if err := os.Mkdir(own, 0o700); err != nil {
		return nil, err
	}
	return b.serve(own, database)
}
