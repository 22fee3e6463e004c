package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// AppPath names an app.
type AppPath struct {
	Key string `path:"key" doc:"app_key"`
}

type appOutput struct {
	Status int
	Body   apply.App
}

// Rotation replaces the secret of an app or a destination.
type Rotation struct {
	Secret  contract.Secret `json:"secret" yaml:"secret" doc:"The new secret"`
	Overlap string          `json:"overlap,omitempty" yaml:"overlap" doc:"How long the old one is accepted, such as 24h; absent: not at all"`
}

func (s *Server) registerApps(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "list-apps", Method: http.MethodGet, Path: "/v1/apps", Summary: "List apps"},
		func(ctx context.Context, in *TextPage) (*listOutput[apply.App], error) {
			apps, err := s.Store.Apps(ctx, in.After, in.Limit+1)
			if err != nil {
				return nil, s.failed(err)
			}
			apps, more := atMost(apps, in.Limit)
			return page(apps, more, func(a *order.App) string { return a.Key }, apply.AppOf), nil
		})
	huma.Register(api, huma.Operation{OperationID: "get-app", Method: http.MethodGet, Path: "/v1/apps/{key}", Summary: "Show an app"},
		func(ctx context.Context, in *AppPath) (*appOutput, error) {
			return s.showApp(ctx, in.Key, http.StatusOK)
		})
	huma.Register(api, huma.Operation{
		OperationID: "put-app", Method: http.MethodPut, Path: "/v1/apps/{key}", Summary: "Declare an app",
		RequestBody: body[apply.App](api, "application/json"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, func(ctx context.Context, in *struct {
		AppPath
		RawBody []byte
	}) (*appOutput, error) {
		var app apply.App
		if err := apply.ParseItem(in.RawBody, &app); err != nil {
			return nil, unread(err)
		}
		if app.Key != "" && app.Key != in.Key {
			return nil, problem(http.StatusUnprocessableEntity, "key differs from the path", Detail{"body.key", "leave it out, or make it the path's"})
		}
		app.Key = in.Key
		_, err := s.Store.App(ctx, in.Key)
		existed, err := s.exists(err)
		if err != nil {
			return nil, err
		}
		if err := s.declare(ctx, &apply.Document{Apps: []apply.App{app}}); err != nil {
			return nil, err
		}
		return s.showApp(ctx, in.Key, created(existed))
	})
	huma.Register(api, huma.Operation{OperationID: "delete-app", Method: http.MethodDelete, Path: "/v1/apps/{key}", Summary: "Delete an app with its sessions", DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *AppPath) (*none, error) {
			if _, err := s.Store.App(ctx, in.Key); err != nil {
				return nil, s.failed(err)
			}
			return nil, s.commit(ctx, order.DropApp(in.Key))
		})
	huma.Register(api, huma.Operation{
		OperationID: "rotate-app", Method: http.MethodPost, Path: "/v1/apps/{key}/rotate", Summary: "Replace an app's secret",
		RequestBody: body[Rotation](api, "application/json"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, func(ctx context.Context, in *struct {
		AppPath
		RawBody []byte
	}) (*appOutput, error) {
		if err := s.rotateApp(ctx, in.Key, in.RawBody); err != nil {
			return nil, err
		}
		return s.showApp(ctx, in.Key, http.StatusOK)
	})
}

func (s *Server) showApp(ctx context.Context, key string, status int) (*appOutput, error) {
	app, err := s.Store.App(ctx, key)
	if err != nil {
		return nil, s.failed(err)
	}
	return &appOutput{Status: status, Body: apply.AppOf(app)}, nil
}

func (s *Server) rotateApp(ctx context.Context, key string, raw []byte) error {
	secret, overlap, err := readRotation(raw)
	if err != nil {
		return err
	}
	return s.commit(ctx, order.Rotate(key, secret, overlap))
}

// readRotation reads and checks what replaces a secret.
func readRotation(raw []byte) (secret contract.Secret, overlap time.Duration, err error) {
	var r Rotation
	if err := apply.ParseItem(raw, &r); err != nil {
		return "", 0, unread(err)
	}
	if r.Overlap != "" {
		overlap, err = time.ParseDuration(r.Overlap)
	}
	switch {
	case err != nil || overlap < 0:
		return "", 0, problem(http.StatusUnprocessableEntity, "nothing was changed", Detail{"body.overlap", "write a duration such as 24h"})
	case contract.Blank(string(r.Secret)) || r.Secret == contract.Masked:
		return "", 0, problem(http.StatusUnprocessableEntity, "nothing was changed", Detail{"body.secret", "is required"})
	}
	return r.Secret, overlap, nil
}
