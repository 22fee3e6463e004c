package contract

import (
	"encoding/xml"
	"unicode/utf8"
)

// AppendJSONString writes s as a JSON string. Unlike encoding/json it leaves
// < > & alone, because vendors' parsers are fed the literal texts of the pages.
// Bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < 0x20 || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// AppendElement writes <name>text</name> with the text escaped.
func AppendElement(b []byte, name, text string) []byte {
	w := appender{openTag(b, name)}
	_ = xml.EscapeText(&w, []byte(text)) // an appender cannot fail
	return closeTag(w.b, name)
}

func openTag(b []byte, name string) []byte {
	return append(append(append(b, '<'), name...), '>')
}

func closeTag(b []byte, name string) []byte {
	return append(append(append(b, '<', '/'), name...), '>')
}

type appender struct{ b []byte }

func (w *appender) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}
