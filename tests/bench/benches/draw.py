"""Results as SVG: ratios as bars on a logarithmic scale with their budgets, growth as curves."""

import html
import math

FONT = "font-family='sans-serif' font-size='12'"
MET, MISSED, PLAIN = "#2a7f3f", "#b3362b", "#4a6fa5"
LINES = ["#4a6fa5", "#b3362b", "#2a7f3f", "#8a5aa8", "#b07d1e", "#3b8f94"]


def _text(x, y, text, anchor="start", extra=""):
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {FONT} {extra}>{html.escape(text)}</text>"


def _svg(width, height, parts):
    return "\n".join([
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}'>",
        f"<rect width='{width}' height='{height}' fill='white'/>", *parts, "</svg>", ""])


def ratios(benches):
    """Bars from 1 outwards; the tick across one is its budget; thin lines: lowest, highest."""
    left, right, step, top = 430, 60, 20, 34
    rows = [(b, r) for b in benches for r in b["ratios"] if r["ratio"] > 0]
    shown = [x for _, r in rows for x in (r["low"], r["high"]) if x > 0] + [0.5, 2]
    low, high = math.log(min(shown)), math.log(max(shown))
    width, scale = 960, (960 - left - right) / (high - low)

    def at(value):
        return left + (math.log(max(value, math.exp(low))) - low) * scale

    parts, y, before = [_text(10, 20, "mayfly beside its peers: ratios, on a logarithmic scale",
                              extra="font-weight='bold'")], top, None
    for bench, r in rows:
        if bench["name"] != before:
            y += 10
            parts.append(_text(10, y + 13, bench["name"], extra="font-weight='bold'"))
            before, y = bench["name"], y + step
        colour = PLAIN if r["met"] is None else MET if r["met"] else MISSED
        a, b = sorted((at(1), at(r["ratio"])))
        fade = " fill-opacity='0.4'" if r["unsure"] else ""
        parts += [_text(left - 8, y + 13, r["text"], "end"),
                  f"<rect x='{a:.1f}' y='{y + 3}' width='{max(b - a, 1):.1f}' height='13' "
                  f"fill='{colour}'{fade}/>",
                  f"<line x1='{at(r['low']):.1f}' x2='{at(r['high']):.1f}' y1='{y + 9.5}' "
                  f"y2='{y + 9.5}' stroke='black' stroke-width='0.7'/>",
                  _text(max(b, at(r["high"])) + 5, y + 13, f"{r['ratio']:.2f}")]
        if r["budget"]:
            x = at(float(r["budget"].split()[1]))
            parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{y}' y2='{y + 19}' stroke='black' "
                         "stroke-width='2'/>")
        y += step
    parts.append(f"<line x1='{at(1):.1f}' x2='{at(1):.1f}' y1='{top}' y2='{y}' stroke='#999'/>")
    parts.append(_text(10, y + 20, "green: budget met; red: not; pale: the machine was too noisy to "
                       "tell; the tick is the budget"))
    return _svg(width, y + 32, parts)


def _ticks(low, high):
    """1, 2, 5, 10 and so on within the axis; of a long one 1, 10, 100 alone."""
    steps = (1, 2, 5) if high / low < 200 else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [m * 10 ** e for e in range(first, last + 1) for m in steps if low <= m * 10 ** e <= high]


def _panel(x0, y0, w, h, title, curves):
    xs = [p[0] for c in curves for p in c["points"]]
    ys = [max(p[1], 1e-6) for c in curves for p in c["points"]]
    x_low, x_high = math.log10(min(xs)), math.log10(max(max(xs), min(xs) * 1.01))
    y_low, y_high = math.log10(min(ys)) - 0.15, math.log10(max(ys)) + 0.15

    def at(x, y):
        return (x0 + (math.log10(x) - x_low) / (x_high - x_low) * w,
                y0 + h - (math.log10(max(y, 1e-6)) - y_low) / (y_high - y_low) * h)

    parts = [f"<rect x='{x0}' y='{y0}' width='{w}' height='{h}' fill='none' stroke='#999'/>",
             _text(x0, y0 - 8, title, extra="font-weight='bold'"),
             _text(x0 + w, y0 + h + 30, curves[0]["x"], "end")]
    for x in sorted(set(xs)):
        px, _ = at(x, 10 ** y_low)
        parts.append(_text(px, y0 + h + 15, f"{x:g}", "middle", "fill='#555'"))
    for y in _ticks(10 ** y_low, 10 ** y_high):
        _, py = at(10 ** x_low, y)
        parts += [f"<line x1='{x0}' x2='{x0 + w}' y1='{py:.1f}' y2='{py:.1f}' stroke='#ddd'/>",
                  _text(x0 - 5, py + 4, f"{y:g}", "end", "fill='#555'")]
    for i, c in enumerate(curves):
        colour = LINES[i % len(LINES)]
        points = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in c["points"])
        parts.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += ["<circle cx='{:.1f}' cy='{:.1f}' r='3' fill='{}'/>".format(*at(x, y), colour)
                  for x, y in c["points"]]
        parts.append(_text(x0 + 8, y0 + 16 + 15 * i, f"{c['name']}: {c['y']}", extra=f"fill='{colour}'"))
    return parts


def curves(found):
    """Both axes logarithmic: what grows in proportion climbs at 45 degrees times the axes' ratio,
    what does not grow is level. Curves with the same axes share a panel."""
    panels = {}
    for c in found:
        panels.setdefault((c["x"], c["y"]), []).append(c)
    w, h, gap = 420, 200, 90
    parts = []
    for n, ((x, y), group) in enumerate(panels.items()):
        parts += _panel(60 + (n % 2) * (w + gap), 40 + (n // 2) * (h + gap), w, h, f"{y}, by {x}", group)
    rows = (len(panels) + 1) // 2
    return _svg(2 * (w + gap) + 20, rows * (h + gap) + 20, parts)
