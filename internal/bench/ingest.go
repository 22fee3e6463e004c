package bench

import (
	"context"
	"os"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// Connections and sizes of the stages.
const (
	some       = 64
	many       = 256
	batchConns = 8
	batchSize  = 50
	syncs      = 1000
)

// Ingest measures event.produce and its batch against the limits.
func (b *Bench) Ingest(ctx context.Context) (*Report, error) {
	b.ctx = ctx
	r := newResults()
	if err := b.rounds(func(round int) error { return b.ingestRound(r, round) }); err != nil {
		return nil, err
	}
	return r.report(environment(b.dir(), b.Version), checkedWhole), nil
}

func (b *Bench) dir() string {
	if b.Dir != "" {
		return b.Dir
	}
	return os.TempDir()
}

func (b *Bench) ingestRound(r *results, round int) error {
	now := time.Now()
	w := produceRequests(0, max(b.most(), distinct), now)
	limit := w
	limit.requests = w.requests[:distinct]
	var a, one, few, lots, batch, raw, sync Stage
	stages := []func() error{
		func() (err error) { a, err = b.bare(some, limit); return err },
		func() (err error) { few, err = b.durable(r, "ingest", some, 1, w, sameEvents); return err },
		func() (err error) { lots, err = b.durable(r, "ingest", many, 1, w, sameEvents); return err },
		func() (err error) { one, err = b.durable(r, "ingest", 1, 1, w, sameEvents); return err },
		func() (err error) {
			batches := batchRequests(0, b.most()/batchSize, batchSize, now)
			batch, err = b.durable(r, "batch x50", batchConns, batchSize, batches, func(s order.Store, sent int) error { return sameEvents(s, sent*batchSize) })
			return err
		},
		func() (err error) { raw, err = b.raw(some); return err },
		func() error {
			return b.inDir(func(dir string) (err error) { sync, err = probeSync(dir, syncs); return err })
		},
	}
	for i := range stages { // rotated, so that no stage always follows the same one
		if err := stages[(i+round)%len(stages)](); err != nil {
			return err
		}
	}
	r.add(a, few, lots, one, batch, raw, sync)
	r.ratio("ingest_64_to_A", few.Rate/a.Rate, few, a)
	r.ratio("ingest_256_to_A", lots.Rate/a.Rate, lots, a)
	r.ratio("ingest_64_p99_to_A", few.P99/a.P99, few, a)
	r.ratio("ingest_1_p50_to_F", one.P50/sync.P50, one, sync)
	r.ratio("batch_to_A", batch.Rate/a.Rate, batch, a)
	r.ratio("ingest_64_to_harmonic", few.Rate*(1/a.Rate+1/raw.Rate), few, a, raw)
	r.atMost("rss_mb", max(few.RSS, lots.RSS, batch.RSS))
	return nil
}
