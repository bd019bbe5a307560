#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the sensor costs a TLS service, beside no probes and beside empty probes at entry and return
of the same functions. The three take turns inside each round, since the machine's speed drifts; each
has its own copy of libssl, so that no probe of one touches another. Ratios are within a round. Once with
HTTP/1.1 for so many seconds, then with HTTP/2 for so many requests.

    bench.py [--rounds N] [--seconds S] [--requests N] [--symbols]      as root; writes build/bench.json too
"""
import argparse
import base64
import contextlib
import json
import os
import re
import resource
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
STREAMS = 8
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


def children_cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024


class Variant:
    """An nginx and its clients on a private copy of the library."""
    http2 = False

    def __init__(self, name, work, authority):
        self.name = name
        self.dir = os.path.join(work, self.protocol.replace("/", "-"), name)
        os.makedirs(self.dir)
        self.library = os.path.join(self.dir, "libssl.so.3")
        shutil.copy(libssl(), self.library)
        self.env = {**os.environ, "LD_LIBRARY_PATH": self.dir}
        self.nginx = rig.Nginx(self.dir, authority, env=self.env, http2=self.http2)
        self.token = made_up_jwt()

    def load(self, amount):
        before = cpu_seconds(self.nginx.workers[0])
        requests, seconds, cpu = self.clients(amount)
        cpu += cpu_seconds(self.nginx.workers[0]) - before
        return {"requests": requests, "rate": requests / seconds, "cpu_us": cpu / requests * 1e6}


class Http1(Variant):
    """Keep-alive connections, one request on each at a time; the amount is in seconds."""
    protocol, key, few = "HTTP/1.1", "http1", 0.5

    def clients(self, amount):
        code, out, err = rig.run([LOADGEN, "-t", "-c", str(CONNECTIONS), "-d", str(amount),
                                  str(self.nginx.tls)], stdin=self.token + "\n", env=self.env,
                                 seconds=amount + 60, check=False)
        rig.need_equal(code, 0, f"loadgen ({err} {out}); status")
        said = json.loads(out)
        return said["requests"], said["seconds"], said["cpu_seconds"]


class Http2(Variant):
    """h2load, streams side by side; the amount is in requests. It sends the token as a literal that is
    never indexed, Huffman-coded, each time anew."""
    protocol, key, few, http2 = "HTTP/2", "http2", 2000, True

    def clients(self, amount):
        before = children_cpu_seconds()
        out = rig.run(["h2load", "-n", str(amount), "-c", str(CONNECTIONS), "-m", str(STREAMS),
                       f"--connect-to=127.0.0.1:{self.nginx.tls}", "-H", f"authorization: Bearer {self.token}",
                       f"https://localhost:{self.nginx.tls}/"], env=self.env, seconds=300)[1]
        rig.need("Application protocol: h2\n" in out, "h2load speaks no HTTP/2")
        rig.need_equal(int(re.search(r"status codes: (\d+) 2xx", out).group(1)), amount, "answers of h2load")
        rate = float(re.search(r"finished in .*, ([\d.]+) req/s", out).group(1))
        return amount, amount / rate, children_cpu_seconds() - before


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
    place = "symbol" if variant.name == "symbol" else "auto"
    s = rig.Sensor(work, "--set", f"sources.placement={place}", per_call=False)
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


def one_round(variants, work, amount, totals):
    """Measurements by variant; the order is turned in each round."""
    got = {}
    for v in variants:
        if v.name == "empty":
            with empty_probes(v):
                got[v.name] = v.load(amount)
        elif v.name == "sensor":
            with sensor_on(v, work, totals):
                got[v.name] = v.load(amount)
            totals["requests"] += got[v.name]["requests"]
        elif v.name == "symbol":
            with sensor_on(v, work, fresh_totals()):
                got[v.name] = v.load(amount)
        else:
            got[v.name] = v.load(amount)
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


def program_costs(variant, work, amount):
    """ns a run of each program of the sensor, kernel statistics on (their own cost is inside), and for how
    many requests."""
    with bpf_statistics(), sensor_on(variant, work, fresh_totals()) as s:
        ids = set()
        for name in os.listdir(f"/proc/{s.monitor}/fdinfo"):
            with contextlib.suppress(OSError):
                with open(f"/proc/{s.monitor}/fdinfo/{name}", encoding="ascii") as f:
                    ids |= {int(i) for i in re.findall(r"^prog_id:\s*(\d+)", f.read(), re.M)}
        requests = variant.load(amount)["requests"]
        shown = json.loads(rig.run(["bpftool", "-j", "prog", "show"])[1])
    return {p["name"]: {"runs": p["run_cnt"], "ns": p["run_time_ns"] / p["run_cnt"]}
            for p in shown if p["id"] in ids and p.get("run_cnt")}, requests


def was_probed(variant):
    """Has a probe ever been hit in this nginx? The kernel then has a page in it for what it steps over."""
    with open(f"/proc/{variant.nginx.workers[0]}/maps", encoding="utf-8") as f:
        return "[uprobes" in f.read()


def fresh_totals():
    return {"cpu": 0.0, "mib": 0.0, "requests": 0, "egress": 0, "ingress": 0, "losses": {}}


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def shown(s, digits=2):
    return " / ".join(f"{s[k]:.{digits}f}" for k in ("min", "median", "max"))


def compare(rounds):
    result = {}
    for a, b in (("empty", "none"), ("sensor", "none"), ("sensor", "empty"), ("sensor", "symbol")):
        if b not in rounds[0]:
            continue
        result[f"{a} / {b}"] = {
            "requests_per_second": spread([r[a]["rate"] / r[b]["rate"] for r in rounds]),
            "cpu_per_request": spread([r[a]["cpu_us"] / r[b]["cpu_us"] for r in rounds])}
    added = {v: spread([r[v]["cpu_us"] - r["none"]["cpu_us"] for r in rounds]) for v in ("empty", "sensor", "symbol") if v in rounds[0]}
    return result, added


def show(report):
    print(f"nginx with TLS, 1 worker, {CONNECTIONS} kept-alive connections, a JWT of 900 bytes in each request, both")
    print(f"ends probed; {report['rounds']} rounds for each variant, taking turns: {report['seconds']} s of HTTP/1.1, and "
          f"{report['requests']} requests of")
    print(f"HTTP/2 by h2load, {STREAMS} streams at a time on each connection.\n")
    print("                               requests/s              CPU per request")
    print("                               min / median / max      min / median / max")
    for way in WAYS:
        for name, r in report[way.key]["ratios"].items():
            print(f"  {way.protocol:8}  {name:16}   {shown(r['requests_per_second']):22}  "
                  f"{shown(r['cpu_per_request'])}")
    print("\n  CPU added to each request, us (both ends, min / median / max):")
    for way in WAYS:
        for name, s in report[way.key]["added_us"].items():
            print(f"    {way.protocol:8}  {name:8} {shown(s, 1)}")
    for way in WAYS:
        show_sensor(way.protocol, report[way.key])


def show_sensor(protocol, part):
    t = part["sensor"]
    print(f"\n{protocol}: the sensor's own processes: {t['cpu'] / t['requests'] * 1e5:.2f} s of CPU for 100,000 "
          f"requests, {t['mib']:.1f} MiB at most in one process.")
    print(f"  Uses reported for {t['requests']} requests: {t['egress']} egress, {t['ingress']} ingress; "
          f"losses: {t['losses'] or 'none'}.")
    print("\n  BPF programs, kernel statistics on:")
    programs, counted = part["programs"], part["programs_requests"]
    spent = {name: p["runs"] * p["ns"] for name, p in programs.items()}
    runs = sum(p["runs"] for p in programs.values())
    for name in sorted(programs, key=lambda n: -spent[n]):
        print(f"    {name:16} {programs[name]['ns']:8.0f} ns a run, {programs[name]['runs']:7} runs, "
              f"{spent[name] / counted:6.0f} ns a request")
    mean = sum(spent.values()) / max(runs, 1)
    print(f"    {'all':16} {mean:8.0f} ns a run, {runs:7} runs, "
          f"{sum(spent.values()) / counted:6.0f} ns a request\n")
    for text, good in verdicts(part, mean):
        print(f"  {'met    ' if good else 'NOT MET'} {text}")


def verdicts(part, mean):
    """The goals of the design, each with what was measured."""
    r, t = part["ratios"], part["sensor"]
    cpu_empty = r["sensor / empty"]["cpu_per_request"]["median"]
    rate = r["sensor / none"]["requests_per_second"]["median"]
    cpu = r["sensor / none"]["cpu_per_request"]["median"]
    return [
        ("measured alone: nobody else's probes were on the library that has none", part["alone"]),
        (f"costs no more than empty probes at the symbols: {cpu_empty:.2f} times their CPU per request", cpu_empty <= 1),
        (f"at least 0.70 of the bare request rate: {rate:.2f}", rate >= 0.70),
        (f"at most 1.6 times the bare CPU per request: {cpu:.2f}", cpu <= 1.6),
        (f"at most 1,000 ns a program run: {mean:.0f}", mean <= 1000),
        (f"at most 0.5 s of its own CPU for 100,000 requests: {t['cpu'] / t['requests'] * 1e5:.2f}",
         t["cpu"] / t["requests"] * 1e5 <= 0.5),
        (f"no use missed: {t['egress']} and {t['ingress']} of {t['requests']}",
         t["egress"] == t["ingress"] == t["requests"]),
    ]


def measure(way, work, authority, rounds, amount, names):
    """One way of talking HTTP, all variants."""
    variants = [way(name, work, authority) for name in names]
    totals, got = fresh_totals(), []
    for v in variants:
        v.load(way.few)
    for i in range(rounds):
        turn = i % len(variants)
        got.append(one_round(variants[turn:] + variants[:turn], work, amount, totals))
        print(f"{way.protocol}: round {i + 1} of {rounds}", end="\r", file=sys.stderr, flush=True)
    ratios, added = compare(got)
    alone = not was_probed(variants[0])
    programs, requests = program_costs(variants[2], work, amount)
    for v in variants:
        v.nginx.stop()
    return {"ratios": ratios, "added_us": added, "sensor": totals, "each": got, "programs": programs,
            "programs_requests": requests, "alone": alone}


WAYS = (Http1, Http2)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "7")))
    ap.add_argument("--seconds", type=float, default=float(os.environ.get("SECONDS_EACH", "3")))
    ap.add_argument("--requests", type=int, default=int(os.environ.get("REQUESTS_EACH", "20000")))
    ap.add_argument("--symbols", action="store_true", help="the sensor with its probes at the symbols, too")
    opt = ap.parse_args()
    names = (*VARIANTS, "symbol") if opt.symbols else VARIANTS
    rig.need_root()
    work = rig.work_dir("bench")
    authority = rig.Authority(work)
    report = {"rounds": opt.rounds, "seconds": opt.seconds, "requests": opt.requests, "kernel": os.uname().release}
    for way, amount in zip(WAYS, (opt.seconds, opt.requests)):
        report[way.key] = measure(way, work, authority, opt.rounds, amount, names)
    with open(os.path.join(rig.BUILD, "bench.json"), "w", encoding="ascii") as f:
        json.dump(report, f, indent=1)
    show(report)
    rig.cleanup()


signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
main()
