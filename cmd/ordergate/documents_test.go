package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/pgserver/pgtest"
)

// The commands of the documents print what stands below them. A block behind
// <!-- file: NAME --> is a file of that name, and so is one that is included. Every port of
// 127.0.0.1 stands for a free one.
func TestDocuments(t *testing.T) {
	t.Parallel()
	ports, ran := newPorts(), 0
	for _, name := range append(documentNames(t), "README.md", "README.zh-CN.md") {
		if strings.HasPrefix(name, chinese) { // TestTwins: its commands are those of its twin
			continue
		}
		d := readDocument(t, name)
		steps := stepsOf(t, d)
		if len(steps) == 0 {
			continue
		}
		if strings.HasPrefix(name, "README") { // it has the demo started in another terminal
			steps = append([]step{{command: "ordergate serve --demo &"}}, steps...)
		}
		ran++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needPrograms(t, d)
			r := newReader(t, d, ports)
			for _, s := range steps {
				r.follow(t, s)
			}
		})
	}
	if ran < 8 {
		t.Errorf("%d documents show commands", ran)
	}
}

// needPrograms skips a document whose programs are not there, but in CI.
func needPrograms(t *testing.T, d *document) {
	t.Helper()
	for _, program := range []string{"bash", "curl", "python3"} {
		used := program == "bash"
		for _, f := range d.fences {
			used = used || f.Lang == "console" && strings.Contains(f.text(), program)
		}
		if used {
			needProgram(t, program)
		}
	}
}

// needProgram skips a test without a program, but in CI.
func needProgram(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// step is a file that the reader of a document makes, or a command with what it prints.
type step struct {
	line    int
	file    string
	content string
	command string
	want    []string
}

// stepsOf are the steps of a document, none if it shows no command.
func stepsOf(t *testing.T, d *document) (steps []step) {
	t.Helper()
	commands := false
	for _, f := range d.fences {
		if f.Mark != "" {
			steps = append(steps, step{line: f.Line, file: fileOf(f), content: strings.Join(f.Lines, "\n") + "\n"})
		}
		if f.Lang == "console" {
			commands = true
			steps = append(steps, commandsOf(t, d, f)...)
		}
	}
	if !commands {
		return nil
	}
	return steps
}

// fileOf is the name that a block has in the reader's folder.
func fileOf(f fence) string {
	if f.Mark == includeMark {
		return filepath.Base(f.File)
	}
	return f.File
}

// commandsOf are the commands of a block: behind "$ ", and behind "> " where the line above
// ends in a backslash.
func commandsOf(t *testing.T, d *document, f fence) (steps []step) {
	t.Helper()
	for i, line := range f.Lines {
		command, begins := strings.CutPrefix(line, "$ ")
		more, continues := strings.CutPrefix(line, "> ")
		last := len(steps) - 1
		switch {
		case begins:
			steps = append(steps, step{line: f.Line + i, command: command})
		case last < 0:
			t.Fatalf("%s:%d: output before a command: %s", d.name, f.Line+i, line)
		case continues && len(steps[last].want) == 0 && strings.HasSuffix(steps[last].command, "\\"):
			steps[last].command += "\n" + more
		default:
			steps[last].want = append(steps[last].want, line)
		}
	}
	return steps
}

// reader is who reads a document and does what it says: in a folder of their own, with one
// bash.
type reader struct {
	doc   *document
	dir   string
	ports *ports
	moved map[int]int // the port that stands for one of the document
	in    io.Writer
	out   chan string // lines
	jobs  int         // how many commands run in the background
}

// newReader starts a bash that ends with the test, and with it everything that it started.
func newReader(t *testing.T, d *document, p *ports) *reader {
	t.Helper()
	r := &reader{doc: d, dir: t.TempDir(), ports: p, moved: map[int]int{}, out: make(chan string)}
	bash := exec.Command("bash", "--norc")
	bash.Dir, bash.Env = r.dir, r.environment(t)
	bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := bash.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := bash.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	r.in = in
	go func() {
		defer close(r.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.out <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-bash.Process.Pid, syscall.SIGKILL)
		for range r.out { // it ends with the last process, since all have it open
		}
		_ = bash.Wait()
	})
	_, _ = fmt.Fprintln(r.in, "exec 2>&1 3>&1")
	return r
}

// environment is that of the test but for Ordergate's own variables, which name the ports
// that stand for the usual ones.
func (r *reader) environment(t *testing.T) []string {
	t.Helper()
	var env []string
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasPrefix(name, "ORDERGATE") && !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			env = append(env, variable)
		}
	}
	calls, management := r.here(t, "127.0.0.1:8787"), r.here(t, usualAdmin)
	return append(env, "LC_ALL=C.UTF-8", "PYTHONUNBUFFERED=1", "HOME="+r.dir, "XDG_CACHE_HOME=", "TMPDIR="+t.TempDir(),
		"ORDERGATE_LISTEN="+calls, "ORDERGATE_URL=http://"+calls, "ORDERGATE_ADMIN="+management, "ORDERGATE_SERVER=http://"+management)
}

// follow does what a step says.
func (r *reader) follow(t *testing.T, s step) {
	t.Helper()
	command := strings.ReplaceAll(s.command, "go run ./cmd/ordergate ", "ordergate ")
	background, ok := strings.CutSuffix(command, "&")
	switch {
	case s.file != "":
		if err := os.WriteFile(filepath.Join(r.dir, s.file), []byte(s.content), 0o600); err != nil {
			t.Fatal(err)
		}
	case ok:
		r.start(t, s, background)
	default:
		r.compare(t, s, r.run(t, s, command))
	}
}

// usualAdmin is where serve has its admin port unless it is told otherwise.
const usualAdmin = "127.0.0.1:8788"

var (
	serving   = regexp.MustCompile(`\bordergate serve\b`)
	adminFlag = regexp.MustCompile(`--admin[ =](\S+)`)
)

// start runs a command in the background, and waits for a gateway to be ready.
func (r *reader) start(t *testing.T, s step, command string) {
	t.Helper()
	r.jobs++
	log := fmt.Sprintf(".background-%d", r.jobs)
	r.compare(t, s, r.run(t, s, fmt.Sprintf("> %s 2>&1 %s &", log, command)))
	if !serving.MatchString(command) {
		return
	}
	address := usualAdmin
	if flag := adminFlag.FindStringSubmatch(command); flag != nil {
		address = flag[1]
	}
	url := "http://" + r.here(t, address) + "/readyz"
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(url)
		if err == nil {
			_ = response.Body.Close()
		}
		if err == nil && response.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(filepath.Join(r.dir, log))
			t.Fatalf("%s:%d: %s\nis not ready: %v\n%s", r.doc.name, s.line, s.command, err, text)
		}
	}
}

// run has bash run a command, and returns what it prints.
func (r *reader) run(t *testing.T, s step, command string) (got []string) {
	t.Helper()
	const end = "--- end of the command ---"
	// The braces keep the commands that follow from a command that reads its input.
	if _, err := fmt.Fprintf(r.in, "{ %s\n} </dev/null; printf '\\n%s\\n'\n", r.here(t, command), end); err != nil {
		t.Fatal(err)
	}
	late := time.After(time.Minute)
	for {
		select {
		case line, ok := <-r.out:
			if !ok || line == end {
				if n := len(got); n > 0 && got[n-1] == "" { // that of printf
					got = got[:n-1]
				}
				return got
			}
			got = append(got, r.there(line))
		case <-late:
			t.Fatalf("%s:%d: %s\nhangs; it printed\n%s", r.doc.name, s.line, command, strings.Join(got, "\n"))
		}
	}
}

// compare compares what a command printed with what the document shows.
func (r *reader) compare(t *testing.T, s step, got []string) {
	t.Helper()
	if !shown(s.want).MatchString(sameIDs(got)) {
		t.Errorf("%s:%d: %s\n got\n%s\nwant\n%s", r.doc.name, s.line, s.command, strings.Join(got, "\n"), strings.Join(s.want, "\n"))
	}
}

// shown matches an output as a document shows it: … stands for any text of a line, and by
// itself for any lines.
func shown(want []string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for line := range strings.Lines(sameIDs(want)) {
		if strings.TrimSpace(line) == "…" {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	return regexp.MustCompile(b.String() + `\z`)
}

// sameIDs is a text in which all request ids are the same.
func sameIDs(lines []string) string {
	text := strings.TrimRight(strings.Join(lines, "\n"), "\n")
	if text == "" {
		return ""
	}
	return requestID.ReplaceAllString(text, "${1}ID") + "\n"
}

var loopback = regexp.MustCompile(`127\.0\.0\.1:(\d{2,5})\b`)

// here is a text with the ports that stand for those of the document.
func (r *reader) here(t *testing.T, text string) string {
	t.Helper()
	return loopback.ReplaceAllStringFunc(text, func(address string) string {
		port, _ := strconv.Atoi(address[len("127.0.0.1:"):])
		if r.moved[port] == 0 {
			r.moved[port] = r.ports.take(t)
		}
		return fmt.Sprintf("127.0.0.1:%d", r.moved[port])
	})
}

// there is a text with the ports of the document again.
func (r *reader) there(text string) string {
	for port, moved := range r.moved {
		text = strings.ReplaceAll(text, fmt.Sprintf("127.0.0.1:%d", moved), fmt.Sprintf("127.0.0.1:%d", port))
	}
	return text
}

// ports gives out ports of the loopback address, each once. They lie below those that a
// system gives to connections, so that nobody gets one before it is used.
type ports struct {
	mu   sync.Mutex
	next int
}

func newPorts() *ports { return &ports{next: 20000 + rand.IntN(10000)} }

func (p *ports) take(t *testing.T) int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1000 {
		p.next++
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.next)); err == nil {
			_ = l.Close()
			return p.next
		}
	}
	t.Fatal("no port is free")
	return 0
}

// What docs/scaling.md says is run on a server of the tests, which makes the database.
func TestScalingCommands(t *testing.T) {
	t.Parallel()
	needProgram(t, "bash")
	needProgram(t, "openssl")
	_, rest, _ := strings.Cut(readFile(t, "docs/scaling.md"), "```\n")
	block, _, _ := strings.Cut(rest, "```\n")
	_, commands, ok := strings.Cut(block, "\n") // createdb
	before, serve, found := strings.Cut(commands, "ordergate serve ")
	if !ok || !found || !strings.HasPrefix(block, "createdb ") {
		t.Fatalf("docs/scaling.md begins with %q", block)
	}
	const shown = "postgres://ordergate:PASSWORD@db/ordergate"
	p := newPorts()
	calls, management := fmt.Sprintf("127.0.0.1:%d", p.take(t)), fmt.Sprintf("127.0.0.1:%d", p.take(t))
	script := before + "exec ordergate serve " + strings.Replace(strings.TrimSpace(serve), "0.0.0.0:8787", calls, 1) + " --admin " + management
	gateway, err := launch(exec.Command("bash", "-ec", strings.ReplaceAll(script, shown, pgtest.Database(t))), t.TempDir()+"/log")
	if err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	if _, answer := ask(t, http.MethodGet, gateway.adminURL+"/readyz", ""); answer != "ok\n" {
		t.Errorf("it is not ready: %s", answer)
	}
	if err := gateway.stop(); err != nil {
		t.Error(err)
	}
}
