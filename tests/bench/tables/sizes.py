# SPDX-License-Identifier: Apache-2.0
"""What the length of the credential does to the cost of a request."""
import ground
import meters
import probes

LENGTHS = (40, 900, 4000)
WAYS = {"HTTP/1.1": False, "HTTP/2": True}


class Measured:
    """One site for each variant."""

    def __init__(self, bench, http2):
        self.bench = bench
        self.tokens = {length: ground.made_up(length) for length in LENGTHS}
        self.sites = {name: ground.Site(bench, name, http2=http2) for name in ("none", "empty", "sensor")}

    def load(self, site, length):
        return ground.fresh(site, token=self.tokens[length])

    def one(self, name):
        site, found = self.sites[name], {}
        with probes.standing(name, site):
            for length in LENGTHS:
                with self.load(site, length) as client:
                    found[length] = client.run(seconds=self.bench.amount(0.5))
        return found

    def programs(self):
        """ns of kernel programs for each request, by length."""
        found = {}
        site = self.sites["sensor"]
        with meters.bpf_statistics(), probes.sensor(site.dir) as s:
            for length in LENGTHS:
                with self.load(site, length) as client:
                    before = meters.program_runs(s.monitor)
                    said = client.run(seconds=self.bench.amount(0.5))
                    runs = meters.runs_between(before, meters.program_runs(s.monitor))
                found[length] = meters.per_request(runs, said["requests"])
        return found

    def result(self, what):
        got = meters.rounds(tuple(self.sites), self.bench.few(), self.one, what)
        ns = self.programs()
        for site in self.sites.values():
            site.stop()
        found = {}
        for length in LENGTHS:
            def cpu(m, length=length):
                return m[length]["cpu_us"]

            def rate(m, length=length):
                return m[length]["rate"]
            found[str(length)] = {
                "cpu": {name: meters.ratio(got, name, "none", cpu) for name in ("empty", "sensor")},
                "rate": {name: meters.ratio(got, name, "none", rate) for name in ("empty", "sensor")},
                "added_us": meters.added(got, "sensor", "none", cpu), "bpf_ns": ns[length]}
        return found


def run(bench):
    return {way: Measured(bench, http2).result(f"sizes, {way}") for way, http2 in WAYS.items()}


def show(result):
    print("Length of the token, as fast as it goes, ratios to no probes (min / median / max).\n")
    print(f"  {'':9} {'bytes':>6}   {'requests/s, sensor':22} {'CPU, empty':22} {'CPU, sensor':22} {'us added':>8} {'BPF ns/request':>15}")
    for way, part in result.items():
        for length, row in part.items():
            print(f"  {way:9} {length:>6}   {meters.shown(row['rate']['sensor']):22} {meters.shown(row['cpu']['empty']):22} "
                  f"{meters.shown(row['cpu']['sensor']):22} {row['added_us']['median']:8.1f} {row['bpf_ns']:15.0f}")


def figures(result):
    return {f"{way}, {length} bytes: CPU per request, sensor / none": row["cpu"]["sensor"]["median"]
            for way, part in result.items() for length, row in part.items()}
