"""Many: idle instances on a host, functions that nobody calls, and how costs grow."""

import pathlib
import statistics
import time

from . import machine
from .measure import Ratio, Result
from .world import GATEWAY, NGINX, wait_for

KIB = 1024
SERVER = {"runtime": "http", "handler": "bootstrap", "memory_mib": 16, "concurrency": 64,
          "idle_ms": 3600 * 1000, "keep_alive": "fixed", "timeout_ms": 60 * 1000,
          "init_timeout_ms": 60 * 1000}


def _settled(pids, mayfly):
    """Waits until the agent does no more than it does at rest."""
    def quiet():
        before = machine.cpu_us([mayfly.agent])
        time.sleep(0.5)
        return machine.cpu_us([mayfly.agent]) - before < 50_000
    wait_for("the agent to be at rest", quiet, 300)


def _share(pids, seconds):
    """Of one processor, in a while."""
    before, began = machine.cpu_us(pids), time.monotonic()
    time.sleep(seconds)
    return (machine.cpu_us(pids) - before) / 1e6 / (time.monotonic() - began)


def _memory(mayfly, inits):
    sample = inits[:: max(1, len(inits) // 50)]
    return {"agent": machine.memory(mayfly.agent)["private"],
            "warden": machine.memory(mayfly.warden())["private"],
            "init": statistics.mean(machine.memory(p)["private"] for p in sample) if sample else 0}


def _scale(mayfly, name, n):
    mayfly.deploy_many(mayfly.server, [name], dict(SERVER, min_scale=n, max_scale=n))
    began = time.monotonic()
    wait_for(f"{n} instances", lambda: sum(
        mayfly.function(name)["instances"][k] for k in ("idle", "frozen")) >= n, 600, 0.1)
    return time.monotonic() - began


def idle(world):
    """One function with N instances, then 5 N functions with none."""
    n = 50 if world.options.quick else 2000
    functions = 100 if world.options.quick else 10000
    result = Result("idle", f"{n:,} idle instances on one host; {functions:,} functions not called")
    result.columns = [("value", "", "{:,.2f}")]
    for _ in range(1 if world.options.quick else min(2, world.options.rounds)):
        result.noise.probe()
        _idle_instances(world, result, n)
    _idle_functions(world, result, functions)
    world.stop_mayfly()
    result.wanted = [Ratio("KiB of agent and warden for an idle instance",
                           "agent and warden, KiB an idle instance", 1, "value", at_most=64),
                     Ratio("KiB, with its init", "agent, warden and init, KiB an idle instance",
                           1, "value")]
    return result


def _put(result, name, value):
    result.samples.setdefault(name, []).append({"value": value})


def _idle_instances(world, result, n):
    mayfly = world.fresh_mayfly()
    mayfly.server = world.helper("server")
    _scale(mayfly, "one", 1)
    time.sleep(1)
    base = _memory(mayfly, [])
    seconds = _scale(mayfly, "many", n)
    _put(result, "instances started ahead, a second", n / seconds)
    _settled([mayfly.agent], mayfly)
    wait_for("all to be frozen", lambda: mayfly.function("many")["instances"]["frozen"] >= n, 120, 0.1)
    now = _memory(mayfly, mayfly.inits())
    agent, warden = ((now[k] - base[k]) / n / KIB for k in ("agent", "warden"))
    _put(result, "agent, KiB an idle instance", agent)
    _put(result, "warden, KiB an idle instance", warden)
    _put(result, "init, KiB an idle instance", now["init"] / KIB)
    _put(result, "agent and warden, KiB an idle instance", agent + warden)
    _put(result, "agent, warden and init, KiB an idle instance", agent + warden + now["init"] / KIB)
    _put(result, "agent and warden at rest, % of a processor",
         100 * _share([mayfly.agent, mayfly.warden()], 3))
    _freezer(result, mayfly, n)
    _thaw(world, result, mayfly)


def _freezers(cgroup):
    """(file, words that freeze and thaw, file and words that say it is done) of each instance."""
    v1 = pathlib.Path("/sys/fs/cgroup/freezer") / cgroup
    v2 = pathlib.Path("/sys/fs/cgroup") / cgroup
    for group in (v1 if v1.exists() else v2).glob("[1-9]*"):
        if v1.exists():
            file = group / "freezer.state"
            yield file, ("FROZEN", "THAWED"), file, ("FROZEN", "THAWED")
        else:
            yield (group / "cgroup.freeze", ("1", "0"), group / "cgroup.events",
                   ("frozen 1", "frozen 0"))


def _timed(file, word, state, done):
    began = time.monotonic_ns()
    file.write_text(word)
    while done not in state.read_text():
        pass
    return (time.monotonic_ns() - began) / 1000


def _is(word, state):
    """False as well of a group that has gone meanwhile, such as a blank's."""
    try:
        return word in state.read_text()
    except OSError:
        return False


def _freezer(result, mayfly, n):
    """The kernel's part, with the agent's own file, on instances that the agent has frozen: they
    are frozen again afterwards."""
    thaws, freezes = [], []
    frozen = [f for f in _freezers(mayfly.cgroup) if _is(f[3][0], f[2])]
    for file, words, state, done in frozen[:: max(1, len(frozen) // 200)]:
        thaws.append(_timed(file, words[1], state, done[1]))
        freezes.append(_timed(file, words[0], state, done[0]))
    for name, times in (("thaw", thaws), ("freeze", freezes)):
        _put(result, f"the kernel's {name} of one among {n:,}, p50 µs", statistics.median(times))
        _put(result, f"the kernel's {name} of one among {n:,}, p99 µs",
             sorted(times)[len(times) * 99 // 100])


def _thaw(world, result, mayfly):
    """A call that thaws its instance, beside the next one, which finds it thawed."""
    cold, warm = [], []
    for _ in range(5 if world.options.quick else 10):
        wait_for("the instance to be frozen",
                 lambda: mayfly.function("one")["instances"]["frozen"] >= 1, 30)
        cold.append(world.load(GATEWAY, "/fn/one/", 1, seconds=10, requests=1)["mean_us"])
        warm.append(world.load(GATEWAY, "/fn/one/", 1, seconds=10, requests=1)["mean_us"])
    _put(result, "call that thaws, p50 µs", statistics.median(cold))
    _put(result, "the call after it, p50 µs", statistics.median(warm))


def _idle_functions(world, result, n):
    mayfly = world.fresh_mayfly()
    agent, controller = (machine.memory(p)["private"] for p in (mayfly.agent, mayfly.controller))
    rate = mayfly.deploy_many(world.helper("hello"), [f"f{i}" for i in range(n)],
                              {"runtime": "exec", "handler": "bootstrap", "memory_mib": 16,
                               "idle_ms": 1})
    wait_for("the last instance to go", lambda: not mayfly.instances(), 300, 0.5)
    _put(result, "deploys until they serve, a second", rate)
    _put(result, "agent, KiB a function that is not called",
         (machine.memory(mayfly.agent)["private"] - agent) / n / KIB)
    _put(result, "controller, KiB a function that is not called",
         (machine.memory(mayfly.controller)["private"] - controller) / n / KIB)
    _put(result, f"{n} functions at rest: agent, % of a processor",
         100 * _share([mayfly.agent, mayfly.warden()], 5))
    _put(result, f"{n} functions at rest: controller, % of a processor",
         100 * _share([mayfly.controller], 5))


# --- growth -------------------------------------------------------------------------------------


def growth(world):
    result = Result("growth", "How costs grow with functions, instances, nodes and bodies")
    result.columns = [("value", "", "{:,.2f}")]
    quick = world.options.quick
    result.noise.probe()
    _bodies(world, result, quick)
    result.noise.probe()
    _functions(world, result, quick)
    result.noise.probe()
    _instances(world, result, quick)
    result.noise.probe()
    _nodes(world, result, quick)
    world.stop_mayfly()
    for curve in result.curves:
        for x, y in curve["points"]:
            _put(result, f"{curve['name']}, {x:,} {curve['x']}: {curve['y']}", y)
    return result


def _curve(result, name, x, y, points):
    result.curves.append({"name": name, "x": x, "y": y, "points": points})


def _bodies(world, result, quick):
    mayfly = world.mayfly
    mayfly.deploy(world.helper("server"), "warm", "--runtime", "http", "--handler", "bench_server",
                  "--memory", "64", "--concurrency", "64", "--max-scale", "1")
    world.nginx(1)
    sizes = [1, 64] if quick else [1, 4, 16, 64, 256, 1024, 4096, 6144]
    for name, port, path in (("mayfly", GATEWAY, "/fn/warm/"), ("nginx", NGINX, "/")):
        sent, received = [], []
        for kib in sizes:
            seconds = 0.3 if quick else 1
            p50 = world.load(port, path, 4, seconds, body=kib * KIB, warmup=0.1)["p50_us"]
            sent.append((kib, p50))
            p50 = world.load(port, f"{path}?size={kib * KIB}", 4, seconds, warmup=0.1)["p50_us"]
            received.append((kib, p50))
        _curve(result, f"request bodies, {name}", "KiB", "p50 µs, 4 at once", sent)
        _curve(result, f"response bodies, {name}", "KiB", "p50 µs, 4 at once", received)


def _functions(world, result, quick):
    mayfly = world.fresh_mayfly(freeze="0s")
    mayfly.deploy(world.helper("server"), "warm", "--runtime", "http", "--handler", "bench_server",
                  "--memory", "64", "--concurrency", "64", "--min-scale", "1", "--max-scale", "1")
    points, cpu, done = [], [], 0
    for n in [10, 50] if quick else [10, 100, 1000, 3000]:
        mayfly.deploy_many(world.helper("hello"), [f"f{i}" for i in range(done, n)],
                           {"runtime": "exec", "handler": "bootstrap", "memory_mib": 16, "idle_ms": 1})
        done = n
        _settled([mayfly.agent], mayfly)
        before = machine.cpu_us([mayfly.agent])
        r = world.load(GATEWAY, "/fn/warm/", 8, 0.5 if quick else 2)
        cpu.append((n, (machine.cpu_us([mayfly.agent]) - before) / r["count"]))
        points.append((n, r["p50_us"]))
    _curve(result, "warm call by functions", "functions", "p50 µs, 8 at once", points)
    _curve(result, "agent's CPU by functions", "functions", "µs a call", cpu)


def _instances(world, result, quick):
    memory, starts, cpu = [], [], []
    for n in [10, 30] if quick else [10, 100, 500, 1000, 2000]:
        mayfly = world.fresh_mayfly()
        mayfly.server = world.helper("server")
        base = machine.memory(mayfly.agent)["private"]
        seconds = _scale(mayfly, "many", n)
        _settled([mayfly.agent], mayfly)
        memory.append((n, (machine.memory(mayfly.agent)["private"] - base) / KIB / n))
        starts.append((n, 1000 * seconds / n))
        before = machine.cpu_us([mayfly.agent])
        r = world.load(GATEWAY, "/fn/many/", 8, 0.5 if quick else 2, warmup=0.3)
        cpu.append((n, (machine.cpu_us([mayfly.agent]) - before) / r["count"]))
    _curve(result, "agent's memory by instances", "instances", "KiB an instance", memory)
    _curve(result, "starts by instances", "instances", "ms a start, all at once", starts)
    _curve(result, "agent's CPU by instances", "instances", "µs a call", cpu)


def _nodes(world, result, quick):
    from .controller import controller_rows
    grant, memory, storm = [], [], []
    for n in [50, 100] if quick else [100, 500, 1000, 2000, 5000]:
        rows = controller_rows(world, n, 100 if quick else 2000, 2)
        grant.append((n, rows["queue to grant, p99"][0]))
        memory.append((n, rows["memory per agent"][0]))
        storm.append((n, rows["connect storm: all have their snapshot"][0]))
    _curve(result, "queue to grant by nodes", "nodes", "p99 ms", grant)
    _curve(result, "controller's memory by nodes", "nodes", "KiB an agent", memory)
    _curve(result, "connect storm by nodes", "nodes", "s until all have their snapshot", storm)
