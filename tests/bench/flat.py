# SPDX-License-Identifier: Apache-2.0
"""Whether a series of samples stays flat. The second half is judged: a least squares line through it may rise
by no more than a bound within an hour, or the series has to stand at its limit, which it can't pass."""
import math

SLICES = 10     # of the second half, where only the least of each counts
# The kernel keeps so many free entries of an LRU map on each CPU (LOCAL_FREE_TARGET in bpf_lru_list.c), of
# a small map no more than half of all.
LRU_FREE = 128
HOUR = 3600.0


def slope(times, values):
    """Of the least squares line, for each second."""
    n = len(times)
    t, v = math.fsum(times) / n, math.fsum(values) / n
    across = math.fsum((x - t) ** 2 for x in times)
    return math.fsum((x - t) * (y - v) for x, y in zip(times, values)) / across if across else 0.0


def least(times, values):
    """The least value of each slice of time."""
    width = (times[-1] - times[0]) / SLICES
    found = {}
    for t, v in zip(times, values):
        at = min(SLICES - 1, int((t - times[0]) / width))
        found[at] = min(v, found.get(at, v))
    return [times[0] + (at + 0.5) * width for at in sorted(found)], [found[at] for at in sorted(found)]


def lru_slack(entries, cpus):
    return min(LRU_FREE * cpus, entries // 2)


class Series:
    """One thing that is sampled. bound: units that it may grow in an hour. limit: what it can't pass, with
    `slack` below that which is never used. settle: seconds that it needs until it can be stationary. floor: it has
    peaks that come and go, as with helper threads and connections, and only what lies below all of them may not rise."""

    def __init__(self, name, bound, unit="", limit=None, slack=0.0, settle=60.0, floor=False):  # pylint: disable=too-many-arguments
        self.name, self.bound, self.unit, self.limit, self.slack, self.settle = name, bound, unit, limit, slack, settle
        self.floor = floor
        self.times, self.values = [], []

    def add(self, time, value):
        self.times.append(time)
        self.values.append(value)

    def half(self):
        middle = (self.times[0] + self.times[-1]) / 2
        at = next(i for i, t in enumerate(self.times) if t >= middle)
        return self.times[at:], self.values[at:]

    def verdict(self):
        """("ok", "not ok" or "skip", why)"""
        if len(self.times) < 2:
            return "not ok", "no samples"
        times, values = self.half()
        if self.times[-1] - self.times[0] < 2 * self.settle:
            return "skip", f"a run of {self.times[-1] - self.times[0]:.0f} s is too short to tell, {2 * self.settle:.0f} s are not"
        if len(values) < 5:
            return "not ok", f"{len(values)} samples in the second half"
        if self.floor:
            times, values = least(times, values)
        grows = slope(times, values) * HOUR
        if self.limit is not None and min(values) >= 0.95 * (self.limit - self.slack):
            return "ok", f"at its limit of {self.limit:g}{self.unit}"
        said = f"{grows:+.3g}{self.unit} an hour, at most {self.bound:g}{self.unit}"
        return ("ok" if grows <= self.bound else "not ok"), said

    def as_dict(self):
        values = self.half()[1] if self.times else []
        word, why = self.verdict()
        return {"verdict": word, "why": why, "bound": self.bound, "limit": self.limit, "unit": self.unit.strip(),
                "second_half": {"min": min(values, default=0), "max": max(values, default=0), "first": values[0] if values else 0,
                                "last": values[-1] if values else 0},
                "samples": [[round(t, 1), v] for t, v in zip(self.times, self.values)]}
