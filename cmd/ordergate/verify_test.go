package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/internal/wire"
)

var vectorNumber = regexp.MustCompile(`-[0-9]+$`)

// Each mistake has a request that makes it, signed by another program
// (testdata/verify/make.py); verify names it, and never a secret.
func TestVerifyNamesMistakes(t *testing.T) {
	t.Parallel()
	for folder, mistakes := range map[string][]wire.Mistake{"": wire.Mistakes(), "suning/": wire.SuningMistakes(), "qimen/": wire.SPIMistakes()} {
		verifyFolder(t, root+"testdata/verify/"+folder, mistakes)
	}
}

// verifyFolder compares what verify says of the requests of a folder with their
// names. It must have one of each mistake.
func verifyFolder(t *testing.T, folder string, mistakes []wire.Mistake) {
	t.Helper()
	files, err := filepath.Glob(folder + "*.http")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	named := map[string]bool{"valid": true}
	for _, file := range files {
		mistake := vectorNumber.ReplaceAllString(strings.TrimSuffix(filepath.Base(file), ".http"), "")
		named[mistake] = true
		want, code := "invalid: "+mistake, exitRefused
		if mistake == "valid" {
			want, code = "valid", exitDone
		}
		var out, errs bytes.Buffer
		got := run(&terminal{Context: t.Context(), out: &out, err: &errs, args: []string{"verify", file, "--secret", "helloworld", "--now", "2024-06-18 12:00:00"}})
		first, rest, _ := strings.Cut(out.String(), "\n")
		if first != want || got != code {
			t.Errorf("%s: exit %d, %q, want %d, %q\n%s", file, got, first, code, want, errs.String())
		}
		if strings.Contains(rest, "helloworld") || strings.Contains(rest, "sessiontest") || strings.Contains(rest, "hush") {
			t.Errorf("%s: a secret is printed: %s", file, rest)
		}
		if mistake != "valid" && !strings.Contains(rest, "\nfix: ") {
			t.Errorf("%s: no advice: %s", file, rest)
		}
	}
	for _, m := range mistakes {
		if !named[m.Name] {
			t.Errorf("%s has no request in %s", m.Name, folder)
		}
		delete(named, m.Name)
	}
	if len(named) != 1 {
		t.Errorf("requests of mistakes that do not exist: %v", named)
	}
}

// What editors and terminals do to a file does no harm.
func TestVerifyReadsEditedFiles(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(root + "testdata/verify/valid-1.http")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, edited := range map[string]string{
		"line ends":           strings.ReplaceAll(text, "\r\n", "\n"),
		"a last line end":     text + "\n",
		"both":                strings.ReplaceAll(text, "\r\n", "\n") + "\n",
		"no length":           regexp.MustCompile("Content-Length: .*\r\n").ReplaceAllString(text, ""),
		"wrong length":        regexp.MustCompile("Content-Length: .*\r\n").ReplaceAllString(text, "Content-Length: 7\r\n"),
		"blank in front":      "\n" + text,
		"CRLF in front":       "\r\n\r\n" + text,
		"a mark in front":     "\ufeff" + text,
		"HTTP/2":              strings.Replace(text, "HTTP/1.1", "HTTP/2", 1),
		"no length, line end": regexp.MustCompile("Content-Length: .*\r\n").ReplaceAllString(text, "") + "\n",
		"chunked no more":     regexp.MustCompile("Content-Length: .*\r\n").ReplaceAllString(text, "Transfer-Encoding: chunked\r\n"),
	} {
		file := t.TempDir() + "/request"
		if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := run(&terminal{Context: t.Context(), out: &out, err: &errs, args: []string{"verify", file, "--secret", "helloworld", "--now", "2024-06-18 12:00:00"}}); code != exitDone || out.String() != "valid\n" {
			t.Errorf("%s: exit %d, %s%s", name, code, out.String(), errs.String())
		}
	}
	for name, c := range map[string]struct{ content, now string }{
		"no request":      {"hello\n", ""},
		"nothing":         {"", ""},
		"no file":         {"", ""},
		"a bad --now":     {text, "today"},
		"a body too long": {"POST /router/rest HTTP/1.1\r\nHost: h\r\n\r\na=" + strings.Repeat("x", 2<<20), ""},
	} {
		file := t.TempDir() + "/request"
		if name != "no file" {
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{"verify", file, "--secret", "helloworld"}
		if c.now != "" {
			args = append(args, "--now", c.now)
		}
		var out, errs bytes.Buffer
		if code := run(&terminal{Context: t.Context(), out: &out, err: &errs, args: args}); code == exitDone || out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("%s: exit %d, %s%s", name, code, out.String(), errs.String())
		}
	}
}
