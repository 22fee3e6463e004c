package client

import (
	"context"
	"fmt"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Systime reads Suning's clock, to the second: suning.common.systime.get. The
// call's own time does not matter.
func (c *Client) Systime(ctx context.Context) (time.Time, error) {
	reply, _, err := call[contract.SystimeGetRequest, contract.SystimeGetReply](ctx, c, contract.SystimeGet, &contract.SystimeGetRequest{})
	if err != nil {
		return time.Time{}, err
	}
	t, ok := contract.ParseTime(reply.Time)
	if !ok {
		return time.Time{}, fmt.Errorf("%w: the time is %q", ErrNotAnswer, reply.Time)
	}
	return t, nil
}
