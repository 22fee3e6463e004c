package order

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// The warnings of event.produce.
var (
	WarnStepOrder    = Warning{"step-order", "an earlier step is reported after a later one"}
	WarnNotGiven     = Warning{"not-given", "a field is absent that the page asks for (需要填)"}
	WarnNickAlone    = Warning{"nick-without-platform", "the page asks for platform wherever nick is given; nick was ignored"}
	WarnPlatformCode = Warning{"platform-unlisted", "platform is none of the codes on the page"}
)

var produceWarnings = []Warning{WarnStepOrder, WarnNotGiven, WarnNickAlone, WarnPlatformCode}

// step is a status that the pages name, and the state that it brings a line to.
type step struct {
	Status string
	State  State
}

// steps are in the order in which an order meets them. Other statuses (split,
// merge) are accepted and move nothing.
var steps = []step{
	{contract.StatusTransfer, Transferred},
	{contract.StatusCheck, Checked},
	{contract.StatusNotify, Notified},
	{contract.StatusOut, Out},
}

// stepOf returns a status's place among the steps; unlisted ones come last.
func stepOf(status string) int {
	i := slices.IndexFunc(steps, func(s step) bool { return s.Status == status })
	if i < 0 {
		return len(steps)
	}
	return i
}

// produced is one event.produce, read as the rules see it.
type produced struct {
	*contract.EventProduceRequest
	call     *Call
	id       string // of the event
	record   json.RawMessage
	order    Key
	state    State    // empty: the status moves nothing
	lines    []string // empty: the whole order
	detail   string
	unknown  bool // it came with fields that the API does not have
	warnings []string
}

// produceEvent judges taobao.qimen.event.produce. The order of the checks is
// that of docs/decisions/0005: topic, content, create, event_time,
// and last, in the ledger, whether the status has flowed back before.
func produceEvent(c *Call) (*Work, error) {
	p := &produced{EventProduceRequest: c.Request.(*contract.EventProduceRequest), call: c}
	t, err := p.judge()
	if err != nil {
		return nil, err
	}
	return alone(t), nil
}

func (p *produced) judge() (*Task, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	p.read()
	p.id, p.record = NewEventID(), p.call.Record.JSON() // here, not in the turn of the one that decides
	return &Task{Orders: []Key{p.order}, Decide: p.decide}, nil
}

func (p *produced) check() error {
	if !IsTopic(p.Status) {
		return contract.TopicEmpty
	}
	topic, ok := p.call.App.Topic(p.Status)
	if !ok {
		return contract.TopicNotAllowed
	}
	if !contract.Blank(p.Extension) {
		if err := checkExtension(p.Extension, topic); err != nil {
			return err
		}
	}
	if p.unknown {
		return contract.UnmatchedField
	}
	if !contract.Blank(p.Created) && !contract.Digits(p.Created) {
		return contract.About(contract.InvalidParameter, "create")
	}
	if !contract.Blank(p.OccurredAt) && p.OccurredAt != contract.EventTimeSample {
		if _, ok := contract.ParseTime(p.OccurredAt); !ok {
			return contract.About(contract.InvalidParameter, "event_time")
		}
	}
	return nil
}

// IsTopic reports whether a status can be a topic: it matches ^[A-Z][A-Z0-9_]{2,63}$.
func IsTopic(s string) bool {
	if len(s) < 3 || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// normal turns the shape of the page's own example for ext into the JSON that it
// means: two strings with a comma for the colon, {"rdsName","123wdx1"}. It is
// not JSON, and yet what real callers send.
func normal(ext string) string {
	inside, opened := strings.CutPrefix(strings.Trim(ext, jsonSpace), "{")
	inside, closed := strings.CutSuffix(inside, "}")
	inside = strings.Trim(inside, jsonSpace)
	first := stringEnd(inside)
	rest, comma := strings.CutPrefix(strings.TrimLeft(inside[first:], jsonSpace), ",")
	second := strings.TrimLeft(rest, jsonSpace)
	if !opened || !closed || !comma || first == 0 || second == "" || stringEnd(second) != len(second) {
		return ext
	}
	return "{" + inside[:first] + ":" + second + "}"
}

const jsonSpace = " \t\r\n"

// stringEnd returns the length of the JSON string that a text starts with; 0
// when it starts with none.
func stringEnd(text string) int {
	if !strings.HasPrefix(text, `"`) {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// checkExtension checks that ext is a JSON object with no key that the topic
// does not have.
func checkExtension(ext string, topic Topic) error {
	ext = normal(ext)
	object := strings.HasPrefix(strings.TrimLeft(ext, jsonSpace), "{")
	if topic.ExtFields == nil {
		if !object || !json.Valid([]byte(ext)) {
			return contract.BrokenJSON
		}
		return nil
	}
	var fields map[string]json.RawMessage
	if !object || json.Unmarshal([]byte(ext), &fields) != nil {
		return contract.BrokenJSON
	}
	for name := range fields {
		if !slices.Contains(topic.ExtFields, name) {
			return contract.UnmatchedField
		}
	}
	return nil
}

// read finds the order, the lines and the mark that an accepted event is about.
func (p *produced) read() {
	p.order = Key{Platform: Taobao, Seller: p.call.Seller, Number: p.OrderID}
	platform, nick := !contract.Blank(p.Platform), !contract.Blank(p.Nick)
	switch {
	case !platform, p.Platform == "MAIN":
	case p.Platform == Suning: // the ledger's own word: such orders have other rules
		p.order.Platform = "SN"
	default:
		p.order.Platform = p.Platform
	}
	if platform && !slices.ContainsFunc(contract.Platforms, func(c contract.Param) bool { return c.Name == p.Platform }) {
		p.warn(WarnPlatformCode)
	}
	switch {
	case platform && nick:
		p.order.Seller = p.Nick
	case nick:
		p.warn(WarnNickAlone)
	}
	p.lines = splitIDs(p.SubOrders)
	i := stepOf(p.Status)
	if i == len(steps) { // only the listed ones are one and the same event when repeated
		p.detail = digest(p.Extension)
		return
	}
	p.state = steps[i].State
	if p.call.API.Asked(p.EventProduceRequest) {
		p.warn(WarnNotGiven)
	}
}

// digest tells contents of ext apart, however they are written.
func digest(ext string) string {
	if contract.Blank(ext) {
		return ""
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(normal(ext))); err != nil {
		compact.WriteString(ext) // check has let JSON through only
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:16])
}

func (p *produced) warn(w Warning) { p.warnings = append(p.warnings, w.Code) }

// splitIDs reads a comma-separated list: trimmed, without empties and repeats.
func splitIDs(list string) []string {
	var ids []string
	seen := map[string]bool{}
	for id := range strings.SplitSeq(list, ",") {
		if id = strings.TrimSpace(id); id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *produced) decide(v *View) (Decision, error) {
	o := v.Orders[p.order]
	fresh := p.freshMarks(o)
	if len(fresh) == 0 && p.call.App.Authority != Upstream {
		return Decision{}, contract.AlreadyBackflow
	}
	change := Change{Key: p.order, Header: o.Header, Marks: fresh}
	early, added := p.move(o, &change)
	if len(o.Lines)+added > MaxLines {
		return Decision{}, contract.About(contract.BadArgument, "taobao_sub_order_ids")
	}
	if len(o.Marks)+len(fresh) > MaxMarks {
		return Decision{}, contract.About(contract.BadArgument, "tid")
	}
	warnings := p.warnings
	if early {
		warnings = append(slices.Clip(warnings), WarnStepOrder.Code)
	}
	reply := &contract.EventProduceReply{Success: true}
	violated := o.violations(&change, p.id, p.call.App.Key, v.Now)
	return Decision{
		Reply:  reply,
		Orders: []Change{change},
		Events: append([]Event{{
			ID: p.id, API: p.call.API.Method, Order: p.order, Lines: p.lines,
			App: p.call.App.Key, At: p.call.At, Record: p.record,
			Answer: p.call.API.JSON(reply), Warnings: warnings, Session: p.call.Session,
		}}, violated...),
	}, nil
}

// freshMarks returns the marks that the event adds: none when it has flowed
// back before, either for the whole order or for every line it names.
func (p *produced) freshMarks(o *Order) []Mark {
	mark := Mark{Status: p.Status, ERPOrderID: p.ERPOrderID, Detail: p.detail}
	if contract.Blank(mark.ERPOrderID) {
		mark.ERPOrderID = ""
	}
	known := map[string]bool{}
	for _, m := range o.Marks {
		if m.Status == mark.Status && m.ERPOrderID == mark.ERPOrderID && m.Detail == mark.Detail {
			known[m.Line] = true
		}
	}
	switch {
	case known[""]:
		return nil
	case len(p.lines) == 0:
		return []Mark{mark}
	}
	var fresh []Mark
	for _, line := range p.lines {
		if mark.Line = line; !known[line] {
			fresh = append(fresh, mark)
		}
	}
	return fresh
}

// move brings lines to the event's state, never back. It reports whether one of
// them had come further before, and how many are new.
func (p *produced) move(o *Order, c *Change) (early bool, added int) {
	advance := func(l Line, known bool) {
		before := l.State
		l.State = later(o.Platform, before, p.state)
		early = early || p.state != "" && l.State != p.state
		if !known {
			added++
		}
		if !known || l.State != before {
			c.Lines = append(c.Lines, l)
		}
	}
	if len(p.lines) > 0 {
		for _, number := range p.lines {
			l, known := o.Line(number)
			if !known {
				l = Line{Number: number, Kind: Physical, State: o.Reached}
			}
			advance(l, known)
		}
		return early, added
	}
	c.Header.Reached = later(o.Platform, o.Reached, p.state)
	early = p.state != "" && c.Header.Reached != p.state
	for _, l := range o.Lines {
		advance(l, true)
	}
	return early, added
}
