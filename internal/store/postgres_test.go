package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/pgserver"
	"github.com/ordergate/ordergate/internal/pgserver/pgtest"
	"github.com/ordergate/ordergate/internal/secret"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// node opens one of several stores on a database.
func node(t *testing.T, url string, changes ...func(*Options)) *postgresStore {
	t.Helper()
	o := options(t)
	for _, change := range changes {
		change(&o)
	}
	return opened(t, at(url), o).(*postgresStore)
}

// plain is a connection beside the stores.
func plain(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func execute(t *testing.T, c *pgx.Conn, text string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func scan[T any](t *testing.T, c *pgx.Conn, text string) (v T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), text).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Two nodes hammer the same ten orders with all their statuses, each in groups, and in
// opposite orders. Nobody waits in a circle, and there is one history: each status is
// accepted once, and the log and the orders tell the same.
func TestTwoNodesOneHistory(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	nodes := []*postgresStore{node(t, url), node(t, url)}
	const orders, callers, rounds = 10, 8, 40
	var accepted sync.Map
	var all sync.WaitGroup
	for c := range callers {
		s := nodes[c%len(nodes)]
		all.Go(func() {
			for r := range rounds {
				var tasks []*order.Task
				for i := range orders {
					if c%2 == 1 {
						i = orders - 1 - i
					}
					tasks = append(tasks, report(fmt.Sprint(r/4, "-", i), statuses[r%len(statuses)]))
				}
				if err := s.Commit(t.Context(), tasks...); err != nil {
					t.Error(err)
					return
				}
				for _, task := range tasks {
					if task.Err != nil {
						continue
					}
					e := task.Events[0]
					if before, twice := accepted.LoadOrStore(e.Order.Number+" "+statuses[r%len(statuses)], e.ID); twice {
						t.Errorf("order %s: %s is accepted twice, as %v and %s", e.Order.Number, statuses[r%len(statuses)], before, e.ID)
					}
				}
			}
		})
	}
	all.Wait()
	events := allEvents(t, nodes[0])
	if want := rounds * orders; len(events) != want {
		t.Errorf("%d events, want %d", len(events), want)
	}
	status := map[any]string{} // by event
	accepted.Range(func(key, id any) bool {
		_, status[id], _ = strings.Cut(key.(string), " ")
		return true
	})
	told := map[string][]string{} // statuses of each order, in the order of the log
	for _, e := range events {
		told[e.Order.Number] = append(told[e.Order.Number], status[e.ID])
	}
	for number, log := range told {
		var kept []string
		for _, m := range oneOrder(t, nodes[1], number).Marks {
			if len(kept) == 0 || kept[len(kept)-1] != m.Status { // each stands there for two sub orders
				kept = append(kept, m.Status)
			}
		}
		if !slices.Equal(kept, log) {
			t.Errorf("order %s keeps %v, the log says %v", number, kept, log)
		}
	}
	if n := scan[int](t, plain(t, url), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}

var statuses = []string{contract.StatusTransfer, contract.StatusCheck, contract.StatusNotify, contract.StatusOut}

// The log has no end behind a place that a transaction may still fill: neither when others
// with greater numbers have ended, nor when there are none.
func TestEndOfTheLog(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := node(t, url)
	commit(t, s, report("1", contract.StatusOut))
	head := func() int64 {
		t.Helper()
		end, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	before := head()
	c := plain(t, url)
	for _, others := range []int{0, 3} {
		execute(t, c, "BEGIN")
		execute(t, c, "SELECT pg_current_xact_id()")
		drawn := scan[int64](t, c, "SELECT nextval('event_seq')")
		for i := range others {
			commit(t, s, report(fmt.Sprint(others, "-", i), contract.StatusOut))
		}
		if got := head(); got >= drawn {
			t.Errorf("with %d behind it: the log ends at %d, and place %d may be filled yet", others, got, drawn)
		}
		if n := len(allEvents(t, s)); n != 1 {
			t.Errorf("%d events are read, want those before the gap", n)
		}
		execute(t, c, "ROLLBACK")
		want := before // places that nobody has filled do not count
		if others > 0 {
			want = drawn + int64(others)
		}
		if got := head(); got != want {
			t.Errorf("the log ends at %d, want %d", got, want)
		}
		if others == 0 && before != drawn-1 {
			t.Errorf("place %d was drawn, want the one behind %d", drawn, before)
		}
	}
}

// Every text is kept, whatever its bytes are.
func testTexts(t *testing.T, db database) {
	s := opened(t, db, options(t))
	for _, number := range []string{"a\x00b", "\xff\xfe", "ok\U0010fffe00", "数\x00", "\x00"} {
		commit(t, s, report(number, contract.StatusOut))
		if o := oneOrder(t, s, number); o.Number != number || len(o.Marks) != 2 || utf8.ValidString(number) && o.Marks[0].Line != number+"1" {
			t.Errorf("%q is kept as %q with %q", number, o.Number, o.Marks)
		}
	}
}

func TestTextsOfPostgres(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "plain", "a\x00b", "\xff", "x\U0010fffe", "\U0010fffe41", "数\xe6"} {
		stored := toText(text)
		if got := fromText(stored); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
		if strings.ContainsRune(stored, 0) || strings.ToValidUTF8(stored, "") != stored {
			t.Errorf("%q is stored as %q", text, stored)
		}
	}
	if got := numbered("a = ? AND b = ? OR c IN (?)"); got != "a = $1 AND b = $2 OR c IN ($3)" {
		t.Error(got)
	}
	if got := numbered("?2 = ?1"); got != "$2 = $1" {
		t.Error(got)
	}
}

// What a node has is another's when it is gone: at once when it said so, else when its
// lease has ended. What it stores after that is not stored.
func TestPartsChangeHands(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	first := node(t, url)
	q := webhook(t, first, "oms")
	if q.Shards != order.AllShards || q.Shards.Part(64) != 64 {
		t.Fatalf("a node alone has %+v", q)
	}
	second := node(t, url)
	await(t, "the first knows the second", func() bool { return first.Share().Of == 2 })
	if mine := queueOf(t, second, "oms"); mine.Shards != 0 {
		t.Errorf("the second took %b of what the first has", mine.Shards)
	}
	q = queueOf(t, first, "oms")
	if q.Leaving.Count() != order.ShardCount/2 {
		t.Fatalf("of what the first has, the second waits for %b", q.Leaving)
	}
	if err := first.Release(t.Context(), "oms", q.Leaving); err != nil {
		t.Fatal(err)
	}
	second.directory.forgetAll()
	got := queueOf(t, second, "oms")
	if got.Shards != q.Leaving || got.Shards.Part(17)+(q.Shards&^q.Leaving).Part(17) != 17 {
		t.Errorf("the second has %b, want %b", got.Shards, q.Leaving)
	}
	// The first still believes that it has everything.
	commit(t, first, report("1", contract.StatusOut))
	commit(t, first, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 1, Done: []order.Settled{{Seq: 1}}}))
	if moved := queueOf(t, first, "oms"); moved.LeastOf(moved.Shards) != q.Seq() {
		t.Errorf("its cursor moved to %d", moved.Seq())
	}
	commit(t, second, order.RecordProgress(order.Progress{Lease: got.Lease, Queue: "oms", Epoch: q.Epoch, Shards: got.Shards, Seq: 1}))
	if moved := queueOf(t, second, "oms"); moved.Seq() != 1 {
		t.Errorf("the cursor of the second is at %d", moved.Seq())
	}
	// The second stops to be there without a word.
	gone := time.Now()
	second.watch.stop()
	await(t, "the first has all again", func() bool { return queueOf(t, first, "oms").Shards == order.AllShards })
	if took := time.Since(gone); took > 10*time.Second {
		t.Errorf("that took %v", took)
	}
	if second.Holds(got.Lease) {
		t.Error("the second believes that it has something")
	}
}

// await waits for something, for no more than half a minute.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}

// A destination that takes fewer deliveries at a time than there are parts is one node's.
func TestSmallDestinations(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	nodes := []*postgresStore{node(t, url), node(t, url), node(t, url)}
	await(t, "all know all", func() bool {
		return nodes[0].Share().Of == 3 && nodes[1].Share().Of == 3 && nodes[2].Share().Of == 3
	})
	for most := range 3 * order.ShardCount {
		name := fmt.Sprint("d", most)
		commit(t, nodes[0], order.Declare(order.Declared{Destinations: []*order.Destination{{Name: name, Kind: order.KindWebhook, URL: "http://x/", MaxInFlight: most + 1, DestinationSecrets: order.DestinationSecrets{Secret: "s"}}}}))
	}
	for _, s := range nodes {
		s.directory.forgetAll()
	}
	sums, shards := map[order.QueueName]int{}, map[order.QueueName]order.Shards{}
	for _, s := range nodes {
		queues, err := s.Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queues {
			var most int
			if _, err := fmt.Sscanf(string(q.Name), "d%d", &most); err != nil {
				t.Fatal(err)
			}
			sums[q.Name] += q.Shards.Part(most + 1)
			if shards[q.Name]&q.Shards != 0 {
				t.Errorf("%s: two have %b", q.Name, shards[q.Name]&q.Shards)
			}
			shards[q.Name] |= q.Shards
		}
	}
	for most := range 3 * order.ShardCount {
		name := order.QueueName(fmt.Sprint("d", most))
		if sums[name] != most+1 || shards[name] != order.AllShards {
			t.Errorf("%s: all together may send %d at a time, and have %b", name, sums[name], shards[name])
		}
	}
}

// What one node changes, others see within a moment, and their couriers are told.
func TestChangesOfOthers(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var mu sync.Mutex
	redirections := 0
	first := node(t, url)
	second := node(t, url, func(o *Options) {
		o.OnGrown = func(_ int64, redirected bool) {
			mu.Lock()
			defer mu.Unlock()
			if redirected {
				redirections++
			}
		}
	})
	commit(t, first, order.Declare(order.Declared{Apps: []*order.App{{Key: "a", Secret: "one"}}}))
	if app, err := second.App(t.Context(), "a"); err != nil || app.Secret != "one" {
		t.Fatal(app, err)
	}
	commit(t, first, order.Rotate("a", "two", 0))
	await(t, "the new secret", func() bool {
		app, err := second.App(t.Context(), "a")
		return err == nil && app.Secret == "two"
	})
	commit(t, first, order.DropApp("a"))
	await(t, "no app", func() bool {
		_, err := second.App(t.Context(), "a")
		return errors.Is(err, order.ErrNotFound)
	})
	mu.Lock()
	defer mu.Unlock()
	if redirections == 0 {
		t.Error("the courier was not told")
	}
}

// One node at a time leads, and another when it is gone.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	first, second := node(t, url), at(url)(t, options(t)).(*postgresStore)
	leads := func(s *postgresStore) bool {
		t.Helper()
		is, err := s.Lead(t.Context(), "sweep")
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if !leads(second) || leads(first) || !leads(second) {
		t.Error("not the one that asked first leads")
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if !leads(first) {
		t.Error("nobody leads")
	}
}

// Limits are shared by what each is asked for.
func TestShares(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	nodes := []*postgresStore{node(t, url), node(t, url)}
	share := func(s *postgresStore, calls map[string]int64) map[string]float64 {
		t.Helper()
		shares, err := s.Shares(t.Context(), calls)
		if err != nil {
			t.Fatal(err)
		}
		return shares
	}
	await(t, "both know both", func() bool { return nodes[0].Share().Of == 2 && nodes[1].Share().Of == 2 })
	share(nodes[0], map[string]int64{"a": 300, "b": 100})
	got := share(nodes[1], map[string]int64{"a": 100})
	if a, b := got["a"], got["b"]; a < 0.24 || a > 0.26 || b > 0.01 {
		t.Errorf("shares %v, want a quarter of a and next to nothing of b", got)
	}
	if again := share(nodes[0], map[string]int64{"a": 300}); again["a"]+got["a"] < 0.999 || again["a"]+got["a"] > 1.001 {
		t.Errorf("shares %v and %v do not make the whole", again, got)
	}
}

// Partitions are made before they are needed, and dropped when all of what is in them is
// old and owed to nobody.
func TestPartitions(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	clock := now
	s := node(t, url, func(o *Options) {
		o.partition = 32
		o.Clock = func() time.Time { return clock }
	})
	c := plain(t, url)
	parts := func() int { return scan[int](t, c, "SELECT count(*) FROM log_part") }
	for i := range 100 {
		commit(t, s, report(fmt.Sprint(i), contract.StatusOut))
	}
	before := parts()
	if before < 4 {
		t.Errorf("%d partitions of 100 events, 32 each", before)
	}
	// A place that was drawn has none: the transaction makes it.
	execute(t, c, "SELECT setval('event_seq', 1000)")
	commit(t, s, report("behind", contract.StatusOut))
	if n := len(allEvents(t, s)); n != 101 {
		t.Errorf("%d events", n)
	}
	before = parts()
	n, err := s.Prune(t.Context(), now.Add(time.Hour), 10)
	if err != nil || n < 64 {
		t.Errorf("%d deleted, %v", n, err)
	}
	if after := parts(); after >= before {
		t.Errorf("%d partitions, and %d before", after, before)
	}
	for range 10 {
		if _, err := s.Prune(t.Context(), now.Add(time.Hour), 10); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(allEvents(t, s)); n > 1 {
		t.Errorf("%d events are left", n)
	}
	totals, err := s.Totals(t.Context())
	if err != nil || totals.Orders > 1 {
		t.Errorf("left %+v, %v", totals, err)
	}
}

func TestPostgresRefuses(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	node(t, url)
	other, err := secret.New(append(make([]byte, secret.KeySize-1), 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, Options{Key: other, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "sealed with another key") {
		t.Errorf("another key: %v", err)
	}
	c := plain(t, url)
	execute(t, c, "INSERT INTO meta (name, value) VALUES ('copying', '')")
	if _, err := Open(t.Context(), url, options(t)); err == nil || !strings.Contains(err.Error(), "run ordergate copy again") {
		t.Errorf("half a copy: %v", err)
	}
	execute(t, c, "DELETE FROM meta WHERE name = 'copying'")
	execute(t, c, "INSERT INTO schema_version (version) VALUES (1000)")
	if _, err := Open(t.Context(), url, options(t)); err == nil || !strings.Contains(err.Error(), "run a newer ordergate") {
		t.Errorf("a newer schema: %v", err)
	}
	for text, want := range map[string]string{
		"postgres://u:hush@127.0.0.1:1/db":     "postgres://u:xxxxx@127.0.0.1:1/db",
		"postgres://u@h/db?password=hush":      "postgres://u@h/db?password=xxxxx",
		"sqlite:x.db":                          "sqlite:x.db",
		"postgres://u:hush@h:port/db":          "postgres:…",
		"postgres://u:hush@h1:1,h2:2/db?x=%zz": "postgres:…",
	} {
		if got := Redacted(text); got != want && !(strings.HasPrefix(want, "postgres:…") && !strings.Contains(got, "hush")) {
			t.Errorf("%s is shown as %s", text, got)
		}
		if _, err := Open(t.Context(), text, options(t)); strings.HasPrefix(text, "postgres") && (err == nil || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Connections are lost, the server is stopped, killed, and has no room: callers are told to
// try again in a bounded time, readiness says so, and everything goes on by itself. What was
// acknowledged is there.
func TestServerFails(t *testing.T) {
	t.Parallel()
	if _, err := pgserver.Binaries(); err != nil {
		pgtest.Database(t) // skips, or fails
	}
	server, err := pgserver.Start("", "shared_buffers = 16MB")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	url, err := server.Create("failing")
	if err != nil {
		t.Fatal(err)
	}
	s := node(t, url)
	stored, tries := []string{}, 0
	// try stores an event; the answer comes in time.
	try := func() error {
		t.Helper()
		tries++
		number := fmt.Sprint("n", tries)
		began := time.Now()
		err := s.Commit(t.Context(), report(number, contract.StatusOut))
		if took := time.Since(began); took > transactTimeout+2*time.Second {
			t.Errorf("the answer took %v", took)
		}
		if err == nil {
			stored = append(stored, number)
		} else if !errors.Is(err, order.ErrNotStored) {
			t.Errorf("got %v", err)
		}
		return err
	}
	ready := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return s.Ready(ctx) == nil
	}
	recovers := func() {
		t.Helper()
		await(t, "it stores again", func() bool { return try() == nil && ready() })
	}
	recovers()
	if _, err := server.Execute("failing", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'failing'"); err != nil {
		t.Fatal(err)
	}
	if err := try(); err != nil {
		t.Errorf("a lost connection, with nothing under way: %v", err)
	}
	for name, stop := range map[string]func() error{"stopped": server.Stop, "killed": server.Kill} {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if try() == nil || ready() {
			t.Errorf("%s, and it stores", name)
		}
		if err := server.Run(); err != nil {
			t.Fatal(err)
		}
		recovers()
	}
	// No file may become larger than what is there: as if the disk were full.
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	server.FileLimit = 17 << 20
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	await(t, "the disk is full", func() bool {
		big := report(fmt.Sprint("big", tries), contract.StatusOut)
		decide := big.Decide
		big.Decide = func(v *order.View) (order.Decision, error) {
			d, err := decide(v)
			for i := range d.Events {
				d.Events[i].Record = []byte(`{"params":{"x":"` + incompressible(1<<20) + `"}}`)
			}
			return d, err
		}
		tries++
		return s.Commit(t.Context(), big) != nil
	})
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	server.FileLimit = 0
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	recovers()
	for _, number := range stored {
		if o := oneOrder(t, s, number); len(o.Marks) != 2 {
			t.Errorf("order %s is %+v", number, o)
		}
	}
}

// incompressible is a text of so many bytes.
func incompressible(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		fmt.Fprintf(&b, "%08x", x)
	}
	return b.String()
}

// A copy that is broken off goes on where it ended, and is compared; a file that was
// served meanwhile is noticed.
func TestCopy(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	from := "sqlite:" + t.TempDir() + "/x.db"
	s := at(from)(t, options(t))
	for i := range 300 {
		commit(t, s, report(fmt.Sprint(i, "\x00"), contract.StatusOut), emitted(fmt.Sprint(i), fmt.Sprint(i+1), "text"))
	}
	commit(t, s, order.Declare(order.Declared{Apps: []*order.App{{Key: "a", Secret: "s"}}, Sessions: []*order.Session{{Token: "t", AppKey: "a", Seller: "x"}}}), suningOrder("7", "1", now, order.Card))
	commit(t, s, status(t, "7", "1", contract.StatusShipped, contract.Card{Code: "1", Password: "2"}))
	q := webhook(t, s, "oms", func(d *order.Destination) { d.From = new(int64) })
	lane := allEvents(t, s)[1].Lane
	commit(t, s, recorded(order.Progress{Lease: q.Lease, Queue: "oms", Epoch: q.Epoch, Seq: 10, Done: []order.Settled{{Seq: 12}}, Blocked: []order.Blocked{{Lane: lane, Seq: 2, NextAt: now}}, Dead: []order.Dead{{Seq: 3, Lane: 8, At: now}}, Attempts: []order.Attempt{{Seq: 3, At: now, Status: 400, Body: "no"}}}))
	before := allEvents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	key := testKey(t)
	ctx, breakOff := context.WithCancel(t.Context())
	_, err := Copy(ctx, from, url, key, func(table string, _ int64) {
		if table == "orders" {
			breakOff()
		}
	})
	if err == nil {
		t.Fatal("it was not broken off")
	}
	if _, err := Open(t.Context(), url, options(t)); err == nil {
		t.Fatal("half a copy is served")
	}
	tables, err := Copy(t.Context(), from, url, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) != len(copiedTables) {
		t.Errorf("%d tables", len(tables))
	}
	copied := node(t, url)
	if diff := cmp.Diff(before, allEvents(t, copied)); diff != "" {
		t.Error(diff)
	}
	got := queueOf(t, copied, "oms")
	if got.Shards != order.AllShards || got.Seq() != 10 || got.LeastOf(1) != 10 {
		t.Errorf("queue %+v", got)
	}
	if n, err := copied.Blocked(t.Context(), order.QueueShards{Name: "oms", Shards: 1 << lane.Shard()}); err != nil || n != 1 {
		t.Errorf("%d lanes are blocked, %v", n, err)
	}
	if app, err := copied.App(t.Context(), "a"); err != nil || app.Secret != "s" {
		t.Errorf("app %v, %v", app, err)
	}
	if session, err := copied.Session(t.Context(), "t"); err != nil || session.Seller != "x" {
		t.Errorf("session %v, %v", session, err)
	}
	commit(t, copied, report("new", contract.StatusOut), report("0\x00", contract.StatusTransfer))
	if n := len(allEvents(t, copied)); n != len(before)+2 {
		t.Errorf("%d events", n)
	}
	if _, err := Copy(t.Context(), from, url, key, nil); err == nil || !strings.Contains(err.Error(), "a copy into the database has ended") {
		t.Errorf("a copy that has ended, again: %v", err)
	}
	served := pgtest.Database(t)
	commit(t, node(t, served), report("1", contract.StatusOut))
	if _, err := Copy(t.Context(), from, served, key, nil); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a copy into what is served: %v", err)
	}
	other := pgtest.Database(t)
	_, err = Copy(t.Context(), from, other, key, func(table string, _ int64) {
		if table == "cursor" { // behind all others
			c := plain(t, other)
			execute(t, c, "UPDATE orders SET buyer = 'x' WHERE id = 1")
		}
	})
	if err == nil || !strings.Contains(err.Error(), "orders is not the same on both sides") {
		t.Errorf("a copy that differs: %v", err)
	}
}

// A copy has every table and column of SQLite, but for what is each side's own; and so has
// PostgreSQL.
func TestEveryColumnIsCopied(t *testing.T) {
	t.Parallel()
	const sqliteColumns = "SELECT m.name, c.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name <> 'meta' AND c.name <> 'shard'"
	want := map[string]bool{}
	s := opened(t, at("sqlite:"+t.TempDir()+"/x.db"), options(t)).(*sqliteStore)
	err := s.read(t.Context(), forLists, func(c conn) error {
		return c.query(sqliteColumns, func(row record) error {
			want[row.Text(0)+"."+row.Text(1)] = true
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	url := pgtest.Database(t)
	node(t, url)
	c := plain(t, url)
	for _, table := range copiedTables {
		for _, name := range table.columns {
			if got[table.name+"."+name] = true; !scan[bool](t, c, "SELECT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = '"+table.name+"' AND column_name = '"+name+"')") {
				t.Errorf("PostgreSQL has no %s.%s", table.name, name)
			}
		}
	}
	delete(got, "refund.id") // an index in SQLite
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is written for operators has the figures of the code.
func TestScalingSaysWhatIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	if MostConnections() != 9 || order.ShardCount != 16 || leastPartition != 131_072 || LeastPostgres != 140_000 || watchEvery != 50*time.Millisecond || stuckAfter != 15*time.Second || lease >= 10*time.Second || textMark != "\U0010fffe" {
		t.Error("a figure changed that docs/scaling.md and this test repeat")
	}
	for _, claim := range []string{
		"nine connections", "Sixteen shards", "131,072 events", "PostgreSQL (14 or newer)", "within 50 ms", "after 15 seconds", "within ten seconds", "U+10FFFE",
		"isp.remote-service-error", contract.SuningUnavailable.Code,
	} {
		if !strings.Contains(string(text), claim) {
			t.Errorf("docs/scaling.md does not say %q", claim)
		}
	}
}
