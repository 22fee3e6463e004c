package contract

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Protocol names how a contract travels.
type Protocol string

// The protocols.
const (
	TOP    Protocol = "top"
	Suning Protocol = "suning"
)

// Need says whether an API takes a session (an OAuth access token).
type Need string

// What an API can say about its session. TOP's label stands behind each.
const (
	Required Need = "required" // 需要授权
	Optional Need = "optional" // 可选授权: checked when given
	None     Need = "none"     // 不需要授权
)

// API is one vendor page as data.
type API struct {
	Method   string // taobao.qimen.event.produce
	Title    string // the page's Chinese name
	About    string // the page's first sentence
	Protocol Protocol
	Session  Need
	Request  []Field
	Reply    []Field
	Refusals []*Refusal

	// Reverse says that a merchant answers it: the platform calls, by Qimen.
	Reverse bool
	// AnyTime says that the call's time is not checked: clients set their clock
	// by its answer.
	AnyTime bool
	// Repeatable says that a call sent twice does what one does, so that a
	// client may send it again when it does not know what became of the first.
	Repeatable bool
	// Identity names the request field by which a repeat is known: a call that
	// gives it is repeatable.
	Identity string

	root    string
	request *layout
	reply   *layout
}

// Param is one name and its value, as they travel.
type Param struct{ Name, Value string }

// Define compiles a table and binds it to the structs of request and reply. It
// panics when the table contradicts itself or the structs: at start-up, not in
// a call.
func Define[Request, Reply any](a API) *API {
	a.root = rootOf(a.Protocol, a.Method)
	a.Request = slices.Clone(a.Request)
	for i := range a.Request {
		a.Request[i].Secret = a.Request[i].secret()
	}
	a.request = compile(a.Method, reflect.TypeFor[Request](), a.Request)
	a.reply = compile(a.Method, reflect.TypeFor[Reply](), a.Reply)
	if _, ok := a.Field(a.Identity); a.Identity != "" && !ok {
		panic(fmt.Sprintf("contract %s: no row %s", a.Method, a.Identity))
	}
	return &a
}

// Root is the name of the element that holds the answer's content. For TOP it is
// the root: the method without a leading "taobao.", dots as underscores, and
// "_response". For Suning it is the business node, of request and answer alike:
// <verb><Noun> of suning.<domain>.<noun>.<verb>.
func (a *API) Root() string { return a.root }

func rootOf(protocol Protocol, method string) string {
	if protocol != Suning {
		return strings.ReplaceAll(strings.TrimPrefix(method, "taobao."), ".", "_") + "_response"
	}
	words := strings.Split(method, ".")
	verb := words[len(words)-1]
	if len(words) == 1 {
		return verb
	}
	noun := words[len(words)-2]
	return verb + strings.ToUpper(noun[:min(1, len(noun))]) + noun[min(1, len(noun)):]
}

// NewRequest makes an empty request of the API.
func (a *API) NewRequest() any { return reflect.New(a.request.of).Interface() }

// OrderID returns the number of the order that a request is about, and false
// when the API's rows name none.
func (a *API) OrderID(request any) (string, bool) {
	return a.request.textOf(reflect.Indirect(reflect.ValueOf(request)), func(f *Field) bool { return f.OrderID })
}

// Seller returns the name of the merchant whom a reverse call is for; empty when the
// API's rows name none.
func (a *API) Seller(request any) string {
	name, _ := a.request.textOf(reflect.Indirect(reflect.ValueOf(request)), func(f *Field) bool { return f.Seller })
	return name
}

// Field returns the request row of that wire name.
func (a *API) Field(name string) (*Field, bool) {
	i := slices.IndexFunc(a.Request, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return nil, false
	}
	return &a.Request[i], true
}

// Decode fills a new request struct from a look-up by wire name, checking the
// rows in their order: first that the required ones are given, then the limits.
// The error is about [MissingArgument] or [BadArgument]. A blank value counts as
// not given, yet is kept as it came. An object is read from its JSON text, a boolean
// from true or false; after all others they are about [InvalidParameter]. Lists of
// objects are left out.
func (a *API) Decode(lookup func(name string) (string, bool)) (request any, err error) {
	v := reflect.New(a.request.of)
	parsed := false
	for i := range a.Request {
		field := v.Elem().Field(a.request.index[i])
		if field.Kind() != reflect.String {
			parsed = true
		} else if value, ok := lookup(a.Request[i].Name); ok {
			field.SetString(value)
		}
	}
	text := func(i int) string {
		switch field := v.Elem().Field(a.request.index[i]); field.Kind() {
		case reflect.String:
			return field.String()
		case reflect.Slice:
			return ""
		}
		value, _ := lookup(a.Request[i].Name)
		return value
	}
	if err := a.check(text); err != nil {
		return nil, err
	}
	if !parsed {
		return v.Interface(), nil
	}
	for i := range a.Request {
		if err := a.parse(i, v.Elem().Field(a.request.index[i]), text(i)); err != nil {
			return nil, err
		}
	}
	return v.Interface(), nil
}

// parse reads a row that is no text from one.
func (a *API) parse(i int, field reflect.Value, text string) error {
	f := &a.Request[i]
	switch {
	case field.Kind() == reflect.String, f.Item != "", Blank(text):
		return nil
	case field.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return About(InvalidParameter, f.Name)
		}
		field.SetBool(text == "true")
		return nil
	}
	n, err := ParseJSON(text)
	if err != nil || n.Kind != ObjectNode || a.request.nested[i].misfit(n) {
		return About(InvalidParameter, f.Name)
	}
	a.request.nested[i].decode(field, n)
	for j := range f.Fields {
		member := field.Field(a.request.nested[i].index[j])
		switch {
		case member.Kind() != reflect.String:
		case f.Fields[j].Required && Blank(member.String()):
			return About(InvalidParameter, f.Name)
		case f.Fields[j].exceeded(member.String()):
			return About(BadArgument, f.Name)
		}
	}
	return nil
}

// Content makes a document's content of parameters, in their order: what DecodeNode
// reads. The error names a parameter that has to be JSON text and is not.
func (a *API) Content(params []Param) (*Node, error) {
	content := &Node{Kind: ObjectNode, Parts: make([]Part, len(params))}
	for i, p := range params {
		n := &Node{Text: p.Value}
		if row, known := a.Field(p.Name); known && row.Fields != nil {
			var err error
			if n, err = ParseJSON(p.Value); err != nil {
				return nil, fmt.Errorf("%s: write it as JSON text: %w", p.Name, err)
			}
		}
		content.Parts[i] = Part{Name: p.Name, Node: n}
	}
	return content, nil
}

// DecodeNode fills a new request struct from a document's content, as Decode
// does. The error may also be [BadRequest]: a text is expected and there are
// parts.
func (a *API) DecodeNode(content *Node) (request any, err error) {
	if a.request.misfit(content) {
		return nil, BadRequest
	}
	v := reflect.New(a.request.of)
	a.request.decode(v.Elem(), content)
	err = a.check(func(i int) string {
		if field := v.Elem().Field(a.request.index[i]); field.Kind() == reflect.String {
			return field.String()
		}
		return "" // a list
	})
	if err != nil {
		return nil, err
	}
	return v.Interface(), nil
}

// check checks that the required rows are given and all are within their limits.
func (a *API) check(text func(row int) string) error {
	for i := range a.Request {
		if f := &a.Request[i]; f.Required && Blank(text(i)) {
			return About(MissingArgument, f.Name)
		}
	}
	for i := range a.Request {
		if f := &a.Request[i]; f.exceeded(text(i)) {
			return About(BadArgument, f.Name)
		}
	}
	return nil
}

// Masked returns parameters with the secret ones masked, by the rows of the
// protocol and of the API; the API may be nil.
func (a *API) Masked(params []Param) []Param {
	shown := slices.Clone(params)
	for i, p := range shown {
		f := topParams[p.Name]
		if a != nil && f == nil {
			f, _ = a.Field(p.Name)
		}
		if f != nil && f.Secret {
			shown[i].Value = Masked
		}
	}
	return shown
}

// Params lists what a client sends for a request: the fields that are not
// blank, in the page's order. A blank value is neither sent nor signed. Objects and
// lists are JSON text.
func (a *API) Params(request any) []Param {
	v := reflect.Indirect(reflect.ValueOf(request))
	params := make([]Param, 0, len(a.Request))
	for i := range a.Request {
		if value := a.paramOf(i, v.Field(a.request.index[i])); !Blank(value) {
			params = append(params, Param{a.Request[i].Name, value})
		}
	}
	return params
}

func (a *API) paramOf(row int, field reflect.Value) string {
	switch {
	case field.Kind() == reflect.String:
		return field.String()
	case field.Kind() == reflect.Bool:
		return strconv.FormatBool(field.Bool())
	case field.Kind() == reflect.Slice && field.Len() == 0:
		return ""
	case field.Kind() == reflect.Slice:
		return string(a.request.nested[row].appendList(nil, Simplified, field))
	}
	return string(closeObject(a.request.nested[row].appendJSON([]byte{'{'}, Simplified, field)))
}

// Unsendable names a field of a request whose text is not UTF-8; empty when there
// is none.
func (a *API) Unsendable(request any) string {
	return a.request.notUTF8(reflect.Indirect(reflect.ValueOf(request)))
}

// Asked reports whether a field is blank in a request that the page asks for
// though it is optional.
func (a *API) Asked(request any) bool {
	v := reflect.Indirect(reflect.ValueOf(request))
	for i := range a.Request {
		if a.Request[i].Asked && Blank(v.Field(a.request.index[i]).String()) {
			return true
		}
	}
	return false
}

// Repeats reports whether a request may be sent again when nobody knows what
// became of the first.
func (a *API) Repeats(request any) bool {
	identity, _ := a.request.textOf(reflect.Indirect(reflect.ValueOf(request)), func(f *Field) bool { return f.Name == a.Identity })
	return a.Repeatable || !Blank(identity)
}

// DecodeReply fills a new reply struct from an answer's content, and reports
// whether it holds any of the API's fields. What it does not hold stays zero. Where
// all of a reply stands in one object, some answers leave that object out.
func (a *API) DecodeReply(content *Node) (reply any, found bool) {
	v := reflect.New(a.reply.of)
	found = a.reply.decode(v.Elem(), content)
	if !found && len(a.Reply) == 1 && a.Reply[0].Fields != nil && a.Reply[0].Item == "" {
		found = a.reply.nested[0].decode(v.Elem().Field(a.reply.index[0]), content)
	}
	return v.Interface(), found || len(a.Reply) == 0
}

// Done reports whether an error says that what a request asks has happened
// before. Its row's advice says so, but where that depends on the request.
func (a *API) Done(request any, err error) bool {
	row, ok := errors.AsType[*Refusal](err)
	if !ok {
		return false
	}
	if r, decides := request.(interface{ done(*Refusal) bool }); decides {
		return r.done(row)
	}
	return row.Advice == Done
}

// Advice is what to do about a refusal of a request: done where that depends on the
// request and it is, stop where it is unknown what became of a call that cannot be
// repeated, else what the row advises.
func (a *API) Advice(request any, refused *Refused) Advice {
	switch advice := refused.Advice(); {
	case a.Done(request, refused):
		return Done
	case advice == Done: // for another request
		return Stop
	case refused.OutcomeUnknown() && !a.Repeats(request):
		return Stop
	default:
		return advice
	}
}

// Yes reports whether a reply says yes: none of its verdicts is false.
func (a *API) Yes(reply any) bool {
	return a.reply.yes(reflect.Indirect(reflect.ValueOf(reply)))
}

// SaysYes reports whether an answer's fields, as JSON, say yes.
func (a *API) SaysYes(answer []byte) bool {
	content, err := ParseJSON(string(answer))
	if err != nil {
		return false
	}
	reply, found := a.DecodeReply(content)
	return found && a.Yes(reply)
}

// Declined returns the normal answer that says no with a row, and false when the
// API's answers have no room for one.
func (a *API) Declined(row *Refusal) (reply any, ok bool) {
	r, ok := reflect.New(a.reply.of).Interface().(interface{ decline(*Refusal) })
	if ok {
		r.decline(row)
	}
	return r, ok
}

// Refusal returns what a normal answer refuses with; nil when it says yes.
func (a *API) Refusal(reply any) *Refused {
	if a.Yes(reply) {
		return nil
	}
	if r, ok := reply.(interface{ refusal() *Refused }); ok {
		return r.refusal()
	}
	return &Refused{Text: noSuccess}
}

// noSuccess is said of an answer that says no without a reason.
const noSuccess = "the answer does not say that it succeeded"

// Shape is how lists stand in JSON.
type Shape bool

// The shapes.
const (
	Wrapped    Shape = false // "results":{"qimen_result":[…]}
	Simplified Shape = true  // "results":[…]
)

// AppendJSON writes a reply's fields as members of a JSON object, without the
// braces, each with a comma behind it. What is empty is left out, but for
// booleans and objects.
func (a *API) AppendJSON(b []byte, shape Shape, reply any) []byte {
	return a.reply.appendJSON(b, shape, reflect.Indirect(reflect.ValueOf(reply)))
}

// RequestJSON writes a request as a JSON object, as a document of it holds it: objects
// as objects, blank fields left out.
func (a *API) RequestJSON(request any) []byte {
	return closeObject(a.request.appendJSON([]byte{'{'}, Simplified, reflect.Indirect(reflect.ValueOf(request))))
}

// JSON writes a reply's fields as a JSON object.
func (a *API) JSON(reply any) []byte {
	return closeObject(a.AppendJSON([]byte{'{'}, Wrapped, reply))
}

// AppendXML writes a reply's fields as elements.
func (a *API) AppendXML(b []byte, reply any) []byte {
	return a.reply.appendXML(b, reflect.Indirect(reflect.ValueOf(reply)))
}
