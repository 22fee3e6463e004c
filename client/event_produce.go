package client

import (
	"context"
	"errors"

	"github.com/ordergate/ordergate/contract"
)

// EventProduce reports that an order was processed:
// taobao.qimen.event.produce.
//
// The error is [contract.AlreadyBackflow] when the platform has the event
// already, whoever sent it.
func (c *Client) EventProduce(ctx context.Context, r *contract.EventProduceRequest) (*contract.EventProduceReply, error) {
	reply, late, err := call[contract.EventProduceRequest, contract.EventProduceReply](ctx, c, contract.EventProduce, r)
	if late && errors.Is(err, contract.AlreadyBackflow) { // a try of ours did arrive
		return &contract.EventProduceReply{Success: true}, nil
	}
	return reply, err
}
