package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/ordergate/ordergate/contract"
)

// SuningMistakes lists those of Suning, for the documents.
func SuningMistakes() []Mistake { return mistakesOf(suningTrials) }

// IsSuning reports whether a request means a gateway of Suning: by its path, or
// by the headers that only Suning has.
func IsSuning(r *http.Request) bool {
	return strings.Contains(r.URL.Path, SuningPath) || r.Header.Get(headerSign) != "" || r.Header.Get(headerMethod) != ""
}

// Explain does what TOP's does.
func (p Suning) Explain(r *http.Request, secret contract.Secret, now time.Time) (*Finding, error) {
	c := p.Head(r)
	if err := p.Read(nowhere{}, r, c); err != nil {
		return nil, err
	}
	// The body may hold cards: it is named, not shown.
	f := &Finding{Signed: suningFormula(c, fmt.Sprintf("<the Base64 of the %d bytes of the body, whose own MD5 is %s>", len(c.Body), hexMD5([]byte(c.Body))))}
	if contract.Blank(c.Sign) {
		return f.is(NoSignature, ""), nil
	}
	if p.Verify(c, secret) {
		if api, ok := contract.ByMethod(c.Method); ok && api.AnyTime {
			return f, nil
		}
		return f.judgeTime(c.Time, contract.ParseTime, now), nil
	}
	x := &suningExhibit{SuningCall: c, secret: string(secret), encoded: base64.StdEncoding.EncodeToString([]byte(c.Body))}
	if m, detail := firstOf(suningTrials, x, c.Sign); m != nil {
		return f.is(m, detail), nil
	}
	return f.is(UnknownMistake, ""), nil
}

// suningExhibit is a request whose signature does not hold.
type suningExhibit struct {
	*SuningCall
	secret  string
	encoded string // Base64 of the body
}

// with is the text with another body, encoded or not.
func (x *suningExhibit) with(encoded string) string {
	return x.secret + x.Method + x.Time + x.AppKey + x.Version + encoded
}

// of is the text of another body.
func (x *suningExhibit) of(body string) string {
	return x.with(base64.StdEncoding.EncodeToString([]byte(body)))
}

// at is the text of another time.
func (x *suningExhibit) at(t time.Time) string {
	return x.secret + x.Method + t.Format(contract.TimeLayout) + x.AppKey + x.Version + x.encoded
}

// suningTrials are tried in their order: what is simple and frequent comes first.
var suningTrials = []textTrial[*suningExhibit]{
	{Mistake{Name: "upper-case-hex", Text: "the signature is written in upper case", Fix: "write the hex digits in lower case"}, upperCase},
	{Mistake{Name: "base64-with-line-ends", Text: "the Base64 of the body has line ends", Fix: "encode without line ends, or strip CR and LF: Java's BASE64Encoder and MIME encoders wrap lines"}, wrappedBase64},
	{Mistake{Name: "base64-url", Text: "the Base64 of the body is the URL-safe one", Fix: "use the standard alphabet, with + and /"}, urlBase64},
	{Mistake{Name: "base64-unpadded", Text: "the Base64 of the body lacks its =", Fix: "keep the padding"}, unpaddedBase64},
	{Mistake{Name: "body-not-encoded", Text: "the body was signed as it is, not its Base64", Fix: "sign the Base64 of the body"}, bodyPlain},
	{Mistake{Name: "body-decoded", Text: "the body was decoded from Base64 instead of encoded", Fix: "base64加密 means encoding"}, bodyDecoded},
	{Mistake{Name: "body-not-signed", Text: "the body was not signed", Fix: "put its Base64 behind the version"}, bodyLeftOut},
	{Mistake{Name: "key-before-time", Text: "the key stands before the time", Fix: "the order is secret, method, time, key, version, body"}, keyFirst},
	{Mistake{Name: "sorted-by-name", Text: "the values were sorted by the names of their parameters", Fix: "the order is fixed: secret, method, time, key, version, body"}, sortedValues},
	{Mistake{Name: "joined-with-separators", Text: "the values were joined with something between", Fix: "join them without anything between"}, joinedValues},
	{Mistake{Name: "secret-at-both-ends", Text: "the secret stands at both ends of the text", Fix: "it stands in front only"}, secretTwice},
	{Mistake{Name: "secret-only-behind", Text: "the secret stands behind the text", Fix: "it stands in front"}, secretLast},
	{Mistake{Name: "secret-missing", Text: "the text was digested without the secret", Fix: "put the secret in front"}, secretLeftOut},
	{Mistake{Name: "secret-with-blanks", Text: "the secret has a blank or a line end around it at one of the ends", Fix: "trim the secret where it is read"}, secretBlank},
	{Mistake{Name: "format-signed", Text: "Format is part of the signed text", Fix: "leave Format out of the text"}, formatSigned},
	{Mistake{Name: "token-signed", Text: "access_token is part of the signed text", Fix: "leave access_token out of the text"}, tokenSigned},
	{Mistake{Name: "version-differs", Text: "another version was signed than was sent: %s", Fix: "sign the versionNo that is sent"}, versionDiffers},
	{Mistake{Name: "utc-time-signed", Text: "the signed time is 8 hours off the one that was sent: one of them is UTC", Fix: "take one time, in GMT+8, for header and signature"}, zoneDiffers},
	{Mistake{Name: "clock-read-twice", Text: "the signed time is %s off the one that was sent", Fix: "read the clock once, for header and signature"}, clockTwice},
	{Mistake{Name: "body-changed", Text: "the body was signed in another form than it was sent: %s", Fix: "sign the bytes that are sent, blanks and line ends included"}, bodyReworked},
	{Mistake{Name: "gbk-signed", Text: "the body was signed in GBK and sent in UTF-8", Fix: "take the UTF-8 bytes of the text for the signature"}, bodyGBK},
}

func upperCase(x *suningExhibit) iter.Seq2[string, string] { return only(x.with(x.encoded)) }

func wrappedBase64(x *suningExhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, width := range []int{76, 64} {
			for _, end := range []string{"\r\n", "\n"} {
				var lines []string
				for line := range slices.Chunk([]byte(x.encoded), width) {
					lines = append(lines, string(line))
				}
				text := strings.Join(lines, end)
				if !yield("", x.with(text)) || !yield("", x.with(text+end)) {
					return
				}
			}
		}
	}
}

func urlBase64(x *suningExhibit) iter.Seq2[string, string] {
	return each("", x.with(base64.URLEncoding.EncodeToString([]byte(x.Body))), "", x.with(base64.RawURLEncoding.EncodeToString([]byte(x.Body))))
}

func unpaddedBase64(x *suningExhibit) iter.Seq2[string, string] {
	return only(x.with(strings.TrimRight(x.encoded, "=")))
}

func bodyPlain(x *suningExhibit) iter.Seq2[string, string] { return only(x.with(x.Body)) }

// bodyDecoded decodes as PHP does: what is no Base64 is passed over.
func bodyDecoded(x *suningExhibit) iter.Seq2[string, string] {
	digits := strings.Map(func(r rune) rune {
		if r == '+' || r == '/' || r < 0x80 && ('0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z') {
			return r
		}
		return -1
	}, x.Body)
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1]
	}
	decoded, err := base64.RawStdEncoding.DecodeString(digits)
	if err != nil {
		return none
	}
	return only(x.with(string(decoded)))
}

func bodyLeftOut(x *suningExhibit) iter.Seq2[string, string] { return only(x.with("")) }

func keyFirst(x *suningExhibit) iter.Seq2[string, string] {
	return only(x.secret + x.Method + x.AppKey + x.Time + x.Version + x.encoded)
}

func sortedValues(x *suningExhibit) iter.Seq2[string, string] {
	return each(
		"", x.secret+x.AppKey+x.Method+x.Time+x.Version+x.encoded,
		"", x.AppKey+x.Method+x.Time+x.secret+x.Version+x.encoded,
		"", x.secret+x.AppKey+x.Method+x.Time+x.Version+x.encoded+x.secret,
	)
}

func joinedValues(x *suningExhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, between := range []string{"&", ",", "|", " ", "\n", ";", "+"} {
			if !yield("", strings.Join([]string{x.secret, x.Method, x.Time, x.AppKey, x.Version, x.encoded}, between)) {
				return
			}
		}
	}
}

func secretTwice(x *suningExhibit) iter.Seq2[string, string] {
	return only(x.with(x.encoded) + x.secret)
}

func secretLast(x *suningExhibit) iter.Seq2[string, string] {
	return only(strings.TrimPrefix(x.with(x.encoded), x.secret) + x.secret)
}

func secretLeftOut(x *suningExhibit) iter.Seq2[string, string] {
	return only(strings.TrimPrefix(x.with(x.encoded), x.secret))
}

func secretBlank(x *suningExhibit) iter.Seq2[string, string] {
	rest := strings.TrimPrefix(x.with(x.encoded), x.secret)
	return func(yield func(string, string) bool) {
		for _, other := range blankSecrets(x.secret) {
			if !yield("", other+rest) {
				return
			}
		}
	}
}

func formatSigned(x *suningExhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, f := range []string{x.format, "xml", "json", "XML", "JSON"} {
			if f != "" && (!yield("", x.secret+x.Method+x.Time+f+x.AppKey+x.Version+x.encoded) ||
				!yield("", x.secret+x.Method+x.Time+x.AppKey+f+x.Version+x.encoded) || !yield("", x.with(f+x.encoded))) {
				return
			}
		}
	}
}

func tokenSigned(x *suningExhibit) iter.Seq2[string, string] {
	if x.Token == "" {
		return none
	}
	return each("", x.with(x.Token+x.encoded), "", x.with(x.encoded+x.Token), "", x.secret+x.Method+x.Time+x.AppKey+x.Token+x.Version+x.encoded)
}

func versionDiffers(x *suningExhibit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, version := range []string{"", "v1.2", "V1.2", "1.2", "v1.0", "v1.1", "v2.0"} {
			if version != x.Version && !yield("["+version+"]", x.secret+x.Method+x.Time+x.AppKey+version+x.encoded) {
				return
			}
		}
	}
}

func zoneDiffers(x *suningExhibit) iter.Seq2[string, string] {
	t, ok := contract.ParseTime(x.Time)
	if !ok {
		return none
	}
	return each("", x.at(t.Add(-zoneOff)), "", x.at(t.Add(zoneOff)))
}

// twice is how long may pass between two looks at the clock.
const twice = 30 * time.Second

func clockTwice(x *suningExhibit) iter.Seq2[string, string] {
	t, ok := contract.ParseTime(x.Time)
	if !ok {
		return none
	}
	return func(yield func(string, string) bool) {
		for off := time.Second; off <= twice; off += time.Second {
			if !yield(off.String(), x.at(t.Add(off))) || !yield(off.String(), x.at(t.Add(-off))) {
				return
			}
		}
	}
}

func bodyReworked(x *suningExhibit) iter.Seq2[string, string] {
	const prolog = `<?xml version="1.0" encoding="UTF-8"?>`
	var compact, indented bytes.Buffer
	_ = json.Compact(&compact, []byte(x.Body)) // what is no JSON gives what no signature matches
	_ = json.Indent(&indented, []byte(x.Body), "", "  ")
	swapped := strings.NewReplacer(`"`, `'`, `'`, `"`).Replace(x.Body)
	var texts []string
	for _, change := range [][2]string{
		{"trimmed", strings.TrimSpace(x.Body)}, {"with a line end", x.Body + "\n"}, {"with a line end", x.Body + "\r\n"},
		{"with other line ends", strings.ReplaceAll(x.Body, "\r\n", "\n")}, {"with other line ends", strings.ReplaceAll(x.Body, "\n", "\r\n")},
		{"compact", compact.String()}, {"indented", indented.String()},
		{"with other quotes: a Python dict instead of JSON", swapped},
		{"with \\u escapes", escapeUnicode(x.Body)}, {"with \\u escapes", strings.ReplaceAll(escapeUnicode(x.Body), "/", `\/`)},
		{"without \\u escapes", unescapeUnicode(x.Body)},
		{"with the XML prolog", prolog + x.Body}, {"with the XML prolog", prolog + "\n" + x.Body},
		{"without the XML prolog", strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(x.Body), prolog))},
		{"without the byte order mark", strings.TrimPrefix(x.Body, string(byteOrderMark))}, {"with a byte order mark", string(byteOrderMark) + x.Body},
	} {
		texts = append(texts, change[0], x.of(change[1]))
	}
	return each(texts...)
}

// escapeUnicode writes what is not ASCII as JSON's \u escapes, as PHP does.
func escapeUnicode(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// unescapeUnicode does the reverse.
func unescapeUnicode(text string) string {
	n, err := contract.ParseJSON(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		return ""
	}
	return n.Text
}

func bodyGBK(x *suningExhibit) iter.Seq2[string, string] {
	encoded, err := simplifiedchinese.GB18030.NewEncoder().String(x.Body)
	if err != nil {
		return none
	}
	return only(x.of(encoded))
}
