package wire

import (
	"encoding/hex"
	"iter"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Mistake is a known way in which clients get a signature or its time wrong.
type Mistake struct {
	Name  string // what verify prints; stable
	Text  string // what was done; %s stands for the detail
	Fix   string // what to do
	Clock bool   // the signature holds, the time does not
}

// Finding is what became of a request under examination.
type Finding struct {
	Mistake *Mistake // nil: valid
	Detail  string   // the parameter's name, the digest, or how far the clock is off
	Off     time.Duration
	Signed  string // what should be signed, and how; secrets masked
}

// The mistakes that are not found by trying what was signed.
var (
	NotUTF8        = &Mistake{Name: "not-utf8", Text: "a parameter is not UTF-8, or holds a broken %-escape; the signature was not looked at", Fix: "encode the parameters from UTF-8 text, GBK is refused"}
	NoSignature    = &Mistake{Name: "no-signature", Text: "sign (Suning: signInfo) is absent or blank", Fix: "sign the request and send the signature along"}
	UnknownDigest  = &Mistake{Name: "unknown-sign-method", Text: "sign_method is %s", Fix: "use md5, hmac or hmac-sha256, written like that"}
	HTMLEntity     = &Mistake{Name: "html-entity", Text: "&timestamp was turned into ×tamp on its way", Fix: "do not pass the URL through HTML; write &amp;timestamp there"}
	UnknownMistake = &Mistake{Name: "unknown", Text: "the signature differs, and no known mistake explains it", Fix: "most likely the secret is wrong: check it; else compare the text below with what the client signs"}
	BadTimestamp   = &Mistake{Name: "timestamp-format", Text: "the call's time is no time: %s", Fix: "write yyyy-MM-dd HH:mm:ss in GMT+8", Clock: true}
	UTCClock       = &Mistake{Name: "utc-clock", Text: "the signature holds, but the call's time is 8 hours behind: UTC instead of GMT+8", Fix: "format the time in GMT+8, whatever the machine's zone", Clock: true}
	ClockOff       = &Mistake{Name: "clock-off", Text: "the signature holds, but the call's time is off by %s; 10 minutes are allowed", Fix: "set the machine's clock", Clock: true}
)

// hiddenTimestamp is what browsers make of &timestamp.
const hiddenTimestamp = "×tamp"

// Mistakes lists those of TOP, for the documents.
func Mistakes() []Mistake {
	all := []Mistake{*NotUTF8, *NoSignature, *UnknownDigest, *HTMLEntity}
	for _, t := range trials {
		all = append(all, t.Mistake)
	}
	return append(all, *BadTimestamp, *UTCClock, *ClockOff, *UnknownMistake)
}

// textTrial is a mistake and what would have been signed with it: texts with the secret
// in them, each with a detail, whose MD5 is the signature.
type textTrial[X any] struct {
	Mistake
	texts func(X) iter.Seq2[string, string]
}

// firstOf finds the first trial that explains a signature; nil when none does.
func firstOf[X any](trials []textTrial[X], x X, sign string) (m *Mistake, detail string) {
	for i := range trials {
		for detail, text := range trials[i].texts(x) {
			if strings.EqualFold(hexMD5([]byte(text)), sign) {
				return &trials[i].Mistake, detail
			}
		}
	}
	return nil, ""
}

// mistakesOf lists the mistakes of trials, and those that are found otherwise.
func mistakesOf[X any](trials []textTrial[X]) []Mistake {
	all := []Mistake{*NoSignature}
	for _, t := range trials {
		all = append(all, t.Mistake)
	}
	return append(all, *BadTimestamp, *UTCClock, *ClockOff, *UnknownMistake)
}

// Explain says whether a request's signature and time hold, and if not, which known
// mistake was made. The error is about [contract.BadRequest] when it cannot be read at
// all.
func (p TOP) Explain(r *http.Request, secret contract.Secret, now time.Time) (*Finding, error) {
	p.asReceived = true
	open := p.Open
	if path.Clean("/"+r.URL.Path) == BatchPath {
		open = p.OpenBatch
	}
	c, err := open(nowhere{}, r)
	if err != nil {
		return nil, err
	}
	method, _ := c.Get("method")
	api, _ := contract.ByMethod(method)
	digest, known := c.Digest()
	f := &Finding{Signed: formula(digest, SignedText(maskParams(api, c.Params), shownDocument(c.Document)))}
	got, given := c.Given("sign")
	switch {
	case c.Broken:
		return f.is(NotUTF8, ""), nil
	case !given:
		return f.is(NoSignature, ""), nil
	case !known:
		name, _ := c.Get("sign_method")
		return f.is(UnknownDigest, name), nil
	}
	if p.Verify(c, secret) {
		timestamp, _ := c.Get("timestamp")
		return f.judgeTime(timestamp, ParseTimestamp, now), nil
	}
	if slices.ContainsFunc(c.Params, func(p contract.Param) bool { return strings.Contains(p.Name+p.Value, hiddenTimestamp) }) {
		return f.is(HTMLEntity, ""), nil
	}
	x := &exhibit{Call: c, digest: digest, secret: secret, got: got}
	x.query, x.body = c.received[:c.inQuery], c.received[c.inQuery:]
	for i := range trials {
		for detail, sign := range trials[i].signs(x) {
			if sign == got || strings.EqualFold(sign, got) && isHex(got) {
				return f.is(&trials[i].Mistake, detail), nil
			}
		}
	}
	return f.is(UnknownMistake, ""), nil
}

func (f *Finding) is(m *Mistake, detail string) *Finding {
	f.Mistake, f.Detail = m, detail
	return f
}

// zoneOff is how far a clock in UTC is behind one in GMT+8.
const zoneOff = 8 * time.Hour

func (f *Finding) judgeTime(text string, parse func(string) (time.Time, bool), now time.Time) *Finding {
	t, ok := parse(text)
	if !ok {
		return f.is(BadTimestamp, text)
	}
	f.Off = Off(now, t)
	switch {
	case f.Off.Abs() <= Tolerance:
		return f
	case (f.Off - zoneOff).Abs() <= Tolerance:
		return f.is(UTCClock, "")
	}
	return f.is(ClockOff, f.Off.Abs().Round(time.Second).String())
}

// formula says what is signed, and how.
func formula(digest Digest, text string) string {
	switch digest {
	case HMAC:
		return "HEX(HMAC-MD5(" + contract.Masked + ", text)) of the text:\n" + text
	case HMACSHA256:
		return "HEX(HMAC-SHA256(" + contract.Masked + ", text)) of the text:\n" + text
	default:
		return "HEX(MD5(text)) of the text:\n" + contract.Masked + text + contract.Masked
	}
}

func isHex(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil
}

// nowhere is where the answer to a request goes that is only looked at.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}
