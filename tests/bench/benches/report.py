"""What was found, as text for a terminal and as tables for a page."""

import os
import sys

BOLD, RED, GREEN, DIM, PLAIN = "\033[1m", "\033[31m", "\033[32m", "\033[2m", "\033[0m"


def _colours():
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _paint(text, colour):
    return f"{colour}{text}{PLAIN}" if _colours() else text


def verdict(ratio):
    if ratio["met"] is None:
        return ""
    word = "met" if ratio["met"] else "NOT MET"
    return f"{word}?" if ratio["unsure"] else word


def figure(value, form):
    return "" if value is None else form.format(value)


def ratio_text(r):
    return f"{r['ratio']:,.2f}" if r["ratio"] < 1000 else f"{r['ratio']:,.0f}"


def _ratios(bench):
    return [[r["text"], ratio_text(r), f"± {100 * r['spread']:.0f} %", r["budget"], verdict(r)]
            for r in bench["ratios"]]


def _rows(bench):
    for row in bench["rows"]:
        cells = []
        for metric, _, form in bench["columns"]:
            text = figure(row[metric], form)
            share = row["spread"].get(metric, 0)
            cells.append(f"{text} ±{100 * share:.0f}%" if text and share >= 0.005 else text)
        yield [row["system"], *cells]


def _grid(rows, heads, indent="  "):
    rows = [heads, *rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(heads))]
    lines = []
    for n, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]
        line = (indent + "  ".join(cells)).rstrip()
        if n > 0 and row[-1].startswith("NOT MET"):
            line = _paint(line, RED)
        elif n > 0 and row[-1].startswith("met"):
            line = _paint(line, GREEN)
        lines.append(_paint(line, DIM) if n == 0 else line)
    return lines


def noise_text(bench):
    n = bench["noise"]
    text = (f"machine: {100 * n['free']:.0f} % of the processors free (at worst "
            f"{100 * n['free_min']:.0f} %), load {n['load']}, steal {100 * n['steal']:.1f} %")
    return f"{text}: too noisy to tell, {bench['too_noisy']}" if bench["too_noisy"] else text


def text(bench):
    lines = ["", _paint(f"{bench['name']}: {bench['title']}", BOLD)]
    if bench["ratios"]:
        lines += _grid(_ratios(bench), ["ratio to", "median", "spread", "budget", ""])
    for r in bench["ratios"]:
        if r["unsure"] and r["met"] is not None:
            lines.append(f"  unsure, {r['text']}: {r['unsure']}")
    lines += ["", *_grid(_rows(bench), ["", *(h for _, h, _ in bench["columns"])])]
    lines += [f"  {n}" for n in bench["notes"]]
    lines.append(f"  {noise_text(bench)}")
    return "\n".join(lines)


def _table(rows, heads):
    lines = ["| " + " | ".join(heads) + " |",
             "|" + "|".join("---" if i == 0 else "---:" for i in range(len(heads))) + "|"]
    return lines + ["| " + " | ".join(r) + " |" for r in rows]


def page(found):
    """Markdown: the last table of tests/bench/README.md."""
    m = found["machine"]
    lines = [f"{m['cpus']} processors ({m['model']}), {m['memory_mib'] // 1024} GiB, Linux "
             f"{m['kernel']}; {found['when']}, version {found['version']}, {found['rounds']} rounds."]
    for bench in found["benches"]:
        lines += ["", f"### {bench['name']}: {bench['title']}", ""]
        if bench["ratios"]:
            lines += [*_table(_ratios(bench), ["ratio to", "median", "spread", "budget", ""]), ""]
        lines += _table(list(_rows(bench)), ["", *(h for _, h, _ in bench["columns"])])
        lines += ["", *(f"- {n}" for n in [*bench["notes"], noise_text(bench)])]
    return "\n".join(lines) + "\n"
