"""One function's way through a cluster: deployed by the CLI, called on every node."""

import base64
import contextlib
import json
import re
import threading
from pathlib import Path

import pytest
from aws import ROLE, Aws, zipped
from lib import Background, request, run, wait_for

ECHO = """#!/bin/sh
printf '%s %s ' "$REQUEST_METHOD" "$PATH_INFO$QUERY_STRING"
cat
"""

HTTP = """#!/usr/bin/python3
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        n = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(n)
        self.send_response(201)
        self.send_header("X-Path", self.path)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

PROVIDED = """#!/bin/sh
while :; do
    headers=$(mktemp)
    event=$(curl -sS -D "$headers" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
    id=$(grep -i '^lambda-runtime-aws-request-id' "$headers" | tr -d '\\r' | cut -d' ' -f2)
    curl -sS -o /dev/null -d "{\\"got\\": $event, \\"pid\\": $$}" \\
        "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
"""


ODD = """#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
    curl -sS -D /tmp/head -o /dev/null "$api/next"
    id=$(grep -i '^lambda-runtime-aws-request-id' /tmp/head | tr -d '\\r' | cut -d' ' -f2)
    curl -sS -o /dev/null -H 'Lambda-Runtime-Function-Error-Type: Function.Odd' \\
        -d '{"errorType": "Odd", "errorMessage": "not today"}' "$api/$id/error"
done
"""


@pytest.mark.parametrize("host", ["node1", "node2", "node3"])
def test_every_gateway_serves_a_function(cluster, package, host):
    """Whichever agent is called, the call reaches the function, wherever its grant is."""
    name = f"echo-{host}"
    cluster.deploy(package("echo", {"run.sh": ECHO}), name, "--runtime", "exec",
                   "--handler", "run.sh", "--max-scale", "1")
    reply = cluster.call(name, b"hello", path="/a/b?x=1", host=host)
    assert reply.status == 200, reply
    assert reply.body == b"POST /a/bx=1 hello"
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["X-Mayfly-Request-Id"])
    assert "run;dur=" in reply.headers["Server-Timing"]
    assert reply.headers["X-Mayfly-Node"].endswith(("1", "2", "3"))
    reply = cluster.call(f"default/{name}", b"again", host=host)
    assert reply.body == b"POST / again"


def test_max_scale_one_holds_for_the_cluster(cluster, package):
    """A function with one instance is granted to one node; the others forward to it."""
    cluster.deploy(package("one", {"run.sh": ECHO}), "one", "--runtime", "exec",
                   "--handler", "run.sh", "--max-scale", "1")
    nodes = {cluster.call("one", b"x", host=h).headers["X-Mayfly-Node"]
             for h in ("node1", "node2", "node3")}
    assert len(nodes) == 1
    grants = cluster.json("describe", "one")["grants"]
    assert sum(g["max"] for g in grants) == 1


def test_http_runtime(cluster, package):
    """A server on $PORT is proxied: status, headers, path and body are its own."""
    cluster.deploy(package("web", {"server.py": HTTP}), "web", "--runtime", "http",
                   "--handler", "server.py")
    body = b"x" * 300_000
    reply = cluster.call("web", body, path="/deep/er?q=%20")
    assert reply.status == 201, reply
    assert reply.headers["X-Path"] == "/deep/er?q=%20"
    assert reply.body == body


def test_provided_runtime(cluster, package):
    """A bootstrap in shell speaks the Runtime API; the instance is kept between calls."""
    cluster.deploy(package("lambda", {"bootstrap": PROVIDED}), "lambda", "--max-scale", "1")
    first = cluster.call("lambda", b'{"n": 1}')
    assert first.status == 200, first
    assert first.json()["got"] == {"n": 1}
    second = cluster.call("lambda", b'{"n": 2}')
    assert second.json()["got"] == {"n": 2}
    assert "start;dur" not in second.headers["Server-Timing"]


def test_no_reuse_gives_every_call_a_fresh_sandbox(cluster, package):
    script = "#!/bin/sh\nls /tmp | wc -l; touch /tmp/mark\n"
    cluster.deploy(package("fresh", {"run.sh": script}), "fresh", "--runtime", "exec",
                   "--handler", "run.sh", "--no-reuse")
    cluster.deploy(package("kept", {"run.sh": script}), "kept", "--runtime", "exec",
                   "--handler", "run.sh", "--max-scale", "1")
    assert [cluster.call("fresh").body.strip() for _ in range(3)] == [b"0"] * 3
    assert [cluster.call("kept").body.strip() for _ in range(2)] == [b"0", b"1"]
    cluster.mayfly("delete", "fresh")


def _recycled(cluster):
    """Starts in the sandbox of an earlier call, and those that wait for one, on all nodes."""
    text = "".join(request(cluster.network(host), 8092, "GET", "/metrics").body.decode()
                   for host in ("node1", "node2", "node3"))
    return tuple(sum(map(int, re.findall(rf"^{name} (\d+)$", text, re.M)))
                 for name in ("mayfly_recycled_used_total", "mayfly_recycled"))


def test_no_reuse_has_a_sandbox_of_the_same_version_again(cluster, package):
    """The next call of a version may have the last one's sandbox, that of the next version may
    not, and with idle 0 none has. The instance is another each time."""
    # The number of a namespace may be given again, to a sandbox that began later.
    script = "#!/bin/sh\nreadlink /proc/self/ns/mnt\ncut -d' ' -f22 /proc/1/stat\ntouch /tmp/mark\n"
    options = ("--runtime", "exec", "--handler", "run.sh", "--no-reuse", "--max-scale", "1")
    cluster.deploy(package("again1", {"run.sh": script}), "recycled", *options)
    used, _ = _recycled(cluster)
    first = {cluster.call("recycled").body for _ in range(5)}
    assert _recycled(cluster)[0] > used
    assert len(first) < 5
    cluster.deploy(package("again2", {"run.sh": script + ": other\n"}), "recycled", *options)
    assert not first & {cluster.call("recycled").body for _ in range(3)}
    cluster.mayfly("delete", "recycled")
    wait_for("none to wait for what is gone", lambda: _recycled(cluster)[1] == 0)
    cluster.deploy(package("never", {"run.sh": script}), "never", *options, "--idle", "0")
    used, _ = _recycled(cluster)
    assert len({cluster.call("never").body for _ in range(5)}) == 5
    assert _recycled(cluster)[0] == used
    cluster.mayfly("delete", "never")


def test_redeploy_keeps_serving_and_delete_ends_it(cluster, package):
    """A new version takes over once it is ready; after delete the function is gone."""
    for n in ("one", "two"):
        cluster.deploy(package(n, {"run.sh": f"#!/bin/sh\necho {n}\n"}), "again",
                       "--runtime", "exec", "--handler", "run.sh")
        assert cluster.call("again").body == f"{n}\n".encode()
    assert cluster.json("describe", "again")["serving_version"] == 2
    cluster.mayfly("delete", "again")
    wait_for("404 everywhere",
             lambda: all(cluster.call("again", host=h).status == 404
                         for h in ("node1", "node2", "node3")))


def test_a_version_that_cannot_start_leaves_the_old_one(cluster, package):
    """deploy --wait ends with the reason; the old version goes on serving."""
    cluster.deploy(package("good", {"server.py": HTTP}), "steady", "--runtime", "http",
                   "--handler", "server.py")
    bad = "#!/bin/sh\necho the reason is printed >&2\nexit 7\n"
    result = cluster.deploy(package("bad", {"server.py": bad}), "steady", "--runtime", "http",
                            "--handler", "server.py", check=False)
    assert result.returncode == 9, result
    assert "init_failed" in result.stderr
    assert cluster.call("steady", b"still").status == 201
    function = cluster.json("describe", "steady")
    assert function["serving_version"] == 1
    assert function["versions"][-1]["state"] == "failed" or \
        function["versions"][0]["state"] == "failed"
    result = cluster.deploy(package("gone", {"other": "x"}), "steady", "--runtime", "http",
                            "--handler", "missing", check=False)
    assert result.returncode != 0
    assert "start_failed" in result.stderr


def test_a_first_version_that_crashes_says_so_everywhere(cluster, package):
    """Calls hear why on every node, not only where it was tried, and without waiting."""
    folder = package("stillborn", {"server.py": "#!/usr/bin/python3\nraise SystemExit(7)\n"})
    result = cluster.deploy(folder, "stillborn", "--runtime", "http", "--handler", "server.py",
                            "--queue-timeout", "60s", check=False)
    assert result.returncode == 9, result.stderr

    def replies():
        return [cluster.call("stillborn", b"x", host=host, timeout=20)
                for host in ("node1", "node2", "node3")]

    wait_for("all nodes to know", lambda: {r.cause for r in replies()} == {"init_failed"})
    for reply in replies():
        assert reply.status == 502, reply
        assert "7" in reply.json()["error"]["message"], reply
    cluster.mayfly("delete", "stillborn")


def test_streams_both_ways(cluster, package):
    """A body larger than any buffer goes through, with the reply flowing meanwhile."""
    cluster.deploy(package("cat", {"run.sh": "#!/bin/sh\nexec cat\n"}), "cat",
                   "--runtime", "exec", "--handler", "run.sh", "--timeout", "60s")
    body = bytes(range(256)) * (5 * 4096)  # 5 MiB
    for host in ("node1", "node2"):
        assert cluster.call("cat", body, host=host).body == body


def test_logs_are_kept_and_read(cluster, package):
    script = "#!/bin/sh\necho to-stderr-$REQUEST_METHOD >&2\necho ok\n"
    cluster.deploy(package("talk", {"run.sh": script}), "talk", "--runtime", "exec",
                   "--handler", "run.sh")
    cluster.call("talk", b"")
    wait_for("the line in the logs",
             lambda: "to-stderr-POST" in cluster.mayfly("logs", "talk").stdout)


def test_namespaces_are_apart(cluster, package):
    """The same name in two namespaces is two functions, with different users inside."""
    script = "#!/bin/sh\necho $GREETING\n"
    folder = package("greet", {"run.sh": script})
    cluster.rest("PUT", "/v1/namespaces/team")
    cluster.deploy(folder, "greet", "--runtime", "exec", "--handler", "run.sh",
                   "--env", "GREETING=mine")
    cluster.deploy(folder, "greet", "--runtime", "exec", "--handler", "run.sh",
                   "--env", "GREETING=theirs", "-n", "team")
    assert cluster.call("greet").body == b"mine\n"
    assert cluster.call("team/greet").body == b"theirs\n"
    names = {n["name"] for n in cluster.json("namespaces")["items"]}
    assert {"default", "team"} <= names


def test_metrics_are_prometheus(cluster, package):
    """promtool finds nothing to complain about in the agents' and controller's metrics."""
    cluster.deploy(package("m", {"run.sh": "#!/bin/sh\necho\n"}), "measured",
                   "--runtime", "exec", "--handler", "run.sh")
    cluster.call("measured")
    for host, port in (("node1", 8092), ("ctl1", 8090)):
        text = request(cluster.network(host), port, "GET", "/metrics").body.decode()
        assert "mayfly_build_info" in text
        check = cluster.exec(host, "promtool", "check", "metrics", input=text, check=False)
        assert check.returncode == 0, check.stdout + check.stderr
    node = cluster.call("measured").headers["X-Mayfly-Node"]
    text = request(cluster.network(node), 8092, "GET", "/metrics").body.decode()
    assert re.search(r'mayfly_invocations_total\{[^}]*function="measured"[^}]*\} [1-9]', text)


def test_json_everywhere(cluster, package):
    cluster.deploy(package("j", {"run.sh": "#!/bin/sh\necho\n"}), "listed",
                   "--runtime", "exec", "--handler", "run.sh")
    for verb in (["list"], ["nodes"], ["namespaces"], ["describe", "listed"], ["status"]):
        assert json.loads(cluster.mayfly(*verb, "-o", "json").stdout)
        assert cluster.mayfly(*verb, "-o", "yaml").stdout.strip()
        assert cluster.mayfly(*verb).stdout.strip()


def test_a_secret_stays_where_it_belongs(cluster, package):
    """S40: what a function has in its environment is in no log, metric, command line or
    environment of ours."""
    secret = "s3cr3t-" + "x7q9" * 5
    cluster.deploy(package("hush", {"run.sh": "#!/bin/sh\necho ${#TOKEN}\nexec sleep 2\n"}),
                   "hush", "--runtime", "exec", "--handler", "run.sh",
                   "--env", f"TOKEN={secret}")
    call = Background(cluster.call, "hush", b"x")
    wait_for("the call to run",
             lambda: cluster.json("describe", "hush")["instances"]["busy"] == 1)
    ours = {int(p) for host in ("ctl1", "node1", "node2", "node3")
            for p in run(["ip", "netns", "pids", f"mf-{host}"]).stdout.split()}
    for pid in ours:
        for part in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                assert secret.encode() not in Path(f"/proc/{pid}/{part}").read_bytes()
    reply = call.result()
    assert reply.body == f"{len(secret)}\n".encode()
    for log in Path(cluster.folder).rglob("*.log"):
        assert secret.encode() not in log.read_bytes(), log
    for host, port in (("node1", 8092), ("ctl1", 8090)):
        text = request(cluster.network(host), port, "GET", "/metrics").body
        assert secret.encode() not in text
    assert secret not in str(reply.headers)


def test_a_functions_own_error_is_its_callers(cluster, package):
    """What a bootstrap says on …/error reaches the caller whole, with the cause."""
    cluster.deploy(package("odd", {"bootstrap": ODD}), "odd", "--max-scale", "1")
    for host in ("node1", "node2", "node3"):
        reply = cluster.call("odd", b"{}", host=host)
        assert (reply.status, reply.cause) == (502, "function_error"), reply
        assert reply.json() == {"errorType": "Odd", "errorMessage": "not today"}


def test_drain_loses_no_call(cluster, package):
    """A node is drained under load and brought back: no call fails, and it is empty between."""
    cluster.deploy(package("steadily", {"run.sh": "#!/bin/sh\nsleep 0.05\necho ok\n"}),
                   "steadily", "--runtime", "exec", "--handler", "run.sh")
    stop = threading.Event()
    seen = []

    def load(host):
        while not stop.is_set():
            reply = cluster.call("steadily", b"x", host=host)
            seen.append((reply.status, reply.cause, reply.headers["X-Mayfly-Node"]))

    threads = [Background(load, f"node{n % 3 + 1}") for n in range(9)]
    try:
        wait_for("calls on node2", lambda: any(s[2] == "node2" for s in seen))
        cluster.mayfly("node", "drain", "node2", "--deadline", "60s")
        node = cluster.nodes()["node2"]
        assert (node["state"], node["instances"], node["functions"]) == ("draining", 0, 0)
        drained = len(seen)
        wait_for("more calls", lambda: len(seen) > drained + 50)
        assert all(s[2] != "node2" for s in seen[drained + 9:])
        cluster.mayfly("node", "uncordon", "node2")
        wait_for("calls on node2 again", lambda: any(s[2] == "node2" for s in seen[drained:]))
    finally:
        stop.set()
        cluster.mayfly("node", "uncordon", "node2", check=False)
    for thread in threads:
        thread.result()
    assert [s for s in seen if s[0] != 200] == []


ONLY = """#!/usr/bin/python3
import http.server, json, os, time
began = time.monotonic()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(0.05)
        body = json.dumps({"began": began, "done": time.monotonic()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_drain_of_the_only_instance(cluster, package):
    """What may have one instance moves under load: no call fails, and never are there two."""
    cluster.deploy(package("only", {"serve.py": ONLY}), "only", "--runtime", "http",
                   "--handler", "serve.py", "--max-scale", "1", "--concurrency", "10")
    stop = threading.Event()
    seen = []

    def load(host):
        while not stop.is_set():
            reply = cluster.call("only", b"x", host=host)
            seen.append((reply.status, reply.cause, reply.headers["X-Mayfly-Node"],
                         reply.json() if reply.status == 200 else reply.body))

    threads = [Background(load, f"node{n % 3 + 1}") for n in range(6)]
    moves = []
    try:
        wait_for("calls", lambda: len(seen) > 20)
        for _ in range(3):
            node = seen[-1][2]
            moves.append(node)
            cluster.mayfly("node", "drain", node, "--deadline", "60s")
            wait_for("calls elsewhere", lambda: seen[-1][2] != node)
            cluster.mayfly("node", "uncordon", node)
    finally:
        stop.set()
        for node in moves:
            cluster.mayfly("node", "uncordon", node, check=False)
    for thread in threads:
        thread.result()
    assert [s for s in seen if s[0] != 200] == []
    lives = {}
    for _, _, node, said in seen:
        key = (said["began"], node)
        lives[key] = max(lives.get(key, 0), said["done"])
    ordered = sorted(lives)
    assert len(ordered) >= 4, lives
    for before, after in zip(ordered, ordered[1:]):
        assert lives[before] < after[0], "two at once"


def test_cordon_and_labels(cluster, package):
    """What is said of a node shows, is kept, and mistakes are explained."""
    try:
        cluster.mayfly("node", "cordon", "node3")
        cluster.mayfly("node", "label", "node3", "zone=a", "disk=ssd")
        cluster.mayfly("node", "label", "node3", "disk-")
        node = cluster.nodes()["node3"]
        assert node["state"] == "cordoned"
        assert node["labels"]["zone"] == "a" and "disk" not in node["labels"]
        cluster.deploy(package("c", {"run.sh": "#!/bin/sh\necho c\n"}), "not-there",
                       "--runtime", "exec", "--handler", "run.sh")
        assert "node3" not in {g["node"] for g in cluster.json("describe", "not-there")["grants"]}
    finally:
        cluster.mayfly("node", "uncordon", "node3")
    for args, code, text in ((("cordon", "node9"), 3, "node9"), (("rest", "node1"), 2, "cordon"),
                             (("label", "node1"), 2, "labels"),
                             (("label", "node1", "a b=c"), 1, "a b")):
        result = cluster.mayfly("node", *args, check=False)
        assert result.returncode == code and text in result.stderr, result


def test_a_node_shows_what_it_has_made_ahead(cluster):
    """Blanks: how many of which kind, and their memory."""
    def blanks():
        return cluster.json("node", "node2")["blanks"]

    wait_for("blanks to be ready", lambda: blanks()["ready"] > 0)
    told = blanks()
    assert "plain" in {k["kind"] for k in told["kinds"]}, told
    assert told["ready"] == sum(k["ready"] for k in told["kinds"]), told
    assert told["memory_bytes"] == sum(k["memory_bytes"] for k in told["kinds"]), told
    out = cluster.mayfly("node", "node2").stdout
    assert out.startswith("node2 is ready") and re.search(r"blanks +\d+ made ahead", out), out
    assert cluster.mayfly("node", "nowhere", check=False).returncode == 3
    assert cluster.mayfly("node", "drain", check=False).returncode == 2


@pytest.mark.parametrize("kind", ["ws", "websockets"])
def test_a_websocket_through_every_gateway(cluster, tmp_path, kind):
    """An agent without an instance hands the socket on; whoever ends it, both agents see it end."""
    import ws

    name = f"socket-{kind}"
    cluster.deploy(ws.write(kind, tmp_path), name, "--max-scale", "1")

    async def whole(socket):
        node = socket.response_headers["X-Mayfly-Node"]
        assert await ws.everything(socket) == (4321, "enough")
        return node

    async def leaves(socket):
        await socket.send("here")
        assert await socket.recv() == "here"
        socket.transport.abort()

    ran = {host: ws.talk(cluster, f"/fn/{name}/", whole, host=host) for host in ("node1", "node2", "node3")}
    assert len(set(ran.values())) == 1, ran  # there is one instance
    for host in ran:
        ws.talk(cluster, f"/fn/{name}/", leaves, host=host)

    def in_flight():
        total = 0
        for host in ran:
            text = request(cluster.network(host), 8092, "GET", "/metrics").body.decode()
            total += sum(float(line.split()[1]) for line in text.splitlines()
                         if line.startswith("mayfly_invocations_in_flight"))
        return total

    wait_for("the end of all calls", lambda: in_flight() == 0)


SNAKE = """
import time
def handler(event, context):
    print("said by", context.function_name)
    if event.get("fail"):
        raise ValueError("as wanted")
    if event.get("sleep"):
        time.sleep(60)
    return context.invoked_function_arn
"""


# Lambda's API on whichever node: the call's ARN goes along to the one that runs it, and the
# log's tail comes back, of calls that fail and run out of time as well.
def test_lambda_over_hops(cluster):
    key = cluster.json("keys", "create")
    nodes = [Aws(cluster, key["access_key_id"], key["secret_access_key"], host=f"node{i}") for i in (1, 2, 3)]
    wait_for("the key at all nodes", lambda: all(
        n.request("GET", "/2015-03-31/functions").status == 200 for n in nodes))
    code = base64.b64encode(zipped({"app.py": SNAKE})).decode()
    made = nodes[0].request("POST", "/2015-03-31/functions", json.dumps({
        "FunctionName": "Hop_1", "Runtime": "python3.11", "Role": ROLE, "Handler": "app.handler", "Timeout": 2,
        "Code": {"ZipFile": code}}).encode())
    assert made.status == 201, made
    nodes[0].wait_active("Hop_1")
    one = b'{"ReservedConcurrentExecutions":1}'
    assert nodes[1].request("PUT", "/2017-10-31/functions/Hop_1/concurrency", one).status == 200

    def grants():
        return cluster.rest("GET", "/v1/namespaces/default/functions/l---hop-01").json()["grants"]

    wait_for("one grant", lambda: sum(g["max"] for g in grants()) == 1)
    arn = "arn:aws:lambda:us-east-1:000000000000:function:Hop_1:$LATEST"
    for event, error in (({}, None), ({"fail": 1}, "ValueError"), ({"sleep": 1}, "Task timed out after 2.00")):
        for node in nodes:
            reply = node.invoke("Hop_1%3A%24LATEST", event, {"X-Amz-Log-Type": "Tail"})
            text = base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()
            assert reply.status == 200 and ("X-Amz-Function-Error" in reply.headers) == (error is not None), reply
            identity = reply.headers["x-amzn-RequestId"]
            assert text.startswith(f"START RequestId: {identity} Version: $LATEST\nsaid by Hop_1\n"), text
            assert f"END RequestId: {identity}\nREPORT RequestId: {identity}\t" in text
            assert reply.json() == arn if error is None else error in text
    assert nodes[2].request("DELETE", "/2015-03-31/functions/Hop_1").status == 204
    cluster.mayfly("keys", "delete", key["access_key_id"])
