package client

import (
	"context"

	"github.com/ordergate/ordergate/contract"
)

// EventEmit reports that a work order or a task plan changed:
// taobao.bcpush.isv.event.emit. Give EventID: it makes the call repeatable.
//
// A result without success is an error, a [*contract.Refused] with the answer's
// error_code; the reply is returned with it.
func (c *Client) EventEmit(ctx context.Context, r *contract.EventEmitRequest) (*contract.EventEmitReply, error) {
	reply, _, err := call[contract.EventEmitRequest, contract.EventEmitReply](ctx, c, contract.EventEmit, r)
	return reply, err
}
