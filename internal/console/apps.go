package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// appFields are the fields of an app's form, as the management API names them. Its key and
// protocol are given once.
var appFields = []field{
	{Name: "name", Kind: textField, Label: "Name"},
	{Name: "seller", Kind: textField, Label: "Seller", Help: "TOP: the seller of calls without a session"},
	{Name: "supplier_code", Kind: textField, Label: "Supplier code", Help: "Suning: the supplier whose lines it may report; empty: any"},
	{Name: "authority", Kind: choiceField, Label: "Who decides", Choices: []string{string(order.Ledger), string(order.Upstream)}, Help: "ledger: the orders and sessions here; upstream: the real platform behind this gateway"},
	{Name: "methods", Kind: listField, Label: "Permissions", Help: "Methods, one a line; - alone: none", Absent: "all methods"},
	{Name: "topics", Kind: listField, Label: "Topics", Help: "Statuses, one a line, or JSON with status and ext_fields; - alone: none", Absent: "all topics"},
	{Name: "ip_allow", Kind: listField, Label: "Addresses", Help: "Addresses or networks it may call from, one a line", Absent: "any address"},
	{Name: "rate.per_second", Kind: numberField, Label: "Calls in a second", Absent: "no limit"},
	{Name: "rate.per_day", Kind: numberField, Label: "Calls in a day", Help: "Days end at 00:00 GMT+8", Absent: "no limit"},
	{Name: "expires_at", Kind: textField, Label: "Expires", Help: "2026-01-02T15:04:05+08:00", Absent: "never"},
	{Name: "lock_until", Kind: choiceField, Label: "Locks until", Choices: []string{string(order.UntilNotify), string(order.UntilOut)}, Help: "TOP, a merchant's: until the warehouse is notified, or until the goods leave it"},
	{Name: "oauth", Kind: flagField, Label: "Calls need an access token", Help: "Suning"},
}

// newAppFields are those that only a new app has.
var newAppFields = []field{
	{Name: "key", Kind: textField, Label: "Key", Help: "app_key (TOP) or appKey (Suning)", Required: true},
	{Name: "protocol", Kind: choiceField, Label: "Protocol", Choices: []string{string(contract.TOP), string(contract.Suning)}, Required: true},
	{Name: "secret", Kind: secretField, Label: "Secret", Required: true},
}

// appList is the apps with their use today.
type appList struct {
	Apps   []appUse
	Next   string
	Inputs []input
}

type appUse struct {
	*order.App
	Calls int64 // today
}

// today is the day by which calls are counted.
func (s *Server) today() string { return s.Clock().In(contract.Zone).Format(time.DateOnly) }

func (s *Server) apps(v *visit) (any, error) {
	return s.listApps(v, nil)
}

func (s *Server) listApps(v *visit, entered map[string]any) (any, error) {
	ctx := v.Context()
	apps, err := s.Store.Apps(ctx, v.URL.Query().Get("after"), pageSize+1)
	if err != nil {
		return nil, err
	}
	usage, err := s.Store.Usage(ctx, s.today())
	if err != nil {
		return nil, err
	}
	list := appList{Inputs: inputs(slices.Concat(newAppFields, appFields), entered, v.problem)}
	if len(apps) > pageSize {
		apps = apps[:pageSize]
		list.Next = apps[pageSize-1].Key
	}
	for _, a := range apps {
		list.Apps = append(list.Apps, appUse{a, usage[a.Key]})
	}
	return list, nil
}

func (s *Server) addApp(v *visit) (any, error) {
	key, entered, err := s.add(v, slices.Concat(newAppFields, appFields), "key", "/v1/apps/", func(key string) error {
		_, err := s.Store.App(v.Context(), key)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case v.problem != nil:
		return s.listApps(v, entered)
	}
	return v.done("/apps/"+escape(key), "Saved.")
}

// add puts what a form says is new under a name that one of its fields gives, unless find
// finds something of that name. What was wrong is the visit's problem.
func (s *Server) add(v *visit, fields []field, nameOf, path string, find func(name string) error) (name string, entered map[string]any, err error) {
	entered = map[string]any{}
	err = fill(v.language, fields, entered, v.form())
	name, _ = entered[nameOf].(string)
	switch {
	case err != nil:
	case name == "":
		err = wrong(v.say("Give a name."))
	case find(name) == nil:
		err = &problem{Status: http.StatusConflict, Detail: v.say("There is one named %q already.", name)}
	default:
		err = s.manage(v.Context(), http.MethodPut, path+escape(name), entered, nil)
	}
	return name, entered, v.failed(err)
}

// form is what the browser sent. What cannot be read whole is nothing at all.
func (v *visit) form() url.Values {
	if v.ParseForm() != nil {
		return url.Values{}
	}
	return v.PostForm
}

// appPage is one app.
type appPage struct {
	*order.App
	Inputs   []input
	Usage    []usageDay
	Sessions []*order.Session
	Now      time.Time
}

type usageDay struct {
	Day   string
	Calls int64
	Part  int64 // of the limit, in percent; of the most used day without one
}

// usageDays is of how many days an app's use is shown.
const usageDays = 7

func (s *Server) app(v *visit) (any, error) { return s.showApp(v, nil) }

func (s *Server) showApp(v *visit, entered map[string]any) (any, error) {
	ctx := v.Context()
	app, err := s.Store.App(ctx, v.PathValue("key"))
	if err != nil {
		return nil, err
	}
	if entered == nil {
		if err := s.manage(ctx, http.MethodGet, "/v1/apps/"+escape(app.Key), nil, &entered); err != nil {
			return nil, err
		}
	}
	p := appPage{App: app, Inputs: inputs(appFields, entered, v.problem), Now: s.Clock()}
	if p.Usage, err = s.usage(ctx, app); err != nil {
		return nil, err
	}
	p.Sessions, err = s.sessionsOf(ctx, app.Key)
	return p, err
}

func (s *Server) usage(ctx context.Context, app *order.App) (days []usageDay, err error) {
	most := int64(app.Rate.PerDay)
	for i := usageDays - 1; i >= 0; i-- {
		day := s.Clock().In(contract.Zone).AddDate(0, 0, -i).Format(time.DateOnly)
		calls, err := s.Store.Usage(ctx, day)
		if err != nil {
			return nil, err
		}
		days = append(days, usageDay{Day: day, Calls: calls[app.Key]})
		if app.Rate.PerDay == 0 {
			most = max(most, calls[app.Key])
		}
	}
	for i := range days {
		if most > 0 {
			days[i].Part = min(100, days[i].Calls*100/most)
		}
	}
	return days, nil
}

// mostSessions is how many sessions of an app are listed, and how many of all apps are
// looked through for them.
const (
	mostSessions    = 100
	sessionsScanned = 10_000
)

func (s *Server) sessionsOf(ctx context.Context, key string) (found []*order.Session, err error) {
	after := int64(0)
	for seen := 0; seen < sessionsScanned; {
		page, err := s.Store.Sessions(ctx, after, 1000)
		if err != nil || len(page) == 0 {
			return found, err
		}
		for _, one := range page {
			if after = one.ID; one.AppKey == key {
				if found = append(found, one); len(found) == mostSessions {
					return found, nil
				}
			}
		}
		seen += len(page)
	}
	return found, nil
}

// changeApp does what the form of an app's page says.
func (s *Server) changeApp(v *visit) (any, error) {
	ctx := v.Context()
	key := v.PathValue("key")
	path := "/v1/apps/" + escape(key)
	form := v.form()
	var entered map[string]any
	back, notice := "/apps/"+escape(key), "Saved."
	var err error
	switch form.Get("do") {
	case "save":
		if err = s.manage(ctx, http.MethodGet, path, nil, &entered); err == nil {
			if err = fill(v.language, appFields, entered, form); err == nil {
				err = s.manage(ctx, http.MethodPut, path, entered, nil)
			}
		}
	case "rotate":
		notice = "The secret was replaced."
		err = s.manage(ctx, http.MethodPost, path+"/rotate", rotation(form), nil)
	case "delete":
		back, notice = "/apps", "Deleted."
		err = s.manage(ctx, http.MethodDelete, path, nil, nil)
	case "add-session":
		token := form.Get("token")
		if token == "" {
			err = wrong(v.say("Give the token."))
			break
		}
		err = s.manage(ctx, http.MethodPut, "/v1/sessions/"+escape(token), leaveEmpty(map[string]any{"app_key": key, "seller": form.Get("seller"), "expires_at": form.Get("expires_at")}), nil)
	case "drop-session":
		notice = "Deleted."
		err = s.dropSession(ctx, key, form.Get("id"))
	default:
		err = wrong(v.say("The form cannot be read."))
	}
	if err := v.failed(err); err != nil {
		return nil, err
	}
	if v.problem != nil {
		return s.showApp(v, entered)
	}
	return v.done(back, notice)
}

// rotation is what replaces a secret.
func rotation(form url.Values) map[string]any {
	return leaveEmpty(map[string]any{"secret": form.Get("secret"), "overlap": form.Get("overlap")})
}

// leaveEmpty leaves out what is empty.
func leaveEmpty(object map[string]any) map[string]any {
	for name, value := range object {
		if value == "" {
			delete(object, name)
		}
	}
	return object
}

// dropSession deletes a session of an app by its row: its token is no page's to know.
func (s *Server) dropSession(ctx context.Context, key, id string) error {
	row, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return order.ErrNotFound
	}
	found, err := s.session(ctx, key, row)
	if err != nil {
		return err
	}
	return s.manage(ctx, http.MethodDelete, "/v1/sessions/"+escape(string(found.Token)), nil, nil)
}

// session finds a session of an app by its row, or fails with order.ErrNotFound.
func (s *Server) session(ctx context.Context, key string, row int64) (*order.Session, error) {
	page, err := s.Store.Sessions(ctx, row-1, 1)
	if err != nil {
		return nil, err
	}
	if len(page) == 0 || page[0].ID != row || page[0].AppKey != key {
		return nil, order.ErrNotFound
	}
	return page[0], nil
}
