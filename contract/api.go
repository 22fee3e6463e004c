package contract

import (
	"bytes"
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

	root    string
	request layout
	reply   layout
}

// Param is one name and its value, as they travel.
type Param struct{ Name, Value string }

// Define compiles a table and binds it to the structs of request and reply. It
// panics when the table contradicts itself or the structs: at start-up, not in
// a call.
func Define[Request, Reply any](a API) *API {
	a.root = strings.ReplaceAll(strings.TrimPrefix(a.Method, "taobao."), ".", "_") + "_response"
	a.request = compile[Request](a.Method, a.Request)
	a.reply = compile[Reply](a.Method, a.Reply)
	return &a
}

// Root is the name of the answer's root element: the method without a leading
// "taobao.", dots as underscores, and "_response".
func (a *API) Root() string { return a.root }

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
// not given, yet is kept as it came.
func (a *API) Decode(lookup func(name string) (string, bool)) (request any, err error) {
	v := reflect.New(a.request.of)
	for i := range a.Request {
		f := &a.Request[i]
		value, ok := lookup(f.Name)
		if f.Required && (!ok || Blank(value)) {
			return nil, About(MissingArgument, f.Name)
		}
		if ok {
			v.Elem().Field(a.request.index[i]).SetString(value)
		}
	}
	for i := range a.Request {
		f := &a.Request[i]
		if f.exceeded(v.Elem().Field(a.request.index[i]).String()) {
			return nil, About(BadArgument, f.Name)
		}
	}
	return v.Interface(), nil
}

// Masked returns parameters with the secret ones masked, by the rows of the API
// and of its protocol.
func (a *API) Masked(params []Param) []Param {
	shown := slices.Clone(params)
	for i, p := range shown {
		f, ok := a.Field(p.Name)
		if !ok {
			f = topParams[p.Name]
		}
		if f != nil && f.Secret {
			shown[i].Value = Masked
		}
	}
	return shown
}

// Params lists what a client sends for a request: the fields that are not
// blank, in the page's order. A blank value is neither sent nor signed.
func (a *API) Params(request any) []Param {
	v := reflect.Indirect(reflect.ValueOf(request))
	params := make([]Param, 0, len(a.Request))
	for i := range a.Request {
		if value := v.Field(a.request.index[i]).String(); !Blank(value) {
			params = append(params, Param{a.Request[i].Name, value})
		}
	}
	return params
}

// DecodeReply fills a new reply struct from a look-up by wire name, and reports
// whether the answer holds any of its fields. What it does not hold stays zero.
func (a *API) DecodeReply(lookup func(name string) (string, bool)) (reply any, found bool) {
	v := reflect.New(a.reply.of)
	found = len(a.Reply) == 0
	for i := range a.Reply {
		value, ok := lookup(a.Reply[i].Name)
		if !ok {
			continue
		}
		found = true
		switch f := v.Elem().Field(a.reply.index[i]); f.Kind() {
		case reflect.Bool:
			f.SetBool(strings.EqualFold(value, "true"))
		default:
			f.SetString(value)
		}
	}
	return v.Interface(), found
}

// Yes reports whether a reply says yes: none of its verdicts is false.
func (a *API) Yes(reply any) bool {
	v := reflect.Indirect(reflect.ValueOf(reply))
	for i := range a.Reply {
		if a.Reply[i].Verdict && !v.Field(a.reply.index[i]).Bool() {
			return false
		}
	}
	return true
}

// AppendJSON writes a reply's fields as members of a JSON object, without the
// braces, each with a comma behind it. Empty texts are left out.
func (a *API) AppendJSON(b []byte, reply any) []byte {
	for name, value := range a.fields(reply) {
		b = AppendJSONString(b, name)
		b = append(b, ':')
		switch value := value.(type) {
		case bool:
			b = strconv.AppendBool(b, value)
		case string:
			b = AppendJSONString(b, value)
		}
		b = append(b, ',')
	}
	return b
}

// JSON writes a reply's fields as a JSON object.
func (a *API) JSON(reply any) []byte {
	b := a.AppendJSON([]byte{'{'}, reply)
	return append(bytes.TrimSuffix(b, []byte{','}), '}')
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

// AppendXML writes a reply's fields as elements.
func (a *API) AppendXML(b []byte, reply any) []byte {
	for name, value := range a.fields(reply) {
		b = AppendElement(b, name, fmt.Sprint(value))
	}
	return b
}

// fields walks the reply's rows that have a value: booleans always, texts when
// they are not empty.
func (a *API) fields(reply any) func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		v := reflect.Indirect(reflect.ValueOf(reply))
		for i := range a.Reply {
			value := v.Field(a.reply.index[i])
			if value.Kind() == reflect.String && value.Len() == 0 {
				continue
			}
			if !yield(a.Reply[i].Name, value.Interface()) {
				return
			}
		}
	}
}

// layout binds rows to a struct: row i is struct field index[i].
type layout struct {
	of    reflect.Type
	index []int
}

func compile[T any](method string, rows []Field) layout {
	l := layout{of: reflect.TypeFor[T]()}
	names, fields := map[string]bool{}, map[string]bool{}
	for _, row := range rows {
		f, ok := l.of.FieldByName(row.Go)
		if !ok || len(f.Index) != 1 {
			panic(fmt.Sprintf("contract %s: row %s: %s has no field %s", method, row.Name, l.of, row.Go))
		}
		if row.Verdict && row.Type != Boolean {
			panic(fmt.Sprintf("contract %s: row %s is a verdict and no Boolean", method, row.Name))
		}
		want := reflect.String
		if row.Type == Boolean {
			want = reflect.Bool
		}
		switch {
		case f.Type.Kind() != want:
			panic(fmt.Sprintf("contract %s: row %s is a %s, %s.%s is not", method, row.Name, row.Type, l.of, row.Go))
		case names[row.Name]:
			panic(fmt.Sprintf("contract %s: two rows are named %s", method, row.Name))
		case fields[row.Go]:
			panic(fmt.Sprintf("contract %s: two rows are bound to %s.%s", method, l.of, row.Go))
		}
		names[row.Name], fields[row.Go] = true, true
		l.index = append(l.index, f.Index[0])
	}
	if len(rows) != l.of.NumField() {
		panic(fmt.Sprintf("contract %s: %s has fields without a row", method, l.of))
	}
	return l
}
