package main

import (
	"context"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/intake"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/store"
)

// metricRow is a metric: what /metrics, its reference, the dashboard and the alert rules
// agree on.
type metricRow struct {
	Name    string
	Kind    string
	Labels  []string
	Help    string
	Buckets []float64 // of a histogram
}

// The kinds of metrics.
const (
	counterKind   = "counter"
	gaugeKind     = "gauge"
	histogramKind = "histogram"
)

var (
	fast  = prometheus.ExponentialBuckets(0.0001, 2, 16) // 0.1 ms to 3.3 s
	long  = prometheus.ExponentialBuckets(0.001, 4, 14)  // 1 ms to 18 h
	sizes = prometheus.ExponentialBuckets(1, 2, 10)
)

// metricRows are all that Ordergate measures itself. Beside them are those of the Go
// runtime and of the process.
var metricRows = []metricRow{
	{"ordergate_build_info", gaugeKind, []string{"version", "revision", "go"}, "Always 1.", nil},
	{"ordergate_calls_total", counterKind, []string{"api", "answer"}, "Calls answered, by API (empty: none that is known) and answer: ok, the sub_code that refused it or its code, or no for a batch with a refused event.", nil},
	{"ordergate_call_duration_seconds", histogramKind, []string{"api"}, "Time from the request's headers to the answer.", fast},
	{"ordergate_commits_total", counterKind, []string{"result"}, "Transactions, by result: ok or failed.", nil},
	{"ordergate_commit_duration_seconds", histogramKind, nil, "Time of a transaction, rules and sync included.", fast},
	{"ordergate_commit_tasks", histogramKind, nil, "Calls that shared a transaction.", sizes},
	{"ordergate_events_total", counterKind, []string{"api"}, "Events stored by this process, its own included.", nil},
	{"ordergate_delivery_attempts_total", counterKind, []string{"destination", "result"}, "Tries of deliveries, by result: delivered, refused (it never will be), failed (this event), no_answer, down (the destination).", nil},
	{"ordergate_delivery_duration_seconds", histogramKind, []string{"destination"}, "Time of one try.", fast},
	{"ordergate_delivery_delay_seconds", histogramKind, []string{"destination"}, "Time from when a call was accepted until its event was delivered, at the first try, replays left out.", long},
	{"ordergate_destination_up", gaugeKind, []string{"destination", "kind"}, "1 unless the destination is down as this process sees it. Absent of those that are disabled, or answer calls (wait).", nil},
	{"ordergate_destination_lag_events", gaugeKind, []string{"destination"}, "Events between its place and the end of the log.", nil},
	{"ordergate_destination_deliveries", gaugeKind, []string{"destination", "state"}, "Deliveries that want something: retrying (they wait for their next try), held (their order waits for a person), dead.", nil},
	{"ordergate_orders_open", gaugeKind, []string{"platform", "stage"}, "Orders that have not ended.", nil},
	{"ordergate_orders_stuck", gaugeKind, []string{"platform", "stage"}, "Those of them that have been unchanged for longer than --alert-stuck.", nil},
	{"ordergate_database_bytes", gaugeKind, nil, "Size of the SQLite database with its log. Absent with PostgreSQL.", nil},
	{"ordergate_database_disk_free_bytes", gaugeKind, nil, "Room that is left beside it. Absent with PostgreSQL.", nil},
	{"ordergate_ledger_read_errors_total", counterKind, nil, "Scrapes for which the ledger could not be read: what comes from it is absent then.", nil},
}

// metrics are what /metrics shows.
type metrics struct {
	registry *prometheus.Registry
	counters map[string]*prometheus.CounterVec
	times    map[string]*prometheus.HistogramVec

	mu      sync.Mutex
	refused map[string]int64 // the answers are rows of tables: they are few
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), refused: map[string]int64{}, counters: map[string]*prometheus.CounterVec{}, times: map[string]*prometheus.HistogramVec{}}
	for _, row := range metricRows {
		switch row.Kind {
		case counterKind:
			m.counters[row.Name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: row.Name, Help: row.Help}, row.Labels)
			m.registry.MustRegister(m.counters[row.Name])
		case histogramKind:
			m.times[row.Name] = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: row.Name, Help: row.Help, Buckets: row.Buckets}, row.Labels)
			m.registry.MustRegister(m.times[row.Name])
		}
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) count(name string, n float64, labels ...string) {
	m.counters[name].WithLabelValues(labels...).Add(n)
}

func (m *metrics) time(name string, value float64, labels ...string) {
	m.times[name].WithLabelValues(labels...).Observe(value)
}

// refusedCalls counts refused calls since the start, by what refused them.
func (m *metrics) refusedCalls() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.refused)
}

func (m *metrics) observeCall(o intake.Outcome) {
	if o.Answer != "ok" {
		m.mu.Lock()
		m.refused[o.Answer]++
		m.mu.Unlock()
	}
	m.count("ordergate_calls_total", 1, o.API, o.Answer)
	m.time("ordergate_call_duration_seconds", o.Duration.Seconds(), o.API)
}

func (m *metrics) observeCommit(g store.Group) {
	result := "ok"
	if g.Err != nil {
		result = "failed"
	}
	for _, e := range g.Events { // none of one that failed
		m.count("ordergate_events_total", 1, e.API)
	}
	m.count("ordergate_commits_total", 1, result)
	m.time("ordergate_commit_duration_seconds", g.Duration.Seconds())
	m.time("ordergate_commit_tasks", float64(g.Tasks))
}

func (m *metrics) observeDelivery(d dispatch.DeliveryTried) {
	m.count("ordergate_delivery_attempts_total", 1, d.Destination, d.Result)
	m.time("ordergate_delivery_duration_seconds", d.Duration.Seconds(), d.Destination)
	if d.Delivered && !d.Late {
		m.time("ordergate_delivery_delay_seconds", d.Delay.Seconds(), d.Destination)
	}
}

// scrapeTimeout is how long the ledger may take to say how it is.
const scrapeTimeout = 5 * time.Second

// gauges are what is looked up when somebody asks.
type gauges struct {
	metrics *metrics
	store   order.Store
	courier *dispatch.Dispatcher
	file    string // of SQLite; empty: PostgreSQL
	stuck   func() time.Duration
	log     *slog.Logger
	descs   map[string]*prometheus.Desc
}

// watch adds what the ledger and its deliveries say.
func (m *metrics) watch(g *gateway) {
	file, _ := store.File(g.cmd.Load().Database) // an error: it is no file
	c := &gauges{metrics: m, store: g.store, courier: g.courier, file: file, log: g.log, descs: map[string]*prometheus.Desc{}, stuck: func() time.Duration { return g.cmd.Load().AlertStuck }}
	for _, row := range metricRows {
		if row.Kind == gaugeKind {
			c.descs[row.Name] = prometheus.NewDesc(row.Name, row.Help, row.Labels, nil)
		}
	}
	m.registry.MustRegister(c)
}

// Describe implements prometheus.Collector.
func (c *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *gauges) Collect(to chan<- prometheus.Metric) {
	set := func(name string, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, value, labels...)
	}
	set("ordergate_build_info", 1, version, commit(), runtime.Version())
	if c.file != "" {
		if size, free, err := store.Disk(c.file); err == nil {
			set("ordergate_database_bytes", float64(size))
			set("ordergate_database_disk_free_bytes", float64(free))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	if err := c.ledger(ctx, set); err != nil {
		c.metrics.count("ordergate_ledger_read_errors_total", 1)
		c.log.Warn("the ledger could not be read for /metrics", "error", err)
	}
}

func (c *gauges) ledger(ctx context.Context, set func(name string, value float64, labels ...string)) error {
	destinations, err := c.store.Destinations(ctx)
	if err != nil {
		return err
	}
	for _, d := range destinations {
		switch d.State(c.courier.Condition(d.Name)) {
		case order.DestinationUp:
			set("ordergate_destination_up", 1, d.Name, string(d.Kind))
		case order.DestinationDown:
			set("ordergate_destination_up", 0, d.Name, string(d.Kind))
		}
	}
	owing, err := c.store.Owing(ctx)
	if err != nil {
		return err
	}
	for _, o := range owing {
		set("ordergate_destination_lag_events", float64(o.Lag), o.Destination)
		set("ordergate_destination_deliveries", float64(o.Retrying), o.Destination, string(order.DeliveryRetrying))
		set("ordergate_destination_deliveries", float64(o.Held), o.Destination, string(order.DeliveryHeld))
		set("ordergate_destination_deliveries", float64(o.Dead), o.Destination, string(order.DeliveryDead))
	}
	stuck := c.stuck()
	since := time.Time{} // nothing is as old
	if stuck > 0 {
		since = time.Now().Add(-stuck)
	}
	stages, err := c.store.Stages(ctx, since)
	if err != nil {
		return err
	}
	for _, s := range stages {
		set("ordergate_orders_open", float64(s.Orders), s.Platform, string(s.Stage))
		set("ordergate_orders_stuck", float64(s.Stuck), s.Platform, string(s.Stage))
	}
	return nil
}
