package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// Everything that the pages say has its row in texts, and every row is said somewhere.
func TestTextsAreWhole(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	say := func(texts ...string) {
		for _, text := range texts {
			if text != "" {
				said[text] = true
			}
		}
	}
	for text := range templateTexts(t) {
		say(text)
	}
	for text := range sourceTexts(t) {
		say(text)
	}
	for _, f := range slices.Concat(appFields, newAppFields, destinationFields, newDestinationFields, faultFields) {
		say(f.Label, f.Help, f.Absent)
	}
	for _, c := range importColumns {
		say(c.Text)
	}
	for _, g := range menu {
		say(g.Title)
		for _, item := range g.Items {
			say(item.Title)
		}
	}
	say(notices...)
	say(slices.Collect(maps.Values(adviceTexts))...)
	say(slices.Collect(maps.Values(eventNames))...)
	for text := range said {
		if texts[text] == "" {
			t.Errorf("%q has no row in texts", text)
		}
	}
	for text, translated := range texts {
		if !said[text] {
			t.Errorf("%q is said nowhere", text)
		}
		if strings.Count(text, "%") != strings.Count(translated, "%") {
			t.Errorf("%q leaves something else open than %q", text, translated)
		}
	}
	for _, state := range slices.Concat(allStages(), []order.State{}) {
		if stateTexts[string(state)] == "" {
			t.Errorf("state %s has no Chinese word", state)
		}
	}
	for _, state := range deliveryStates {
		if stateTexts[string(state)] == "" {
			t.Errorf("state %s has no Chinese word", state)
		}
	}
	for _, state := range order.LockStates {
		if stateTexts[string(state)] == "" {
			t.Errorf("state %s has no Chinese word", state)
		}
	}
	mistakes := map[string]bool{}
	for _, m := range slices.Concat(wire.Mistakes(), wire.SuningMistakes(), wire.SPIMistakes()) {
		for _, text := range []string{m.Text, m.Fix} {
			if mistakes[text] = true; mistakeTexts[text] == "" || strings.Contains(text, "%s") != strings.Contains(mistakeTexts[text], "%s") {
				t.Errorf("%q has no Chinese words, or leaves something else open: %q", text, mistakeTexts[text])
			}
		}
	}
	for text := range mistakeTexts {
		if !mistakes[text] {
			t.Errorf("%q is no mistake's", text)
		}
	}
	for _, name := range order.OwnEvents {
		if eventNames[name] == "" {
			t.Errorf("event %s has no name", name)
		}
	}
	for _, api := range contract.All {
		if apiNames[api.Method] == "" {
			t.Errorf("%s has no English name", api.Method)
		}
	}
	for _, advice := range []contract.Advice{contract.Fix, contract.Retry, contract.Done, contract.Stop} {
		if adviceTexts[advice] == "" {
			t.Errorf("advice %s has no words", advice)
		}
	}
}

// templateTexts are the texts that templates translate.
func templateTexts(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	var walk func(parse.Node)
	walk = func(n parse.Node) {
		switch n := n.(type) {
		case *parse.ListNode:
			if n != nil {
				for _, one := range n.Nodes {
					walk(one)
				}
			}
		case *parse.ActionNode:
			walk(n.Pipe)
		case *parse.IfNode:
			walk(n.Pipe)
			walk(n.List)
			walk(n.ElseList)
		case *parse.RangeNode:
			walk(n.Pipe)
			walk(n.List)
			walk(n.ElseList)
		case *parse.WithNode:
			walk(n.Pipe)
			walk(n.List)
			walk(n.ElseList)
		case *parse.TemplateNode:
			if n.Pipe != nil {
				walk(n.Pipe)
			}
		case *parse.PipeNode:
			for _, c := range n.Cmds {
				walk(c)
			}
		case *parse.CommandNode:
			if name, ok := n.Args[0].(*parse.IdentifierNode); ok && name.Ident == "t" {
				if text, ok := n.Args[1].(*parse.StringNode); ok {
					found[text.Text] = true
				}
			}
			for _, arg := range n.Args {
				walk(arg)
			}
		}
	}
	for _, page := range templates[english] {
		for _, one := range page().Templates() {
			if one.Tree != nil {
				walk(one.Tree.Root)
			}
		}
	}
	return found
}

// sourceTexts are the texts that the program translates: the first of what say is told.
func sourceTexts(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			called := ""
			switch f := call.Fun.(type) {
			case *ast.SelectorExpr:
				called = f.Sel.Name
			case *ast.Ident:
				called = f.Name
			}
			if text, ok := call.Args[0].(*ast.BasicLit); ok && text.Kind == token.STRING && (called == "say" || called == "refuse") {
				value, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				found[value] = true
			}
			return true
		})
	}
	return found
}

// Every notice that a page is told is one that it says.
func TestNotices(t *testing.T) {
	t.Parallel()
	source, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range source {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?:v\.done\([^\n"]*(?:"[^"\n]*"[^\n"]*)?|notice :?= |return (?:nil|entered), )"([A-Z][a-z ]+\.)"`).FindAllStringSubmatch(string(data), -1) {
			if !isNotice(found[1]) {
				t.Errorf("%s: %q is no notice", name, found[1])
			}
		}
	}
}

// The assets that are not ours are those of npm, as assets/README.md says.
func TestAssetsAreThoseOfNpm(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("assets/README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\| `([0-9a-f]{64})` \\|$").FindAllStringSubmatch(string(doc), -1)
	if len(rows) != 5 {
		t.Errorf("%d rows", len(rows))
	}
	for _, row := range rows {
		data, err := os.ReadFile("assets/" + row[1])
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != row[2] {
			t.Errorf("%s is not the file that README.md names: %x", row[1], sum)
		}
	}
}

// docs/console.md says the numbers that the code goes by.
func TestGuideSaysTheNumbers(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	words := map[int]string{5: "five"}
	for _, want := range []string{
		fmt.Sprintf("A session lasts %d hours", sessionTime/time.Hour),
		fmt.Sprintf("After %s wrong tokens an address may try once in %d seconds", words[maxAttempts], attemptEvery/time.Second),
		"at most " + groupDigits(mostImported) + " orders",
		"The last " + groupDigits(order.KeptRefused),
	} {
		if !strings.Contains(string(guide), want) {
			t.Errorf("docs/console.md does not say: %s", want)
		}
	}
	if text := "The last " + groupDigits(order.KeptRefused) + ", in memory."; texts[text] == "" {
		t.Errorf("the page of refused calls does not say: %s", text)
	}
}

// The limits and defaults that the forms tell are those that hold.
func TestFormsTellTheLimits(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ help, absent string }{
		"timeout":       {"at most " + order.MaxTimeout.String(), order.DefaultTimeout.String()},
		"max_in_flight": {"", strconv.Itoa(order.DefaultMaxInFlight)},
	} {
		i := slices.IndexFunc(destinationFields, func(f field) bool { return f.Name == name })
		if f := destinationFields[i]; !strings.HasSuffix(f.Help, want.help) || f.Absent != want.absent {
			t.Errorf("%s tells %q and %q, want %q and %q", name, f.Help, f.Absent, want.help, want.absent)
		}
	}
	i := slices.IndexFunc(faultFields, func(f field) bool { return f.Name == "delay" })
	if f, want := faultFields[i], "at most "+order.MaxDelay.String(); !strings.HasSuffix(f.Help, want) {
		t.Errorf("delay tells %q, want %q", f.Help, want)
	}
}
