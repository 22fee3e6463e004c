package console

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// tryResult is what came of a call that was tried.
type tryResult struct {
	wire.Shown
	Status  int
	Answer  string
	Closed  bool // there was no answer
	Refused *contract.Refused
	Advice  contract.Advice
	Curl    string
	Go      string
	CLI     string
	Wrong   string // why it was not sent
}

// tryAPI signs what the form says, sends it to the gateway, and shows all of it.
func (s *Server) tryAPI(v *visit) (any, error) {
	api, err := s.findAPI(v)
	if err != nil {
		return nil, err
	}
	form := v.form()
	p, err := s.apiPage(v, api, func(name string) (string, bool) { return form.Get(name), form.Has(name) })
	if err != nil {
		return nil, err
	}
	m, refused, err := s.message(v, api, p.Chosen)
	if err != nil {
		return nil, err
	}
	if refused != "" {
		v.status, p.Result = http.StatusUnprocessableEntity, &tryResult{Wrong: refused}
		return p, nil
	}
	m.Params = tryParams(api, form.Get)
	if p.Result, err = s.send(v, m); err != nil {
		v.status, p.Result = http.StatusUnprocessableEntity, &tryResult{Wrong: err.Error()}
	}
	return p, nil
}

// message makes the call that a form means, as far as its app and session go; refused says
// why there is none.
func (s *Server) message(v *visit, api *contract.API, c tried) (m wire.Message, refused string, err error) {
	app, err := s.Store.App(v.Context(), c.App)
	if errors.Is(err, order.ErrNotFound) {
		return m, v.say("Choose an app; make one under Apps first."), nil
	}
	if err != nil {
		return m, "", err
	}
	target, err := wire.Of(api).Target(s.base(v.Request))
	if err != nil {
		return m, "", err
	}
	m = wire.Message{URL: target, API: api, AppKey: app.Key, Secret: app.Secret, Time: s.Clock(), Format: wire.Format{JSON: c.Format != "xml"}}
	if api.Protocol == contract.TOP {
		m.Digest = wire.MD5
		if slices.Contains(wire.Digests, c.Digest) {
			m.Digest = c.Digest
		}
	}
	if api.Reverse {
		m.Target = c.Target
	}
	if c.Session == "" {
		return m, "", nil
	}
	row, _ := strconv.ParseInt(c.Session, 10, 64)
	one, err := s.session(v.Context(), app.Key, row)
	switch {
	case errors.Is(err, order.ErrNotFound):
		return m, v.say("That session is another app's."), nil
	case err != nil:
		return m, "", err
	}
	m.Session = one.Token
	return m, "", nil
}

// base is where callers reach the gateway: when it listens everywhere, by the name that the
// console was called by.
func (s *Server) base(r *http.Request) string {
	at, err := url.Parse(s.URL)
	if err != nil {
		return s.URL
	}
	address, err := netip.ParseAddr(at.Hostname())
	if err != nil || !address.IsUnspecified() {
		return s.URL
	}
	here := &url.URL{Host: r.Host}
	at.Host = net.JoinHostPort(here.Hostname(), at.Port())
	return at.String()
}

// send signs and sends a call.
func (s *Server) send(v *visit, m wire.Message) (*tryResult, error) {
	p := wire.Of(m.API)
	sealed, err := p.Seal(v.Context(), m)
	if err != nil {
		return nil, err
	}
	r := &tryResult{}
	if r.Shown, err = wire.Show(m, sealed); err != nil {
		return nil, err
	}
	if r.Curl, err = curl(m, sealed); err != nil {
		return nil, err
	}
	base := s.base(v.Request)
	r.Go, r.CLI = goProgram(base, m), commandLine(base, m)
	sealed.Request.RequestURI = sealed.Request.URL.RequestURI()
	sealed.Request.RemoteAddr = v.RemoteAddr
	a := newAnswer()
	if r.Closed = s.passOn(a, sealed.Request); r.Closed {
		return r, nil
	}
	r.Status, r.Answer = a.status, wire.Mask(a.body.String())
	reply, err := p.Unseal(m.API, a.body.Bytes())
	if err == nil {
		if no := m.API.Refusal(reply); no != nil {
			err = no
		}
	}
	if refused, ok := errors.AsType[*contract.Refused](err); ok {
		r.Refused, r.Advice = refused, refused.Advice()
	}
	return r, nil
}

// passOn has the gateway answer a request, and reports whether it closed the connection
// instead, as a fault on demand may have it do.
func (s *Server) passOn(a *answer, r *http.Request) (closed bool) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			closed = true
		}
	}()
	header := r.Header
	r.Header = make(http.Header, len(header))
	for name, values := range header { // as a server reads them
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	s.Gateway.ServeHTTP(a, r)
	return false
}

// sessionVariable stands for the session's token in what is copied.
const sessionVariable = "SESSION"

// curl writes a signed request as a command. Its signature holds for ten minutes. The
// session is a variable of the shell; other secrets are masked.
func curl(m wire.Message, s wire.Sealed) (string, error) {
	body, err := s.Request.GetBody()
	if err != nil {
		return "", err
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	masked := func(text string) string {
		text = quoted(wire.Mask(text))
		for _, before := range []string{"session=", "access_token: "} {
			text = strings.ReplaceAll(text, before+contract.Masked, before+`'"$`+sessionVariable+`"'`)
		}
		return text
	}
	var b strings.Builder
	if m.Session != "" {
		b.WriteString(sessionVariable + "=…\n")
	}
	b.WriteString("curl -sS " + masked(s.Request.URL.String()))
	for _, name := range slices.Sorted(maps.Keys(s.Request.Header)) {
		b.WriteString(" \\\n  -H " + masked(name+": "+s.Request.Header[name][0]))
	}
	b.WriteString(" \\\n  --data-binary " + masked(string(raw)))
	return b.String(), nil
}

// commandLine writes a call for ordergate itself, which signs it anew each time.
func commandLine(base string, m wire.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ordergate call %s --url %s --app-key %s --secret \"$SECRET\"", m.API.Method, base, quoted(m.AppKey))
	if m.Session != "" {
		b.WriteString(` --session "$` + sessionVariable + `"`)
	}
	if m.Target != "" {
		b.WriteString(" --target-app-key " + quoted(m.Target))
	}
	if !m.Format.JSON {
		b.WriteString(" --format xml")
	}
	if m.Digest != "" && m.Digest != wire.MD5 {
		b.WriteString(" --sign-method " + string(m.Digest))
	}
	for _, p := range m.API.Masked(m.Params) {
		b.WriteString(" \\\n  " + quoted(p.Name+"="+p.Value))
	}
	return b.String()
}
