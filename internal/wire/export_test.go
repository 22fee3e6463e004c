package wire

import "github.com/ordergate/ordergate/contract"

// What the documents say.
const (
	MaxSigned      = maxSigned
	MaxSignedBytes = maxSignedBytes
	MaxFields      = maxFields
	MaxDepth       = maxDepth
	MaxNodes       = maxNodes
	PlaceTime      = placeTime
	LargeTime      = largeTime
)

// Content is what a body holds for an API, for the tests of its readers.
func (c *SuningCall) Content(api *contract.API, strict bool) (*contract.Node, error) {
	return c.content(api, strict)
}
