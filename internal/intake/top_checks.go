package intake

import (
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// TOPChecks are the checks of /router/rest, /router/batch and /router/qm, in the order of
// docs/protocol/top.md 8.3. Signature stands before quota, session and parameters: strangers neither
// burn an app's quota nor learn its state.
var TOPChecks = []Check[*topCall]{
	{"body within its limits; parameters decode as UTF-8", []contract.Fault{contract.BadRequest, contract.BadEncoding}, OfBoth, (*topCall).decodes},
	{"method, app_key, timestamp, v, sign present", []contract.Fault{contract.MissingMethod, contract.MissingAppKey, contract.MissingTimestamp, contract.MissingVersion, contract.MissingSign}, OfBoth, (*topCall).present},
	{"method known; on Qimen's URLs one that merchants answer", []contract.Fault{contract.UnknownMethod}, OfCall, (*topCall).methodKnown},
	{"verb allowed", []contract.Fault{contract.BadVerb}, OfRequest, (*topCall).verbAllowed},
	{"app_key known and active", []contract.Fault{contract.UnknownApp}, OfRequest, (*topCall).appKnown},
	{"caller's address on the app's list, if it has one", []contract.Fault{contract.IPNotAllowed}, OfRequest, (*topCall).addressAllowed},
	{"app may call this API; target_app_key, where it names a merchant, known and active", []contract.Fault{contract.NoPackage, contract.NotInPackage, contract.UnknownApp}, OfCall, (*topCall).callAllowed},
	{"v is 2.0", []contract.Fault{contract.BadVersion}, OfRequest, (*topCall).version},
	{"format is xml or json, on Qimen's URLs also xml2 or json2", []contract.Fault{contract.BadFormat}, OfRequest, (*topCall).formatKnown},
	{"timestamp parses, then is within 10 minutes", []contract.Fault{contract.BadTimestamp}, OfRequest, (*topCall).timely},
	{"signature", []contract.Fault{contract.BadSign}, OfRequest, (*topCall).signed},
	{"flow control", []contract.Fault{contract.Throttled}, OfCall, (*topCall).withinRate},
	{"session", []contract.Fault{contract.MissingSession, contract.BlankSession, contract.UnknownSession, contract.ExpiredSession}, OfCall, (*topCall).sessionValid},
	{"a document of parameters parses; then required, then limited parameters of the API", []contract.Fault{contract.BadEncoding, contract.BadRequest, contract.MissingArgument, contract.BadArgument}, OfCall, (*topCall).arguments},
	{"business checks of the API; then what the merchant says, where one is asked", []contract.Fault{contract.BusinessRefused, contract.BackendFailed}, OfCall, (*topCall).judged},
}

// topCall is one call of TOP on its way through the checks.
type topCall struct {
	call
	*wire.Call
	unread error // why the request could not be read
	batch  bool  // it is the request of a batch, not a call
	cloud  bool  // it came by Qimen Cloud's URL

	document []contract.Param // what its body says, where that may be a document
}

// wanted is how the call wants its answer.
func (c *topCall) wanted() (wire.Format, bool) {
	if c.cloud {
		return c.CloudFormat()
	}
	return c.Format()
}

// required are the parameters without which nothing is looked at, each with its
// fault.
var required = []struct {
	name  string
	fault contract.Fault
}{
	{"method", contract.MissingMethod},
	{"app_key", contract.MissingAppKey},
	{"timestamp", contract.MissingTimestamp},
	{"v", contract.MissingVersion},
	{"sign", contract.MissingSign},
}

func (c *topCall) decodes() error {
	if c.unread != nil {
		return c.unread
	}
	if c.Overfull {
		return contract.About(contract.BadRequest, "too many parameters")
	}
	if c.Broken {
		return contract.BadEncoding
	}
	return nil
}

func (c *topCall) present() error {
	for _, p := range required {
		if c.batch && p.fault == contract.MissingMethod {
			continue
		}
		if _, given := c.Given(p.name); !given {
			return p.fault
		}
	}
	return nil
}

func (c *topCall) methodKnown() error {
	rule, ok := topRules[c.method]
	if !ok || c.cloud && !rule.API.Reverse {
		return contract.UnknownMethod
	}
	c.rule = rule
	return nil
}

var topRules = rulesOf(contract.TOP)

func (c *topCall) verbAllowed() error {
	if c.Verb == http.MethodPost || c.Verb == http.MethodGet && !c.Files {
		return nil
	}
	return contract.BadVerb
}

func (c *topCall) appKnown() error {
	if err := c.calledBy(c.activeApp(c.key)); err != nil {
		return err
	}
	if c.cloud && c.app.ErrorResponse() {
		c.protocol = wire.QimenCloud{ErrorResponse: true}
	}
	return nil
}

func (c *topCall) callAllowed() error {
	if err := c.methodAllowed(); err != nil || !c.rule.API.Reverse {
		return err
	}
	key, _ := c.Get("target_app_key")
	return c.findMerchant(key)
}

func (c *topCall) version() error {
	if v, _ := c.Get("v"); v != wire.TOPVersion {
		return contract.BadVersion
	}
	return nil
}

func (c *topCall) formatKnown() error {
	if _, ok := c.wanted(); !ok {
		return contract.BadFormat
	}
	return nil
}

func (c *topCall) timely() error {
	text, _ := c.Get("timestamp")
	if t, ok := wire.ParseTimestamp(text); !ok || !c.within(t) {
		return contract.BadTimestamp
	}
	return nil
}

func (c *topCall) signed() error {
	for _, secret := range c.app.Secrets(c.now) {
		if (wire.TOP{}).Verify(c.Call, secret) {
			return nil
		}
	}
	if c.server.Log.Enabled(c.ctx, slog.LevelDebug) {
		c.server.Log.Debug("signature differs; compare the text with what the client signs", "id", c.id,
			"text", wire.SignedText(c.rule.API.Masked(c.Params), ""), "document_bytes", len(c.Document))
	}
	return contract.BadSign
}

func (c *topCall) withinRate() error {
	if ban := c.server.Limits.Count(c.app, c.now); ban != nil {
		return contract.About(contract.Throttled, strconv.Itoa(int(math.Ceil(ban.For.Seconds()))))
	}
	return nil
}

func (c *topCall) sessionValid() error {
	need := c.rule.API.Session
	if need == contract.None {
		return nil
	}
	token, present := c.Get("session")
	switch {
	case !present && need == contract.Required:
		return contract.MissingSession
	case contract.Blank(token) && need == contract.Required:
		return contract.BlankSession
	case contract.Blank(token):
		return nil
	}
	c.token = token
	session, err := c.findSession(token)
	if session != nil {
		c.seller = session.Seller
	}
	return err
}

func (c *topCall) arguments() (err error) {
	if !c.rule.API.Reverse {
		c.request, err = c.rule.API.Decode(c.Get)
		return err
	}
	if c.document, err = c.DocumentParams(); err != nil {
		return err
	}
	if c.request, err = c.rule.API.Decode(c.said); err != nil {
		return err
	}
	return c.merchantOfSeller()
}

// said returns what the call says by a name: in its parameters, else in its document.
func (c *topCall) said(name string) (string, bool) {
	if value, given := c.Get(name); given {
		return value, true
	}
	for _, p := range slices.Backward(c.document) {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

func (c *topCall) judged() error { return c.judge(c.record(), nil) }

// record is what an event keeps of the call: the API's parameters, without the
// protocol's.
func (c *topCall) record() order.Record {
	digest, _ := c.Digest()
	params := make([]contract.Param, 0, len(c.Params))
	for _, p := range c.Params {
		if !contract.IsTOPParam(p.Name) {
			params = append(params, p)
		}
	}
	if c.document != nil {
		for _, f := range c.rule.API.Request { // what only the document says
			value, said := c.said(f.Name)
			if _, given := c.Get(f.Name); said && !given {
				params = append(params, contract.Param{Name: f.Name, Value: value})
			}
		}
	}
	return order.Record{RequestID: c.id, Format: c.format.String(), Digest: string(digest), Params: params}
}
