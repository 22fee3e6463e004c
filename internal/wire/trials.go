package wire

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"iter"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/ordergate/ordergate/contract"
)

// trial is a mistake and what it would have signed: signatures, each with a
// detail.
type trial struct {
	Mistake
	signs func(*exhibit) iter.Seq2[string, string]
}

// trials are tried in their order: what is simple and frequent comes first.
var trials = []trial{
	{Mistake{Name: "lower-case-hex", Text: "the signature is written in lower case", Fix: "write the hex digits in upper case"}, lowerCase},
	{Mistake{Name: "base64-instead-of-hex", Text: "the digest is written in Base64", Fix: "write it as upper-case hex digits"}, inBase64},
	{Mistake{Name: "wrong-digest", Text: "the digest is %s, not what sign_method says", Fix: "compute what sign_method names, or name what is computed"}, otherDigests},
	{Mistake{Name: "secret-only-in-front", Text: "the secret stands only in front of the text", Fix: "md5 has the secret at both ends"}, secretInFront},
	{Mistake{Name: "secret-only-behind", Text: "the secret stands only behind the text", Fix: "md5 has the secret at both ends"}, secretBehind},
	{Mistake{Name: "secret-missing", Text: "the text was digested without the secret", Fix: "md5 has the secret at both ends; hmac has it as its key"}, noSecret},
	{Mistake{Name: "secret-in-hmac-text", Text: "the secret is the key and stands in the text as well", Fix: "hmac has the secret as its key only"}, secretInHMAC},
	{Mistake{Name: "secret-with-blanks", Text: "the secret has a blank or a line end around it at one of the ends", Fix: "trim the secret where it is read"}, secretBlanks},
	{Mistake{Name: "session-added-later", Text: "session was added after signing", Fix: "sign session like every other parameter"}, sessionLater},
	{Mistake{Name: "parameter-added-later", Text: "%s was added after signing, or left out of what was signed", Fix: "sign every parameter that is sent, but for sign itself"}, parameterLater},
	{Mistake{Name: "sign-included", Text: "the name sign is part of the signed text", Fix: "leave sign out of the text"}, signIncluded},
	{Mistake{Name: "form-not-signed", Text: "only the parameters in the URL were signed", Fix: "sign those in the body, too"}, formUnsigned},
	{Mistake{Name: "query-not-signed", Text: "only the parameters in the body were signed", Fix: "sign those in the URL, too"}, queryUnsigned},
	{Mistake{Name: "body-not-signed", Text: "the body was not signed", Fix: "put the body behind the parameters, as it is sent"}, bodyUnsigned},
	{Mistake{Name: "body-changed", Text: "the body was signed in another form than it was sent: %s", Fix: "sign the bytes that are sent, blanks and line ends included"}, bodyChanged},
	{Mistake{Name: "signed-without-blanks", Text: "the blanks around a value were sent and not signed", Fix: "sign values as they are sent"}, valuesTrimmed},
	{Mistake{Name: "signed-with-blanks", Text: "%s was signed with a blank around it and sent without", Fix: "send values as they are signed"}, valueBlanks},
	{Mistake{Name: "empty-value-not-sent", Text: "%s was signed without a value and not sent", Fix: "leave out of the text what is not sent"}, emptyUnsent},
	{Mistake{Name: "plus-signed-for-blank", Text: "a blank was signed as +", Fix: "sign the decoded values; if + is meant, send it as %2B"}, plusForBlank},
	{Mistake{Name: "blank-signed-for-plus", Text: "a + was signed as a blank", Fix: "sign values as they were before encoding"}, blankForPlus},
	{Mistake{Name: "encoded-values-signed", Text: "the values were signed percent-encoded", Fix: "sign first, encode afterwards"}, encodedSigned},
	{Mistake{Name: "encoded-twice", Text: "the values were encoded twice", Fix: "encode once: most HTTP libraries do it already"}, encodedTwice},
	{Mistake{Name: "html-escaped", Text: "the values were escaped for HTML on one side", Fix: "take parameters from the raw request"}, htmlEscaped},
	{Mistake{Name: "gbk-signed", Text: "the text was signed in GBK and sent in UTF-8", Fix: "take the UTF-8 bytes of the text for the digest"}, gbkSigned},
	{Mistake{Name: "surrogates-signed", Text: "characters beyond U+FFFF were signed as pairs of surrogates", Fix: "take the UTF-8 bytes: four for such a character"}, surrogatesSigned},
	{Mistake{Name: "not-sorted", Text: "the parameters were signed in the order in which they are sent", Fix: "sort them by name"}, notSorted},
	{Mistake{Name: "sorted-ignoring-case", Text: "the parameters were sorted without regard to case", Fix: "sort by code: B comes before a"}, caseIgnored},
	{Mistake{Name: "joined-with-separators", Text: "names and values were joined with = or &", Fix: "join them without anything between"}, separated},
	{Mistake{Name: "repeated-parameter", Text: "%s is sent twice, and the other value was signed", Fix: "send each name once; of two, the one in the URL counts, else the first"}, otherValue},
}

// exhibit is a request whose signature does not hold.
type exhibit struct {
	*Call
	query, body []contract.Param // as they were received, in their order, repeats included
	digest      Digest
	secret      contract.Secret
	got         string
}

// sum is the signature of a text under the request's digest and secret.
func (x *exhibit) sum(text string) string { return Sign(x.digest, x.secret, text) }

// of is the signature of parameters, in this order, and the body.
func (x *exhibit) of(params []contract.Param) string { return x.sum(SignedText(params, x.Document)) }

// sorted is the signature of parameters, once sorted.
func (x *exhibit) sorted(params []contract.Param) string {
	return x.of(slices.SortedStableFunc(slices.Values(params), byName))
}

// text is what should have been signed.
func (x *exhibit) text() string { return SignedText(x.Params, x.Document) }

// mapped is the signature with each value changed.
func (x *exhibit) mapped(change func(string) string) string {
	return x.of(mapValues(x.Params, change))
}

func mapValues(params []contract.Param, change func(string) string) []contract.Param {
	changed := slices.Clone(params)
	for i := range changed {
		changed[i].Value = change(changed[i].Value)
	}
	return changed
}

func without(params []contract.Param, name string) []contract.Param {
	return slices.DeleteFunc(slices.Clone(params), func(p contract.Param) bool { return p.Name == name })
}

// only is a sequence of one signature without a detail.
func only(sign string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) { yield("", sign) }
}

func none(func(string, string) bool) {}

// each is a sequence of signatures with their details: detail, signature, …
func each(pairs ...string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i], pairs[i+1]) {
				return
			}
		}
	}
}

func lowerCase(x *exhibit) iter.Seq2[string, string] {
	return only(strings.ToLower(x.sum(x.text())))
}

func inBase64(x *exhibit) iter.Seq2[string, string] {
	raw, _ := hex.DecodeString(x.sum(x.text())) // it is hex
	return each("", base64.StdEncoding.EncodeToString(raw), "", base64.URLEncoding.EncodeToString(raw), "", base64.RawURLEncoding.EncodeToString(raw))
}

func otherDigests(x *exhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, d := range Digests {
			if d != x.digest && !yield(string(d), Sign(d, x.secret, x.text())) {
				return
			}
		}
	}
}

func (x *exhibit) plainMD5(text string) iter.Seq2[string, string] {
	return only(Sign(MD5, "", text)) // without a secret it is the digest of the text alone
}

func secretInFront(x *exhibit) iter.Seq2[string, string] {
	return x.plainMD5(string(x.secret) + x.text())
}

func secretBehind(x *exhibit) iter.Seq2[string, string] {
	return x.plainMD5(x.text() + string(x.secret))
}

func noSecret(x *exhibit) iter.Seq2[string, string] {
	return each("", Sign(MD5, "", x.text()), "", Sign(x.digest, "", x.text()))
}

func secretInHMAC(x *exhibit) iter.Seq2[string, string] {
	if x.digest == MD5 {
		return none
	}
	s := string(x.secret)
	return each("", x.sum(s+x.text()+s), "", x.sum(s+x.text()), "", x.sum(x.text()+s))
}

func secretBlanks(x *exhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, other := range blankSecrets(string(x.secret)) {
			if !yield("", Sign(x.digest, contract.Secret(other), x.text())) {
				return
			}
		}
	}
}

// blankSecrets are what becomes of a secret where it is read carelessly.
func blankSecrets(s string) []string {
	return slices.DeleteFunc([]string{strings.TrimSpace(s), s + "\n", s + "\r\n", s + " ", " " + s, s + "&"}, func(other string) bool { return other == s })
}

func sessionLater(x *exhibit) iter.Seq2[string, string] {
	if _, sent := x.Get("session"); !sent {
		return none
	}
	return only(x.of(without(x.Params, "session")))
}

func parameterLater(x *exhibit) iter.Seq2[string, string] {
	return withoutEach(x.Params, x.of)
}

// withoutEach makes something of parameters of which each is left out once.
func withoutEach(params []contract.Param, of func([]contract.Param) string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range params {
			if p.Name != "sign" && !yield(p.Name, of(without(params, p.Name))) {
				return
			}
		}
	}
}

func signIncluded(x *exhibit) iter.Seq2[string, string] {
	var before, after []contract.Param
	for _, p := range x.Params {
		switch {
		case p.Name < "sign":
			before = append(before, p)
		case p.Name > "sign":
			after = append(after, p)
		}
	}
	return only(x.sum(SignedText(before, "") + "sign" + SignedText(after, x.Document)))
}

func formUnsigned(x *exhibit) iter.Seq2[string, string] {
	if len(x.body) == 0 {
		return none
	}
	return only(x.sorted(x.query))
}

func queryUnsigned(x *exhibit) iter.Seq2[string, string] {
	if len(x.query) == 0 {
		return none
	}
	return each("", x.sorted(x.body), "", x.sum(x.Document))
}

func bodyUnsigned(x *exhibit) iter.Seq2[string, string] {
	if x.Document == "" {
		return none
	}
	return only(x.sum(SignedText(x.Params, "")))
}

func bodyChanged(x *exhibit) iter.Seq2[string, string] {
	return otherForms(x.Document, func(body string) string { return x.sum(SignedText(x.Params, body)) })
}

// otherForms makes something of the forms in which a body may have been signed.
func otherForms(document string, with func(body string) string) iter.Seq2[string, string] {
	if document == "" {
		return none
	}
	var compact, indented bytes.Buffer
	_ = json.Compact(&compact, []byte(document)) // what is no JSON gives what no signature matches
	_ = json.Indent(&indented, []byte(document), "", "  ")
	return each(
		"trimmed", with(strings.TrimSpace(document)), "with a line end", with(document+"\n"), "with a line end", with(document+"\r\n"),
		"with other line ends", with(strings.ReplaceAll(document, "\r\n", "\n")), "with other line ends", with(strings.ReplaceAll(document, "\n", "\r\n")),
		"compact", with(compact.String()), "indented", with(indented.String()),
	)
}

func valuesTrimmed(x *exhibit) iter.Seq2[string, string] {
	kept := slices.DeleteFunc(mapValues(x.Params, strings.TrimSpace), func(p contract.Param) bool { return p.Value == "" })
	return each("", x.mapped(strings.TrimSpace), "", x.of(kept))
}

func valueBlanks(x *exhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i, p := range x.Params {
			if p.Name == "sign" {
				continue
			}
			for _, value := range []string{p.Value + " ", " " + p.Value, " " + p.Value + " ", p.Value + "\n", p.Value + "\t"} {
				changed := slices.Clone(x.Params)
				changed[i].Value = value
				if !yield(p.Name, x.of(changed)) {
					return
				}
			}
		}
	}
}

func emptyUnsent(x *exhibit) iter.Seq2[string, string] {
	method, _ := x.Get("method")
	rows := contract.TOPParams
	if api, ok := contract.ByMethod(method); ok {
		rows = slices.Concat(rows, api.Request)
	}
	return func(yield func(string, string) bool) {
		for _, row := range rows {
			if _, sent := x.Get(row.Name); sent || row.Name == "sign" {
				continue
			}
			if !yield(row.Name, x.sorted(append(slices.Clone(x.Params), contract.Param{Name: row.Name}))) {
				return
			}
		}
	}
}

func replace(old, new string) func(string) string {
	return func(value string) string { return strings.ReplaceAll(value, old, new) }
}

func plusForBlank(x *exhibit) iter.Seq2[string, string] { return only(x.mapped(replace(" ", "+"))) }
func blankForPlus(x *exhibit) iter.Seq2[string, string] { return only(x.mapped(replace("+", " "))) }

func encodedSigned(x *exhibit) iter.Seq2[string, string] {
	percent := func(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }
	return each("", x.mapped(url.QueryEscape), "", x.mapped(percent), "", x.mapped(func(v string) string { return lowerEscapes(url.QueryEscape(v)) }),
		"", x.mapped(func(v string) string { return lowerEscapes(percent(v)) }), "", x.mapped(replace(" ", "%20")))
}

// lowerEscapes writes %-escapes with lower-case digits, as .NET does.
func lowerEscapes(encoded string) string {
	b := []byte(encoded)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

func encodedTwice(x *exhibit) iter.Seq2[string, string] {
	return only(x.mapped(func(v string) string {
		decoded, err := url.QueryUnescape(v)
		if err != nil {
			return v
		}
		return decoded
	}))
}

func htmlEscaped(x *exhibit) iter.Seq2[string, string] {
	return each("", x.mapped(html.UnescapeString), "", x.mapped(html.EscapeString), "", x.mapped(replace("&quot;", `"`)), "", x.mapped(replace(`"`, "&quot;")))
}

func gbkSigned(x *exhibit) iter.Seq2[string, string] {
	encoded, err := simplifiedchinese.GB18030.NewEncoder().String(x.text())
	if err != nil {
		return none
	}
	return only(x.sum(encoded))
}

func surrogatesSigned(x *exhibit) iter.Seq2[string, string] {
	var b []byte
	for _, r := range x.text() {
		if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
			for _, half := range []rune{high, low} { // each as three bytes, which is not UTF-8
				b = append(b, 0xe0|byte(half>>12), 0x80|byte(half>>6)&0x3f, 0x80|byte(half)&0x3f)
			}
			continue
		}
		b = append(b, string(r)...)
	}
	return only(x.sum(string(b)))
}

func notSorted(x *exhibit) iter.Seq2[string, string] {
	return each("", x.of(slices.Concat(x.query, x.body)), "", x.of(slices.Concat(x.body, x.query)))
}

func caseIgnored(x *exhibit) iter.Seq2[string, string] {
	return only(x.of(slices.SortedStableFunc(slices.Values(x.Params), func(a, b contract.Param) int {
		return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})))
}

func separated(x *exhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, between := range [][2]string{{"=", "&"}, {"=", ""}, {"", "&"}, {"=", ","}, {":", ","}} {
			var b strings.Builder
			for _, p := range without(x.Params, "sign") {
				if b.Len() > 0 {
					b.WriteString(between[1])
				}
				b.WriteString(p.Name + between[0] + p.Value)
			}
			if !yield("", x.sum(b.String()+x.Document)) {
				return
			}
		}
	}
}

func otherValue(x *exhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range slices.Concat(x.query, x.body) {
			i := slices.IndexFunc(x.Params, func(q contract.Param) bool { return p.Name == q.Name })
			if i < 0 || x.Params[i].Value == p.Value {
				continue
			}
			changed := slices.Clone(x.Params)
			changed[i] = p
			if !yield(p.Name, x.of(changed)) {
				return
			}
		}
	}
}
