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
