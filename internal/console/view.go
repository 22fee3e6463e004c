package console

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// templates are the pages, by language and name. Each is parsed when somebody first looks
// at it: all of them take 6 MB, and many a gateway has no visitors.
var templates = findTemplates()

func findTemplates() map[language]map[string]func() *template.Template {
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	all := map[language]map[string]func() *template.Template{}
	for _, l := range languages {
		all[l] = map[string]func() *template.Template{}
		for _, name := range names {
			page := strings.TrimSuffix(path.Base(name), ".html")
			if page == "layout" || page == "parts" {
				continue
			}
			all[l][page] = sync.OnceValue(func() *template.Template {
				return template.Must(template.New(page).Funcs(functions(l)).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", name))
			})
		}
	}
	return all
}

// functions are what templates may call, in a language.
func functions(l language) template.FuncMap {
	return template.FuncMap{
		"t":        l.say,
		"time":     showTime,
		"iso":      func(t time.Time) string { return t.In(contract.Zone).Format(time.RFC3339) },
		"ago":      func(now, t time.Time) string { return l.duration(now.Sub(t)) },
		"duration": l.duration,
		"number":   groupDigits,
		"rate":     rateOf,
		"asset":    assetPath,
		"json":     indented,
		"path":     escape,
		"link":     link,
		"state":    l.state,
		"tone":     tone,
		"short":    shorten,
		"advice":   func(a contract.Advice) string { return l.say(adviceTexts[a]) },
		"eventName": func(api string) string {
			if text, ok := eventNames[api]; ok {
				return l.say(text)
			}
			if known, ok := contract.ByMethod(api); ok && l == chinese {
				return known.Title
			}
			return cmp.Or(apiNames[api], api)
		},
		"orderPath":  orderPath,
		"deliveryID": func(d order.Delivery) string { return order.DeliveryID(d.Queue, d.Event.Place) },
		"percent": func(part, whole int64) int {
			if whole == 0 {
				return 0
			}
			return int(part * 100 / whole)
		},
		"milliseconds": func(d time.Duration) string {
			return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
		},
		"pairs": pairs,
		"join":  strings.Join,
	}
}

// pairs makes a map of names and values in turn, for a template that is given several.
func pairs(args ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(args); i += 2 {
		m[args[i].(string)] = args[i+1]
	}
	return m
}

func orderPath(k order.Key) string {
	return "/orders/" + escape(k.Platform) + "/" + escape(k.Number) + "?seller=" + url.QueryEscape(k.Seller)
}

func showTime(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.In(contract.Zone).Format(contract.TimeLayout)
}

// duration says roughly how long something lasts.
func (l language) duration(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < time.Second:
		return l.say("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return l.say("%d s", int(d/time.Second))
	case d < 2*time.Hour:
		return l.say("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return l.say("%d h", int(d/time.Hour))
	}
	return l.say("%d days", int(d/(24*time.Hour)))
}

// rateOf writes how often something happens.
func rateOf(perSecond float64) string {
	if perSecond < 10 {
		return strconv.FormatFloat(perSecond, 'f', 2, 64)
	}
	return groupDigits(int64(perSecond))
}

// groupDigits writes a number with its thousands apart.
func groupDigits(n any) string {
	text := fmt.Sprint(n)
	head, rest, _ := strings.Cut(text, ".")
	var b strings.Builder
	for i, r := range head {
		if i > 0 && (len(head)-i)%3 == 0 && head[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	if rest != "" {
		b.WriteString("." + rest)
	}
	return b.String()
}

// indented writes JSON for people; what is none stays as it is.
func indented(v any) string {
	var text []byte
	switch data := v.(type) {
	case json.RawMessage:
		text = data
	case string:
		text = []byte(data)
	default:
		var err error
		if text, err = json.Marshal(v); err != nil {
			return err.Error()
		}
	}
	var out bytes.Buffer
	if json.Indent(&out, bytes.TrimSpace(text), "", "  ") != nil {
		return string(text)
	}
	return out.String()
}

func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}

// link returns a query with names set to values, for links to other pages of a list. An
// empty value removes the name.
func link(query url.Values, args ...any) template.URL {
	changed := url.Values{}
	for name, values := range query {
		changed[name] = values
	}
	changed.Del("did")
	for i := 0; i+1 < len(args); i += 2 {
		if value := fmt.Sprint(args[i+1]); value == "" {
			changed.Del(fmt.Sprint(args[i]))
		} else {
			changed.Set(fmt.Sprint(args[i]), value)
		}
	}
	return template.URL("?" + changed.Encode())
}

// tone is how a state looks: good, busy, bad, or like nothing in particular.
func tone(state any) string {
	switch fmt.Sprint(state) {
	case "done", "up", "out", "received", "shipped", "locked", "ok":
		return "good"
	case "in_flight", "retrying", "asked", "refunding", "waiting", "notified":
		return "busy"
	case "dead", "held", "down", "timeout", "unknown", "violated", "refused":
		return "bad"
	}
	return "plain"
}

// assetNames are the assets with the hashes by which browsers may keep them.
var assetNames = hashAssets()

func hashAssets() map[string]string {
	hashes := map[string]string{}
	files, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		data, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		hashes[f.Name()] = hex.EncodeToString(sum[:6])
	}
	return hashes
}

func assetPath(name string) string { return "/assets/" + name + "?v=" + assetNames[name] }

// served are the kinds of files that browsers get.
var served = []string{".js", ".css", ".svg"}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	data, err := assetFiles.ReadFile("assets/" + name)
	if err != nil || !slices.Contains(served, path.Ext(name)) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	if r.URL.Query().Get("v") == assetNames[name] {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(data)
}
