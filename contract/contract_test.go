package contract_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/ordergate/ordergate/contract"
)

func TestRoots(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{ // docs/protocol/top.md 7
		"taobao.qimen.event.produce":     "qimen_event_produce_response",
		"alibaba.aliqin.secret.axb.bind": "alibaba_aliqin_secret_axb_bind_response",
		"taobao.bcpush.isv.event.emit":   "bcpush_isv_event_emit_response",
		// docs/protocol/suning.md 1.3
		"suning.selfmarket.leaguerstatus.add": "addLeaguerstatus",
		"suning.common.systime.get":           "getSystime",
		"suning":                              "suning",
		"suning..add":                         "add",
	} {
		if got := contract.Define[struct{}, struct{}](contract.API{Method: method, Protocol: protocolOf(method)}).Root(); got != want {
			t.Errorf("%s: root %s, want %s", method, got, want)
		}
	}
}

func protocolOf(method string) contract.Protocol {
	if strings.HasPrefix(method, "suning") {
		return contract.Suning
	}
	return contract.TOP
}

func TestMethodsAreUnique(t *testing.T) {
	t.Parallel()
	for _, api := range contract.All {
		if found, ok := contract.ByMethod(api.Method); !ok || found != api {
			t.Errorf("%s is listed and not found", api.Method)
		}
	}
	if _, ok := contract.ByMethod("taobao.trade.get"); ok {
		t.Error("taobao.trade.get is found")
	}
}

// A request survives the way to the wire and back.
func TestParamsDecode(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, 100)
		want := contract.EventProduceRequest{
			Status: "ABC" + text.Draw(t, "status"), OrderID: "1" + text.Draw(t, "tid"), Extension: text.Draw(t, "ext"),
			Platform: text.Draw(t, "platform"), Created: text.Draw(t, "create"), Nick: text.Draw(t, "nick"),
		}
		params := contract.EventProduce.Params(want)
		got, err := contract.EventProduce.Decode(func(name string) (string, bool) {
			i := slices.IndexFunc(params, func(p contract.Param) bool { return p.Name == name })
			if i < 0 {
				return "", false
			}
			return params[i].Value, true
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []*string{&want.Extension, &want.Platform, &want.Created, &want.Nick} {
			if contract.Blank(*field) { // a blank value is not sent
				*field = ""
			}
		}
		if *got.(*contract.EventProduceRequest) != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestMasking(t *testing.T) {
	t.Parallel()
	api := contract.Define[struct{ A, B string }, struct{}](contract.API{Request: []contract.Field{{Name: "cardSec", Go: "A", Secret: true}, {Name: "tid", Go: "B"}}})
	params := []contract.Param{{Name: "cardSec", Value: "hush"}, {Name: "other", Value: "x"}, {Name: "session", Value: "hush"}, {Name: "tid", Value: "1"}}
	if got, want := fmt.Sprint(api.Masked(params)), "[{cardSec ***} {other x} {session ***} {tid 1}]"; got != want || params[0].Value != "hush" {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBrokenTablesPanic(t *testing.T) {
	t.Parallel()
	type bound struct{ A string }
	for name, define := range map[string]func(){
		"row without a field": func() {
			contract.Define[struct{}, struct{}](contract.API{Request: []contract.Field{{Name: "a", Go: "A"}}})
		},
		"field without a row": func() { contract.Define[bound, struct{}](contract.API{}) },
		"two rows of a name": func() {
			contract.Define[struct{ A, B string }, struct{}](contract.API{Request: []contract.Field{{Name: "a", Go: "A"}, {Name: "a", Go: "B"}}})
		},
		"wrong type": func() {
			contract.Define[bound, struct{}](contract.API{Request: []contract.Field{{Name: "a", Go: "A", Type: contract.Boolean}}})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			define()
		}()
	}
}

func TestBlank(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", " ", "\t\r\n\v\f", "\x1c\x1d\x1e\x1f", "\u3000", "\u2003", "\u2028"} {
		if !contract.Blank(s) {
			t.Errorf("%q is not blank", s)
		}
	}
	for _, s := range []string{"0", " x", "\u00a0", "\u2007", "\u202f", "\x00", "\u200b", "\ufeff"} {
		if contract.Blank(s) {
			t.Errorf("%q is blank", s)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	holder := struct{ S contract.Secret }{"hush"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", holder.S, "h", holder)
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	prints := []string{log.String(), string(encoded), holder.S.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		prints = append(prints, fmt.Sprintf(verb, holder), fmt.Sprintf(verb, holder.S), fmt.Sprintf(verb, &holder))
	}
	for _, p := range prints {
		if strings.Contains(p, "hush") || strings.Contains(p, "68757368") || !strings.Contains(p, contract.Masked) {
			t.Errorf("printed %s", p)
		}
	}
}

func TestErrorsNameTheirRow(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("wrapped: %w", contract.About(contract.InvalidParameter, "create"))
	if !errors.Is(err, contract.InvalidParameter) || errors.Is(err, contract.BrokenJSON) {
		t.Errorf("%v", err)
	}
	if err := contract.About(contract.MissingArgument, "tid"); !errors.Is(err, contract.MissingArgument) || !strings.Contains(err.Error(), "tid") {
		t.Errorf("%v", err)
	}
	for f := range contract.TOPFaults {
		if f > 0 && (contract.Fault(f).Error() == "" || contract.Fault(f).Error() == "unknown fault") {
			t.Errorf("fault %d has no name", f)
		}
	}
	if contract.Fault(0).Error() != "unknown fault" || contract.Fault(-1).Error() != "unknown fault" {
		t.Error("a fault outside the table")
	}
}

// The writers of answers agree with the standard library's readers.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "状态已经回流", `a"b\c`, "\x00\x1f\x7f", "<&>]]>", "😀", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		valid := strings.ToValidUTF8(s, "\ufffd")
		var got string
		encoded := contract.AppendJSONString(nil, s)
		if err := json.Unmarshal(encoded, &got); err != nil {
			t.Fatalf("%q: %s: %v", s, encoded, err)
		}
		if utf8.ValidString(s) && got != valid {
			t.Fatalf("%q: JSON reads back as %q", s, got)
		}
		var element struct {
			Text string `xml:",chardata"`
		}
		document := contract.AppendElement(nil, "a", s)
		if err := xml.Unmarshal(document, &element); err != nil {
			t.Fatalf("%q: %s: %v", s, document, err)
		}
	})
}
