package store

import (
	"context"

	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/secret"
)

// record is a row of a result. Columns count from 0. What it returns is a copy.
type record interface {
	Int(column int) int64   // 0 for NULL
	Text(column int) string // empty for NULL
	Bytes(column int) []byte
	Size(column int) int // in bytes
	Null(column int) bool
}

// conn runs statements that both engines understand. Parameters are ?; where one stands
// twice, all are ?1 and so on.
type conn interface {
	// query hands each row over. It ends when that returns an error, with the error.
	query(text string, each func(record) error, args ...any) error
	// exec returns how many rows it changed.
	exec(text string, args ...any) (changed int, err error)
}

// purpose is what something is read for. Each has connections of its own: a list never
// delays a call, nor those who deliver.
type purpose int

// The purposes.
const (
	forCalls purpose = iota
	forLists         // for operators
	forLog           // for those who deliver
	purposes = iota
)

// reader lends connections.
type reader interface {
	read(ctx context.Context, p purpose, f func(conn) error) error
}

// dialect is where the texts of the engines differ.
type dialect struct {
	head     string // the last place of the log
	contains func(column, text string) string
	indexed  func(index string) string // a hint behind a table's name
	shardOf  func(lane string) string  // the part that a lane's cursor is kept for
	each     string                    // the numbers of a JSON array
	appOf    string                    // the TOP app of a seller
}

// ledger reads what the engines keep in tables of the same shape.
type ledger struct {
	reader
	dialect
	key *secret.Key

	// end is up to where the log may be read: what comes later may not be there yet.
	// nil: everything is.
	// It says so at once when that is as far as is wanted; 0: all that was committed.
	end func(ctx context.Context, wanted int64) (int64, error)
}

// bounded keeps a filter within the part of the log that may be read.
func (l *ledger) bounded(ctx context.Context, f order.EventFilter) (order.EventFilter, error) {
	if l.end == nil || f.Seq > 0 || f.OrderID > 0 || f.Order != "" || f.WorkOrder > 0 || f.WorkOrderID != "" {
		return f, nil
	}
	end, err := l.end(ctx, f.UpTo)
	if f.UpTo == 0 || f.UpTo > end {
		f.UpTo = end
	}
	return f, err
}
