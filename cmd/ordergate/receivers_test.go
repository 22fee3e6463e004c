//go:build interop

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// receivers are those of examples/webhooks: how sh builds and runs each, in a folder of its
// own.
var receivers = []struct{ language, needs, build, run string }{
	{"Go", "go", "CGO_ENABLED=0 go build -o receiver $EXAMPLES/receiver.go", "exec ./receiver"},
	{"Python", "python3", "", "exec python3 $EXAMPLES/receiver.py"},
	{"PHP", "php", "", "exec php -S 127.0.0.1:$PORT $EXAMPLES/receiver.php"},
	{"Java", "javac", "javac -Xlint:all -Werror --release 17 -d . $EXAMPLES/Receiver.java", "exec java -cp . Receiver"},
}

const (
	hookSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// Each receiver of the documents accepts what was signed with its secret and lately, and
// nothing else; prints an event once, however often it comes; and takes what a gateway
// sends, with two secrets and in a replay, too.
func TestReceivers(t *testing.T) {
	p := newPorts()
	for _, c := range receivers {
		t.Run(c.language, func(t *testing.T) {
			needProgram(t, c.needs)
			r := startReceiver(t, p.take(t), c.build, c.run)
			for id, body := range map[string]string{
				"ev_1": `{"id":"ev_1","type":"t.x","subject":"17","data":{"type":"no","subject":"no"}}`,
				"ev_2": `{"id":"ev_2","type":"t.x","subject":"17","data":{"中文":"<&>"}}`,
			} {
				checkHooks(t, r, refusedHooks(id, body))
				if printed := r.printed(t, id+" "); len(printed) > 0 {
					t.Errorf("what was refused is printed: %q", printed)
				}
				checkHooks(t, r, acceptedHooks(id, body))
				if got, want := r.printed(t, id+" "), []string{id + " t.x 17"}; !slices.Equal(got, want) {
					t.Errorf("printed %q, want %q", got, want)
				}
			}
			checkDelivery(t, r)
		})
	}
}

// receiver is one that runs.
type receiver struct{ url, events string }

// startReceiver builds and starts a receiver, which ends with the test.
func startReceiver(t *testing.T, port int, build, run string) *receiver {
	t.Helper()
	dir := t.TempDir()
	examples, err := filepath.Abs(root + "examples/webhooks")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "EXAMPLES="+examples, "PORT="+strconv.Itoa(port), "WEBHOOK_SECRET="+hookSecret, "TMPDIR="+dir)
	builder := exec.CommandContext(t.Context(), "sh", "-c", build)
	builder.Dir, builder.Env = dir, env
	if out, err := builder.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	r := &receiver{url: fmt.Sprintf("http://127.0.0.1:%d", port), events: filepath.Join(dir, "events")}
	events, err := os.Create(r.events)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	program := exec.Command("sh", "-c", run)
	program.Dir, program.Env, program.Stdout, program.Stderr = dir, env, events, &log
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
		_ = events.Close()
		if t.Failed() {
			t.Logf("%s said\n%s", run, log.String())
		}
	})
	comesTrue(t, "it listens", func() bool {
		response, err := http.Post(r.url+"/hook", "application/json", strings.NewReader("{}"))
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusUnauthorized
	})
	return r
}

// printed are the lines of a receiver that begin with a text.
func (r *receiver) printed(t *testing.T, prefix string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(r.events)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// comesTrue waits until something is so.
func comesTrue(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// hook is what a receiver is sent, and its answer.
type hook struct {
	name                            string
	path, id, timestamp, signatures string
	body                            string
	want                            int
}

// refusedHooks are those that no receiver may take, of an event.
func refusedHooks(id, body string) []hook {
	now, past, future := timestamp(0), timestamp(-301*time.Second), timestamp(310*time.Second)
	good := signed(hookSecret, id, now, body)
	return []hook{
		{"no signature", "/hook", id, now, "", body, http.StatusUnauthorized},
		{"another body", "/hook", id, now, good, strings.Replace(body, "t.x", "t.y", 1), http.StatusUnauthorized},
		{"another id", "/hook", "ev_9", now, good, body, http.StatusUnauthorized},
		{"another timestamp", "/hook", id, timestamp(-time.Minute), good, body, http.StatusUnauthorized},
		{"another secret", "/hook", id, now, signed(otherSecret, id, now, body), body, http.StatusUnauthorized},
		{"no version", "/hook", id, now, strings.TrimPrefix(good, "v1,"), body, http.StatusUnauthorized},
		{"another version", "/hook", id, now, strings.Replace(good, "v1", "v2", 1), body, http.StatusUnauthorized},
		{"too old", "/hook", id, past, signed(hookSecret, id, past, body), body, http.StatusUnauthorized},
		{"of the future", "/hook", id, future, signed(hookSecret, id, future, body), body, http.StatusUnauthorized},
		{"no number", "/hook", id, "x", signed(hookSecret, id, "x", body), body, http.StatusUnauthorized},
		{"another path", "/other", id, now, good, body, http.StatusNotFound},
	}
}

// acceptedHooks are those that every receiver must take, of one event.
func acceptedHooks(id, body string) []hook {
	now, late := timestamp(0), timestamp(-290*time.Second)
	good, other := signed(hookSecret, id, now, body), signed(otherSecret, id, now, body)
	return []hook{
		{"two signatures, its own last", "/hook", id, now, other + " " + good, body, http.StatusNoContent},
		{"two signatures, its own first", "/hook", id, now, good + " " + other, body, http.StatusNoContent},
		{"again", "/hook", id, now, good, body, http.StatusNoContent},
		{"late, but in time", "/hook", id, late, signed(hookSecret, id, late, body), body, http.StatusNoContent},
	}
}

// timestamp is a webhook-timestamp, so far from now.
func timestamp(off time.Duration) string {
	return strconv.FormatInt(time.Now().Add(off).Unix(), 10)
}

// signed is a webhook-signature as Standard Webhooks says.
func signed(secret, id, timestamp, body string) string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func checkHooks(t *testing.T, r *receiver, hooks []hook) {
	t.Helper()
	for _, h := range hooks {
		header := []string{"Content-Type", "application/cloudevents+json; charset=UTF-8", "Webhook-Id", h.id, "Webhook-Timestamp", h.timestamp}
		if h.signatures != "" {
			header = append(header, "Webhook-Signature", h.signatures)
		}
		if response, _ := ask(t, http.MethodPost, r.url+h.path, h.body, header...); response.StatusCode != h.want {
			t.Errorf("%s: %s, want %d; sent %+v", h.name, response.Status, h.want, h)
		}
	}
}

// checkDelivery has a gateway deliver to a receiver.
func checkDelivery(t *testing.T, r *receiver) {
	t.Helper()
	p := startServe(t, "--demo")
	oms := p.adminURL + "/v1/destinations/oms"
	manage := func(method, url, body string) {
		t.Helper()
		if response, answer := ask(t, method, url, body, "Authorization", bearer); response.StatusCode >= http.StatusMultipleChoices || strings.Contains(answer, `"ok":false`) {
			t.Fatalf("%s %s: %s %s", method, url, response.Status, answer)
		}
	}
	delivered := func(n int) {
		t.Helper()
		line := fmt.Sprintf("ordergate_delivery_attempts_total{destination=\"oms\",result=\"delivered\"} %d\n", n)
		comesTrue(t, line, func() bool {
			_, text := ask(t, http.MethodGet, p.adminURL+"/metrics", "")
			return strings.Contains(text, line)
		})
	}
	manage(http.MethodPut, oms, fmt.Sprintf(`{"kind":"webhook","url":"%s/hook","secret":%q}`, r.url, hookSecret))
	manage(http.MethodPost, oms+"/test", "")
	produce(t, p, `77 'ext={"号":"中文 <&>\""}'`)
	delivered(1)
	manage(http.MethodPost, oms+"/rotate", fmt.Sprintf(`{"secret":%q,"overlap":"1h"}`, otherSecret))
	produce(t, p, "78")
	delivered(2)
	manage(http.MethodPost, oms+"/replay", `{"from_seq":1}`)
	delivered(4)
	for _, event := range []string{"ordergate.test -", "taobao.qimen.event.produce 77", "taobao.qimen.event.produce 78"} {
		count := 0
		for _, line := range r.printed(t, "") {
			if strings.HasSuffix(line, " "+event) {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%d lines of %s, want 1: %q", count, event, r.printed(t, ""))
		}
	}
}
