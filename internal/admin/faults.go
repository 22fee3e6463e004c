package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// Fault is a fault on demand.
type Fault struct {
	Name           string         `json:"name,omitempty" yaml:"name"`
	Match          FaultMatch     `json:"match,omitzero" yaml:"match" doc:"Which calls get it, of those that pass the checks of their protocol; absent: all"`
	Answer         string         `json:"answer,omitempty" yaml:"answer" doc:"Refuses the call: a code or sub_code of its catalogue; where several rows have it, code, blank, text or sub_code"`
	Result         map[string]any `json:"result,omitempty" yaml:"result" doc:"Answers with these fields"`
	Body           *string        `json:"body,omitempty" yaml:"body" doc:"Answers with this text as it stands"`
	Status         int            `json:"status,omitempty" yaml:"status" doc:"Answers with this HTTP status"`
	Delay          string         `json:"delay,omitempty" yaml:"delay" doc:"Duration such as 3s that the answer is held back, at most 50s"`
	DropAfterApply bool           `json:"drop_after_apply,omitempty" yaml:"drop_after_apply" doc:"Carries the call out and closes the connection without an answer"`
	Times          *int           `json:"times,omitempty" yaml:"times" minimum:"1" doc:"How many calls get it; absent: all"`
	Percent        *int           `json:"percent,omitempty" yaml:"percent" minimum:"1" maximum:"100" doc:"How many in a hundred get it; absent: all"`
	Hits           int            `json:"hits,omitempty" yaml:"hits" doc:"How many got it so far; ignored on input"`
}

// FaultMatch selects calls. What is absent matches all.
type FaultMatch struct {
	API   string `json:"api,omitempty" yaml:"api" doc:"Method"`
	App   string `json:"app,omitempty" yaml:"app" doc:"Its key"`
	Order string `json:"order,omitempty" yaml:"order" doc:"Order number"`
}

// FaultPath names a fault.
type FaultPath struct {
	Name string `path:"name"`
}

type faultOutput struct {
	Status int
	Body   Fault
}

func (s *Server) registerFaults(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "list-faults", Method: http.MethodGet, Path: "/v1/faults", Summary: "List faults on demand (sandbox only)"},
		func(context.Context, *struct{}) (*listOutput[Fault], error) {
			if err := s.sandbox(); err != nil {
				return nil, err
			}
			return page(s.Injections.List(), false, nil, showFault), nil
		})
	huma.Register(api, huma.Operation{OperationID: "get-fault", Method: http.MethodGet, Path: "/v1/faults/{name}", Summary: "Show a fault on demand"},
		func(_ context.Context, in *FaultPath) (*faultOutput, error) {
			return s.showFault(in.Name, http.StatusOK)
		})
	huma.Register(api, huma.Operation{
		OperationID: "put-fault", Method: http.MethodPut, Path: "/v1/faults/{name}", Summary: "Answer calls that match with a chosen fault; its count starts again",
		RequestBody: body[Fault](api, "application/json"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, func(_ context.Context, in *struct {
		FaultPath
		RawBody []byte
	}) (*faultOutput, error) {
		if err := s.sandbox(); err != nil {
			return nil, err
		}
		injection, err := ParseFault(in.Name, in.RawBody)
		if _, wrong := errors.AsType[order.Mistakes](err); wrong {
			return nil, s.failed(err)
		}
		if err != nil {
			return nil, unread(err)
		}
		return s.showFault(in.Name, created(s.Injections.Put(injection)))
	})
	huma.Register(api, huma.Operation{OperationID: "delete-fault", Method: http.MethodDelete, Path: "/v1/faults/{name}", Summary: "Remove a fault on demand", DefaultStatus: http.StatusNoContent},
		func(_ context.Context, in *FaultPath) (*none, error) {
			if err := s.sandbox(); err != nil {
				return nil, err
			}
			if err := s.Injections.Delete(in.Name); err != nil {
				return nil, s.failed(err)
			}
			return nil, nil
		})
}

// sandbox refuses where faults are not injected.
func (s *Server) sandbox() error {
	if s.Injections == nil {
		return problem(http.StatusNotFound, "faults are injected in a sandbox only: start serve with --sandbox or --demo")
	}
	return nil
}

func (s *Server) showFault(name string, status int) (*faultOutput, error) {
	if err := s.sandbox(); err != nil {
		return nil, err
	}
	injection, err := s.Injections.Get(name)
	if err != nil {
		return nil, s.failed(err)
	}
	return &faultOutput{Status: status, Body: showFault(injection)}, nil
}

// ParseFault reads and checks a fault. The error is [order.Mistakes] when it
// parses and is wrong.
func ParseFault(name string, data []byte) (order.Injection, error) {
	var f Fault
	if err := apply.ParseItem(data, &f); err != nil {
		return order.Injection{}, err
	}
	if f.Name != "" && f.Name != name {
		return order.Injection{}, order.Mistakes{{Location: "name", Text: "differs from the path; leave it out"}}
	}
	i := order.Injection{
		Name: name, API: f.Match.API, App: f.Match.App, Order: f.Match.Order,
		Answer: f.Answer, Body: f.Body, Status: f.Status, DropAfterApply: f.DropAfterApply,
	}
	if !apply.IsName(name) {
		return i, order.Mistakes{{Location: "name", Text: "is of letters, digits, dots, dashes and underscores, at most 100"}}
	}
	for _, count := range []struct {
		location string
		given    *int
		field    *int
	}{{"times", f.Times, &i.Times}, {"percent", f.Percent, &i.Percent}} {
		if count.given == nil {
			continue
		}
		if *count.field = *count.given; *count.given == 0 {
			return i, order.Mistakes{{Location: count.location, Text: "is at least 1; leave it out for all"}}
		}
	}
	if f.Delay != "" {
		var err error
		if i.Delay, err = time.ParseDuration(f.Delay); err != nil {
			return i, order.Mistakes{{Location: "delay", Text: "write a duration such as 3s"}}
		}
	}
	if f.Result != nil {
		text, err := json.Marshal(f.Result)
		if err != nil {
			return i, err
		}
		if i.Result, err = contract.ParseJSON(string(text)); err != nil {
			return i, err
		}
	}
	return i, i.Check()
}

func showFault(i order.Injection) Fault {
	f := Fault{
		Name: i.Name, Match: FaultMatch{API: i.API, App: i.App, Order: i.Order}, Answer: i.Answer, Body: i.Body, Status: i.Status,
		DropAfterApply: i.DropAfterApply, Hits: i.Hits,
	}
	if i.Times > 0 {
		f.Times = &i.Times
	}
	if i.Percent > 0 {
		f.Percent = &i.Percent
	}
	if i.Delay > 0 {
		f.Delay = i.Delay.String()
	}
	if i.Result != nil {
		_ = json.Unmarshal([]byte(i.Result.Text), &f.Result) // it was an object
	}
	return f
}
