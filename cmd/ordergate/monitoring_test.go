package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var ownMetric = regexp.MustCompile(`ordergate_[a-z_]+`)

// familyOf is the metric of a series: those of a histogram have suffixes.
func familyOf(series string) string {
	for _, row := range metricRows {
		if row.Kind == histogramKind && slices.Contains([]string{row.Name + "_bucket", row.Name + "_sum", row.Name + "_count"}, series) {
			return row.Name
		}
	}
	return series
}

// Dashboard and alert rules ask for metrics that there are, by labels that they have; and
// whatever is measured is on the dashboard.
func TestDashboardAndRulesAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	known := map[string]metricRow{}
	for _, row := range metricRows {
		known[row.Name] = row
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	text := readFile(t, "deploy/grafana/ordergate.json")
	if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
		t.Fatal(err)
	}
	shown, ids := map[string]bool{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H == 0 {
			t.Errorf("panel %d %q has no place or id of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			for _, series := range ownMetric.FindAllString(target.Expr, -1) {
				shown[familyOf(series)] = true
			}
			checkSeries(t, known, p.Title, target.Expr)
		}
	}
	for _, row := range metricRows {
		if !shown[row.Name] {
			t.Errorf("the dashboard does not show %s", row.Name)
		}
	}
	rules := readFile(t, "deploy/prometheus/rules.yaml")
	checkSeries(t, known, "rules.yaml", rules)
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(readFile(t, "deploy/prometheus/rules_test.yaml"), "alertname: "+alert[1]) {
			t.Errorf("rules_test.yaml does not try %s", alert[1])
		}
	}
}

var (
	selector = regexp.MustCompile(`(ordergate_[a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`(\w+)=`)
	grouping = regexp.MustCompile(`by \(([^)]*)\)`)
)

// checkSeries looks for names and labels in queries that no metric has.
func checkSeries(t *testing.T, known map[string]metricRow, where, text string) {
	t.Helper()
	labels := []string{"instance", "le"}
	for _, series := range ownMetric.FindAllString(text, -1) {
		row, ok := known[familyOf(series)]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, series)
		}
		labels = append(labels, row.Labels...)
	}
	for _, found := range selector.FindAllStringSubmatch(text, -1) {
		for _, label := range matcher.FindAllStringSubmatch(found[2], -1) {
			if label[1] != "instance" && !slices.Contains(known[familyOf(found[1])].Labels, label[1]) {
				t.Errorf("%s: %s has no label %s", where, found[1], label[1])
			}
		}
	}
	for _, found := range grouping.FindAllStringSubmatch(text, -1) {
		for label := range strings.SplitSeq(found[1], ", ") {
			if !slices.Contains(labels, label) {
				t.Errorf("%s: no metric there has a label %s", where, label)
			}
		}
	}
}
