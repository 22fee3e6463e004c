package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// Orders implements [order.Store].
func (l *ledger) Orders(ctx context.Context, f order.OrderFilter) (orders []*order.Order, more bool, err error) {
	var w where
	w.add(f.After > 0 && f.Sort == order.ByID, "id > ?", f.After)
	w.add(f.After > 0 && f.Sort == order.ByNewest, "id < ?", f.After)
	w.add(f.Sort == order.ByRefund, "refund_due IS NOT NULL")
	w.add(!f.RefundUpTo.IsZero(), "refund_due <= ?", f.RefundUpTo.UnixMilli())
	if b := f.Behind; b != nil {
		w.add(f.Sort == order.ByNumber, "(number, id) > (?, ?)", b.Number, b.ID)
		w.add(f.Sort == order.ByUnchanged, "(updated_at, id) > (?, ?)", b.At.UnixMilli(), b.ID)
		w.add(f.Sort == order.ByRefund, "(refund_due, id) > (?, ?)", b.At.UnixMilli(), b.ID)
	}
	w.add(f.Key.Number != "", "number = ?", f.Key.Number)
	w.add(f.Key.Platform != "", "platform = ?", f.Key.Platform)
	w.add(f.Key.Seller != "", "seller = ?", f.Key.Seller)
	if slices.Contains(order.Open, f.Stage) { // a partial index is found by constants
		w.add(true, "stage = '"+string(f.Stage)+"'")
	} else {
		w.add(f.Stage != "", "stage = ?", string(f.Stage))
	}
	w.add(!f.UpdatedUpTo.IsZero(), "updated_at <= ?", f.UpdatedUpTo.UnixMilli())
	states := make([]string, len(f.Locks))
	for i, state := range f.Locks { // the texts of indexes: the states are ours
		states[i] = l.contains("locks", `"`+string(state)+`"`)
	}
	w.add(len(states) > 0, "locks <> '[]' AND ("+strings.Join(states, " OR ")+")")
	w.add(f.Prefix != "", "number >= ? AND number < ?", f.Prefix, f.Prefix+"\U0010ffff")
	return readPage(ctx, l, forLists, "SELECT "+orderColumns+" FROM orders"+w.text()+" ORDER BY "+orderSorts[f.Sort], w.args, f.Limit, maxOrders,
		func(row record) int { return row.Size(11) + row.Size(12) + row.Size(13) }, scanOrder)
}

var orderSorts = [...]string{order.ByID: "id", order.ByNewest: "id DESC", order.ByNumber: "number, id", order.ByUnchanged: "updated_at, id", order.ByRefund: "refund_due, id"}

// isOpen is the condition of the index of open orders, to the letter.
var isOpen = func() string {
	conditions := make([]string, len(order.Open))
	for i, stage := range order.Open {
		conditions[i] = "stage = '" + string(stage) + "'"
	}
	return strings.Join(conditions, " OR ")
}()

// Stages implements [order.Store].
func (l *ledger) Stages(ctx context.Context, since time.Time) (counts []order.StageCount, err error) {
	return counts, l.read(ctx, forLists, func(c conn) error {
		return c.query("SELECT platform, stage, count(*), sum(CASE WHEN updated_at <= ? THEN 1 ELSE 0 END) FROM orders WHERE "+isOpen+" GROUP BY stage, platform ORDER BY platform, stage", func(row record) error {
			counts = append(counts, order.StageCount{Platform: row.Text(0), Stage: order.State(row.Text(1)), Orders: row.Int(2), Stuck: row.Int(3)})
			return nil
		}, since.UnixMilli())
	})
}

// Bookmark implements [order.Store].
func (l *ledger) Bookmark(ctx context.Context, name string) (text string, err error) {
	return text, l.read(ctx, forLists, func(c conn) error {
		return c.query("SELECT value FROM meta WHERE name = ?", func(row record) error {
			text = row.Text(0)
			return nil
		}, bookmarkPlace(name))
	})
}
