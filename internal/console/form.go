package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// fieldKind is how a field of a form is filled in.
type fieldKind string

// The kinds of fields.
const (
	textField   fieldKind = "text"
	secretField fieldKind = "secret" // left empty, the present one stays
	numberField fieldKind = "number"
	flagField   fieldKind = "flag"
	listField   fieldKind = "list"   // one a line
	choiceField fieldKind = "choice" // the first is the default
)

// field is a field of what the management API takes.
type field struct {
	Name     string // with dots into objects: rate.per_second
	Kind     fieldKind
	Label    string
	Help     string
	Required bool
	Choices  []string
	Absent   string // what it means that a list is left empty
	On       bool   // a flag that is absent is on
}

// input is a field with what stands in it.
type input struct {
	field
	Value string
	Wrong string
}

// inputs fills fields with an object of the management API and what was wrong with them.
func inputs(fields []field, object map[string]any, p *problem) []input {
	list := make([]input, len(fields))
	for i, f := range fields {
		list[i] = input{field: f, Value: f.read(object)}
		if p == nil {
			continue
		}
		for _, e := range p.Errors {
			if _, at, ok := strings.Cut(e.Location, "]."); ok && at == f.Name || e.Location == f.Name || e.Location == "body."+f.Name {
				list[i].Wrong = e.Message
			}
		}
	}
	return list
}

// read writes a member of an object as a form holds it.
func (f field) read(object map[string]any) string {
	var value any = object
	for name := range strings.SplitSeq(f.Name, ".") {
		inner, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = inner[name]
	}
	switch v := value.(type) {
	case nil:
		if f.Kind == flagField && f.On {
			return "on"
		}
		return ""
	case bool:
		if v {
			return "on"
		}
		return ""
	case []any:
		if len(v) == 0 {
			return noneAtAll
		}
		items := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				b, _ := json.Marshal(item)
				text = string(b)
			}
			items[i] = text
		}
		return strings.Join(items, "\n")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if f.Kind == secretField {
			return ""
		}
		return v
	}
	return ""
}

// fieldsOfForm is the name by which a form says which fields it has: of a flag that is not
// ticked nothing else is sent.
const fieldsOfForm = "has"

// fill changes an object of the management API as a form says. What the form does not have
// stays.
func fill(l language, fields []field, object map[string]any, form url.Values) error {
	for _, f := range fields {
		if !slices.Contains(form[fieldsOfForm], f.Name) || f.Kind == secretField && form.Get(f.Name) == "" {
			continue
		}
		value, err := f.parse(l, form.Get(f.Name))
		if err != nil {
			return &problem{Status: http.StatusUnprocessableEntity, Detail: l.say(f.Label) + ": " + err.Error(), Errors: []fieldProblem{{f.Name, err.Error()}}}
		}
		set(object, strings.Split(f.Name, "."), value)
	}
	return nil
}

func (f field) parse(l language, text string) (any, error) {
	trimmed := strings.TrimSpace(text)
	switch f.Kind {
	case flagField:
		if (trimmed != "") == f.On {
			return nil, nil
		}
		return trimmed != "", nil
	case secretField:
		return text, nil
	case listField:
		var items []any
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			var item any = line
			if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &item) != nil {
				return nil, errors.New(l.say("This is no JSON: %s", line))
			}
			if line != "" {
				items = append(items, item)
			}
		}
		if len(items) == 1 && items[0] == noneAtAll {
			return []any{}, nil
		}
		if items == nil {
			return nil, nil
		}
		return items, nil
	case numberField:
		if trimmed == "" {
			return nil, nil
		}
		n, err := strconv.ParseInt(trimmed, 10, 64)
		if err != nil {
			return nil, errors.New(l.say("This is no number."))
		}
		return n, nil
	case choiceField:
		if slices.Index(f.Choices, trimmed) == 0 && !f.Required {
			return nil, nil
		}
	}
	if trimmed == "" {
		return nil, nil
	}
	return trimmed, nil
}

// noneAtAll stands in a list for a list that is empty on purpose: nothing is allowed.
const noneAtAll = "-"

// set sets a member of an object, or removes it.
func set(object map[string]any, path []string, value any) {
	if len(path) > 1 {
		inner, ok := object[path[0]].(map[string]any)
		if !ok {
			if value == nil {
				return
			}
			inner = map[string]any{}
		}
		set(inner, path[1:], value)
		if object[path[0]] = inner; len(inner) == 0 {
			delete(object, path[0])
		}
		return
	}
	if value == nil {
		delete(object, path[0])
		return
	}
	object[path[0]] = value
}
