// Package ordergate_test holds what is true of the project as a whole.
package ordergate_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite generated files")

const module = "github.com/ordergate/ordergate"

// Packages and import directions are those of docs/imports.txt. Who changes
// them changes that file, and says why.
func TestImports(t *testing.T) {
	t.Parallel()
	const file = "docs/imports.txt"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name, own := strings.TrimPrefix(words[0], module+"/"), []string{}
		if words[0] == module { // this file's
			continue
		}
		for _, imported := range words[1:] {
			if path, ok := strings.CutPrefix(imported, module+"/"); ok {
				own = append(own, path)
			}
		}
		packages = append(packages, strings.TrimRight(fmt.Sprintf("%s: %s", name, strings.Join(own, " ")), " "))
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	comment, list, _ := strings.Cut(string(want), "\n\n")
	got := strings.Join(packages, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(comment+"\n\n"+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != list {
		t.Errorf("imports are\n%s\n%s says\n%s\nIf the change is meant: make gen, and say why in its comment.", got, file, list)
	}
}

// Two SQLite libraries in one process corrupt the file.
func TestOneSQLiteDriver(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"github.com/mattn/go-sqlite3", "github.com/ncruces/go-sqlite3", "github.com/glebarez/go-sqlite", "crawshaw.io/sqlite"} {
		if strings.Contains(string(out), other) {
			t.Errorf("%s is linked beside zombiezen.com/go/sqlite", other)
		}
	}
}

// Every direct dependency has its line in docs/dependencies.md, and no other has.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var required, explained []string
	for _, found := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		required = append(required, found[1])
	}
	for _, found := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(string(doc), -1) {
		explained = append(explained, found[1])
	}
	for _, found := range regexp.MustCompile(`(?m)^tool (\S+)$`).FindAllStringSubmatch(string(mod), -1) {
		required = append(required, found[1])
	}
	slices.Sort(required)
	slices.Sort(explained)
	if !slices.Equal(required, explained) {
		t.Errorf("go.mod requires directly\n%v, docs/dependencies.md explains\n%v", required, explained)
	}
}

// The table of faults that others paid for names tests that there are.
func TestFaultsOfOthersAreTested(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("docs/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "## Faults that others paid for")
	out, err := exec.CommandContext(t.Context(), "git", "grep", "--untracked", "-hoE", "^func Test[A-Za-z]+", "--", "*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(table, -1)
	if len(named) < 20 {
		t.Errorf("the table names %d tests", len(named))
	}
	for _, found := range named {
		if !strings.Contains(string(out), "func "+found[1]+"\n") {
			t.Errorf("docs/delivery.md: there is no %s", found[1])
		}
	}
}

// No file names a path of a developer's machine.
func TestNoPathsOfMachines(t *testing.T) {
	t.Parallel()
	machine := regexp.MustCompile(`/(home|root|Users|wor[k])/[a-z]`)
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(out)) {
		data, err := os.ReadFile(strings.TrimSuffix(name, "\n"))
		if found := machine.Find(data); err == nil && found != nil {
			t.Errorf("%s: %s", name, found)
		}
	}
}
