package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/pgserver/pgtest"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(pgtest.Tests{M: m}, map[string]func(){"ordergate": main})
}

// The scripts run the built program. Beside testscript's own commands there
// are:
//
//	gateway NAME [flag…]   start serve on free ports; sets $NAME_URL, $NAME_ADMIN and $NAME_LOG
//	hangup NAME            have it read its configuration again
//	await FILE TEXT        wait until a text stands in a file
//	json-lines FILE        compare a log with what slog's JSON is
//	halt NAME              stop it as an operator does, and wait
//	exits CODE command…    run a command and compare its exit code
//	put URL FILE           PUT a file to the management API; prints status and answer
//	same-answer FILE       compare stdout with a file in which ID is any request_id
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts := params(startGateway)
	scripts.Dir = "testdata/script"
	testscript.Run(t, scripts)
}

// On PostgreSQL everything is as on SQLite: the pages' examples, deliveries, faults.
func TestScriptsOnPostgres(t *testing.T) {
	t.Parallel()
	pgtest.Database(t) // else nothing is run
	scripts := params(func(ts *testscript.TestScript, neg bool, args []string) {
		if !slices.Contains(args, "--database") {
			args = append(args, "--database", pgtest.Database(t))
		}
		if ts.Getenv("ORDERGATE_KEY") == "" {
			args = append(args, "--key", base64.StdEncoding.EncodeToString(make([]byte, secret.KeySize)))
		}
		startGateway(ts, neg, args)
	})
	for _, name := range []string{"event_produce_page", "event_emit_page", "leaguer_status_page", "order_intercept_page", "deliveries", "faults"} {
		scripts.Files = append(scripts.Files, "testdata/script/"+name+".txt")
	}
	testscript.Run(t, scripts)
}

// params are what scripts are run with, with a command that starts a gateway.
func params(gateway func(*testscript.TestScript, bool, []string)) testscript.Params {
	return testscript.Params{
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"gateway":     gateway,
			"halt":        stopGateway,
			"hangup":      hangUp,
			"await":       await,
			"json-lines":  jsonLines,
			"exits":       exits,
			"same-answer": sameAnswer,
			"put":         put,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
	}
}

// process is a running serve.
type process struct {
	cmd           *exec.Cmd
	url, adminURL string
	log           *os.File
}

var announced = regexp.MustCompile(`(?s)protocols +(https?://[^/]+)/.*management +(http://[^/]+)/`)

// launch starts a serve and waits until it says that it is ready.
func launch(cmd *exec.Cmd, logPath string) (*process, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if found := announced.FindStringSubmatch(said.String()); found != nil {
			p.url, p.adminURL = found[1], found[2]
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p, nil
		}
	}
	text, _ := os.ReadFile(logPath)
	return nil, fmt.Errorf("serve did not start: %v\n%s%s", cmd.Wait(), said.String(), text)
}

func (p *process) stop() error {
	defer p.log.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	return p.cmd.Wait()
}

func startGateway(ts *testscript.TestScript, neg bool, args []string) {
	name := args[0]
	program, err := exec.LookPath("ordergate")
	ts.Check(err)
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args[1:]...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"), "TMPDIR="+ts.Getenv("WORK"))
	for _, name := range []string{"ORDERGATE_ADMIN_TOKEN", "ORDERGATE_KEY", "OG_SECRET"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	p, err := launch(cmd, ts.MkAbs(name+".log"))
	ts.Check(err)
	ts.Setenv(name+"_URL", p.url)
	ts.Setenv(name+"_ADMIN", p.adminURL)
	ts.Setenv(name+"_LOG", ts.MkAbs(name+".log"))
	running.Store(ts.MkAbs(name), p)
	ts.Defer(func() {
		if p.cmd.ProcessState == nil {
			_ = p.stop()
		}
	})
}

// running are the gateways of all scripts, by folder and name. Scripts share no
// folder.
var running sync.Map

func stopGateway(ts *testscript.TestScript, neg bool, args []string) {
	p, ok := running.Load(ts.MkAbs(args[0]))
	if !ok {
		ts.Fatalf("no gateway %s", args[0])
	}
	ts.Check(p.(*process).stop())
}

func hangUp(ts *testscript.TestScript, neg bool, args []string) {
	p, ok := running.Load(ts.MkAbs(args[0]))
	if !ok {
		ts.Fatalf("no gateway %s", args[0])
	}
	ts.Check(p.(*process).cmd.Process.Signal(syscall.SIGHUP))
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(ts.ReadFile(args[0]), args[1]); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not say %q:\n%s", args[0], args[1], ts.ReadFile(args[0]))
		}
	}
}

func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var entry struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Level == "" || entry.Msg == "" {
			ts.Fatalf("%s: %v", line, err)
		}
		n++
	}
	if n == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func put(ts *testscript.TestScript, neg bool, args []string) {
	r, err := http.NewRequest(http.MethodPut, args[0], strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	r.Header.Set("Authorization", "Bearer "+ts.Getenv("ORDERGATE_ADMIN_TOKEN"))
	response, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s\n", response.StatusCode, body)
}

var requestID = regexp.MustCompile(`(request_id(?:":"|>))[0-9a-z]{12,13}`)

func sameAnswer(ts *testscript.TestScript, neg bool, args []string) {
	got := requestID.ReplaceAllString(ts.ReadFile("stdout"), "${1}ID")
	if want := ts.ReadFile(args[0]); strings.TrimSpace(got) != strings.TrimSpace(want) {
		ts.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}
