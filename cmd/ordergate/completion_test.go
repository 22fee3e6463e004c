package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shells run a completion script on a line whose last word is to be completed, and print
// what it offers, one a line.
var shells = map[string]string{
	"bash": `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ordergate; printf '%s\n' "${COMPREPLY[@]}"`,
	"zsh": `compdef() { }; _files() { }; _describe() { for entry in $entries; do name=${${entry//\\:/%}%%:*}; [[ ${name//\%/:} == ${words[CURRENT]}* ]] && print -r -- ${name//\%/:}; done }
		source "$0"; words=("$@"); CURRENT=$#; _ordergate`,
	"fish": `source $argv[1]; complete -C (string join ' ' -- $argv[2..-1]) | string replace -r '\t.*' ''`,
}

// A shell offers commands, their flags, the values of flags, and the methods that are
// called.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, program := range shells {
		path, err := exec.LookPath(shell)
		if err != nil && os.Getenv("CI") == "" {
			continue // make test says which shells it tried
		} else if err != nil {
			t.Fatal(err)
		}
		script := filepath.Join(t.TempDir(), "completion."+shell)
		if err := os.WriteFile(script, []byte(mustRun(t, "completion", shell)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			line string
			want []string
		}{
			{"ordergate des", []string{"destinations"}},
			{"ordergate destinations re", []string{"replay"}},
			{"ordergate serve --log-f", []string{"--log-format"}},
			{"ordergate serve --log-format ", []string{"json", "text"}},
			{"ordergate call suning.self", []string{"suning.selfmarket.leaguerstatus.add"}},
			{"ordergate backup --datab", []string{"--database"}},
		} {
			words := strings.Split(c.line, " ")
			args := append([]string{"-c", program, script}, words...)
			if shell == "fish" {
				args = append([]string{"-c", program, "--", script}, words...)
			}
			out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
			got := strings.Fields(string(out))
			slices.Sort(got)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: %q: %v, want %v (%v)", shell, c.line, got, c.want, err)
			}
		}
	}
}

// request is what the man page may ask of its formatter.
var request = regexp.MustCompile(`^\.(TH|SH|SS|TP|B|I|PP|br)\b`)

// The man page has every command and every flag, and what the help says of them.
func TestManPageHasEverything(t *testing.T) {
	t.Parallel()
	page := strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\e`, `\`).Replace(mustRun(t, "man"))
	all, err := commands()
	if err != nil {
		t.Fatal(err)
	}
	flags := 0
	for _, c := range all[1:] {
		if c.subs != nil {
			continue
		}
		if !strings.Contains(page, "\n.SS ordergate "+strings.Join(c.path, " ")) {
			t.Errorf("no command %v", c.path)
		}
		for _, flag := range c.own {
			flags++
			if !strings.Contains(page, "\n.B --"+flag.Name) || !strings.Contains(page, strings.TrimSpace(flag.Help)) {
				t.Errorf("%v: no flag --%s", c.path, flag.Name)
			}
		}
	}
	if flags < 50 {
		t.Errorf("%d flags", flags)
	}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, ".") && !request.MatchString(line) {
			t.Errorf("%q is taken for a request", line)
		}
	}
}
