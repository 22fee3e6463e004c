package console

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

// column is a column of a table of orders.
type column struct {
	Name    string // as in the management API
	Chinese string // what a table's head may say instead
	Line    bool   // of a line, not of the order
	Text    string
}

// importColumns are the columns that a CSV may have. Rows of one order follow each other
// or not: their lines are put together.
var importColumns = []column{
	{"platform", "平台", false, "taobao, suning, or a code of event.produce such as JD"},
	{"seller", "卖家", false, "The seller; of Suning the supplier code, unless given"},
	{"number", "订单号", false, "Order number; required"},
	{"buyer", "买家", false, "The buyer's nick"},
	{"buyer_open_uid", "买家OpenUID", false, "The buyer's open uid"},
	{"paid_at", "付款时间", false, "yyyy-MM-dd HH:mm:ss in GMT+8, or RFC 3339"},
	{"line", "子订单号", true, "Number of the line or sub order"},
	{"kind", "类型", true, "physical, recharge, card or gift"},
	{"quantity", "数量", true, "Number or decimal text"},
	{"state", "状态", true, "A line moves only when this is given"},
	{"supplier_code", "供应商编码", true, "Of the line"},
	{"accepts_failure", "接受失败", true, "Suning: true or false: whether 210 is accepted"},
}

// importPage is what the upload shows.
type importPage struct {
	Columns []column
	Lines   []lineProblem
	Most    int
}

// lineProblem is what is wrong in a line of a file.
type lineProblem struct {
	Line int // 0: none in particular
	Text string
}

// mostImported is how many rows the management API takes at a time.
const mostImported = 10_000

func (s *Server) showImport(*visit) (any, error) {
	return importPage{Columns: importColumns, Most: mostImported}, nil
}

// importOrders stores a file of orders, all or nothing, and says what is wrong in which of
// its lines.
func (s *Server) importOrders(v *visit) (any, error) {
	p := importPage{Columns: importColumns, Most: mostImported}
	data, err := readUpload(v.Request)
	if err != nil {
		v.status = http.StatusUnprocessableEntity
		p.Lines = []lineProblem{{Text: v.say("Choose a file, or paste its text; at most %d MiB.", maxForm>>20)}}
		return p, nil
	}
	body, at := data, [][]int(nil)
	switch bytes.TrimSpace(data)[0] {
	case '[':
		at = arrayLines(data)
	case '{':
		at = ndjsonLines(data)
	default:
		var orders []map[string]any
		orders, at, p.Lines = readCSV(data, v.language)
		if p.Lines == nil && len(orders) == 0 {
			p.Lines = []lineProblem{{1, v.say("There is no row below the names of the columns.")}}
		}
		if p.Lines != nil {
			v.status = http.StatusUnprocessableEntity
			return p, nil
		}
		if body, err = json.Marshal(orders); err != nil {
			return nil, err
		}
	}
	if err := v.failed(s.manage(v.Context(), http.MethodPost, "/v1/orders", body, nil)); err != nil {
		return nil, err
	}
	if v.problem == nil {
		return v.done("/orders", "Imported.")
	}
	for _, e := range v.problem.Errors {
		p.Lines = append(p.Lines, lineProblem{lineOf(e.Location, at), strings.TrimPrefix(e.Location+": ", "body: ") + e.Message})
	}
	if p.Lines != nil {
		v.problem = nil // said by line
	}
	return p, nil
}

// marks are what stands before a text in UTF-16.
var marks = map[unicode.Endianness][]byte{unicode.LittleEndian: {0xff, 0xfe}, unicode.BigEndian: {0xfe, 0xff}}

// readUpload reads the file of a form, or the text beside it.
func readUpload(r *http.Request) ([]byte, error) {
	if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return nil, err
	}
	data := []byte(r.FormValue("text"))
	if file, _, err := r.FormFile("file"); err == nil {
		defer file.Close()
		if data, err = io.ReadAll(file); err != nil {
			return nil, err
		}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("nothing was sent")
	}
	for _, order := range []unicode.Endianness{unicode.LittleEndian, unicode.BigEndian} { // "Unicode text" of spreadsheets
		if text, err := unicode.UTF16(order, unicode.ExpectBOM).NewDecoder().Bytes(data); err == nil && bytes.HasPrefix(data, marks[order]) {
			return text, nil
		}
	}
	if !utf8.Valid(data) { // as Excel saves it in China
		if text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(data); err == nil {
			data = text
		}
	}
	return data, nil
}

// lineOf is the line of a file that the management API means by orders[3].lines[0].kind: at
// has the line of each order, and behind it those of the order's lines.
func lineOf(location string, at [][]int) int {
	index := func(name string) (int, bool) {
		_, rest, ok := strings.Cut(location, name+"[")
		number, _, _ := strings.Cut(rest, "]")
		n, err := strconv.Atoi(number)
		return n, ok && err == nil
	}
	o, ok := index("orders")
	if !ok || o >= len(at) {
		return 0
	}
	if l, ok := index("lines"); ok && l+1 < len(at[o]) {
		return at[o][l+1]
	}
	return at[o][0]
}

// arrayLines are the lines on which the orders of a JSON array begin.
func arrayLines(data []byte) (at [][]int) {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		rest := data[d.InputOffset():]
		begins := len(data) - len(bytes.TrimLeft(rest, ", \t\r\n"))
		at = append(at, []int{1 + bytes.Count(data[:begins], []byte("\n"))})
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return at
		}
	}
	return at
}

// ndjsonLines are the lines on which the orders of an NDJSON stand.
func ndjsonLines(data []byte) (at [][]int) {
	number := 0
	for line := range bytes.Lines(data) {
		if number++; len(bytes.TrimSpace(line)) > 0 {
			at = append(at, []int{number})
		}
	}
	return at
}

// readCSV reads orders of a table with a head. It also returns on which line of the file
// each order stands, and behind it those of its lines.
func readCSV(data []byte, l language) (orders []map[string]any, at [][]int, problems []lineProblem) {
	r := csv.NewReader(bytes.NewReader(data))
	first, _, _ := bytes.Cut(data, []byte("\n"))
	for _, comma := range ";\t" { // as spreadsheets save it in other countries, and as they copy it
		if bytes.ContainsRune(first, comma) && !bytes.ContainsRune(first, ',') {
			r.Comma = comma
		}
	}
	head, err := r.Read()
	if err != nil {
		return nil, nil, []lineProblem{{1, err.Error()}}
	}
	columns, problems := readHead(head, l)
	if problems != nil {
		return nil, nil, problems
	}
	places := map[order.Key]int{}
	for {
		cells, err := r.Read()
		if err == io.EOF {
			return orders, at, problems
		}
		line, _ := r.FieldPos(0)
		if parse, ok := errors.AsType[*csv.ParseError](err); ok {
			line = parse.Line
		}
		if err != nil {
			problems = append(problems, lineProblem{line, l.say("This row cannot be read: %v", errors.Unwrap(err))})
			if !errors.Is(err, csv.ErrFieldCount) {
				return nil, nil, problems
			}
			continue
		}
		o, item, err := readRow(l, columns, cells)
		if err != nil {
			problems = append(problems, lineProblem{line, err.Error()})
			continue
		}
		key := order.Key{Platform: fmt.Sprint(o["platform"]), Seller: fmt.Sprint(o["seller"]), Number: fmt.Sprint(o["number"])}
		i, known := places[key]
		if !known {
			i = len(orders)
			places[key] = i
			orders, at = append(orders, o), append(at, []int{line})
		}
		for name, value := range o {
			if stands, given := orders[i][name]; !given {
				orders[i][name] = value
			} else if stands != value && name != "lines" {
				problems = append(problems, lineProblem{line, l.say("%s differs from that of the order's line %d.", name, at[i][0])})
			}
		}
		if item != nil {
			lines, _ := orders[i]["lines"].([]map[string]any)
			orders[i]["lines"] = append(lines, item)
			at[i] = append(at[i], line)
		}
	}
}

// readHead finds the columns that a table's head names.
func readHead(head []string, l language) (columns []column, problems []lineProblem) {
	for _, name := range head {
		name = strings.ToLower(strings.TrimSpace(name))
		i := slices.IndexFunc(importColumns, func(c column) bool { return c.Name == name || strings.EqualFold(c.Chinese, name) })
		if i < 0 {
			problems = append(problems, lineProblem{1, l.say("There is no column %q; the columns are listed below.", name)})
			continue
		}
		columns = append(columns, importColumns[i])
	}
	if problems == nil && !slices.ContainsFunc(columns, func(c column) bool { return c.Name == "number" }) {
		problems = []lineProblem{{1, l.say("The first line names the columns; number is missing.")}}
	}
	return columns, problems
}

// platformNames are what people call platforms.
var platformNames = map[string]string{"淘宝": order.Taobao, "天猫": order.Taobao, "taobao": order.Taobao, "苏宁": order.Suning, "苏宁易购": order.Suning, "suning": order.Suning, "京东": "JD", "jd": "JD"}

// readTime reads a time as people and spreadsheets write it, in GMT+8 unless it says its
// zone.
func readTime(text string) (string, error) {
	for _, layout := range []string{time.RFC3339, contract.TimeLayout, "2006-1-2 15:04:05", "2006-1-2 15:04", "2006/1/2 15:04:05", "2006/1/2 15:04", "2006-1-2", "2006/1/2"} {
		if at, err := time.ParseInLocation(layout, text, contract.Zone); err == nil {
			return at.Format(time.RFC3339), nil
		}
	}
	return "", errors.New("no time")
}

// readRow makes an order of a row, and one line of it, if the row has one.
func readRow(l language, columns []column, cells []string) (o, line map[string]any, err error) {
	o = map[string]any{"platform": order.Taobao}
	for i, c := range columns {
		value := strings.TrimSpace(cells[i])
		if value == "" {
			continue
		}
		var cell any = value
		switch c.Name {
		case "platform":
			if code, ok := platformNames[strings.ToLower(value)]; ok {
				cell = code
			}
		case "paid_at":
			if cell, err = readTime(value); err != nil {
				return nil, nil, errors.New(l.say("paid_at: %q is no time; write yyyy-MM-dd HH:mm:ss.", value))
			}
		case "accepts_failure":
			if cell, err = strconv.ParseBool(strings.ToLower(value)); err != nil {
				return nil, nil, errors.New(l.say("accepts_failure: %q is neither true nor false.", value))
			}
		}
		if !c.Line {
			o[c.Name] = cell
			continue
		}
		if line == nil {
			line = map[string]any{}
		}
		if name := c.Name; name == "line" {
			line["number"] = cell
		} else {
			line[name] = cell
		}
	}
	if line != nil && line["number"] == nil {
		if len(line) == 1 && line["supplier_code"] != nil { // of the order
			o["supplier_code"] = line["supplier_code"]
			return o, nil, nil
		}
		return nil, nil, errors.New(l.say("The number of the line is missing."))
	}
	return o, line, nil
}
