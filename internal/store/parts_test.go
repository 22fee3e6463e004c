package store

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// Lines and marks survive the way to the row and back, and are JSON there.
func TestParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		line := rapid.Custom(func(t *rapid.T) order.Line {
			return order.Line{Number: text.Draw(t, "number"), Kind: order.Kind(text.Draw(t, "kind")), Quantity: text.Draw(t, "quantity"), State: order.State(text.Draw(t, "state")), SupplierCode: text.Draw(t, "supplier"), Cards: rapid.IntRange(0, 1000).Draw(t, "cards")}
		})
		mark := rapid.Custom(func(t *rapid.T) order.Mark {
			return order.Mark{Status: text.Draw(t, "status"), ERPOrderID: text.Draw(t, "erp"), Detail: text.Draw(t, "detail"), Line: text.Draw(t, "line")}
		})
		lines, marks := rapid.SliceOf(line).Draw(t, "lines"), rapid.SliceOf(mark).Draw(t, "marks")
		gotLines, err := decodeLines(encodeLines(lines))
		if err != nil || !slices.Equal(gotLines, lines) {
			t.Fatalf("%q: got %v, want %v, %v", encodeLines(lines), gotLines, lines, err)
		}
		gotMarks, err := decodeMarks(encodeMarks(marks))
		if err != nil || !slices.Equal(gotMarks, marks) {
			t.Fatalf("%q: got %v, want %v, %v", encodeMarks(marks), gotMarks, marks, err)
		}
		var read [][]string
		if err := json.Unmarshal([]byte(encodeMarks(marks)), &read); err != nil || len(read) != len(marks) {
			t.Fatalf("%q: %v", encodeMarks(marks), err)
		}
	})
	for _, text := range []string{`[["a"]]`, `[["a","b","c","d","e","f"]]`, `[["a","b","c","d","e","x","",""]]`, `[["a","b","c","d","e","1","x",""]]`, `[["a","b","c","d","e","1","","","i"]]`, `["a","b","c","d","e"]`, `[["a","b","c","d","e"]`, `x`, `[["a","b","c","d","e`, `[["a","b","c","d","\x"]]`} {
		if lines, err := decodeLines(text); err == nil {
			t.Errorf("%q is read as %v", text, lines)
		}
	}
}

// What only virtual lines have survives, too.
func TestVirtualParts(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, accepts := range []*bool{nil, &yes, &no} {
		want := []order.Line{{Number: "1", RefundOf: now, AcceptsFailure: accepts}, {Number: "2", Cards: 3, AcceptsFailure: accepts}}
		if got, err := decodeLines(encodeLines(want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", encodeLines(want), got, err)
		}
	}
}

// A database of the schema before orders were one row each is brought up to date.
func TestOrdersOfOlderSchema(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/x.db"
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0001_ledger.sql", "0002_work_orders.sql"} {
		sql, err := sqliteMigrations.ReadFile("migrations/sqlite/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := sqlitex.ExecuteScript(c, string(sql), nil); err != nil {
			t.Fatal(err)
		}
	}
	err = sqlitex.ExecuteScript(c, `
PRAGMA user_version = 2;
PRAGMA application_id = 0x4f726467;
INSERT INTO orders VALUES (1, '1', 'taobao', 's', 'checked', 'new', '', '', NULL, 0, 0), (2, '2', 'taobao', 's', 'out', 'out', '', '', NULL, 0, 0), (3, '3', 'suning', 's', 'waiting', 'waiting', '', '', 1000, 0, 0), (4, '4', 'suning', 's', 'waiting', 'waiting', '', '', 1000, 0, 0),
 (5, '5', 'suning', 's', 'waiting', 'waiting', '', '', 1000, 0, 0), (6, '6', 'suning', 's', 'waiting', 'waiting', '', '', 1000, 0, 0), (7, '7', 'suning', 's', 'shipped', 'waiting', '', '', 1000, 0, 0), (8, '8', 'suning', 's', 'waiting', 'waiting', '', '', NULL, 0, 0);
INSERT INTO line VALUES (1, '11', 'physical', '1', 'checked', ''), (1, '"12"', 'card', '', 'transferred', 'c'), (3, '31', 'card', '1', 'waiting', ''), (4, '41', 'physical', '1', 'waiting', ''), (5, '51', 'recharge', '1', 'waiting', ''), (6, '61', 'gift', '1', 'waiting', ''), (7, '71', 'card', '1', 'shipped', ''), (8, '81', 'card', '1', 'waiting', '');
INSERT INTO mark VALUES (1, 'QIMEN_ERP_CHECK', 'e', '', '11'), (2, 'QIMEN_CP_OUT', '', 'd', '');
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), "sqlite:"+path, options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	limit := time.UnixMilli(1000).Add(order.RefundAfter)
	for at, want := range map[time.Time]int{limit: 0, limit.Add(time.Millisecond): 3, now: 3} {
		if due, err := s.Overdue(t.Context(), at, 10); err != nil || len(due) != want {
			t.Errorf("due at %v: %v, %v", at, due, err)
		}
	}
	one, two := oneOrder(t, s, "1"), oneOrder(t, s, "2")
	if l, ok := one.Line(`"12"`); len(one.Lines) != 2 || !ok || l != (order.Line{Number: `"12"`, Kind: order.Card, State: order.Transferred, SupplierCode: "c"}) {
		t.Errorf("lines %+v", one.Lines)
	}
	if want := []order.Mark{{Status: contract.StatusCheck, ERPOrderID: "e", Line: "11"}}; !slices.Equal(one.Marks, want) {
		t.Errorf("marks %+v, want %+v", one.Marks, want)
	}
	if want := []order.Mark{{Status: contract.StatusOut, Detail: "d"}}; len(two.Lines) != 0 || !slices.Equal(two.Marks, want) {
		t.Errorf("order %+v", two)
	}
}
