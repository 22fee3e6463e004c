package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// DestinationPath names a destination.
type DestinationPath struct {
	Name string `path:"name"`
}

type destinationOutput struct {
	Status int
	Body   apply.Destination
}

func (s *Server) registerDestinations(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "list-destinations", Method: http.MethodGet, Path: "/v1/destinations", Summary: "List destinations"},
		func(ctx context.Context, in *TextPage) (*listOutput[apply.Destination], error) {
			destinations, err := s.Store.Destinations(ctx)
			if err != nil {
				return nil, s.failed(err)
			}
			destinations = slices.DeleteFunc(slices.Clone(destinations), func(d *order.Destination) bool { return d.Name <= in.After })
			destinations, more := atMost(destinations, in.Limit)
			return page(destinations, more, func(d *order.Destination) string { return d.Name }, apply.DestinationOf), nil
		})
	huma.Register(api, huma.Operation{OperationID: "get-destination", Method: http.MethodGet, Path: "/v1/destinations/{name}", Summary: "Show a destination"},
		func(ctx context.Context, in *DestinationPath) (*destinationOutput, error) {
			return s.showDestination(ctx, in.Name, http.StatusOK)
		})
	huma.Register(api, huma.Operation{OperationID: "delete-destination", Method: http.MethodDelete, Path: "/v1/destinations/{name}", Summary: "Delete a destination", DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *DestinationPath) (*none, error) {
			if _, err := s.destination(ctx, in.Name); err != nil {
				return nil, s.failed(err)
			}
			return nil, s.commit(ctx, order.DropDestination(in.Name))
		})
	huma.Register(api, huma.Operation{
		OperationID: "put-destination", Method: http.MethodPut, Path: "/v1/destinations/{name}", Summary: "Declare a destination",
		Description: "409 when another enabled destination waits for calls of the same API, platform and seller.",
		RequestBody: body[apply.Destination](api, "application/json"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, s.putDestination)
	huma.Register(api, huma.Operation{
		OperationID: "rotate-destination", Method: http.MethodPost, Path: "/v1/destinations/{name}/rotate", Summary: "Replace a destination's secret; for the overlap a webhook is signed with both",
		RequestBody: body[Rotation](api, "application/json"), SkipValidateBody: true, MaxBodyBytes: maxBody,
	}, s.rotateDestination)
}

// destinationInput is a request about a destination, with a body that is parsed here.
type destinationInput struct {
	DestinationPath
	RawBody []byte
}

func (s *Server) putDestination(ctx context.Context, in *destinationInput) (*destinationOutput, error) {
	var d apply.Destination
	if err := apply.ParseItem(in.RawBody, &d); err != nil {
		return nil, unread(err)
	}
	if d.Name != "" && d.Name != in.Name {
		return nil, problem(http.StatusUnprocessableEntity, "name differs from the path", Detail{"body.name", "leave it out, or make it the path's"})
	}
	d.Name = in.Name
	_, err := s.destination(ctx, in.Name)
	existed, err := s.exists(err)
	if err != nil {
		return nil, err
	}
	if err := s.declare(ctx, &apply.Document{Destinations: []apply.Destination{d}}); err != nil {
		return nil, err
	}
	return s.showDestination(ctx, in.Name, created(existed))
}

func (s *Server) rotateDestination(ctx context.Context, in *destinationInput) (*destinationOutput, error) {
	secret, overlap, err := readRotation(in.RawBody)
	if err != nil {
		return nil, err
	}
	d, err := s.destination(ctx, in.Name)
	if err != nil {
		return nil, s.failed(err)
	}
	rotated := apply.DestinationOf(d)
	rotated.Secret = secret // it must be one that the kind can sign with
	if _, err := (&apply.Document{Destinations: []apply.Destination{rotated}}).Resolve(); err != nil {
		return nil, s.failed(err)
	}
	if err := s.commit(ctx, order.RotateDestination(in.Name, secret, overlap)); err != nil {
		return nil, err
	}
	return s.showDestination(ctx, in.Name, http.StatusOK)
}

// destination finds a destination, or returns order.ErrNotFound.
func (s *Server) destination(ctx context.Context, name string) (*order.Destination, error) {
	return order.FindDestination(ctx, s.Store, name)
}

func (s *Server) showDestination(ctx context.Context, name string, status int) (*destinationOutput, error) {
	d, err := s.destination(ctx, name)
	if err != nil {
		return nil, s.failed(err)
	}
	return &destinationOutput{Status: status, Body: apply.DestinationOf(d)}, nil
}
