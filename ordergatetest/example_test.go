package ordergatetest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ordergate/ordergate/client"
	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/ordergatetest"
)

// Shipper is the program under test: it tells the platform that an order left
// the warehouse.
type Shipper struct{ Platform *client.Client }

// Ship reports an order once. That the platform knows already is as good.
func (s *Shipper) Ship(ctx context.Context, number, erpNumber string) error {
	_, err := s.Platform.EventProduce(ctx, &contract.EventProduceRequest{
		Status: contract.StatusOut, OrderID: number, ERPOrderID: erpNumber,
	})
	if client.Advice(err) == contract.Done {
		return nil
	}
	return err
}

func TestShipper(t *testing.T) {
	g := ordergatetest.Start(t)
	shipper := &Shipper{g.Client()}
	for range 2 { // the ERP restarts and reports again
		if err := shipper.Ship(t.Context(), "2895732958732", "SO-1"); err != nil {
			t.Fatal(err)
		}
	}
	order, err := g.Order("taobao", "seller_001", "2895732958732")
	if err != nil {
		t.Fatal(err)
	}
	events, err := g.Events()
	if err != nil {
		t.Fatal(err)
	}
	if order.Stage != "out" || len(events) != 1 {
		t.Errorf("the order is %s after %d events", order.Stage, len(events))
	}

	expired := &Shipper{g.Client().WithSession("expired-token")}
	if err := expired.Ship(t.Context(), "2895732958732", "SO-2"); !errors.Is(err, contract.UnknownSession) {
		t.Errorf("with a session that nobody knows: %v", err)
	}
}
