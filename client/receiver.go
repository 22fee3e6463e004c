package client

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// Receiver is the HTTP handler by which a merchant's ERP hears Qimen's reverse calls,
// whether Qimen or an Ordergate makes them. It checks the receiving signature, reads
// JSON, XML and form bodies in UTF-8 or GBK, and answers in the page's shape. Its
// fields must not change while it serves.
type Receiver struct {
	// Secrets are those of the apps that may be called, by app key: a call names it as
	// target_app_key, else as app_key.
	Secrets map[string]contract.Secret
	// OrderIntercept is asked to lock sub orders. It returns nil when they are locked,
	// all of them. A no is a row such as [contract.InterceptShipped], or a
	// *[contract.Refused] whose Code and Text are answered as errorCode and errorMsg.
	// Any other error is answered with HTTP 500: to the caller the outcome is then
	// unknown. It may be called again for what it has locked: that is a yes. Callers
	// give up after 10 to 30 seconds, and ctx ends when they do.
	OrderIntercept func(ctx context.Context, r *contract.OrderInterceptRequest) error

	MaxAge time.Duration    // of a call; 0: 10 minutes
	Clock  func() time.Time // nil: time.Now
	OnFail func(error)      // told why a call was not answered by OrderIntercept; nil: nobody
}

// ServeHTTP answers one call.
func (v *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	spi := wire.SPI{API: contract.OrderIntercept}
	c, err := spi.Open(w, r)
	var reply any
	if err == nil {
		reply, err = v.answer(r.Context(), spi, c)
	}
	var answer wire.Answer
	if err == nil {
		answer = spi.Reply(c.Format(), contract.OrderIntercept, reply, "")
	} else if refused, worded := v.word(spi, err); worded {
		answer = spi.Refuse(c.Format(), refused)
	} else {
		v.fail(err)
		http.Error(w, "the call could not be decided", http.StatusInternalServerError)
		return
	}
	if err := spi.Write(w, r, answer); err != nil {
		v.fail(err)
	}
}

// answer checks a call and has it decided.
func (v *Receiver) answer(ctx context.Context, spi wire.SPI, c *wire.SPICall) (reply any, err error) {
	now := time.Now()
	if v.Clock != nil {
		now = v.Clock()
	}
	secret, known := v.Secrets[c.AppKey()]
	switch {
	case !known || secret == "":
		return nil, contract.UnknownApp
	case !spi.Verify(c, secret):
		return nil, contract.BadSign
	case !c.Fresh(now, cmp.Or(v.MaxAge, wire.Tolerance)):
		return nil, contract.BadTimestamp
	case c.Get("method") != contract.OrderIntercept.Method || v.OrderIntercept == nil:
		return nil, contract.UnknownMethod
	}
	if err := c.Read(); err != nil {
		return nil, err
	}
	request, err := contract.OrderIntercept.Decode(c.Lookup)
	if err != nil {
		return nil, err
	}
	if err := v.OrderIntercept(ctx, request.(*contract.OrderInterceptRequest)); err != nil {
		return nil, &decided{err}
	}
	return &contract.OrderInterceptReply{Result: contract.InterceptResult{Success: true}}, nil
}

// decided is an error of the merchant's own.
type decided struct{ error }

// Unwrap returns it.
func (d *decided) Unwrap() error { return d.error }

// word words what a call is refused with, and is false for what nobody foresaw.
func (v *Receiver) word(spi wire.SPI, err error) (*contract.Refused, bool) {
	own, isOwn := errors.AsType[*decided](err)
	if !isOwn {
		v.fail(err)
		return spi.Word(contract.OrderIntercept, err, ""), true
	}
	if refused, ok := errors.AsType[*contract.Refused](own.error); ok {
		return refused, true
	}
	if row, ok := errors.AsType[*contract.Refusal](own.error); ok {
		return &contract.Refused{Code: row.Code, Text: row.Text}, true
	}
	return nil, false
}

func (v *Receiver) fail(err error) {
	if v.OnFail != nil {
		v.OnFail(err)
	}
}
