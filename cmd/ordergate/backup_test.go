package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/client"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/pgserver/pgtest"
	"github.com/ordergate/ordergate/internal/secret"
)

// ordergate runs the program under test and returns what it printed, and its exit code.
func ordergate(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	program, err := exec.LookPath("ordergate")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	said, err := cmd.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(said), code
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, code := ordergate(t, args...)
	if code != exitDone {
		t.Fatalf("ordergate %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// A backup is of a place that is empty; restored it is another ledger with all that was
// answered before the backup began.
type backupPlace struct {
	served, restored string
	key              []string // flags
}

// Nothing that was answered before a backup began is missing in what is restored from it,
// although calls came all the while; and what is restored goes on.
func TestBackupUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(*testing.T) backupPlace{
		"sqlite": func(t *testing.T) backupPlace {
			dir := t.TempDir()
			return backupPlace{served: "sqlite:" + filepath.Join(dir, "a.db"), restored: "sqlite:" + filepath.Join(dir, "b.db"), key: []string{"--key-file", filepath.Join(dir, "a.db.key")}}
		},
		"postgres": func(t *testing.T) backupPlace {
			key := base64.StdEncoding.EncodeToString(make([]byte, secret.KeySize))
			return backupPlace{served: pgtest.Database(t), restored: pgtest.Database(t), key: []string{"--key", key}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testBackup(t, place(t))
		})
	}
}

func testBackup(t *testing.T, place backupPlace) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state.yaml")
	declared := "apps: [{key: a, protocol: top, secret: hush-secret}]\nsessions: [{token: t, app_key: a, seller: s}]\n" +
		"orders: [{platform: suning, number: \"9\", supplier_code: \"1\", paid_at: now, lines: [{number: \"91\", kind: card}]}]\n"
	if err := os.WriteFile(state, []byte(declared), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := []string{"--database", place.served, "--apply", state}
	if strings.HasPrefix(place.served, "postgres") {
		serve = append(serve, place.key...)
	}
	p := startServe(t, serve...)

	var mu sync.Mutex
	var answered []string
	stop := make(chan struct{})
	var load sync.WaitGroup
	for worker := range 4 {
		load.Go(func() {
			c := &client.Client{URL: p.url, AppKey: "a", Secret: "hush-secret", Session: "t"}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				number := fmt.Sprintf("%d%06d", worker+1, i)
				if _, err := c.EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: number}); err != nil {
					t.Errorf("order %s: %v", number, err)
					return
				}
				mu.Lock()
				answered = append(answered, number)
				mu.Unlock()
			}
		})
	}
	for enough := false; !enough; time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		enough = len(answered) >= 200
		mu.Unlock()
	}
	mu.Lock()
	before := append([]string{}, answered...)
	mu.Unlock()
	file := filepath.Join(dir, "backup")
	out := mustRun(t, append([]string{"backup", "--database", place.served, "--to", file}, place.key...)...)
	close(stop)
	load.Wait()
	mu.Lock()
	t.Logf("%d answered before the backup, %d after it", len(before), len(answered)-len(before))
	if len(answered) == len(before) {
		t.Error("nothing was answered while the backup was made")
	}
	mu.Unlock()
	if !strings.Contains(out, "checked") || strings.Contains(out, "hush") {
		t.Errorf("backup says %s", out)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it was killed
	for _, name := range []string{file, file + manifestSuffix} {
		text, err := os.ReadFile(name)
		if info, statErr := os.Stat(name); err != nil || statErr != nil || info.Mode().Perm() != 0o600 || bytes.Contains(text, []byte("hush")) {
			t.Errorf("%s: %v %v %v", name, err, statErr, info)
		}
	}

	mustRun(t, append([]string{"restore", "--from", file, "--database", place.restored}, place.key...)...)
	again := startServe(t, append([]string{"--database", place.restored}, place.key...)...)
	there := map[string]bool{}
	for after := "0"; after != ""; {
		var page struct {
			Items []struct{ Order string }
			Next  string
		}
		_, body := ask(t, http.MethodGet, again.adminURL+"/v1/events?limit=1000&after="+after, "", "Authorization", bearer)
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		for _, e := range page.Items {
			there[e.Order] = true
		}
		after = page.Next
	}
	for _, number := range before {
		if !there[number] {
			t.Errorf("order %s was answered before the backup began, and is lost", number)
		}
	}
	if len(there) < len(before) || len(there) > len(answered)+1 {
		t.Errorf("%d orders of %d", len(there), len(answered))
	}
	c := &client.Client{URL: again.url, AppKey: "a", Secret: "hush-secret", Session: "t"} // the secret opens
	if _, err := c.EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: before[0]}); err == nil || !strings.Contains(err.Error(), "already backflow") {
		t.Errorf("a repetition: %v", err)
	}
	if _, err := c.EventProduce(t.Context(), &contract.EventProduceRequest{Status: contract.StatusOut, OrderID: "7" + strconv.Itoa(len(before))}); err != nil {
		t.Errorf("a new call: %v", err)
	}

	// What there is already is not written over, and what is damaged is not restored.
	for _, c := range []struct {
		args []string
		says string
	}{
		{append([]string{"backup", "--database", place.served, "--to", file}, place.key...), "is there already"},
		{append([]string{"restore", "--from", file, "--database", place.restored}, place.key...), ""},
		{[]string{"restore", "--from", file, "--database", place.restored, "--key", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))}, "sealed with the key"},
		{append([]string{"restore", "--from", state, "--database", place.restored}, place.key...), "what the backup holds is not known"},
	} {
		if out, code := ordergate(t, c.args...); code != exitRefused || !strings.Contains(out, c.says) {
			t.Errorf("%v: exit code %d, %s", c.args, code, out)
		}
	}
	manifest, err := os.ReadFile(file + manifestSuffix)
	if err != nil {
		t.Fatal(err)
	}
	hollow := regexp.MustCompile(`(?s)"tables": \[.*?\]`).ReplaceAll(manifest, []byte(`"tables": []`))
	if err := os.WriteFile(file+manifestSuffix, hollow, 0o600); err != nil {
		t.Fatal(err)
	}
	hollowed := "sqlite:" + filepath.Join(dir, "d.db")
	if strings.HasPrefix(place.served, "postgres") {
		hollowed = pgtest.Database(t)
	}
	if out, code := ordergate(t, append([]string{"restore", "--from", file, "--database", hollowed}, place.key...)...); code != exitRefused || !strings.Contains(out, "of its manifest") {
		t.Errorf("a manifest without tables: exit code %d, %s", code, out)
	}
	damage(t, file)
	empty := "sqlite:" + filepath.Join(dir, "c.db")
	if strings.HasPrefix(place.served, "postgres") {
		empty = pgtest.Database(t)
	}
	if out, code := ordergate(t, append([]string{"restore", "--from", file, "--database", empty}, place.key...)...); code != exitRefused || !strings.Contains(out, "is not the file that was written") {
		t.Errorf("a damaged backup: exit code %d, %s", code, out)
	}
}

// A backup of what nobody serves, and a doctor who looks at it, leave nothing beside it;
// nothing that is there is written over.
func TestBackupLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	database := []string{"--database", "sqlite:" + filepath.Join(dir, "x.db")}
	mustRun(t, append([]string{"migrate"}, database...)...)
	mustRun(t, append([]string{"backup", "--to", filepath.Join(dir, "b")}, database...)...)
	mustRun(t, append([]string{"doctor", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, database...)...)
	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if out, code := ordergate(t, append([]string{"backup", "--to", filepath.Join(dir, "b")}, database...)...); code != exitRefused || !strings.Contains(out, "b.json is there already") {
		t.Errorf("over a manifest: exit code %d, %s", code, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"b.json", "x.db", "x.db.key", "x.db.lock"}; !slices.Equal(names, want) {
		t.Errorf("left are %v, want %v", names, want)
	}
}

// damage changes a byte in the middle of a file.
func damage(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A password in a database's URL is not on the command line of PostgreSQL's programs, and
// what they do not take in a URL comes to them otherwise.
func TestDatabaseURLsForPostgresPrograms(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"postgres://u:p%40ss@h/db?sslmode=require", "postgres://u@h/db?sslmode=require", "PGPASSWORD=p@ss"},
		{"postgres://u:p@h1:5432,h2:5433/db", "postgres://u@h1:5432,h2:5433/db", "PGPASSWORD=p"},
		{"postgres://u@h/db", "postgres://u@h/db", ""},
		{"postgres:///db?host=/run/pg", "postgres:///db?host=%2Frun%2Fpg", ""},
		{"postgres://u:p@h", "postgres://u@h/", "PGPASSWORD=p"},
		{"postgres://u@h/db?password=p%26q&statement_timeout=5s&search_path=a b&pool_max_conns=9", "postgres://u@h/db", "PGPASSWORD=p&q|PGOPTIONS=-c search_path=a\\ b -c statement_timeout=5s"},
	} {
		if rest, env := forLibpq(c[0]); rest != c[1] || strings.Join(env, "|") != c[2] {
			t.Errorf("%s: %s and %q", c[0], rest, env)
		}
	}
}
