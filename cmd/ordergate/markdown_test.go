package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fence is a fenced block of a document.
type fence struct {
	Line  int // of its first line of text
	Mark  string
	File  string // that the mark names
	Lang  string
	Lines []string
}

const (
	fileMark    = "file:"   // the block is a file that the reader makes
	includeMark = "include" // the block is a file of the project
)

// document is a Markdown file of the project.
type document struct {
	name   string   // relative to the project's folder
	prose  []string // all lines, those of fences empty
	fences []fence
}

var fenceMark = regexp.MustCompile(`^<!-- (file:|include) (\S+) -->$`)

// readDocument takes a Markdown file apart.
func readDocument(t *testing.T, name string) *document {
	t.Helper()
	d := &document{name: name}
	var open *fence
	above := ""
	for i, line := range strings.Split(readFile(t, name), "\n") {
		lang, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case open != nil && isFence && lang == "":
			d.fences, open = append(d.fences, *open), nil
		case open != nil:
			open.Lines = append(open.Lines, line)
		case isFence:
			open = &fence{Line: i + 2, Lang: lang}
			if mark := fenceMark.FindStringSubmatch(above); mark != nil {
				open.Mark, open.File = mark[1], mark[2]
			}
		default:
			d.prose = append(d.prose, line)
			above = line
			continue
		}
		d.prose = append(d.prose, "")
		above = ""
	}
	if open != nil {
		t.Errorf("%s:%d: the block does not end", name, open.Line)
	}
	return d
}

// documentNames are the Markdown files of docs.
func documentNames(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root+"docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			names = append(names, strings.TrimPrefix(filepath.ToSlash(path), root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

var includeLangs = map[string]string{".go": "go", ".py": "python", ".php": "php", ".java": "java"}

var included = regexp.MustCompile(`(?ms)^<!-- include (\S+) -->\n.*?^<!-- /include -->\n`)

// withIncludes is a text with the files that it includes as they are now.
func withIncludes(t *testing.T, text string) string {
	t.Helper()
	return included.ReplaceAllStringFunc(text, func(part string) string {
		name := included.FindStringSubmatch(part)[1]
		return fmt.Sprintf("<!-- include %s -->\n```%s\n%s```\n<!-- /include -->\n", name, includeLangs[filepath.Ext(name)], readFile(t, name))
	})
}

// chinese is the folder of the Chinese documents.
const chinese = "docs/zh/"

// A Chinese document shows the same files, commands and outputs as the English one, in the
// same order; and each guide has one.
func TestTwins(t *testing.T) {
	t.Parallel()
	names := documentNames(t)
	for _, name := range names {
		if english, ok := strings.CutPrefix(name, chinese); ok {
			compareTwins(t, readDocument(t, name), readDocument(t, "docs/"+english))
		} else if guide, ok := strings.CutPrefix(name, "docs/"); ok && strings.HasPrefix(guide, "guides/") && !slices.Contains(names, chinese+guide) {
			t.Errorf("%s has no Chinese twin", name)
		}
	}
	compareTwins(t, readDocument(t, "README.zh-CN.md"), readDocument(t, "README.md"))
}

func compareTwins(t *testing.T, got, want *document) {
	t.Helper()
	if len(got.fences) != len(want.fences) {
		t.Errorf("%s has %d blocks, %s %d", got.name, len(got.fences), want.name, len(want.fences))
	}
	for i := range min(len(got.fences), len(want.fences)) {
		g, w := got.fences[i], want.fences[i]
		if g.text() != w.text() {
			t.Errorf("%s:%d has\n%s\n%s:%d has\n%s", got.name, g.Line, g.text(), want.name, w.Line, w.text())
			return // what follows is one off
		}
	}
}

// text is a block as it stands, with its mark.
func (f fence) text() string {
	return strings.Join(append([]string{f.Mark + " " + f.File, "```" + f.Lang}, f.Lines...), "\n")
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	linkTarget = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:href|src)="([^"]+)"`)
	linkScheme = regexp.MustCompile(`^[a-z]+:`)
)

// Every link within the project leads to a file, and one with an anchor to a heading of it.
func TestLinks(t *testing.T) {
	t.Parallel()
	anchors := map[string]map[string]bool{} // by file
	links := 0
	for _, name := range markdownNames(t) {
		for i, line := range readDocument(t, name).prose {
			for _, found := range linkTarget.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
				target := found[1] + found[2]
				if linkScheme.MatchString(target) {
					continue
				}
				links++
				path, anchor, _ := strings.Cut(target, "#")
				file := name
				if path != "" {
					file = filepath.ToSlash(filepath.Join(filepath.Dir(name), path))
				}
				if _, err := os.Stat(root + file); err != nil {
					t.Errorf("%s:%d: %s: there is no %s", name, i+1, target, file)
					continue
				}
				if anchor != "" && anchors[file] == nil {
					anchors[file] = anchorsOf(readDocument(t, file))
				}
				if anchor != "" && !anchors[file][anchor] {
					t.Errorf("%s:%d: %s: %s has no heading of that anchor", name, i+1, target, file)
				}
			}
		}
	}
	if links < 100 {
		t.Errorf("%d links", links)
	}
}

// markdownNames are all Markdown files of the project but the vendors' pages.
func markdownNames(t *testing.T) (names []string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-co", "--exclude-standard", "--", "*.md", ":!testdata")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

var (
	heading     = regexp.MustCompile(`^#{1,6} +(.*?) *#*$`)
	headingLink = regexp.MustCompile(`!?\[([^]]*)\]\([^)]*\)`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{M}\p{Nd}\p{Pc}\- ]`)
)

// anchorsOf are the anchors of a document's headings, as GitHub makes them.
func anchorsOf(d *document) map[string]bool {
	anchors := map[string]bool{}
	for _, line := range d.prose {
		found := heading.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		text := notInAnchor.ReplaceAllString(headingLink.ReplaceAllString(found[1], "$1"), "")
		base := strings.ReplaceAll(strings.ToLower(text), " ", "-")
		anchor := base
		for n := 1; anchors[anchor]; n++ {
			anchor = fmt.Sprintf("%s-%d", base, n)
		}
		anchors[anchor] = true
	}
	return anchors
}

// Anchors are what GitHub makes of headings.
func TestAnchors(t *testing.T) {
	t.Parallel()
	for heading, want := range map[string]string{
		"## The 100 minutes":             "the-100-minutes",
		"### 100 分钟":                     "100-分钟",
		"## 收到什么：五条规则（必读）":               "收到什么五条规则必读",
		"# `serve --config FILE`":        "serve---config-file",
		"## [Suning](suning.md), again!": "suning-again",
		"## snake_case & Größe":          "snake_case--größe",
	} {
		if got := anchorsOf(&document{prose: []string{heading}}); !got[want] {
			t.Errorf("%s is %v, want %s", heading, got, want)
		}
	}
	if got := anchorsOf(&document{prose: []string{"## Try it", "text", "# Try it"}}); !got["try-it"] || !got["try-it-1"] {
		t.Errorf("of two headings with one text: %v", got)
	}
}
