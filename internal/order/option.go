package order

import "github.com/ordergate/ordergate/contract"

// Option is a point at which a vendor's page can be read in more than one way. An
// app chooses; the first value is the default.
type Option struct {
	Name   string
	Values []string
	Text   string
}

// The names and values of the options.
const (
	optionJSON          = "json"
	optionSign          = "sign"
	optionShipReceived  = "ship_received"
	optionGrantWaiting  = "grant_waiting"
	optionConfirmation  = "confirmation"
	optionFailure       = "failure"
	optionTimeoutClosed = "timeout_closed"
	optionCardChecks    = "card_checks"

	optionQimenErrors = "qimen_errors"
)

// TOPOptions are the points that docs/protocol/qimen.md marks as switchable.
var TOPOptions = []Option{
	{optionQimenErrors, []string{"qimen", "error_response"}, "the shape of errors in JSON on /router/qm and /router/qmtest"},
}

// Options lists those of a protocol's apps.
func Options(p contract.Protocol) []Option {
	if p == contract.Suning {
		return SuningOptions
	}
	return TOPOptions
}

// SuningOptions are the points that docs/protocol/suning.md marks as switchable.
var SuningOptions = []Option{
	{optionJSON, []string{"lenient", "strict"}, "whether single quotes and raw line ends are read in JSON"},
	{optionSign, []string{"lower", "any"}, "the case of signInfo's hex digits"},
	{optionShipReceived, []string{"106", "105"}, "what 180 for a received line is answered"},
	{optionGrantWaiting, []string{"allow", "103"}, "whether 200 for a gift needs 180 first"},
	{optionConfirmation, []string{"108", "100", "synonym"}, "what 190 for a gift and 200 for another line is answered, or whether each means the other"},
	{optionFailure, []string{"recharge", "virtual"}, "which lines accept 210; a line's accepts_failure comes before it"},
	{optionTimeoutClosed, []string{"104", "107"}, "what 180, 190 and 200 are answered for a line that was closed after the automatic refund"},
	{optionCardChecks, []string{"113,115,116,114", "113,114,115,116"}, "the order in which cards are checked"},
}

// option returns what the app chose.
func (a *App) option(name string) string {
	if chosen, ok := a.Options[name]; ok {
		return chosen
	}
	for _, options := range [][]Option{SuningOptions, TOPOptions} {
		for _, o := range options {
			if o.Name == name {
				return o.Values[0]
			}
		}
	}
	return ""
}

// ErrorResponse reports whether the app is told errors on Qimen's URLs as on TOP's.
func (a *App) ErrorResponse() bool { return a.option(optionQimenErrors) == "error_response" }

// StrictJSON reports whether the app's JSON must be JSON to the letter.
func (a *App) StrictJSON() bool { return a.option(optionJSON) == "strict" }

// AnyCaseSign reports whether the app may write its signature in upper case.
func (a *App) AnyCaseSign() bool { return a.option(optionSign) == "any" }
