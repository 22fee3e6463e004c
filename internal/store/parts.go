package store

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Lines and marks are stored as JSON arrays of arrays of texts.

func encodeLines(lines []order.Line) string {
	b := append(make([]byte, 0, 2+64*len(lines)), '[')
	for _, l := range lines {
		b = append(appendTexts(b, l.Number, string(l.Kind), l.Quantity, string(l.State), l.SupplierCode), ',')
	}
	return closeArray(b)
}

func decodeLines(text string) (lines []order.Line, err error) {
	err = eachTexts(text, 5, func(t []string) {
		lines = append(lines, order.Line{Number: t[0], Kind: order.Kind(t[1]), Quantity: t[2], State: order.State(t[3]), SupplierCode: t[4]})
	})
	return lines, err
}

func encodeMarks(marks []order.Mark) string {
	b := append(make([]byte, 0, 2+96*len(marks)), '[')
	for _, m := range marks {
		b = append(appendTexts(b, m.Status, m.ERPOrderID, m.Detail, m.Line), ',')
	}
	return closeArray(b)
}

func decodeMarks(text string) (marks []order.Mark, err error) {
	err = eachTexts(text, 4, func(t []string) {
		marks = append(marks, order.Mark{Status: t[0], ERPOrderID: t[1], Detail: t[2], Line: t[3]})
	})
	return marks, err
}

// appendTexts writes an array of texts.
func appendTexts(b []byte, texts ...string) []byte {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = contract.AppendJSONString(b, text)
	}
	return append(b, ']')
}

// closeArray ends an array whose items each have a comma behind them.
func closeArray(b []byte) string {
	if b[len(b)-1] == ',' {
		b[len(b)-1] = ']'
		return string(b)
	}
	return string(append(b, ']'))
}

var errParts = errors.New("lines or marks are not what was written")

// eachTexts reads what appendTexts wrote: arrays of width texts.
func eachTexts(text string, width int, f func([]string)) error {
	texts := make([]string, 0, 5)
	for rest := text; ; {
		i := strings.IndexByte(rest, '"')
		if i < 0 {
			break
		}
		end := i + 1
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(rest) {
			return errParts
		}
		value := rest[i+1 : end]
		if strings.IndexByte(value, '\\') >= 0 {
			if err := json.Unmarshal([]byte(rest[i:end+1]), &value); err != nil {
				return errParts
			}
		}
		rest = rest[end+1:]
		if texts = append(texts, value); len(texts) == width {
			f(texts)
			texts = texts[:0]
		}
	}
	if len(texts) != 0 {
		return errParts
	}
	return nil
}
