package wire

import (
	"iter"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/ordergate/ordergate/contract"
)

// SPIMistakes lists those of reverse calls, for the documents.
func SPIMistakes() []Mistake { return append(mistakesOf(spiTrials), *spiDigest) }

// IsSPI reports whether a request means the merchant's end of a reverse call, by its
// path.
func IsSPI(r *http.Request) bool { return path.Clean("/"+r.URL.Path) == SPIPath }

// Explain does what TOP's does, for reverse calls. A time to come is no mistake.
func (p SPI) Explain(r *http.Request, secret contract.Secret, now time.Time) (*Finding, error) {
	c, err := p.Open(nowhere{}, r)
	if err != nil {
		return nil, err
	}
	x := &spiExhibit{SPICall: c, secret: string(secret), signed: c.signed(), request: r}
	f := &Finding{Signed: formula(MD5, c.Signed()+shownDocument(c.text(c.document)))}
	sign := c.Get("sign")
	switch {
	case contract.Blank(sign):
		return f.is(NoSignature, ""), nil
	case p.Verify(c, secret):
		if f.judgeTime(c.Get("timestamp"), ParseTimestamp, now); f.Mistake == ClockOff && f.Off < 0 {
			f.Mistake, f.Detail = nil, ""
		}
		return f, nil
	}
	if m, detail := firstOf(spiTrials, x, sign); m != nil {
		return f.is(m, detail), nil
	}
	for _, d := range []Digest{HMAC, HMACSHA256} {
		if strings.EqualFold(Sign(d, secret, x.text()), sign) {
			return f.is(spiDigest, string(d)), nil
		}
	}
	return f.is(UnknownMistake, ""), nil
}

// spiTrials are tried in their order.
var spiTrials = []textTrial[*spiExhibit]{
	{trialNamed("lower-case-hex"), func(x *spiExhibit) iter.Seq2[string, string] { return only(x.around(x.text())) }},
	{Mistake{Name: "empty-values-dropped", Text: "parameters without a value were left out of what was signed", Fix: "sign them, too: an empty value contributes its name"}, emptyDropped},
	{Mistake{Name: "secret-only-in-front", Text: "the secret stands only in front of the text", Fix: "the secret stands at both ends"}, func(x *spiExhibit) iter.Seq2[string, string] { return only(x.secret + x.text()) }},
	{Mistake{Name: "secret-only-behind", Text: "the secret stands only behind the text", Fix: "the secret stands at both ends"}, func(x *spiExhibit) iter.Seq2[string, string] { return only(x.text() + x.secret) }},
	{Mistake{Name: "secret-missing", Text: "the text was digested without the secret", Fix: "the secret stands at both ends"}, func(x *spiExhibit) iter.Seq2[string, string] { return only(x.text()) }},
	{trialNamed("secret-with-blanks"), spiSecretBlanks},
	{Mistake{Name: "headers-not-signed", Text: "the headers that top-sign-list names were not signed", Fix: "sign them as parameters, named as they are listed"}, func(x *spiExhibit) iter.Seq2[string, string] { return x.instead(merged(x.query, x.form)) }},
	{Mistake{Name: "headers-not-decoded", Text: "the headers were signed as they stand, percent-encoded", Fix: "decode their values first"}, headersRaw},
	{Mistake{Name: "body-not-signed", Text: "the body was not signed", Fix: "put the document behind the parameters, as it is sent"}, func(x *spiExhibit) iter.Seq2[string, string] { return only(x.around(SignedText(x.signed, ""))) }},
	{Mistake{Name: "form-body-appended", Text: "the form was signed as a document, too", Fix: "of a form sign the fields only; the body is appended when it is a document"}, formAppended},
	{Mistake{Name: "form-not-signed", Text: "only the parameters in the URL were signed", Fix: "sign the fields of the form, too"}, func(x *spiExhibit) iter.Seq2[string, string] { return x.instead(merged(x.headers, x.query)) }},
	{trialNamed("body-changed"), spiBodyChanged},
	{trialNamed("parameter-added-later"), spiParameterLater},
	{Mistake{Name: "other-charset", Text: "the text was signed in another charset than the content type declares", Fix: "take the bytes for the digest in the charset that is declared; none is UTF-8"}, otherCharset},
}

// spiDigest is found by no text: the digest is another.
var spiDigest = &Mistake{Name: "wrong-digest", Text: "the digest is %s; sign_method is signed, and not followed", Fix: "reverse calls are always signed by MD5, with the secret at both ends"}

// trialNamed is a mistake that can be made with TOP's signatures as well.
func trialNamed(name string) Mistake {
	return trials[slices.IndexFunc(trials, func(t trial) bool { return t.Name == name })].Mistake
}

// spiExhibit is a reverse call whose signature does not hold.
type spiExhibit struct {
	*SPICall
	secret  string
	signed  []contract.Param // sorted
	request *http.Request
}

// text is what should have been signed.
func (x *spiExhibit) text() string { return SignedText(x.signed, x.document) }

func (x *spiExhibit) around(text string) string { return x.secret + text + x.secret }

// instead is the text with other parameters, when they are others.
func (x *spiExhibit) instead(params []contract.Param) iter.Seq2[string, string] {
	if slices.Equal(params, x.signed) {
		return none
	}
	return only(x.around(SignedText(params, x.document)))
}

func emptyDropped(x *spiExhibit) iter.Seq2[string, string] {
	return x.instead(slices.DeleteFunc(slices.Clone(x.signed), func(p contract.Param) bool { return p.Value == "" }))
}

func spiSecretBlanks(x *spiExhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, other := range blankSecrets(x.secret) {
			if !yield("", other+x.text()+other) {
				return
			}
		}
	}
}

func headersRaw(x *spiExhibit) iter.Seq2[string, string] {
	raw := slices.Clone(x.headers)
	for i := range raw {
		raw[i].Value = x.request.Header.Get(raw[i].Name)
	}
	return x.instead(merged(raw, x.form, x.query))
}

func formAppended(x *spiExhibit) iter.Seq2[string, string] {
	if x.rawForm == "" {
		return none
	}
	return each("", x.around(SignedText(x.signed, x.rawForm)), "", x.around(SignedText(merged(x.headers, x.query), x.rawForm)))
}

func spiBodyChanged(x *spiExhibit) iter.Seq2[string, string] {
	return otherForms(x.document, func(body string) string { return x.around(SignedText(x.signed, body)) })
}

func spiParameterLater(x *spiExhibit) iter.Seq2[string, string] {
	return withoutEach(x.signed, func(params []contract.Param) string { return x.around(SignedText(params, x.document)) })
}

func otherCharset(x *spiExhibit) iter.Seq2[string, string] {
	if x.charset != nil {
		return only(x.around(x.SPICall.text(x.text())))
	}
	encoded, err := simplifiedchinese.GB18030.NewEncoder().String(x.text())
	if err != nil {
		return none
	}
	return only(x.around(encoded))
}
