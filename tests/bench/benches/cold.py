"""Cold starts: every call gets a process, and a sandbox in which nothing is left of another, with
every isolation on."""

import json
import shutil

from . import machine
from .measure import Ratio, Result
from .world import GATEWAY, NGINX, run

COLUMNS = [("p50_us", "p50 µs", "{:,.0f}"), ("p99_us", "p99 µs", "{:,.0f}"),
           ("mean_us", "mean µs", "{:,.0f}")]
PAUSE_MS = 250  # between calls, and between starts of what they are compared with
FRESH = "mayfly, no sandbox used twice"
HYBRID = "/sys/fs/cgroup/unified"  # crun 1.8 refuses a hybrid one; without it, it sees v1


def _root(world):
    root = world.folder / "root"
    if not root.exists():
        for name in ("proc", "dev", "sys"):
            (root / name).mkdir(parents=True)
        shutil.copy(world.helper("hello"), root / "hello")
    return root


def _bundle(world):
    """For crun and runc: their default spec, with the static program."""
    bundle = world.folder / "bundle"
    if not bundle.exists():
        bundle.mkdir()
        shutil.copytree(_root(world), bundle / "rootfs")
        run(["runc", "spec"], cwd=bundle)
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"].update(terminal=False, args=["/hello"])
        (bundle / "config.json").write_text(json.dumps(spec))
    return bundle


def _calls(world, path, count, pause_ms=0):
    # One at a time, so that none waits for another's start.
    return world.load(GATEWAY, path, 1, seconds=600, requests=count, pause_ms=pause_ms, phases=True)


def _phases(result, system):
    samples = result.samples[system]
    names = samples[0].get("phases_ms", {})
    result.notes.append(f"phases of {system}, mean ms (Server-Timing): " + ", ".join(
        f"{n} {sum(s['phases_ms'].get(n, 0) for s in samples) / len(samples):.3f}" for n in names))


def _spawned(world, which, *args, **kw):
    return lambda: world.spawn(*args, **kw)[which]


def _deploy(world):
    """`cold` may have the sandbox of its last call, `fresh` has one that nobody had."""
    for name, options in ("cold", []), ("fresh", ["--idle", "0"]):
        world.mayfly.deploy(world.helper("hello"), name, "--runtime", "exec", "--no-reuse",
                            "--memory", "64", *options)


def cold_static(world):
    result = Result("cold-static", "A cold start of a static program, from request to response")
    result.columns = COLUMNS
    n = 20 if world.options.quick else 100
    root, bundle = _root(world), _bundle(world)
    _deploy(world)
    _calls(world, "/fn/cold/", n)
    _calls(world, "/fn/fresh/", n)
    crun = ["crun", "--cgroup-manager=disabled", "run", "{}"]
    result.interleave({
        "mayfly": lambda: _calls(world, "/fn/cold/", n),
        FRESH: lambda: _calls(world, "/fn/fresh/", n),
        "floor: 4 namespaces, overlay, pivot_root, exec": _spawned(
            world, "first_byte", n, ["/hello"], sandbox=root),
        "floor, to the program's end": _spawned(world, "whole", n, ["/hello"], sandbox=root),
        "clone3 and exec": _spawned(world, "whole", n, [world.helper("hello")]),
        "bwrap": _spawned(world, "whole", n, [
            "bwrap", "--unshare-pid", "--unshare-uts", "--unshare-ipc", "--ro-bind", root, "/",
            "--proc", "/proc", "--dev", "/dev", "/hello"]),
        "crun run": _spawned(world, "whole", max(5, n // 5), crun, cwd=bundle, hidden=HYBRID),
        "runc run": _spawned(world, "whole", max(5, n // 10), ["runc", "run", "{}"], cwd=bundle),
    }, world.options.rounds)
    result.wanted = [
        Ratio("the floor's p50 (to its first byte)", "mayfly",
              "floor: 4 namespaces, overlay, pivot_root, exec", "p50_us", at_most=1.5),
        Ratio("the floor's p50 (to its end)", "mayfly", "floor, to the program's end", "p50_us"),
        Ratio("the floor's p50 (to its first byte), no sandbox used twice", FRESH,
              "floor: 4 namespaces, overlay, pivot_root, exec", "p50_us"),
        Ratio("faster than bwrap, p50", "bwrap", "mayfly", "p50_us", at_least=2),
        Ratio("faster than crun, p50", "crun run", "mayfly", "p50_us", at_least=5),
        Ratio("faster than runc, p50", "runc run", "mayfly", "p50_us", at_least=20)]
    _phases(result, "mayfly")
    _phases(result, FRESH)
    return result


def cold_throughput(world):
    result = Result("cold-throughput", "Cold starts a second, all processors, every isolation on")
    result.columns = [("rate", "starts/s", "{:,.0f}"), *COLUMNS]
    _deploy(world)
    world.fcgiwrap()
    world.nginx(1)
    seconds = 0.5 if world.options.quick else 3
    at_once = 4 * len(machine.CPUS)
    floor = "floor: 4 namespaces, overlay, pivot_root, exec, without HTTP"
    result.interleave({
        "mayfly": lambda: world.load(GATEWAY, "/fn/cold/", at_once, seconds, warmup=0.2),
        FRESH: lambda: world.load(GATEWAY, "/fn/fresh/", at_once, seconds, warmup=0.2),
        "nginx and fcgiwrap": lambda: world.load(NGINX, "/cgi/", at_once, seconds, warmup=0.2),
        floor: lambda: world.spawn_at_once(at_once, seconds, ["/hello"], sandbox=_root(world)),
        "clone3 and exec, without HTTP": lambda: world.spawn_at_once(
            at_once, seconds, [world.helper("hello")]),
    }, world.options.rounds)
    result.wanted = [
        Ratio("starts/s of fcgiwrap's fork and exec, without isolation", "mayfly",
              "nginx and fcgiwrap", "rate", at_least=1.0),
        Ratio("starts/s of fcgiwrap's, no sandbox used twice", FRESH, "nginx and fcgiwrap", "rate"),
        Ratio("starts/s of the floor on all processors, without HTTP", "mayfly", floor, "rate"),
        Ratio("the floor's starts/s of fcgiwrap's: what the kernel leaves", floor,
              "nginx and fcgiwrap", "rate")]
    return result


def _cold_runtime(world, name, title, files, options, peer, budget, what):
    """With pauses (a cold start is rare by nature) there is an interpreter that waits for each
    call. Without any they are used up sooner than they are made: the first calls find those that
    are kept, and all later ones share the processors with the making of the next."""
    result = Result(name, title)
    result.columns = COLUMNS
    folder = world.new_folder("function")
    for file, text in files.items():
        (folder / file).write_text(text)
    quick = world.options.quick
    rare, many = (5, 20) if quick else (20, 100)
    world.mayfly.deploy(folder, name, *options, "--no-reuse", "--memory", "256")
    _calls(world, f"/fn/{name}/", 10)
    with_pauses = f"{PAUSE_MS} ms between"
    result.interleave({
        f"mayfly, {with_pauses}": lambda: _calls(world, f"/fn/{name}/", rare, PAUSE_MS),
        f"{what}, {with_pauses}": _spawned(world, "whole", rare, peer, pause_ms=PAUSE_MS),
        "mayfly, without a pause": lambda: _calls(world, f"/fn/{name}/", many),
        f"{what}, without a pause": _spawned(world, "whole", rare, peer),
    }, world.options.rounds)
    result.wanted = [
        Ratio(f"p50 of {what} alone, {how}", f"mayfly, {how}", f"{what}, {how}", "p50_us",
              at_most=budget) for how in (with_pauses, "without a pause")]
    for how in (with_pauses, "without a pause"):
        _phases(result, f"mayfly, {how}")
    return result


def cold_python(world):
    return _cold_runtime(
        world, "cold-python", "A cold start of a Python handler",
        {"app.py": "def handler(event, context):\n    return 'ok'\n"},
        ["--runtime", "python", "--handler", "app.handler"],
        ["/usr/bin/python3", "-c", "pass"], 1.0, "python3 -c pass")


def cold_node(world):
    return _cold_runtime(
        world, "cold-node", "A cold start of a Node handler",
        {"app.js": "exports.handler = async () => 'ok';\n"},
        ["--runtime", "node", "--handler", "app.handler"],
        ["/usr/bin/node", "-e", "0"], 0.25, "node -e 0")
