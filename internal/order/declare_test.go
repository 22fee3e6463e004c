package order_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ordergate/ordergate/internal/order"
)

func importing(t *testing.T, l ledger, rows ...order.Import) {
	t.Helper()
	if _, err := l.run(t, order.Declare(order.Declared{Orders: rows})); err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

// An import updates what it gives, moves a line only when it gives its state,
// and deletes nothing.
func TestImport(t *testing.T) {
	t.Parallel()
	l := ledger{}
	key := order.Key{Platform: order.Suning, Seller: "10042869", Number: "1"}
	importing(t, l, order.Import{Key: key, Buyer: ptr("b"), PaidAt: ptr(now), Lines: []order.ImportLine{
		{Number: "1", Kind: ptr(order.Card), Quantity: ptr("2"), SupplierCode: ptr("10042869")}, {Number: "2", State: ptr(order.Shipped)},
	}})
	importing(t, l,
		order.Import{Key: key, BuyerOpenUID: ptr("u"), Lines: []order.ImportLine{{Number: "2", Kind: ptr(order.Gift)}, {Number: "3"}}},
		order.Import{Key: key, Lines: []order.ImportLine{{Number: "3", State: ptr(order.Closed)}, {Number: "1", Quantity: ptr("3")}}}) // builds on the row above
	want := &order.Order{
		Key: key, Stage: order.Waiting, CreatedAt: now, UpdatedAt: now,
		Header: order.Header{Reached: order.Waiting, Buyer: "b", BuyerOpenUID: "u", PaidAt: now},
		Lines: []order.Line{
			{Number: "1", Kind: order.Card, Quantity: "3", State: order.Waiting, SupplierCode: "10042869"},
			{Number: "2", Kind: order.Gift, State: order.Shipped},
			{Number: "3", Kind: order.Physical, State: order.Closed},
		},
	}
	if diff := cmp.Diff(want, l[key], cmpopts.IgnoreUnexported(order.Order{})); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	importing(t, l, order.Import{Key: key, Lines: []order.ImportLine{{Number: "2", State: ptr(order.Waiting)}}})
	if line, _ := l[key].Line("2"); line.State != order.Waiting {
		t.Errorf("a given state moves back: %+v", line)
	}
}

func TestApps(t *testing.T) {
	t.Parallel()
	app := &order.App{Secret: "new", OldSecret: "old", OldUntil: now, ExpiresAt: now}
	if !app.Active(now.Add(-1)) || app.Active(now) || !(&order.App{}).Active(now.Add(100*365*24*time.Hour)) {
		t.Error("an app is active until it expires")
	}
	if len(app.Secrets(now.Add(-1))) != 2 || len(app.Secrets(now)) != 1 {
		t.Error("the old secret counts until it ends")
	}
}
