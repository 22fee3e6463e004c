package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Nobody sees or does anything without the admin token.
func TestLoginIsNeeded(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	for _, path := range []string{"/", "/orders", "/orders/taobao/1", "/events/new?after=0", "/apps/12345678", "/deliveries/x:1", "/nothing"} {
		r := g.do(http.MethodGet, path, nil)
		if to := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/login") {
			t.Errorf("%s: %s to %s", path, r.Status, to)
		}
	}
	for _, path := range []string{"/apps", "/apps/12345678", "/deliveries", "/verify", "/faults", "/apis/taobao.qimen.event.produce", "/locks/1-1/release", "/orders/import"} {
		if r := g.do(http.MethodPost, path, url.Values{"do": {"delete"}}); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/login") {
			t.Errorf("POST %s: %s", path, r.Status)
		}
	}
	if r := g.do(http.MethodGet, "/", nil, "HX-Request", "true"); r.StatusCode != http.StatusUnauthorized || r.Header.Get("HX-Redirect") != "/login" {
		t.Errorf("htmx: %s %s", r.Status, r.Header.Get("HX-Redirect"))
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{{http.MethodGet, "/orders", http.StatusSeeOther}, {http.MethodPost, "/apps", http.StatusUnauthorized}, {http.MethodGet, "/nothing", http.StatusNotFound}, {http.MethodPost, "/metrics", http.StatusNotFound}} {
		if r := g.do(c.method, c.path, nil, "Accept", "*/*"); r.StatusCode != c.want {
			t.Errorf("a program's %s %s: %s", c.method, c.path, r.Status)
		}
	}
	for _, forged := range []string{"", "x", "9999999999.x.y", "9999999999.x.", ".."} {
		g.cookies = []*http.Cookie{{Name: "ordergate_session", Value: forged}}
		if r := g.do(http.MethodGet, "/orders", nil); r.StatusCode != http.StatusSeeOther {
			t.Errorf("cookie %q: %s", forged, r.Status)
		}
	}
	if _, err := g.store.App(t.Context(), "12345678"); err != nil {
		t.Errorf("the app is gone: %v", err)
	}
}

// A session's cookie is for this site and no script, ends when people say so, and by
// itself.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	c := g.cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.Path != "/" || c.MaxAge <= 0 || c.MaxAge > 24*3600 || strings.Contains(c.Value, adminToken) {
		t.Errorf("cookie %+v", c)
	}
	if r := g.do(http.MethodPost, "/login", url.Values{"token": {adminToken}}, "X-Forwarded-Proto", "https"); !r.Cookies()[0].Secure {
		t.Error("behind TLS the cookie is not for TLS only")
	}
	g.page("/orders")
	second := newSession(g)
	if to, _, _ := g.post("/logout", nil); to != "/login" {
		t.Errorf("logout leads to %s", to)
	}
	if r := g.do(http.MethodGet, "/orders", nil); r.StatusCode != http.StatusSeeOther {
		t.Errorf("after the logout: %s", r.Status)
	}
	g.cookies = second
	g.page("/orders")
	g.pass(13 * time.Hour)
	if r := g.do(http.MethodGet, "/orders", nil); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a day later: %s", r.Status)
	}
}

func newSession(g *gateway) []*http.Cookie {
	return g.do(http.MethodPost, "/login", url.Values{"token": {adminToken}}).Cookies()
}

// Who guesses tokens has to wait; others need not.
func TestLoginIsLimited(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	refused := 0
	for range 20 {
		r := g.do(http.MethodPost, "/login", url.Values{"token": {"guess"}})
		switch {
		case r.StatusCode == http.StatusTooManyRequests && r.Header.Get("Retry-After") != "":
			refused++
		case r.StatusCode != http.StatusUnauthorized || len(r.Cookies()) > 0:
			t.Errorf("%s, cookies %v", r.Status, r.Cookies())
		}
	}
	if refused != 15 {
		t.Errorf("%d of 20 had to wait, want 15", refused)
	}
	if r := g.do(http.MethodPost, "/login", url.Values{"token": {adminToken}}); r.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right token at once: %s", r.Status)
	}
	g.pass(time.Minute)
	g.logIn()
	if strings.Contains(g.log.String(), "guess") || strings.Contains(g.log.String(), adminToken) {
		t.Errorf("the log holds a token:\n%s", g.log)
	}
}

// No other site can make a browser do something, put the console into a frame, or be led
// to by it.
func TestOtherSitesAreKeptOut(t *testing.T) {
	t.Parallel()
	g := newGateway(t).logIn()
	for name, headers := range map[string][]string{
		"other site": {"Sec-Fetch-Site", "cross-site"}, "other port": {"Sec-Fetch-Site", "same-site"}, "other origin": {"Origin", "http://evil.example"}, "no origin": {"Origin", "null"},
	} {
		for _, path := range []string{"/apps/12345678", "/login", "/logout", "/language"} {
			if r := g.do(http.MethodPost, path, url.Values{"do": {"delete"}}, headers...); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s, %s: %s", name, path, r.Status)
			}
		}
	}
	if _, err := g.store.App(t.Context(), "12345678"); err != nil {
		t.Errorf("the app is gone: %v", err)
	}
	for next, want := range map[string]string{"/orders?q=1": "/orders?q=1", "//evil.example/": "/", "https://evil.example": "/", `/\evil.example`: "/", "javascript:alert(1)": "/", "": "/"} {
		if r := g.do(http.MethodPost, "/login", url.Values{"token": {adminToken}, "next": {next}}); r.Header.Get("Location") != want {
			t.Errorf("next %q leads to %s", next, r.Header.Get("Location"))
		}
		g.pass(time.Minute)
	}
	for _, path := range []string{"/", "/login", "/nothing", "/assets/console.js"} {
		head := g.do(http.MethodGet, path, nil).Header
		csp := head.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: policy %s", path, csp)
			}
		}
		if head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, head)
		}
	}
	for _, path := range []string{"/", "/login", "/apis/taobao.qimen.event.produce"} {
		if page := g.page(path); strings.Contains(page, " style=") || strings.Contains(page, "<style") || strings.Contains(page, " onclick=") || strings.Count(page, "<script") != strings.Count(page, "<script src=") {
			t.Errorf("%s has something inline", path)
		}
	}
}
