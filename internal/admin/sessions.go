package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// SessionPath names a session.
type SessionPath struct {
	Token string `path:"token" doc:"The access token"`
}

type sessionOutput struct {
	Status int
	Body   apply.Session
}

func (s *Server) registerSessions(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "list-sessions", Method: http.MethodGet, Path: "/v1/sessions", Summary: "List sessions"},
		func(ctx context.Context, in *NumberPage) (*listOutput[apply.Session], error) {
			sessions, err := s.Store.Sessions(ctx, in.After, in.Limit+1)
			if err != nil {
				return nil, s.failed(err)
			}
			sessions, more := atMost(sessions, in.Limit)
			return page(sessions, more, func(t *order.Session) string { return strconv.FormatInt(t.ID, 10) }, apply.SessionOf), nil
		})
	huma.Register(api, huma.Operation{
		OperationID: "put-session", Method: http.MethodPut, Path: "/v1/sessions/{token}", Summary: "Declare a session",
		RequestBody: body[apply.Session](api, "application/json"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, func(ctx context.Context, in *struct {
		SessionPath
		RawBody []byte
	}) (*sessionOutput, error) {
		var session apply.Session
		if err := apply.ParseItem(in.RawBody, &session); err != nil {
			return nil, unread(err)
		}
		if session.Token != "" && session.Token != contract.Masked && string(session.Token) != in.Token {
			return nil, problem(http.StatusUnprocessableEntity, "token differs from the path", Detail{"body.token", "leave it out, or make it the path's"})
		}
		session.Token = contract.Secret(in.Token)
		_, err := s.Store.Session(ctx, session.Token)
		existed, err := s.exists(err)
		if err != nil {
			return nil, err
		}
		if err := s.declare(ctx, &apply.Document{Sessions: []apply.Session{session}}); err != nil {
			return nil, err
		}
		return &sessionOutput{Status: created(existed), Body: session}, nil
	})
	huma.Register(api, huma.Operation{OperationID: "delete-session", Method: http.MethodDelete, Path: "/v1/sessions/{token}", Summary: "Delete a session", DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *SessionPath) (*none, error) {
			token := contract.Secret(in.Token)
			if _, err := s.Store.Session(ctx, token); err != nil {
				return nil, s.failed(err)
			}
			return nil, s.commit(ctx, order.DropSession(token))
		})
}
