package intake

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// Check is one step of a protocol's checks.
type Check struct {
	Text   string           // what is checked
	Faults []contract.Fault // what it answers, in the order in which it looks
	Batch  Part             // what of a batch is checked
	run    func(*topCall) error
}

// Part is a part of a batch. What a request lacks refuses the whole batch, what
// a call lacks that call.
type Part int

// The parts.
const (
	OfRequest Part = 1 << iota
	OfCall
	OfBoth = OfRequest | OfCall
)

// String names the part, for the documents.
func (p Part) String() string {
	return [...]string{OfRequest: "the request", OfCall: "each call", OfBoth: "both"}[p]
}

// TOPChecks are the checks of /router/rest and /router/batch, in the order of
// docs/protocol/top.md 8.3. Signature stands before quota, session and parameters: strangers neither
// burn an app's quota nor learn its state.
var TOPChecks = []Check{
	{"body within its limits; parameters decode as UTF-8", []contract.Fault{contract.BadRequest, contract.BadEncoding}, OfBoth, (*topCall).decodes},
	{"method, app_key, timestamp, v, sign present", []contract.Fault{contract.MissingMethod, contract.MissingAppKey, contract.MissingTimestamp, contract.MissingVersion, contract.MissingSign}, OfBoth, (*topCall).present},
	{"method known", []contract.Fault{contract.UnknownMethod}, OfCall, (*topCall).methodKnown},
	{"verb allowed", []contract.Fault{contract.BadVerb}, OfRequest, (*topCall).verbAllowed},
	{"app_key known and active", []contract.Fault{contract.UnknownApp}, OfRequest, (*topCall).appKnown},
	{"caller's address on the app's list, if it has one", []contract.Fault{contract.IPNotAllowed}, OfRequest, (*topCall).addressAllowed},
	{"app may call this API", []contract.Fault{contract.NoPackage, contract.NotInPackage}, OfCall, (*topCall).methodAllowed},
	{"v is 2.0", []contract.Fault{contract.BadVersion}, OfRequest, (*topCall).version},
	{"format is xml or json", []contract.Fault{contract.BadFormat}, OfRequest, (*topCall).formatKnown},
	{"timestamp parses, then is within 10 minutes", []contract.Fault{contract.BadTimestamp}, OfRequest, (*topCall).timely},
	{"signature", []contract.Fault{contract.BadSign}, OfRequest, (*topCall).signed},
	{"flow control", []contract.Fault{contract.Throttled}, OfCall, (*topCall).withinRate},
	{"session", []contract.Fault{contract.MissingSession, contract.BlankSession, contract.UnknownSession, contract.ExpiredSession}, OfCall, (*topCall).sessionValid},
	{"required, then limited parameters of the API", []contract.Fault{contract.MissingArgument, contract.BadArgument}, OfCall, (*topCall).arguments},
	{"business checks of the API", []contract.Fault{contract.BusinessRefused}, OfCall, (*topCall).judged},
}

// topCall is one call on its way through the checks. Each check may use what
// those before it found.
type topCall struct {
	*wire.Call
	server  *Server
	ctx     context.Context // goes on when the caller hangs up: what arrived whole is carried through
	http    *http.Request
	now     time.Time
	id      string
	unread  error // why the request could not be read
	rule    order.Rule
	app     *order.App
	seller  string
	request any
	work    *order.Work
	batch   bool // it is the request of a batch, not a call
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
	method, _ := c.Get("method")
	rule, ok := topRules[method]
	if !ok {
		return contract.UnknownMethod
	}
	c.rule = rule
	return nil
}

// topRules are the rules of the APIs that travel by TOP, by method.
var topRules = func() map[string]order.Rule {
	m := map[string]order.Rule{}
	for _, r := range order.Rules {
		if r.API.Protocol == contract.TOP {
			m[r.API.Method] = r
		}
	}
	return m
}()

func (c *topCall) verbAllowed() error {
	if c.Verb == http.MethodPost || c.Verb == http.MethodGet && !c.Files {
		return nil
	}
	return contract.BadVerb
}

func (c *topCall) appKnown() error {
	key, _ := c.Get("app_key")
	app, err := c.server.Store.App(c.ctx, key)
	if errors.Is(err, order.ErrNotFound) {
		return contract.UnknownApp
	}
	if err != nil {
		return err
	}
	if app.Protocol != contract.TOP || !app.Active(c.now) {
		return contract.UnknownApp
	}
	c.app, c.seller = app, app.Seller
	return nil
}

func (c *topCall) addressAllowed() error {
	if len(c.app.IPAllow) > 0 && !c.app.AllowsIP(callerAddress(c.http, c.server.TrustedProxies)) {
		return contract.IPNotAllowed
	}
	return nil
}

func (c *topCall) methodAllowed() error { return c.app.Permits(c.rule.API.Method) }

func (c *topCall) version() error {
	if v, _ := c.Get("v"); v != wire.TOPVersion {
		return contract.BadVersion
	}
	return nil
}

func (c *topCall) formatKnown() error {
	if _, ok := c.Format(); !ok {
		return contract.BadFormat
	}
	return nil
}

func (c *topCall) timely() error {
	text, _ := c.Get("timestamp")
	t, ok := wire.ParseTimestamp(text)
	if !ok {
		return contract.BadTimestamp
	}
	if off := c.now.Sub(t).Abs(); off > wire.Tolerance {
		// Only Java forces GMT+8; other SDKs use the zone of their machine.
		c.server.Log.Info("timestamp is off; it must be GMT+8", "id", c.id, "timestamp", text, "off", off.Round(time.Second))
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

func (c *topCall) withinRate() error { return c.server.Limits.Count(c.app, c.now) }

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
	session, err := c.server.Store.Session(c.ctx, contract.Secret(token))
	if err != nil && !errors.Is(err, order.ErrNotFound) {
		return err
	}
	if c.app.Authority == order.Upstream { // the platform behind decides; a session known here names its seller
		if err == nil && session.AppKey == c.app.Key {
			c.seller = session.Seller
		}
		return nil
	}
	switch {
	case err != nil, session.AppKey != c.app.Key:
		return contract.UnknownSession
	case !session.ExpiresAt.IsZero() && !c.now.Before(session.ExpiresAt):
		return contract.ExpiredSession
	}
	c.seller = session.Seller
	return nil
}

func (c *topCall) arguments() (err error) {
	c.request, err = c.rule.API.Decode(c.Get)
	return err
}

func (c *topCall) judged() (err error) {
	c.work, err = c.rule.Judge(&order.Call{
		API: c.rule.API, App: c.app, Seller: c.seller, Request: c.request, Record: c.record(), At: c.now,
	})
	return err
}

// record is what an event keeps of the call: the API's parameters, without the
// protocol's.
func (c *topCall) record() order.Record {
	format, _ := c.Format()
	digest, _ := c.Digest()
	params := make([]contract.Param, 0, len(c.Params))
	for _, p := range c.Params {
		if !contract.IsTOPParam(p.Name) {
			params = append(params, p)
		}
	}
	return order.Record{RequestID: c.id, Format: format.String(), Digest: string(digest), Params: params}
}
