# SPDX-License-Identifier: Apache-2.0
"""Requests a second and CPU for each, as fast as it goes: nothing, empty probes at entry and return of the
functions' symbols, bpftrace's one-liner that prints the same headers, the whole sensor, and the floor: empty
programs wherever the sensor has its own."""
import json
import re

import ground
import meters
import probes
import rig  # pylint: disable=import-error


class Http1:
    """Keep-alive connections, one request on each at a time, by loadgen."""
    protocol, key, http2 = "HTTP/1.1", "http1", False

    def warm(self, site):
        self.clients(site, 0.5)

    def amount(self, bench):
        return bench.seconds

    def clients(self, site, amount):
        code, out, err = rig.run([ground.LOADGEN, "-t", "-c", str(ground.CONNECTIONS), "-d", str(amount),
                                  str(site.tls)], stdin=site.token + "\n", env=site.env,
                                 seconds=amount + 60, check=False)
        rig.need_equal(code, 0, f"loadgen ({err} {out}); status")
        said = json.loads(out)
        return said["requests"], said["seconds"], said["cpu_seconds"]


class Http2:
    """h2load, streams side by side. It sends the token as a literal that is never indexed, Huffman-coded,
    each time anew."""
    protocol, key, http2 = "HTTP/2", "http2", True

    def warm(self, site):
        self.clients(site, 2000)

    def amount(self, bench):
        return bench.requests

    def clients(self, site, amount):
        before = meters.children_cpu_seconds()
        out = rig.run(["h2load", "-n", str(amount), "-c", str(ground.CONNECTIONS), "-m", str(ground.STREAMS),
                       f"--connect-to=127.0.0.1:{site.tls}", "-H", f"authorization: Bearer {site.token}",
                       f"https://localhost:{site.tls}/"], env=site.env, seconds=300)[1]
        rig.need("Application protocol: h2\n" in out, "h2load speaks no HTTP/2")
        rig.need_equal(int(re.search(r"status codes: (\d+) 2xx", out).group(1)), amount, "answers of h2load")
        rate = float(re.search(r"finished in .*, ([\d.]+) req/s", out).group(1))
        return amount, amount / rate, meters.children_cpu_seconds() - before


WAYS = (Http1(), Http2())
PAIRS = (("empty", "none"), ("bpftrace", "none"), ("sensor", "none"), ("floor", "none"), ("sensor", "empty"), ("sensor", "bpftrace"),
         ("sensor", "floor"), ("sensor", "symbol"))
# How far the floor's runs a request may be from the sensor's: how many calls HTTP/2 takes depends on how fast both
# ends are. tests/e2e/bench.py is exact.
SAME_RUNS = 0.2


def rate(m):
    return m["rate"]


def cpu(m):
    return m["cpu_us"]


def runs(programs):
    return sum(p["runs"] for p in programs.values())


class Measured:
    """One way of talking HTTP, all variants."""

    def __init__(self, way, bench, names):
        self.way, self.bench, self.names = way, bench, names
        self.sites = {name: ground.Site(bench, name, http2=way.http2) for name in names}
        self.totals = probes.Totals()
        self.traced = {"cpu": 0.0, "mib": 0.0, "seen": 0, "lost": 0, "requests": 0, "killed": []}
        self.made = 0

    def load(self, site):
        before = site.cpu_seconds()
        requests, seconds, used = self.way.clients(site, self.way.amount(self.bench))
        used += site.cpu_seconds() - before
        self.made = requests
        return {"requests": requests, "rate": requests / seconds, "cpu_us": used / requests * 1e6}

    def one(self, name):
        site = self.sites[name]
        if name == "bpftrace":
            with probes.bpftrace(site.library, site.dir, self.traced):
                got = self.load(site)
            self.traced["requests"] += got["requests"]
            return got
        if name in ("sensor", "symbol"):
            totals = self.totals if name == "sensor" else probes.Totals()
            place = "auto" if name == "sensor" else "symbol"
            with probes.counted_sensor(site, totals, lambda: self.made, "--set", f"sources.placement={place}"):
                return self.load(site)
        with probes.standing(name, site):
            return self.load(site)

    def programs(self, name):
        """ns a run of each program of the sensor or the floor, kernel statistics on, and for how many requests."""
        site = self.sites[name]
        with meters.bpf_statistics(), probes.standing(name, site) as standing:
            pid = standing.monitor if name == "sensor" else standing.pid
            before = meters.program_runs(pid)
            requests = self.load(site)["requests"]
            return meters.runs_between(before, meters.program_runs(pid)), requests

    def floor_runs(self, wanted):
        """A request. What is not where the sensor is would be no floor."""
        programs, requests = self.programs("floor")
        found = runs(programs) / requests
        rig.need(abs(found / wanted - 1) <= SAME_RUNS, f"the floor's programs run {found:.2f} times a request, the sensor's {wanted:.2f} times")
        return found

    def result(self):
        for site in self.sites.values():
            self.way.warm(site)
        got = meters.rounds(self.names, self.bench.rounds, self.one, f"cost, {self.way.protocol}")
        alone = not self.sites["none"].was_probed()
        programs, requests = self.programs("sensor")
        floor = self.floor_runs(runs(programs) / requests)
        for site in self.sites.values():
            site.stop()
        ratios = {f"{a} / {b}": {"requests_per_second": meters.ratio(got, a, b, rate),
                                 "cpu_per_request": meters.ratio(got, a, b, cpu)}
                  for a, b in PAIRS if a in self.names and b in self.names}
        added = {name: meters.added(got, name, "none", cpu) for name in self.names if name != "none"}
        return {"ratios": ratios, "added_us": added, "sensor": self.totals.as_dict(), "bpftrace": self.traced, "each": got,
                "programs": programs, "programs_requests": requests, "floor_runs": floor, "alone": alone}


def run(bench):
    why = probes.bpftrace_refuses(bench.work)
    names = ["none", "empty", *([] if why else ["bpftrace"]), "sensor", "floor", *(["symbol"] if bench.symbols else [])]
    result = {way.key: Measured(way, bench, names).result() for way in WAYS}
    return {**result, "no_bpftrace": why, "rounds": bench.rounds, "seconds": bench.seconds, "requests": bench.requests}


def show(result):
    print(f"nginx with TLS, 1 worker, {ground.CONNECTIONS} kept-alive connections, a JWT of 900 bytes in each request, both "
          f"ends probed;\n{result['rounds']} rounds for each variant, taking turns: {result['seconds']} s of HTTP/1.1 by loadgen, "
          f"and {result['requests']} requests of\nHTTP/2 by h2load, {ground.STREAMS} streams at a time on each connection.\n")
    print("                                requests/s              CPU per request")
    print("                                min / median / max      min / median / max")
    for way in WAYS:
        for name, r in result[way.key]["ratios"].items():
            print(f"  {way.protocol:8}  {name:18}  {meters.shown(r['requests_per_second']):22}  "
                  f"{meters.shown(r['cpu_per_request'])}")
    if result["no_bpftrace"]:
        print(f"  not compared with bpftrace: {result['no_bpftrace']}")
    print("\n  CPU added to each request, us (both ends, min / median / max):")
    for way in WAYS:
        for name, s in result[way.key]["added_us"].items():
            print(f"    {way.protocol:8}  {name:8} {meters.shown(s, 1)}")
    for way in WAYS:
        show_way(way, result[way.key])


def mean_ns(part):
    return meters.per_request(part["programs"], 1) / max(runs(part["programs"]), 1)


def show_way(way, part):
    t, b = part["sensor"], part["bpftrace"]
    if b["requests"]:
        print(f"\n{way.protocol}: bpftrace itself: {b['cpu'] / b['requests'] * 1e5:.2f} s of CPU for 100,000 requests, {b['mib']:.0f} MiB; it "
              f"printed {b['seen']} of {2 * b['requests']} credentials (the first 200 bytes), {b['lost']} events lost.")
    for why in b["killed"]:
        print(f"  It was killed: {why}.")
    print(f"\n{way.protocol}: the sensor's own processes: {t['cpu'] / t['requests'] * 1e5:.2f} s of CPU for 100,000 "
          f"requests, {t['mib']:.1f} MiB at most in one process.")
    print(f"  Uses reported for {t['requests']} requests: {t['egress']} egress, {t['ingress']} ingress; "
          f"losses: {t['losses'] or 'none'}.")
    print("\n  BPF programs, kernel statistics on:")
    programs, counted = part["programs"], part["programs_requests"]
    for name in sorted(programs, key=lambda n: -programs[n]["runs"] * programs[n]["ns"]):
        p = programs[name]
        print(f"    {name:16} {p['ns']:8.0f} ns a run, {p['runs']:7} runs, {p['runs'] * p['ns'] / counted:6.0f} ns a request")
    print(f"    {'all':16} {mean_ns(part):8.0f} ns a run, {runs(programs):7} runs, "
          f"{meters.per_request(programs, counted):6.0f} ns a request\n")
    for text, good in verdicts(part):
        meters.verdict(text, good)
    added, most = part["added_us"], part["ratios"]["floor / none"]["requests_per_second"]["median"]
    print(f"  Of the {added['sensor']['median']:.1f} us that it adds, {added['floor']['median']:.1f} are the kernel's way to its programs and back "
          f"({part['floor_runs']:.1f} times a request),\n  whatever they do: nothing that stands at these places has more than {most:.2f} of the bare rate.")


def verdicts(part):
    """The goals of the design, each with what was measured."""
    r, t, mean = part["ratios"], part["sensor"], mean_ns(part)
    cpu_empty = part["added_us"]["sensor"]["median"] / part["added_us"]["empty"]["median"]
    bare = r["sensor / none"]["requests_per_second"]["median"]
    cpu_bare = r["sensor / none"]["cpu_per_request"]["median"]
    own = t["cpu"] / t["requests"] * 1e5
    return [
        ("measured alone: nobody else's probes were on the library that has none", part["alone"]),
        (f"adds at most half the CPU that empty probes at the symbols add: {cpu_empty:.2f}", cpu_empty <= 0.5),
        (f"at least 0.70 of the bare request rate: {bare:.2f}", bare >= 0.70),
        (f"at most 1.6 times the bare CPU per request: {cpu_bare:.2f}", cpu_bare <= 1.6),
        (f"at most 1,000 ns a program run: {mean:.0f}", mean <= 1000),
        (f"at most 0.5 s of its own CPU for 100,000 requests: {own:.2f}", own <= 0.5),
        (f"no use missed: {t['egress']} and {t['ingress']} of {t['requests']}",
         t["egress"] == t["ingress"] == t["requests"]),
    ]


def figures(result):
    kept = {}
    for way in WAYS:
        part = result[way.key]
        for name, r in part["ratios"].items():
            kept[f"{way.key}: requests/s, {name}"] = r["requests_per_second"]["median"]
            kept[f"{way.key}: CPU per request, {name}"] = r["cpu_per_request"]["median"]
        kept[f"{way.key}: BPF runs a request"] = runs(part["programs"]) / part["programs_requests"]
        kept[f"{way.key}: of the CPU that the sensor adds, the floor"] = part["added_us"]["floor"]["median"] / part["added_us"]["sensor"]["median"]
        kept[f"{way.key}: sensor's MiB at the peak"] = part["sensor"]["mib"]
        kept[f"{way.key}: uses reported of 2 a request"] = \
            (part["sensor"]["egress"] + part["sensor"]["ingress"]) / part["sensor"]["requests"]
    return kept
