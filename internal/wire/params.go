package wire

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ordergate/ordergate/contract"
)

// MaxParams is how many parameters one request may carry. Sorting them costs
// before the caller is known.
const MaxParams = 1000

// reader collects decoded parameters. All texts share one buffer, so that a
// request costs two allocations however many parameters it has.
type reader struct {
	text   strings.Builder
	spans  []span
	broken bool // a broken %-escape or bytes that are not UTF-8
}

// span says where one parameter stands in the text.
type span struct{ name, value, end int }

// form reads name=value pairs joined by &, percent-encoded, + for a blank. A
// pair without = is a name with an empty value; an empty pair is nothing. It
// stops beyond MaxParams.
func (r *reader) form(raw string) {
	for raw != "" && len(r.spans) <= MaxParams {
		pair, rest, _ := strings.Cut(raw, "&")
		raw = rest
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		s := span{name: r.text.Len()}
		r.unescape(name)
		s.value = r.text.Len()
		r.unescape(value)
		s.end = r.text.Len()
		r.spans = append(r.spans, s)
	}
}

// plain adds a parameter that is not encoded: a part of a multipart body.
func (r *reader) plain(name, value string) {
	s := span{name: r.text.Len()}
	r.text.WriteString(name)
	s.value = r.text.Len()
	r.text.WriteString(value)
	s.end = r.text.Len()
	r.spans = append(r.spans, s)
}

func (r *reader) unescape(s string) {
	plain := 0 // start of what needs no decoding
	for i := 0; i < len(s); i++ {
		if s[i] != '%' && s[i] != '+' {
			continue
		}
		r.text.WriteString(s[plain:i])
		plain = i + 1
		switch {
		case s[i] == '+':
			r.text.WriteByte(' ')
		case len(s) < i+3 || unhex[s[i+1]] < 0 || unhex[s[i+2]] < 0:
			r.broken = true
			r.text.WriteByte('%')
		default:
			r.text.WriteByte(byte(unhex[s[i+1]]<<4 | unhex[s[i+2]]))
			i += 2
			plain = i + 1
		}
	}
	r.text.WriteString(s[plain:])
}

var unhex = func() (t [256]int16) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int16(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = int16(10+i), int16(10+i)
	}
	return t
}()

// params returns what was read, sorted by name, one value a name: the first
// that was read, so the query is read before the body.
func (r *reader) params() []contract.Param {
	params := r.all()
	slices.SortStableFunc(params, byName)
	return slices.CompactFunc(params, func(a, b contract.Param) bool { return a.Name == b.Name })
}

// all returns what was read, in its order.
func (r *reader) all() []contract.Param {
	text := r.text.String()
	params := make([]contract.Param, len(r.spans))
	for i, s := range r.spans {
		p := contract.Param{Name: text[s.name:s.value], Value: text[s.value:s.end]}
		r.broken = r.broken || !utf8.ValidString(p.Name) || !utf8.ValidString(p.Value)
		params[i] = p
	}
	return params
}

func byName(a, b contract.Param) int { return strings.Compare(a.Name, b.Name) }
