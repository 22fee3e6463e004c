package dispatch

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// traced begins the span of a try: within the trace of the call that the event is of, as
// far as that was traced. It returns what ends it.
func (q *queue) traced(ctx context.Context, r *route, e *entry) (context.Context, func(outcome)) {
	if q.Tracer == nil {
		return ctx, func(outcome) {}
	}
	if parent := e.Trace(); parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	}
	ctx, span := q.Tracer.Start(ctx, "deliver "+string(q.name), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("ordergate.destination", string(q.name)), attribute.String("ordergate.kind", string(r.Kind)),
		attribute.String("ordergate.event", e.ID), attribute.String("ordergate.api", e.API), attribute.String("ordergate.order", e.Order.Number),
		attribute.Int64("ordergate.seq", e.Place), attribute.Float64("ordergate.waited_seconds", q.Clock().Sub(e.At).Seconds()),
	))
	return ctx, func(o outcome) {
		span.SetAttributes(attribute.String("ordergate.result", TryResults[o.verdict]))
		if o.status > 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", o.status))
		}
		if o.verdict != delivered {
			span.SetStatus(codes.Error, o.reason)
		}
		span.End()
	}
}

// identify adds to a message what finds it again in the log and in traces: the request_id
// of the call that it is about, and the trace that it is sent in.
func identify(ctx context.Context, header http.Header, e *order.Event) {
	if id := e.RequestID(); id != "" {
		header[wire.RequestIDHeader] = []string{id}
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
}

// observe tells how a try ended.
func (q *queue) observe(l *lane, o outcome, started time.Time) {
	if q.Observe == nil {
		return
	}
	now := q.Clock()
	q.Observe(DeliveryTried{
		Destination: q.name.Destination(), Result: TryResults[o.verdict], Delivered: o.verdict == delivered, Duration: now.Sub(started), Delay: now.Sub(l.head.At),
		Late: l.attempts > 0 || l.again || q.name.Replay(),
	})
}
