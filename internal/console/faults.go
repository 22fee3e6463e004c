package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// faultFields are the fields of a fault's form, as the management API names them.
var faultFields = []field{
	{Name: "name", Kind: textField, Label: "Name", Required: true, Help: "Letters, digits, dots, dashes and underscores"},
	{Name: "match.api", Kind: choiceField, Label: "API", Choices: append([]string{""}, methods()...), Absent: "all"},
	{Name: "match.app", Kind: textField, Label: "App", Absent: "all"},
	{Name: "match.order", Kind: textField, Label: "Order number", Absent: "all"},
	{Name: "answer", Kind: textField, Label: "Answer", Help: "A code or sub_code of the API's page"},
	{Name: "status", Kind: numberField, Label: "HTTP status"},
	{Name: "delay", Kind: textField, Label: "Delay", Help: "Such as 3s, at most 50s"},
	{Name: "drop_after_apply", Kind: flagField, Label: "Carry it out, and close the connection without an answer"},
	{Name: "times", Kind: numberField, Label: "How many calls", Absent: "all"},
	{Name: "percent", Kind: numberField, Label: "Of a hundred", Absent: "all"},
}

func methods() (names []string) {
	for _, api := range contract.All {
		names = append(names, api.Method)
	}
	return names
}

// faultList is the faults on demand.
type faultList struct {
	Faults []order.Injection
	Inputs []input
	Codes  []string // that an answer may be
}

func (s *Server) faults(v *visit) (any, error) { return s.listFaults(v, nil) }

func (s *Server) listFaults(v *visit, entered map[string]any) (any, error) {
	if s.Injections == nil {
		return nil, order.ErrNotFound
	}
	list := faultList{Faults: s.Injections.List(), Inputs: inputs(faultFields, entered, v.problem)}
	for _, api := range contract.All {
		for _, r := range api.Refusals {
			list.Codes = append(list.Codes, r.Code)
		}
		for _, row := range faultsOf(api) {
			if row.SubCode != "" {
				list.Codes = append(list.Codes, row.SubCode)
			} else {
				list.Codes = append(list.Codes, row.Code)
			}
		}
	}
	slices.Sort(list.Codes)
	list.Codes = slices.Compact(list.Codes)
	return list, nil
}

func (s *Server) changeFaults(v *visit) (any, error) {
	if s.Injections == nil {
		return nil, order.ErrNotFound
	}
	form := v.form()
	name := strings.TrimSpace(form.Get("name"))
	path := "/v1/faults/" + escape(name)
	var err error
	notice := "Saved."
	entered := map[string]any{}
	switch {
	case name == "":
		err = wrong(v.say("Give a name."))
	case form.Get("do") == "delete":
		notice = "Deleted."
		err = s.manage(v.Context(), http.MethodDelete, path, nil, nil)
	default:
		if err = fill(v.language, faultFields, entered, form); err == nil {
			err = s.manage(v.Context(), http.MethodPut, path, entered, nil)
		}
	}
	if err := v.failed(err); err != nil {
		return nil, err
	}
	if v.problem != nil {
		return s.listFaults(v, entered)
	}
	return v.done("/faults", notice)
}
