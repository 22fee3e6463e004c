// Package wire signs, reads and writes each protocol, as server and as client.
//
// [TOP] is the Taobao Open Platform, [Suning] the Suning Open Platform. A server
// opens a request into a [Call] or [SuningCall], verifies its signature and
// replies; a client seals a message into a signed request and unseals the answer
// ([Protocol]). The text that is signed is built in one place
// for both. What it knows of single APIs it reads from the contract's rows.
//
// Rules and vectors: docs/protocol/top.md, sections 2 to 7 and 14;
// docs/protocol/suning.md, sections 1 to 4.
package wire
