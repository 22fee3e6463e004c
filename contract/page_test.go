package contract_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/contract"
)

// pages are the vendors' pages, by method.
var pages = map[string]string{
	"taobao.qimen.event.produce":   "qimen-event-produce.md",
	"taobao.bcpush.isv.event.emit": "bcpush-isv-event-emit.md",

	"suning.selfmarket.leaguerstatus.add": "suning-leaguerstatus-add.md",

	"qimen.taobao.qianniu.cloudkefu.order.self.intercept": "qimen-order-self-intercept.md",
}

// section returns the rows of the table under a heading, cells without
// backquotes.
func section(t *testing.T, page, heading string) [][]string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the page has no section %s", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var rows [][]string
	for line := range strings.SplitSeq(rest, "\n") {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		rows = append(rows, cells)
	}
	return rows[1:] // without the header
}

// Every row of the tables is the page's, to the letter, and none is missing.
func TestTablesArePages(t *testing.T) {
	t.Parallel()
	for _, api := range contract.All {
		if api.Protocol != contract.TOP || api == contract.EventsProduce || api == contract.InterceptCallback {
			continue // these have no page; see TestNotesHaveTheOthers
		}
		data, err := os.ReadFile("../testdata/pages/" + pages[api.Method])
		if err != nil {
			t.Fatal(err)
		}
		page := string(data)
		if head, _, _ := strings.Cut(page, "\n## "); !strings.HasPrefix(head, "# "+api.Method) || !strings.Contains(head, "\n"+api.About) {
			t.Errorf("%s: about is not a sentence of the page's head", api.Method)
		}
		compare(t, api.Method+" request", section(t, page, "请求参数"), flat(api.Request, ""), func(f contract.Field) []string {
			required := "可选"
			if f.Required {
				required = "必须"
			}
			return []string{f.Name, string(f.Type), required, f.Example, "", f.Text}
		})
		compare(t, api.Method+" reply", section(t, page, "响应参数"), flat(api.Reply, ""), func(f contract.Field) []string {
			return []string{f.Name, string(f.Type), f.Example, f.Text}
		})
		listed := section(t, page, "错误码解释")
		var own []*contract.Refusal
		for _, r := range api.Refusals {
			if r != contract.InvalidParameter && (!r.InReply || slices.ContainsFunc(listed, func(cells []string) bool { return cells[0] == r.Code })) {
				own = append(own, r)
			}
		}
		for i, cells := range listed { // where the page has no words for a code, the row's are the notes'
			if i < len(own) && cells[1]+cells[2] == "" {
				listed[i] = []string{cells[0], own[i].Text, own[i].Solution}
			}
		}
		compare(t, api.Method+" refusals", listed, own, func(r *contract.Refusal) []string {
			return []string{r.Code, r.Text, r.Solution}
		})
		root := "<" + api.Root() + ">"
		if api.Reverse {
			root = "<" + api.Reply[0].Name + ">" // the answer that a merchant gives
		}
		for _, tag := range []string{"<code>50</code>", "<msg>" + contract.TOPFaults[contract.BusinessRefused].Text + "</msg>", "<sub_code>" + contract.InvalidParameter.Code + "</sub_code>", "<sub_msg>" + contract.InvalidParameter.Text + "</sub_msg>", root} {
			if !strings.Contains(page, tag) {
				t.Errorf("%s: the page's examples do not hold %s", api.Method, tag)
			}
		}
	}
}

// The same of Suning's page, which has other columns, and the protocol's own
// parameters and errors beside the API's.
func TestTablesAreSuningsPage(t *testing.T) {
	t.Parallel()
	api := contract.LeaguerStatus
	data, err := os.ReadFile("../testdata/pages/" + pages[api.Method])
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	if head, _, _ := strings.Cut(page, "\n## "); !strings.HasPrefix(head, "# "+api.Method) || !strings.Contains(head, "\n"+api.About) {
		t.Error("about is not a sentence of the page's head")
	}
	asked := func(f contract.Field) []string {
		required := "N"
		if f.Required {
			required = "Y"
		}
		return []string{f.Name, string(f.Type), required, f.Example, f.Text}
	}
	compare(t, "parameters", section(t, page, "公共参数"), contract.SuningParams, asked)
	compare(t, "request", section(t, page, "请求参数"), unindented(flat(api.Request, "")), asked)
	compare(t, "reply", section(t, page, "响应参数"), api.Reply, func(f contract.Field) []string {
		return []string{f.Name, string(f.Type), f.Example, f.Text}
	})
	refusal := func(r *contract.Refusal) []string { return []string{r.Code, r.Text, r.Solution} }
	own := slices.DeleteFunc(slices.Clone(api.Refusals), func(r *contract.Refusal) bool { return r.InReply })
	compare(t, "refusals", section(t, page, "异常码 (API)"), own, refusal)
	compare(t, "faults", section(t, page, "异常码 (公共)"), contract.SuningFaults, refusal)
	if len(own) != 19 || len(contract.SuningFaults) != 38 {
		t.Errorf("%d and %d rows, want 19 and 38", len(own), len(contract.SuningFaults))
	}
	for _, r := range slices.Concat(own, contract.SuningFaults) {
		if (r.When == "") == (r.Reserved == "") {
			t.Errorf("%s %s: say when it is answered, or why never", r.Code, r.Text)
		}
	}
}

func unindented(rows []contract.Field) []contract.Field {
	for i := range rows {
		rows[i].Name = strings.TrimPrefix(rows[i].Name, "└ ")
	}
	return rows
}

// flat lists rows with their members behind them, as the pages print them.
func flat(rows []contract.Field, indent string) (all []contract.Field) {
	for _, row := range rows {
		row.Name = indent + row.Name
		all = append(append(all, row), flat(row.Fields, "└ "+indent)...)
	}
	return all
}

// Names and numbers of an API without a page are those of the notes, and so are the
// codes of the intercept beyond its page.
func TestNotesHaveTheOthers(t *testing.T) {
	t.Parallel()
	notes, err := os.ReadFile("../docs/protocol/qimen.md")
	if err != nil {
		t.Fatal(err)
	}
	between := func(heading string) string {
		_, text, found := strings.Cut(string(notes), heading)
		if !found {
			t.Fatalf("the notes do not have %s", heading)
		}
		text, _, _ = strings.Cut(text, "\n## ")
		return text
	}
	callback := between("\n## 5. ")
	for _, word := range []string{contract.InterceptCallback.Method, "`tid`", "`sub_order_ids` (list, max " + strconv.Itoa(contract.MaxCallback) + ")", "`success` (boolean)", "`error_code`"} {
		if !strings.Contains(callback, word) {
			t.Errorf("the notes on the callback do not hold %s", word)
		}
	}
	codes := between("\n## 6. ")
	for _, r := range contract.OrderIntercept.Refusals {
		cell := "| " + r.Code + " | " + r.Text + " |"
		switch {
		case !r.InReply, r == contract.SignCheckFailure, r == contract.AddressForbidden: // of TOP; of section 3.2; of the page
		case r.Text == "" && !strings.Contains(codes, r.Code) && !strings.Contains(codes, "a 32-hex text"), r.Text != "" && !strings.Contains(codes, cell):
			t.Errorf("the notes do not hold %s", cell)
		}
	}
	text := between("### 7.2 `" + contract.EventsProduce.Method + "`")
	words := []string{contract.EventsProduce.Root(), contract.ParameterRequired.Code, contract.ParameterRequired.Text, strconv.Itoa(contract.MaxMessages), "results.qimen_result[]"}
	for _, row := range slices.Concat(contract.EventsProduce.Request, flat(contract.EventsProduce.Reply, "")) {
		words = append(words, strings.TrimPrefix(row.Name, "└ "))
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("the notes do not hold %s", word)
		}
	}
}

func compare[T any](t *testing.T, what string, want [][]string, rows []T, cells func(T) []string) {
	t.Helper()
	if len(rows) != len(want) {
		t.Errorf("%s: %d rows, the page has %d", what, len(rows), len(want))
	}
	for i := range min(len(rows), len(want)) {
		if got := cells(rows[i]); strings.Join(got, "|") != strings.Join(want[i], "|") {
			t.Errorf("%s, row %d:\n got %q\nwant %q", what, i+1, got, want[i])
		}
	}
}

// Codes and texts of faults, those that nothing produces included, are those of
// the protocol notes.
func TestFaultsAreTheNotes(t *testing.T) {
	t.Parallel()
	notes, err := os.ReadFile("../docs/protocol/top.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(notes), "### 8.1 Codes")
	table, _, _ = strings.Cut(table, "### 8.2")
	for _, row := range contract.TOPFaults[1:] {
		if row == (contract.FaultRow{}) { // Suning's
			continue
		}
		text, _, _ := strings.Cut(row.Text, "%s")
		found := false
		for line := range strings.Lines(table) {
			codes, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
			for code := range strings.FieldsFuncSeq(codes, func(r rune) bool { return r < '0' || r > '9' }) {
				found = found || code == row.Code && strings.Contains(line, text)
			}
		}
		if !found {
			t.Errorf("the notes have no code %s with %q", row.Code, text)
		}
	}
}

// The platforms that the table lists are those of the field's text.
func TestPlatformsArePages(t *testing.T) {
	t.Parallel()
	field, _ := contract.EventProduce.Field("platform")
	text := strings.TrimPrefix(field.Text, "商家平台编码.")
	for i, pair := range strings.Split(text, ",") {
		code, name, _ := strings.Cut(pair, ":")
		if i >= len(contract.Platforms) || contract.Platforms[i] != (contract.Param{Name: code, Value: name}) {
			t.Errorf("platform %d of the page is %s", i+1, pair)
		}
	}
}
