package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/ordergate/ordergate/internal/order"
)

func kindNames() (names []string) {
	for _, kind := range order.DestinationKinds {
		names = append(names, string(kind))
	}
	return names
}

// destinationFields are the fields of a destination's form, as the management API names
// them.
var destinationFields = []field{
	{Name: "kind", Kind: choiceField, Label: "Kind", Choices: kindNames(), Required: true, Help: "webhook: signed CloudEvents; top, suning: the same call to the platform; qimen: the reverse call to an ERP; nats: a stream"},
	{Name: "url", Kind: textField, Label: "URL", Required: true},
	{Name: "app_key", Kind: textField, Label: "App key", Help: "top, suning, qimen: the merchant's app; nats: the user"},
	{Name: "secret", Kind: secretField, Label: "Secret", Help: "webhook: whsec_ and Base64, as openssl rand -base64 24 makes it; left empty, the present one stays"},
	{Name: "session", Kind: secretField, Label: "Session", Help: "top, suning: the access token; left empty, the present one stays"},
	{Name: "apis", Kind: listField, Label: "APIs", Help: "Methods and names of own events, one a line; - alone: none", Absent: "all that the kind can carry"},
	{Name: "platforms", Kind: listField, Label: "Platforms", Help: "One a line; - alone: none", Absent: "all"},
	{Name: "sellers", Kind: listField, Label: "Sellers", Help: "One a line; - alone: none", Absent: "all"},
	{Name: "enabled", Kind: flagField, Label: "Enabled", On: true, Help: "Off: nothing is sent, and what is owed stays owed"},
	{Name: "ordered", Kind: flagField, Label: "In order", On: true, Help: "Later events of an order wait for the earlier ones"},
	{Name: "on_dead", Kind: choiceField, Label: "When one is dead", Choices: []string{string(order.OnDeadContinue), string(order.OnDeadHold)}, Help: "continue: the order's later events go on; hold: they wait for a person"},
	{Name: "wait", Kind: flagField, Label: "Its answer is the caller's answer"},
	{Name: "keep_success", Kind: flagField, Label: "Keep attempts that succeeded"},
	{Name: "timeout", Kind: textField, Label: "Timeout", Help: "Such as 8s, at most 25s", Absent: "10s"},
	{Name: "max_in_flight", Kind: numberField, Label: "At a time", Absent: "64"},
}

// newDestinationFields are those that only a new destination has.
var newDestinationFields = []field{
	{Name: "name", Kind: textField, Label: "Name", Required: true, Help: "Letters, digits, dots, dashes and underscores"},
	{Name: "from", Kind: textField, Label: "Begins at", Help: "earliest, a place in the log, or a time", Absent: "with what comes from now on"},
}

// destinationList is how all destinations are doing.
type destinationList struct {
	Destinations []destinationHealth
	Inputs       []input
}

func (s *Server) destinations(v *visit) (any, error) { return s.listDestinations(v, nil) }

func (s *Server) listDestinations(v *visit, entered map[string]any) (any, error) {
	health, err := s.health(v.Context())
	return destinationList{Destinations: health, Inputs: inputs(slices.Concat(newDestinationFields, destinationFields), entered, v.problem)}, err
}

func (s *Server) addDestination(v *visit) (any, error) {
	name, entered, err := s.add(v, slices.Concat(newDestinationFields, destinationFields), "name", "/v1/destinations/", func(name string) error {
		_, err := order.FindDestination(v.Context(), s.Store, name)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case v.problem != nil:
		return s.listDestinations(v, entered)
	}
	return v.done("/destinations/"+escape(name), "Saved.")
}

// destinationPage is one destination.
type destinationPage struct {
	destinationHealth
	Inputs   []input
	Trial    *trial
	Problems []order.Delivery
}

// trial is what came of trying a destination, as the management API says it.
type trial struct {
	OK        bool    `json:"ok"`
	Status    int     `json:"status"`
	LatencyMS float64 `json:"latency_ms"`
	Reason    string  `json:"reason"`
	Body      string  `json:"body"`
}

func (s *Server) destination(v *visit) (any, error) { return s.showDestination(v, nil, nil) }

func (s *Server) showDestination(v *visit, entered map[string]any, tried *trial) (any, error) {
	ctx := v.Context()
	name := v.PathValue("name")
	all, err := s.health(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(d destinationHealth) bool { return d.Name == name })
	if i < 0 {
		return nil, order.ErrNotFound
	}
	if entered == nil {
		if err := s.manage(ctx, http.MethodGet, "/v1/destinations/"+escape(name), nil, &entered); err != nil {
			return nil, err
		}
	}
	p := destinationPage{destinationHealth: all[i], Inputs: inputs(destinationFields, entered, v.problem), Trial: tried}
	p.Problems, _, err = s.lister().List(ctx, order.DeliveryQuery{Destination: name, States: order.Exceptions, Limit: 20})
	return p, err
}

// changeDestination does what the form of a destination's page says.
func (s *Server) changeDestination(v *visit) (any, error) {
	name := v.PathValue("name")
	form := v.form()
	if form.Get("do") == "test" {
		var tried trial
		if err := v.failed(s.manage(v.Context(), http.MethodPost, "/v1/destinations/"+escape(name)+"/test", nil, &tried)); err != nil {
			return nil, err
		}
		if v.problem != nil {
			return s.showDestination(v, nil, nil)
		}
		return s.showDestination(v, nil, &tried)
	}
	entered, notice, err := s.doToDestination(v.Context(), v, name, form)
	if err := v.failed(err); err != nil {
		return nil, err
	}
	if v.problem != nil {
		return s.showDestination(v, entered, nil)
	}
	if form.Get("do") == "delete" {
		return v.done("/destinations", notice)
	}
	return v.done("/destinations/"+escape(name), notice)
}

func (s *Server) doToDestination(ctx context.Context, v *visit, name string, form url.Values) (entered map[string]any, notice string, err error) {
	path := "/v1/destinations/" + escape(name)
	switch form.Get("do") {
	case "save":
		if err = s.manage(ctx, http.MethodGet, path, nil, &entered); err == nil {
			if err = fill(v.language, destinationFields, entered, form); err == nil {
				err = s.manage(ctx, http.MethodPut, path, entered, nil)
			}
		}
		return entered, "Saved.", err
	case "rotate":
		return nil, "The secret was replaced.", s.manage(ctx, http.MethodPost, path+"/rotate", rotation(form), nil)
	case "replay":
		part := leaveEmpty(map[string]any{"from_time": form.Get("from_time")})
		for _, at := range []string{"from_seq", "to_seq"} {
			if form.Get(at) == "" {
				continue
			}
			if part[at], err = strconv.ParseInt(form.Get(at), 10, 64); err != nil {
				return nil, "", wrong(v.say("A place in the log is a number."))
			}
		}
		return nil, "The replay has begun.", s.manage(ctx, http.MethodPost, path+"/replay", part, nil)
	case "retry":
		return nil, "Tried again.", s.manage(ctx, http.MethodPost, "/v1/deliveries/retry", map[string]any{"destination": name}, nil)
	case "delete":
		return nil, "Deleted.", s.manage(ctx, http.MethodDelete, path, nil, nil)
	}
	return nil, "", wrong(v.say("The form cannot be read."))
}
