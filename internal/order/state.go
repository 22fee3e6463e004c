package order

import "slices"

// State is how far an order line has come.
type State string

// The states of a Taobao line. Shipped is reached by import only.
const (
	New         State = "new"
	Transferred State = "transferred"
	Checked     State = "checked"
	Notified    State = "notified"
	Out         State = "out"
	Shipped     State = "shipped"
)

// The states of a Suning line. Closed is reached by import only.
const (
	Waiting   State = "waiting"
	Received  State = "received"
	Refunding State = "refunding"
	Timeout   State = "timeout"
	Closed    State = "closed"
)

var (
	taobaoStates = []State{New, Transferred, Checked, Notified, Out, Shipped}
	suningStates = []State{Waiting, Shipped, Received, Refunding, Timeout, Closed}
)

// The platforms whose orders have their own rules. Codes of other channels (JD,
// DD, …) follow Taobao's.
const (
	Taobao = "taobao"
	Suning = "suning"
)

// States lists a platform's states from the first to the last.
func States(platform string) []State {
	if platform == Suning {
		return suningStates
	}
	return taobaoStates
}

// later returns the state that is further along.
func later(platform string, a, b State) State {
	states := States(platform)
	if slices.Index(states, a) >= slices.Index(states, b) {
		return a
	}
	return b
}

// Open lists the states in which something is expected of the merchant: an order that stays
// there for long is stuck.
var Open = []State{New, Transferred, Checked, Notified, Waiting}

// Ended lists the states in which nothing more is expected of an order: it may be
// forgotten when it is old.
func Ended(platform string) []State {
	if platform == Suning {
		return []State{Received, Timeout, Closed}
	}
	return []State{Out, Shipped}
}
