package store

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Lines and marks are stored as JSON arrays of arrays of texts. A line has five:
// number, kind, quantity, state, supplier code; or, when one of them says anything,
// three more: the number of its cards, the payment that was refunded in Unix
// milliseconds, and whether it accepts a failure. A mark has four: status, ERP order,
// detail, line.

func encodeLines(lines []order.Line) string {
	b := append(make([]byte, 0, 2+64*len(lines)), '[')
	for _, l := range lines {
		if l.Cards == 0 && l.RefundOf.IsZero() && l.AcceptsFailure == nil {
			b = append(appendTexts(b, l.Number, string(l.Kind), l.Quantity, string(l.State), l.SupplierCode), ',')
			continue
		}
		var refundOf, accepts string
		if !l.RefundOf.IsZero() {
			refundOf = strconv.FormatInt(l.RefundOf.UnixMilli(), 10)
		}
		if l.AcceptsFailure != nil {
			accepts = strconv.FormatBool(*l.AcceptsFailure)
		}
		b = append(appendTexts(b, l.Number, string(l.Kind), l.Quantity, string(l.State), l.SupplierCode, strconv.Itoa(l.Cards), refundOf, accepts), ',')
	}
	return closeArray(b)
}

func decodeLines(text string) (lines []order.Line, err error) {
	err = eachTexts(text, 5, 8, func(t []string) error {
		l := order.Line{Number: t[0], Kind: order.Kind(t[1]), Quantity: t[2], State: order.State(t[3]), SupplierCode: t[4]}
		var err error
		if len(t) > 5 {
			err = decodeSuning(&l, t[5:])
		}
		lines = append(lines, l)
		return err
	})
	return lines, err
}

func decodeSuning(l *order.Line, t []string) (err error) {
	if len(t) != 3 {
		return errParts
	}
	if l.Cards, err = strconv.Atoi(t[0]); err != nil {
		return errParts
	}
	if t[1] != "" {
		at, err := strconv.ParseInt(t[1], 10, 64)
		if err != nil {
			return errParts
		}
		l.RefundOf = time.UnixMilli(at).In(contract.Zone)
	}
	if t[2] != "" {
		accepts := t[2] == "true"
		l.AcceptsFailure = &accepts
	}
	return nil
}

func encodeMarks(marks []order.Mark) string {
	b := append(make([]byte, 0, 2+96*len(marks)), '[')
	for _, m := range marks {
		b = append(appendTexts(b, m.Status, m.ERPOrderID, m.Detail, m.Line), ',')
	}
	return closeArray(b)
}

func decodeMarks(text string) (marks []order.Mark, err error) {
	err = eachTexts(text, 4, 4, func(t []string) error {
		marks = append(marks, order.Mark{Status: t[0], ERPOrderID: t[1], Detail: t[2], Line: t[3]})
		return nil
	})
	return marks, err
}

// Locks are few and many-sided: a JSON array of objects.

func encodeLocks(locks []order.Lock) string {
	if len(locks) == 0 {
		return noLocks
	}
	b, err := json.Marshal(locks)
	if err != nil {
		panic(err) // texts and times have JSON
	}
	return string(b)
}

const noLocks = "[]"

func decodeLocks(text string) (locks []order.Lock, err error) {
	if text == noLocks {
		return nil, nil
	}
	return locks, json.Unmarshal([]byte(text), &locks)
}

// secretTexts are a destination's secrets as texts: their own type does not print.
type secretTexts struct {
	Secret    string            `json:"secret"`
	OldSecret string            `json:"old_secret,omitempty"`
	Session   string            `json:"session,omitempty"`
	Sessions  map[string]string `json:"sessions,omitempty"`
}

func sealedSecrets(s order.DestinationSecrets) string {
	texts := secretTexts{Secret: string(s.Secret), OldSecret: string(s.OldSecret), Session: string(s.Session), Sessions: map[string]string{}}
	for seller, token := range s.Sessions {
		texts.Sessions[seller] = string(token)
	}
	b, err := json.Marshal(texts)
	if err != nil {
		panic(err) // texts have JSON
	}
	return string(b)
}

func openSecrets(s *order.DestinationSecrets, text string) error {
	var texts secretTexts
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return err
	}
	*s = order.DestinationSecrets{Secret: contract.Secret(texts.Secret), OldSecret: contract.Secret(texts.OldSecret), Session: contract.Secret(texts.Session)}
	if len(texts.Sessions) > 0 {
		s.Sessions = map[string]contract.Secret{}
	}
	for seller, token := range texts.Sessions {
		s.Sessions[seller] = contract.Secret(token)
	}
	return nil
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

// eachTexts reads what appendTexts wrote: arrays of at least so many texts, and at
// most.
func eachTexts(text string, least, most int, f func([]string) error) error {
	rest, ok := strings.CutPrefix(text, "[")
	rest, closed := strings.CutSuffix(rest, "]")
	if !ok || !closed {
		return errParts
	}
	texts := make([]string, 0, most)
	for rest != "" {
		if rest, ok = strings.CutPrefix(strings.TrimPrefix(rest, ","), "["); !ok {
			return errParts
		}
		for texts = texts[:0]; ; {
			value, behind, err := oneText(rest)
			if err != nil || len(texts) == most || behind == "" {
				return errParts
			}
			texts, rest = append(texts, value), behind[1:]
			if behind[0] == ']' {
				break
			}
			if behind[0] != ',' {
				return errParts
			}
		}
		if len(texts) < least {
			return errParts
		}
		if err := f(texts); err != nil {
			return err
		}
	}
	return nil
}

// oneText reads the JSON string that a text starts with, and returns what stands
// behind it.
func oneText(text string) (value, rest string, err error) {
	if text == "" || text[0] != '"' {
		return "", "", errParts
	}
	end := 1
	for end < len(text) && text[end] != '"' {
		if text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(text) {
		return "", "", errParts
	}
	value = text[1:end]
	if strings.IndexByte(value, '\\') >= 0 {
		if err := json.Unmarshal([]byte(text[:end+1]), &value); err != nil {
			return "", "", errParts
		}
	}
	return value, text[end+1:], nil
}
