package main

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.26.0"
	"go.opentelemetry.io/otel/trace"
)

// tracing sends OpenTelemetry traces: a span for each call, within it its commit and whom
// it asks, and one for each try of a delivery, in the trace of the call.
type tracing struct {
	provider   *sdktrace.TracerProvider
	propagator propagation.TextMapPropagator
}

// noMeters is for libraries that measure what metrics.go does.
var noMeters = noop.NewMeterProvider()

// How long the last traces may take at a stop, and how often it is logged that none are
// taken.
const (
	lastTraces   = 5 * time.Second
	traceErrorIn = time.Minute
)

// startTracing sends traces to a collector. One that is away delays nothing: what it does
// not take is dropped.
func startTracing(ctx context.Context, to string, share float64, log *slog.Logger) (*tracing, error) {
	if u, err := url.Parse(to); err == nil && strings.Trim(u.Path, "/") == "" {
		to = u.JoinPath("/v1/traces").String()
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(to))
	if err != nil {
		return nil, wrongFlag("trace", "%v", err)
	}
	var last atomic.Int64 // when it was last logged, in Unix nanoseconds
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if now, then := time.Now().UnixNano(), last.Load(); now-then > int64(traceErrorIn) && last.CompareAndSwap(then, now) {
			log.Warn("traces are not taken; they are dropped", "error", err)
		}
	}))
	return &tracing{
		provider: sdktrace.NewTracerProvider(
			sdktrace.WithBatcher(exporter),
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share))),
			sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL, semconv.ServiceName("ordergate"), semconv.ServiceVersion(version))),
		),
		propagator: propagation.TraceContext{},
	}, nil
}

// tracer makes the spans of deliveries; nil: there are none.
func (t *tracing) tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("github.com/ordergate/ordergate/internal/dispatch")
}

// stopTracing sends what has not been sent.
func (g *gateway) stopTracing() error {
	if g.tracing == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastTraces)
	defer cancel()
	if err := g.tracing.provider.Shutdown(ctx); err != nil {
		g.log.Warn("the last traces are lost", "error", err)
	}
	return nil
}
