package wire

import (
	"context"
	"net/http"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Protocol is a protocol as its clients see it.
type Protocol interface {
	// Target completes a gateway's address: without a path it gets the protocol's.
	Target(base string) (string, error)
	// Seal signs a message and makes its HTTP request.
	Seal(ctx context.Context, m Message) (Sealed, error)
	// Unseal reads an answer of HTTP status 200. The error is a
	// *[contract.Refused] when the vendor says no, and [ErrNotAnswer] when the
	// body is no answer at all.
	Unseal(api *contract.API, body []byte) (reply any, err error)
}

// Of returns how the calls of an API travel.
func Of(api *contract.API) Protocol {
	switch {
	case api.Protocol == contract.Suning:
		return Suning{}
	case api.Reverse:
		return QimenCloud{}
	}
	return TOP{}
}

// Message is one call to be sent.
type Message struct {
	URL     string // the gateway's address, its path included
	AppKey  string
	Secret  contract.Secret
	Session contract.Secret  // access token; empty: none is sent
	Target  string           // of a call by Qimen: the app of the merchant who is called; empty: none is named
	API     *contract.API    // what is called
	Params  []contract.Param // the API's own, objects and lists as JSON text; all of them are sent and signed
	Format  Format
	Digest  Digest // TOP; empty: MD5
	Time    time.Time
}

// Sealed is a signed message.
type Sealed struct {
	Request *http.Request
	Signed  string // what was signed, and how, without the secret
}
