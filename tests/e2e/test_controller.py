"""The controller as a program: agents that join, logs, stores that fail, ends and restarts.
Agents are played by wire.Agent."""

import contextlib
import json
import shutil
import socket
import time

import pytest
import requests
from lib import Background, PREFIX, run, wait_for
from rest import FUNCTIONS, Etcd
from wire import function_message


@pytest.fixture
def etcd(tmp_path):
    if shutil.which("etcd") is None:
        pytest.skip("there is no etcd on this machine")
    server = Etcd(tmp_path)
    yield server
    server.stop()


# --- nodes ---------------------------------------------------------------------------------

def test_nodes(make_controller):
    controller = make_controller().start()
    assert controller.call("GET", "/v1/nodes").json() == {"items": []}
    controller.error(404, "GET", "/v1/nodes/n1")
    agent = controller.agent("n1", memory=1 << 30)
    assert agent.welcome["packages_url"] == "http://10.0.0.1:8090"
    wait_for("the node", lambda: controller.call("GET", "/v1/status").json()["nodes"]["ready"] == 1)
    agent.report(memory_reserved_bytes=128 << 20, instances=1)

    def reported():
        node = controller.call("GET", "/v1/nodes/n1", expect=200).json()
        return node if node["memory"]["reserved_bytes"] == 128 << 20 else None

    node = wait_for("its report", reported)
    assert (node["state"], node["gateway"]) == ("ready", "n1.test:8080")
    assert node["labels"] == {"zone": "a"} and node["cpu_millis"] == 4000
    assert node["memory"]["capacity_bytes"] == 1 << 30
    agent.wait(lambda m: "snapshot_end" in m)
    agent.close()
    wait_for("the node to be lost", lambda: [n["state"] for n in controller.call(
        "GET", "/v1/nodes").json()["items"]] in ([], ["lost"]))
    assert 'mayfly_nodes{state="ready"} 0' in controller.call("GET", "/metrics").text


def test_join_token(make_controller, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    controller = make_controller(token_file=token).start()
    assert controller.agent("n1", token="wrong").refused["cause"] == "unauthorized"
    agent = controller.agent("n1", token="s3cret")
    assert agent.welcome
    agent.close()


def test_garbage_on_the_hub(make_controller):
    controller = make_controller().start()
    agent = controller.agent("n1")
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\x00\x00\x00\x02\x08"):
        with socket.create_connection(("127.0.0.1", controller.hub_port), timeout=15) as s:
            s.sendall(junk)
            if junk[0]:
                try:
                    assert s.recv(100) == b""
                except ConnectionResetError:
                    pass
    agent.send(version_report={"namespace": "no such", "name": "../..", "version": 1,
                               "ready": False, "cause": "nonsense"})
    agent.report(instances=3)
    wait_for("the report", lambda: controller.call("GET", "/v1/nodes/n1").json()["instances"] == 3)
    agent.close()


# --- logs ----------------------------------------------------------------------------------

def lines(*texts, version=1, start=1000):
    return [{"wall_ms": start + i, "version": version, "instance": "1", "stream": "stdout",
             "text": t if isinstance(t, bytes) else t.encode()} for i, t in enumerate(texts)]


def request_of(agent):
    return agent.wait(lambda m: m.get("log_request"))


def acks(agent):
    return sum("log_ack" in m for m in agent.messages)


@pytest.fixture
def logging(make_controller):
    controller = make_controller().start()
    controller.deploy("f")
    agents = [controller.agent(f"n{i}") for i in (1, 2)]
    yield controller, *agents
    for agent in agents:
        agent.close()


def test_logs_are_merged(logging):
    controller, a, b = logging
    reading = Background(controller.call, "GET", f"{FUNCTIONS}/f/logs?tail=5&version=1")
    request = request_of(a)
    assert (request["namespace"], request["name"], request["tail"], request["version"]) == (
        "default", "f", 5, 1)
    assert not request.get("follow")
    a.send(log_chunk={"id": request["id"], "lines": lines("a1", "a2", start=10)})
    b.send(log_chunk={"id": request_of(b)["id"], "end": True,
                      "lines": lines(b"b\xff1", start=11) + lines("b2", start=50)})
    a.wait(lambda m: m.get("log_ack"))
    a.send(log_chunk={"id": request["id"], "lines": lines("a3", start=40), "end": True})
    got = [json.loads(line) for line in reading.result().content.splitlines()]
    assert [(x["node"], x["text"]) for x in got] == [
        ("n1", "a1"), ("n1", "a2"), ("n2", "b\ufffd1"), ("n1", "a3"), ("n2", "b2")]
    assert got[0]["ts"] == "1970-01-01T00:00:00.010Z"


def test_a_silent_node_is_passed_over(logging):
    controller, a, b = logging
    reading = Background(controller.call, "GET", f"{FUNCTIONS}/f/logs")
    a.send(log_chunk={"id": request_of(a)["id"], "lines": lines("here"), "end": True})
    got = [json.loads(line) for line in reading.result().content.splitlines()]
    assert sorted((x["node"], x["stream"]) for x in got) == [("n1", "stdout"), ("n2", "system")]


def test_a_node_that_leaves_ends_its_part(logging):
    controller, a, b = logging
    reading = Background(controller.call, "GET", f"{FUNCTIONS}/f/logs")
    a.send(log_chunk={"id": request_of(a)["id"], "lines": lines("here"), "end": True})
    request_of(b)
    b.close()
    got = [json.loads(line) for line in reading.result().content.splitlines()]
    assert [x["text"] for x in got if x["node"] == "n1"] == ["here"]
    assert [x["stream"] for x in got if x["node"] == "n2"] == ["system"]


def test_following(logging):
    controller, a, b = logging
    with requests.get(f"http://127.0.0.1:{controller.port}{FUNCTIONS}/f/logs?follow=1",
                      stream=True, timeout=20) as reply:
        assert reply.headers["Content-Type"] == "application/x-ndjson"
        stream = reply.iter_lines(chunk_size=1)
        request = request_of(a)
        assert request["follow"]
        a.send(log_chunk={"id": request["id"], "lines": lines("old")})
        assert json.loads(next(stream))["text"] == "old"
        a.wait(lambda m: m.get("log_ack"))
        a.send(log_chunk={"id": request["id"], "lines": lines("new", start=5000)})
        assert json.loads(next(stream))["text"] == "new"
        late = controller.agent("n3")  # joins while the log is followed
        late.send(log_chunk={"id": request_of(late)["id"], "lines": lines("late", start=6000)})
        assert json.loads(next(stream))["text"] == "late"
    for agent in (a, b, late):
        assert agent.wait(lambda m: m.get("log_cancel"))["id"] == request["id"]
    late.close()


def test_a_slow_reader_holds_the_agents_back(logging):
    controller, a, b = logging
    text = "x" * 30000
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", controller.port))
        s.sendall(f"GET {FUNCTIONS}/f/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        request = request_of(a)
        b.send(log_chunk={"id": request_of(b)["id"], "end": True})
        sent = 0
        held = 0
        while held == sent and sent < 2000:
            a.send(log_chunk={"id": request["id"], "lines": lines(*[text] * 4, start=1000 + 10 * sent)})
            sent += 1
            with contextlib.suppress(AssertionError):  # it is held back, or only slow
                a.wait(lambda m: acks(a) >= sent, timeout=3)
            held = acks(a)
        assert sent < 2000, "acknowledged without end although nobody reads"
        s.settimeout(30)
        received = 0
        while acks(a) == held:
            received += len(s.recv(1 << 20))
        assert received > 0
    a.wait(lambda m: m.get("log_cancel"))


def test_log_errors(logging):
    controller, a, b = logging
    controller.error(404, "GET", f"{FUNCTIONS}/nobody/logs")
    controller.error(404, "GET", f"{FUNCTIONS}/f/logs?version=9")
    for query, field in (("follow=maybe", "follow"), ("tail=0", "tail"), ("tail=x", "tail"),
                         ("version=0", "version")):
        controller.error(400, "GET", f"{FUNCTIONS}/f/logs?{query}", field=field)
    controller.call("HEAD", f"{FUNCTIONS}/f/logs", expect=200)


# --- bad days ------------------------------------------------------------------------------

def snapshot(controller):
    def without_time(value):
        if isinstance(value, dict):
            return {k: without_time(v) for k, v in value.items() if k != "last_seen_ms"}
        return [without_time(v) for v in value] if isinstance(value, list) else value

    return [without_time(controller.call("GET", path, expect=200).json())
            for path in ("/v1/namespaces", "/v1/namespaces/-/functions")]


@pytest.mark.parametrize("engine", ["sqlite", "etcd"])
def test_killed_and_back_it_knows_everything(make_controller, engine, request):
    settings = {}
    if engine == "etcd":
        settings = {"store__engine": "etcd", "store__endpoints": request.getfixturevalue("etcd").start().url}
    controller = make_controller(**settings).start()
    controller.call("PUT", "/v1/namespaces/team", expect=201)
    for i in range(3):
        controller.deploy(f"f{i}", ns="team")
    controller.deploy("f0", ns="team")
    last = controller.deploy("g")
    controller.kill()  # at once after the reply
    before = None
    controller.start()
    before = snapshot(controller)
    assert [f["name"] for f in before[1]["items"]] and len(before[1]["items"]) == 4
    assert controller.call("GET", f"{FUNCTIONS}/g").json()["revision"] == last["revision"]
    assert controller.call("GET", f"/v1/packages/{last['package']['digest']}", expect=200)
    controller.kill()
    controller.start()
    assert snapshot(controller) == before
    assert controller.deploy("f0", ns="team")["latest_version"] == 3


def test_killed_while_deploying_nothing_acknowledged_is_lost(make_controller):
    controller = make_controller().start()
    package = controller.upload(b"x")
    acknowledged = []

    def deploy_on():
        session = requests.Session()
        for i in range(10000):
            try:
                reply = session.put(f"http://127.0.0.1:{controller.port}{FUNCTIONS}/f{i}",
                                    json={"spec": {}, "package": package}, timeout=10)
            except requests.RequestException:
                return
            if reply.ok:
                acknowledged.append(f"f{i}")

    deploying = Background(deploy_on)
    wait_for("some deploys", lambda: len(acknowledged) > 20)
    controller.kill()
    deploying.result()
    controller.start()
    there = {f["name"] for f in controller.call("GET", FUNCTIONS).json()["items"]}
    assert set(acknowledged) <= there
    assert len(there) <= len(acknowledged) + 1


def test_store_gone_and_back(make_controller, etcd):
    controller = make_controller(store__engine="etcd", store__endpoints=etcd.start().url).start()
    function = controller.deploy("f")
    agent = controller.agent("n1")
    agent.wait(function_message("f"))
    etcd.stop()
    wait_for("the loss to be noticed", lambda: controller.call("GET", "/readyz").status_code == 503)
    assert controller.call("GET", "/healthz", expect=200)
    assert controller.call("GET", "/v1/status").json()["store"] == {"engine": "etcd", "up": False}
    assert controller.call("GET", f"{FUNCTIONS}/f", expect=200).json()["revision"] == function["revision"]
    body = {"spec": {}, "package": {k: function["package"][k] for k in ("digest", "format", "file_name")}}
    error = controller.error(503, "PUT", f"{FUNCTIONS}/f", body, code="store_unavailable", timeout=60)
    assert error["message"]
    assert "mayfly_store_up 0" in controller.call("GET", "/metrics").text
    assert not agent.closed
    etcd.start()
    controller.wait_ready()
    again = wait_for("deploys", lambda: controller.call("PUT", f"{FUNCTIONS}/f", body).status_code == 200)
    assert again
    agent.wait(function_message("f", lambda f: any(v["number"] >= 2 for v in f["versions"])))
    agent.close()


def test_store_not_there_at_the_start(make_controller, etcd):
    controller = make_controller(store__engine="etcd", store__endpoints=etcd.url).start(ready=False)
    assert controller.call("GET", "/healthz", expect=200)
    controller.error(503, "GET", "/readyz", code="store_unavailable")
    controller.error(503, "GET", FUNCTIONS, code="store_unavailable")
    assert controller.call("GET", "/v1/status", expect=200).json()["store"]["up"] is False
    assert controller.agent("n1").refused["cause"] == "store_unavailable"
    etcd.start()
    controller.wait_ready()
    controller.deploy("f")
    assert any(e["msg"] == "the store does not answer" for e in controller.log())


def test_memory_engine(make_controller):
    controller = make_controller(store__engine="memory").start()
    controller.deploy("f")
    assert controller.call("GET", "/v1/status").json()["functions"] == 1


def test_ends_in_order(make_controller):
    """SIGTERM: what waits is answered, what streams ends, the exit status is 0."""
    controller = make_controller().start()
    controller.deploy("f")
    agent = controller.agent("n1")
    waiting = socket.create_connection(("127.0.0.1", controller.port), timeout=20)
    waiting.sendall(f"GET {FUNCTIONS}/f/versions/1?wait_ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    following = Background(requests.get, f"http://127.0.0.1:{controller.port}"
                           f"{FUNCTIONS}/f/logs?follow=1", timeout=30)
    request_of(agent)
    started = time.monotonic()
    controller.stop(within=8)
    assert time.monotonic() - started < 5
    assert following.result().status_code == 200
    answer = b"".join(iter(lambda: waiting.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"state":"deploying"' in answer
    waiting.close()
    agent.wait_closed()


# --- program -------------------------------------------------------------------------------

def program(*args):
    return run([PREFIX / "bin" / "mayfly-controller", *args], check=False)


def test_options(tmp_path):
    assert program("--version").stdout.startswith("mayfly-controller ")
    assert program("--help").stdout.startswith("Examples:")
    assert "store.endpoints" in program("--help").stdout
    for bad in (["--nonsense"], ["file"], ["--set", "rest.prot=1"], ["--set", "store.engine=redis"],
                ["--set", "store.engine=etcd"], ["--set", "state_dir=relative"],
                ["--set", "advertise_url=ftp://x"], ["--set", "log.level=loud"],
                ["--set", "hub.heartbeat=1ms"]):
        result = program("--check-config", *bad)
        assert result.returncode == 2 and result.stderr and not result.stdout, bad
    config = tmp_path / "controller.yaml"
    config.write_text("rest:\n  port: 0\n  prot: 1\n")
    result = program("--config", config, "--check-config")
    assert result.returncode == 2 and f"{config}:3: rest.prot" in result.stderr
    config.write_text("store:\n  engine: memory\nsettle: 1s\n")
    assert program("--config", config, "--check-config").returncode == 0


def test_cannot_start_is_said(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for key in ("rest", "hub"):
            other = "hub" if key == "rest" else "rest"
            result = program("--set", f"{key}.port={port}", "--set", f"{key}.host=127.0.0.1",
                             "--set", f"{other}.port=0", "--set", f"state_dir={tmp_path}/{key}",
                             "--set", "log.format=json")
            assert result.returncode == 1
            error = [json.loads(x) for x in result.stderr.splitlines() if "cannot start" in x]
            assert key in error[0]["error"], result.stderr
