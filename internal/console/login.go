package console

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// sessionCookie holds a mark that says until when somebody is logged in.
const (
	sessionCookie = "ordergate_session"
	sessionTime   = 12 * time.Hour
)

// mark signs what a session cookie says. A new key ends all sessions.
func (s *Server) mark(text string) string {
	sum := s.Mark("console session " + text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *Server) newSession() string {
	text := strconv.FormatInt(s.Clock().Add(sessionTime).Unix(), 10) + "." + rand.Text()
	return text + "." + s.mark(text)
}

// loggedIn reports whether a request has the cookie of a session that has not ended.
func (s *Server) loggedIn(r *http.Request) bool {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return false
	}
	i := strings.LastIndexByte(c.Value, '.')
	if i < 0 || subtle.ConstantTimeCompare([]byte(c.Value[i+1:]), []byte(s.mark(c.Value[:i]))) != 1 {
		return false
	}
	until, _, _ := strings.Cut(c.Value, ".")
	seconds, err := strconv.ParseInt(until, 10, 64)
	return err == nil && s.Clock().Before(time.Unix(seconds, 0)) && !s.strikes.ended(c.Value, s.Clock())
}

func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, name, value string, age time.Duration) {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(age / time.Second),
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
	if age < 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// askToLogIn sends who has not logged in to the form, and back afterwards. Known says that
// the path is one of the console's: of others a program is told that there is none.
func (s *Server) askToLogIn(w http.ResponseWriter, r *http.Request, known bool) {
	htmx := r.Header.Get("HX-Request") != ""
	browser := htmx || strings.Contains(r.Header.Get("Accept"), "text/html")
	to := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/" && !htmx {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	switch {
	case htmx:
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
	case browser, known && r.Method == http.MethodGet:
		http.Redirect(w, r, to, http.StatusSeeOther)
	case known:
		http.Error(w, "the console is for who has logged in; programs use /v1 with Authorization: Bearer TOKEN, see /v1/openapi.json", http.StatusUnauthorized)
	default:
		http.NotFound(w, r)
	}
}

// loginForm is what the login page shows.
type loginForm struct {
	Next  string
	Wrong string
}

func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {
	s.renderLogin(w, r, 0, "")
}

func (s *Server) renderLogin(w http.ResponseWriter, r *http.Request, status int, wrong string) {
	w.Header().Set("Cache-Control", "no-store")
	v := &visit{Request: r, language: languageOf(r), status: status}
	s.write(w, v, "login", frame{Language: v.language, Demo: s.Demo, Version: s.Version, Data: loginForm{Next: local(r.FormValue("next")), Wrong: wrong}})
}

// local returns a path of the console, or its first page for anything else.
func local(path string) string {
	at, err := url.Parse(path)
	if err != nil || at.IsAbs() || at.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

func (s *Server) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	language := languageOf(r)
	if wait := s.strikes.wait(s.peer(r), s.Clock()); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		s.renderLogin(w, r, http.StatusTooManyRequests, language.say("Too many attempts. Try again in %d seconds.", int(wait/time.Second)+1))
		return
	}
	if token := strings.TrimSpace(r.PostFormValue("token")); token == "" || !s.Accepts(token) {
		s.strikes.strike(s.peer(r), s.Clock())
		s.Log.Warn("console login refused", "from", r.RemoteAddr)
		s.renderLogin(w, r, http.StatusUnauthorized, language.say("That is not the admin token. The gateway printed at its start where it is kept."))
		return
	}
	s.Log.Info("console login", "from", r.RemoteAddr)
	s.setCookie(w, r, sessionCookie, s.newSession(), sessionTime)
	http.Redirect(w, r, local(r.PostFormValue("next")), http.StatusSeeOther)
}

func (s *Server) logOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil && s.loggedIn(r) {
		s.strikes.end(c.Value, s.Clock())
	}
	s.setCookie(w, r, sessionCookie, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// peer is who asks.
func (s *Server) peer(r *http.Request) string {
	if s.Caller != nil {
		return s.Caller(r).String()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// How often an address may try to log in: so many times at once, then once in a while.
const (
	maxAttempts  = 5
	attemptEvery = 12 * time.Second
	maxPeers     = 10_000
)

// strikes remembers who tried to log in, and sessions that were ended. The zero value is
// empty.
type strikes struct {
	mu    sync.Mutex
	peers map[string]*rate.Limiter
	over  map[string]time.Time // sessions that people have ended, until they end by themselves
}

// wait is how long a peer has to wait before it may try again; 0: it may.
func (s *strikes) wait(peer string, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.peers[peer]
	if l == nil || l.TokensAt(now) >= 1 {
		return 0
	}
	return time.Duration((1 - l.TokensAt(now)) / float64(l.Limit()) * float64(time.Second))
}

// strike counts a wrong attempt.
func (s *strikes) strike(peer string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.peers) >= maxPeers { // who has not been wrong of late is forgotten
		maps.DeleteFunc(s.peers, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= maxAttempts })
	}
	if s.peers == nil || len(s.peers) >= maxPeers {
		s.peers = map[string]*rate.Limiter{}
	}
	if s.peers[peer] == nil {
		s.peers[peer] = rate.NewLimiter(rate.Every(attemptEvery), maxAttempts)
	}
	s.peers[peer].AllowN(now, 1)
}

// end ends a session before its time.
func (s *strikes) end(session string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one, until := range s.over {
		if now.After(until) {
			delete(s.over, one)
		}
	}
	if s.over == nil {
		s.over = map[string]time.Time{}
	}
	s.over[session] = now.Add(sessionTime)
}

func (s *strikes) ended(session string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.over[session]
	return ok && now.Before(until)
}
