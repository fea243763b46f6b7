#!/usr/bin/env python3
"""POST Markdown, get HTML: a fragment, or with ?page a whole page."""

import http.server
import os
import urllib.parse

from markdown import render

PAGE = """<!DOCTYPE html>
<html>
<head><meta charset="utf-8"><title>Markdown</title></head>
<body>
{}</body>
</html>
"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes

    def do_POST(self):
        length = self.headers.get("Content-Length")
        if length is None:
            self.close_connection = True
            return self.reply(411, "text/plain", "send a body with its Content-Length\n")
        try:
            text = self.rfile.read(int(length)).decode()
        except UnicodeDecodeError as e:
            return self.reply(400, "text/plain", f"the text is not UTF-8: {e}\n")
        html = render(text)
        query = urllib.parse.urlsplit(self.path).query
        if "page" in urllib.parse.parse_qs(query, keep_blank_values=True):
            html = PAGE.format(html)
        self.reply(200, "text/html", html)

    def do_GET(self):
        self.reply(405, "text/plain", "POST a Markdown text\n", Allow="POST")

    def reply(self, status, kind, text, **headers):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
