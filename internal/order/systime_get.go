package order

import "github.com/ordergate/ordergate/contract"

// readClock judges suning.common.systime.get. It leaves no event.
func readClock(c *Call) (*Work, error) {
	reply := &contract.SystimeGetReply{Time: c.At.In(contract.Zone).Format(contract.TimeLayout)}
	return &Work{Sum: func() any { return reply }}, nil
}
