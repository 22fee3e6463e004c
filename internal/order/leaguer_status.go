package order

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// WarnVersion is the warning of Suning's calls.
var WarnVersion = Warning{"version-unlisted", "versionNo is not the one that the page names"}

// column is a status for the kinds of lines that are treated alike.
type column int

// The columns of docs/protocol/suning.md 5.4.
const (
	shipGoods    column = iota // 180 for recharge and gift
	shipCards                  // 180 for card
	activate                   // 190 for recharge and card
	activateGift               // 190 for gift
	grantGift                  // 200 for gift
	grantOther                 // 200 for recharge and card
	failAccepted               // 210 for recharge
	failRefused                // 210 for card and gift
	columns
)

// columnOf says what each status means for each kind. Lines of an unknown kind
// take every status.
var columnOf = map[Kind]map[string]column{
	Recharge: {contract.StatusShipped: shipGoods, contract.StatusActivated: activate, contract.StatusGranted: grantOther, contract.StatusFailed: failAccepted},
	Card:     {contract.StatusShipped: shipCards, contract.StatusActivated: activate, contract.StatusGranted: grantOther, contract.StatusFailed: failRefused},
	Gift:     {contract.StatusShipped: shipGoods, contract.StatusActivated: activateGift, contract.StatusGranted: grantGift, contract.StatusFailed: failRefused},
	Unknown:  {contract.StatusShipped: shipGoods, contract.StatusActivated: activate, contract.StatusGranted: grantGift, contract.StatusFailed: failAccepted},
}

// cell is what a status does to a line: it moves it, or is refused.
type cell struct {
	to State
	no *contract.Refusal
}

func to(s State) cell             { return cell{to: s} }
func no(r *contract.Refusal) cell { return cell{no: r} }

// transitions is the table of docs/protocol/suning.md 5.4: the columns in their
// order, for each state.
var transitions = map[State][columns]cell{
	Waiting:   {to(Shipped), to(Shipped), no(contract.LineNotShipped), no(contract.StatusNotLegal), to(Received), no(contract.StatusNotLegal), to(Refunding), no(contract.KindCannotFail)},
	Shipped:   {no(contract.AlreadyShipped), no(contract.AlreadyShipped), to(Received), no(contract.StatusNotLegal), to(Received), no(contract.StatusNotLegal), no(contract.StateCannotFail), no(contract.KindCannotFail)},
	Received:  {no(contract.AlreadyReceived), no(contract.AlreadyReceived), no(contract.AlreadyReceived), no(contract.StatusNotLegal), no(contract.AlreadyReceived), no(contract.StatusNotLegal), no(contract.StateCannotFail), no(contract.KindCannotFail)},
	Refunding: {no(contract.RefundStarted), no(contract.RefundStarted), no(contract.RefundStarted), no(contract.StatusNotLegal), no(contract.RefundStarted), no(contract.StatusNotLegal), no(contract.RefundStarted), no(contract.KindCannotFail)},
	Timeout:   {no(contract.RefundedByTime), no(contract.RefundedByTime), no(contract.RefundedByTime), no(contract.StatusNotLegal), no(contract.RefundedByTime), no(contract.StatusNotLegal), no(contract.RefundedByTime), no(contract.KindCannotFail)},
	Closed:    {no(contract.LineReturned), no(contract.LineReturned), no(contract.LineReturned), no(contract.StatusNotLegal), no(contract.LineReturned), no(contract.StatusNotLegal), no(contract.StateCannotFail), no(contract.KindCannotFail)},
}

// reached is the state that a status says a line is in: what the ledger follows
// when an upstream decides.
var reached = map[string]State{
	contract.StatusShipped: Shipped, contract.StatusActivated: Received, contract.StatusGranted: Received, contract.StatusFailed: Refunding,
}

// reported is one leaguerstatus.add, read as the rules see it.
type reported struct {
	*contract.LeaguerStatusRequest
	call   *Call
	id     string // of the event
	record json.RawMessage
	sealed contract.Secret
}

// reportStatus judges suning.selfmarket.leaguerstatus.add. The order of the
// checks is that of docs/protocol/suning.md 5.4.
func reportStatus(c *Call) (*Work, error) {
	r := &reported{LeaguerStatusRequest: c.Request.(*contract.LeaguerStatusRequest), call: c}
	if _, known := reached[r.Status]; !known {
		return nil, contract.StatusNotLegal
	}
	r.id = NewEventID()
	r.record, r.sealed = c.kept()
	t := &Task{Numbers: []NumberKey{r.number()}, Decide: r.decide}
	if c.App.Authority == Upstream {
		t.Orders, t.Decide = []Key{r.unknown()}, r.follow
	}
	return alone(t), nil
}

func (r *reported) number() NumberKey { return NumberKey{Platform: Suning, Number: r.OrderID} }

// unknown is the order that an upstream's call is about when the ledger has none
// of its number.
func (r *reported) unknown() Key {
	return Key{Platform: Suning, Seller: cmp.Or(r.supplier(), r.call.App.SupplierCode), Number: r.OrderID}
}

// supplier is the supplier that the call names; empty when it names none.
func (r *reported) supplier() string {
	if contract.Blank(r.SupplierCode) {
		return ""
	}
	return r.SupplierCode
}

func (r *reported) decide(v *View) (Decision, error) {
	o, l, err := r.find(v.Named[r.number()])
	switch {
	case err != nil:
		return Decision{}, err
	case l.Kind == Physical:
		return Decision{}, contract.LineNotVirtual
	}
	late := l.late(o, v.Now)
	if late {
		l.State = Timeout
	}
	cell := r.cell(l)
	switch {
	case cell.no == contract.RefundedByTime && late:
		change, events := refund(o, v.Now)
		return Decision{Orders: []Change{change}, Events: events, Refusal: cell.no}, nil
	case cell.no != nil:
		return Decision{}, cell.no
	}
	if l.State == Waiting && cell.to == Shipped && l.Kind == Card {
		if err := r.checkCards(l.Quantity); err != nil {
			return Decision{}, err
		}
		l.Cards = len(r.Cards)
	}
	l.State = cell.to
	return r.accept(o, l), nil
}

// find finds the line that the call is about, and whether its supplier may speak
// of it.
func (r *reported) find(orders []*Order) (*Order, Line, error) {
	err := error(contract.LineUnknown)
	for _, o := range orders {
		l, ok := o.Line(r.LineID)
		if !ok {
			continue
		}
		owner := cmp.Or(l.SupplierCode, o.Seller)
		if owned(r.supplier(), owner) && owned(r.call.App.SupplierCode, owner) {
			return o, l, nil
		}
		err = contract.SupplierNotOwned
	}
	return nil, Line{}, err
}

// owned reports whether a supplier may speak of an owner's line. An app without a
// supplier speaks for all, and a line without an owner is anybody's.
func owned(supplier, owner string) bool {
	return supplier == "" || owner == "" || supplier == owner
}

// cell finds what the status does to the line as the app reads the page.
func (r *reported) cell(l Line) cell {
	app := r.call.App
	column := r.column(l)
	c := transitions[l.State][column]
	switch {
	case c.no == contract.StatusNotLegal && app.option(optionConfirmation) == "100":
		return no(contract.StatusNotSynced)
	case c.no == contract.AlreadyReceived && r.Status == contract.StatusShipped && app.option(optionShipReceived) == "105":
		return no(contract.AlreadyShipped)
	case l.State == Waiting && column == grantGift && app.option(optionGrantWaiting) == "103":
		return no(contract.LineNotShipped)
	case c.no == contract.LineReturned && !l.RefundOf.IsZero() && app.option(optionTimeoutClosed) == "107":
		return no(contract.RefundedByTime)
	}
	return c
}

func (r *reported) column(l Line) column {
	app := r.call.App
	column := columnOf[l.Kind][r.Status]
	switch accepts := l.AcceptsFailure; {
	case column == activateGift && app.option(optionConfirmation) == "synonym":
		return grantGift
	case column == grantOther && app.option(optionConfirmation) == "synonym":
		return activate
	case r.Status != contract.StatusFailed:
	case accepts != nil && *accepts:
		return failAccepted
	case accepts != nil:
		return failRefused
	case app.option(optionFailure) == "virtual":
		return failAccepted
	}
	return column
}

// checkCards checks the cards of a line of which so many were sold.
func (r *reported) checkCards(quantity string) error {
	for number := range strings.SplitSeq(r.call.App.option(optionCardChecks), ",") {
		if check := cardChecks[number]; check.fails(r.Cards, quantity) {
			return check.refusal
		}
	}
	return nil
}

// cardChecks are the checks of cards, by the number of what they answer.
var cardChecks = map[string]struct {
	refusal *contract.Refusal
	fails   func(cards []contract.Card, quantity string) bool
}{
	"113": {contract.CardsMissing, func(cards []contract.Card, _ string) bool { return len(cards) == 0 }},
	"114": {contract.CardsMiscounted, func(cards []contract.Card, quantity string) bool {
		return quantity != "" && !isCount(quantity, len(cards))
	}},
	"115": {contract.CardsTooMany, func(cards []contract.Card, _ string) bool { return len(cards) > contract.MaxCards }},
	"116": {contract.CardsBlank, func(cards []contract.Card, _ string) bool {
		for _, c := range cards {
			if contract.Blank(string(c.Code)) || contract.Blank(string(c.Password)) {
				return true
			}
		}
		return false
	}},
}

// isCount reports whether a decimal text such as 2.00000 is a count.
func isCount(quantity string, n int) bool {
	whole, fraction, _ := strings.Cut(quantity, ".")
	return strings.Trim(fraction, "0") == "" && cmp.Or(strings.TrimLeft(whole, "0"), "0") == strconv.Itoa(n)
}

// follow records what an upstream's call says, without a check that needs the
// ledger.
func (r *reported) follow(v *View) (Decision, error) {
	o, l, known := r.followed(v)
	if !known {
		l = Line{Number: r.LineID, Kind: Unknown, State: o.Reached, SupplierCode: o.Seller}
		if len(o.Lines) >= MaxLines {
			return Decision{}, contract.About(contract.BadArgument, "orderItemId")
		}
	}
	l.State = later(Suning, l.State, reached[r.Status])
	if r.Status == contract.StatusShipped {
		l.Cards = max(l.Cards, len(r.Cards))
	}
	return r.accept(o, l), nil
}

// followed finds the order that an upstream's call is about, and its line: the one
// of the supplier, else another that has the line, else, when the call names no
// supplier, any of the number.
func (r *reported) followed(v *View) (o *Order, l Line, known bool) {
	o = v.Orders[r.unknown()]
	if l, known = o.Line(r.LineID); known {
		return o, l, true
	}
	named := v.Named[r.number()]
	for _, other := range named {
		if l, known = other.Line(r.LineID); known {
			return other, l, true
		}
	}
	if !o.Exists() && r.supplier() == "" && len(named) > 0 {
		o = named[0]
	}
	return o, Line{}, false
}

func (r *reported) accept(o *Order, l Line) Decision {
	reply := &contract.LeaguerStatusReply{Result: "Y", OrderID: r.OrderID, LineID: r.LineID}
	return Decision{
		Reply:  reply,
		Orders: []Change{{Key: o.Key, Header: o.Header, Lines: []Line{l}}},
		Events: []Event{{
			ID: r.id, API: r.call.API.Method, Order: o.Key, Lines: []string{l.Number}, App: r.call.App.Key, At: r.call.At,
			Record: r.record, Sealed: r.sealed, Answer: r.call.API.JSON(reply), Warnings: r.call.Warnings,
		}},
	}
}
