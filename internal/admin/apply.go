package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/internal/apply"
)

// Applied counts what was stored.
type Applied struct {
	Apps     int `json:"apps"`
	Sessions int `json:"sessions"`
	Orders   int `json:"orders"`

	Destinations int `json:"destinations"`
}

func (s *Server) registerApply(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "apply", Method: http.MethodPost, Path: "/v1/apply", Summary: "Declare apps, sessions, destinations and orders, all or nothing",
		RequestBody: body[apply.Document](api, "application/yaml", "application/json"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, func(ctx context.Context, in *struct{ RawBody []byte }) (*struct{ Body Applied }, error) {
		d, err := apply.Parse(in.RawBody)
		if err != nil {
			return nil, unread(err)
		}
		if err := s.declare(ctx, d); err != nil {
			return nil, err
		}
		return &struct{ Body Applied }{Applied{Apps: len(d.Apps), Sessions: len(d.Sessions), Destinations: len(d.Destinations), Orders: len(d.Orders)}}, nil
	})
}
