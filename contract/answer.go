package contract

import "strings"

// Answer finds the row that a text means: any row by which a call of the API can
// be refused, whether or not a rule produces it. The text is a code or a sub code as
// the vendor writes it; for a code that stands in several rows, followed by a blank
// and the text or the sub code of the row. What a row leaves open stands behind
// it, after a colon.
func (a *API) Answer(text string) (err error, found bool) {
	rows := a.Refusals
	if a.Protocol == Suning {
		rows = append(rows[:len(rows):len(rows)], SuningFaults...)
	}
	for _, r := range rows {
		if text == r.Code+" "+r.Text {
			return r, true
		}
	}
	for _, r := range rows {
		if text == r.Code {
			return r, true
		}
		if r.covers(text) {
			before, _ := r.before()
			return About(r, strings.TrimPrefix(text, before)), true
		}
	}
	if a.Protocol == TOP {
		return answerTOP(text)
	}
	if isSystem(text) {
		row := *SuningUnavailable
		row.Code = text
		return &row, true
	}
	return nil, false
}

// oneSecond is what the answer of a ban leaves open, unless it is given.
const oneSecond = "1"

func answerTOP(text string) (err error, found bool) {
	code, detail, open := strings.Cut(text, ":")
	for f := BadEncoding; f < faultCount; f++ {
		row := &TOPFaults[f]
		if row.Code == "" { // Suning's
			continue
		}
		named := text == row.Code || row.SubCode != "" && (text == row.SubCode || text == row.Code+" "+row.SubCode)
		switch {
		case named && strings.Contains(row.SubText, "%s"):
			return About(f, oneSecond), true
		case named:
			return f, true
		case open && code == row.Code && strings.Contains(row.Text+row.SubText, "%s"):
			return About(f, detail), true
		}
	}
	row := findBackend(text)
	if row == error(BackendOther) {
		return About(BackendOther, strings.TrimPrefix(text, BackendOther.Code)), true
	}
	return row, row != nil
}
