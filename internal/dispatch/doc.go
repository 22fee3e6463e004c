// Package dispatch carries what is owed to destinations.
//
// An [Asker] has the merchant behind a destination with wait: true decide a call: it
// commits that he is asked, asks once, and commits what came of it. [Callbacks] bring
// the verdicts of asynchronous calls to the platform. Both go out through one HTTP
// client ([NewClient]) that reaches public addresses only, unless it is told otherwise.
package dispatch
