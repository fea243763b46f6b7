"""The controller: thousands of simulated agents over the real protocol, and placement."""

import json
import re

from .measure import Ratio, Result
from .world import run


def controller_rows(world, agents, functions, seconds, pinned=True):
    """bench_controller's rows: name -> (value, unit)."""
    out = world.folder / "controller.json"
    run([world.helper("controller"), "--agents", agents, "--functions", functions, "--seconds",
         seconds, "--json", out, *([] if pinned else ["--unpinned"])], timeout=600)
    return {r["name"]: (r["value"], r["unit"]) for r in json.loads(out.read_text())["rows"]}


def controller(world):
    quick = world.options.quick
    agents, functions = (50, 200) if quick else (5000, 50000)
    result = Result("controller", f"The controller: {agents:,} agents, {functions:,} functions")
    result.columns = [("value", "", "{:,.2f}")]
    for _ in range(1 if quick else min(3, world.options.rounds)):
        result.noise.probe()
        rows = controller_rows(world, agents, functions, 1 if quick else 10)
        for name, (value, unit) in rows.items():
            result.samples.setdefault(f"{name}, {unit}" if unit else name, []).append({"value": value})
        text = run([world.helper("placement"), *([50, 500] if quick else [])], timeout=600)
        for line in text.splitlines():
            m = re.match(r"(.*?)\s+(\d+) in .*?([\d,]+)/s$", line)
            if m:
                result.samples.setdefault(f"decisions/s: {m.group(1)}", []).append(
                    {"value": float(m.group(3).replace(",", ""))})
    decisions = next((n for n in result.samples if n.startswith("decisions/s: all placed")), None)
    result.wanted = [Ratio("5 ms from a queue to its grant, p99", "queue to grant, p99, ms", 5.0,
                           "value", at_most=1.0)]
    if decisions:
        result.wanted.append(Ratio("100,000 placement decisions a second", decisions,
                                   100_000, "value", at_least=1.0))
    return result
