"""Rounds, and what may be concluded from them: ratios taken within a round, their median and
how far they spread."""

import statistics
import sys

from . import machine


def spread(values):
    """Half of the distance between the quartiles, as a share of the median."""
    if len(values) < 2 or not statistics.median(values):
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / statistics.median(values)


def _say(text):
    if sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)


class Ratio:
    """`over / under` of one metric, against a budget ("at least 1.2", "at most 1.5", or none).
    `under`: a system, or a number."""

    def __init__(self, text, over, under, metric, at_least=None, at_most=None):
        self.text, self.over, self.under, self.metric = text, over, under, metric
        self.at_least, self.at_most = at_least, at_most

    def values(self, samples):
        over = samples.get(self.over, [])
        if isinstance(self.under, (int, float)):
            return [a[self.metric] / self.under for a in over if a.get(self.metric) is not None]
        pairs = zip(over, samples.get(self.under, []))
        return [a[self.metric] / b[self.metric] for a, b in pairs
                if a.get(self.metric) and b.get(self.metric)]

    def result(self, samples, noise):
        values = self.values(samples)
        if not values:
            return None
        ratio = statistics.median(values)
        met = None
        if self.at_least is not None:
            met = ratio >= self.at_least
        elif self.at_most is not None:
            met = ratio <= self.at_most
        budget = (f"≥ {self.at_least:g}" if self.at_least is not None else
                  f"≤ {self.at_most:g}" if self.at_most is not None else "")
        unsure = machine.too_noisy(noise)
        if not unsure and spread(values) > 0.25:
            unsure = f"it spreads by {100 * spread(values):.0f} %"
        return {"text": self.text, "ratio": round(ratio, 4), "spread": round(spread(values), 4),
                "low": round(min(values), 4), "high": round(max(values), 4), "budget": budget,
                "met": met, "unsure": unsure, "rounds": len(values)}


class Result:
    """What a bench found. `samples`: system -> one dict of metrics a round."""

    def __init__(self, name, title):
        self.name, self.title = name, title
        self.samples, self.ratios, self.notes, self.curves = {}, [], [], []
        self.columns = []  # (metric, heading, format) of the table
        self.noise = machine.Noise()
        self.wanted = []

    def interleave(self, systems, rounds):
        """systems: name -> function that measures once. Each round begins with another one."""
        names = list(systems)
        for r in range(rounds):
            self.noise.probe()
            shift = r % len(names)
            for name in names[shift:] + names[:shift]:
                self.samples.setdefault(name, []).append(systems[name]())
                _say(f"\r{self.name}: round {r + 1} of {rounds}  {name:<50.50}")
        _say("\r" + " " * 90 + "\r")

    def value(self, system, metric):
        values = [s[metric] for s in self.samples[system] if s.get(metric) is not None]
        return statistics.median(values) if values else None

    def finish(self):
        if not self.noise.free:
            self.noise.probe()
        noise = self.noise.report()
        self.ratios = [r for r in (w.result(self.samples, noise) for w in self.wanted) if r]
        metrics = [m for m, _, _ in self.columns]
        return {"name": self.name, "title": self.title, "noise": noise,
                "too_noisy": machine.too_noisy(noise), "ratios": self.ratios,
                "columns": self.columns, "notes": self.notes, "curves": self.curves,
                "rows": [{"system": s, **{m: self.value(s, m) for m in metrics},
                          "spread": {m: round(spread([x[m] for x in v if x.get(m) is not None]), 4)
                                     for m in metrics if any(x.get(m) is not None for x in v)}}
                         for s, v in self.samples.items()],
                "samples": self.samples}
