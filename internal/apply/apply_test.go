package apply

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/order"
)

var sameTime = cmp.Comparer(func(a, b Time) bool { return time.Time(a).Equal(time.Time(b)) })

func TestYAMLAndJSONAreOneFormat(t *testing.T) {
	t.Parallel()
	fromYAML, err := Parse([]byte(`
apps:
  - key: 00123
    protocol: top
    secret: s
    methods: [taobao.qimen.event.produce]
    topics: ["*", {status: QIMEN_CP_OUT, ext_fields: [a]}]
    rate: {per_second: 5}
    expires_at: 2026-01-02 03:04:05
sessions: [{token: t, app_key: 00123}]
orders:
  - {platform: suning, number: 0001, lines: [{number: 00000208117601, quantity: 1.00000, kind: card, state: waiting}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := Parse([]byte("\n{\t\"apps\": [{\"key\": \"00123\", \"protocol\": \"top\", \"secret\": \"s\", \"methods\": [\"taobao.qimen.event.produce\"]," +
		`"topics": ["*", {"status": "QIMEN_CP_OUT", "ext_fields": ["a"]}], "rate": {"per_second": 5}, "expires_at": "2026-01-02 03:04:05"}],` +
		`"sessions": [{"token": "t", "app_key": "00123"}],` +
		`"orders": [{"platform": "suning", "number": "0001", "lines": [{"number": "00000208117601", "quantity": 1.00000, "kind": "card", "state": "waiting"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromYAML, fromJSON, sameTime); diff != "" {
		t.Errorf("- YAML + JSON\n%s", diff)
	}
	if got := fromYAML.Orders[0].Lines[0]; got.Number != "00000208117601" || *got.Quantity != "1.00000" {
		t.Errorf("line %+v", got)
	}
}

func TestTagsAgree(t *testing.T) {
	t.Parallel()
	for _, item := range []any{Document{}, App{}, Rate{}, Topic{}, Session{}, Destination{}, Order{}, Line{}} {
		for field := range reflect.TypeOf(item).Fields() {
			inJSON, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if inYAML := field.Tag.Get("yaml"); inJSON != inYAML || inJSON == "" {
				t.Errorf("%T.%s: JSON %q, YAML %q", item, field.Name, inJSON, inYAML)
			}
		}
	}
}

// The words that the API description offers are those that are accepted.
func TestEnumsAgree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		item  any
		field string
		words []string
	}{
		{App{}, "Protocol", []string{string(contract.TOP), string(contract.Suning)}},
		{App{}, "Authority", []string{string(order.Ledger), string(order.Upstream)}},
		{App{}, "LockUntil", []string{string(order.UntilNotify), string(order.UntilOut)}},
		{Destination{}, "Kind", texts(order.DestinationKinds)},
		{Destination{}, "OnDead", []string{string(order.OnDeadContinue), string(order.OnDeadHold)}},
		{Line{}, "Kind", texts(order.Kinds)},
	} {
		field, _ := reflect.TypeOf(c.item).FieldByName(c.field)
		if got, want := field.Tag.Get("enum"), strings.Join(c.words, ","); got != want {
			t.Errorf("%T.%s offers %s, want %s", c.item, c.field, got, want)
		}
	}
}

func texts[T ~string](words []T) []string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = string(word)
	}
	return list
}

func TestMistakesNameTheirLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"apps:\n  - key: a\n    colour: red\n":                   "line 3: field colour not found",
		"apps:\n  - key: a\n    rate: {per_minute: 1}\n":         "line 3: field per_minute not found",
		"apps:\n  - key: a\n    topics: [{status: ABC, x: 1}]\n": "line 3: field x not found",
		"apps:\n  - key: a\n    expires_at: soon\n":              `line 3: "soon" is no time; write 2026-01-02T15:04:05+08:00`,
		"apps:\n  - key: a\n    key: b\n":                        `line 3: mapping key "key" already defined at line 2`,
		"apps: hush\n":                                           "line 1: another kind of value belongs here than a text",
		"a: [\n":                                                 "line 2: did not find expected node content",
		"a: 1\n b: 2\n":                                          "line 2: mapping values are not allowed in this context",
		"a: 1\n---\nb: 2\n":                                      "expected single document",
		"{\n\"apps\": [\n{\"key\": \"a\",\n\"colour\": 1,\n\"name\": \"n\"\n}]}": "line 4: field colour not found",
		"{\n\"apps\": [\n{\"Key\": \"a\"}]}":                                     "line 3: field Key not found",
		"{\"apps\": [{\"key\": \"a\",\n\"key\": \"b\"}]}":                        `line 2: mapping key "key" already defined at line 1`,
		"{\"apps\": []}\n {}":                                                    "line 2: something follows the document",
		"{\"apps\": [":                                                           "line 1: unexpected EOF",
		"{\"apps\":\n [}":                                                        "line 2: invalid character",
		`{"apps": [{"topics": [{"status": "ABC", "x": 1}]}]}`:                    "line 1: field x not found",
		`{"apps": [{"rate": {"per_second": "hush"}}]}`:                           "line 1: another kind of value belongs here than a text",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "apply.") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", " \n", "# nothing\n\n# but comments\n", "{}"} {
		if d, err := Parse([]byte(text)); err != nil || len(d.Apps) != 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// JSON numbers and texts keep what they are: digits, emoji, escapes.
func TestJSONValues(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(`{"apps":[{"key":30753531820144197001122,"name":"\ud83d\ude00\/\u0026\t\"","seller":null,"expires_at":null,"methods":[]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if a := d.Apps[0]; a.Key != "30753531820144197001122" || a.Name != "😀/&\t\"" || a.Seller != "" || a.ExpiresAt != nil || a.Methods == nil || len(*a.Methods) != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestOrdersAsArrayAndLines(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`[{"platform":"taobao","number":"1"},{"platform":"taobao","number":"2"}]`,
		"{\"platform\":\"taobao\",\"number\":\"1\"}\n\n {\"platform\":\"taobao\",\"number\":\"2\"} \r\n",
	} {
		if orders, err := ParseOrders([]byte(text)); err != nil || len(orders) != 2 || orders[1].Number != "2" {
			t.Errorf("%s: %+v, %v", text, orders, err)
		}
	}
	for text, want := range map[string]string{
		"\n\n{\"number\":\"1\"}\n{\"nummer\":\"2\"}": "line 4: field nummer not found",
		"[{\"number\":\"1\"},\n{\"x\":1}]":           "line 2: field x not found",
		"nonsense":                                   "line 1: invalid character",
		"{} {}":                                      "line 1: something follows",
	} {
		if _, err := ParseOrders([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Setenv("OG_SECRET", `a: "b" # ${OG_OTHER}`)
	t.Setenv("OG_NUMBER", "0012")
	t.Setenv("OG_RATE", "7")
	t.Setenv("OG_WHEN", "2026-01-02 03:04:05")
	for _, text := range []string{
		"apps:\n  - key: ${OG_NUMBER}\n    secret: ${OG_SECRET}\n    name: x-${OG_NUMBER}-${OG_NUMBER}\n    rate: {per_second: 7}\n    expires_at: ${OG_WHEN}\n",
		"apps:\n  - key: '${OG_NUMBER}'\n    secret: \"${OG_SECRET}\"\n    name: x-${OG_NUMBER}-${OG_NUMBER}\n    rate:\n      per_second: ${OG_RATE}\n    expires_at: ${OG_WHEN}\n",
		`{"apps": [{"key": "${OG_NUMBER}", "secret": "${OG_SECRET}", "name": "x-${OG_NUMBER}-${OG_NUMBER}", "rate": {"per_second": 7}, "expires_at": "${OG_WHEN}"}]}`,
	} {
		first, expanded, err := Expand([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := Parse(expanded) // what is sent is what was read
		if err != nil {
			t.Fatalf("%s: %v", expanded, err)
		}
		for _, d := range []*Document{first, again} {
			if a := d.Apps[0]; a.Key != "0012" || string(a.Secret) != `a: "b" # ${OG_OTHER}` || a.Name != "x-0012-0012" || a.Rate.PerSecond != 7 || time.Time(*a.ExpiresAt).Hour() != 3 {
				t.Errorf("%s: got %+v of %s", text, a, expanded)
			}
		}
	}
	for text, want := range map[string]string{
		"apps:\n  - key: a\n    secret: ${OG_UNSET_1}\n":  "line 3: environment variable not set: OG_UNSET_1",
		"{\n\"apps\": [{\"secret\": \"${OG_UNSET_1}\"}]}": "line 2: environment variable not set: OG_UNSET_1",
	} {
		if _, _, err := Expand([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	bad, empty, wrong := order.Kind("car"), Quantity(""), order.State("flying")
	d := &Document{
		Apps: []App{
			{Key: " ", Protocol: "ftp", Authority: "me", IPAllow: []string{"1.2.3.4", "here"}, Rate: &Rate{PerSecond: -1}, Topics: &[]Topic{{Status: "*"}, {Status: "qimen_cp_out"}}},
			{Key: "a", Protocol: contract.TOP, Secret: " "},
			{Key: "a", Protocol: contract.TOP, Secret: "s"},
			{Key: "b", Protocol: contract.Suning, Secret: "s", Options: map[string]string{"json": "maybe", "no_such": "1", "sign": "any"}},
			{Key: "c", Protocol: contract.TOP, Secret: "s", Options: map[string]string{"json": "strict"}},
		},
		Sessions: []Session{{Token: "", AppKey: ""}},
		Orders:   []Order{{}, {Platform: "taobao", Number: "1", Lines: []Line{{Kind: &bad, Quantity: &empty, State: &wrong}, {Number: "1"}, {Number: "1"}}}},
	}
	_, err := d.Resolve()
	mistakes, ok := errors.AsType[order.Mistakes](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, m := range mistakes {
		got = append(got, m.Location)
	}
	want := []string{
		"apps[0].key", "apps[0].protocol", "apps[0].authority", "apps[0].topics[1]", "apps[0].ip_allow[1]", "apps[0].rate", "apps[1].secret", "apps[2].key",
		"apps[3].options.json", "apps[3].options.no_such", "apps[4].options.json",
		"sessions[0].token", "sessions[0].app_key", "orders[0].number", "orders[0].platform",
		"orders[1].lines[0].number", "orders[1].lines[0].kind", "orders[1].lines[0].state", "orders[1].lines[0].quantity", "orders[1].lines[2].number",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want - got +\n%s\n%v", diff, err)
	}
	if _, err := (&Document{Orders: make([]Order, MaxOrders+1)}).Resolve(); !errors.As(err, &mistakes) || len(mistakes) != 1 {
		t.Errorf("too many orders: %v", err)
	}
	for state, ok := range map[order.State]bool{order.Shipped: true, order.Waiting: true, order.Out: false} {
		_, err := (&Document{Orders: []Order{{Platform: "suning", Number: "1", Lines: []Line{{Number: "1", State: &state}}}}}).Resolve()
		if (err == nil) != ok {
			t.Errorf("a Suning line in state %s: %v", state, err)
		}
	}
}

// *** is how a secret reads back, and keeps the present one; a masked token names
// no session.
func TestMaskedSecrets(t *testing.T) {
	t.Parallel()
	got, err := (&Document{Apps: []App{{Key: "a", Protocol: contract.TOP, Secret: "***"}}}).Resolve()
	if err != nil || got.Apps[0].Secret != "" {
		t.Errorf("%v, %v", got.Apps, err)
	}
	if _, err := (&Document{Sessions: []Session{{Token: "***", AppKey: "a"}}}).Resolve(); err == nil {
		t.Error("a masked token is taken for one")
	}
}

func TestSellerOfSuningOrders(t *testing.T) {
	t.Parallel()
	code, other := "10042869", "7"
	for name, c := range map[string]struct {
		order Order
		want  string
	}{
		"given":          {Order{Platform: "suning", Seller: "s", SupplierCode: &code}, "s"},
		"on the order":   {Order{Platform: "suning", SupplierCode: &code, Lines: []Line{{Number: "1", SupplierCode: &other}}}, "10042869"},
		"on a line":      {Order{Platform: "suning", Lines: []Line{{Number: "1"}, {Number: "2", SupplierCode: &code}}}, "10042869"},
		"nowhere":        {Order{Platform: "suning"}, ""},
		"not for Taobao": {Order{Platform: "taobao", SupplierCode: &code}, ""},
	} {
		c.order.Number = "1"
		got, err := (&Document{Orders: []Order{c.order}}).Resolve()
		if err != nil || got.Orders[0].Seller != c.want {
			t.Errorf("%s: seller %q, %v; want %q", name, got.Orders[0].Seller, err, c.want)
		}
	}
}

// What is shown can be declared again.
func TestAppsReadBack(t *testing.T) {
	t.Parallel()
	in := App{
		Key: "kept", Protocol: contract.TOP, Authority: order.Upstream, Name: "n", Seller: "s", SupplierCode: "c", Methods: &[]string{},
		Topics: &[]Topic{{Status: "*"}, {Status: "XYZ", ExtFields: []string{"a"}}}, IPAllow: []string{"1.2.3.4", "10.0.0.0/8", "::1"},
		Rate: &Rate{PerSecond: 1, PerDay: 2}, ExpiresAt: AsTime(time.Date(2026, 1, 2, 3, 4, 5, 0, contract.Zone)),
	}
	resolved, err := (&Document{Apps: []App{in}}).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	out := AppOf(resolved.Apps[0])
	out.Secret = ""
	if diff := cmp.Diff(in, out, sameTime); diff != "" {
		t.Errorf("declared - shown +\n%s", diff)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-01-02T03:04:05Z":          "2026-01-02T11:04:05+08:00",
		"2026-01-02T03:04:05":           "2026-01-02T03:04:05+08:00",
		"2026-01-02 03:04:05":           "2026-01-02T03:04:05+08:00",
		"2026-01-02T03:04:05.125+01:00": "2026-01-02T10:04:05.125+08:00",
	} {
		var at Time
		if err := at.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		var again Time
		encoded, err := json.Marshal(at)
		if err != nil || string(encoded) != `"`+want+`"` {
			t.Errorf("%s: got %s, %v; want %s", text, encoded, err, want)
		}
		if err := json.Unmarshal(encoded, &again); err != nil || !time.Time(again).Equal(time.Time(at)) {
			t.Errorf("%s: reads back as %v, %v", text, time.Time(again), err)
		}
	}
}

// The guide's documents are good, and it names every word and number.
func TestGuide(t *testing.T) {
	t.Setenv("APP_SECRET", "s")
	data, err := os.ReadFile("../../docs/apply.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d documents", len(blocks))
	}
	for _, block := range blocks {
		d, _, err := Expand([]byte(block[1]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Resolve(); err != nil {
			t.Errorf("%s\n%v", block[1], err)
		}
	}
	words := []string{fmt.Sprintf("%d,%03d", MaxOrders/1000, MaxOrders%1000)}
	for _, kind := range order.Kinds {
		words = append(words, string(kind))
	}
	for _, state := range slices.Concat(order.States(order.Taobao), order.States(order.Suning)) {
		words = append(words, string(state))
	}
	for _, item := range []any{Document{}, App{}, Rate{}, Topic{}, Session{}, Destination{}, Order{}, Line{}} {
		for field := range reflect.TypeOf(item).Fields() {
			words = append(words, field.Tag.Get("yaml")+":")
		}
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("docs/apply.md does not speak of %s", word)
		}
	}
}

// The demo has what the pages' examples need.
func TestDemo(t *testing.T) {
	t.Parallel()
	d, err := Demo()
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := d.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	if len(resolved.Apps) != 3 || len(resolved.Sessions) != 2 || len(resolved.Orders) != 3 {
		t.Errorf("%d apps, %d sessions, %d orders", len(resolved.Apps), len(resolved.Sessions), len(resolved.Orders))
	}
	if paid := resolved.Orders[0].PaidAt; time.Since(*paid).Abs() > time.Minute {
		t.Errorf("the Suning order is paid at %v, want the start", paid)
	}
}
