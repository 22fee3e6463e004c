package order

import (
	"slices"
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
	Session contract.Secret // as it came; empty: none

	Merchant *App     // of a reverse call: the app that it reaches; nil: none is known
	Warnings []string // codes of what was odd about how it travelled
}

// Rule says what calls of one API mean.
type Rule struct {
	API      *contract.API
	Warnings []Warning // what it may warn of, for the documents
	// Judge makes the checks that need no ledger and returns the work that
	// remains, or a refusal.
	Judge func(*Call) (*Work, error)
}

// RuleOf finds the rule of an API.
func RuleOf(api *contract.API) (Rule, bool) {
	i := slices.IndexFunc(Rules, func(r Rule) bool { return r.API == api })
	if i < 0 {
		return Rule{}, false
	}
	return Rules[i], true
}

// Work is what remains to be done for a judged call.
type Work struct {
	Tasks []*Task // stand in one transaction, decided in turn
	// Of lists which of their elements each task is; nil: the call is no list.
	Elements []int
	// Sum makes the reply from the tasks' outcomes, once they are committed;
	// nil: the outcome is that of the only task.
	Sum func() any
	// Question takes the place of the tasks where a merchant decides himself: a
	// destination waits for the call. nil: nobody is ever asked.
	Question *Question
}

// Question is what a call asks of a merchant. It is asked once.
type Question struct {
	API      *contract.API
	Platform string
	Seller   string
	Request  any              // what he is asked
	Params   []contract.Param // the same as it came, where a platform is asked
	Session  contract.Secret  // that the call came with
	Later    bool             // the caller is answered before he is
	// Ask makes the task that stands before he is asked, with the event of the call.
	// When the caller does not wait, its outcome is the call's.
	Ask func(destination string) *Task
	// Settle makes the task that stands after it. When the caller waits, its outcome is
	// the call's.
	Settle func(Verdict) *Task
}

// Outcome returns the reply or the refusal, once the tasks are committed.
func (w *Work) Outcome() (reply any, err error) {
	if w.Sum != nil {
		return w.Sum(), nil
	}
	return w.Tasks[0].Reply, w.Tasks[0].Err
}

// alone is the work of one task.
func alone(t *Task) *Work { return &Work{Tasks: []*Task{t}} }

// Rules has a rule for every API of contract.All, in its order.
var Rules = []Rule{
	{contract.EventProduce, produceWarnings, produceEvent},
	{contract.EventsProduce, produceWarnings, produceEvents},
	{contract.EventEmit, []Warning{WarnOlder}, emitEvent},
	{contract.LeaguerStatus, []Warning{WarnVersion}, reportStatus},
	{contract.OrderIntercept, nil, interceptOrder},
	{contract.InterceptCallback, nil, interceptCallback},
	{contract.SystimeGet, nil, readClock},
}
