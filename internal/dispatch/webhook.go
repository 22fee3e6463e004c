package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// cloudEvent is an event as webhooks get it: CloudEvents 1.0, structured JSON.
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"` // ordergate/<platform>/<seller>
	Type            string    `json:"type"`   // the API, or ordergate.*
	Subject         string    `json:"subject,omitempty"`
	Time            string    `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Sequence        string    `json:"sequence"` // place in the log, 20 digits: sorts as text
	Data            eventData `json:"data"`
}

type eventData struct {
	Params json.RawMessage `json:"params"`
	Answer json.RawMessage `json:"answer"`
}

// eventJSON writes an event for webhooks.
func eventJSON(e order.Event) ([]byte, error) {
	var record struct{ Params json.RawMessage }
	if err := json.Unmarshal(e.Record, &record); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: "ordergate/" + e.Order.Platform + "/" + e.Order.Seller, Type: e.API, Subject: e.Order.Number,
		Time: e.At.In(contract.Zone).Format(time.RFC3339Nano), DataContentType: "application/json", Sequence: fmt.Sprintf("%020d", e.Seq),
		Data: eventData{Params: record.Params, Answer: e.Answer},
	})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// webhook makes the request that brings an event to a webhook, signed per Standard
// Webhooks with every secret that counts now.
func webhook(ctx context.Context, d *order.Destination, e order.Event, now time.Time) (*http.Request, error) {
	body, err := eventJSON(e)
	if err != nil {
		return nil, err
	}
	var signatures []string
	for _, secret := range d.Secrets(now) {
		signer, err := standardwebhooks.NewWebhook(string(secret))
		if err != nil {
			return nil, fmt.Errorf("its secret is no whsec_ text: %w", err)
		}
		signature, err := signer.Sign(e.ID, now, body)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, signature)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=UTF-8")
	r.Header.Set("User-Agent", "ordergate")
	r.Header.Set(standardwebhooks.HeaderWebhookID, e.ID)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return r, nil
}
