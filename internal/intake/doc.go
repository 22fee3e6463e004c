// Package intake turns an HTTP request into an accepted call or a faithful
// refusal. The checks of a protocol are a table ([TOPChecks]) that is walked in
// its order; the first that fails is the answer.
package intake
