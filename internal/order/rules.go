package order

import (
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Call is an accepted call: known app, valid signature, decoded request.
type Call struct {
	API     *contract.API
	App     *App
	Seller  string // the session's, else the app's
	Request any    // the contract's request struct
	Record  Record
	At      time.Time
}

// Rule says what calls of one API mean.
type Rule struct {
	API      *contract.API
	Warnings []Warning // what it may warn of, for the documents
	// Judge makes the checks that need no ledger and returns the work that
	// remains, or a refusal.
	Judge func(*Call) (*Task, error)
}

// Rules has a rule for every API of contract.All, in its order.
var Rules = []Rule{
	{contract.EventProduce, []Warning{WarnStepOrder, WarnNotGiven, WarnNickAlone, WarnPlatformCode}, produceEvent},
}
