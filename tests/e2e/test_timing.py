"""Server-Timing: each phase of each call, of every kind of function and every way to call one.
The phases add up to what the gateway measured, and that is within what the caller measures."""

import json
import re
import time

import pytest
from aws import Aws
from lib import Background, Connection, wait_for

SLOW_MS = 50  # what each of these functions takes for a call

EXEC = "#!/bin/sh\ncat >/dev/null\nsleep 0.05\necho done\n"

HTTP = """#!/usr/bin/python3
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        late = self.path == "/late"
        if not late:
            time.sleep(0.05)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("Server-Timing", "db;dur=3.5")
        self.end_headers()
        self.wfile.flush()
        if late:
            time.sleep(0.3)
        self.wfile.write(b"done\\n")
    do_POST = do_GET
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""

# {"fail": true}: an error; {"sleep": true}: longer than it may; {"late": true}: a stream whose
# rest comes late.
PROVIDED = """#!/usr/bin/python3
import http.client, json, os, time
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2018-06-01/runtime/invocation/"
def ask(method, path, body=None, headers={}):
    api.request(method, base + path, body, headers, encode_chunked=True)
    reply = api.getresponse()
    return reply, reply.read()
def late():
    yield b'"be'
    time.sleep(0.3)
    yield b'gun"'
while True:
    reply, event = ask("GET", "next")
    here = reply.headers["Lambda-Runtime-Aws-Request-Id"]
    event = json.loads(event)
    if event.get("late"):
        ask("POST", here + "/response", late(), {"Transfer-Encoding": "chunked",
            "Lambda-Runtime-Function-Response-Mode": "streaming"})
        continue
    time.sleep(60 if event.get("sleep") else 0.05)
    if event.get("fail"):
        ask("POST", here + "/error", b'{"errorType":"Wanted","errorMessage":"as wanted"}')
    else:
        ask("POST", here + "/response", b'{"statusCode": 200, "body": "done"}')
"""

PYTHON = "import time\ndef handler(event, context):\n    time.sleep(0.05)\n    return 'done'\n"
NODE = "exports.handler = () => new Promise((r) => setTimeout(() => r('done'), 50));\n"

KINDS = {
    "exec": ({"run.sh": EXEC}, "--runtime", "exec", "--handler", "run.sh"),
    "http": ({"server.py": HTTP}, "--runtime", "http", "--handler", "server.py"),
    "provided": ({"bootstrap": PROVIDED},),
    "python": ({"app.py": PYTHON}, "--memory", "128"),
    "node": ({"index.js": NODE}, "--memory", "128"),
}
ORDER = ["body", "queue", "start", "init", "run", "hop"]


def phases(reply):
    """Of the header that mayfly has added, which is the last: checked, without the total."""
    header = reply.headers.get_all("Server-Timing")[-1]
    found = re.findall(r"(\w+);dur=(\d+\.\d{3})(?:, |$)", header)
    assert ", ".join(f"{n};dur={d}" for n, d in found) == header
    names = [n for n, _ in found]
    assert names[-1] == "total" and names[:-1] == [n for n in ORDER if n in names], header
    thousandths = {n: round(float(d) * 1000) for n, d in found}
    total = thousandths.pop("total")
    assert sum(thousandths.values()) == total, header
    return {n: us / 1000 for n, us in thousandths.items()}


def timed(call):
    """What it returns, its phases, and how long it took, in ms. What the gateway says fits
    in it."""
    began = time.monotonic()
    reply = call()
    took = (time.monotonic() - began) * 1000
    told = phases(reply)
    assert sum(told.values()) <= took, (told, took)
    return reply, told, took


@pytest.fixture(scope="module")
def aws(dev):
    key = dev.json("keys", "create")
    yield Aws(dev, key["access_key_id"], key["secret_access_key"])
    dev.mayfly("keys", "delete", key["access_key_id"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(dev, package, kind):
    """A call that finds no instance waits for its start, one that finds one for nothing; both run
    as long as they do."""
    files, *options = KINDS[kind]
    name = f"timed-{kind}"
    dev.deploy(package(name, files), name, "--max-scale", "1", "--idle", "1s", *options)
    wait_for("no instance", lambda: not any(dev.json("describe", name)["instances"].values()))
    reply, told, took = timed(lambda: dev.call(name, b"{}"))
    assert reply.status == 200, reply
    assert list(told) == ["queue", "start", "init", "run"]
    assert told["run"] >= SLOW_MS
    wait_for("a warm call", lambda: list(phases(dev.call(name, b"{}"))) == ["queue", "run"])
    dev.mayfly("delete", name)


def test_what_is_waited_for(dev, package):
    """A call that waits for the one before it has its time in the queue; one that never got to an
    instance has nothing else."""
    dev.deploy(package("timed-queue", {"run.sh": EXEC}), "timed-queue", "--runtime", "exec", "--handler",
               "run.sh", "--max-scale", "1")
    calls = [Background(timed, lambda: dev.call("timed-queue", b"")) for _ in range(4)]
    assert max(c.result()[1]["queue"] for c in calls) >= 2 * SLOW_MS
    dev.deploy(package("timed-hang", {"run.sh": "#!/bin/sh\nsleep 60\n"}), "timed-hang", "--runtime", "exec",
               "--handler", "run.sh", "--max-scale", "1", "--timeout", "1500ms", "--queue-timeout", "300ms")
    calls = [Background(timed, lambda: dev.call("timed-hang", b"")) for _ in range(2)]
    told = {reply.cause: told for reply, told, took in (c.result() for c in calls)}
    assert told["timeout"]["run"] >= 1500
    assert list(told["queue_timeout"]) == ["queue"] and told["queue_timeout"]["queue"] >= 300


def test_replies_that_come_late(dev, package):
    """Of a reply that streams, the head is what is timed; a function's own header stays."""
    dev.deploy(package("timed-late", {"server.py": HTTP}), "timed-late", "--runtime", "http", "--handler",
               "server.py")
    reply, told, took = timed(lambda: dev.call("timed-late", path="/late"))
    assert reply.headers.get_all("Server-Timing")[0] == "db;dur=3.5"
    reply, told, took = timed(lambda: dev.call("timed-late", path="/late"))
    assert sum(told.values()) <= took - 290, (told, took)


def test_errors(dev, package):
    """A function's error and its end have their phases; what is no call has none."""
    files, *options = KINDS["provided"]
    dev.deploy(package("timed-error", files), "timed-error", "--timeout", "1s", *options)
    for event, cause, least in (({"fail": True}, "function_error", SLOW_MS), ({"sleep": True}, "timeout", 1000)):
        reply, told, took = timed(lambda e=event: dev.call("timed-error", json.dumps(e).encode()))
        assert reply.cause == cause and told["run"] >= least
    assert dev.call("", path="").headers["Server-Timing"] is None


def test_lambda_api(dev, aws, package):
    """Invoke, its stream, and a function URL; a body that comes slowly is a phase of its own."""
    aws.create("timed", {"bootstrap": PROVIDED})
    aws.wait_active("timed")
    for _ in range(2):
        reply, told, took = timed(lambda: aws.invoke("timed", {}))
        assert reply.status == 200 and told["run"] >= SLOW_MS
    assert list(told) == ["body", "queue", "run"]
    reply, told, took = timed(lambda: aws.invoke("timed", {"fail": True}))
    assert reply.headers["X-Amz-Function-Error"] == "Unhandled" and told["run"] >= SLOW_MS
    reply, told, took = timed(lambda: aws.request(
        "POST", "/2021-11-15/functions/timed/response-streaming-invocations", b'{"late": true}'))
    assert took >= 300 and sum(told.values()) <= took - 290, (told, took)
    reply, told, took = timed(lambda: aws.invoke("no-such-function", {}))
    assert reply.status == 404 and list(told) == ["body", "queue"]
    url = aws.request("POST", "/2021-10-31/functions/timed/url", b'{"AuthType": "NONE"}').json()
    path = "/url/" + url["FunctionUrl"].split("/url/")[1]
    reply, told, took = timed(lambda: aws.request("POST", path, b"{}", sign=False))
    assert reply.body == b"done" and list(told) == ["body", "queue", "run"] and told["run"] >= SLOW_MS
    reply, told, took = timed(lambda: slowly(dev, path, b"{}"))
    assert reply.body == b"done" and told["body"] >= 200 and told["queue"] < told["body"]


def slowly(dev, path, body):
    connection = Connection(dev.network(), 8080)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:1])
    time.sleep(0.25)  # what is tested: a caller that takes its time
    connection.send(body[1:])
    response = connection.getresponse()
    response.body = response.read()
    connection.close()
    return response


def test_a_hop(cluster, package):
    """A call that another node runs has that node's phases, and what the way took."""
    files, *options = KINDS["provided"]
    cluster.deploy(package("timed-hop", files), "timed-hop", "--max-scale", "1", *options)
    ran_on = cluster.call("timed-hop", b"{}").headers["X-Mayfly-Node"]
    hops = 0
    for host in ("node1", "node2", "node3"):
        reply, told, took = timed(lambda h=host: cluster.call("timed-hop", b"{}", host=h))
        assert reply.status == 200 and reply.headers["X-Mayfly-Node"] == ran_on
        assert list(told) in (["queue", "run"], ["queue", "run", "hop"]) and told["run"] >= SLOW_MS
        hops += "hop" in told
        assert len(reply.headers.get_all("Server-Timing")) == 1
    assert hops == 2
    reply, told, took = timed(lambda: cluster.call("timed-hop", b'{"fail": true}', host=other(cluster, ran_on)))
    assert reply.cause == "function_error" and list(told) == ["queue", "run", "hop"]


def other(cluster, node):
    return next(h for h in ("node1", "node2", "node3") if h != node)
