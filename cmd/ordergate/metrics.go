package main

import (
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ordergate/ordergate/internal/intake"
	"github.com/ordergate/ordergate/internal/store"
)

// metrics are what /metrics shows.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	commits  *prometheus.CounterVec
	commit   prometheus.Histogram
	tasks    prometheus.Histogram
	events   prometheus.Counter

	mu      sync.Mutex
	refused map[string]int64 // the answers are rows of tables: they are few
}

func newMetrics() *metrics {
	fast := prometheus.ExponentialBuckets(0.0001, 2, 16) // 0.1 ms to 3.3 s
	m := &metrics{
		registry: prometheus.NewRegistry(), refused: map[string]int64{},
		calls:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ordergate_calls_total", Help: "Calls answered, by API (empty: none that is known) and answer: ok, the sub_code that refused it or its code, or no for a batch with a refused event."}, []string{"api", "answer"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ordergate_call_duration_seconds", Help: "Time from the request's headers to the answer.", Buckets: fast}, []string{"api"}),
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ordergate_commits_total", Help: "Transactions, by result: ok or failed."}, []string{"result"}),
		commit:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ordergate_commit_duration_seconds", Help: "Time of a transaction, rules and sync included.", Buckets: fast}),
		tasks:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ordergate_commit_tasks", Help: "Calls that shared a transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		events:  prometheus.NewCounter(prometheus.CounterOpts{Name: "ordergate_events_total", Help: "Events stored."}),
	}
	m.registry.MustRegister(m.calls, m.seconds, m.commits, m.commit, m.tasks, m.events,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
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
	m.calls.WithLabelValues(o.API, o.Answer).Inc()
	m.seconds.WithLabelValues(o.API).Observe(o.Duration.Seconds())
}

func (m *metrics) observeCommit(g store.Group) {
	result := "ok"
	if g.Err != nil {
		result = "failed"
	} else {
		m.events.Add(float64(len(g.Events)))
	}
	m.commits.WithLabelValues(result).Inc()
	m.commit.Observe(g.Duration.Seconds())
	m.tasks.Observe(float64(g.Tasks))
}
