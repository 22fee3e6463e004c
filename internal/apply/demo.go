package apply

import _ "embed"

//go:embed demo.yaml
var demo []byte

// Demo returns the state that every example of the vendors' pages works
// against.
func Demo() (*Document, error) { return Parse(demo) }
