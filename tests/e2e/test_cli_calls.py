"""The command line by itself: calls and logs, and streams that break."""

import json
import signal
import subprocess
import threading

import pytest
from cli_api import api, environment, mayfly  # noqa: F401 (fixtures)
from cli_api import FUNCTION, MAYFLY, failure, hang_up, on_a_terminal


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
