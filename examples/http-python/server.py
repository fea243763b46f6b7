#!/usr/bin/env python3
"""The smallest server that is worth deploying: it says what it was asked."""

import http.server
import json
import os


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, and warm calls stay fast
    disable_nagle_algorithm = True  # headers and body are two writes

    def do_GET(self):
        body = json.dumps({
            "hello": os.environ.get("GREETING", "world"),
            "path": self.path,
            "request_id": self.headers.get("X-Mayfly-Request-Id"),
        }).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    # mayfly names the port; the call comes when it accepts.
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
