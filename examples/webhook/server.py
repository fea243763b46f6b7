#!/usr/bin/env python3
"""A webhook's receiving end: takes events whose HMAC signature is right, refuses others.

The signature is GitHub's: X-Hub-Signature-256 is "sha256=" and the hex HMAC-SHA256 of the raw
body under a secret that both sides know (WEBHOOK_SECRET).
"""

import hashlib
import hmac
import http.server
import json
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes

    def do_POST(self):
        length = self.headers.get("Content-Length")
        if length is None:
            self.close_connection = True
            return self.reply(411, {"error": "send a body with its Content-Length"})
        body = self.rfile.read(int(length))
        # The signature first: nothing of an unsigned body is looked at.
        if not self.server.is_signed(body, self.headers.get("X-Hub-Signature-256", "")):
            return self.reply(401, {"error": "X-Hub-Signature-256 is missing or wrong"})
        try:
            event = json.loads(body)
        except ValueError as e:
            return self.reply(400, {"error": f"the body is not JSON: {e}"})
        self.reply(200, {"accepted": True, "bytes": len(body), "event": kind_of(event)})

    def do_GET(self):
        self.reply(405, {"error": "webhooks are sent with POST"}, Allow="POST")

    def reply(self, status, value, **headers):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)


def kind_of(event):
    """What an event calls itself, if it does."""
    kind = event.get("event") if isinstance(event, dict) else None
    return kind if isinstance(kind, str) else None


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, port, secret):
        super().__init__(("127.0.0.1", port), Handler)
        self.secret = secret

    def is_signed(self, body, signature):
        expected = "sha256=" + hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        # In constant time; as bytes, because a header may hold more than ASCII.
        return hmac.compare_digest(expected.encode(), signature.encode("latin-1"))


if __name__ == "__main__":
    secret = os.environ.get("WEBHOOK_SECRET", "")
    if not secret:
        sys.exit("WEBHOOK_SECRET is not set: deploy with --env WEBHOOK_SECRET=…")
    Server(int(os.environ["PORT"]), secret.encode()).serve_forever()
