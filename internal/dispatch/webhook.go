package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// eventJSON writes an event as webhooks and streams get it: CloudEvents 1.0, structured
// JSON, with the place in the log as the extension sequence, in 20 digits: it sorts as
// text.
func eventJSON(e order.Event) ([]byte, error) {
	params, err := e.Params()
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, 400+len(params)+len(e.Answer)), `{"specversion":"1.0"`...)
	field := func(name, value string) {
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = contract.AppendJSONString(b, value)
	}
	field("id", e.ID)
	field("source", "ordergate/"+e.Platform()+"/"+e.Order.Seller)
	field("type", e.API)
	if e.Order.Number != "" {
		field("subject", e.Order.Number)
	}
	field("time", e.At.In(contract.Zone).Truncate(time.Millisecond).Format(time.RFC3339Nano)) // as the log keeps it
	field("datacontenttype", "application/json")
	field("sequence", fmt.Sprintf("%020d", e.Place))
	b = append(append(b, `,"data":{"params":`...), params...)
	b = append(append(b, `,"answer":`...), e.Answer...)
	return append(b, "}}"...), nil
}

// webhookType is the content type of a CloudEvent.
const webhookType = "application/cloudevents+json; charset=UTF-8"

// The header by which a connection that broke before an answer is used again at once,
// without being sent: receivers know repetitions by webhook-id.
const retryable = "Idempotency-Key"

// request makes the request that brings an event to a webhook, signed per Standard
// Webhooks with every secret that counts now.
func (w *webhooks) request(ctx context.Context, id string, body []byte, now time.Time) (*http.Request, error) {
	if w.err != nil {
		return nil, w.err
	}
	var signatures []string
	for _, secret := range w.declared.Secrets(now) {
		signature, err := w.signers[secret].Sign(id, now, body)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, signature)
	}
	r := &http.Request{
		Method: http.MethodPost, URL: w.target, Host: w.target.Host, ContentLength: int64(len(body)),
		Header: http.Header{
			"Content-Type": {webhookType}, "User-Agent": {"ordergate"},
			"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Webhook-Signature": {strings.Join(signatures, " ")},
		},
		// Of a reader that net/http knows headers and body are sent together.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	r.Body, _ = r.GetBody()
	return r.WithContext(ctx), nil
}

// webhooks delivers to a webhook.
type webhooks struct {
	poster
	declared *order.Destination
	target   *url.URL
	signers  map[contract.Secret]*standardwebhooks.Webhook
	err      error // why it cannot
}

func newWebhooks(p poster, d *order.Destination) *webhooks {
	w := &webhooks{poster: p, declared: d, signers: map[contract.Secret]*standardwebhooks.Webhook{}}
	w.target, w.err = url.Parse(d.URL)
	for _, secret := range []contract.Secret{d.Secret, d.OldSecret} {
		signer, err := standardwebhooks.NewWebhook(string(secret))
		if err != nil && secret != "" {
			w.err = fmt.Errorf("its secret is no whsec_ text: %w", err)
		}
		w.signers[secret] = signer
	}
	return w
}

func (w *webhooks) send(ctx context.Context, e *entry, now time.Time) outcome {
	body, o, ok := e.cloudEvent()
	if !ok {
		return o
	}
	r, err := w.request(ctx, e.ID, body, now)
	if err != nil {
		return outcome{verdict: failed, reason: "the request cannot be made: " + err.Error()}
	}
	r.Header[retryable] = nil
	identify(ctx, r.Header, e.Event)
	o, ok = w.post(r, now)
	switch {
	case !ok:
	case o.status/100 == 2:
		o.verdict, o.reason = delivered, ""
	default:
		o.verdict = failed
	}
	return o
}

// asked makes the request by which a webhook is asked about a call that has no answer
// yet.
func asked(ctx context.Context, d *order.Destination, e order.Event, params []contract.Param, now time.Time) (*http.Request, error) {
	e.Record, e.Answer = order.Record{Params: params}.JSON(), json.RawMessage("{}")
	body, err := eventJSON(e)
	if err != nil {
		return nil, err
	}
	r, err := newWebhooks(poster{}, d).request(ctx, e.ID, body, now)
	if err == nil {
		identify(ctx, r.Header, &e)
	}
	return r, err
}
