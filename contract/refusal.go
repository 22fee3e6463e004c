package contract

import (
	"errors"
	"slices"
	"strings"
)

// Advice is what a caller should do about an answer that says no.
type Advice string

// The four things a caller can do.
const (
	Fix   Advice = "fix"   // the call is wrong; sending it again unchanged cannot help
	Retry Advice = "retry" // send it again after a pause
	Done  Advice = "done"  // what was asked has happened before: treat it as success
	Stop  Advice = "stop"  // the call is right and the answer is final
)

// Refusal is one row of a page's error table: one way in which one API says no
// in its own words.
type Refusal struct {
	Code     string // the vendor's literal text, misspellings included
	Text     string // the vendor's description
	Solution string // the vendor's advice, in its words
	Advice   Advice
	When     string  // when it is answered
	Faults   []Fault // that it words; errors.Is finds the row by each
	Open     bool    // the name of a parameter may follow Code behind a colon
	InReply  bool    // said in a normal answer, not as an error
	Unknown  bool    // the call may have been carried out all the same
	Reserved string  // why nothing produces the row; empty for rows that are produced
}

// SubCode is the code as it stands on the wire: with what the row leaves open,
// behind a colon or in the place of Suning's sign for it.
func (r *Refusal) SubCode(detail string) string {
	if detail == "" {
		return r.Code
	}
	if before, ok := r.before(); ok {
		return before + detail
	}
	return r.Code
}

// before is what stands before a row's open part, and false when it has none.
func (r *Refusal) before() (string, bool) {
	for _, open := range []string{":*", ":?"} { // as Suning's page prints them
		if strings.HasSuffix(r.Code, open) {
			return r.Code[:len(r.Code)-1], true
		}
	}
	if strings.HasSuffix(r.Code, ".") { // of BackendOther
		return r.Code, r.Open
	}
	return r.Code + ":", r.Open
}

// covers reports whether a code is an instance of the row.
func (r *Refusal) covers(code string) bool {
	before, open := r.before()
	return code == r.Code || open && strings.HasPrefix(code, before)
}

// Is reports whether the row words a fault.
func (r *Refusal) Is(target error) bool {
	fault, ok := target.(Fault)
	return ok && slices.Contains(r.Faults, fault)
}

// Error returns the row's code.
func (r *Refusal) Error() string { return r.Code }

// InvalidParameter is the sample in the 异常示例 of every TOP page.
var InvalidParameter = &Refusal{
	Code: "isv.invalid-parameter", Text: "非法参数", Advice: Fix, Open: true,
}

// Error is one call's refusal: the row that refuses it, and what the row leaves
// open. [errors.Is] finds the row.
type Error struct {
	Row    error  // a [Fault] or a *[Refusal]
	Detail string // the parameter's name, or the seconds of a ban
}

// About refuses with a row and its open part.
func About(row error, detail string) error { return &Error{Row: row, Detail: detail} }

// Detail returns what an error leaves open; empty when it is about nothing.
func Detail(err error) string {
	if about, ok := errors.AsType[*Error](err); ok {
		return about.Detail
	}
	return ""
}

// Error names the row and the detail.
func (e *Error) Error() string { return e.Row.Error() + " (" + e.Detail + ")" }

// Unwrap returns the row.
func (e *Error) Unwrap() error { return e.Row }

// Refused is an answer that says no, as it stands on the wire. A gateway fills
// it from a row; a client fills it from an answer, and [errors.Is] then finds
// the row again.
type Refused struct {
	Code      string // "50": TOP's codes are numbers; Suning's error_code
	Text      string // msg, error_msg
	SubCode   string // empty when the answer has none; Suning's never has
	SubText   string // sub_msg
	RequestID string
	Row       error // the Fault or Refusal it is an instance of; nil when no table has it
}

// Error prints code, text and sub code.
func (r *Refused) Error() string {
	s := r.Text
	if r.Code != "" {
		s = r.Code + " " + s
	}
	if r.SubCode != "" {
		s += ": " + r.SubCode
	}
	if r.SubText != "" {
		s += " (" + r.SubText + ")"
	}
	return s
}

// Unwrap returns the row.
func (r *Refused) Unwrap() error { return r.Row }

// refusalRow finds the refusal that a sub code is an instance of; nil when the
// API has none.
func (a *API) refusalRow(subCode string) error {
	for _, r := range a.Refusals {
		if r.covers(subCode) {
			return r
		}
	}
	return nil
}

// IsDone reports whether a sub code of an API says that what was asked has happened
// before, whatever the request.
func IsDone(a *API, subCode string) bool {
	row, ok := a.refusalRow(subCode).(*Refusal)
	return ok && row.Advice == Done
}

// replyRow finds the refusal that a code in a normal answer is an instance of.
func (a *API) replyRow(code string) error {
	for _, r := range a.Refusals {
		if r.InReply && r.Code == code {
			return r
		}
	}
	return nil
}
