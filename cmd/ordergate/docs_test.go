package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/intake"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

var update = flag.Bool("update", false, "rewrite generated files")

// root is the project's folder.
const root = "../../"

const generatedNote = "<!-- Made from the tables in the code by `make gen`; a test compares. -->\n\n"

// generated are the files that are made whole.
func generated(t *testing.T) map[string]string {
	files := map[string]string{
		"docs/reference/cli.md":    cliReference(t),
		"docs/reference/top.md":    topReference(),
		"docs/reference/suning.md": suningReference(),
		"docs/reference/qimen.md":  qimenReference(),
		"docs/reference/verify.md": verifyReference(),

		"docs/reference/metrics.md":       metricsReference(),
		"docs/reference/configuration.md": configReference(t),
	}
	for _, rule := range order.Rules {
		files["docs/reference/"+rule.API.Method+".md"] = apiReference(rule.API, rule.Warnings)
	}
	return files
}

// Reference pages, help texts, the README's tables and the programs that documents show are
// those of the code.
func TestGeneratedText(t *testing.T) {
	t.Parallel()
	for name, want := range generated(t) {
		compareFile(t, name, generatedNote+want)
	}
	for name, header := range map[string][]string{"README.md": {"API", "name", "protocol"}, "README.zh-CN.md": {"API", "名称", "协议"}} {
		comparePart(t, name, "apis", apiTable(header))
	}
	comparePart(t, "docs/delivery.md", "own", ownEventTable())
	comparePart(t, "docs/operations.md", "doctor", doctorTable())
	comparePart(t, "docs/zh/operations.md", "doctor", doctorTable())
	for _, name := range documentNames(t) {
		if text := readFile(t, name); included.MatchString(text) {
			compareFile(t, name, withIncludes(t, text))
		}
	}
}

// comparePart compares the part of a file that stands between two marks.
func comparePart(t *testing.T, name, mark, want string) {
	t.Helper()
	begin, end := "<!-- "+mark+" -->\n", "<!-- /"+mark+" -->\n"
	head, rest, opened := strings.Cut(readFile(t, name), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !opened || !closed {
		t.Errorf("%s has no place for %s", name, mark)
	}
	compareFile(t, name, head+begin+want+end+tail)
}

func ownEventTable() string {
	b := row("event", "made when", "`data.params`") + row("---", "---", "---")
	for _, e := range order.OwnEventRows {
		params := make([]string, len(e.Params))
		for i, name := range e.Params {
			params[i] = code(name)
		}
		b += row(code(e.Name), e.When, strings.Join(params, ", "))
	}
	return b
}

// The program that docs/sdk.md shows is one that is tested, and it needs public
// packages only.
func TestGeneratedProgram(t *testing.T) {
	t.Parallel()
	program := readFile(t, "ordergatetest/example_test.go")
	if strings.Contains(program, "ordergate/internal/") {
		t.Error("the program that is shown imports an internal package")
	}
	text := readFile(t, "docs/sdk.md")
	head, rest, opened := strings.Cut(text, "<!-- program -->\n")
	_, tail, closed := strings.Cut(rest, "<!-- /program -->\n")
	if !opened || !closed {
		t.Fatal("docs/sdk.md has no place for the program")
	}
	compareFile(t, "docs/sdk.md", head+"<!-- program -->\n```go\n"+program+"```\n<!-- /program -->\n"+tail)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(root + name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	return string(data)
}

func compareFile(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if readFile(t, name) != want {
		t.Errorf("%s differs from the code: make gen, and review the difference", name)
	}
}

func apiTable(header []string) string {
	b := row(header...) + row("---", "---", "---")
	for _, api := range contract.All {
		b += row(fmt.Sprintf("[`%s`](docs/reference/%s.md)", api.Method, api.Method), api.Title, string(api.Protocol))
	}
	return b
}

func row(cells ...string) string {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", "\\|")
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func apiReference(api *contract.API, warnings []order.Warning) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s:%s\n\n", api.Method, api.Title, api.About)
	if api.Protocol == contract.Suning {
		fmt.Fprintf(&b, "Protocol: [suning](suning.md). Node of the message and of its answer: `%s`.\n\n", api.Root())
	} else if api.Reverse {
		fmt.Fprintf(&b, "The platform calls a merchant. Protocol: [qimen](qimen.md), or [top](top.md) by its URL. Session: %s.\n\n", api.Session)
	} else {
		fmt.Fprintf(&b, "Protocol: [top](top.md). Session: %s.\n\n", api.Session)
	}
	b.WriteString("## Request\n\n")
	b.WriteString(fieldTable(api.Request))
	b.WriteString("\n## Reply\n\n")
	if api.Protocol == contract.TOP {
		fmt.Fprintf(&b, "Root: `%s`.\n\n", api.Root())
	}
	b.WriteString(row("name", "type", "example", "text") + row("---", "---", "---", "---"))
	b.WriteString(replyRows(api.Reply, ""))
	if api.Protocol == contract.Suning {
		b.WriteString("\n## Refusals\n\n" + suningRows(api.Refusals) + warningTable(warnings))
		return b.String()
	}
	envelope := contract.TOPFaults[contract.BusinessRefused]
	fmt.Fprintf(&b, "\n## Refusals\n\nCode %s, `%s`, or where it says so within a normal answer. The last column is what a caller should do.\n\n", envelope.Code, envelope.Text)
	b.WriteString(row("sub_code", "sub_msg", "解决方案", "where", "when", "do") + row("---", "---", "---", "---", "---", "---"))
	for _, r := range api.Refusals {
		where := "error"
		if r.InReply {
			where = "answer"
		}
		b.WriteString(row(code(r.Code), r.Text, r.Solution, where, whenOf(r.When, r.Reserved), adviceOf(api, r)))
	}
	return b.String() + warningTable(warnings)
}

// adviceOf is what a row advises to callers of an API, whose calls may not be
// repeatable.
func adviceOf(api *contract.API, r *contract.Refusal) string {
	if r.Unknown && !api.Repeatable {
		return string(contract.Stop) + ": the outcome is unknown"
	}
	return string(r.Advice)
}

func warningTable(warnings []order.Warning) string {
	if len(warnings) == 0 {
		return ""
	}
	b := "\n## Warnings\n\nAn accepted event may carry these in `warnings`.\n\n" + row("code", "meaning") + row("---", "---")
	for _, w := range warnings {
		b += row(code(w.Code), w.Text)
	}
	return b
}

// suningRows are rows of Suning's tables. The last column is what a caller should
// do.
func suningRows(rows []*contract.Refusal) string {
	b := row("error_code", "error_msg", "解决方案", "when", "do") + row("---", "---", "---", "---", "---")
	for _, r := range rows {
		b += row(code(r.Code), r.Text, r.Solution, whenOf(r.When, r.Reserved), string(r.Advice))
	}
	return b
}

func whenOf(when, reserved string) string {
	if reserved != "" {
		return "not produced: " + reserved
	}
	return when
}

func suningReference() string {
	b := "# Suning: `" + wire.SuningPath + "`\n\nThe message is the body of a POST, XML or JSON as `format` says; the method's name may follow the path. Every answer is HTTP 200 and one line; " +
		"another verb is 405, another path 404.\n\n## Headers\n\nIn any case of letters.\n\n" + fieldTable(contract.SuningParams) +
		"\n## Order of checks\n\nThe first that fails is the answer.\n\n" + row("#", "check", "error_code") + row("---", "---", "---")
	for i, c := range intake.SuningChecks {
		var codes []string
		for _, fault := range c.Faults {
			if fault == contract.BusinessRefused {
				codes = append(codes, "the API's own")
			} else {
				codes = append(codes, code(contract.SuningRow(contract.LeaguerStatus, fault).Code))
			}
		}
		b += row(strconv.Itoa(i+1), c.Text, strings.Join(slices.Compact(codes), ", "))
	}
	b += "\n## Errors of any call\n\n" + suningRows(contract.SuningFaults) +
		optionTable(order.SuningOptions)
	return b
}

func optionTable(options []order.Option) string {
	b := "\n## Options\n\nWhere the page can be read in more than one way, an app's `options` choose. The first value is the default.\n\n" + row("option", "values", "meaning") + row("---", "---", "---")
	for _, o := range options {
		b += row(code(o.Name), "`"+strings.Join(o.Values, "` `")+"`", o.Text)
	}
	return b
}

func qimenReference() string {
	b := "# Qimen: `" + wire.QimenPath + "`, `" + wire.QimenTestPath + "` and `" + wire.SPIPath + "`\n\n" +
		"## Calling a merchant: `" + wire.QimenPath + "`\n\nSigned and checked as [TOP](top.md)'s calls, with `target_app_key`; without it the app is meant whose seller is named. The API's parameters are a form, " +
		"or a JSON object or XML `<request>` as the body; of a name in both, the query counts. In JSON an answer stands in `response`, with `json2` at the root, an error with flag, code, message, sub_code, sub_message and request_id; in XML both are as on the page.\n\n" +
		"Where a destination waits for the call, the merchant's answer is the caller's. These are code " + contract.TOPFaults[contract.BackendFailed].Code + " and mean that he gave none:\n\n" +
		row("sub_code", "when", "do") + row("---", "---", "---")
	for _, r := range contract.TOPBackend {
		if r.When != "" {
			b += row(code(r.Code), r.When, adviceOf(contract.OrderIntercept, r))
		}
	}
	b += "\n## The merchant's end: `" + wire.SPIPath + "`\n\nSigned as Qimen signs: always MD5, over the headers that `top-sign-list` names, query, form and raw body, with the secret of `target_app_key`, else of `app_key`. " +
		"Every answer is HTTP 200, in the page's shape: an error has its code in `errorCode`.\n\n### Order of checks\n\nThe first that fails is the answer.\n\n" + row("#", "check", "errorCode") + row("---", "---", "---")
	for i, c := range intake.SPIChecks {
		var codes []string
		for _, fault := range c.Faults {
			refused := wire.SPI{}.Word(contract.OrderIntercept, fault, "")
			switch {
			case fault == contract.BusinessRefused:
				codes = append(codes, "the API's own")
			case fault == contract.BackendFailed:
				codes = append(codes, "those above")
			default:
				codes = append(codes, code(cmp.Or(refused.SubCode, refused.Code)))
			}
		}
		b += row(strconv.Itoa(i+1), c.Text, strings.Join(slices.Compact(codes), ", "))
	}
	return b + optionTable(order.TOPOptions)
}

func replyRows(fields []contract.Field, indent string) (b string) {
	for _, f := range fields {
		name := f.Name
		if f.Item != "" {
			name += "." + f.Item + "[]"
		}
		b += row(indent+code(name), string(f.Type), code(f.Example), f.Text) + replyRows(f.Fields, indent+"└ ")
	}
	return b
}

func fieldTable(fields []contract.Field) string {
	if len(fields) == 0 {
		return "None.\n"
	}
	return row("name", "type", "required", "limit", "example", "text") + row("---", "---", "---", "---", "---", "---") + fieldRows(fields, "")
}

func fieldRows(fields []contract.Field, indent string) (b string) {
	for _, f := range fields {
		required, limit := "", ""
		switch {
		case f.Required:
			required = "yes"
		case f.Asked:
			required = "asked for"
		}
		if f.MaxChars > 0 {
			limit = strconv.Itoa(f.MaxChars) + " characters "
		}
		if f.MaxItems > 0 {
			limit += strconv.Itoa(f.MaxItems) + " entries"
		}
		name := code(f.Name)
		if f.Item != "" {
			name = code(f.Name + "[]")
		}
		b += row(indent+name, string(f.Type), required, strings.TrimSpace(limit), code(f.Example), f.Text) + fieldRows(f.Fields, indent+"└ ")
	}
	return b
}

func topReference() string {
	var b strings.Builder
	b.WriteString("# TOP: `" + wire.TOPPath + "` and `" + wire.BatchPath + "`\n\nCalls that merchants answer may come here or by [Qimen's URLs](qimen.md). Every answer is HTTP 200.\n\n## Protocol parameters\n\n")
	b.WriteString(fieldTable(contract.TOPParams))
	b.WriteString("\n## Order of checks\n\nThe first that fails is the answer. Of a batch, what the request fails is the one answer to all of it; what a call fails is that call's.\n\n" + row("#", "check", "code", "of a batch") + row("---", "---", "---", "---"))
	for i, c := range intake.TOPChecks {
		var codes []string
		for _, fault := range c.Faults {
			codes = append(codes, contract.TOPFaults[fault].Code)
		}
		b.WriteString(row(strconv.Itoa(i+1), c.Text, strings.Join(slices.Compact(codes), ", "), c.Batch.String()))
	}
	b.WriteString("\n## Faults\n\n" + row("code", "msg", "中文", "sub_code", "sub_msg", "when", "do") + row("---", "---", "---", "---", "---", "---", "---"))
	for _, r := range contract.TOPFaults[1:] {
		if r.Code == "" { // Suning's
			continue
		}
		b.WriteString(row(r.Code, contract.Fill(r.Text, "`name`"), r.Chinese, code(r.SubCode), contract.Fill(r.SubText, "N"), whenOf(r.When, r.Reserved), string(r.Advice)))
	}
	return b.String()
}

func verifyReference() string {
	var b strings.Builder
	b.WriteString("# Mistakes that `ordergate verify` names\n\nIts first line is `valid`, or `invalid:` and one of these. For each there is a request in `testdata/verify`.\n\n## TOP\n\n")
	b.WriteString(mistakeTable(wire.Mistakes()))
	b.WriteString("\n## Suning\n\n" + mistakeTable(wire.SuningMistakes()))
	b.WriteString("\n## Reverse calls of Qimen\n\nRequests to `" + wire.SPIPath + "`, or with `--reverse`.\n\n" + mistakeTable(wire.SPIMistakes()))
	return b.String()
}

func mistakeTable(mistakes []wire.Mistake) string {
	b := row("mistake", "what was done", "what to do") + row("---", "---", "---")
	for _, m := range mistakes {
		b += row(code(m.Name), strings.Replace(m.Text, "%s", "…", 1), m.Fix)
	}
	return b
}

func cliReference(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Command line\n\nExit codes: 0 done, 1 refused or failed, 2 misused. Every flag can be given as the environment variable that stands behind it.\n")
	parser, err := newParser(&cli{}, &configResolver{}, func(int) {}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	commands := [][]string{{}}
	for _, leaf := range parser.Model.Leaves(true) {
		var names []string
		for node := leaf; node.Type == kong.CommandNode; node = node.Parent {
			names = append([]string{node.Name}, names...)
		}
		commands = append(commands, names)
	}
	for _, command := range commands {
		help := helpText(t, append(command, "--help"))
		title := strings.Join(append([]string{"ordergate"}, command...), " ")
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s```\n", title, help)
	}
	return b.String()
}

// helpText is what a command's --help prints.
func helpText(t *testing.T, args []string) string {
	t.Helper()
	type done struct{}
	var out bytes.Buffer
	parser, err := newParser(&cli{}, &configResolver{}, func(int) { panic(done{}) }, &out, &out)
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if p := recover(); p != nil && p != any(done{}) {
				panic(p)
			}
		}()
		_, err = parser.Parse(args)
	}()
	return out.String()
}

// The flags offer what the packages know.
func TestFlagsOfferWhatThereIs(t *testing.T) {
	t.Parallel()
	field, _ := reflect.TypeFor[callCmd]().FieldByName("SignMethod")
	var digests []string
	for _, d := range wire.Digests {
		digests = append(digests, string(d))
	}
	if got, want := field.Tag.Get("enum"), strings.Join(digests, ","); got != want {
		t.Errorf("--sign-method offers %s, want %s", got, want)
	}
}

// A decision says the limit that serve sets.
func TestDecisionSaysTheMemory(t *testing.T) {
	t.Parallel()
	if want := fmt.Sprintf("From %d MiB in use", memoryLimit>>20); !strings.Contains(readFile(t, "docs/decisions/0004-limits-of-our-own.md"), want) {
		t.Errorf("decision 0004 does not say %q", want)
	}
}

// The commands that the demo proposes work as they are printed.
func TestProposedCommands(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("ordergate")
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(exec.Command(program, "serve", "--demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-token", "admin"), t.TempDir()+"/log")
	if err != nil {
		t.Fatal(err)
	}
	demo, err := apply.Demo()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	g := &gateway{demo: demo}
	g.cmd.Store(&serveCmd{})
	g.announce(&terminal{out: &said}, resolved(t, p.url), resolved(t, p.adminURL))
	_, commands, _ := strings.Cut(said.String(), "Try:\n")
	ran := 0
	for line := range strings.Lines(commands) {
		want := map[bool]string{true: "\nline ", false: `"`}[strings.Contains(line, "orders show suning")]
		if strings.Contains(line, "orders show taobao") {
			want = "\nevent "
		}
		got := runLine(t, program, p, strings.TrimSuffix(strings.Replace(line, "  ordergate ", "go run ./cmd/ordergate ", 1), "\n"))
		if !strings.Contains(got, want) || strings.Contains(got, "error") {
			t.Errorf("%s%s", line, got)
		}
		ran++
	}
	if ran != 5 {
		t.Errorf("%d commands: %s", ran, said.String())
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

func resolved(t *testing.T, url string) net.Addr {
	t.Helper()
	address, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// runLine runs `go run ./cmd/ordergate …` with the program under test against a
// running gateway.
func runLine(t *testing.T, program string, p *process, line string) string {
	t.Helper()
	args, ok := strings.CutPrefix(line, "go run ./cmd/ordergate ")
	if !ok {
		t.Fatalf("cannot run %q", line)
	}
	cmd := exec.CommandContext(context.Background(), "sh", "-c", `"$0" `+args, program)
	cmd.Env = append(os.Environ(), "ORDERGATE_URL="+p.url, "ORDERGATE_ADMIN_TOKEN=admin")
	out, _ := cmd.Output() // exit codes are the scripts' matter
	return string(out)
}
