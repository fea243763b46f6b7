"""A controller and a gateway that are played by a test, and the command line against them."""

import hashlib
import http.server
import json
import os
import pty
import select
import socket
import subprocess
import threading
import time

import pytest
from lib import PREFIX

MAYFLY = PREFIX / "bin" / "mayfly"
SCRIPT = "#!/bin/sh\ncat\n"


class Api(http.server.ThreadingHTTPServer):
    """A controller (and gateway) as the test wants it: routes are (method, path) → reply, a
    (status, body[, headers]) or a function that takes the request handler."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.routes = {
            ("GET", "/v1/version"): (200, {"version": "0.1.0", "api": "v1"}),
        }
        self.seen = []  # (method, path, headers, body)
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def on(self, method, path, *reply):
        self.routes[method, path] = reply[0] if callable(reply[0]) else reply

    def handle_error(self, request, client_address):
        pass  # the client went: some tests are about that

    def close(self):
        self.shutdown()
        self.server_close()

    def requests(self, method, part=""):
        return [r for r in self.seen if r[0] == method and part in r[1]]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status, body=b"", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_one(self):
        route = self.server.routes.get((self.command, self.path.partition("?")[0]))
        if callable(route) and getattr(route, "raw", False):
            route(self)
            return
        self.server.seen.append((self.command, self.path, self.headers, self.body()))
        if route is None:
            self.reply(404, failure("not_found", "no such thing"))
        elif callable(route):
            route(self)
        else:
            self.reply(*route)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = handle_one

    def log_message(self, *a):
        pass


def hang_up(h):
    h.close_connection = True
    h.connection.shutdown(socket.SHUT_RDWR)


def failure(code, message, fix="mend it"):
    return {"error": {"code": code, "message": message, "fix": fix, "request_id": "r1"}}


@pytest.fixture
def api():
    server = Api()
    yield server
    server.close()


@pytest.fixture
def environment(api, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAYFLY_")}
    return dict(env, MAYFLY_URL=api.url, MAYFLY_GATEWAY=api.url, TERM="xterm",
                MAYFLY_DEV_DIR=str(tmp_path / "no-dev"))


@pytest.fixture
def mayfly(environment):
    def run(*args, env=None, timeout=60, **kw):
        kw.setdefault("text", True)
        if "stdin" not in kw and "input" not in kw:
            kw["stdin"] = subprocess.DEVNULL
        return subprocess.run([MAYFLY, *map(str, args)], capture_output=True, timeout=timeout,
                              env=dict(environment, **(env or {})), **kw)

    return run


DIGEST = hashlib.sha256(SCRIPT.encode()).hexdigest()
FUNCTION = "/v1/namespaces/default/functions/hello"
SPEC = {"runtime": "exec", "handler": None, "memory_mib": 128, "timeout_ms": 30000,
        "reuse": True, "env": {"LEVEL": "1"}}


def function(**more):
    return {"namespace": "default", "name": "hello", "revision": 5, "state": "ready",
            "serving_version": 3, "latest_version": 3, "created_at": "2026-01-31T12:00:00.000Z",
            "updated_at": "2026-01-31T12:00:00.000Z", "spec": SPEC,
            "package": {"digest": DIGEST, "bytes": 10}, "path": "/fn/default/hello",
            "instances": {"starting": 0, "idle": 1, "frozen": 0, "busy": 2}, "queued": 0, "invocations": 7,
            "cold_starts": 1, "errors": 0,
            "grants": [{"version": 3, "node": "n1", "max": 4, "warm": 1}],
            "versions": [{"number": 3, "state": "ready", "cause": "none", "message": "",
                          "created_at": "2026-01-31T12:00:00.000Z", "spec": SPEC,
                          "package": {"digest": DIGEST, "bytes": 10}}], **more}


def version(state, cause="none", message=""):
    return {"number": 3, "state": state, "cause": cause, "message": message,
            "created_at": "2026-01-31T12:00:00.000Z", "spec": SPEC,
            "package": {"digest": DIGEST, "bytes": 10}}


def on_a_terminal(environment, *args):
    """Runs mayfly with a terminal as stdout and stderr; all it wrote, and its exit code."""
    master, slave = pty.openpty()
    process = subprocess.Popen([MAYFLY, *map(str, args)], stdin=slave, stdout=slave,
                               stderr=slave, env=environment)
    os.close(slave)
    data = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:  # EIO: it closed its end
                break
            data += part
        elif process.poll() is not None:
            break
    os.close(master)
    return data.decode(), process.wait(10)


NODE = {"name": "n1", "state": "ready", "gateway": "10.0.0.1:8080", "version": "0.1.0",
        "labels": {"zone": "a"}, "memory": {"capacity_bytes": 8 << 30, "reserved_bytes": 1 << 20},
        "cpu_millis": 4000, "cpu_us": 5000000, "instances": 3, "functions": 1, "connected_at":
        "2026-01-31T12:00:00.000Z", "last_seen_ms": 120}
STATUS = {"controller": "c1", "version": "0.1.0", "uptime_ms": 90000,
          "store": {"engine": "sqlite", "up": True}, "nodes": {"ready": 1, "total": 1},
          "namespaces": 1, "functions": 1, "instances": 3}


@pytest.fixture
def filled(api):
    api.on("GET", "/v1/namespaces/default/functions", 200, {"items": [function()]})
    api.on("GET", "/v1/namespaces/-/functions", 200, {"items": [function()]})
    api.on("GET", "/v1/namespaces/team/functions", 200, {"items": []})
    api.on("GET", "/v1/namespaces", 200, {"items": [
        {"name": "default", "index": 0, "functions": 1,
         "created_at": "2026-01-31T12:00:00.000Z"}]})
    api.on("GET", "/v1/nodes", 200, {"items": [NODE]})
    api.on("GET", "/v1/status", 200, STATUS)
    api.on("GET", FUNCTION, 200, function())
