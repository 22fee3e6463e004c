package order

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ordergate/ordergate/contract"
)

// Injection is a fault on demand: what calls that match get instead of, or
// besides, their answer. A call matches once it has passed the checks of its
// protocol.
type Injection struct {
	Name  string
	API   string // method; empty: any
	App   string // key; empty: any
	Order string // order number; empty: any

	// At most one of these replaces the answer; the call is then not carried out.
	Answer string         // code or sub code of a row, as contract.API.Answer reads it
	Result *contract.Node // content of a normal answer
	Body   *string        // the answer's body as it stands
	Status int            // HTTP status

	Delay          time.Duration // before the answer is sent
	DropAfterApply bool          // the call is carried out, and the connection closed without an answer
	Times          int           // how many calls; 0: all
	Percent        int           // of the calls that match; 0: all

	Hits int // calls so far
}

// MaxDelay is the longest delay: a server gives up an answer soon after.
const MaxDelay = 50 * time.Second

// Replaces reports whether the call is not carried out.
func (i *Injection) Replaces() bool {
	return i.Answer != "" || i.Result != nil || i.Body != nil || i.Status != 0
}

// Check returns what is wrong with an injection.
func (i *Injection) Check() error {
	api, known := contract.ByMethod(i.API)
	apis := contract.All
	if i.API != "" {
		apis = []*contract.API{api}
	}
	replacements := 0
	for _, given := range []bool{i.Answer != "", i.Result != nil, i.Body != nil, i.Status != 0} {
		if given {
			replacements++
		}
	}
	switch {
	case i.API != "" && !known:
		return Mistakes{{"match.api", "no API of that name"}}
	case replacements > 1:
		return Mistakes{{"answer", "give one of answer, result, body and status"}}
	case replacements == 1 && i.DropAfterApply:
		return Mistakes{{"drop_after_apply", "the call is not carried out when its answer is replaced"}}
	case replacements == 0 && !i.DropAfterApply && i.Delay == 0:
		return Mistakes{{"answer", "give answer, result, body, status, delay or drop_after_apply"}}
	case i.Answer != "" && !slices.ContainsFunc(apis, i.answers):
		return Mistakes{{"answer", "no such code; the catalogues stand in docs/reference"}}
	case i.Result != nil && !slices.ContainsFunc(apis, i.holds):
		return Mistakes{{"result", "has none of the answer's fields"}}
	case i.Status != 0 && (i.Status < 200 || i.Status > 599):
		return Mistakes{{"status", "is an HTTP status from 200 to 599"}}
	case i.Delay < 0 || i.Delay > MaxDelay:
		return Mistakes{{"delay", "is at most " + MaxDelay.String()}}
	case i.Times < 0:
		return Mistakes{{"times", "must not be negative"}}
	case i.Percent < 0 || i.Percent > 100:
		return Mistakes{{"percent", "is from 1 to 100"}}
	}
	return nil
}

// answers reports whether an API knows the answer.
func (i *Injection) answers(api *contract.API) bool {
	_, found := api.Answer(i.Answer)
	return found
}

// holds reports whether the result has fields of an API's answer.
func (i *Injection) holds(api *contract.API) bool {
	_, found := api.DecodeReply(i.Result)
	return found
}

func (i *Injection) matches(api *contract.API, app, number string) bool {
	return (i.API == "" || i.API == api.Method) && (i.App == "" || i.App == app) && (i.Order == "" || i.Order == number) &&
		(i.Times == 0 || i.Hits < i.Times) && (i.Answer == "" || i.answers(api)) && (i.Result == nil || i.holds(api))
}

// Injections are the faults of a sandbox. They live in memory. A nil one has
// none.
type Injections struct {
	mu     sync.Mutex
	byName map[string]*Injection
}

// Put declares an injection; its count starts again. It reports whether there
// was one of its name.
func (s *Injections) Put(i Injection) (existed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = map[string]*Injection{}
	}
	_, existed = s.byName[i.Name]
	s.byName[i.Name] = &i
	return existed
}

// Get returns an injection, or ErrNotFound.
func (s *Injections) Get(name string) (Injection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.byName[name]
	if !ok {
		return Injection{}, ErrNotFound
	}
	return *i, nil
}

// Delete removes an injection, or returns ErrNotFound.
func (s *Injections) Delete(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byName[name]; !ok {
		return ErrNotFound
	}
	delete(s.byName, name)
	return nil
}

// List returns the injections by their names.
func (s *Injections) List() []Injection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Injection
	for _, i := range s.sorted() {
		all = append(all, *i)
	}
	return all
}

func (s *Injections) sorted() []*Injection {
	all := make([]*Injection, 0, len(s.byName))
	for _, i := range s.byName {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b *Injection) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Pick takes the first injection, by name, that a call of an app about an order
// gets; nil when it gets none.
func (s *Injections) Pick(api *contract.API, app, number string) *Injection {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.sorted() {
		if i.matches(api, app, number) && (i.Percent == 0 || rand.IntN(100) < i.Percent) {
			i.Hits++
			picked := *i
			return &picked
		}
	}
	return nil
}
