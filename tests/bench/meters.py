# SPDX-License-Identifier: Apache-2.0
"""What is read of processes and kernel programs, and how rounds become ratios."""
import contextlib
import json
import os
import re
import resource
import statistics
import sys

import rig  # pylint: disable=import-error

STATISTICS = "/proc/sys/kernel/bpf_stats_enabled"


def cpu_seconds(pid):
    """Of all its threads that still are, and of those that ended as far as the clock tick shows them."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def children_cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_mib(pid, peak=False):
    return int(rig.status_of(pid)["VmHWM" if peak else "VmRSS"].split()[0]) / 1024


def held_ids(pid, what):
    """Ids of the programs, maps or links (prog_id, map_id, link_id) that a process holds descriptors of."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as f:
            found |= {int(i) for i in re.findall(rf"^{what}:\s*(\d+)", f.read(), re.M)}
    return found


@contextlib.contextmanager
def bpf_statistics():
    """run_cnt and run_time_ns of programs count inside; their own cost is in what they say."""
    with open(STATISTICS, encoding="ascii") as f:
        before = f.read()
    with open(STATISTICS, "w", encoding="ascii") as f:
        f.write("1")
    try:
        yield
    finally:
        with open(STATISTICS, "w", encoding="ascii") as f:
            f.write(before)


def program_runs(pid):
    """(runs, ns) so far of each program that this process holds."""
    ids = held_ids(pid, "prog_id")
    shown = json.loads(rig.run(["bpftool", "-j", "prog", "show"])[1])
    return {p["name"]: (p["run_cnt"], p["run_time_ns"]) for p in shown if p["id"] in ids and p.get("run_cnt")}


def runs_between(before, after):
    """{name: {"runs", "ns"}}, the latter for each run."""
    found = {}
    for name, (runs, ns) in after.items():
        was = before.get(name, (0, 0))
        if runs > was[0]:
            found[name] = {"runs": runs - was[0], "ns": (ns - was[1]) / (runs - was[0])}
    return found


def per_request(programs, requests):
    """ns that all programs took for each request."""
    return sum(p["runs"] * p["ns"] for p in programs.values()) / requests


# ---- rounds ----

def rounds(names, count, measure, what):
    """What measure(name) gave, by name, for each round. The order is turned in each: a machine that grows
    slower meanwhile favours none."""
    got = []
    for i in range(count):
        turn = i % len(names)
        got.append({name: measure(name) for name in (*names[turn:], *names[:turn])})
        print(f"{what}: round {i + 1} of {count}      ", end="\r", file=sys.stderr, flush=True)
    return got


def spread(values):
    values = list(values)
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def ratio(got, name, base, read):
    """Of what `read` takes from a measurement, within each round."""
    return spread(read(r[name]) / read(r[base]) for r in got)


def added(got, name, base, read):
    return spread(read(r[name]) - read(r[base]) for r in got)


def middle(got, name, read):
    return spread(read(r[name]) for r in got)


def shown(s, digits=2):
    return " / ".join(f"{s[k]:.{digits}f}" for k in ("min", "median", "max"))


def verdict(text, good):
    print(f"  {'met    ' if good else 'NOT MET'} {text}")
