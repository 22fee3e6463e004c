package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ordergate/ordergate/contract"
)

// EventsProduce reports up to [contract.MaxMessages] events in one call:
// taobao.qimen.events.produce.
//
// The results stand in the order of the events. An event that was refused is no
// error of the call: look at AllSuccess, and at each result's Refused.
func (c *Client) EventsProduce(ctx context.Context, events ...*contract.EventProduceRequest) (*contract.EventsProduceReply, error) {
	for _, event := range events {
		if err := sendable(contract.EventProduce, event); err != nil {
			return nil, err
		}
	}
	request := &contract.EventsProduceRequest{Messages: contract.Messages(events...)}
	reply, late, err := call[contract.EventsProduceRequest, contract.EventsProduceReply](ctx, c, contract.EventsProduce, request)
	switch {
	case reply == nil:
		return nil, err
	case reply.AllSuccess && len(reply.Results) == 0: // then the platform may leave them out
		reply.Results = slices.Repeat([]contract.EventResult{{Success: true}}, len(events))
	case len(reply.Results) != len(events):
		return nil, &Unreached{Sent: true, Err: fmt.Errorf("%w: %d results for %d events", ErrNotAnswer, len(reply.Results), len(events))}
	}
	if late {
		settle(reply)
	}
	return reply, nil
}

// settle takes events that the platform has already as accepted: an earlier try
// did arrive.
func settle(reply *contract.EventsProduceReply) {
	reply.AllSuccess = true
	for i, result := range reply.Results {
		if refused := result.Refused(); refused != nil && errors.Is(refused, contract.AlreadyBackflow) {
			reply.Results[i] = contract.EventResult{Success: true}
		}
		reply.AllSuccess = reply.AllSuccess && reply.Results[i].Success
	}
}
