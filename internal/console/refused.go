package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// refusedList is a page of the refused calls that are kept, the newest first.
type refusedList struct {
	Query url.Values
	Calls []order.RefusedCall
	Older string
}

func (s *Server) refused(v *visit) (any, error) {
	list := refusedList{Query: v.URL.Query()}
	before, _ := strconv.ParseInt(list.Query.Get("before"), 10, 64)
	app, code, number := list.Query.Get("app"), list.Query.Get("code"), list.Query.Get("order")
	for _, c := range s.Refused.List(before) {
		if c.Order == "" { // it was refused before anybody looked
			c.Order = wire.OrderOf(rawRequest(c), c.Reverse)
		}
		if app != "" && c.App != app || code != "" && c.Code != code && c.Sub != code || number != "" && c.Order != number {
			continue
		}
		if len(list.Calls) == pageSize {
			list.Older = strconv.FormatInt(list.Calls[pageSize-1].N, 10)
			break
		}
		list.Calls = append(list.Calls, c)
	}
	return list, nil
}

// refusedPage explains one refused call.
type refusedPage struct {
	order.RefusedCall
	Raw     string // secrets masked
	Finding *finding
	Known   bool // the app is
}

func (s *Server) refusedCall(v *visit) (any, error) {
	n, _ := strconv.ParseInt(v.PathValue("n"), 10, 64)
	call, err := s.Refused.Get(n)
	if err != nil {
		return nil, err
	}
	raw := rawRequest(call)
	call.Order = cmp.Or(call.Order, wire.OrderOf(raw, call.Reverse))
	p := refusedPage{RefusedCall: call, Raw: wire.Present(raw, call.Reverse)}
	app, err := s.Store.App(v.Context(), call.App)
	if p.Known = err == nil; !p.Known || call.Cut {
		return p, nil
	}
	p.Finding, _ = v.language.explain(raw, call.Reverse, app.Secrets(call.At), call.At) // what cannot be read is not explained
	return p, nil
}

// rawRequest writes a refused call as it came, as far as it is kept.
func rawRequest(c order.RefusedCall) []byte {
	return fmt.Appendf(nil, "%sContent-Length: %d\n\n%s", c.Head, len(c.Body), c.Body)
}

// finding is what an examined request came to.
type finding struct {
	*wire.Finding
	Text, Fix string // what was done, and what to do
}

// explain says whether a raw request's signature and time hold, by the secret that explains
// most.
func (l language) explain(raw []byte, reverse bool, secrets []contract.Secret, now time.Time) (best *finding, err error) {
	for _, secret := range secrets {
		r, err := wire.ParseRequest(raw)
		if err != nil {
			return nil, err
		}
		found, err := wire.Explain(r, reverse, secret, now)
		if err != nil {
			return nil, err
		}
		f := &finding{Finding: found}
		if found.Mistake != nil {
			f.Text, f.Fix = l.explained(found)
		}
		if found.Mistake == nil {
			return f, nil
		}
		if best == nil || best.Mistake == wire.UnknownMistake {
			best = f
		}
	}
	return best, nil
}

// verifyPage examines a raw request.
type verifyPage struct {
	Reverse  bool
	Now      string
	Found    *finding
	Wrong    string // why it could not be examined
	Mistakes int
}

func (s *Server) showVerify(*visit) (any, error) { return newVerifyPage(), nil }

func newVerifyPage() verifyPage {
	return verifyPage{Mistakes: len(wire.Mistakes()) + len(wire.SuningMistakes()) + len(wire.SPIMistakes())}
}

// verify examines what somebody pasted, with the secret that they give, or that of the app
// that it names. Neither is shown again.
func (s *Server) verify(v *visit) (any, error) {
	p := newVerifyPage()
	raw := v.PostFormValue("raw")
	p.Reverse, p.Now = v.PostFormValue("reverse") != "", v.PostFormValue("now")
	refuse := func(text string, args ...any) (any, error) {
		p.Wrong, v.status = v.say(text, args...), http.StatusUnprocessableEntity
		return p, nil
	}
	now := s.Clock()
	if p.Now != "" {
		var ok bool
		if now, ok = contract.ParseTime(p.Now); !ok {
			return refuse("The time is not yyyy-MM-dd HH:mm:ss.")
		}
	}
	r, err := wire.ParseRequest([]byte(raw))
	if err != nil {
		return refuse("That is no HTTP request: it begins with a line such as POST /router/rest HTTP/1.1, then headers, an empty line, and the body.")
	}
	key := wire.AppKeyOf(r, p.Reverse)
	secrets := []contract.Secret{contract.Secret(v.PostFormValue("secret"))}
	if secrets[0] == "" {
		app, err := s.Store.App(v.Context(), key)
		if err != nil {
			return refuse("There is no app %q; give its secret.", cmp.Or(key, "?"))
		}
		secrets = app.Secrets(s.Clock())
	}
	if p.Found, err = v.language.explain([]byte(raw), p.Reverse, secrets, now); err != nil {
		return refuse("The request cannot be read: %v", err)
	}
	if p.Found.Mistake == wire.ClockOff && p.Now == "" { // it is merely old
		p.Found.Mistake = nil
	}
	return p, nil
}
