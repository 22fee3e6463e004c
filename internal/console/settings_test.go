package console_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/console"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// requestFile is a signed request as people paste it.
func requestFile(t *testing.T, g *gateway, api *contract.API) []byte {
	t.Helper()
	sealed, err := wire.Of(api).Seal(t.Context(), wire.Message{
		URL: "http://gateway/router/rest", AppKey: "12345678", Secret: "helloworld", API: api, Time: g.clock(), Params: []contract.Param{{Name: "status", Value: "A"}, {Name: "tid", Value: "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := httputil.DumpRequestOut(sealed.Request, true)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// An app is made, changed, given another secret and sessions, and deleted. What the form
// does not have stays.
func TestApps(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	app := func() *order.App {
		t.Helper()
		a, err := g.store.App(t.Context(), "new/app")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	create := url.Values{"key": {"new/app"}, "protocol": {"top"}, "secret": {"first-secret"}, "name": {"N"}, "seller": {"s"}, "methods": {contract.EventProduce.Method + "\n"}, "topics": {"QIMEN_CP_OUT\n" + `{"status":"*","ext_fields":["a"]}`}, "rate.per_day": {"100"}, "ip_allow": {"10.0.0.0/8"}, "authority": {"upstream"}, "expires_at": {"2030-01-02T15:04:05+08:00"}}
	if to, status, page := g.post("/apps", create); to != "/apps/new%2Fapp?did=Saved." {
		t.Fatalf("%d to %s %s", status, to, page)
	}
	a := app()
	if a.Secret != "first-secret" || a.Rate.PerDay != 100 || len(*a.Methods) != 1 || len(*a.Topics) != 2 || a.Authority != order.Upstream || len(a.IPAllow) != 1 || a.ExpiresAt.Year() != 2030 {
		t.Errorf("app %+v", a)
	}
	if _, status, page := g.post("/apps", create); status != http.StatusConflict || strings.Contains(page, "first-secret") {
		t.Errorf("again: %d", status)
	}
	page := g.page("/apps/new%2Fapp")
	holds(t, "app", page, `{"ext_fields":["a"],"status":"*"}`, `value="100"`)
	save := url.Values{"do": {"save"}, "name": {"M"}, "methods": {"-"}, "rate.per_second": {"7"}, "authority": {"ledger"}}
	if to, status, page := g.post("/apps/new%2Fapp", save); to == "" {
		t.Fatalf("%d %s", status, page)
	}
	if a = app(); a.Name != "M" || a.Methods == nil || len(*a.Methods) != 0 || a.Topics != nil || a.Rate != (order.Rate{PerSecond: 7}) || a.Secret != "first-secret" || a.IPAllow != nil || a.Authority != order.Ledger {
		t.Errorf("saved %+v", a)
	}
	if _, status, page := g.post("/apps/new%2Fapp", url.Values{"do": {"save"}, "name": {"W"}, "ip_allow": {"somewhere"}}); status != http.StatusUnprocessableEntity || !strings.Contains(page, "ip_allow") || !strings.Contains(page, `value="W"`) {
		t.Errorf("a wrong address: %d %s", status, page)
	}
	if _, status, _ := g.post("/apps/new%2Fapp", url.Values{"do": {"save"}, "rate.per_second": {"many"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("no number: %d", status)
	}
	if to, _, page := g.post("/apps/new%2Fapp", url.Values{"do": {"rotate"}, "secret": {"second-secret"}, "overlap": {"24h"}}); to == "" {
		t.Errorf("rotate: %s", page)
	}
	if a = app(); len(a.Secrets(noon.Add(time.Hour))) != 2 || a.Secret != "second-secret" {
		t.Errorf("rotated %+v", a)
	}
	holds(t, "rotated", g.page("/apps/new%2Fapp"), "the old one counts until 2024-06-19 12:00:00")
	if to, _, page := g.post("/apps/new%2Fapp", url.Values{"do": {"add-session"}, "token": {"new token/1"}, "seller": {"shop"}}); to == "" {
		t.Errorf("session: %s", page)
	}
	one, err := g.store.Session(t.Context(), "new token/1")
	if err != nil || one.AppKey != "new/app" || one.Seller != "shop" {
		t.Fatalf("session %+v, %v", one, err)
	}
	page = g.page("/apps/new%2Fapp")
	holds(t, "session", page, "shop")
	if strings.Contains(page, "new token") || strings.Contains(page, "second-secret") {
		t.Error("the page shows a secret")
	}
	if _, status, _ := g.post("/apps/12345678", url.Values{"do": {"drop-session"}, "id": {"3"}}); status != http.StatusNotFound {
		t.Errorf("another app's session: %d", status)
	}
	if to, _, page := g.post("/apps/new%2Fapp", url.Values{"do": {"drop-session"}, "id": {"3"}}); to == "" {
		t.Errorf("session: %s", page)
	}
	// Who may do nothing may do nothing after the form is saved as it stands, nor after a
	// form of an older page, or half of one.
	nothing := `{"protocol":"top","methods":[],"topics":[],"ip_allow":["10.0.0.0/8"],"options":{}}`
	w := httptest.NewRecorder()
	g.console.Manage.ServeHTTP(w, withToken(httptest.NewRequest(http.MethodPut, "/v1/apps/new%2Fapp", strings.NewReader(nothing))))
	if w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	entered := url.Values{"do": {"save"}}
	for _, f := range regexp.MustCompile(`(?s)name="has" value="([^"]+)">\s*<label[^>]*>[^<]*(?:<[^>]*>[^<]*)?</label>\s*<(textarea|input)[^>]*?(?: value="([^"]*)"[^>]*|)>([^<]*)`).FindAllStringSubmatch(g.page("/apps/new%2Fapp"), -1) {
		entered.Add("has", f[1])
		entered.Set(f[1], html.UnescapeString(f[3]+map[bool]string{true: f[4]}[f[2] == "textarea"]))
	}
	for _, form := range []url.Values{entered, {"do": {"save"}, "name": {"half"}}, {"do": {"save"}, "has": {"name"}, "name": {"half"}}} {
		response := g.do(http.MethodPost, "/apps/new%2Fapp", form)
		if response.StatusCode != http.StatusSeeOther {
			t.Errorf("%v: %s", form, body(t, response))
		}
		if a = app(); a.Methods == nil || len(*a.Methods) > 0 || a.Topics == nil || len(*a.Topics) > 0 || len(a.IPAllow) != 1 {
			t.Errorf("saved from %v: %+v", form, a)
		}
	}
	if entered.Get("methods") != "-" || entered.Get("ip_allow") != "10.0.0.0/8" {
		t.Errorf("the form has %v", entered)
	}
	if r := g.send(http.MethodPost, "/apps/new%2Fapp", "application/x-www-form-urlencoded", strings.NewReader("do=save&has=methods&methods=%zz")); r.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a broken form: %s", r.Status)
	}
	for _, name := range []string{".", ".."} {
		if to, status, _ := g.post("/apps", url.Values{"key": {name}, "protocol": {"top"}, "secret": {"s"}}); to != "" || status != http.StatusUnprocessableEntity {
			t.Errorf("an app named %s: %d to %s", name, status, to)
		}
	}
	if to, _, page := g.post("/apps/new%2Fapp", url.Values{"do": {"delete"}}); to != "/apps?did=Deleted." {
		t.Errorf("delete: %s", page)
	}
}

func withToken(r *http.Request) *http.Request {
	r.Header.Set("Authorization", "Bearer any")
	return r
}

// A destination is made, tried, changed, given another secret, replayed to, and deleted.
func TestDestinations(t *testing.T) {
	t.Parallel()
	g := busy(t)
	d := func() *order.Destination {
		t.Helper()
		found, err := order.FindDestination(t.Context(), g.store, "oms")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := d(); got.Disabled || got.Unordered || got.Kind != order.KindWebhook {
		t.Errorf("made %+v", got)
	}
	if to, _, page := g.post("/destinations/oms", url.Values{"do": {"save"}, "kind": {"webhook"}, "url": {"https://oms.example/other"}, "apis": {contract.EventProduce.Method}, "on_dead": {"hold"}, "timeout": {"8s"}, "max_in_flight": {"3"}}); to == "" {
		t.Fatal(page)
	}
	if got := d(); !got.Disabled || !got.Unordered || got.URL != "https://oms.example/other" || got.OnDead != order.OnDeadHold || got.Timeout != 8*time.Second || got.MaxInFlight != 3 || got.Secret == "" {
		t.Errorf("saved %+v", got)
	}
	for what, form := range map[string]url.Values{"timeout": {"do": {"save"}, "kind": {"webhook"}, "url": {"https://a.example"}, "timeout": {"1h"}}, "secret": {"do": {"rotate"}, "secret": {"no-base64"}}, "place": {"do": {"replay"}, "from_seq": {"x"}}, "form": {"do": {"x"}}} {
		if _, status, _ := g.post("/destinations/oms", form); status != http.StatusUnprocessableEntity {
			t.Errorf("wrong %s: %d", what, status)
		}
	}
	_, _, page := g.post("/destinations/oms", url.Values{"do": {"test"}})
	holds(t, "test", page, "The test was answered as it should be")
	if to, _, page := g.post("/destinations/oms", url.Values{"do": {"rotate"}, "secret": {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "overlap": {"1h"}}); to == "" || d().OldSecret == "" {
		t.Errorf("rotate: %s", page)
	}
	if to, _, page := g.post("/destinations/oms", url.Values{"do": {"replay"}, "from_seq": {"1"}}); to == "" {
		t.Errorf("replay: %s", page)
	}
	if _, status, _ := g.post("/destinations", url.Values{"name": {"oms"}, "kind": {"webhook"}, "url": {"https://a.example"}}); status != http.StatusConflict {
		t.Errorf("made twice: %d", status)
	}
	if to, _, page := g.post("/destinations/oms", url.Values{"do": {"save"}, "kind": {"webhook"}, "url": {"https://oms.example/"}, "apis": {"-"}, "sellers": {"-"}}); to == "" {
		t.Fatal(page)
	}
	if got := d(); got.APIs == nil || got.Sellers == nil || got.Platforms != nil {
		t.Errorf("a destination of nothing takes everything: %+v", got)
	}
	if to, _, page := g.post("/destinations/oms", url.Values{"do": {"delete"}}); to != "/destinations?did=Deleted." {
		t.Errorf("delete: %s", page)
	}
}

// The forms have what the management API takes, under its names: what they leave out is
// said here.
func TestFormsAreWhole(t *testing.T) {
	t.Parallel()
	if console.MostImported != apply.MaxOrders {
		t.Errorf("an import has at most %d orders, the page says %d", apply.MaxOrders, console.MostImported)
	}
	for _, c := range []struct {
		form  []string
		of    reflect.Type
		other []string
	}{
		{console.AppFields(), reflect.TypeFor[apply.App](), []string{"options"}},
		{console.DestinationFields(), reflect.TypeFor[apply.Destination](), []string{"sessions"}},
	} {
		var names []string
		for i := range c.of.NumField() {
			name, _, _ := strings.Cut(c.of.Field(i).Tag.Get("json"), ",")
			if name == "rate" {
				names = append(names, "rate.per_second", "rate.per_day")
				continue
			}
			names = append(names, name)
		}
		form := append(slices.Clone(c.form), c.other...)
		slices.Sort(names)
		slices.Sort(form)
		if !slices.Equal(names, form) {
			t.Errorf("%v: the form has\n%v, the API\n%v", c.of, form, names)
		}
	}
}
