package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rawPost is a request as it came.
func rawPost(target, contentType, body string, headers ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: %s\r\n", target, contentType)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return []byte(b.String())
}

// However a stranger writes a secret, what people see of the request does not hold it: nor
// do they see it in the text that is to be signed.
func TestPresentHidesSecrets(t *testing.T) {
	t.Parallel()
	const form, json, xml = "application/x-www-form-urlencoded", "application/json", "text/xml"
	suning := func(body string) []byte {
		return rawPost(SuningPath, json, body, "appMethod: suning.selfmarket.leaguerstatus.add", "appKey: 1", "signInfo: x")
	}
	part := func(head string) []byte {
		return rawPost(TOPPath+"?app_key=1", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; "+head+"\r\n\r\nS3CRET\r\n--x--\r\n")
	}
	for name, raw := range map[string][]byte{
		"query":               rawPost(TOPPath+"?session=S3CRET&app_key=1", form, ""),
		"form":                rawPost(TOPPath, form, "app_key=1&session=S3CRET"),
		"escaped name, form":  rawPost(TOPPath, form, "sess%69on=S3CRET"),
		"escaped name, query": rawPost(TOPPath+"?%73ession=S3CRET", form, ""),
		"twice":               rawPost(TOPPath, form, "session=S3CRET&session=S3CRET"),
		"upper case":          rawPost(TOPPath, form, "SESSION=S3CRET&App_Secret=S3CRET&secret=S3CRET&access_token=S3CRET"),
		"batch":               rawPost(BatchPath, "text/plain", "method=a&session=S3CRET\r\n-S-\r\nmethod=b&sess%69on=S3CRET"),
		"batch, shared":       rawPost(BatchPath, "text/plain", "#PUBLIC#session=S3CRET\r\n-S-\r\nmethod=a"),
		"batch, separator":    rawPost(BatchPath, "text/plain", "method=x||session=S3CRET", "Top-Api-Separator: ||"),
		"part":                part(`name="session"`), "part, bare": part("name=session"), "part, spaced": part(`name = "session"`), "part, extended": part("name*=utf-8''session"),
		"part, empty line":    rawPost(TOPPath, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"session\"\r\n\r\n\r\nS3CRET\r\n--x--\r\n"),
		"authorization":       rawPost(TOPPath, form, "", "Authorization: Bearer S3CRET", "Proxy-Authorization: S3CRET", "Cookie: a=S3CRET", "X-Anything: S3CRET"),
		"document":            rawPost(TOPPath+"?app_key=1&method=taobao.qimen.event.produce", json, `{"session":"S3CRET"}`),
		"document, broken":    rawPost(TOPPath+"?app_key=1", json, `{"session":"S3CRET`),
		"json in a parameter": rawPost(TOPPath, form, `ext=%7B%22cardSec%22%3A%22S3CRET%22%7D`),
		"json, escaped twice": rawPost(TOPPath, form, `ext=%257B%2522cardSec%2522%253A%2522S3CRET%2522%257D`),
		"header":              rawPost(SuningPath, json, "{}", "appMethod: x", "access_token: S3CRET"),
		"card":                suning(`{"sn_request":{"sn_body":{"addLeaguerstatus":{"cardList":[{"cardSec":"S3CRET","cardCode":"S3CRET"}]}}}}`),
		"card, escaped name":  suning(`{"card\u0053ec":"S3CRET"}`), "card, list": suning(`{"cardSec":["S3CRET"]}`), "card, object": suning(`{"cardSec":{"a":"S3CRET"}}`),
		"card, in a text": suning(`{"a":"{\"cardSec\":\"S3CRET\"}"}`), "card, deep in texts": suning(`{"a":"{\"b\":\"{\\\"cardSec\\\":\\\"S3CRET\\\"}\"}"}`),
		"card, python": suning(`{'cardSec': 'S3CRET'}`), "card, broken": suning(`{"cardSec":"S3CRET`), "card, form": suning(`data=%7B%22cardSec%22%3A%22S3CRET%22%7D`),
		"xml": suning(`<a><cardSec>S3CRET</cardSec></a>`), "xml, cdata": suning(`<a><cardSec><![CDATA[S3CRET]]></cardSec></a>`), "xml, spaced": suning(`<a><cardSec >S3CRET</cardSec ></a>`),
		"xml, attribute": suning(`<a><cardSec type="s">S3CRET</cardSec></a>`), "xml, comment": suning(`<a><cardSec><!-- x -->S3CRET</cardSec></a>`), "xml, space": suning(`<n:a xmlns:n="u"><n:cardSec>S3CRET</n:cardSec></n:a>`),
		"xml, broken": suning(`<a><cardSec>S3CRET`), "xml, in a text": suning(`<a><b>&lt;cardSec&gt;S3CRET&lt;/cardSec&gt;</b></a>`), "xml attribute": suning(`<a cardSec="S3CRET"/>`),
		"spi":          rawPost(SPIPath+"?app_key=1&method=x&session=S3CRET", json, `{"session":"S3CRET","cardSec":"S3CRET"}`),
		"spi, xml":     rawPost(SPIPath+"?app_key=1", xml, `<request><session>S3CRET</session></request>`),
		"spi, headers": rawPost(SPIPath+"?app_key=1&method=x", json, "{}", "top-sign-list: authorization,access_token", "authorization: S3CRET", "access_token: S3CRET"),
		"no request":   []byte("session=S3CRET"),
	} {
		for _, shown := range []string{Present(raw, false), Present(raw, true)} {
			if strings.Contains(shown, "S3CRET") || shown == "" {
				t.Errorf("%s is shown as\n%s", name, shown)
			}
		}
		for _, reverse := range []bool{false, true} {
			r, err := ParseRequest(raw)
			if err != nil {
				continue
			}
			if f, err := Explain(r, reverse, "helloworld", time.Now()); err == nil && strings.Contains(f.Signed, "S3CRET") {
				t.Errorf("%s: what is to be signed is shown as\n%s", name, f.Signed)
			}
		}
	}
}

// What is no secret is shown, as the decoders read it.
func TestPresentShowsTheRest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw  []byte
		want []string
	}{
		{rawPost(TOPPath+"?app_key=1&sign=AB", "application/x-www-form-urlencoded", "tid=1%2B2&text=%E5%B7%A5%E5%8D%95+the+session+is+over"), []string{"POST /router/rest\n", "app_key=1\n", "sign=AB\n", "tid=1+2\n", "text=工单 the session is over\n"}},
		{rawPost(BatchPath, "text/plain", "method=a&tid=1\r\n-S-\r\nmethod=b&tid=2"), []string{"call 1\n", "tid=1\n", "call 2\n", "tid=2\n"}},
		{rawPost(SuningPath, "application/json", `{"sn_request":{"sn_body":{"a":{"orderId":"9","cardList":[{"cardSec":"x"}],"n":1.50,"t":true,"z":null}}}}`, "appMethod: m", "signInfo: s"), []string{"Appmethod: m\n", "Signinfo: s\n", `"orderId": "9"`, `"cardList": "***"`, `"n": 1.50`, `"z": null`}},
		{rawPost(SPIPath+"?app_key=1", "text/xml", "<request><sellerNick>n</sellerNick></request>"), []string{"app_key=1\n", `"sellerNick": "n"`}},
	} {
		got := Present(c.raw, false)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s\nis shown as\n%s\nwithout %q", c.raw, got, want)
			}
		}
	}
}

// A request that is refused before it is read says which order it is about all the same.
func TestOrderOf(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	for want, raw := range map[string][]byte{
		"77":  rawPost(TOPPath+"?method=taobao.qimen.event.produce", form, "tid=77&sign=wrong"),
		"78":  rawPost(QimenPath, form, "method=qimen.taobao.qianniu.cloudkefu.order.self.intercept&bizOrder=%7B%22tid%22%3A%2278%22%7D"),
		"79":  rawPost(SuningPath, "application/json", `{"sn_request":{"sn_body":{"addLeaguerstatus":{"orderId":"79"}}}}`, "appMethod: suning.selfmarket.leaguerstatus.add", "signInfo: x"),
		"80":  rawPost(SuningPath, "text/xml", `<sn_request><sn_body><addLeaguerstatus><orderId>80</orderId></addLeaguerstatus></sn_body></sn_request>`, "appMethod: suning.selfmarket.leaguerstatus.add", "signInfo: x"),
		"81":  rawPost(SPIPath+"?method=qimen.taobao.qianniu.cloudkefu.order.self.intercept", "application/json", `{"bizOrder":{"tid":"81"}}`),
		"":    rawPost(TOPPath+"?method=none", form, "tid=77"),
		"123": rawPost(TOPPath, form, "method=taobao.bcpush.isv.event.emit&biz_order_id=123"),
	} {
		if got := OrderOf(raw, false); got != want {
			t.Errorf("%s\nis about %q, want %q", raw, got, want)
		}
	}
	const suning = "appMethod: suning.selfmarket.leaguerstatus.add"
	for _, raw := range [][]byte{
		[]byte("no request"),
		rawPost(SuningPath, "text/xml", "<orderId>80", suning, "signInfo: x"),
		rawPost(SuningPath, "text/xml", "<orderId", suning, "signInfo: x"),
		rawPost(SuningPath, "application/json", `{"orderId":`, suning, "signInfo: x"),
		rawPost(SuningPath, "application/json", "", suning, "signInfo: x"),
	} {
		if got := OrderOf(raw, false); got != "" {
			t.Errorf("%s\nis about %q", raw, got)
		}
	}
}
