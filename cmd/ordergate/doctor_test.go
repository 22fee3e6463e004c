package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/doctor"
	"github.com/ordergate/ordergate/internal/pgserver/pgtest"
	"github.com/ordergate/ordergate/internal/secret"
)

// examine runs the doctor on free ports.
func examine(t *testing.T, args ...string) (findings []doctor.Finding, code int) {
	t.Helper()
	out, code := ordergate(t, append([]string{"doctor", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		line, _, _ := strings.Cut(out, "\n") // the reason why it ends so stands behind
		if err := json.Unmarshal([]byte(line), &findings); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return findings, code
}

// says reports whether a finding of a check has a text.
func says(findings []doctor.Finding, check string, level doctor.Level, text string) bool {
	return slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.Check == check && f.Level == level && strings.Contains(f.Text+" "+f.Fix, text)
	})
}

// The doctor finds what would keep a gateway from running, says what to do, and changes
// nothing.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-8*time.Minute).UTC().Format(http.TimeFormat))
	}))
	defer late.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler()) // of no authority that this machine knows
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	go func() {
		for {
			c, err := taken.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()

	dir := t.TempDir()
	file := filepath.Join(dir, "x.db")
	state := filepath.Join(dir, "state.yaml")
	declared := `destinations:
  - {name: here, kind: webhook, url: "` + late.URL + `/hook", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}
  - {name: gone, kind: webhook, url: "http://127.0.0.1:1/hook", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}
  - {name: strange, kind: webhook, url: "` + secure.URL + `/hook", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}
  - {name: unknown, kind: webhook, url: "https://nobody.invalid/hook", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}
  - {name: off, kind: webhook, url: "http://127.0.0.1:1/hook", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz, enabled: false}
`
	if err := os.WriteFile(state, []byte(declared), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, "--database", "sqlite:"+file, "--apply", state)
	database := []string{"--database", "sqlite:" + file}

	findings, code := examine(t, append(database, "--allow-private", "127.0.0.0/8", "--against", late.URL, "--admin", taken.Addr().String(), "--listen", strings.TrimPrefix(p.url, "http://"))...)
	for _, want := range []struct {
		check string
		level doctor.Level
		text  string
	}{
		{"clock", doctor.Fail, "8m0s from that of " + late.URL},
		{"permissions", doctor.OK, "x.db.key is its owner's alone"},
		{"disk", doctor.OK, "GiB are free"},
		{"database", doctor.OK, "its structure is sound"},
		{"database", doctor.OK, "opens its secrets"},
		{"database", doctor.OK, "a gateway serves it"},
		{"ports", doctor.OK, "a gateway answers on " + strings.TrimPrefix(p.url, "http://")},
		{"ports", doctor.Fail, "choose another address by --listen or --admin"},
		{"destinations", doctor.OK, "here: 127.0.0.1:"},
		{"destinations", doctor.Fail, "gone: dial tcp 127.0.0.1:1"},
		{"destinations", doctor.Fail, "strange: its certificate does not hold"},
		{"destinations", doctor.Fail, "unknown: "},
	} {
		if !says(findings, want.check, want.level, want.text) {
			t.Errorf("no %s of %s says %q: %+v", want.level, want.check, want.text, findings)
		}
	}
	if code != exitRefused || says(findings, "destinations", doctor.Fail, "off: ") {
		t.Errorf("exit code %d: %+v", code, findings)
	}
	if findings, _ := examine(t, database...); !says(findings, "destinations", doctor.Fail, "here: 127.0.0.1 is no public address") || !says(findings, "destinations", doctor.Fail, "serve --allow-private 127.0.0.1/32") {
		t.Errorf("a private address: %+v", findings)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}

	if err := os.Chmod(file+keySuffix, 0o644); err != nil {
		t.Fatal(err)
	}
	if findings, code := examine(t, database...); !says(findings, "permissions", doctor.Fail, "chmod 600 "+file+keySuffix) || code != exitRefused {
		t.Errorf("a key that is open: %+v", findings)
	}
	other := base64.StdEncoding.EncodeToString(make([]byte, secret.KeySize))
	if findings, _ := examine(t, append(database, "--key", other)...); !says(findings, "database", doctor.Fail, "its secrets are sealed with the key") {
		t.Errorf("another key: %+v", findings)
	}
	if err := os.Remove(file + keySuffix); err != nil {
		t.Fatal(err)
	}
	if findings, _ := examine(t, database...); !says(findings, "database", doctor.Fail, "no key was found") {
		t.Errorf("no key: %+v", findings)
	}
	if _, err := os.Stat(file + keySuffix); err == nil {
		t.Error("the doctor made a key")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 3 * 8192; i < min(len(data), 6*8192); i++ { // pages of tables and indices
		data[i] = 0xff
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if findings, _ := examine(t, database...); !says(findings, "database", doctor.Fail, "") {
		t.Errorf("a damaged file: %+v", findings)
	}
}

// What is fit is said to be: a new place, and PostgreSQL.
func TestDoctorIsContentWithWhatIsFit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	findings, code := examine(t, "--database", "sqlite:"+filepath.Join(dir, "new.db"))
	if code != exitDone || !says(findings, "database", doctor.OK, "the first start makes it") {
		t.Errorf("exit code %d: %+v", code, findings)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	var checks []string
	for _, c := range doctor.Checks {
		checks = append(checks, c.Name)
		if !slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Check == c.Name }) {
			t.Errorf("nothing is said of %s", c.Name)
		}
	}
	if len(checks) < 7 {
		t.Errorf("checks: %v", checks)
	}

	url, key := pgtest.Database(t), base64.StdEncoding.EncodeToString(make([]byte, secret.KeySize))
	mustRun(t, "migrate", "--database", url, "--key", key)
	p := startServe(t, "--database", url, "--key", key)
	findings, _ = examine(t, "--database", url, "--key", key)
	for _, text := range []string{"PostgreSQL 1", "its schema is version", "opens its secrets", "the server's clock"} {
		if !says(findings, "database", doctor.OK, text) {
			t.Errorf("nothing says %q: %+v", text, findings)
		}
	}
	if out, code := ordergate(t, "healthy", "--server", p.adminURL); code != exitDone || out != "ok\n" {
		t.Errorf("healthy: %d %s", code, out)
	}
	if out, code := ordergate(t, "healthy", "--server", "http://127.0.0.1:1"); code != exitRefused {
		t.Errorf("healthy of nobody: %d %s", code, out)
	}
	if findings, _ := examine(t, "--database", "postgres://nobody:hush@127.0.0.1:1/x", "--key", key); !says(findings, "database", doctor.Fail, "connection refused") {
		t.Errorf("no server: %+v", findings)
	}
}
