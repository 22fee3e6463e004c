package contract

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// layout binds rows to a struct: row i is struct field index[i].
type layout struct {
	of     reflect.Type
	rows   []Field
	index  []int
	nested []*layout // of rows that have members; nil for the others
	wire   []int     // the rows in the order in which they are written: that of the struct
}

func compile(method string, of reflect.Type, rows []Field) *layout {
	l := &layout{of: of, rows: rows}
	names, fields := map[string]bool{}, map[string]bool{}
	for _, row := range rows {
		f, ok := of.FieldByName(row.Go)
		if !ok || len(f.Index) != 1 {
			panic(fmt.Sprintf("contract %s: row %s: %s has no field %s", method, row.Name, of, row.Go))
		}
		if row.Verdict && row.Type != Boolean && row.Type != String {
			panic(fmt.Sprintf("contract %s: row %s is a verdict and neither Boolean nor String", method, row.Name))
		}
		switch {
		case f.Type.Kind() != row.kind(), row.Item != "" && f.Type.Elem().Kind() != reflect.Struct:
			panic(fmt.Sprintf("contract %s: row %s is a %s, %s.%s is not", method, row.Name, row.Type, of, row.Go))
		case names[row.Name]:
			panic(fmt.Sprintf("contract %s: two rows are named %s", method, row.Name))
		case fields[row.Go]:
			panic(fmt.Sprintf("contract %s: two rows are bound to %s.%s", method, of, row.Go))
		}
		names[row.Name], fields[row.Go] = true, true
		l.index = append(l.index, f.Index[0])
		var nested *layout
		switch {
		case row.Item != "":
			nested = compile(method, f.Type.Elem(), row.Fields)
		case row.Fields != nil:
			nested = compile(method, f.Type, row.Fields)
		}
		l.nested = append(l.nested, nested)
	}
	if len(rows) != of.NumField() {
		panic(fmt.Sprintf("contract %s: %s has fields without a row", method, of))
	}
	for i := range rows {
		l.wire = append(l.wire, i)
	}
	slices.SortFunc(l.wire, func(a, b int) int { return l.index[a] - l.index[b] })
	return l
}

// kind is what a row must be bound to.
func (f *Field) kind() reflect.Kind {
	switch {
	case f.Item != "":
		return reflect.Slice
	case f.Fields != nil:
		return reflect.Struct
	case f.Type == Boolean:
		return reflect.Bool
	}
	return reflect.String
}

// textOf returns the text of the first row of a kind, members of objects included.
func (l *layout) textOf(v reflect.Value, is func(*Field) bool) (string, bool) {
	for i := range l.rows {
		switch field := v.Field(l.index[i]); {
		case is(&l.rows[i]):
			return field.String(), true
		case field.Kind() == reflect.Struct:
			if text, ok := l.nested[i].textOf(field, is); ok {
				return text, true
			}
		}
	}
	return "", false
}

// decode fills a struct and reports whether any row was there.
func (l *layout) decode(v reflect.Value, n *Node) (found bool) {
	for i := range l.rows {
		row, field := &l.rows[i], v.Field(l.index[i])
		if row.Item != "" {
			list, given := n.items(row)
			found = found || given
			if row.MaxItems > 0 && len(list) > row.MaxItems {
				list = list[:row.MaxItems+1] // one more shows that there were more
			}
			for _, item := range list {
				e := reflect.New(l.nested[i].of).Elem()
				l.nested[i].decode(e, item)
				field.Set(reflect.Append(field, e))
			}
			continue
		}
		part, ok := n.Get(row.Name)
		if !ok {
			continue
		}
		found = true
		switch field.Kind() {
		case reflect.Struct:
			l.nested[i].decode(field, part)
		case reflect.Bool:
			field.SetBool(strings.EqualFold(strings.TrimSpace(part.Text), "true"))
		default:
			field.SetString(part.Text)
		}
	}
	return found
}

// items returns the items of a list in any of its shapes: wrapped or not, in
// JSON or as repeated XML elements.
func (n *Node) items(row *Field) (items []*Node, given bool) {
	lists := n.all(row.Name)
	if len(lists) == 0 {
		return nil, false
	}
	list := lists[len(lists)-1]
	if list.Kind == ListNode { // of JSON's members of one name the last counts
		return list.all(""), true
	}
	if len(lists) > 1 { // an XML element without elements is no item
		return slices.DeleteFunc(lists, func(n *Node) bool { return n.Kind == TextNode && Blank(n.Text) }), true
	}
	if row.Item != row.Name {
		items = list.all(row.Item)
	}
	if len(items) == 1 && items[0].Kind == ListNode {
		items = items[0].all("")
	}
	if items == nil && len(list.Parts) > 0 { // one item, unwrapped
		items = lists
	}
	return items, true
}

// mayHold reports whether a node can stand where an object is expected: it is one,
// or it is blank.
func (n *Node) mayHold() bool {
	return n.Kind == ObjectNode || n.Kind == TextNode && Blank(n.Text)
}

// misfit reports whether a node has parts where a row has a text, or a text where a
// row has parts.
func (l *layout) misfit(n *Node) bool {
	for i := range l.rows {
		row := &l.rows[i]
		if row.Item != "" {
			items, given := n.items(row)
			if list, _ := n.Get(row.Name); given && list.Kind != ListNode && !list.mayHold() {
				return true
			}
			if slices.ContainsFunc(items, func(item *Node) bool { return !item.mayHold() || l.nested[i].misfit(item) }) {
				return true
			}
			continue
		}
		part, ok := n.Get(row.Name)
		if ok && row.Fields == nil && part.Kind != TextNode && part.Kind != NumberNode {
			return true
		}
	}
	return false
}

// notUTF8 returns the name of the first text that is not UTF-8.
func (l *layout) notUTF8(v reflect.Value) string {
	for i := range l.rows {
		switch field := v.Field(l.index[i]); field.Kind() {
		case reflect.String:
			if !utf8.ValidString(field.String()) {
				return l.rows[i].Name
			}
		case reflect.Struct:
			if name := l.nested[i].notUTF8(field); name != "" {
				return name
			}
		case reflect.Slice:
			for j := range field.Len() {
				if name := l.nested[i].notUTF8(field.Index(j)); name != "" {
					return name
				}
			}
		}
	}
	return ""
}

// verdictYes is the text of a verdict that says yes: 结果;Y-成功,N-失败.
const verdictYes = "Y"

// yes reports that no verdict is false. A list's items do not count: their sum
// has a verdict of its own.
func (l *layout) yes(v reflect.Value) bool {
	for i := range l.rows {
		field := v.Field(l.index[i])
		switch {
		case field.Kind() == reflect.Struct && !l.nested[i].yes(field):
			return false
		case l.rows[i].Verdict && field.Kind() == reflect.Bool && !field.Bool():
			return false
		case l.rows[i].Verdict && field.Kind() == reflect.String && field.String() != verdictYes:
			return false
		}
	}
	return true
}

// absent reports whether a value is not written: an empty text or list.
func absent(v reflect.Value) bool {
	return (v.Kind() == reflect.String || v.Kind() == reflect.Slice) && v.Len() == 0
}

func (l *layout) appendJSON(b []byte, shape Shape, v reflect.Value) []byte {
	for _, i := range l.wire {
		row, field := &l.rows[i], v.Field(l.index[i])
		if absent(field) {
			continue
		}
		b = append(AppendJSONString(b, row.Name), ':')
		switch field.Kind() {
		case reflect.Bool:
			b = strconv.AppendBool(b, field.Bool())
		case reflect.Struct:
			b = closeObject(l.nested[i].appendJSON(append(b, '{'), shape, field))
		case reflect.Slice:
			wrapped := shape == Wrapped && row.Item != row.Name
			if wrapped {
				b = append(AppendJSONString(append(b, '{'), row.Item), ':')
			}
			b = l.nested[i].appendList(b, shape, field)
			if wrapped {
				b = append(b, '}')
			}
		default:
			if text := field.String(); row.Type == Number && Digits(text) {
				b = append(b, text...)
			} else {
				b = AppendJSONString(b, text)
			}
		}
		b = append(b, ',')
	}
	return b
}

// appendList writes a slice of structs as a JSON list.
func (l *layout) appendList(b []byte, shape Shape, list reflect.Value) []byte {
	b = append(b, '[')
	for i := range list.Len() {
		b = append(closeObject(l.appendJSON(append(b, '{'), shape, list.Index(i))), ',')
	}
	return append(bytes.TrimSuffix(b, []byte{','}), ']')
}

// closeObject ends an object whose members each have a comma behind them.
func closeObject(b []byte) []byte { return append(bytes.TrimSuffix(b, []byte{','}), '}') }

func (l *layout) appendXML(b []byte, v reflect.Value) []byte {
	for _, i := range l.wire {
		row, field := &l.rows[i], v.Field(l.index[i])
		if absent(field) {
			continue
		}
		switch field.Kind() {
		case reflect.Bool:
			b = AppendElement(b, row.Name, strconv.FormatBool(field.Bool()))
		case reflect.Struct:
			b = closeTag(l.nested[i].appendXML(openTag(b, row.Name), field), row.Name)
		case reflect.Slice:
			wrapped := row.Item != row.Name
			if wrapped {
				b = openTag(b, row.Name)
			}
			for j := range field.Len() {
				b = closeTag(l.nested[i].appendXML(openTag(b, row.Item), field.Index(j)), row.Item)
			}
			if wrapped {
				b = closeTag(b, row.Name)
			}
		default:
			b = AppendElement(b, row.Name, field.String())
		}
	}
	return b
}
