package secret

import (
	"bytes"
	"encoding/base64"
	"os"
	"strings"
	"testing"
)

func key(t *testing.T, b byte) *Key {
	t.Helper()
	k, err := New(bytes.Repeat([]byte{b}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSeal(t *testing.T) {
	t.Parallel()
	k := key(t, 1)
	for _, text := range []string{"", "helloworld", strings.Repeat("密", 1000)} {
		sealed := k.Seal(text, "app/1")
		if text != "" && bytes.Contains(sealed, []byte(text)) {
			t.Errorf("%q is readable", text)
		}
		if got, err := k.Open(sealed, "app/1"); err != nil || got != text {
			t.Errorf("%q opens as %q, %v", text, got, err)
		}
		if bytes.Equal(sealed, k.Seal(text, "app/1")) {
			t.Errorf("%q is sealed the same twice", text)
		}
		if _, err := k.Open(sealed, "app/2"); err == nil {
			t.Errorf("%q opens at another place", text)
		}
		if _, err := key(t, 2).Open(sealed, "app/1"); err == nil {
			t.Errorf("%q opens with another key", text)
		}
		sealed[len(sealed)-1] ^= 1
		if _, err := k.Open(sealed, "app/1"); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q, damaged: %v", text, err)
		}
	}
	if _, err := k.Open(nil, "app/1"); err == nil {
		t.Error("nothing opens")
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	k := key(t, 1)
	again := key(t, 1)
	if k.Mark("a") != again.Mark("a") || k.Mark("a") == k.Mark("b") || k.Mark("a") == key(t, 2).Mark("a") {
		t.Error("marks")
	}
	if k.Fingerprint() == key(t, 2).Fingerprint() || len(k.Fingerprint()) != 16 {
		t.Errorf("fingerprint %s", k.Fingerprint())
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, KeySize))
	if k, err := Parse(" " + good + "\n"); err != nil || k.Fingerprint() != key(t, 1).Fingerprint() {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"", "hush-hush", base64.StdEncoding.EncodeToString([]byte("short")), good + good} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32") || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/x.key"
	first, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil || first.Fingerprint() != again.Fingerprint() {
		t.Errorf("loaded again: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged file: %v", err)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty file: %v", err)
	}
	if _, err := Load(t.TempDir() + "/no/such/folder"); err == nil {
		t.Error("no folder")
	}
}
