// Package contract holds each vendor API once, as typed rows.
//
// An [API] is one vendor page as data: its fields ([Field]), its refusals
// ([Refusal]) and the plain Go structs they are bound to. What any call of a
// protocol can be refused for is a [Fault]; a protocol has words for each that it
// knows ([TOPFaults], [SuningFaults]). Decoding, presence and limit checks, encoding in JSON and XML,
// masking, reference pages and the command line's check of names all follow
// from the rows, so that no fact of a page stands in two places.
//
// The tables are compiled once at start-up. A table that contradicts itself
// (a row bound to a Go field that does not exist, two rows of one name) panics
// there, never during a call.
package contract
