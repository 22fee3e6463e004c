package wire

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"strings"
	"sync"

	"github.com/ordergate/ordergate/contract"
)

// Digest is a sign_method of TOP.
type Digest string

// The three digests. An absent or blank sign_method is MD5.
const (
	MD5        Digest = "md5"         // HEX(MD5(secret + text + secret))
	HMAC       Digest = "hmac"        // HEX(HMAC-MD5(secret, text))
	HMACSHA256 Digest = "hmac-sha256" // HEX(HMAC-SHA256(secret, text))
)

// Digests lists them, for help texts and flags.
var Digests = []Digest{MD5, HMAC, HMACSHA256}

// Digest returns the digest that a call names, and false for an unknown one.
func (c *Call) Digest() (Digest, bool) {
	name, given := c.Given("sign_method")
	switch d := Digest(name); {
	case !given:
		return MD5, true
	case d == MD5, d == HMAC, d == HMACSHA256:
		return d, true
	}
	return "", false
}

// Verify reports whether the call is signed with the secret. All received
// parameters count; failing that, those that are not blank, because some
// clients sign without what they send blank (docs/protocol/top.md 5.3).
func (TOP) Verify(c *Call, secret contract.Secret) bool {
	digest, ok := c.Digest()
	if !ok {
		return false
	}
	got, _ := c.Get("sign")
	return matches(digest, secret, SignedText(c.Params, c.Document), got) ||
		hasBlank(c.Params) && matches(digest, secret, SignedText(withoutBlank(c.Params), c.Document), got)
}

// SignedText is what a call's digest covers: names and values in the order of
// the names, "sign" left out, then the document body. The parameters must be
// sorted by name.
func SignedText(params []contract.Param, document string) string {
	n := len(document)
	for _, p := range params {
		n += len(p.Name) + len(p.Value)
	}
	var b strings.Builder
	b.Grow(n)
	for _, p := range params {
		if p.Name != "sign" {
			b.WriteString(p.Name)
			b.WriteString(p.Value)
		}
	}
	b.WriteString(document)
	return b.String()
}

// Sign returns the upper-case hex signature of a text.
func Sign(digest Digest, secret contract.Secret, text string) string {
	var buffer [2 * sha256.Size]byte
	return string(sign(buffer[:0], digest, secret, text))
}

func matches(digest Digest, secret contract.Secret, text, got string) bool {
	var buffer [2 * sha256.Size]byte
	return subtle.ConstantTimeCompare(sign(buffer[:0], digest, secret, text), []byte(got)) == 1
}

func sign(dst []byte, digest Digest, secret contract.Secret, text string) []byte {
	var sum [sha256.Size]byte
	switch digest {
	case HMAC:
		return upperHex(dst, sumHMAC(sum[:0], md5.New, secret, text))
	case HMACSHA256:
		return upperHex(dst, sumHMAC(sum[:0], sha256.New, secret, text))
	default:
		b := scratch.Get().(*[]byte)
		defer giveScratch(b)
		*b = append(append(append((*b)[:0], secret...), text...), secret...)
		sum := md5.Sum(*b)
		return upperHex(dst, sum[:])
	}
}

// scratch holds texts with their secrets around them.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

func giveScratch(b *[]byte) {
	if cap(*b) <= keepBuffer {
		scratch.Put(b)
	}
}

func sumHMAC(dst []byte, of func() hash.Hash, secret contract.Secret, text string) []byte {
	h := hmac.New(of, []byte(secret))
	h.Write([]byte(text))
	return h.Sum(dst)
}

func upperHex(dst, sum []byte) []byte {
	dst = hex.AppendEncode(dst, sum)
	for i, c := range dst {
		if c >= 'a' {
			dst[i] = c - 'a' + 'A'
		}
	}
	return dst
}

func hasBlank(params []contract.Param) bool {
	for _, p := range params {
		if contract.Blank(p.Value) {
			return true
		}
	}
	return false
}

func withoutBlank(params []contract.Param) []contract.Param {
	kept := make([]contract.Param, 0, len(params))
	for _, p := range params {
		if !contract.Blank(p.Value) {
			kept = append(kept, p)
		}
	}
	return kept
}
