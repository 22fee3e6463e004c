#!/usr/bin/env python3
"""Writes the requests of this folder: one for each mistake that `ordergate verify` knows, named after it.

The signatures are computed here, with Python's hashlib and hmac, as a client with that mistake would.
Secret: helloworld. Received at: 2024-06-18 12:00:00 (GMT+8).
"""
import base64, hashlib, hmac, json, os
from urllib.parse import quote, quote_plus

SECRET = "helloworld"
HERE = os.path.dirname(os.path.abspath(__file__))


def base_params(**more):
    p = {
        "method": "taobao.qimen.event.produce", "app_key": "12345678", "session": "test", "timestamp": "2024-06-18 12:00:00",
        "format": "json", "v": "2.0", "sign_method": "md5", "status": "QIMEN_CP_OUT", "tid": "2895732958732", "nick": "向阳 小店",
    }
    p.update(more)
    return {k: v for k, v in p.items() if v is not None}


def text(params, order=None, body=""):
    names = order or sorted(n for n in params if n != "sign")
    return "".join(n + params[n] for n in names) + body


def digest(method, s, secret=SECRET, encoding="utf-8"):
    b, k = s.encode(encoding, "surrogatepass"), secret.encode()
    if method == "hmac":
        return hmac.new(k, b, hashlib.md5).digest()
    if method == "hmac-sha256":
        return hmac.new(k, b, hashlib.sha256).digest()
    return hashlib.md5(k + b + k).digest()


def sign(params, s=None, secret=SECRET, encoding="utf-8", body=""):
    return digest(params["sign_method"], text(params, body=body) if s is None else s, secret, encoding).hex().upper()


PROTOCOL = ("method", "app_key", "session", "timestamp", "format", "v", "sign_method", "sign")


def form(pairs, encode=quote_plus):
    return "&".join(n + "=" + encode(v) for n, v in pairs)


def write(name, params, body=None, content_type="application/x-www-form-urlencoded;charset=UTF-8", path="/router/rest", query=None, encode=quote_plus):
    """Protocol parameters in the URL, the others in the form, unless body is given."""
    if query is None:
        query = form([(n, params[n]) for n in params if n in PROTOCOL], encode)
    if body is None:
        body = form([(n, params[n]) for n in params if n not in PROTOCOL], encode)
    raw = body.encode()
    head = f"POST {path}?{query} HTTP/1.1\r\nHost: gw.api.taobao.com\r\nContent-Type: {content_type}\r\nContent-Length: {len(raw)}\r\n\r\n"
    with open(os.path.join(HERE, name + ".http"), "wb") as f:
        f.write(head.encode() + raw)


def signed(name, params, *args, **kwargs):
    params["sign"] = sign(params, *args, **kwargs)
    write(name, params)


def md5(s):
    return hashlib.md5(s.encode()).hexdigest().upper()


# valid ones
for i, method in enumerate(("md5", "hmac", "hmac-sha256")):
    signed(f"valid-{i + 1}", base_params(sign_method=method))
p = base_params()
p.pop("nick"), p.pop("status"), p.pop("tid"), p.pop("method")
batch = "method=taobao.qimen.event.produce&status=QIMEN_CP_OUT&tid=1\r\n-S-\r\nmethod=taobao.qimen.event.produce&status=QIMEN_CP_OUT&tid=2&session=hush-token"
p["sign"] = sign(p, body=batch)
write("valid-4", p, body=batch, content_type="text/plain;charset=UTF-8", path="/router/batch")

p = base_params(nick="3×tamp")
signed("valid-5", p)

# what needs no trial
p = base_params()
p["sign"] = sign(p, encoding="gbk")
write("not-utf8", p, encode=lambda v: quote_plus(v, encoding="gbk"))
p = base_params()
write("no-signature", p)
p = base_params(sign_method="MD5")
p["sign"] = digest("md5", text(p)).hex().upper()
write("unknown-sign-method", p)
p = base_params()
p["sign"] = sign(p)
write("html-entity", p, query=form([(n, p[n]) for n in p if n in PROTOCOL]).replace("&timestamp", "×tamp"))

# the digest
p = base_params()
p["sign"] = sign(p).lower()
write("lower-case-hex", p)
p = base_params(sign_method="hmac-sha256")
p["sign"] = base64.b64encode(digest("hmac-sha256", text(p))).decode()
write("base64-instead-of-hex", p)
p = base_params(sign_method="hmac")
p["sign"] = digest("md5", text(p)).hex().upper()
write("wrong-digest", p)

# the secret
p = base_params()
p["sign"] = md5(SECRET + text(p))
write("secret-only-in-front", p)
p = base_params()
p["sign"] = md5(text(p) + SECRET)
write("secret-only-behind", p)
p = base_params()
p["sign"] = md5(text(p))
write("secret-missing", p)
signed("secret-in-hmac-text", base_params(sign_method="hmac-sha256"), SECRET + text(base_params(sign_method="hmac-sha256")) + SECRET)
p = base_params()
p["sign"] = sign(p, secret=SECRET + "\n")
write("secret-with-blanks", p)

# which parameters
p = base_params(session=None)
s = sign(p)
p["session"] = "test"
p["sign"] = s
write("session-added-later", p)
p = base_params(nick=None)
s = sign(p)
p["nick"] = "向阳 小店"
p["sign"] = s
write("parameter-added-later", p)
p = base_params()
signed("sign-included", p, text({**p, "sign": ""}, order=sorted([*p, "sign"])))
p = base_params()
signed("form-not-signed", p, text({n: v for n, v in p.items() if n in PROTOCOL}))
p = base_params()
signed("query-not-signed", p, text({n: v for n, v in p.items() if n not in PROTOCOL}))
p = base_params(nick=None)
signed("empty-value-not-sent", p, text({**p, "ext": ""}))
p = base_params()
p["sign"] = sign({**p, "tid": "2"})
write("repeated-parameter", p, body=form([(n, p[n]) for n in p if n not in PROTOCOL]) + "&tid=2")

# a document body
doc = '{"status": "QIMEN_CP_OUT", "tid": "1"}\n'
p = base_params(status=None, tid=None, nick=None)
p["sign"] = sign(p)
write("body-not-signed", p, body=doc, content_type="application/json;charset=utf-8")
p = base_params(status=None, tid=None, nick=None)
p["sign"] = sign(p, body=doc.strip())
write("body-changed", p, body=doc, content_type="application/json;charset=utf-8")
p = base_params(status=None, tid=None, nick=None)
p["sign"] = sign(p, body=json.dumps(json.loads(doc), separators=(",", ":")))
write("body-changed-2", p, body=doc, content_type="application/json;charset=utf-8")

# values
p = base_params(nick=" 向阳 小店 ")
signed("signed-without-blanks", p, text({**p, "nick": "向阳 小店"}))
p = base_params(tid="1")
signed("signed-with-blanks", p, text({**p, "tid": "1 "}))
p = base_params()
signed("plus-signed-for-blank", p, text({n: v.replace(" ", "+") for n, v in p.items()}))
p = base_params(nick="a+b")
signed("blank-signed-for-plus", p, text({**p, "nick": "a b"}))
for i, encode in enumerate((quote_plus, lambda v: quote(v, safe=""))):
    p = base_params()
    signed("encoded-values-signed" + ("" if i == 0 else "-2"), p, text({n: encode(v) for n, v in p.items()}))
p = base_params()
p["sign"] = sign(p)
write("encoded-twice", p, encode=lambda v: quote_plus(quote_plus(v)))
p = base_params(ext='{"a":"<b>"}')
signed("html-escaped", p, text({**p, "ext": "{&#34;a&#34;:&#34;&lt;b&gt;&#34;}"}))

# characters
signed("gbk-signed", base_params(), encoding="gbk")
p = base_params(nick="😀")
signed("surrogates-signed", p, text(p).replace("😀", "\ud83d\ude00"))

# order
p = base_params()
signed("not-sorted", p, text(p, order=[n for n in p if n in PROTOCOL] + [n for n in p if n not in PROTOCOL]))
p = base_params(Zone="8")
signed("sorted-ignoring-case", p, text(p, order=sorted(p, key=str.lower)))
p = base_params()
signed("joined-with-separators", p, "&".join(n + "=" + p[n] for n in sorted(p)))

# the clock
signed("timestamp-format", base_params(timestamp="2024/06/18 12:00"))
signed("utc-clock", base_params(timestamp="2024-06-18 04:00:30"))
signed("clock-off", base_params(timestamp="2024-06-18 11:30:00"))

# nothing that is known
p = base_params()
p["sign"] = sign(p, secret="another-secret")
write("unknown", p)

# Suning: docs/protocol/suning.md 2. Its requests stand in a folder of their own.
KEY, METHOD, TIME, VERSION = "0123456789abcdef0123456789abcdef", "suning.selfmarket.leaguerstatus.add", "2024-06-18 12:00:00", "v1.2"
XML = "<sn_request><sn_body><addLeaguerstatus><cardList><cardSec>hush999</cardSec><cardCode>hush567899</cardCode></cardList><iqStatus>180</iqStatus><orderId>1000531505</orderId><orderItemId>00000208117601</orderItemId><failReason>充值失败?>~</failReason></addLeaguerstatus></sn_body></sn_request>"
JSON = '{"sn_request": {"sn_body": {"addLeaguerstatus": {"iqStatus": "180", "orderId": "1000531505", "orderItemId": "00000208117601", "failReason": "充值失败"}}}}'


def b64(body):
    return base64.b64encode(body.encode() if isinstance(body, str) else body).decode()


def suning(name, signed=None, body=XML, time=TIME, version=VERSION, key=KEY, upper=False, sign=None, **headers):
    """Writes a request whose signature is the MD5 of signed: by default what it should be."""
    if signed is None:
        signed = SECRET + METHOD + time + key + version + b64(body)
    if sign is None:
        sign = hashlib.md5(signed.encode() if isinstance(signed, str) else signed).hexdigest()
    if upper:
        sign = sign.upper()
    raw = body.encode()
    fields = {"AppMethod": METHOD, "AppRequestTime": time, "Format": "json" if body.startswith("{") else "xml", "signInfo": sign, "AppKey": key, "VersionNo": version, **headers}
    head = "POST /api/http/sopRequest HTTP/1.1\r\nHost: open.suning.com\r\nContent-Type: text/xml; charset=utf-8\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items())
    os.makedirs(os.path.join(HERE, "suning"), exist_ok=True)
    with open(os.path.join(HERE, "suning", name + ".http"), "wb") as f:
        f.write((head + f"Content-Length: {len(raw)}\r\n\r\n").encode() + raw)


def front(encoded=None, time=TIME, version=VERSION):
    return SECRET + METHOD + time + KEY + version + (b64(XML) if encoded is None else encoded)


suning("valid-1")
suning("valid-2", body=JSON)
suning("valid-3", body="")
suning("valid-4", body='<?xml version="1.0" encoding="UTF-8"?>\n' + XML + "\n", access_token="hushtoken")
suning("valid-5", time="2024-06-18 12:10:00")
SYSTIME = '{"sn_request":{"sn_body":{"getSystime":{}}}}'  # whose time does not matter
suning("valid-6", "helloworld" + "suning.common.systime.get" + "1999-01-01 00:00:00" + KEY + VERSION + b64(SYSTIME), body=SYSTIME, time="1999-01-01 00:00:00", AppMethod="suning.common.systime.get")
suning("no-signature", sign="")
suning("upper-case-hex", upper=True)


def wrapped(width, end):
    e = b64(XML)
    return end.join(e[i:i + width] for i in range(0, len(e), width))


suning("base64-with-line-ends-1", front(wrapped(76, "\r\n")))
suning("base64-with-line-ends-2", front(base64.encodebytes(XML.encode()).decode()))
suning("base64-with-line-ends-3", front(wrapped(64, "\n")))
suning("base64-url", front(base64.urlsafe_b64encode(XML.encode()).decode()))
padded = next(XML + " " * n for n in range(3) if b64(XML + " " * n).endswith("="))
suning("base64-unpadded", front(b64(padded).rstrip("=")), body=padded)
suning("body-not-encoded", front(XML))
suning("body-not-signed", front(""))
suning("key-before-time", SECRET + METHOD + KEY + TIME + VERSION + b64(XML))
suning("sorted-by-name-1", SECRET + KEY + METHOD + TIME + VERSION + b64(XML))
suning("sorted-by-name-2", KEY + METHOD + TIME + SECRET + VERSION + b64(XML))
suning("joined-with-separators", "&".join([SECRET, METHOD, TIME, KEY, VERSION, b64(XML)]))
suning("secret-at-both-ends", front() + SECRET)
suning("secret-only-behind", METHOD + TIME + KEY + VERSION + b64(XML) + SECRET)
suning("secret-missing", METHOD + TIME + KEY + VERSION + b64(XML))
suning("secret-with-blanks", SECRET + "\n" + METHOD + TIME + KEY + VERSION + b64(XML))
suning("format-signed", SECRET + METHOD + TIME + "xml" + KEY + VERSION + b64(XML))
suning("token-signed", front("hushtoken" + b64(XML)), access_token="hushtoken")
suning("version-differs", front(version="v1.0"))
suning("utc-time-signed", front(time="2024-06-18 04:00:00"))
suning("clock-read-twice", front(time="2024-06-18 12:00:02"))
suning("body-changed-1", front(b64(XML + "\n")))
suning("body-changed-2", front(b64('<?xml version="1.0" encoding="UTF-8"?>' + XML)))
suning("body-changed-3", front(b64(str(json.loads(JSON)))), body=JSON)
suning("body-changed-4", front(b64(json.dumps(json.loads(JSON)))), body=JSON)
suning("body-changed-5", front(b64(JSON)), body=json.dumps(json.loads(JSON)))
suning("body-changed-6", front(b64(json.dumps(json.loads(JSON), ensure_ascii=False, separators=(",", ":")))), body=JSON)
suning("body-changed-7", front(b64("\ufeff" + XML)))
suning("gbk-signed", front(b64(XML.encode("gbk"))))
# PHP's base64_decode of a message, which passes over what is no Base64
plain = '<sn_request><sn_body><addLeaguerstatus></addLeaguerstatus></sn_body></sn_request>'
kept = "".join(c for c in plain if c.isalnum() or c in "+/")
kept = kept[:len(kept) - (1 if len(kept) % 4 == 1 else 0)]
suning("body-decoded", front("").encode() + base64.b64decode(kept + "=" * (-len(kept) % 4)), body=plain)
suning("timestamp-format", time="2024/06/18 12:00:00")
suning("utc-clock", time="2024-06-18 04:00:30")
suning("clock-off", time="2024-06-18 12:30:00")
suning("unknown", "another" + front())

# Reverse calls of Qimen: always MD5, over listed headers, query, form and raw body, empty values included.
SPI_BODY = '{"sellerNick":"测试旗舰店","buyerNick":"翔_ouyang","bizOrder":{"tid":"1","subOrderIds":"2,3"},"callType":"synchronous"}'
SPI_FIELDS = {"sellerNick": "测试旗舰店", "buyerNick": "翔 ouyang", "bizOrder": '{"tid":"1","subOrderIds":"2"}', "callType": "synchronous", "buyer_open_uid": ""}


def spi(name, base=None, query=None, headers=None, fields=None, body=SPI_BODY, secret=SECRET, sent_body=None, charset="utf-8", declared="", encoding=None, sign_query=True, upper=True, sent=None, listed=None):
    """Signs what a client signs, base if given, and writes what it sends."""
    query = {"method": "qimen.taobao.qianniu.cloudkefu.order.self.intercept", "app_key": "12345678", "target_app_key": "87654321", "timestamp": "2024-06-18 12:00:00", "format": "json", "v": "2.0", "sign_method": "md5", "session": "", **(query or {})}
    headers = headers or {}
    params = {**headers, **(fields or {}), **query}
    if fields is not None:
        body = ""
    if base is None:
        base = lambda p, b: secret + "".join(n + p[n] for n in sorted(p)) + b + secret
    result = base(params, body)
    value = result if isinstance(result, bytes) else hashlib.md5(result.encode(charset)).digest()
    sign = value.hex().upper() if upper else value.hex()
    query = {**query, **(sent or {})}
    if sign_query:
        query["sign"] = sign
    raw = (form(fields.items(), lambda v: quote_plus(v, encoding=charset)) if fields is not None else (sent_body or body)).encode(encoding or charset)
    kind = "application/x-www-form-urlencoded" if fields is not None else "application/json"
    head = f"POST /spi/qimen?{form(query.items())} HTTP/1.1\r\nHost: erp.example.com\r\nContent-Type: {kind}{declared}\r\n"
    if headers:
        head += f"top-sign-list: {','.join(headers)}\r\n" + "".join(f"{n}: {quote_plus(v)}\r\n" for n, v in headers.items())
    with open(os.path.join(HERE, "qimen", name + ".http"), "wb") as f:
        f.write((head + f"Content-Length: {len(raw)}\r\n\r\n").encode() + raw)


os.makedirs(os.path.join(HERE, "qimen"), exist_ok=True)
joined = lambda p: "".join(n + p[n] for n in sorted(p))
spi("valid-1")
spi("valid-2", headers={"X-Biz": "测 试", "x-empty": ""}, query={"sign_method": "hmac-sha256"})
spi("valid-3", fields=SPI_FIELDS)
spi("valid-4", charset="gbk", declared=";charset=GBK")
spi("valid-5", fields=SPI_FIELDS, charset="gbk", declared="; charset=gb2312")
spi("valid-6", query={"timestamp": "2024-06-18 23:00:00"})
spi("no-signature", sign_query=False)
spi("lower-case-hex", upper=False)
spi("empty-values-dropped", lambda p, b: SECRET + joined({n: v for n, v in p.items() if v}) + b + SECRET)
spi("secret-only-in-front", lambda p, b: SECRET + joined(p) + b)
spi("secret-only-behind", lambda p, b: joined(p) + b + SECRET)
spi("secret-missing", lambda p, b: joined(p) + b)
spi("secret-with-blanks", secret=SECRET + "\n")
spi("headers-not-signed", lambda p, b: SECRET + joined({n: v for n, v in p.items() if n != "X-Biz"}) + b + SECRET, headers={"X-Biz": "测 试"})
spi("headers-not-decoded", lambda p, b: SECRET + joined({**p, "X-Biz": quote_plus(p["X-Biz"])}) + b + SECRET, headers={"X-Biz": "测 试"})
spi("body-not-signed", lambda p, b: SECRET + joined(p) + SECRET)
spi("form-body-appended-1", lambda p, b: SECRET + joined(p) + form(SPI_FIELDS.items()) + SECRET, fields=SPI_FIELDS)
spi("form-body-appended-2", lambda p, b: SECRET + joined({n: v for n, v in p.items() if n not in SPI_FIELDS}) + form(SPI_FIELDS.items()) + SECRET, fields=SPI_FIELDS)
spi("form-not-signed", lambda p, b: SECRET + joined({n: v for n, v in p.items() if n not in SPI_FIELDS}) + SECRET, fields=SPI_FIELDS)
spi("body-changed-1", sent_body=SPI_BODY + "\n")
spi("body-changed-2", sent_body=json.dumps(json.loads(SPI_BODY), ensure_ascii=False))
spi("parameter-added-later", sent={"customerId": "7"})
spi("other-charset-1", charset="utf-8", encoding="gbk", declared=";charset=gbk")
spi("other-charset-2", lambda p, b: hashlib.md5((SECRET + joined(p) + b + SECRET).encode("gbk")).digest())
spi("wrong-digest-1", lambda p, b: hmac.new(SECRET.encode(), (joined(p) + b).encode(), hashlib.md5).digest())
spi("wrong-digest-2", lambda p, b: hmac.new(SECRET.encode(), (joined(p) + b).encode(), hashlib.sha256).digest(), query={"sign_method": "hmac-sha256"})
spi("timestamp-format", query={"timestamp": "18.6.2024 12:00"})
spi("utc-clock", query={"timestamp": "2024-06-18 04:00:00"})
spi("clock-off", query={"timestamp": "2024-06-18 11:40:00"})
spi("unknown", secret="another")
