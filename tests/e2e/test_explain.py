"""`mayfly explain` and the numbers of `mayfly top` against a real host."""

import json
import re
import types

import pytest
from lib import Background, request, wait_for
from rest import check

SLEEPS = """#!/bin/sh
read -r seconds
sleep "${seconds:-0}"
echo done
"""


def explain(dev, name, until=lambda e: True):
    """The explanation, once it says what is waited for: reports come each second."""
    path = f"/v1/namespaces/default/functions/{name}/explain"
    found = []

    def said():
        reply = request(dev.network(), 8090, "GET", path)
        check("GET", path, types.SimpleNamespace(status_code=reply.status,
                                                 headers=reply.headers), reply.body)
        found[:] = [reply.json()]
        return until(found[0])

    wait_for(f"the explanation of {name}", said)
    return found[0]


def test_cold_start_and_place(dev, package):
    """A new function tells where it may run and why; calls tell why their instances were
    started."""
    dev.deploy(package("cold", {"run.sh": SLEEPS}), "cold", "--runtime", "exec", "--handler",
               "run.sh", "--idle", "60s", "--target-utilization", "100")
    node = dev.json("nodes")["items"][0]["name"]
    calls = [Background(dev.call, "cold", b"4\n") for _ in range(3)]
    e = explain(dev, "cold", lambda e: (e["last_cold_start"] or {}).get("reason") == "all_busy")
    assert [c.result().status for c in calls] == [200, 200, 200]
    assert e["last_cold_start"]["node"] == node and e["last_cold_start"]["version"] == 1
    version = e["versions"][0]
    assert version["role"] == "serving"
    assert [n["node"] for n in version["nodes"]] == [node]
    assert "binpack" in [b["reason"] for b in version["nodes"][0]["because"]]
    assert version["left_out"] == [] and e["last_refusal"] is None
    out = dev.mayfly("explain", "cold").stdout
    assert "because all instances there were busy" in out
    assert f"{node}: " in out and "bin-packed" in out
    assert "last refused call: none" in out
    dev.mayfly("delete", "cold")


def test_wait_and_refusal(dev, package):
    """With one instance and room for one waiting call, one of three at once is refused, and
    the one that waited tells what for."""
    dev.deploy(package("full", {"run.sh": SLEEPS}), "full", "--runtime", "exec", "--handler",
               "run.sh", "--max-scale", "1", "--queue-max", "1", "--queue-timeout", "60s")
    calls = [Background(dev.call, "full", b"4\n") for _ in range(3)]
    replies = sorted((c.result() for c in calls), key=lambda r: r.status)
    assert [r.status for r in replies] == [200, 200, 429]
    assert replies[2].cause == "throttled"
    e = explain(dev, "full", lambda e: e["last_refusal"] and e["last_wait"])
    assert e["last_refusal"]["cause"] == "throttled"
    assert "queue_max is 1" in e["last_refusal"]["text"]
    assert e["last_wait"]["reason"] == "limit" and e["last_wait"]["waited_ms"] > 0
    out = dev.mayfly("explain", "full").stdout
    assert "throttled" in out and "queue_max is 1" in out
    assert "as many instances as it may" in out
    dev.mayfly("delete", "full")


def test_no_place(dev, package):
    """A node that a constraint keeps off is named with it."""
    dev.deploy(package("away", {"run.sh": SLEEPS}), "away", "--runtime", "exec", "--handler",
               "run.sh")
    dev.mayfly("deploy", package("away2", {"run.sh": SLEEPS}), "--name", "away", "--runtime",
               "exec", "--handler", "run.sh", "--constraint", "disk=ssd", "--no-wait")
    e = explain(dev, "away", lambda e: "candidate" in [v["role"] for v in e["versions"]])
    version = next(v for v in e["versions"] if v["role"] == "candidate")
    assert version["refused"] == {"labels": 1}
    assert version["left_out"][0]["constraint"] == "disk=ssd"
    out = dev.mayfly("explain", "away").stdout
    assert "was left out: its labels do not fit, disk=ssd" in out
    dev.mayfly("delete", "away")


def test_waits_for_room(dev, package):
    """A version that finds all memory promised to others is pending, which everybody is told,
    and takes over when there is room. The first serves all the time."""
    small = package("small", {"run.sh": SLEEPS})
    options = ("--runtime", "exec", "--handler", "run.sh", "--memory", "1024")
    dev.deploy(small, "patient", *options[:-2])
    capacity = dev.json("nodes")["items"][0]["memory"]["capacity_bytes"] >> 20
    dev.deploy(package("all", {"run.sh": SLEEPS}), "all", *options, "--reserved",
               str(capacity // 1024))
    late = dev.mayfly("deploy", package("large", {"run.sh": SLEEPS}), "--name", "patient",
                      *options, "--wait-timeout", "12s", check=False)  # over 10 s
    assert late.returncode == 8, late.stderr
    assert "waiting for room: no node has 1024 MiB of memory" in late.stderr
    assert "it stays pending" in late.stderr and "code: no_capacity" in late.stderr
    assert dev.call("patient", b"0\n").headers["X-Mayfly-Version"] == "1"
    first = dev.mayfly("deploy", small, "--name", "eager", *options, "--no-wait")
    assert first.returncode == 0
    wait_for("the list to tell", lambda: re.search(
        r"eager +waiting for room", dev.mayfly("list").stdout))
    version = next(v for v in dev.json("describe", "patient")["versions"] if v["number"] == 2)
    assert (version["state"], version["cause"]) == ("deploying", "no_capacity")
    assert "waiting for room: no node has 1024 MiB" in dev.mayfly("explain", "patient").stdout
    assert "waits for room: no node has 1024 MiB" in dev.mayfly("events", "patient").stdout
    dev.mayfly("delete", "all")
    wait_for("it to take over",
             lambda: dev.call("patient", b"0\n").headers["X-Mayfly-Version"] == "2")
    assert "found room on " in dev.mayfly("events", "patient").stdout
    dev.mayfly("delete", "patient")
    dev.mayfly("delete", "eager")


def test_cannot_serve(dev, package):
    """A function whose version failed tells why, also while an older one serves."""
    bad = package("bad", {"run.sh": "#!/nowhere/sh\n"})
    assert dev.mayfly("deploy", bad, "--name", "sick", "--runtime", "http", "--handler", "run.sh",
                      check=False).returncode == 9
    failure = explain(dev, "sick")["last_failure"]
    assert failure["version"] == 1 and failure["cause"] == "start_failed", failure
    out = dev.mayfly("explain", "sick").stdout
    assert f"version 1 (latest) cannot serve, start_failed: {failure['text']}" in out
    dev.deploy(package("good", {"run.sh": SLEEPS}), "sick", "--runtime", "exec", "--handler",
               "run.sh")
    assert explain(dev, "sick")["last_failure"] is None
    dev.mayfly("delete", "sick")


def test_replaced(dev, package):
    """A version whose calls go to another is not said to have what min-scale asks for."""
    folder = package("twice", {"run.sh": SLEEPS})
    for _ in range(2):
        dev.deploy(folder, "twice", "--runtime", "exec",
                   "--handler", "run.sh", "--min-scale", "1")
    e = explain(dev, "twice", lambda e: len(e["versions"]) == 2)
    recent = next(v for v in e["versions"] if v["role"] == "recent")
    assert recent["because"][0]["reason"] == "replaced"
    assert "0 wanted: its calls go to another version" in dev.mayfly("explain", "twice").stdout
    dev.mayfly("delete", "twice")


def test_top_shows_rate_and_latency(dev, package):
    """Calls between two looks are counted, and how long they took is told."""
    dev.deploy(package("busy", {"run.sh": SLEEPS}), "busy", "--runtime", "exec", "--handler",
               "run.sh")
    looks = Background(dev.json, "top", "--once", "--interval", "3")
    calls = 0
    while looks.is_running():
        assert dev.call("busy", b"0\n").status == 200
        calls += 1
    row = next(f for f in looks.result()["functions"] if f["name"] == "busy")
    assert 0 < row["calls_per_second"] <= calls
    assert 0 < row["latency"]["p50_ms"] <= row["latency"]["p99_ms"]
    assert row["latency"]["count"] <= calls
    assert row["cpu_us"] >= 0
    assert "busy" in dev.mayfly("top", "--once", "--interval", "1").stdout
    dev.mayfly("delete", "busy")


SPINS_HTTP = """#!/usr/bin/python3
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do_GET(self):
        until = time.process_time() + float(self.path.rsplit("/", 1)[1])
        while time.process_time() < until:
            pass
        body = json.dumps({"cpu": time.process_time()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""

SPINS_PYTHON = """
import time

def handler(event, context):
    until = time.process_time() + event["seconds"]
    while time.process_time() < until:
        pass
    return {"cpu": time.process_time()}
"""


def spin(dev, name, runtime, seconds):
    if runtime == "http":
        reply = dev.call(name, path=f"/{seconds}")
    else:
        reply = dev.call(name, json.dumps({"seconds": seconds}).encode())
    assert reply.status == 200, reply
    return reply.json()["cpu"]


@pytest.mark.parametrize("runtime,file,text", [("http", "server.py", SPINS_HTTP),
                                               ("python", "app.py", SPINS_PYTHON)],
                         ids=["http", "python"])
def test_top_shows_cpu_while_a_call_runs(dev, package, runtime, file, text):
    """What a function computes is seen while its call runs, by function, by node and in the
    agent's metrics; when its instance has gone, all of it was counted, once."""
    name = f"spins-{runtime}"
    options = ["--handler", file] if runtime == "http" else []
    dev.deploy(package(name, {file: text}), name, "--runtime", runtime, "--timeout", "60s",
               "--keep-alive", "fixed", "--idle", "3s", "--window", "6s", *options)
    assert spin(dev, name, runtime, 0) < 2

    def counted():
        text = request(dev.network(), 8092, "GET", "/metrics").body.decode()
        return float(re.search(r"^mayfly_cpu_seconds_total (\S+)$", text, re.M).group(1))

    metric = counted()
    call = Background(spin, dev, name, runtime, 8)
    wait_for("processor time in the metrics", lambda: counted() > metric + 0.5)
    top = dev.json("top", "--once", "--interval", "3")
    out = dev.mayfly("top", "--once", "--interval", "2").stdout
    assert call.is_running()
    row = next(f for f in top["functions"] if f["name"] == name)
    used = row["cpu_us"] / 1e6 / top["seconds"]
    assert 0.2 < used < 1.5, row  # of the one processor that it has, in turns of a second
    assert row["cpu_us"] <= top["nodes"][0]["cpu_us"]
    shown = next(line for line in out.splitlines() if line.startswith(name))
    assert re.search(r"\s[01]\.\d\d\s", shown), out
    assert "CPUS" in out.splitlines()[0]
    said = call.result()

    wait_for("the instance's end",
             lambda: sum(dev.json("describe", name)["instances"].values()) == 0, timeout=150)
    wait_for("all of it", lambda: dev.json("describe", name)["cpu_us"] / 1e6 > said * 0.95)
    total = dev.json("describe", name)["cpu_us"] / 1e6
    assert said * 0.95 < total < said * 1.2 + 0.5, (said, total)
    assert counted() - metric < said * 1.2 + 1
    dev.mayfly("delete", name)


def test_wrong_usage(dev):
    """What is not there, or cannot be, is said."""
    assert dev.mayfly("explain", "nobody", check=False).returncode == 3
    bad = dev.mayfly("explain", "No_Name", check=False)
    assert bad.returncode == 2 and "no function's name" in bad.stderr
    assert dev.mayfly("explain", check=False).returncode == 2
