"""Warm calls: through the gateway beside nginx in front of the same server."""

import os
import re
import signal
import subprocess

from . import machine
from .measure import Ratio, Result
from .world import COPY, GATEWAY, NGINX, UPSTREAM, Failed, Mayfly, run, wait_for

COLUMNS = [("rate", "calls/s", "{:,.0f}"), ("p50_us", "p50 µs", "{:,.0f}"),
           ("p99_us", "p99 µs", "{:,.0f}"), ("proxy_us", "its CPU µs/call", "{:.1f}")]
PAUSE_MS = 2
HTTP = ["--runtime", "http", "--handler", "bench_server", "--memory", "64"]


def _one(world, port, path, connections, proxies, pinned, server):
    """One measurement. Pinned: who is measured has a CPU, load and server have the other."""
    seconds = 0.3 if world.options.quick else 2.0
    first, last = {machine.CPUS[0]}, {machine.CPUS[-1]}
    for pid in proxies:
        machine.pin(pid, last if pinned else machine.CPUS)
    for pid in server:
        machine.pin(pid, first if pinned else machine.CPUS)
    before = machine.cpu_us(proxies)
    result = world.load(port, path, connections, seconds, cpus=first if pinned else None)
    result["proxy_us"] = (machine.cpu_us(proxies) - before) / result["count"]
    return result


def _systems(world, quick):
    mayfly, server = world.mayfly, world.server()
    mayfly.deploy(world.helper("server"), "warm", *HTTP, "--concurrency", "64", "--max-scale", "1",
                  "--min-scale", "1")
    world.load(GATEWAY, "/fn/warm/", seconds=0.2)
    function = wait_for("the function's process", mayfly.instances)
    one, two = world.nginx(1), [] if quick else world.nginx(2, port=NGINX + 1)
    systems = {}
    for connections in (32,) if quick else (32, 1):
        for pinned in (True, False):
            where = f"{connections} connection{'s' if connections > 1 else ''}, " \
                    f"{'pinned' if pinned else 'unpinned'}"

            def add(name, port, path, proxies, servers, where=where, c=connections, p=pinned):
                systems[f"{name}, {where}"] = lambda: _one(world, port, path, c, proxies, p, servers)

            add("mayfly", GATEWAY, "/fn/warm/", mayfly.gateways(), function)
            add("nginx", NGINX, "/", one, [server])
            if not pinned and connections > 1 and not quick:
                add("nginx of 2 workers", NGINX + 1, "/", two, [server])
            if connections > 1 and not quick:
                add("only copying", COPY, "/", [world.copier()], [server])
                add("no proxy", UPSTREAM, "/", [], [server])
    return systems


def warm_http(world):
    result = Result("warm-http", "A warm call through the gateway to an http function")
    result.columns = COLUMNS
    quick = world.options.quick
    for connections in (32,) if quick else (32, 1):
        for how in ("pinned", "unpinned"):
            where = f"{connections} connection{'s' if connections > 1 else ''}, {how}"
            budget = connections == 32
            result.wanted += [
                Ratio(f"calls/s of nginx proxy_pass, {where}", f"mayfly, {where}",
                      f"nginx, {where}", "rate", at_least=1.2 if budget else None),
                Ratio(f"p99 of nginx proxy_pass, {where}", f"mayfly, {where}", f"nginx, {where}",
                      "p99_us", at_most=1.0 if budget else None)]
    result.wanted.append(Ratio("CPU time a call of nginx's, pinned",
                               "mayfly, 32 connections, pinned", "nginx, 32 connections, pinned",
                               "proxy_us"))
    if not quick:
        result.wanted += [
            Ratio(f"{what} of what only copies bytes, {how}",
                  f"mayfly, 32 connections, {how}", f"only copying, 32 connections, {how}", key)
            for how in ("pinned", "unpinned")
            for what, key in (("calls/s", "rate"), ("p99", "p99_us"))]
        result.wanted += [
            Ratio(f"the limit: calls/s of nginx by what only copies bytes, {how}",
                  f"only copying, 32 connections, {how}", f"nginx, 32 connections, {how}", "rate")
            for how in ("pinned", "unpinned")]
        result.wanted.append(Ratio("calls/s of nginx with 2 workers, unpinned",
                                   "mayfly, 32 connections, unpinned",
                                   "nginx of 2 workers, 32 connections, unpinned", "rate"))
    result.interleave(_systems(world, quick), world.options.rounds)
    if not quick:
        _counts(world, result)
    return result


# --- system calls and instructions a call -------------------------------------------------------


def _system_calls(world, pid, port, path):
    """Of a process, for one call, by strace; and which."""
    out = world.folder / "strace.txt"
    world.load(port, path, seconds=0.3)  # what is to be opened is open
    tracer = subprocess.Popen(["strace", "-c", "-f", "-o", out, "-p", str(pid)],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while "attached" not in (line := tracer.stderr.readline()):
            if not line:
                raise Failed("strace cannot attach")
        wait_for("strace", lambda: _traced(pid))
        count = world.load(port, path, 32, seconds=60, requests=6000)["count"]
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)
    return out.read_text(), count


def _traced(pid):
    return "TracerPid:\t0\n" not in open(f"/proc/{pid}/status").read()


def _parse(text, count):
    calls = {}
    for line in text.splitlines():
        m = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if m and m.group(2) != "total":
            calls[m.group(2)] = int(m.group(1)) / count
    return calls


def _instructions(world, start, port, path, prepare):
    """For one call, under callgrind: the difference of two runs, so that the start is not in it."""
    totals = []
    for requests in (1000, 4000):
        out = world.new_folder("callgrind") / "out"
        out.touch()
        out.chmod(0o666)  # the agent is another user when it writes it
        out.parent.chmod(0o777)
        stop = start(["valgrind", "--tool=callgrind", "--vgdb=no", "-q",
                      f"--callgrind-out-file={out}"])
        try:
            prepare()
            world.load(port, path, 8, seconds=120, requests=requests)
        finally:
            stop()
        totals.append(int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.M).group(1)))
    return (totals[1] - totals[0]) / 3000


def _there(tool):
    return subprocess.run(["which", tool], capture_output=True).returncode == 0


def _note_system_calls(world, result, name, pid, port, path):
    calls = _parse(*_system_calls(world, pid, port, path))
    result.notes.append(f"system calls a call, {name}: " + ", ".join(
        f"{k} {v:.2f}" for k, v in sorted(calls.items(), key=lambda kv: -kv[1]) if v >= 0.01))
    return sum(v for k, v in calls.items() if k != "futex")


def _add_counts(result, rows):
    for name, row in rows.items():
        result.samples[f"{name}, counted"] = [row]
    result.columns = COLUMNS + [("syscalls", "system calls/call", "{:.2f}"),
                                ("instructions", "instructions/call", "{:,.0f}")]


def _counts(world, result):
    rows = {"mayfly": {}, "nginx": {}}
    if _there("strace"):
        for name, pid, port, path in (("mayfly", world.mayfly.agent, GATEWAY, "/fn/warm/"),
                                      ("nginx", world.nginx(1)[0], NGINX, "/")):
            rows[name]["syscalls"] = _note_system_calls(world, result, name, pid, port, path)
    if _there("valgrind"):
        rows["mayfly"]["instructions"] = _mayfly_instructions(
            world, "/fn/warm/", lambda w: w.mayfly.deploy(
                w.helper("server"), "warm", *HTTP, "--concurrency", "64", "--max-scale", "1",
                "--init-timeout", "60000"))
        rows["nginx"]["instructions"] = _nginx_instructions(world)
    _add_counts(result, rows)
    result.wanted += [Ratio("system calls a call of nginx's", "mayfly, counted", "nginx, counted",
                            "syscalls"),
                      Ratio("instructions a call of nginx's, in user space", "mayfly, counted",
                            "nginx, counted", "instructions")]


def _mayfly_instructions(world, path, deploy):
    world.stop_mayfly()

    def start(via):
        world._mayfly = Mayfly(world.prefix, world.new_folder("mayfly"), via=via)
        return world.stop_mayfly

    return _instructions(world, start, GATEWAY, path, lambda: deploy(world))


def _nginx_instructions(world):
    ports = iter((NGINX + 10, NGINX + 11))
    port = None

    def start(via):
        nonlocal port
        port = next(ports)
        pid = world.nginx(1, via=via, port=port)[0]

        def stop():
            os.kill(pid, signal.SIGQUIT)
            wait_for("nginx's end", lambda: open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1]
                     .split()[0] == "Z")

        return stop

    totals = []
    for requests in (1000, 4000):
        out = world.new_folder("callgrind") / "out"
        stop = start(["valgrind", "--tool=callgrind", "--vgdb=no", "-q",
                      f"--callgrind-out-file={out}"])
        world.load(port, "/", 8, seconds=120, requests=requests)
        stop()
        totals.append(int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.M).group(1)))
    return (totals[1] - totals[0]) / 3000


# --- Lambda's Runtime API ------------------------------------------------------------------------

INSTANCES = 8
PATHS = {"lambda": "/fn/lambda/", "http": "/fn/http1/"}


def _deploy_lambda(world):
    """A file, as valgrind does not know how a folder is taken in."""
    bootstrap = world.new_folder("lambda") / "bootstrap"
    run(["cp", world.helper("lambda"), bootstrap])
    world.mayfly.deploy(bootstrap, "lambda", "--runtime", "provided", "--memory", "64", "--max-scale",
                        str(INSTANCES), "--init-timeout", "60s")


def _deploy_http(world):
    world.mayfly.deploy(world.helper("server"), "http1", *HTTP, "--max-scale", str(INSTANCES),
                        "--init-timeout", "60s")


def _lambda_systems(world, quick):
    mayfly = world.mayfly
    _deploy_lambda(world)
    _deploy_http(world)
    seconds = 0.3 if quick else 2.0

    def measure(port, path, connections, proxies, pause_ms):
        before = machine.cpu_us(proxies)
        r = world.load(port, path, connections, seconds, warmup=0.2, pause_ms=pause_ms)
        r["proxy_us"] = (machine.cpu_us(proxies) - before) / r["count"]
        return r

    systems = {}
    for pause_ms in (0, PAUSE_MS):
        for connections in (8, 1):
            where = f"{connections} at once{', with pauses' if pause_ms else ''}"
            for name, path in PATHS.items():
                world.load(GATEWAY, path, connections, seconds=0.3)
                systems[f"{name}, {where}"] = lambda p=path, c=connections, ms=pause_ms: measure(
                    GATEWAY, p, c, mayfly.gateways(), ms)
            for name in PATHS if not pause_ms else ():
                port, process = world.relay(name, INSTANCES)
                systems[f"a relay's {name}, {where}"] = lambda p=port, q=process, c=connections: measure(
                    p, "/", c, [q], 0)
    return systems


def warm_lambda(world):
    result = Result("warm-lambda", "A warm call over the Lambda Runtime API beside an http function")
    result.columns = COLUMNS
    quick = world.options.quick
    result.interleave(_lambda_systems(world, quick), world.options.rounds)
    for where in ("1 at once, with pauses", "8 at once, with pauses", "1 at once", "8 at once"):
        result.wanted.append(Ratio(f"p50 of the http path, {where}", f"lambda, {where}",
                                   f"http, {where}", "p50_us", at_most=1.2))
    for where in ("1 at once", "8 at once"):
        result.wanted.append(Ratio(
            f"p50 of a relay that does nothing: its 3 messages each way to its 2, {where}",
            f"a relay's lambda, {where}", f"a relay's http, {where}", "p50_us"))
    result.wanted += [
        Ratio("calls/s of the http path, 8 at once", "lambda, 8 at once", "http, 8 at once", "rate"),
        Ratio("calls/s of a relay's, 8 at once", "a relay's lambda, 8 at once",
              "a relay's http, 8 at once", "rate"),
        Ratio("CPU time a call of the http path, 8 at once", "lambda, 8 at once", "http, 8 at once",
              "proxy_us"),
        Ratio("CPU time a call of a relay's, 8 at once", "a relay's lambda, 8 at once",
              "a relay's http, 8 at once", "proxy_us")]
    result.notes.append(f"with pauses: each caller waits {PAUSE_MS} ms between its calls, so that the "
                        "function has asked for its next event before")
    if not quick:
        _lambda_counts(world, result)
    return result


def _lambda_counts(world, result):
    rows = {name: {} for name in PATHS}
    for name, path in PATHS.items():
        if _there("strace"):
            rows[name]["syscalls"] = _note_system_calls(world, result, name, world.mayfly.agent,
                                                        GATEWAY, path)
    for name, deploy in (("lambda", _deploy_lambda), ("http", _deploy_http)):
        if _there("valgrind"):
            rows[name]["instructions"] = _mayfly_instructions(world, PATHS[name], deploy)
    _add_counts(result, rows)
    result.wanted += [Ratio("system calls a call of the http path", "lambda, counted",
                            "http, counted", "syscalls"),
                      Ratio("instructions a call of the http path, in user space",
                            "lambda, counted", "http, counted", "instructions")]
