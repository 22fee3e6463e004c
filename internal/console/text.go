package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// language is one that the console speaks.
type language string

// The languages.
const (
	english language = "en"
	chinese language = "zh-CN"
)

var languages = []language{chinese, english}

// Name is the language's own name.
func (l language) Name() string { return map[language]string{english: "English", chinese: "中文"}[l] }

// Other is the language to switch to.
func (l language) Other() language {
	if l == english {
		return chinese
	}
	return english
}

// say translates an English text and fills in what it leaves open.
func (l language) say(text string, args ...any) string {
	if l == chinese {
		text = cmp.Or(texts[text], text)
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// languageCookie remembers a choice.
const (
	languageCookie = "ordergate_language"
	languageTime   = 365 * 24 * time.Hour
)

// languageOf is the language that somebody chose, else the one that the browser prefers.
func languageOf(r *http.Request) language {
	if c, err := r.Cookie(languageCookie); err == nil {
		for _, l := range languages {
			if c.Value == string(l) {
				return l
			}
		}
	}
	best, weight := english, 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		w := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(q), "q="); ok {
			w, _ = strconv.ParseFloat(value, 64)
		}
		prefix, _, _ := strings.Cut(strings.ToLower(tag), "-")
		for _, l := range languages {
			if strings.HasPrefix(string(l), prefix) && prefix != "" && w > weight {
				best, weight = l, w
			}
		}
	}
	return best
}

func (s *Server) chooseLanguage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	for _, l := range languages {
		if r.PostFormValue("to") == string(l) {
			s.setCookie(w, r, languageCookie, string(l), languageTime)
		}
	}
	back := "/"
	if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host {
		back = local(from.RequestURI())
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
