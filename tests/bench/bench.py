#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the sensor costs a TLS service, beside no probes and beside empty probes at entry and return
of the same functions. The three take turns inside each round, since the machine's speed drifts; each
has its own copy of libssl, so that no probe of one touches another. Ratios are within a round.

    bench.py [--rounds N] [--seconds S]      as root; writes build/bench.json too
"""
import argparse
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

LOADGEN = os.path.join(rig.TOOLS, "loadgen")
EMPTY = os.path.join(rig.BUILD, "tests", "bench", "empty")
CONNECTIONS = 16
VARIANTS = ("none", "empty", "sensor")


def made_up_jwt(length=900):
    def part(text):
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    start = part('{"alg":"RS256","typ":"JWT"}') + "." + part('{"sub":"bench","pad":"' + rig.random_text(360) + '"}') + "."
    return start + rig.random_text(length - len(start))


def libssl():
    """The system's libssl, as a program that uses it is given it."""
    out = rig.run(["ldd", LOADGEN])[1]
    return os.path.realpath(re.search(r"libssl\.so\S* => (\S+)", out).group(1))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e9


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024


class Variant:
    """An nginx and its clients on a private copy of the library."""

    def __init__(self, name, work, authority):
        self.name = name
        self.dir = os.path.join(work, name)
        os.mkdir(self.dir)
        self.library = os.path.join(self.dir, "libssl.so.3")
        shutil.copy(libssl(), self.library)
        self.env = {**os.environ, "LD_LIBRARY_PATH": self.dir}
        self.nginx = rig.Nginx(self.dir, authority, env=self.env)
        self.token = made_up_jwt()

    def load(self, seconds):
        before = cpu_seconds(self.nginx.workers[0])
        code, out, err = rig.run([LOADGEN, "-t", "-c", str(CONNECTIONS), "-d", str(seconds),
                                  str(self.nginx.tls)], stdin=self.token + "\n", env=self.env,
                                 seconds=seconds + 60, check=False)
        rig.need_equal(code, 0, f"loadgen ({err} {out}); status")
        said = json.loads(out)
        cpu = cpu_seconds(self.nginx.workers[0]) - before + said["cpu_seconds"]
        return {"requests": said["requests"], "rate": said["requests"] / said["seconds"],
                "cpu_us": cpu / said["requests"] * 1e6}


@contextlib.contextmanager
def empty_probes(variant):
    p = rig.spawn([EMPTY, EMPTY + ".bpf.o", variant.library], stdout=subprocess.PIPE, text=True)
    said = p.stdout.readline()
    rig.need(said.startswith("ready"), "empty probes are not attached")
    try:
        yield
    finally:
        rig.end(p)


@contextlib.contextmanager
def sensor_on(variant, work, totals):
    s = rig.Sensor(work, per_call=False)
    try:
        before = [cpu_seconds(s.monitor), cpu_seconds(s.agent)]
        yield s
        time.sleep(1.5)
        totals["cpu"] += cpu_seconds(s.monitor) + cpu_seconds(s.agent) - sum(before)
        totals["mib"] = max(totals["mib"], peak_mib(s.monitor), peak_mib(s.agent))
        token_id = s.ids([variant.token])[0]
    finally:
        s.stop()
    for direction in ("egress", "ingress"):
        totals[direction] += rig.total(s.uses(token_id, direction))
    for reason, count in s.losses().items():
        totals["losses"][reason] = totals["losses"].get(reason, 0) + count


def one_round(variants, work, seconds, totals):
    """Measurements by variant; the order is turned in each round."""
    got = {}
    for v in variants:
        if v.name == "empty":
            with empty_probes(v):
                got[v.name] = v.load(seconds)
        elif v.name == "sensor":
            with sensor_on(v, work, totals):
                got[v.name] = v.load(seconds)
            totals["requests"] += got[v.name]["requests"]
        else:
            got[v.name] = v.load(seconds)
    return got


@contextlib.contextmanager
def bpf_statistics():
    path = "/proc/sys/kernel/bpf_stats_enabled"
    with open(path, encoding="ascii") as f:
        before = f.read()
    with open(path, "w", encoding="ascii") as f:
        f.write("1")
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as f:
            f.write(before)


def program_costs(variant, work, seconds):
    """ns a run of each program of the sensor, kernel statistics on (their own cost is inside)."""
    with bpf_statistics(), sensor_on(variant, work, fresh_totals()) as s:
        ids = set()
        for name in os.listdir(f"/proc/{s.monitor}/fdinfo"):
            with contextlib.suppress(OSError):
                with open(f"/proc/{s.monitor}/fdinfo/{name}", encoding="ascii") as f:
                    ids |= {int(i) for i in re.findall(r"^prog_id:\s*(\d+)", f.read(), re.M)}
        variant.load(seconds)
        shown = json.loads(rig.run(["bpftool", "-j", "prog", "show"])[1])
    return {p["name"]: {"runs": p["run_cnt"], "ns": p["run_time_ns"] / p["run_cnt"]}
            for p in shown if p["id"] in ids and p.get("run_cnt")}


def fresh_totals():
    return {"cpu": 0.0, "mib": 0.0, "requests": 0, "egress": 0, "ingress": 0, "losses": {}}


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def shown(s, digits=2):
    return " / ".join(f"{s[k]:.{digits}f}" for k in ("min", "median", "max"))


def compare(rounds):
    result = {}
    for a, b in (("empty", "none"), ("sensor", "none"), ("sensor", "empty")):
        result[f"{a} / {b}"] = {
            "requests_per_second": spread([r[a]["rate"] / r[b]["rate"] for r in rounds]),
            "cpu_per_request": spread([r[a]["cpu_us"] / r[b]["cpu_us"] for r in rounds])}
    added = {v: spread([r[v]["cpu_us"] - r["none"]["cpu_us"] for r in rounds]) for v in ("empty", "sensor")}
    return result, added


def show(report):
    print(f"nginx with TLS, 1 worker, {CONNECTIONS} keep-alive connections, a JWT of 900 bytes in each request, both")
    print(f"ends probed; {report['rounds']} rounds of {report['seconds']} s for each variant, taking turns.\n")
    print("                     requests/s              CPU per request")
    print("                     min / median / max      min / median / max")
    for name, r in report["ratios"].items():
        print(f"  {name:16}   {shown(r['requests_per_second']):22}  {shown(r['cpu_per_request'])}")
    print("\n  CPU added to each request, us (both ends, min / median / max):")
    for name, s in report["added_us"].items():
        print(f"    {name:8} {shown(s, 1)}")
    t = report["sensor"]
    print(f"\n  The sensor's own processes: {t['cpu'] / t['requests'] * 1e5:.2f} s of CPU for 100,000 requests, "
          f"{t['mib']:.1f} MiB at most in one process.")
    print(f"  Uses reported for {t['requests']} requests: {t['egress']} egress, {t['ingress']} ingress; "
          f"losses: {t['losses'] or 'none'}.")
    print("\n  BPF programs, kernel statistics on:")
    runs = sum(p["runs"] for p in report["programs"].values())
    for name, p in sorted(report["programs"].items(), key=lambda x: -x[1]["runs"] * x[1]["ns"]):
        print(f"    {name:16} {p['ns']:8.0f} ns a run, {p['runs']} runs")
    mean = sum(p["runs"] * p["ns"] for p in report["programs"].values()) / max(runs, 1)
    print(f"    {'all':16} {mean:8.0f} ns a run\n")
    for text, good in verdicts(report, mean):
        print(f"  {'met    ' if good else 'NOT MET'} {text}")


def verdicts(report, mean):
    """The goals of the design, each with what was measured."""
    r, t = report["ratios"], report["sensor"]
    cpu_empty = r["sensor / empty"]["cpu_per_request"]["median"]
    rate = r["sensor / none"]["requests_per_second"]["median"]
    cpu = r["sensor / none"]["cpu_per_request"]["median"]
    return [
        (f"costs no more than empty probes at the symbols: {cpu_empty:.2f} times their CPU per request", cpu_empty <= 1),
        (f"at least 0.70 of the bare request rate: {rate:.2f}", rate >= 0.70),
        (f"at most 1.6 times the bare CPU per request: {cpu:.2f}", cpu <= 1.6),
        (f"at most 1,000 ns a program run: {mean:.0f}", mean <= 1000),
        (f"at most 0.5 s of its own CPU for 100,000 requests: {t['cpu'] / t['requests'] * 1e5:.2f}",
         t["cpu"] / t["requests"] * 1e5 <= 0.5),
        (f"no use missed: {t['egress']} and {t['ingress']} of {t['requests']}",
         t["egress"] == t["ingress"] == t["requests"]),
    ]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "7")))
    ap.add_argument("--seconds", type=float, default=float(os.environ.get("SECONDS_EACH", "3")))
    opt = ap.parse_args()
    rig.need_root()
    work = rig.work_dir("bench")
    authority = rig.Authority(work)
    variants = [Variant(name, work, authority) for name in VARIANTS]
    totals, rounds = fresh_totals(), []
    for v in variants:
        v.load(0.5)
    for i in range(opt.rounds):
        turn = i % len(variants)
        rounds.append(one_round(variants[turn:] + variants[:turn], work, opt.seconds, totals))
        print(f"round {i + 1} of {opt.rounds}", end="\r", file=sys.stderr, flush=True)
    ratios, added = compare(rounds)
    report = {"rounds": opt.rounds, "seconds": opt.seconds, "kernel": os.uname().release, "ratios": ratios,
              "added_us": added, "sensor": totals, "each": rounds,
              "programs": program_costs(variants[2], work, opt.seconds)}
    with open(os.path.join(rig.BUILD, "bench.json"), "w", encoding="ascii") as f:
        json.dump(report, f, indent=1)
    show(report)
    rig.cleanup()


signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
main()
