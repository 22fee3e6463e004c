package intake

import (
	"context"
	"errors"
	"slices"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Merchants asks merchants what calls leave to them.
type Merchants interface {
	// Ask asks the merchant behind a destination, once. What he is asked is committed
	// before, and what came of it before Ask returns. The error is the store's, or
	// what the caller is told: a row of contract.TOPBackend.
	Ask(ctx context.Context, d *order.Destination, q *order.Question) (reply any, err error)
}

// waiting finds the destination that answers the call; nil when the ledger does.
func (c *call) waiting() (*order.Destination, error) {
	if c.server.Merchants == nil || len(c.work.Tasks) == 0 {
		return nil, nil
	}
	destinations, err := c.server.Store.Destinations(c.ctx)
	if err != nil || !slices.ContainsFunc(destinations, func(d *order.Destination) bool { return d.Wait }) {
		return nil, err
	}
	if c.question = order.QuestionOf(c.accepted, c.work); c.question == nil {
		return nil, nil
	}
	return order.WaitingFor(destinations, c.question), nil
}

// ask has the merchant decide.
func (c *call) ask(d *order.Destination) error {
	ctx, span := startSpan(c.ctx, c.span, "ask "+d.Name)
	defer span.End()
	reply, err := c.server.Merchants.Ask(ctx, d, c.question)
	c.work = &order.Work{Sum: func() any { return reply }}
	return stored(err)
}

// carryOut does what is left of a call that has passed its checks.
func (c *call) carryOut(release func()) error {
	d, err := c.waiting()
	switch {
	case err != nil:
		return err
	case d != nil:
		release() // he may take his time
		return c.ask(d)
	}
	return c.commit(c.work.Tasks)
}

// findMerchant finds the app that a reverse call is for, by its key. Without one the
// seller who is named tells, once the call is read.
func (c *call) findMerchant(key string) error {
	if contract.Blank(key) {
		return nil
	}
	app, err := c.activeApp(key)
	c.merchant = app
	return err
}

// merchantOfSeller finds the app of the seller whom a reverse call names, unless it
// names an app of his, or of nobody in particular. There may be none.
func (c *call) merchantOfSeller() error {
	seller := c.rule.API.Seller(c.request)
	if c.merchant != nil && (c.merchant.Seller == "" || c.merchant.Seller == seller) {
		return nil
	}
	app, err := c.server.Store.AppOf(c.ctx, seller)
	if errors.Is(err, order.ErrNotFound) {
		app, err = nil, nil
	}
	c.merchant = app
	return err
}
