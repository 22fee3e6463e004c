package wire

import "github.com/ordergate/ordergate/contract"

// Content is what a body holds for an API, for the tests of its readers.
func (c *SuningCall) Content(api *contract.API, strict bool) (*contract.Node, error) {
	return c.content(api, strict)
}
