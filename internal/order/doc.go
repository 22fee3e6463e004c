// Package order decides what an accepted call means, and says what a store must
// do for it.
//
// Rules are pure: from the state of the orders a call concerns, the request and
// the time they make a [Decision] (what changes, what is recorded, what is
// answered) or a refusal. They do no I/O and read no clock. A [Store] loads the
// state, applies the rule, and makes the decision durable before the caller
// hears of it.
//
// The package also holds the words that the other layers share: apps, sessions,
// orders with their lines, events.
package order
