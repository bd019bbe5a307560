#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The soak itself: that it tells what grows from what is flat, and half a minute of it, in which everything
that comes and goes does. An hour of it is `make soak`."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
for _place in ("../lib", "../bench"):
    sys.path.insert(0, os.path.join(HERE, _place))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import flat  # noqa: E402  pylint: disable=wrong-import-position,import-error

SOAK = os.path.join(HERE, "..", "bench", "soak.py")
RISEN = ("execs", "entries", "threads")     # maps that a churn fills, however short it is
REPEATED = ("knowns", "told")   # and that have a token which comes again, at once


def series(value, seconds=3600, every=5, **how):
    """Samples of value(seconds) over so long."""
    s = flat.Series("made up", **{"bound": 3.0, **how})
    for t in range(0, seconds, every):
        s.add(float(t), value(t))
    return s.verdict()[0]


def noise(t):
    return (t * 7919 % 13 - 6) / 20


def judged():
    for name, want, value, how in (
            ("a level with noise", "ok", lambda t: 20 + noise(t), {}),
            ("growth in the first half only", "ok", lambda t: min(20 + t / 100, 35) + noise(t), {}),
            ("growth within the bound", "ok", lambda t: 20 + 2 * t / 3600 + noise(t), {}),
            ("a leak", "not ok", lambda t: 20 + 5 * t / 3600 + noise(t), {}),
            ("a leak in steps", "not ok", lambda t: 20 + t // 600 + noise(t), {}),
            ("something that shrinks", "ok", lambda t: 40 - t / 200, {}),
            ("a table that is filling up", "not ok", lambda t: t, {"limit": 65536}),
            ("a table at its limit, save what the kernel keeps free", "ok", lambda t: min(t * 10, 1000) - 0.01 * (3600 - t), {"limit": 1024, "slack": 128}),
            ("a small table that is almost empty", "not ok", lambda t: 2 + t / 60, {"limit": 128, "slack": flat.lru_slack(128, 2)}),
            ("peaks on a level", "ok", lambda t: 1 + (t // 35 % 7 == 0) * t / 600, {"bound": 0.5, "floor": True}),
            ("peaks on a level that rises", "not ok", lambda t: 1 + t // 900 + (t // 35 % 7 == 0), {"bound": 0.5, "floor": True}),
            ("a run that is too short to tell", "skip", lambda t: 20 + t, {"seconds": 60, "settle": 60}),
            ("too few samples", "not ok", lambda t: 20, {"every": 1000})):
        with rig.case(f"{name}: {want}"):
            rig.need_equal(series(value, **how), want, "verdict")


def half_a_minute():
    work = rig.work_dir("soak-test")
    out = os.path.join(work, "soak.json")
    with rig.case("half a minute of it runs, with all that comes and goes"):
        p = subprocess.run([SOAK, "--minutes", "0.5", "--out", out], text=True, capture_output=True, timeout=300, check=False,
                           stdin=subprocess.DEVNULL)
        print("".join(f"# {line}\n" for line in p.stdout.splitlines()), end="")
        rig.need_equal(p.returncode, 0, f"status ({p.stderr[-300:]} {p.stdout[-300:]})")
        rig.need("not ok" not in p.stdout, "a verdict of not ok with status 0")
    with rig.case("its samples are there, and follow what was done"):
        with open(out, encoding="ascii") as f:
            found = json.load(f)["series"]
        for name in ("monitor: resident", "agent: resident", "monitor: descriptors", "monitor: links and perf events", "store"):
            rig.need(len(found[name]["samples"]) >= 10, f"{name}: {len(found[name]['samples'])} samples")
            rig.need(found[name]["second_half"]["max"] > 0, f"{name} is 0")
        flat_maps = [name for name in RISEN if found[f"map {name}"]["samples"][-1][1] <= found[f"map {name}"]["samples"][0][1]]
        rig.need(not flat_maps, f"these maps had no more entries at the end: {flat_maps}")
        empty = [name for name in REPEATED if not found[f"map {name}"]["samples"][-1][1]]
        rig.need(not empty, f"these maps have no token that came again: {empty}")


def main():
    rig.need_root()
    judged()
    half_a_minute()
    rig.finish()


main()
