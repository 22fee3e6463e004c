package client

import (
	"context"
	"errors"

	"github.com/ordergate/ordergate/contract"
)

// LeaguerStatusResult is what became of a status that the platform has.
type LeaguerStatusResult struct {
	// Reply is the answer of the call that brought it; nil when Before is set.
	Reply *contract.LeaguerStatusReply
	// Before is the answer that says that the platform had it already: 105 or 106
	// for a shipment, 106 for a receipt, 111 for a failure. It does not say whose
	// call brought it, nor with which cards. nil: this call did.
	Before *contract.Refused
}

// LeaguerStatus reports that a virtual line was sent, activated, granted or could
// not be recharged: suning.selfmarket.leaguerstatus.add.
//
// A repeat that the platform answers as one is no error: see
// [LeaguerStatusResult]. Persist the cards of a shipment before the first call: a
// call that is repeated must have the same.
func (c *Client) LeaguerStatus(ctx context.Context, r *contract.LeaguerStatusRequest) (*LeaguerStatusResult, error) {
	reply, _, err := call[contract.LeaguerStatusRequest, contract.LeaguerStatusReply](ctx, c, contract.LeaguerStatus, r)
	if refused, ok := errors.AsType[*contract.Refused](err); ok && contract.LeaguerStatus.Done(r, err) {
		return &LeaguerStatusResult{Before: refused}, nil
	}
	if err != nil {
		return nil, err
	}
	return &LeaguerStatusResult{Reply: reply}, nil
}
