package store

import (
	"context"
	"fmt"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// sqliteConn is a connection. It keeps its statements prepared.
type sqliteConn struct{ conn *sqlite.Conn }

// sqliteRow is a row of a statement.
type sqliteRow struct{ *sqlite.Stmt }

func (r sqliteRow) Int(column int) int64   { return r.ColumnInt64(column) }
func (r sqliteRow) Text(column int) string { return r.ColumnText(column) }
func (r sqliteRow) Size(column int) int    { return r.ColumnLen(column) }
func (r sqliteRow) Null(column int) bool   { return r.ColumnIsNull(column) }

func (r sqliteRow) Bytes(column int) []byte {
	b := make([]byte, r.ColumnLen(column))
	r.ColumnBytes(column, b)
	return b
}

// do runs a statement without rows.
func (c sqliteConn) do(text string, args ...any) error {
	stmt, err := c.conn.Prepare(text)
	if err != nil {
		return err
	}
	bind(stmt, args)
	if _, err := stmt.Step(); err != nil {
		_ = stmt.Reset() // repeats the error
		return err
	}
	return stmt.Reset()
}

// exec implements conn.
func (c sqliteConn) exec(text string, args ...any) (changed int, err error) {
	err = c.do(text, args...)
	return c.conn.Changes(), err
}

// query implements conn.
func (c sqliteConn) query(text string, each func(record) error, args ...any) error {
	stmt, err := c.conn.Prepare(text)
	if err != nil {
		return err
	}
	bind(stmt, args)
	for {
		more, err := stmt.Step()
		if err == nil && more {
			err = each(sqliteRow{stmt})
		}
		if err != nil {
			_ = stmt.Reset() // may repeat the error
			return err
		}
		if !more {
			return stmt.Reset()
		}
	}
}

func bind(stmt *sqlite.Stmt, args []any) {
	for i, arg := range args {
		switch v := arg.(type) {
		case nil:
			stmt.BindNull(i + 1)
		case int64:
			stmt.BindInt64(i+1, v)
		case int:
			stmt.BindInt64(i+1, int64(v))
		case string:
			stmt.BindText(i+1, v)
		case []byte:
			stmt.BindBytes(i+1, v)
		default:
			panic(fmt.Sprintf("binding %T", arg)) // a broken statement, not input
		}
	}
}

// sqlitePools are connections that read.
type sqlitePools [purposes]*sqlitex.Pool

// read implements reader. The queries end with ctx.
func (p *sqlitePools) read(ctx context.Context, purpose purpose, f func(conn) error) error {
	c, err := p[purpose].Take(ctx)
	if err != nil {
		return err
	}
	defer p[purpose].Put(c)
	return f(sqliteConn{c})
}
