package intake

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// SPIChecks are the checks of /spi/qimen. What is wrong with caller, signature or time
// comes first and is answered alike: strangers learn nothing.
var SPIChecks = []Check[*spiCall]{
	{"body within its limits", []contract.Fault{contract.BadRequest, contract.Busy}, 0, (*spiCall).whole},
	{"app of target_app_key, else of app_key, known and active", []contract.Fault{contract.UnknownApp}, 0, (*spiCall).appKnown},
	{"signature", []contract.Fault{contract.BadSign}, 0, (*spiCall).signed},
	{"timestamp parses, and is no more than 10 minutes old; one to come passes", []contract.Fault{contract.BadTimestamp}, 0, (*spiCall).fresh},
	{"sent by POST or GET", []contract.Fault{contract.BadVerb}, 0, (*spiCall).verbAllowed},
	{"method present and known, and one that merchants answer", []contract.Fault{contract.MissingMethod, contract.UnknownMethod}, 0, (*spiCall).methodKnown},
	{"query and form decode; a document is a JSON object, or XML in <request>", []contract.Fault{contract.BadRequest, contract.BadEncoding}, 0, (*spiCall).parses},
	{"required, then limited parameters of the API", []contract.Fault{contract.MissingArgument, contract.BadArgument}, 0, (*spiCall).arguments},
	{"business checks of the API; then what the merchant says", []contract.Fault{contract.BusinessRefused, contract.BackendFailed}, 0, (*spiCall).judged},
}

// spiCall is one reverse call of Qimen's on its way through the checks.
type spiCall struct {
	call
	*wire.SPICall
	spi    wire.SPI
	unread error // why the request could not be read
}

func (s *Server) serveSPI(w http.ResponseWriter, r *http.Request, spi wire.SPI) {
	started := time.Now()
	c := &spiCall{call: s.newCall(spi, r), spi: spi}
	c.SPICall, c.unread = spi.Open(w, r)
	defer c.Release()
	c.now = s.Clock()
	c.method, c.key, c.format = c.Get("method"), c.AppKey(), c.Format()
	if rule, ok := topRules[c.method]; ok && rule.API.Reverse { // shapes what is answered from now on
		c.rule = rule
		c.protocol = wire.SPI{API: rule.API}
	}
	c.serve(w, started, c.Release, func() error { return walk(SPIChecks, OfBoth, c) })
}

func (c *spiCall) whole() error { return c.unread }

func (c *spiCall) appKnown() error {
	err := c.calledBy(c.activeApp(c.key))
	c.merchant = c.app
	return err
}

func (c *spiCall) signed() error {
	for _, secret := range c.app.Secrets(c.now) {
		if c.spi.Verify(c.SPICall, secret) {
			return nil
		}
	}
	if c.server.Log.Enabled(c.ctx, slog.LevelDebug) {
		c.server.Log.Debug("signature of a reverse call differs; ask ordergate verify for the mistake", "id", c.id, "text", c.Signed(), "content_type", c.http.Header.Get("Content-Type"))
	}
	return contract.BadSign
}

func (c *spiCall) fresh() error {
	if !c.Fresh(c.now, cmp.Or(c.server.ReverseAge, wire.Tolerance)) {
		return contract.BadTimestamp
	}
	return nil
}

func (c *spiCall) verbAllowed() error {
	if c.Verb == http.MethodPost || c.Verb == http.MethodGet {
		return nil
	}
	return contract.BadVerb
}

func (c *spiCall) methodKnown() error {
	switch {
	case contract.Blank(c.method):
		return contract.MissingMethod
	case c.rule.API == nil:
		return contract.UnknownMethod
	}
	return nil
}

func (c *spiCall) parses() error { return c.Read() }

func (c *spiCall) arguments() (err error) {
	if c.request, err = c.rule.API.Decode(c.Lookup); err != nil {
		return err
	}
	return c.merchantOfSeller()
}

func (c *spiCall) judged() error {
	record := order.Record{RequestID: c.id, Format: c.format.String(), Digest: string(wire.MD5)}
	for _, f := range c.rule.API.Request {
		if value, given := c.Lookup(f.Name); given {
			record.Params = append(record.Params, contract.Param{Name: f.Name, Value: value})
		}
	}
	return c.judge(record, nil)
}
