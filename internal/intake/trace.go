package intake

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// tracerName is whose spans these are.
const tracerName = "github.com/ordergate/ordergate/internal/intake"

// startSpan begins a span within another, if that is traced. ctx has the outer one.
func startSpan(ctx context.Context, outer trace.Span, name string) (context.Context, trace.Span) {
	if !outer.IsRecording() {
		return ctx, noop.Span{}
	}
	return outer.TracerProvider().Tracer(tracerName).Start(ctx, name)
}

// traceOf is what an event keeps of the trace that its call is part of, as the header
// traceparent says it; empty: it is not traced.
func traceOf(span trace.Span) string {
	if !span.IsRecording() {
		return ""
	}
	header := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), span), header)
	return header["traceparent"]
}

// note tells the call's span how it ended.
func (c *call) note(o Outcome, broken bool) {
	span := c.span
	if !span.IsRecording() {
		return
	}
	span.SetName("call " + o.API)
	span.SetAttributes(
		attribute.String("ordergate.api", o.API), attribute.String("ordergate.app", clip(c.key)),
		attribute.String("ordergate.request_id", c.id), attribute.String("ordergate.answer", o.Answer),
	)
	if broken {
		span.SetStatus(codes.Error, o.Answer)
	}
	if c.inside {
		span.End()
	}
}
