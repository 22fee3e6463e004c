package contract

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Type is a field's type, in the word that the vendor's page uses.
type Type string

// The simple types of the pages. All but Boolean are bound to Go strings: order
// numbers exceed 2^53, and a gateway must hand on a value as it came. Any other
// word is an object's or a list's own.
const (
	String  Type = "String"
	Number  Type = "Number" // decimal digits
	Boolean Type = "Boolean"
	JSON    Type = "Json" // JSON text
)

// Field is one row of a page's parameter table.
type Field struct {
	Name     string // on the wire, as on the page
	Go       string // field of the bound struct
	Type     Type
	Required bool // 必须
	Asked    bool // optional, yet the page says 需要填: its absence is a warning
	Secret   bool // masked wherever it is shown; so is what has a secret member
	Verdict  bool // of a reply: false, or a text other than Y, means no
	OrderID  bool // it names the order that the call is about
	Seller   bool // it names the merchant who is called
	Object   bool // its text is a JSON object: within a JSON document it may stand as one
	MaxChars int  // longest value in characters; 0: no limit
	MaxItems int  // most entries of a comma-separated value; of a list how many are read, and one more; 0: no limit
	Example  string
	Text     string  // the page's description
	Fields   []Field // the members of an object, or of each item of a list; bound to a struct
	Item     string  // of a list: what an item is called on the wire, its own name when nothing wraps the items; bound to a slice of structs
}

// secret reports whether the row or one of its members is secret.
func (f *Field) secret() bool {
	return f.Secret || slices.ContainsFunc(f.Fields, func(member Field) bool { return member.secret() })
}

// exceeded reports whether value breaks the row's limits.
func (f *Field) exceeded(value string) bool {
	if f.MaxItems > 0 && strings.Count(value, ",") >= f.MaxItems {
		return true
	}
	// A value has at most as many characters as bytes.
	if f.MaxChars == 0 || len(value) <= f.MaxChars {
		return false
	}
	return utf8.RuneCountInString(value) > f.MaxChars
}

// Blank reports whether a value counts as not given: it is empty or consists
// of white space as Java's Character.isWhitespace sees it, because the Java SDK
// is the client that drops such values from the wire and from the signature.
func Blank(value string) bool {
	for _, r := range value {
		if !javaSpace(r) {
			return false
		}
	}
	return true
}

func javaSpace(r rune) bool {
	switch {
	case r >= '\t' && r <= '\r', r >= 0x1c && r <= 0x1f, r == ' ':
		return true
	case r < 0x80, r == 0xa0, r == 0x2007, r == 0x202f: // no-break spaces are not white space to Java
		return false
	}
	return unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp)
}

// Digits reports whether value consists of one or more ASCII digits: what the
// pages mean by Number.
func Digits(value string) bool {
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return false
		}
	}
	return value != ""
}
