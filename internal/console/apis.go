package console

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/wire"
)

// apis lists the contracts.
func (s *Server) apis(*visit) (any, error) { return contract.All, nil }

// apiPage is one contract, with a form to try it.
type apiPage struct {
	*contract.API
	Faults   []faultRow
	Warnings []order.Warning
	Fields   []tryField
	Apps     []choice
	Sessions []choice
	Targets  []choice
	Chosen   tried
	Digests  []wire.Digest
	Result   *tryResult
}

// faultRow is a row of a protocol's own table.
type faultRow struct {
	Code, Text, SubCode, When string
	Advice                    contract.Advice
}

// choice is one of several.
type choice struct{ Value, Text string }

// tried is what the form says besides the parameters.
type tried struct {
	App, Session, Target, Format string
	Digest                       wire.Digest
}

// tryField is a parameter in the form: members of an object stand apart.
type tryField struct {
	contract.Field
	Input string // its name in the form
	Value string
	Long  bool
}

// tryFields lists the parameters of a form. What was entered for secret ones is not shown
// again.
func tryFields(api *contract.API, entered func(input string) (string, bool)) (fields []tryField) {
	add := func(f contract.Field, input, example string, long bool) {
		value, given := entered(input)
		if !given || f.Secret {
			value = example
		}
		fields = append(fields, tryField{f, input, value, long})
	}
	for _, f := range api.Request {
		switch {
		case f.Fields == nil:
			add(f, "p."+f.Name, f.Example, f.Type == contract.JSON || f.Object)
		case f.Item != "":
			add(f, "p."+f.Name, exampleList(f), true)
		default:
			for _, member := range f.Fields {
				required := f.Required && member.Required
				member.Required, member.Name = required, f.Name+"."+member.Name
				add(member, "p."+member.Name, member.Example, false)
			}
		}
	}
	return fields
}

// exampleList is a list of one item, as the page has it.
func exampleList(f contract.Field) string {
	b := []byte("[{")
	for i, member := range f.Fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = contract.AppendJSONString(append(contract.AppendJSONString(b, member.Name), ':'), member.Example)
	}
	return string(append(b, "}]"...))
}

// tryParams reads the parameters of a form: blank ones are not sent.
func tryParams(api *contract.API, get func(input string) string) (params []contract.Param) {
	for _, f := range api.Request {
		value := get("p." + f.Name)
		if f.Fields != nil && f.Item == "" {
			object := map[string]string{}
			for _, member := range f.Fields {
				if text := get("p." + f.Name + "." + member.Name); !contract.Blank(text) {
					object[member.Name] = text
				}
			}
			if value = ""; len(object) > 0 {
				b, _ := json.Marshal(object) // texts always marshal
				value = string(b)
			}
		}
		if !contract.Blank(value) {
			params = append(params, contract.Param{Name: f.Name, Value: value})
		}
	}
	return params
}

func (s *Server) findAPI(v *visit) (*contract.API, error) {
	api, ok := contract.ByMethod(v.PathValue("method"))
	if !ok {
		return nil, order.ErrNotFound
	}
	return api, nil
}

func (s *Server) api(v *visit) (any, error) {
	api, err := s.findAPI(v)
	if err != nil {
		return nil, err
	}
	return s.apiPage(v, api, func(string) (string, bool) { return "", false })
}

func (s *Server) apiPage(v *visit, api *contract.API, entered func(string) (string, bool)) (*apiPage, error) {
	p := &apiPage{API: api, Digests: wire.Digests, Fields: tryFields(api, entered), Chosen: tried{Format: "json", Digest: wire.MD5}}
	if rule, ok := order.RuleOf(api); ok {
		p.Warnings = rule.Warnings
	}
	p.Faults = faultsOf(api)
	apps, err := s.Store.Apps(v.Context(), "", mostChoices)
	if err != nil {
		return nil, err
	}
	for _, a := range apps {
		if a.Protocol != api.Protocol {
			continue
		}
		c := choice{a.Key, strings.TrimSpace(a.Key + " " + a.Name)}
		if p.Apps = append(p.Apps, c); a.Seller != "" && api.Reverse {
			p.Targets = append(p.Targets, choice{a.Key, a.Key + " " + a.Seller})
		}
	}
	sessions, err := s.Store.Sessions(v.Context(), 0, mostChoices)
	if err != nil {
		return nil, err
	}
	for _, one := range sessions {
		if slices.ContainsFunc(p.Apps, func(c choice) bool { return c.Value == one.AppKey }) {
			p.Sessions = append(p.Sessions, choice{strconv.FormatInt(one.ID, 10), one.AppKey + " → " + cmp.Or(one.Seller, "–")})
		}
	}
	for name, field := range map[string]*string{"app": &p.Chosen.App, "session": &p.Chosen.Session, "target": &p.Chosen.Target, "format": &p.Chosen.Format, "digest": (*string)(&p.Chosen.Digest)} {
		if value, given := entered(name); given {
			*field = value
		}
	}
	if _, given := entered("app"); !given {
		p.Chosen = p.suggested()
	}
	return p, nil
}

// mostChoices is how many apps or sessions a form offers.
const mostChoices = 200

// suggested is what the form says before somebody has chosen: what can be sent at once.
func (p *apiPage) suggested() tried {
	c := p.Chosen
	if len(p.Targets) > 0 {
		c.Target = p.Targets[0].Value
	}
	for _, a := range p.Apps { // not the one that is called
		if a.Value != c.Target {
			c.App = a.Value
			break
		}
	}
	if p.API.Session == contract.Required {
		for _, one := range p.Sessions { // the seller of the example, if he has one
			key, seller, _ := strings.Cut(one.Text, " → ")
			meant := slices.ContainsFunc(p.Request, func(f contract.Field) bool { return f.Example == seller })
			if key == c.App && (c.Session == "" || meant) {
				c.Session = one.Value
			}
		}
	}
	return c
}

func faultsOf(api *contract.API) (rows []faultRow) {
	if api.Protocol == contract.Suning {
		for _, r := range contract.SuningFaults {
			rows = append(rows, faultRow{r.Code, r.Text, "", cmp.Or(r.When, r.Reserved), r.Advice})
		}
		return rows
	}
	for fault := range contract.TOPFaults {
		w := contract.TOPFaults[fault]
		if w.Code != "" {
			rows = append(rows, faultRow{w.Code, w.Text, w.SubCode, cmp.Or(w.When, w.Reserved), w.Advice})
		}
	}
	return rows
}
