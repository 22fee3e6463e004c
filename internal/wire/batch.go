package wire

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ordergate/ordergate/contract"
)

// BatchPath is where a gateway of TOP takes several calls in one request.
const BatchPath = "/router/batch"

// SeparatorHeader is where a client names a separator of its own. It is taken
// literally, line ends are not added.
const SeparatorHeader = "Top-Api-Separator"

// MaxCalls is how many calls a batch may hold.
const MaxCalls = 50

// maxSeparator is how long a separator may be, in bytes: each answer repeats it.
const maxSeparator = 256

// The words of a batch's body (docs/protocol/top.md 6).
const (
	defaultSeparator = "\r\n-S-\r\n"
	publicMark       = "#PUBLIC#" // heads the parameters that all calls share
	emptyCall        = "N"
)

// Batch is a body of several calls.
type Batch struct {
	Separator string // stands between the calls, and between their answers
	Calls     []*Call
}

// perCall are the protocol's parameters that a chunk may set. The others are
// those of the request.
var perCall = []string{"method", "session", "target_app_key"}

// OpenBatch reads the request that a batch travels in. Its body is signed as it
// stands, whatever its content type.
func (p TOP) OpenBatch(w http.ResponseWriter, r *http.Request) (*Call, error) {
	return p.open(w, r, batchType)
}

const batchType = "text/plain;charset=UTF-8"

// Batch splits the body of a request into its calls. Each has the request's
// parameters, those that all calls share, and its own; of one name the nearest
// counts. The error is about [contract.BadRequest].
func (c *Call) Batch(separator string) (*Batch, error) {
	b := &Batch{Separator: separator}
	if separator == "" {
		b.Separator = defaultSeparator
	}
	if len(b.Separator) > maxSeparator {
		return nil, contract.About(contract.BadRequest, "the separator is too long")
	}
	chunks := strings.SplitN(c.Document, b.Separator, MaxCalls+3) // one shared, one too many, the rest
	var public string
	if rest, ok := strings.CutPrefix(chunks[0], publicMark); ok {
		public, chunks = trimLine(rest), chunks[1:]
	}
	if last := len(chunks) - 1; last >= 0 && trimLine(chunks[last]) == "" { // nothing, or a separator too many
		chunks = chunks[:last]
	}
	if len(chunks) == 0 || len(chunks) > MaxCalls {
		return nil, contract.About(contract.BadRequest, fmt.Sprintf("a batch of %d calls; want 1 to %d", len(chunks), MaxCalls))
	}
	if len(public)*len(chunks) > MaxBody {
		return nil, contract.About(contract.BadRequest, "what the calls share is over 1 MiB when each has it")
	}
	for _, chunk := range chunks {
		b.Calls = append(b.Calls, c.inner(public, trimLine(chunk)))
	}
	return b, nil
}

// trimLine drops line ends, which no encoded parameter holds.
func trimLine(chunk string) string { return strings.Trim(chunk, "\r\n") }

// inner is one call of a batch. The reader takes the first value of a name, so
// the nearest is read first.
func (c *Call) inner(public, chunk string) *Call {
	var in reader
	if chunk != emptyCall {
		in.form(chunk)
	}
	in.form(public)
	overfull := len(in.spans) > MaxParams
	own := slices.DeleteFunc(in.params(), func(p contract.Param) bool {
		return contract.IsTOPParam(p.Name) && !slices.Contains(perCall, p.Name)
	})
	outer := slices.DeleteFunc(slices.Clone(c.Params), func(p contract.Param) bool {
		return slices.ContainsFunc(own, func(q contract.Param) bool { return p.Name == q.Name })
	})
	params := append(outer, own...)
	slices.SortStableFunc(params, byName)
	return &Call{Verb: c.Verb, Params: params, Broken: in.broken, Overfull: overfull}
}

// Join makes one answer of a batch's answers.
func (b *Batch) Join(answers []Answer) Answer {
	joined := Answer{ContentType: answers[0].ContentType}
	for i, a := range answers {
		if i > 0 {
			joined.Body = append(joined.Body, b.Separator...)
		}
		joined.Body = append(joined.Body, a.Body...)
	}
	return joined
}
