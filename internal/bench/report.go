package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"text/tabwriter"
)

// Report is what a run found.
type Report struct {
	Env     Env                `json:"env"`
	Stages  []Stage            `json:"stages"`
	Ratios  map[string]float64 `json:"ratios"`
	Gates   []Gate             `json:"gates"`
	Checked string             `json:"checked"` // what was compared with the ledger and held, unless something is wrong
	Wrong   []string           `json:"wrong"`   // failed checks of correctness
}

// Stage is one measured load: medians over its rounds.
type Stage struct {
	Name  string  `json:"name"`
	Conns int     `json:"conns"`
	Rate  float64 `json:"rate"` // per second; of events where a request holds several
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	N     int     `json:"n"` // rounds
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	CPU   float64 `json:"cpu_us"` // of the server, for one request or event
	RSS   float64 `json:"rss_mb"` // of the server, the most it had
	Noisy bool    `json:"noisy"`
}

// What the checks compare.
const (
	checkedDelivered = "everything that was answered is in the ledger, once, and was delivered, each order in its order; nothing else was"

	checkedWhole  = "everything that was answered is in the ledger, once, and nothing else"
	checkedCounts = "the ledger has as many events of each API as were answered, each once"
)

// Gate is a ratio or figure that must be reached.
type Gate struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Limit   float64 `json:"limit"`
	AtLeast bool    `json:"at_least"` // else at most
	Result  string  `json:"result"`   // pass, missed, inconclusive
}

// gates are the limits that each figure has, by its name in the report. Figures
// that are no ratio say their unit.
var gates = []Gate{
	{Name: "ingest_64_to_A", Limit: 0.40, AtLeast: true},
	{Name: "ingest_256_to_A", Limit: 0.45, AtLeast: true},
	{Name: "ingest_64_p99_to_A", Limit: 2.5},
	{Name: "ingest_1_p50_to_F", Limit: 8},
	{Name: "batch_to_A", Limit: 0.60, AtLeast: true},
	{Name: "growth", Limit: 0.70, AtLeast: true},
	{Name: "lookup_p99_ms", Limit: 5},
	{Name: "console_overview_p99_ms", Limit: 300},
	{Name: "console_search_p99_ms", Limit: 300},
	{Name: "rss_mb", Limit: 200},
	{Name: "deliver_64_to_A", Limit: 0.22, AtLeast: true},
	{Name: "deliver_64_to_harmonic", Limit: 0.70, AtLeast: true},
	{Name: "deliver_64_share", Limit: sustainedShare, AtLeast: true},
	{Name: "deliver_30_p99_to_F", Limit: 100},
	{Name: "slow_neighbour_p99", Limit: 2},
	{Name: "ten_dest_to_ingest", Limit: 0.90, AtLeast: true},
	{Name: "backlog_to_ingest", Limit: 0.90, AtLeast: true},
	{Name: "backlog_rss_mb", Limit: 250},
	{Name: "pg_256_to_A", Limit: 0.25, AtLeast: true},
	{Name: "pg_group_to_single", Limit: 3, AtLeast: true},
}

// results collects measurements and what is computed from them.
type results struct {
	stages []Stage              // one for each measurement
	ratios map[string][]float64 // by round
	noisy  map[string]bool      // ratios of which a noisy stage is part
	most   map[string]float64   // figures of which the largest counts
	wrong  []string
}

func newResults() *results {
	return &results{ratios: map[string][]float64{}, noisy: map[string]bool{}, most: map[string]float64{}}
}

func (r *results) add(stages ...Stage) { r.stages = append(r.stages, stages...) }

// ratio adds one round's ratio of figures that come from these stages.
func (r *results) ratio(name string, value float64, of ...Stage) {
	r.ratios[name] = append(r.ratios[name], value)
	for _, s := range of {
		r.noisy[name] = r.noisy[name] || s.Noisy
	}
}

// atMost adds a figure of which the largest counts.
func (r *results) atMost(name string, value float64) { r.most[name] = max(r.most[name], value) }

// check adds what a check of correctness found; nil is nothing.
func (r *results) check(err error) {
	if err != nil {
		r.wrong = append(r.wrong, err.Error())
	}
}

// report sums up.
func (r *results) report(env Env, checked string) *Report {
	out := &Report{Env: env, Checked: checked, Ratios: map[string]float64{}, Wrong: r.wrong}
	type key struct {
		name  string
		conns int
	}
	var order []key
	byKey := map[key][]Stage{}
	for _, s := range r.stages {
		k := key{s.Name, s.Conns}
		if byKey[k] == nil {
			order = append(order, k)
		}
		byKey[k] = append(byKey[k], s)
	}
	for _, k := range order {
		all := byKey[k]
		pick := func(f func(Stage) float64) []float64 {
			values := make([]float64, len(all))
			for i, s := range all {
				values[i] = f(s)
			}
			return values
		}
		rates := pick(func(s Stage) float64 { return s.Rate })
		out.Stages = append(out.Stages, Stage{
			Name: k.name, Conns: k.conns, Rate: round3(median(rates)), Min: round3(slices.Min(rates)), Max: round3(slices.Max(rates)), N: len(all),
			P50: round3(median(pick(func(s Stage) float64 { return s.P50 }))), P99: round3(median(pick(func(s Stage) float64 { return s.P99 }))),
			CPU: round3(median(pick(func(s Stage) float64 { return s.CPU }))), RSS: round3(slices.Max(pick(func(s Stage) float64 { return s.RSS }))),
			Noisy: slices.ContainsFunc(all, func(s Stage) bool { return s.Noisy }),
		})
	}
	for name, values := range r.ratios {
		out.Ratios[name] = round3(median(values))
	}
	for name, value := range r.most {
		out.Ratios[name] = round3(value)
	}
	for _, g := range gates {
		value, measured := out.Ratios[g.Name]
		if !measured {
			continue
		}
		g.Value = value
		switch {
		case (value >= g.Limit) == g.AtLeast || value == g.Limit:
			g.Result = "pass"
		case r.noisy[g.Name]:
			g.Result = "inconclusive"
		default:
			g.Result = "missed"
		}
		out.Gates = append(out.Gates, g)
	}
	return out
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func round3(v float64) float64 { return math.Round(v*1000) / 1000 }

// JSON writes the report as one object.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Table writes the report for people.
func (r *Report) Table(out io.Writer) error {
	fmt.Fprintf(out, "%s, %d CPUs, %s, %s, %s, %s\n\n", r.Env.CPU, r.Env.CPUs, r.Env.Kernel, r.Env.Filesystem, r.Env.Go, r.Env.Version)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "stage\tconns\trate/s\tmin\tmax\tn\tp50 ms\tp99 ms\tCPU us\tRSS MB\t\t")
	for _, s := range r.Stages {
		disturbed := ""
		if s.Noisy {
			disturbed = "noisy"
		}
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.0f\t%d\t%.3f\t%.3f\t%.1f\t%.0f\t%s\t\n", s.Name, s.Conns, s.Rate, s.Min, s.Max, s.N, s.P50, s.P99, s.CPU, s.RSS, disturbed)
	}
	fmt.Fprintln(w, "\t\t\t\t\t\t\t\t\t\t\t")
	if err := w.Flush(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Ratios)) {
		line := fmt.Sprintf("%-24s %8.3f", name, r.Ratios[name])
		if i := slices.IndexFunc(r.Gates, func(g Gate) bool { return g.Name == name }); i >= 0 {
			g := r.Gates[i]
			sign := "at most"
			if g.AtLeast {
				sign = "at least"
			}
			line += fmt.Sprintf("   %s %g: %s", sign, g.Limit, g.Result)
		}
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out, "\nA: a server that reads and verifies the same requests and stores nothing; store: group commits without HTTP;\nB: bare posts to the sink; F: a sync of 600 bytes; harmonic: what the limits of a stage would make together. A gate that is missed is no error.")
	if len(r.Wrong) == 0 {
		_, err := fmt.Fprintln(out, "correctness:", r.Checked)
		return err
	}
	for _, text := range r.Wrong {
		fmt.Fprintln(out, "WRONG:", text)
	}
	return nil
}
