package store

import (
	"github.com/ordergate/ordergate/internal/order"
)

const (
	pgMoveCursors = "UPDATE cursor SET seq = greatest(cursor.seq, u.seq) FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS u (queue, shard, seq) WHERE cursor.queue = u.queue AND cursor.shard = u.shard"
	pgTrimDone    = "DELETE FROM done USING unnest($1::text[], $2::integer[], $3::bigint[]) AS u (queue, mask, seq) WHERE done.queue = u.queue AND done.seq <= u.seq AND (u.mask >> done.shard) & 1 = 1"
	pgInsertDone  = "INSERT INTO done (queue, seq, shard) SELECT * FROM unnest($1::text[], $2::bigint[], $3::integer[]) ON CONFLICT DO NOTHING"
	pgFreeLanes   = "DELETE FROM blocked USING unnest($1::text[], $2::bigint[]) AS u (queue, lane) WHERE blocked.queue = u.queue AND blocked.lane = u.lane"
	pgBlockLanes  = "INSERT INTO blocked (queue, lane, first_seq, attempts, next_at, held, reason, shard) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::integer[], $7::text[], $8::integer[]) ON CONFLICT (queue, lane) DO UPDATE SET first_seq = excluded.first_seq, attempts = excluded.attempts, next_at = excluded.next_at, held = excluded.held, reason = excluded.reason, shard = excluded.shard WHERE blocked.first_seq <= excluded.first_seq"
	pgRevive      = "DELETE FROM dead USING unnest($1::text[], $2::bigint[]) AS u (queue, seq) WHERE dead.queue = u.queue AND dead.seq = u.seq"
	pgBury        = "INSERT INTO dead (queue, seq, lane, reason, at, attempts, next_at, shard) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::integer[], $7::bigint[], $8::integer[]) ON CONFLICT (queue, seq) DO UPDATE SET reason = excluded.reason, at = excluded.at, attempts = excluded.attempts, next_at = excluded.next_at"
	pgForget      = "DELETE FROM attempt USING unnest($1::text[], $2::bigint[]) AS u (queue, seq) WHERE attempt.queue = u.queue AND attempt.seq = u.seq"
	pgAttempts    = "INSERT INTO attempt (queue, seq, n, at, status, latency_us, body) SELECT u.queue, u.seq, u.n + coalesce((SELECT max(a.n) FROM attempt AS a WHERE a.queue = u.queue AND a.seq = u.seq), 0), u.at, u.status, u.latency_us, u.body FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::bigint[], $5::integer[], $6::bigint[], $7::text[]) AS u (queue, seq, n, at, status, latency_us, body)"
	pgTrim        = "DELETE FROM attempt USING unnest($1::text[], $2::bigint[]) AS u (queue, seq) WHERE attempt.queue = u.queue AND attempt.seq = u.seq AND attempt.n <= (SELECT max(a.n) FROM attempt AS a WHERE a.queue = u.queue AND a.seq = u.seq) - $3"
)

// writeProgress stores what changed in queues: of those that another node has by now, that
// are gone, or that another of the name replaced, nothing is stored.
func (t *pgTransaction) writeProgress(w *writes) {
	rest := w.progress
	for len(rest) > 0 { // a destination's rows change once in a statement
		var now, later []order.Progress
		seen := map[string]bool{}
		for _, p := range rest {
			switch name := p.Queue.Destination(); {
			case !t.owns(&p):
			case seen[name]:
				later = append(later, p)
			default:
				seen[name] = true
				now = append(now, p)
			}
		}
		t.writeProgressOf(now)
		rest = later
	}
}

// owns reports whether the queue that has progressed is what is stored, and this node's.
func (t *pgTransaction) owns(p *order.Progress) bool {
	if h := t.held.Load(); h == nil || p.Lease != h.lease {
		return false
	}
	for shard := range p.Shards.All() {
		if c, ok := t.cursors[cursorKey{p.Queue, shard}]; !ok || c.epoch != p.Epoch || c.owner != t.id {
			return false
		}
	}
	return p.Shards != 0
}

// places are columns of a table whose rows belong to a place of a queue.
type places struct {
	queues []string
	seqs   []int64
	shards []int32
}

func (p *places) add(queue string, seq int64, shard int) {
	p.queues, p.seqs, p.shards = append(p.queues, queue), append(p.seqs, seq), append(p.shards, int32(shard))
}

// writeProgressOf stores progress of different destinations, each list of all of them by
// one statement, in the order of the lists.
func (t *pgTransaction) writeProgressOf(all []order.Progress) {
	var cursors, masks, done, freed, revived, forgotten places
	var ended []order.Progress
	for _, p := range all {
		queue, destination := string(p.Queue), p.Queue.Destination()
		for shard := range p.Shards.All() {
			cursors.add(queue, p.Seq, shard)
		}
		masks.add(queue, p.Seq, int(p.Shards))
		for _, d := range p.Done {
			done.add(queue, d.Seq, d.Shard)
		}
		for _, lane := range p.Freed {
			freed.add(queue, int64(lane), 0)
		}
		for _, seq := range p.Revived {
			revived.add(destination, seq, 0)
		}
		for _, seq := range p.Forget {
			forgotten.add(destination, seq, 0)
		}
		if p.End {
			ended = append(ended, p)
		}
	}
	if len(cursors.seqs) > 0 {
		t.queue(pgMoveCursors, cursors.queues, cursors.shards, cursors.seqs)
		t.queue(pgTrimDone, masks.queues, masks.shards, masks.seqs)
	}
	if len(done.seqs) > 0 {
		t.queue(pgInsertDone, done.queues, done.seqs, done.shards)
	}
	if len(freed.seqs) > 0 {
		t.queue(pgFreeLanes, freed.queues, freed.seqs)
	}
	t.writeBlocked(all)
	if len(revived.seqs) > 0 {
		t.queue(pgRevive, revived.queues, revived.seqs)
	}
	t.writeDead(all)
	if len(forgotten.seqs) > 0 {
		t.queue(pgForget, forgotten.queues, forgotten.seqs)
	}
	t.writeAttempts(all)
	for _, p := range ended {
		for _, table := range []string{"cursor", "done", "blocked"} {
			t.queue(numbered("DELETE FROM "+table+" WHERE queue = ?"+inShards), string(p.Queue), int64(p.Shards))
		}
	}
}

func (t *pgTransaction) writeBlocked(all []order.Progress) {
	var rows places
	var lanes []int64
	var attempts, held []int32
	var next []*int64
	var reasons []string
	for _, p := range all {
		for _, b := range p.Blocked {
			rows.add(string(p.Queue), b.Seq, b.Shard)
			lanes, attempts, held = append(lanes, int64(b.Lane)), append(attempts, int32(b.Attempts)), append(held, int32(flag(b.Held)))
			next, reasons = append(next, nullable(b.NextAt)), append(reasons, toText(b.Reason))
		}
	}
	if len(lanes) > 0 {
		t.queue(pgBlockLanes, rows.queues, lanes, rows.seqs, attempts, next, held, reasons, rows.shards)
	}
}

func (t *pgTransaction) writeDead(all []order.Progress) {
	var rows places
	var lanes []int64
	var attempts []int32
	var at, next []*int64
	var reasons []string
	for _, p := range all {
		for _, d := range p.Dead {
			rows.add(p.Queue.Destination(), d.Seq, d.Shard)
			lanes, attempts, reasons = append(lanes, int64(d.Lane)), append(attempts, int32(d.Attempts)), append(reasons, toText(d.Reason))
			at, next = append(at, nullable(d.At)), append(next, nullable(d.NextAt))
		}
	}
	if len(lanes) > 0 {
		t.queue(pgBury, rows.queues, rows.seqs, lanes, reasons, at, attempts, next, rows.shards)
	}
}

func (t *pgTransaction) writeAttempts(all []order.Progress) {
	var rows places
	var numbers, statuses []int32
	var at []*int64
	var latencies []int64
	var bodies []string
	type place struct {
		destination string
		seq         int64
	}
	count := map[place]int32{}
	for _, p := range all {
		for _, a := range p.Attempts {
			at1 := place{p.Queue.Destination(), a.Seq}
			count[at1]++
			rows.add(at1.destination, a.Seq, 0)
			numbers, statuses, at = append(numbers, count[at1]), append(statuses, int32(a.Status)), append(at, nullable(a.At))
			latencies, bodies = append(latencies, a.Latency.Microseconds()), append(bodies, toText(a.Body))
		}
	}
	if len(numbers) > 0 {
		t.queue(pgAttempts, rows.queues, rows.seqs, numbers, at, statuses, latencies, bodies)
		t.queue(pgTrim, rows.queues, rows.seqs, order.KeptAttempts)
	}
}
