package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// maxBody is the largest request body in bytes: an import of the most orders.
const maxBody = 64 << 20

// Server answers the management API.
type Server struct {
	Store order.Store
	Token contract.Secret // of every request, as Authorization: Bearer
	// Accepts says which tokens are, where nobody knows the one that is; nil: Token is.
	Accepts func(token string) bool
	Clock   func() time.Time
	Log     *slog.Logger
	Version string

	Injections *order.Injections // faults on demand; nil: this is no sandbox
	Courier    Courier
	Closing    <-chan struct{}         // closed when streams have to end; nil: never
	Refused    func() map[string]int64 // counts refused calls by code; nil: nobody counts
}

// Register adds the API's paths to mux.
func (s *Server) Register(mux *http.ServeMux) {
	wordErrors()
	api := humago.New(mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Ordergate management API", Version: s.Version},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		RejectUnknownQueryParameters: true,
		OpenAPIPath:                  "/v1/openapi",
		Formats:                      huma.DefaultFormats,
		DefaultFormat:                "application/json",
	})
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		if !s.authorized(ctx.Header("Authorization")) {
			_ = huma.WriteErr(api, ctx, http.StatusUnauthorized, "send the admin token as Authorization: Bearer TOKEN; serve printed where it is kept")
			return
		}
		next(ctx)
	})
	s.registerApps(api)
	s.registerSessions(api)
	s.registerOrders(api)
	s.registerEvents(api)
	s.registerWorkOrders(api)
	s.registerDestinations(api)
	s.registerReplay(api)
	s.registerDeliveries(api)
	s.registerStream(api)
	s.registerStats(api)
	s.registerLocks(api)
	s.registerApply(api)
	s.registerFaults(api)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(problem(http.StatusNotFound, "no such path, or not by this method; see /v1/openapi.json"))
	})
	describeUnions(api.OpenAPI().Components.Schemas.Map())
}

// describeUnions adds what Go types do not say: a topic may be its status
// alone, and a quantity a number.
func describeUnions(schemas map[string]*huma.Schema) {
	topic := *schemas["Topic"]
	*schemas["Topic"] = huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, &topic}}
	schemas["Line"].Properties["quantity"] = &huma.Schema{
		OneOf: []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString}}, Description: schemas["Line"].Properties["quantity"].Description,
	}
}

func (s *Server) authorized(header string) bool {
	token, ok := strings.CutPrefix(header, "Bearer ")
	if s.Accepts != nil {
		return ok && s.Accepts(token)
	}
	return ok && s.IsToken(token)
}

// IsToken reports whether a text is Token.
func (s *Server) IsToken(text string) bool {
	return s.Token != "" && subtle.ConstantTimeCompare([]byte(text), []byte(s.Token)) == 1
}

// Problem is an error answer, RFC 9457.
type Problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Code   int      `json:"status"`
	Detail string   `json:"detail"`
	Errors []Detail `json:"errors,omitempty"`
}

// Detail is what is wrong with one field. It does not repeat the value, which
// may be a secret.
type Detail struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Code }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problem(code int, detail string, errs ...Detail) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(code), Code: code, Detail: detail, Errors: errs}
}

// wordErrors makes the library's own errors problems of ours.
var wordErrors = sync.OnceFunc(func() {
	huma.NewError = func(code int, detail string, errs ...error) huma.StatusError {
		p := problem(code, detail)
		if code >= http.StatusInternalServerError {
			return p // what broke inside is not for the caller
		}
		for _, err := range errs {
			var d *huma.ErrorDetail
			if errors.As(err, &d) {
				p.Errors = append(p.Errors, Detail{d.Location, d.Message})
			} else if err != nil {
				p.Errors = append(p.Errors, Detail{Message: err.Error()})
			}
		}
		return p
	}
})

// failed words an error of reading, checking or storing.
func (s *Server) failed(err error) error {
	if mistakes, ok := errors.AsType[order.Mistakes](err); ok {
		p := problem(http.StatusUnprocessableEntity, "the document is wrong; nothing was stored")
		for _, m := range mistakes {
			p.Errors = append(p.Errors, Detail{m.Location, m.Text})
		}
		return p
	}
	if conflict, ok := errors.AsType[*order.Conflict](err); ok {
		return problem(http.StatusConflict, conflict.Text)
	}
	switch {
	case errors.Is(err, order.ErrNotFound):
		return problem(http.StatusNotFound, "there is none of that key")
	case errors.Is(err, order.ErrBusy), errors.Is(err, order.ErrNotStored):
		return problem(http.StatusServiceUnavailable, "not stored; try again")
	}
	s.Log.Error("management call failed", "error", err)
	return problem(http.StatusServiceUnavailable, "the database did not answer; the log says why")
}

// unread words a body that does not parse.
func unread(err error) error {
	return problem(http.StatusUnprocessableEntity, "the body does not parse; nothing was stored", Detail{"body", err.Error()})
}

// commit stores what one task decides.
func (s *Server) commit(ctx context.Context, t *order.Task) error {
	if err := s.Store.Commit(context.WithoutCancel(ctx), t); err != nil {
		return s.failed(err)
	}
	if t.Err != nil {
		return s.failed(t.Err)
	}
	return nil
}

// declare checks a document and stores it.
func (s *Server) declare(ctx context.Context, d *apply.Document) error {
	if err := d.Store(context.WithoutCancel(ctx), s.Store); err != nil {
		return s.failed(err)
	}
	return nil
}

// exists reads the outcome of a look-up.
func (s *Server) exists(err error) (bool, error) {
	if err == nil || errors.Is(err, order.ErrNotFound) {
		return err == nil, nil
	}
	return false, s.failed(err)
}

// body describes a request body that is parsed here, not by the library.
func body[T any](api huma.API, types ...string) *huma.RequestBody {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
	b := &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
	for _, t := range types {
		b.Content[t] = &huma.MediaType{Schema: schema}
	}
	return b
}

// List is a page of a list.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Pass as after to get the next page; absent on the last"`
}

// listOutput is a page as an answer.
type listOutput[T any] struct{ Body List[T] }

// page shows a part of a list; more says that it goes on. The cursor is an
// item's place in the list.
func page[S, T any](items []S, more bool, cursor func(S) string, show func(S) T) *listOutput[T] {
	out := &listOutput[T]{}
	if more && len(items) > 0 {
		out.Body.Next = cursor(items[len(items)-1])
	}
	out.Body.Items = make([]T, 0, len(items))
	for _, item := range items {
		out.Body.Items = append(out.Body.Items, show(item))
	}
	return out
}

// TextPage is where a page of a list sorted by a text starts.
type TextPage struct {
	After string `query:"after" doc:"next of the page before"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

// NumberPage is where a page of a list sorted by a number starts.
type NumberPage struct {
	After int64 `query:"after" minimum:"0" doc:"next of the page before"`
	Limit int   `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

// given knows which query parameters a request has: an empty one may be meant.
type given struct{ names map[string][]string }

// Resolve implements huma.Resolver.
func (g *given) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	g.names = u.Query()
	return nil
}

func (g *given) has(name string) bool {
	_, ok := g.names[name]
	return ok
}

// namesakes is how many orders or work orders of one number are looked at.
const namesakes = 100

// sole returns the only thing of a name that was found.
func sole[T any](s *Server, found []T, err error, none, several string) (one T, _ error) {
	switch {
	case err != nil:
		return one, s.failed(err)
	case len(found) == 0:
		return one, problem(http.StatusNotFound, none)
	case len(found) > 1:
		return one, problem(http.StatusConflict, several)
	}
	return found[0], nil
}

// atMost cuts what a store returned when asked for one item more than a page
// has, so that the last page is known to be the last.
func atMost[S any](items []S, limit int) (page []S, more bool) {
	if len(items) > limit {
		return items[:limit], true
	}
	return items, false
}

// created is the status of a PUT.
func created(existed bool) int {
	if existed {
		return http.StatusOK
	}
	return http.StatusCreated
}

// none is an answer without a body.
type none struct{}
