package wire_test

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

const id = "zzp0c5fj10y3"

var (
	xmlFormat        = wire.Format{}
	jsonFormat       = wire.Format{JSON: true}
	simplifiedFormat = wire.Format{JSON: true, Simplify: true}
)

// The answers of docs/protocol/top.md 7, byte for byte.
func TestAnswers(t *testing.T) {
	t.Parallel()
	top := wire.TOP{}
	produced := func(f wire.Format) wire.Answer {
		return top.Reply(f, contract.EventProduce, &contract.EventProduceReply{Success: true}, id)
	}
	refuse := func(f wire.Format, err error) wire.Answer { return top.Refuse(f, top.Word(nil, err, id)) }
	const jsonType, xmlType = "text/javascript;charset=UTF-8", "text/xml;charset=UTF-8"
	for name, c := range map[string]struct {
		got         wire.Answer
		contentType string
		body        string
	}{
		"json":             {produced(jsonFormat), jsonType, `{"qimen_event_produce_response":{"is_success":true,"request_id":"zzp0c5fj10y3"}}`},
		"simplified":       {produced(simplifiedFormat), jsonType, `{"is_success":true,"request_id":"zzp0c5fj10y3"}`},
		"xml":              {produced(xmlFormat), xmlType, `<?xml version="1.0" encoding="utf-8" ?><qimen_event_produce_response><is_success>true</is_success><request_id>zzp0c5fj10y3</request_id></qimen_event_produce_response>`},
		"fault":            {refuse(jsonFormat, contract.BadSign), jsonType, `{"error_response":{"code":25,"msg":"Invalid signature","request_id":"zzp0c5fj10y3"}}`},
		"simplified fault": {refuse(simplifiedFormat, contract.BadSign), jsonType, `{"error_response":{"code":25,"msg":"Invalid signature","request_id":"zzp0c5fj10y3"}}`},
		"xml fault":        {refuse(xmlFormat, contract.BadTimestamp), xmlType, `<?xml version="1.0" encoding="utf-8" ?><error_response><code>31</code><msg>Invalid timestamp</msg><request_id>zzp0c5fj10y3</request_id></error_response>`},
		"ban":              {refuse(jsonFormat, contract.About(contract.Throttled, "31062")), jsonType, `{"error_response":{"code":7,"msg":"App Call Limited","sub_code":"accesscontrol.limited-by-app-access-count","sub_msg":"This ban will last for 31062 more seconds","request_id":"zzp0c5fj10y3"}}`},
		"missing":          {refuse(jsonFormat, contract.About(contract.MissingArgument, "tid")), jsonType, `{"error_response":{"code":40,"msg":"Missing required arguments:tid","request_id":"zzp0c5fj10y3"}}`},
		"refusal":          {refuse(jsonFormat, contract.AlreadyBackflow), jsonType, `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isv.invalid-param: status has already backflow","sub_msg":"状态已经回流","request_id":"zzp0c5fj10y3"}}`},
		"refusal, detail":  {refuse(xmlFormat, contract.About(contract.InvalidParameter, "create")), xmlType, `<?xml version="1.0" encoding="utf-8" ?><error_response><code>50</code><msg>Remote service error</msg><sub_code>isv.invalid-parameter:create</sub_code><sub_msg>非法参数</sub_msg><request_id>zzp0c5fj10y3</request_id></error_response>`},
		"unforeseen":       {refuse(jsonFormat, errors.New("disk <full> with a secret")), jsonType, `{"error_response":{"code":10,"msg":"Service currently unavailable","sub_code":"isp.remote-service-error","request_id":"zzp0c5fj10y3"}}`},
	} {
		if c.got.ContentType != c.contentType || string(c.got.Body) != c.body {
			t.Errorf("%s:\n got %s %s\nwant %s %s", name, c.got.ContentType, c.got.Body, c.contentType, c.body)
		}
		if len(c.got.Body) < 20 { // the vendor's Go SDK slices the first 20 bytes
			t.Errorf("%s: shorter than 20 bytes", name)
		}
	}
}

// What the server writes the client reads, in every format.
func TestAnswersUnseal(t *testing.T) {
	t.Parallel()
	top := wire.TOP{}
	for _, f := range []wire.Format{xmlFormat, jsonFormat, simplifiedFormat} {
		reply, err := top.Unseal(contract.EventProduce, top.Reply(f, contract.EventProduce, &contract.EventProduceReply{Success: true}, id).Body)
		if got, ok := reply.(*contract.EventProduceReply); err != nil || !ok || !got.Success {
			t.Errorf("%+v: %v, %v", f, reply, err)
		}
		for fault := contract.BadEncoding; fault <= contract.BusinessRefused; fault++ {
			if contract.TOPFaults[fault].Code == "" {
				continue // Suning's
			}
			sent := top.Word(nil, contract.About(fault, "7"), id)
			_, err := top.Unseal(contract.EventProduce, top.Refuse(f, sent).Body)
			refused, ok := errors.AsType[*contract.Refused](err)
			if !ok || !errors.Is(err, fault) || refused.Text != sent.Text || refused.SubText != sent.SubText || refused.RequestID != id {
				t.Errorf("%+v, %v: got %v", f, fault, err)
			}
		}
		for _, refusal := range contract.EventProduce.Refusals {
			_, err := top.Unseal(contract.EventProduce, top.Refuse(f, top.Word(nil, refusal, id)).Body)
			if !errors.Is(err, refusal) {
				t.Errorf("%+v, %v: got %v", f, refusal, err)
			}
		}
		_, err = top.Unseal(contract.EventProduce, top.Refuse(f, top.Word(nil, contract.About(contract.InvalidParameter, "create"), id)).Body)
		if !errors.Is(err, contract.InvalidParameter) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// The page's full example is read whole, in XML and in JSON.
func TestUnsealEmitPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../testdata/pages/bcpush-isv-event-emit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```xml\n")
	example, _, _ = strings.Cut(example, "```")
	want := contract.EventEmitReply{Result: contract.EventEmitResult{
		OriginError: "demo", Solution: "demo", Attachment: "demo", Success: true, Module: true, ErrorMessage: "demo", Cause: "demo", ErrorCode: "0", Version: "demo", Exception: "demo",
	}}
	inner := `"result":{"origin_error_msg":"demo","solution":"demo","attachment":"demo","success":true,"module":true,"error_message":"demo","cause":"demo","error_code":0,"version":"demo","exc_enum":"demo"}`
	for _, body := range []string{example, `{"bcpush_isv_event_emit_response":{` + inner + `}}`, `{` + inner + `}`, strings.Replace(`{`+inner+`}`, "true", `"TRUE"`, 1)} {
		reply, err := wire.TOP{}.Unseal(contract.EventEmit, []byte(body))
		if err != nil || *reply.(*contract.EventEmitReply) != want {
			t.Errorf("%s: %+v, %v", body, reply, err)
		}
	}
}

// A list is read in every shape that real gateways give it.
func TestUnsealLists(t *testing.T) {
	t.Parallel()
	const yes, no = `{"is_success":true}`, `{"is_success":false,"error_code":"c","error_message":"m"}`
	const xmlYes, xmlNo = `<is_success>true</is_success>`, `<is_success>false</is_success><error_code>c</error_code><error_message>m</error_message>`
	for body, want := range map[string]int{
		`{"qimen_events_produce_response":{"is_all_success":false,"results":{"qimen_result":[` + yes + `,` + no + `]}}}`: 2,
		`{"is_all_success":false,"results":[` + yes + `,` + no + `]}`:                                                    2,
		`{"is_all_success":false,"results":[` + no + `]}`:                                                                1,
		`{"is_all_success":false,"results":{"qimen_result":` + no + `}}`:                                                 1,
		`{"is_all_success":false,"results":[]}`:                                                                          0,
		`{"is_all_success":false,"results":{}}`:                                                                          0,
		`{"is_all_success":false,"results":null}`:                                                                        0,
		`{"is_all_success":false}`:                                                                                       0,
		`<qimen_events_produce_response><is_all_success>false</is_all_success><results><qimen_result>` + xmlYes + `</qimen_result><qimen_result>` + xmlNo + `</qimen_result></results></qimen_events_produce_response>`: 2,
		`<qimen_events_produce_response><is_all_success>false</is_all_success><results><qimen_result>` + xmlNo + `</qimen_result></results></qimen_events_produce_response>`:                                            1,
		`<qimen_events_produce_response><is_all_success>false</is_all_success><results>` + xmlYes + `</results><results>` + xmlNo + `</results></qimen_events_produce_response>`:                                        2,
		`<qimen_events_produce_response><is_all_success>false</is_all_success><results>` + xmlNo + `</results></qimen_events_produce_response>`:                                                                         1,
		`<qimen_events_produce_response><is_all_success>false</is_all_success><results/></qimen_events_produce_response>`:                                                                                               0,
	} {
		reply, err := wire.TOP{}.Unseal(contract.EventsProduce, []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		got := reply.(*contract.EventsProduceReply)
		if got.AllSuccess || len(got.Results) != want {
			t.Errorf("%s: %+v, want %d results", body, got, want)
		}
		if n := len(got.Results); n > 0 && (got.Results[n-1] != contract.EventResult{ErrorCode: "c", ErrorText: "m"}) {
			t.Errorf("%s: last is %+v", body, got.Results[n-1])
		}
		if n := len(got.Results); n == 2 && (got.Results[0] != contract.EventResult{Success: true}) {
			t.Errorf("%s: first is %+v", body, got.Results[0])
		}
	}
}

// Answers as real gateways print them.
func TestUnsealForeignAnswers(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"the page's XML": "<qimen_event_produce_response>\n    <is_success>true</is_success>\n</qimen_event_produce_response>",
		"host comment":   `<?xml version="1.0" encoding="utf-8" ?><qimen_event_produce_response><is_success>true</is_success></qimen_event_produce_response><!--top010179031191.s.et2-->`,
		"text boolean":   `{"qimen_event_produce_response":{"is_success":"true"}}`,
	} {
		reply, err := wire.TOP{}.Unseal(contract.EventProduce, []byte(body))
		if got, ok := reply.(*contract.EventProduceReply); err != nil || !ok || !got.Success {
			t.Errorf("%s: %v, %v", name, reply, err)
		}
	}
	for _, body := range []string{"", "null", "[]", "<html><body>502</body></html>", `{"other_response":{}}`, `{"error":"proxy"}`, `{"qimen_event_produce_response":{}}`, `{"message":"x","code":1}`, `{}`, `{"error_response":"nope"}`, `{"qimen_event_produce_response":null}`, `<qimen_event_produce_response/>`, `<a><b>`, `{"qimen_event_produce_response":`} {
		if _, err := (wire.TOP{}).Unseal(contract.EventProduce, []byte(body)); !errors.Is(err, wire.ErrNotAnswer) {
			t.Errorf("%q: got %v, want ErrNotAnswer", body, err)
		}
	}
	_, err := wire.TOP{}.Unseal(contract.EventProduce, []byte(`{"error_response":{"code":27,"msg":"Invalid session:session-expired","sub_code":"session-expired"}}`))
	if !errors.Is(err, contract.ExpiredSession) {
		t.Errorf("27 with a longer text: %v", err)
	}
	_, err = wire.TOP{}.Unseal(contract.EventProduce, []byte(`{"request_id":"abc","error_response":{"code":25,"msg":"Invalid signature"}}`))
	if !errors.Is(err, contract.BadSign) {
		t.Errorf("a refusal beside a request id: %v", err)
	}
	reply, err := wire.TOP{}.Unseal(contract.EventProduce, []byte(`{"qimen_event_produce_response":{"is_success":false}}`))
	if err != nil || contract.EventProduce.Yes(reply) {
		t.Errorf("is_success false: %v, %v", reply, err)
	}
	_, err = wire.TOP{}.Unseal(contract.EventProduce, []byte(`{"error_response":{"code":900,"msg":"x","sub_code":"isv.unheard-of"}}`))
	if refused, ok := errors.AsType[*contract.Refused](err); !ok || refused.Row != nil || refused.Code != "900" {
		t.Errorf("an unknown code: %v", err)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	answer := wire.TOP{}.Refuse(jsonFormat, wire.TOP{}.Word(nil, contract.BadSign, id))
	for accept, zipped := range map[string]bool{
		"": false, "identity": false, "gzip": true, "gzip, deflate": true, "deflate,GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0": false, "br, zstd": false, "gzipped": false,
	} {
		r := httptest.NewRequest("POST", "/router/rest", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		if err := (wire.TOP{}).Write(w, r, answer); err != nil {
			t.Fatal(err)
		}
		var body io.Reader = w.Body
		if got := w.Header().Get("Content-Encoding"); (got == "gzip") != zipped {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q", accept, got)
		}
		if zipped {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		got, err := io.ReadAll(body)
		if err != nil || string(got) != string(answer.Body) || w.Code != 200 {
			t.Errorf("Accept-Encoding %q: %d %q, %v", accept, w.Code, got, err)
		}
		for _, header := range []string{"Application-Host", "Location-Host"} {
			if w.Header().Get(header) == "" {
				t.Errorf("no %s", header)
			}
		}
		if got := w.Header().Get("Top-Bodylength"); got != "84" {
			t.Errorf("top-bodylength %q, want the uncompressed 84", got)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id := wire.NewRequestID()
		if !regexp.MustCompile(`^[0-9a-z]{12,13}$`).MatchString(id) || seen[id] {
			t.Fatalf("request id %q", id)
		}
		seen[id] = true
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]wire.Format{
		"": xmlFormat, "format=": xmlFormat, "format=xml&simplify=true": xmlFormat, "format=json": jsonFormat,
		"format=json&simplify=true": simplifiedFormat, "format=json&simplify=false": jsonFormat,
	} {
		if got, ok := open(t, form).Format(); got != want || !ok {
			t.Errorf("%q: got %+v, %t; want %+v", form, got, ok, want)
		}
	}
	for _, name := range []string{"JSON", "json2", "xml2", "yaml", "json+"} {
		if got, ok := open(t, "format="+name).Format(); ok || got != xmlFormat {
			t.Errorf("format=%s: %+v, %t; want XML and no", name, got, ok)
		}
	}
}

func TestNoSecretInSealedErrors(t *testing.T) {
	t.Parallel()
	_, err := wire.TOP{}.Seal(t.Context(), wire.Message{URL: "http://bad host/", Secret: "hush-hush", API: contract.EventProduce})
	if err == nil || strings.Contains(err.Error(), "hush-hush") {
		t.Errorf("got %v", err)
	}
}
