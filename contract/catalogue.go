package contract

// All lists every API. A new one is added here and to order.Rules.
var All = []*API{
	EventProduce,
	EventsProduce,
	EventEmit,
	LeaguerStatus,
	OrderIntercept,
	InterceptCallback,
	SystimeGet,
}

var byMethod = func() map[string]*API {
	m := make(map[string]*API, len(All))
	for _, a := range All {
		m[a.Method] = a
	}
	return m
}()

// ByMethod finds an API by its method name.
func ByMethod(method string) (*API, bool) {
	a, ok := byMethod[method]
	return a, ok
}

// FindTOP returns the row that an answer of TOP is an instance of, and nil when
// no table has it. A refusal is known by its sub code up to an open part behind
// the colon, a fault by code and sub code, or by its code when no other has that,
// a failure behind the platform by its sub code. Texts are never compared: the
// platform itself prints 27 in two ways.
func FindTOP(a *API, code, subCode string) error {
	if row := a.refusalRow(subCode); row != nil {
		return row
	}
	var found []Fault
	for f := BadEncoding; f < faultCount; f++ {
		row := &TOPFaults[f]
		if row.Code == "" || row.Code != code {
			continue
		}
		if row.SubCode == subCode {
			return f
		}
		found = append(found, f)
	}
	if row := findBackend(subCode); row != nil {
		return row
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}
