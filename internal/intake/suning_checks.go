package intake

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// SuningChecks are the checks of /api/http/sopRequest, in the order of
// docs/protocol/suning.md 4.2. Before them another path is 404 and another verb 405.
var SuningChecks = []Check[*suningCall]{
	{"appKey and appMethod present", []contract.Fault{contract.MissingAppKey, contract.MissingMethod}, 0, (*suningCall).named},
	{"versionNo present", []contract.Fault{contract.MissingVersion}, 0, (*suningCall).versioned},
	{"appRequestTime present", []contract.Fault{contract.MissingTimestamp}, 0, (*suningCall).timed},
	{"signInfo present", []contract.Fault{contract.MissingSign}, 0, (*suningCall).sealed},
	{"appRequestTime parses, then is within 10 minutes; not looked at where clients set their clock by the answer", []contract.Fault{contract.BadTimestamp}, 0, (*suningCall).timely},
	{"appKey known, then not expired", []contract.Fault{contract.UnknownApp, contract.ExpiredApp}, 0, (*suningCall).appKnown},
	{"caller's address on the app's list, if it has one", []contract.Fault{contract.IPNotAllowed}, 0, (*suningCall).addressAllowed},
	{"body within its limits", []contract.Fault{contract.BadRequest, contract.Busy}, 0, (*suningCall).whole},
	{"signature", []contract.Fault{contract.BadSign}, 0, (*suningCall).signed},
	{"appMethod known", []contract.Fault{contract.UnknownMethod}, 0, (*suningCall).methodKnown},
	{"app may call this API", []contract.Fault{contract.NoPackage, contract.NotInPackage}, 0, (*suningCall).methodAllowed},
	{"access_token valid, if the app needs one", []contract.Fault{contract.MissingSession, contract.UnknownSession, contract.ExpiredSession}, 0, (*suningCall).tokenValid},
	{"calls of the day, then of the second", []contract.Fault{contract.Throttled, contract.TooFrequent}, 0, (*suningCall).withinRate},
	{"format known; body parses in it; sn_request, sn_body, one node, of the method's name", []contract.Fault{contract.BadFormat, contract.BadRequest, contract.MissingBody, contract.SeveralNodes}, 0, (*suningCall).contained},
	{"required, then limited parameters of the API", []contract.Fault{contract.MissingArgument, contract.BadArgument}, 0, (*suningCall).arguments},
	{"business checks of the API", []contract.Fault{contract.BusinessRefused}, 0, (*suningCall).judged},
}

// suningCall is one call of Suning on its way through the checks.
type suningCall struct {
	call
	*wire.SuningCall
	suning   wire.Suning
	writer   http.ResponseWriter
	read     bool  // the body is
	argument error // what the rows of the API refuse
}

func (c *suningCall) named() error {
	switch {
	case contract.Blank(c.AppKey):
		return contract.MissingAppKey
	case contract.Blank(c.Method):
		return contract.MissingMethod
	}
	return nil
}

func (c *suningCall) versioned() error { return given(c.Version, contract.MissingVersion) }
func (c *suningCall) timed() error     { return given(c.Time, contract.MissingTimestamp) }
func (c *suningCall) sealed() error    { return given(c.Sign, contract.MissingSign) }

func given(value string, fault contract.Fault) error {
	if contract.Blank(value) {
		return fault
	}
	return nil
}

func (c *suningCall) timely() error {
	if api, ok := contract.ByMethod(c.method); ok && api.AnyTime {
		return nil
	}
	if t, ok := contract.ParseTime(c.Time); !ok || !c.within(t) {
		return contract.BadTimestamp
	}
	return nil
}

func (c *suningCall) appKnown() error {
	if err := c.calledBy(c.findApp(c.key, contract.Suning)); err != nil {
		return err
	}
	if !c.app.Active(c.now) {
		return contract.ExpiredApp
	}
	return nil
}

func (c *suningCall) whole() error {
	c.read = true
	return c.suning.Read(c.writer, c.http, c.SuningCall)
}

func (c *suningCall) signed() error {
	if c.app.AnyCaseSign() {
		c.Sign = strings.ToLower(c.Sign)
	}
	for _, secret := range c.app.Secrets(c.now) {
		if c.suning.Verify(c.SuningCall, secret) {
			return nil
		}
	}
	if c.server.Log.Enabled(c.ctx, slog.LevelDebug) { // the body may hold cards
		c.server.Log.Debug("signature differs; ask ordergate verify for the mistake", "id", c.id, "text", c.Method+c.Time+c.AppKey+c.Version, "body_bytes", len(c.Body))
	}
	return contract.BadSign
}

func (c *suningCall) methodKnown() error {
	rule, ok := suningRules[c.method]
	if !ok {
		return contract.UnknownMethod
	}
	c.rule = rule
	return nil
}

var suningRules = rulesOf(contract.Suning)

func (c *suningCall) tokenValid() error {
	c.token = c.Token
	if !c.app.OAuth {
		return nil
	}
	if contract.Blank(c.Token) {
		return contract.MissingSession
	}
	_, err := c.findSession(c.Token)
	return err
}

func (c *suningCall) withinRate() error {
	switch ban := c.server.Limits.Count(c.app, c.now); {
	case ban == nil:
		return nil
	case ban.Daily:
		return contract.Throttled
	}
	return contract.TooFrequent
}

func (c *suningCall) contained() (err error) {
	c.request, err = c.suning.Parse(c.ctx, c.SuningCall, c.rule.API, c.app.StrictJSON())
	if errors.Is(err, contract.MissingArgument) || errors.Is(err, contract.BadArgument) {
		c.argument, err = err, nil
	}
	return err
}

func (c *suningCall) arguments() error { return c.argument }

func (c *suningCall) judged() error {
	var warnings []string
	if c.Version != wire.SuningVersion {
		warnings = append(warnings, order.WarnVersion.Code)
	}
	return c.judge(order.Record{RequestID: c.id, Format: c.format.String(), Params: c.rule.API.Params(c.request)}, warnings)
}
