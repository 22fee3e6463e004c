package order

// What the documents say.
const (
	SweepEvery = sweepEvery
	SweepSize  = sweepSize
)
