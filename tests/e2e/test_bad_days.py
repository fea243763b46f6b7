"""Bad days that must end well, each on a real cluster."""

import errno
import hashlib
import io
import os
import socket
import tarfile
import time
import zipfile

import pytest
from lib import Background, connect, request, run, wait_for

EXEC = ("--runtime", "exec", "--handler", "run.sh")


def script(text):
    return {"run.sh": "#!/bin/sh\n" + text}


@pytest.fixture
def steady(cluster, package):
    """A function that has nothing to do with what goes wrong, and must go on."""
    cluster.deploy(package("steady-pkg", script("echo fine\n")), "bystander", *EXEC)

    def answers(host=None):
        reply = cluster.call("bystander", host=host, timeout=20)
        assert reply.status == 200 and reply.body == b"fine\n", reply

    answers()
    return answers


def test_unknown_function(cluster):
    reply = cluster.call("nobody")
    assert (reply.status, reply.cause) == (404, "not_found")
    assert reply.json()["error"]["code"] == "not_found"
    assert reply.json()["error"]["message"] == "there is no function default/nobody"


def test_unknown_function_by_its_long_path(cluster):
    """A path with two readings: the message names the function that was meant."""
    def message(name):
        return cluster.call(name).json()["error"]["message"]

    assert message("default/nobody") == "there is no function default/nobody"
    assert message("team/nobody") == "there is no function team/nobody, nor default/team"


def test_body_over_the_limit(cluster, package):
    cluster.deploy(package("small", script("cat >/dev/null\necho ok\n")), "small", *EXEC)
    assert cluster.call("small", b"x" * 1000).status == 200
    reply = cluster.call("small", b"x" * (7 * 1024 * 1024))
    assert (reply.status, reply.cause) == (413, "payload_too_large")


def test_chunked_body_over_the_limit(cluster, package):
    cluster.deploy(package("small2", script("cat >/dev/null\necho ok\n")), "small2", *EXEC)
    reply = cluster.call("small2", iter([b"x" * 65536] * 112))  # no length: in chunks
    assert (reply.status, reply.cause) == (413, "payload_too_large")


def test_timeout_kills(cluster, package, steady):
    cluster.deploy(package("slow", script("sleep 60\n")), "slow", *EXEC, "--timeout", "500ms")
    started = time.monotonic()
    reply = cluster.call("slow")
    assert (reply.status, reply.cause) == (504, "timeout")
    assert time.monotonic() - started < 20
    steady()
    reply = cluster.call("slow")
    assert reply.cause == "timeout"


def test_out_of_memory(cluster, package, compiled, steady):
    cluster.deploy(package("hog", {"hog": compiled("hog.c").read_bytes()}), "hog",
                   "--runtime", "exec", "--handler", "hog", "--memory", "32")
    for _ in range(2):
        reply = cluster.call("hog")
        assert (reply.status, reply.cause) == (502, "oom"), reply
        assert "peak" in reply.json()["error"]["message"]
    steady()


def test_exit_before_reply(cluster, package, steady):
    cluster.deploy(package("quits", {"server.py": """#!/usr/bin/python3
import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/quit": os._exit(42)
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"ok")
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""}), "quits", "--runtime", "http", "--handler", "server.py")
    assert cluster.call("quits").status == 200
    reply = cluster.call("quits", path="/quit")
    assert (reply.status, reply.cause) == (502, "crashed"), reply
    assert "42" in reply.json()["error"]["message"]
    assert cluster.call("quits").status == 200
    steady()


def test_exec_that_fails(cluster, package):
    cluster.deploy(package("fails", script("echo why >&2\nexit 3\n")), "fails", *EXEC)
    reply = cluster.call("fails")
    assert reply.status == 502, reply
    assert "3" in reply.json()["error"]["message"]


def test_fork_bomb(cluster, package, compiled, steady):
    """Stopped at the pids limit; others on the same node keep answering."""
    cluster.deploy(package("bomb", {"bomb": compiled("forkbomb.c").read_bytes()}), "bomb",
                   "--runtime", "exec", "--handler", "bomb", "--timeout", "3s", "--cpu", "500")
    call = Background(cluster.call, "bomb")
    for _ in range(10):
        for host in ("node1", "node2", "node3"):
            steady(host)
    reply = call.result()
    assert reply.status in (502, 504), reply
    assert reply.cause in ("timeout", "crashed", "oom")


def archive(kind, tmp_path):
    path = tmp_path / f"bad.{kind}"
    if kind == "traversal.zip":
        with zipfile.ZipFile(path, "w") as z:
            z.writestr("../../evil", "x")
        return path, "../../evil"
    if kind == "traversal.tar":
        with tarfile.open(path, "w") as t:
            info = tarfile.TarInfo("a/../../evil")
            info.size = 1
            t.addfile(info, io.BytesIO(b"x"))
        return path, "a/../../evil"
    if kind == "device.tar":
        with tarfile.open(path, "w") as t:
            info = tarfile.TarInfo("null")
            info.type = tarfile.CHRTYPE
            info.devmajor, info.devminor = 1, 3
            t.addfile(info)
        return path, "null"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("bomb.bin", b"\0" * (300 * 1024 * 1024))
    return path, "bomb.bin"


@pytest.mark.parametrize("kind", ["traversal.zip", "traversal.tar", "device.tar", "bomb.zip"])
def test_hostile_package_is_refused_by_entry(cluster, tmp_path, kind):
    path, entry = archive(kind, tmp_path)
    name = "hostile-" + kind.replace(".", "-")
    result = cluster.deploy(path, name, "--runtime", "exec", "--handler", "x", check=False)
    assert result.returncode != 0
    assert entry in result.stderr, result.stderr
    assert cluster.call(name).status == 404
    # The controller refuses it as well: the CLI's own check is a courtesy.
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    form = "zip" if path.suffix == ".zip" else "tar"
    reply = cluster.rest("PUT", f"/v1/packages/{digest}?format={form}", data)
    assert reply.status == 422, reply
    assert entry in reply.json()["error"]["message"]
    assert cluster.rest("HEAD", f"/v1/packages/{digest}").status == 404


def test_digest_mismatch_is_refused(cluster):
    reply = cluster.rest("PUT", "/v1/packages/" + "0" * 64 + "?format=file&file_name=a", b"data")
    assert reply.status == 422
    assert reply.json()["error"]["code"] == "package_invalid"
    assert cluster.rest("HEAD", "/v1/packages/" + "0" * 64).status == 404


@pytest.mark.parametrize("daemon", ["mayfly-controller", "mayfly-agent"])
def test_unknown_config_key_names_its_line(cluster, tmp_path, daemon):
    config = tmp_path / "bad.yaml"
    config.write_text("log:\n  level: info\n  levle: debug\n")
    result = cluster.exec("ctl1", daemon, "--config", config, "--check-config", check=False)
    assert result.returncode != 0
    assert f"{config}:3" in result.stderr and "log.levle" in result.stderr, result.stderr


def test_unknown_key_in_function_yaml(cluster, package):
    folder = package("typo", {"function.yaml": "runtime: exec\nhandler: run.sh\nmemroy: 128\n",
                              **script("echo\n")})
    result = cluster.deploy(folder, "typo", check=False)
    assert result.returncode == 2 or result.returncode == 1
    assert "memroy" in result.stderr and "function.yaml" in result.stderr


GARBAGE = [b"\x00" * 64, b"\xff" * 4096, os.urandom(4096), b"GET / HTTP/9.9\r\n\r\n",
           b"POST /fn/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           b"GET /fn/x HTTP/1.1\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n"]


@pytest.mark.parametrize("host,port", [("ctl1", 8091), ("node1", 8080), ("ctl1", 8090)])
def test_garbage_closes_that_connection_only(cluster, steady, host, port):
    for data in GARBAGE:
        with connect(cluster.network(host), port, timeout=30) as s:
            with_reset = False
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError as e:  # ENOTCONN: it was reset before the shutdown
                assert isinstance(e, ConnectionError) or e.errno == errno.ENOTCONN, e
                with_reset = True
            assert with_reset or s.recv(1) == b""
    steady()
    cluster.wait_ready()


def test_garbage_on_the_runtime_api(cluster, package):
    """A bootstrap that sends rubbish first still gets its calls."""
    bootstrap = """#!/usr/bin/python3
import http.client, os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
for rubbish in (b"\\0" * 100, b"GET / HTTP/7\\r\\n\\r\\n", os.urandom(5000)):
    s = socket.create_connection((host, int(port)))
    try:
        s.sendall(rubbish)
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096): pass
    except OSError:  # a reset; before the shutdown, it finds no connection
        pass
    s.close()
c = http.client.HTTPConnection(host, int(port))
while True:
    c.request("GET", "/2018-06-01/runtime/invocation/next")
    r = c.getresponse(); r.read()
    c.request("POST", "/2018-06-01/runtime/invocation/%s/response"
              % r.getheader("Lambda-Runtime-Aws-Request-Id"), '"served"')
    c.getresponse().read()
"""
    cluster.deploy(package("rude", {"bootstrap": bootstrap}), "rude")
    assert cluster.call("rude", b"{}").body == b'"served"'


def test_client_gone_stops_the_work(cluster, package):
    """When the caller hangs up, its process ends and the instance is free again."""
    cluster.deploy(package("long", script('[ "$PATH_INFO" = /quick ] && exec echo ok\n'
                                          "sleep 300\n")),
                   "long", *EXEC, "--max-scale", "1", "--timeout", "300s")
    with connect(cluster.network("node1"), 8080) as s:
        s.sendall(b"GET /fn/long/ HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for("the call to run",
                 lambda: cluster.json("describe", "long")["instances"]["busy"] == 1)
    reply = cluster.call("long", path="/quick", timeout=30)
    assert reply.status == 200, reply


def test_controller_killed(cluster, package, steady):
    """Warm and cold calls go on without it; it comes back knowing everything."""
    cluster.deploy(package("cold", script("echo cold\n")), "coldone", *EXEC)
    before = {f["name"]: f["serving_version"] for f in cluster.json("list")["items"]}
    cluster.tool("kill", "ctl1", "controller")
    for host in ("node1", "node2", "node3"):
        steady(host)
    assert cluster.call("coldone").body == b"cold\n"
    result = cluster.mayfly("list", check=False)
    assert result.returncode == 5, result
    cluster.tool("start", "ctl1")
    cluster.wait_ready()
    assert {f["name"]: f["serving_version"] for f in cluster.json("list")["items"]} == before
    cluster.deploy(package("after", script("echo after\n")), "after", *EXEC)
    assert cluster.call("after", host="node3").body == b"after\n"


def test_etcd_stopped(cluster, package, steady):
    """Deploys fail clearly, calls go on, and all heals by itself."""
    folder = package("later", script("echo later\n"))
    cluster.tool("kill", "ctl1", "etcd")
    result = cluster.deploy(folder, "later", *EXEC, check=False)
    assert result.returncode != 0
    assert "store_unavailable" in result.stderr, result.stderr
    for host in ("node1", "node2", "node3"):
        steady(host)
    cluster.json("list")  # reads are answered from memory
    cluster.tool("start", "ctl1", "etcd")
    wait_for("deploys to work again",
             lambda: cluster.deploy(folder, "later", *EXEC, check=False).returncode == 0)
    assert cluster.call("later").body == b"later\n"


def test_agent_killed_in_a_call(cluster, package, steady):
    """The caller gets an error, not a hang; the work is elsewhere, then back."""
    cluster.deploy(package("hold", script("sleep 300\n")), "hold", *EXEC, "--max-scale", "1",
                   "--timeout", "300s")
    node = [g["node"] for g in cluster.json("describe", "hold")["grants"] if g["max"]][0]
    other = next(h for h in ("node1", "node2", "node3") if h != node)
    call = Background(cluster.call, "hold", host=other, timeout=120)
    wait_for("the call to run",
             lambda: cluster.json("describe", "hold")["instances"]["busy"] == 1)
    cluster.tool("kill", node)
    reply = call.result(60)
    assert (reply.status, reply.cause) == (503, "node_lost"), reply
    wait_for("the grant to move",
             lambda: any(g["node"] != node and g["max"]
                         for g in cluster.json("describe", "hold")["grants"]), timeout=60)
    steady(other)
    cluster.tool("start", node)
    cluster.wait_ready()
    steady(node)


def test_a_call_on_a_node_that_is_cut_off(cluster, package, steady):
    """Nothing tells the other agent that the host is gone, its connections just fall silent.
    The call ends when the node is taken for lost, not with its own time-out; it is not made a
    second time, as it may go on there."""
    cluster.deploy(package("silent", script("sleep 600\n")), "silent", *EXEC, "--max-scale", "1",
                   "--timeout", "600s")
    node = [g["node"] for g in cluster.json("describe", "silent")["grants"] if g["max"]][0]
    other = next(h for h in ("node1", "node2", "node3") if h != node)
    call = Background(cluster.call, "silent", host=other, timeout=400)
    wait_for("the call to run",
             lambda: cluster.json("describe", "silent")["instances"]["busy"] == 1)
    cluster.tool("cut", node)
    try:
        wait_for("the node to be lost", lambda: cluster.nodes()[node]["state"] == "lost",
                 timeout=120)
        reply = call.result(120)
        assert (reply.status, reply.cause) == (503, "node_lost"), reply
        assert node in reply.json()["error"]["message"], reply
        function = cluster.rest("GET", "/v1/namespaces/default/functions/silent").json()
        assert function["instances"]["busy"] == 0 and function["invocations"] == 0, function
        steady(other)
    finally:
        cluster.tool("heal", node)
        cluster.wait_ready()
        cluster.mayfly("delete", "silent")
    steady(node)


def test_node_cut_off_goes_on(cluster, steady):
    """A node without its controller keeps serving within its grants, and comes back."""
    cluster.tool("cut", "node2")
    try:
        steady("node1")
        steady("node2")
    finally:
        cluster.tool("heal", "node2")
    cluster.wait_ready()
    steady("node2")


def test_nothing_is_left_of_a_killed_agent(cluster, package, steady):
    """Its sandboxes end with it, and its control groups are gone after the next start."""
    cluster.deploy(package("left", script("sleep 300\n")), "left", *EXEC, "--timeout", "300s")
    call = Background(cluster.call, "left", host="node3", timeout=120)
    wait_for("the call to run",
             lambda: cluster.json("describe", "left")["instances"]["busy"] == 1)
    node = [g["node"] for g in cluster.json("describe", "left")["grants"]]
    for n in set(node):
        cluster.tool("kill", n)
    with pytest.raises((OSError, AssertionError)):
        reply = call.result(60)
        assert reply.status == 200, reply
    wait_for("the sleep to end",
             lambda: run(["pgrep", "-f", "^sleep 300$"], check=False).returncode == 1)
    for n in set(node):
        cluster.tool("start", n)
    cluster.wait_ready()
    steady()


def test_smuggling_is_refused(cluster, steady):
    """Two lengths are one too many: 400, and the second request is never seen."""
    with connect(cluster.network("node1"), 8080, timeout=30) as s:
        s.sendall(b"POST /fn/bystander HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /fn/nobody HTTP/1.1\r\n"
                  b"Host: a\r\n\r\n")
        data = b""
        try:
            while chunk := s.recv(65536):
                data += chunk
        except ConnectionError:
            pass
    assert data.startswith(b"HTTP/1.1 400")
    assert data.count(b"HTTP/1.1") == 1


def test_forged_forwarding_header_changes_nothing(cluster, steady, package):
    cluster.deploy(package("spread", script("echo here\n")), "pinned", *EXEC, "--max-scale", "1")
    for host in ("node1", "node2", "node3"):
        reply = request(cluster.network(host), 8080, "GET", "/fn/pinned", None,
                        {"X-Mayfly-Forwarded": "1", "X-Forwarded-For": "10.0.0.1",
                         "X-Mayfly-Node": "elsewhere"})
        assert reply.status in (200, 503), reply
    assert cluster.call("pinned").status == 200


@pytest.mark.parametrize("text, word", [
    ("echo hi\n", "no interpreter line"),
    ("#!/bin/sh\r\necho hi\r\n", "CRLF"),
    ("#!/usr/bin/pythn3\nprint(1)\n", "/usr/bin/pythn3"),
])
def test_a_script_that_cannot_run_is_refused_at_deploy(cluster, package, text, word):
    """Not at the first call, and not with a bare errno."""
    folder = package("script", {"run.sh": text})
    (folder / "run.sh").chmod(0o755)
    result = cluster.deploy(folder, "cannot-run", *EXEC, check=False)
    assert result.returncode == 9, result
    assert "start_failed" in result.stderr and word in result.stderr, result.stderr
