"""Receives Ordergate's webhooks. Python 3, standard library only."""
import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ.get("WEBHOOK_SECRET", "").removeprefix("whsec_"), validate=True)
TOLERANCE = 5 * 60  # seconds
LARGEST = 4 << 20   # bytes

seen = set()  # keep these in your database, in the transaction that handles the event
lock = threading.Lock()


def verified(headers, body):
    """Whether the body was signed with our secret, and lately."""
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = f"{event_id}.{timestamp}.".encode() + body
    want = b"v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
    # While a secret is replaced there are two signatures, with a blank between.
    signatures = headers.get("webhook-signature", "").encode().split(b" ")
    return any([hmac.compare_digest(want, given) for given in signatures])


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST:
            self.close_connection = True
            return self.answer(413 if length.isdigit() else 411)
        body = self.rfile.read(int(length))
        if self.path != "/hook":
            return self.answer(404)
        if not verified(self.headers, body):
            return self.answer(401)
        event = json.loads(body)
        with lock:
            if event["id"] not in seen:
                print(event["id"], event["type"], event.get("subject", "-"), flush=True)
                seen.add(event["id"])
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass  # standard output is for events


if __name__ == "__main__":
    if not KEY:
        sys.exit("WEBHOOK_SECRET is not whsec_ and Base64")
    port = int(os.environ.get("PORT", "9000"))
    print(f"listening on 127.0.0.1:{port}", file=sys.stderr, flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
