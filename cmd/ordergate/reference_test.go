package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/doctor"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/store"
	"github.com/ordergate/ordergate/internal/wire"
)

// metricsReference is docs/reference/metrics.md.
func metricsReference() string {
	b := "# Metrics\n\n`/metrics` on the admin port, for Prometheus. Beside these are those of the Go runtime (`go_…`) and of the process (`process_…`). Counters and times are each process's own; gauges about destinations and orders are of the ledger, " +
		"the same from each process that shares it (take their `max`); only `ordergate_destination_up` is each process's own view (take the `min`). [Dashboard and alert rules](../operations.md#watching-it).\n\n" + row("metric", "type", "labels", "what it is") + row("---", "---", "---", "---")
	for _, m := range metricRows {
		labels := ""
		if m.Labels != nil {
			labels = "`" + strings.Join(m.Labels, "` `") + "`"
		}
		b += row(code(m.Name), m.Kind, labels, m.Help)
	}
	return b
}

// configReference is docs/reference/configuration.md.
func configReference(t *testing.T) string {
	parser, err := newParser(&cli{}, &configResolver{}, func(int) {}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b := "# Configuration\n\n`serve --config FILE` reads settings from one YAML file: the flags of `serve`, with `_` for `-`. The same file may hold the declared state, `apps`, `sessions`, `destinations` and `orders` ([format](../apply.md)). " +
		"`${NAME}` in a value is that environment variable. Flags come first, then the environment, then the file. Mistakes are named with line and fix, and nothing is started: `serve --check --config FILE` looks for them and ends. " +
		"Paths in the file, that of the database included, are relative to the folder that `serve` is started in; variables are those that it was started with, also when it reads the file again: a changed environment takes a restart.\n\n" +
		"```yaml\n" + readFile(t, "deploy/ordergate.yaml") + "```\n\n" +
		"On `SIGHUP` the file is read again, with the files that it names: what is marked *live* is taken up, and what the state declares is applied. Of the rest the log says that it takes effect at the next start. When anything in it is wrong, all stays as it was; a document that contradicts what is stored is refused as a whole, with those behind it.\n\n" +
		row("setting", "environment", "default", "live", "what it is") + row("---", "---", "---", "---", "---")
	live, _ := changes(&serveCmd{}, everything())
	isLive := map[string]bool{"tls-cert": true, "tls-key": true} // renewed; not begun
	for _, c := range live {
		isLive[c.flag] = true
	}
	for _, flag := range parser.Model.Children[0].Flags {
		if flag.Name == "help" || flag.Name == configFlag || flag.Name == "check" {
			continue
		}
		mark := ""
		if isLive[flag.Name] {
			mark = "yes"
		}
		b += row(code(strings.ReplaceAll(flag.Name, "-", "_")), code(strings.Join(flag.Envs, "` `")), code(flag.Default), mark, strings.ReplaceAll(strings.ReplaceAll(flag.Help, " (default "+flag.Default+")", ""), "  ", " "))
	}
	return b
}

// everything is a serveCmd all of whose settings are others than in an empty one.
func everything() *serveCmd {
	return &serveCmd{
		Listen: "x", Admin: "x", Database: "x", Demo: true, Sandbox: true, Apply: []string{"x"}, AdminToken: "x", AdminTokenFile: "x", Key: "x", KeyFile: "x", AllowPrivate: []string{"x"},
		AlertStuck: 1, AlertRefund: 1, Keep: "x", QimenAge: 1, TrustedProxies: []string{"x"}, TLSCert: "x", TLSKey: "x", Drain: 1, Trace: "x", TraceShare: 1, LogLevel: 1, LogFormat: "x",
	}
}

// doctorTable is the part of docs/operations.md about the doctor.
func doctorTable() string {
	b := row("check", "looks") + row("---", "---")
	for _, c := range doctor.Checks {
		b += row(c.Name, c.Text)
	}
	return b
}

// What is compared when the configuration is read again has every setting, and each has
// its flag.
func TestEverySettingIsCompared(t *testing.T) {
	t.Parallel()
	live, later := changes(&serveCmd{}, everything())
	parser, err := newParser(&cli{}, &configResolver{}, func(int) {}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range append(live, later...) {
		known[c.flag] = true
	}
	for _, flag := range parser.Model.Children[0].Flags {
		if name := flag.Name; name != "help" && name != configFlag && name != "check" && !known[name] {
			t.Errorf("--%s is not compared", name)
		}
		delete(known, flag.Name)
	}
	if len(known) > 0 {
		t.Errorf("no flags: %v", known)
	}
}

// serve's defaults are those that the packages have where nobody says, and those that the
// documents name.
func TestDefaultsAgree(t *testing.T) {
	t.Parallel()
	c := &cli{}
	parser, err := newParser(c, &configResolver{}, func(int) {}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve"}); err != nil {
		t.Fatal(err)
	}
	if s := &c.Serve; s.AlertStuck != order.StuckAfter || s.AlertRefund != order.RefundNear {
		t.Errorf("--alert-stuck %v and --alert-refund %v, and the packages have %v and %v", s.AlertStuck, s.AlertRefund, order.StuckAfter, order.RefundNear)
	}
	said := fmt.Sprintf("`serve --alert-stuck %dh --alert-refund %dm`", int(order.StuckAfter.Hours()), int(order.RefundNear.Minutes()))
	if !strings.Contains(readFile(t, "docs/delivery.md"), said) {
		t.Errorf("docs/delivery.md does not say %s", said)
	}
}

// Operations and security say the limits that the program has.
func TestDocumentsSayTheLimits(t *testing.T) {
	t.Parallel()
	seconds := func(d time.Duration) int { return int(d.Seconds()) }
	for _, c := range []struct{ file, text string }{
		{"security.md", fmt.Sprintf("A request has %d seconds for its headers and %d in all, and at most %d MiB", seconds(headerTimeout), seconds(requestTimeout), wire.MaxBody>>20)},
		{"security.md", fmt.Sprintf("%d,%03d waiting calls", store.DefaultQueue/1000, store.DefaultQueue%1000)},
		{"security.md", fmt.Sprintf("the last %d,%03d, at most", order.KeptRefused/1000, order.KeptRefused%1000)},
		{"security.md", fmt.Sprintf("at most %d KiB of an answer", dispatch.MaxAnswer>>10)},
		{"security.md", fmt.Sprintf("time (%d minutes)", int(wire.Tolerance.Minutes()))},
		{"operations.md", fmt.Sprintf("up to %d seconds; when it is red", seconds(readyTimeout))},
		{"operations.md", fmt.Sprintf("what was accepted is finished within %d seconds", seconds(stopTimeout))},
		{"operations.md", fmt.Sprintf("take up to %d MiB before", memoryLimit>>20)},
		{"zh/security.md", fmt.Sprintf("请求头限时 %d 秒，整个请求限时 %d 秒，最大 %d MiB", seconds(headerTimeout), seconds(requestTimeout), wire.MaxBody>>20)},
		{"zh/security.md", fmt.Sprintf("最近 %d,%03d 次", order.KeptRefused/1000, order.KeptRefused%1000)},
		{"zh/operations.md", fmt.Sprintf("已接受的调用在 %d 秒内处理完", seconds(stopTimeout))},
	} {
		if !strings.Contains(strings.ReplaceAll(readFile(t, "docs/"+c.file), "\n", " "), c.text) {
			t.Errorf("docs/%s does not say %q", c.file, c.text)
		}
	}
}

var (
	exampleSetting = regexp.MustCompile(`^(?:# )?([a-z_]+):`)
	exampleSection = regexp.MustCompile(`^# [^:]*$`)
)

// The example names settings that there are, and marks those that take a restart.
func TestExampleConfiguration(t *testing.T) {
	t.Parallel()
	live, later := changes(&serveCmd{}, everything())
	isLive := map[string]bool{"tls_cert": true, "tls_key": true} // renewed; not begun
	for _, c := range later {
		if name := strings.ReplaceAll(c.flag, "-", "_"); !isLive[name] {
			isLive[name] = false
		}
	}
	for _, c := range live {
		isLive[strings.ReplaceAll(c.flag, "-", "_")] = true
	}
	restart, seen := false, 0
	for line := range strings.Lines(readFile(t, "deploy/ordergate.yaml")) {
		line = strings.TrimSuffix(line, "\n")
		if exampleSection.MatchString(line) {
			restart = strings.HasSuffix(line, "[restart]")
		}
		found := exampleSetting.FindStringSubmatch(line)
		if found == nil || slices.Contains([]string{"apps", "sessions", "destinations", "orders"}, found[1]) {
			continue
		}
		seen++
		marked := restart || strings.Contains(line, "[restart]")
		if is, known := isLive[found[1]]; !known {
			t.Errorf("there is no setting %s", found[1])
		} else if is == marked && !strings.HasPrefix(found[1], "tls_") { // they stand among the ports, and say what is read again
			t.Errorf("%s is live: %v, and the example says otherwise", found[1], is)
		}
	}
	if seen < 15 {
		t.Errorf("%d settings", seen)
	}
}
