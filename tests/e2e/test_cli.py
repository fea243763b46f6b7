"""The command line by itself, against a controller and a gateway that are played by the test:
exit codes, messages, waiting, streams that break. No cluster is needed."""

import hashlib
import http.server
import io
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import tarfile
import threading
import time
import zipfile

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


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "hello.sh"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


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


@pytest.fixture
def deployable(api):
    """A controller that takes a deploy; its versions' states are what is given, in turn."""

    def make(*states):
        left = list(states)

        def next_state(h):
            h.reply(200, left.pop(0) if len(left) > 1 else left[0])

        api.on("PUT", f"/v1/packages/{DIGEST}", 201, {})
        api.on("PUT", FUNCTION, 201, function(state="deploying"))
        api.on("GET", FUNCTION, 200, function())
        api.on("GET", FUNCTION + "/versions/3", next_state)

    return make


# --- deploy ---------------------------------------------------------------------------


def test_deploy_sends_package_then_version_then_waits(api, mayfly, script, deployable):
    """The package goes by its digest, the spec with it; the end says what changed and where."""
    deployable(version("deploying"), version("ready"))
    result = mayfly("deploy", script, "--memory", "64Mi", "-e", "A=1")
    assert result.returncode == 0, result.stderr
    assert [r[3] for r in api.requests("PUT", "/packages/")] == [SCRIPT.encode()]
    assert f"/v1/packages/{DIGEST}?format=file&file_name=hello.sh" in \
        [r[1] for r in api.requests("PUT")]
    body = json.loads(api.requests("PUT", "/functions/")[0][3])
    assert body["package"]["digest"] == DIGEST
    assert body["spec"]["memory_mib"] == 64 and body["spec"]["env"] == {"A": "1"}
    assert result.stdout.splitlines()[-1] == f"{api.url}/fn/default/hello"
    assert "version 3" in result.stdout
    assert "runtime: exec" in result.stderr  # it was guessed
    assert result.stderr.splitlines()[-1] == "next: mayfly invoke hello"


def test_deploy_sends_a_known_package_only_once(api, mayfly, script, deployable):
    deployable(version("ready"))
    api.on("HEAD", f"/v1/packages/{DIGEST}", 200, b"")
    assert mayfly("deploy", script).returncode == 0
    assert api.requests("PUT", "/packages/") == []


def test_deploy_without_waiting(api, mayfly, script, deployable):
    deployable(version("deploying"))
    result = mayfly("deploy", script, "--no-wait", "-o", "json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["latest_version"] == 3
    assert api.requests("GET", "/versions/") == []
    assert mayfly("deploy", script, "--no-wait", "--wait").returncode == 2


@pytest.mark.parametrize("cause,code", [
    ("init_failed", 9), ("start_failed", 9), ("crashed", 9), ("oom", 9), ("timeout", 9),
    ("no_capacity", 8), ("internal", 1)])
def test_deploy_ends_with_the_reason(mayfly, script, deployable, cause, code):
    """A version that failed: cause, message and what to do, and the exit code of the cause."""
    deployable(version("deploying"), version("failed", cause, "exited with status 7"))
    result = mayfly("deploy", script)
    assert result.returncode == code
    assert "error: cannot deploy \"hello\": version 3 failed: exited with status 7" \
        in result.stderr
    assert f"\n  code: {cause}\n" in result.stderr
    assert "\n  try: " in result.stderr
    assert result.stdout == ""


def test_deploy_waits_no_longer_than_it_shall(mayfly, script, deployable):
    """6: it may still become ready; 8: because there is no room for it."""
    deployable(version("deploying"))
    result = mayfly("deploy", script, "--wait-timeout", "300ms")
    assert result.returncode == 6
    assert "may still become so" in result.stderr
    deployable(version("deploying", "no_capacity", "no node has 64 MiB free"))
    result = mayfly("deploy", script, "--wait-timeout", "300ms")
    assert result.returncode == 8
    assert "no node has 64 MiB free" in result.stderr and "code: no_capacity" in result.stderr


def test_deploy_overtaken(api, mayfly, script, deployable):
    """A newer version, or a delete, ends the wait: 7."""
    deployable(version("retired"))
    result = mayfly("deploy", script)
    assert result.returncode == 7 and "replaced by a newer one" in result.stderr
    deployable(version("ready"))
    del api.routes["GET", FUNCTION + "/versions/3"]
    result = mayfly("deploy", script)
    assert result.returncode == 7 and "deleted meanwhile" in result.stderr


@pytest.mark.parametrize("status,cause,code", [
    (400, "bad_request", 1), (401, "unauthorized", 4), (403, "forbidden", 4),
    (404, "not_found", 3), (409, "conflict", 7), (503, "store_unavailable", 1),
    (503, "no_capacity", 8), (507, "disk_full", 1)])
def test_deploy_refused(api, mayfly, script, deployable, status, cause, code):
    deployable(version("ready"))
    api.on("PUT", FUNCTION, status, failure(cause, "the message", "the fix"))
    result = mayfly("deploy", script)
    assert result.returncode == code
    assert result.stderr.endswith("error: cannot deploy \"hello\": the message\n"
                                  f"  try: the fix\n  code: {cause}\n")


def test_upload_refused_in_the_middle(api, mayfly, tmp_path):
    """The controller says why and hangs up: that is what is told, not the broken pipe."""
    big = tmp_path / "big"
    big.write_bytes(b"#!" + os.urandom(16 << 20))
    digest = hashlib.sha256(big.read_bytes()).hexdigest()

    def full(h):
        h.rfile.read(1 << 20)
        h.reply(507, failure("disk_full", "no space left"), {"Connection": "close"})
        h.close_connection = True
        h.connection.shutdown(socket.SHUT_WR)
        while h.rfile.read1(1 << 16):
            pass

    full.raw = True
    api.on("PUT", f"/v1/packages/{digest}", full)
    result = mayfly("deploy", big)
    assert result.returncode == 1
    assert "no space left" in result.stderr and "code: disk_full" in result.stderr


def test_deploy_survives_a_controller_that_restarts(api, mayfly, script, deployable):
    """The version is recorded: who waits for it goes on when the controller is back."""
    deployable(version("ready"))
    answers = iter([None, None, (503, failure("store_unavailable", "no")), (200, version("ready"))])

    def flaky(h):
        answer = next(answers)
        if answer is None:
            hang_up(h)
        else:
            h.reply(*answer)

    api.on("GET", FUNCTION + "/versions/3", flaky)
    result = mayfly("deploy", script)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("does not answer: waiting") == 1


def test_deploy_unreachable(mayfly, script):
    result = mayfly("deploy", script, "--url", "127.0.0.1:1")
    assert result.returncode == 5
    assert "http://127.0.0.1:1" in result.stderr and "code: unreachable" in result.stderr


def bad_archives():
    zipped, tarred, bomb = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as z:
        z.writestr("../../evil", "x")
    with tarfile.open(fileobj=tarred, mode="w") as t:
        info = tarfile.TarInfo("null")
        info.type = tarfile.CHRTYPE
        t.addfile(info)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("bomb.bin", b"\0" * (300 << 20))
    return [("../../evil", zipped.getvalue()), ("null", tarred.getvalue()),
            ("bomb.bin", bomb.getvalue())]


def test_hostile_archives_are_named_by_entry(api, mayfly, tmp_path):
    """They are refused before anything is sent."""
    for entry, data in bad_archives():
        path = tmp_path / "bad.archive"
        path.write_bytes(data)
        result = mayfly("deploy", path, "--runtime", "exec", "--handler", "x")
        assert result.returncode == 1
        assert entry in result.stderr and "code: package_invalid" in result.stderr
    assert api.seen == []


def test_archive_with_a_bootstrap(api, mayfly, tmp_path, deployable):
    deployable(version("ready"))
    path = tmp_path / "hello.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("bootstrap", "#!/bin/sh\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    api.on("PUT", f"/v1/packages/{digest}", 201, {})
    result = mayfly("deploy", path)
    assert result.returncode == 0, result.stderr
    assert "runtime: provided" in result.stderr
    assert json.loads(api.requests("PUT", "/functions/")[0][3])["package"]["format"] == "zip"


def test_version_skew_warns_and_goes_on(api, mayfly, script, deployable):
    deployable(version("ready"))
    api.on("GET", "/v1/version", 200, {"version": "0.3.1"})
    result = mayfly("deploy", script)
    assert result.returncode == 0
    assert "warning: this is mayfly 0.1.0" in result.stderr and "0.3.1" in result.stderr
    api.on("GET", "/v1/version", 200, {"version": "0.1.9"})
    assert "warning" not in mayfly("deploy", script).stderr


# --- terminals ------------------------------------------------------------------------


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


def test_progress_and_colour_on_a_terminal_only(environment, mayfly, script, deployable):
    states = [version("deploying"), version("failed", "oom", "killed")]
    deployable(*states)
    off = mayfly("deploy", script)
    assert "\r" not in off.stderr and "\033" not in off.stderr
    assert off.stderr.count("version 3 is starting") == 1
    deployable(*states)
    on, code = on_a_terminal(environment, "deploy", script)
    assert code == 9
    assert "\r\033[K" in on and "\033[1;31merror:" in on
    deployable(*states)
    on, code = on_a_terminal(dict(environment, NO_COLOR="1"), "deploy", script)
    assert "\033[1;31m" not in on and "error:" in on
    deployable(*states)
    on, code = on_a_terminal(dict(environment, TERM="dumb"), "deploy", script)
    assert "\033" not in on


# --- invoke ---------------------------------------------------------------------------


def test_invoke_sends_and_prints(api, mayfly):
    def echo(h):
        h.reply(200, h.server.seen[-1][3], {"X-Got": h.path})

    for method in ("GET", "POST", "DELETE"):
        api.on(method, "/fn/default/hello", echo)
        api.on(method, "/fn/default/hello/a%20b", echo)
    assert mayfly("invoke", "hello", "--data", "World").stdout == "World"
    assert api.seen[-1][0] == "POST" and "Content-Type" not in api.seen[-1][2]
    assert mayfly("invoke", "hello", "-", input="from stdin").stdout == "from stdin"
    assert mayfly("invoke", "hello", "-d", '{"a": 1}').stdout == '{"a": 1}'
    assert api.seen[-1][2]["Content-Type"] == "application/json"
    mayfly("invoke", "hello", "-d", '{"a": 1}', "-H", "content-type: text/x", "-H", "X-Empty:")
    assert api.seen[-1][2]["Content-Type"] == "text/x" and api.seen[-1][2]["X-Empty"] == ""
    result = mayfly("invoke", "hello", "--path", "a b?x=1", "--method", "DELETE", "-i")
    assert api.seen[-1][0] == "DELETE" and api.seen[-1][1] == "/fn/default/hello/a%20b?x=1"
    assert "HTTP 200" in result.stderr and "X-Got: " in result.stderr
    assert mayfly("invoke", "hello").returncode == 0
    assert api.seen[-1][0] == "GET"


def test_invoke_from_files(api, mayfly, tmp_path):
    """A file goes with its length, also as stdin; what has none goes in chunks."""
    def echo(h):
        h.reply(200, h.server.seen[-1][3])

    api.on("POST", "/fn/default/hello", echo)
    path = tmp_path / "data"
    path.write_bytes(bytes(range(256)) * 1000)
    assert mayfly("invoke", "hello", "--data-file", path, text=False).stdout == path.read_bytes()
    assert api.seen[-1][2]["Content-Length"] == "256000"
    with open(path, "rb") as f:
        assert mayfly("invoke", "hello", "-", stdin=f, text=False).stdout == path.read_bytes()
    assert api.seen[-1][2]["Content-Length"] == "256000"
    mayfly("invoke", "hello", "--data-file", "-", input="x")
    assert api.seen[-1][2]["Transfer-Encoding"] == "chunked"
    assert mayfly("invoke", "hello", "--data-file", tmp_path / "none").returncode == 2


def test_invoke_streams(api, environment):
    """What has come is printed at once, not at the end."""
    go_on = threading.Event()

    def slow(h):
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        h.wfile.write(b"5\r\nfirst\r\n")
        go_on.wait(30)
        h.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    api.on("GET", "/fn/default/hello", slow)
    with subprocess.Popen([MAYFLY, "invoke", "hello"], stdout=subprocess.PIPE,
                          env=environment) as process:
        assert process.stdout.read(5) == b"first"
        go_on.set()
        assert process.stdout.read() == b"second"
        assert process.wait(30) == 0


@pytest.mark.parametrize("cause,status,code", [
    ("not_found", 404, 3), ("throttled", 429, 8), ("queue_timeout", 429, 8),
    ("no_capacity", 503, 8), ("timeout", 504, 9), ("oom", 502, 9), ("crashed", 502, 9),
    ("init_failed", 502, 9), ("function_error", 502, 9), ("payload_too_large", 413, 1)])
def test_invoke_fails_by_cause(api, mayfly, cause, status, code):
    api.on("GET", "/fn/default/hello", status, failure(cause, "the message"),
           {"X-Mayfly-Error": cause, "Retry-After": "2"})
    result = mayfly("invoke", "hello")
    assert result.returncode == code
    assert "error: cannot invoke \"hello\": the message (retry after 2 s)" in result.stderr
    assert f"code: {cause}" in result.stderr and "try: " in result.stderr
    assert result.stdout == ""


def test_invoke_of_a_function_that_says_no(api, mayfly):
    """Its own reply is its reply, and goes to stdout."""
    api.on("GET", "/fn/default/hello", 418, b"teapot")
    result = mayfly("invoke", "hello")
    assert (result.returncode, result.stdout) == (9, "teapot")
    assert "status 418" in result.stderr


def test_invoke_whose_reply_breaks_off(api, mayfly):
    def broken(h):
        h.send_response(200)
        h.send_header("Content-Length", "100")
        h.end_headers()
        h.wfile.write(b"half")
        h.close_connection = True

    api.on("GET", "/fn/default/hello", broken)
    result = mayfly("invoke", "hello")
    assert (result.returncode, result.stdout) == (9, "half")
    assert "broke off after 4 bytes" in result.stderr


def test_invoke_limits_and_usage(api, mayfly):
    hang = threading.Event()
    api.on("GET", "/fn/default/hello", lambda h: hang.wait(20))
    result = mayfly("invoke", "hello", "--max-time", "200ms")
    hang.set()
    assert result.returncode == 6
    for args in (["--max-time", "soon"], ["--method", "get it"], ["-H", "no colon"], ["x"],
                 ["-", "--data", "x"], ["-H", "a: b\r\nc: d"]):
        assert mayfly("invoke", "hello", *args).returncode == 2, args
    assert mayfly("invoke", "No_Name").returncode == 2
    assert mayfly("invoke", "hello", "--gateway", "127.0.0.1:1").returncode == 5


def test_invoke_into_a_closed_pipe(api, environment):
    """Who reads has had enough: no error."""
    api.on("GET", "/fn/default/hello", 200, b"x" * (8 << 20))
    with subprocess.Popen([MAYFLY, "invoke", "hello"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


# --- logs -----------------------------------------------------------------------------


def line(n, text, stream="stdout", instance="i-1"):
    return {"ts": f"2026-01-31T12:00:00.{n:03}Z", "version": 3, "instance": instance,
            "node": "n1", "stream": stream, "text": text}


def lines(*items):
    return b"".join(json.dumps(i).encode() + b"\n" for i in items)


LOGS = FUNCTION + "/logs"


def test_logs(api, mayfly):
    api.on("GET", LOGS, 200, lines(line(1, "one"), line(2, "two", "stderr")))
    result = mayfly("logs", "hello", "--tail", "5", "--version", "3", env={"TZ": "UTC"})
    assert result.stdout == "12:00:00.001 i-1 out one\n12:00:00.002 i-1 err two\n"
    assert api.seen[-1][1] == LOGS + "?tail=5&version=3"
    assert mayfly("logs", "hello", "--no-prefix").stdout == "one\ntwo\n"
    assert "n1 v3 " in mayfly("logs", "hello", "-o", "wide").stdout
    out = mayfly("logs", "hello", "-o", "json").stdout
    assert [json.loads(x)["text"] for x in out.splitlines()] == ["one", "two"]
    assert mayfly("logs", "hello", "-o", "yaml").stdout.count("---\n") == 2
    assert mayfly("logs", "nobody").returncode == 3
    assert mayfly("logs", "hello", "--tail", "x").returncode == 2


def test_logs_cannot_steer_a_terminal(api, environment, mayfly):
    api.on("GET", LOGS, 200, lines(line(1, "a\033[2Jb\u009b2Jc")))
    on, _ = on_a_terminal(environment, "logs", "hello", "--no-prefix")
    assert "a^[[2Jb\\x9b2Jc" in on
    assert mayfly("logs", "hello", "--no-prefix").stdout == "a\033[2Jb\u009b2Jc\n"


def follow(h, items, then):
    h.send_response(200)
    h.send_header("Transfer-Encoding", "chunked")
    h.end_headers()
    for item in items:
        data = lines(item)
        h.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
    then(h)


def test_logs_follow_through_breaks(api, environment):
    """A stream that breaks is taken up again: said once, nothing is lost or shown twice."""
    hold = threading.Event()
    a, b, c, d = (line(n, t) for n, t in enumerate("abcd"))

    def broken(h):  # in the middle of a line
        h.wfile.write(b"5\r\n{\"ts\"\r\n")
        hang_up(h)

    turns = iter([
        lambda h: follow(h, [a, b], broken),
        lambda h: h.reply(503, failure("internal", "starting")),
        hang_up,
        lambda h: follow(h, [a, b, c, d], lambda h: hold.wait(60)),
    ])
    api.on("GET", LOGS, lambda h: next(turns)(h))
    with subprocess.Popen([MAYFLY, "logs", "-f", "hello", "--no-prefix"], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert [process.stdout.readline() for _ in range(4)] == ["a\n", "b\n", "c\n", "d\n"]
        process.send_signal(signal.SIGINT)
        hold.set()
        assert process.wait(30) == -signal.SIGINT
        stderr = process.stderr.read()
    assert stderr.count("broke off") == 1 and stderr.count("is back") == 1
    assert all("follow=1" in r[1] for r in api.requests("GET", "/logs"))


def test_logs_follow_ends_with_the_function(api, mayfly):
    turns = iter([lambda h: follow(h, [line(1, "a")], hang_up),
                  lambda h: h.reply(404, failure("not_found", "no function \"hello\""))])
    api.on("GET", LOGS, lambda h: next(turns)(h))
    result = mayfly("logs", "-f", "hello", "--no-prefix")
    assert (result.returncode, result.stdout) == (3, "a\n")
    assert mayfly("logs", "-f", "hello", "--url", "127.0.0.1:1").returncode == 5


# --- listings -------------------------------------------------------------------------

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


@pytest.mark.parametrize("verb", [["list"], ["nodes"], ["namespaces"], ["status"],
                                  ["describe", "hello"], ["version"]])
def test_listings_in_all_formats(filled, mayfly, verb):
    yaml = pytest.importorskip("yaml")
    whole = mayfly(*verb, "-o", "json")
    assert whole.returncode == 0, whole.stderr
    data = json.loads(whole.stdout)
    assert yaml.safe_load(mayfly(*verb, "-o", "yaml").stdout) == data
    for form in ("table", "wide", "name"):
        result = mayfly(*verb, "-o", form)
        assert result.returncode == 0 and result.stdout.strip(), form
        assert "\033" not in result.stdout


def test_list(filled, api, mayfly):
    rows = mayfly("list").stdout.splitlines()
    assert rows[0].split()[:4] == ["NAMESPACE", "NAME", "STATE", "VERSION"]
    assert rows[1].split()[:4] == ["default", "hello", "ready", "3"]
    assert mayfly("list", "--no-headers").stdout.split() == rows[1].split()
    assert mayfly("list", "-o", "name").stdout == "hello\n"
    result = mayfly("list", env={"MAYFLY_NAMESPACE": "team"})
    assert result.stdout == "" and "no functions yet" in result.stderr
    assert mayfly("list", "-q", "-n", "team").stderr == ""
    mayfly("list", "-A")
    assert "/v1/namespaces/-/functions" in api.seen[-1][1]


def test_describe_tells_why_a_version_failed(api, mayfly):
    failed = dict(version("failed", "init_failed", "exited with status 7"), number=4)
    api.on("GET", FUNCTION, 200, function(state="failed", latest_version=4, versions=[failed]))
    out = mayfly("describe", "hello").stdout
    assert "version 3 serves, the latest is 4" in out
    assert "init_failed" in out and "exited with status 7" in out


def test_delete_and_namespaces(api, mayfly):
    api.on("DELETE", FUNCTION, 204)
    api.on("PUT", "/v1/namespaces/team", 201, {"name": "team"})
    api.on("DELETE", "/v1/namespaces/team", 409, failure("conflict", "it has functions"))
    assert mayfly("delete", "hello").stdout == "deleted default/hello\n"
    result = mayfly("delete", "nobody", "hello")
    assert result.returncode == 3 and result.stdout == "deleted default/hello\n"
    assert mayfly("namespaces", "create", "team").stdout == "namespace team created\n"
    assert mayfly("namespaces", "delete", "team").returncode == 7
    assert mayfly("namespaces", "destroy", "team").returncode == 2
    assert mayfly("namespaces", "create").returncode == 2
    assert mayfly("namespaces", "create", "No_Name").returncode == 2


def test_whose_address_wins(filled, api, mayfly):
    """Flag, environment, default; a wrong one says where it came from."""
    assert mayfly("list", "--url", api.url, env={"MAYFLY_URL": "http://127.0.0.1:1"}) \
        .returncode == 0
    result = mayfly("list", env={"MAYFLY_URL": "http://127.0.0.1:1"})
    assert result.returncode == 5 and "(MAYFLY_URL)" in result.stderr
    assert mayfly("list", env={"MAYFLY_URL": api.url + "/"}).returncode == 0
    assert mayfly("list", env={"MAYFLY_URL": "ftp://x"}).returncode == 2


def test_what_is_no_controller(api, mayfly):
    api.on("GET", "/v1/nodes", 200, b"<html>")
    result = mayfly("nodes")
    assert result.returncode == 1 and "no JSON" in result.stderr
    api.on("GET", "/v1/nodes", 404, b"<html>")
    assert "is this the address of a mayfly controller?" in mayfly("nodes").stderr


def test_usage_errors_suggest(mayfly):
    result = mayfly("lst")
    assert result.returncode == 2 and "did you mean list?" in result.stderr
    result = mayfly("deploy", "x", "--memroy", "1")
    assert result.returncode == 2 and "did you mean --memory?" in result.stderr
    assert "mayfly help deploy" in result.stderr
    assert mayfly("list", "-n", "No_Name").returncode == 2


def test_version_without_a_controller(mayfly):
    result = mayfly("version", "--url", "127.0.0.1:1")
    assert result.returncode == 0
    assert "does not answer" in result.stdout


# --- help, man pages, completion ------------------------------------------------------


def verbs(mayfly):
    return re.findall(r"^  ([a-z]+) +\S", mayfly("help").stdout.split("Verbs:")[1], re.M)


def test_help(mayfly):
    for verb in verbs(mayfly):
        text = mayfly("help", verb).stdout
        assert text.splitlines()[2].startswith("  "), verb  # examples come first
        assert mayfly(verb, "--help").stdout == text
    assert re.search(r"^9 ", mayfly("help", "exit-codes").stdout, re.M)
    assert "MAYFLY_URL" in mayfly("help", "environment").stdout
    assert mayfly("help", "nothing").returncode == 2


def test_man_pages(mayfly):
    """They are what groff takes without a warning, and are installed."""
    for page in ["mayfly", *verbs(mayfly)]:
        text = mayfly("help", "--man", page).stdout
        result = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=text, text=True,
                                capture_output=True)
        assert result.stderr == "", page
        name = "mayfly.1" if page == "mayfly" else f"mayfly-{page}.1"
        assert (PREFIX / "share" / "man" / "man1" / name).read_text() == text


@pytest.mark.parametrize("daemon", ["controller", "agent"])
def test_man_pages_of_the_daemons(daemon):
    """They have every key that the program knows, and no other."""
    program = PREFIX / "bin" / f"mayfly-{daemon}"
    if not program.exists():
        pytest.skip(f"{program} is not there")
    known = subprocess.run([program, "--help"], text=True, capture_output=True, check=True)
    keys = re.findall(r"^  ([a-z_.]+)  +\S", re.split("keys:", known.stdout, flags=re.I)[1], re.M)
    page = PREFIX / "share" / "man" / "man5" / f"mayfly-{daemon}.yaml.5"
    assert sorted(re.findall(r"^\.TP\n\.B (\S+)", page.read_text(), re.M)) == sorted(keys)
    for page in (page, PREFIX / "share" / "man" / "man8" / f"mayfly-{daemon}.8"):
        result = subprocess.run(["groff", "-man", "-Tutf8", "-ww", page], text=True,
                                capture_output=True)
        assert result.stderr == "", page


def complete(environment, *words):
    """What bash offers for the last of the words."""
    script = f"""
        source <({MAYFLY} completion bash)
        COMP_WORDS=({' '.join(f"'{w}'" for w in words)}) COMP_CWORD={len(words) - 1}
        compopt() {{ :; }}
        _mayfly
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    env = dict(environment, PATH=f"{PREFIX}/bin:{environment['PATH']}")
    result = subprocess.run(["bash", "-c", script], env=env, text=True, capture_output=True,
                            timeout=30)
    assert result.stderr == ""
    return result.stdout.split()


def test_completion(environment, filled, tmp_path):
    assert sorted(complete(environment, "mayfly", "de")) == \
        ["delete", "deploy", "describe", "dev"]
    assert complete(environment, "mayfly", "deploy", "--mem") == ["--memory"]
    assert complete(environment, "mayfly", "list", "-o", "j") == ["json"]
    assert complete(environment, "mayfly", "list", "--output", "=", "j") == ["json"]
    assert complete(environment, "mayfly", "invoke", "he") == ["hello"]
    assert complete(environment, "mayfly", "-n", "team", "invoke", "") == []
    assert complete(environment, "mayfly", "invoke", "-n", "") == ["default"]
    (tmp_path / "some file").touch()
    assert complete(environment, "mayfly", "deploy", f"{tmp_path}/so") == \
        [f"{tmp_path}/some", "file"]
    started = time.monotonic()
    assert complete(dict(environment, MAYFLY_URL="http://192.0.2.1:1"), "mayfly", "logs", "") == []
    assert time.monotonic() - started < 5  # nobody waits for an API that does not answer


def test_doctor(mayfly):
    result = mayfly("doctor", "-o", "json")
    report = json.loads(result.stdout)
    checks = {c["name"]: c for c in report["checks"]}
    assert {"kernel", "namespaces", "mounts", "cgroups", "cgroup memory", "disk", "clock",
            "mayfly-agent", "port 8080", "controller"} <= set(checks)
    assert all(c["status"] in ("ok", "warn", "fail") for c in checks.values())
    assert all("fix" in c for c in checks.values() if c["status"] != "ok")
    assert result.returncode == (0 if report["ok"] else 1)
    assert checks["controller"]["status"] == "ok"
    assert "cgroups" in mayfly("doctor").stdout
