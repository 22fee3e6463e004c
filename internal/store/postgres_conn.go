package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// querier is a connection, a pool or a transaction.
type querier interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
}

// pgConn runs statements that are written for both engines.
type pgConn struct {
	ctx context.Context
	q   querier
}

// query implements conn.
func (c *pgConn) query(text string, each func(record) error, args ...any) error {
	rows, err := c.q.Query(c.ctx, numbered(text), encoded(args)...)
	if err != nil {
		return err
	}
	return eachRow(rows, each)
}

// eachRow hands the rows of a result over.
func eachRow(rows pgx.Rows, each func(record) error) error {
	defer rows.Close()
	row := &pgRow{rows: rows}
	for rows.Next() {
		row.values = rows.RawValues()
		if err := each(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exec implements conn.
func (c *pgConn) exec(text string, args ...any) (changed int, err error) {
	tag, err := c.q.Exec(c.ctx, numbered(text), encoded(args)...)
	return int(tag.RowsAffected()), err
}

// pgPools are connections that read.
type pgPools [purposes]*pgxpool.Pool

// read implements reader.
func (p *pgPools) read(ctx context.Context, purpose purpose, f func(conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeouts[purpose])
	defer cancel()
	c, err := p[purpose].Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	return f(&pgConn{ctx, c})
}

// numberedTexts are statements as PostgreSQL wants them, by how they are written.
var numberedTexts sync.Map

// numbered writes ? as $1, $2 and so on, and ?1 as $1.
func numbered(text string) string {
	if known, ok := numberedTexts.Load(text); ok {
		return known.(string)
	}
	var b strings.Builder
	n := 0
	for i := 0; i < len(text); i++ {
		if b.WriteByte(text[i]); text[i] != '?' {
			continue
		}
		written := b.String()
		b.Reset()
		b.WriteString(written[:len(written)-1] + "$")
		if i+1 == len(text) || text[i+1] < '1' || text[i+1] > '9' {
			n++
			b.WriteString(strconv.Itoa(n))
		}
	}
	numberedTexts.Store(text, b.String())
	return b.String()
}

// pgRow is a row of a result: integers of any length, booleans, texts and bytes, in their
// binary form.
type pgRow struct {
	rows   pgx.Rows
	values [][]byte
}

func (r *pgRow) Int(column int) int64 {
	switch v := r.values[column]; len(v) {
	case 0:
		return 0
	case 1:
		return int64(v[0])
	case 2:
		return int64(int16(binary.BigEndian.Uint16(v)))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	case 8:
		return int64(binary.BigEndian.Uint64(v))
	default:
		panic(fmt.Sprintf("column %s is no integer", r.rows.FieldDescriptions()[column].Name)) // a broken statement, not input
	}
}

func (r *pgRow) isInteger(column int) bool {
	switch r.rows.FieldDescriptions()[column].DataTypeOID {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return true
	}
	return false
}

func (r *pgRow) isText(column int) bool {
	return r.rows.FieldDescriptions()[column].DataTypeOID == pgtype.TextOID
}

func (r *pgRow) Text(column int) string  { return fromText(string(r.values[column])) }
func (r *pgRow) Bytes(column int) []byte { return append([]byte{}, r.values[column]...) }
func (r *pgRow) Size(column int) int     { return len(r.values[column]) }
func (r *pgRow) Null(column int) bool    { return r.values[column] == nil }

// encoded makes texts what a column can hold.
func encoded(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = toText(text)
		}
	}
	return args
}

// PostgreSQL's texts have no NUL and are UTF-8. Bytes of others are kept as a mark, which
// is no character, and two hex digits each.
const textMark = "\U0010fffe"

// toText makes a text one that a column can hold.
func toText(text string) string {
	if strings.IndexByte(text, 0) < 0 && !strings.Contains(text, textMark) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == 0 || r == utf8.RuneError && size == 1 || text[:size] == textMark {
			for _, c := range []byte(text[:size]) {
				fmt.Fprintf(&b, "%s%02x", textMark, c)
			}
		} else {
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// fromText reads what toText wrote.
func fromText(text string) string {
	first, rest, marked := strings.Cut(text, textMark)
	if !marked {
		return text
	}
	var b strings.Builder
	b.WriteString(first)
	for part := range strings.SplitSeq(rest, textMark) {
		if c, err := strconv.ParseUint(part[:min(2, len(part))], 16, 8); err == nil && len(part) >= 2 {
			b.WriteByte(byte(c))
			part = part[2:]
		}
		b.WriteString(part)
	}
	return b.String()
}
