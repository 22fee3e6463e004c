package client

import (
	"context"

	"github.com/ordergate/ordergate/contract"
)

// OrderIntercept asks a merchant not to ship sub orders, as the platform does:
// qimen.taobao.qianniu.cloudkefu.order.self.intercept. Target names his app.
//
// A merchant's no is an error, a [*contract.Refused] with his errorCode, which may be
// any text; the reply is returned with it. An error that is [ErrUnknown] means that he
// may have locked the sub orders or not: it is not asked again, and is no refusal.
func (c *Client) OrderIntercept(ctx context.Context, r *contract.OrderInterceptRequest) (*contract.OrderInterceptReply, error) {
	reply, _, err := call[contract.OrderInterceptRequest, contract.OrderInterceptReply](ctx, c, contract.OrderIntercept, r)
	return reply, err
}

// InterceptCallback brings the verdict of an asynchronous intercept to the platform:
// taobao.gearfactory.intercept.order.callback. One call speaks of at most
// [contract.MaxCallback] sub orders.
func (c *Client) InterceptCallback(ctx context.Context, r *contract.InterceptCallbackRequest) (*contract.InterceptCallbackReply, error) {
	reply, _, err := call[contract.InterceptCallbackRequest, contract.InterceptCallbackReply](ctx, c, contract.InterceptCallback, r)
	return reply, err
}
