// Package bench measures a gateway on this machine.
//
// A [Bench] starts the real program as a child process, loads it over real HTTP
// with distinct, correctly signed requests, and measures the limits beside it in
// the same run: a bare server that reads and verifies the same requests with the
// same parser and stores nothing ([Bare], "A"), group commits of the same events
// without HTTP ("store"), and a sync of the disk ("F"). Figures are ratios to
// these limits, taken inside a round, then the median over the rounds: what
// drifts between minutes cancels.
//
// A stage that other programs or the hypervisor disturbed is measured again, and
// marked noisy when that does not help; a ratio of noisy stages is inconclusive.
// In the same run everything that was answered is looked up in the ledger: a
// figure counts only when nothing is missing, doubled or invented.
package bench
