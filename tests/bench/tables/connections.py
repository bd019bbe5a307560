# SPDX-License-Identifier: Apache-2.0
"""What 100 to 100,000 open TLS connections, each used in its turn, do to the cost of a request."""
import math
import resource

import ground
import meters
import probes
import rig  # pylint: disable=import-error

STEPS = (100, 1000, 10000, 100000)
NAMES = ("none", "sensor")
RATE = 2000         # of all together: as fast as it goes would have every connection wait at once
KIB_EACH = 160      # of memory, both ends of a TLS connection, with room
TABLE = 1 << 20     # limits.connections at most: each connection has two ends here
FILES = 1024        # descriptors that a server has besides
WARM = 6            # requests on each connection before: it is met by the first, and known by the others
ROOM = 1.25         # of nginx's connections: it closes idle ones when a sixteenth is left


def available_kib():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable:"))


class Group:
    """As many servers and clients as it takes for the limit of descriptors; the same number at each step."""

    def __init__(self, bench, parts, count, tls, authority):
        each = math.ceil(count / parts)
        self.sites = [ground.Site(bench, f"part{i}", connections=int(each * ROOM) + FILES // 2, authority=authority) for i in range(parts)]
        self.clients = [ground.Client(site, tls=tls, connections=each) for site in self.sites]
        self.count = each * parts

    def warm(self):
        """Some requests on each connection, in turn."""
        for client in self.clients:
            client.begin(requests=WARM * (self.count // len(self.clients)))
        for client in self.clients:
            client.result()

    def run(self, seconds):
        before = sum(site.cpu_seconds() for site in self.sites)
        for client in self.clients:
            client.begin(seconds=seconds, rate=RATE / len(self.clients))
        said = [client.result() for client in self.clients]
        cpu = sum(site.cpu_seconds() for site in self.sites) - before + sum(s["cpu_seconds"] for s in said)
        requests = sum(s["requests"] for s in said)
        return {"requests": requests, "cpu_us": cpu / requests * 1e6}

    def end(self):
        for client in self.clients:
            client.end()
        for site in self.sites:
            site.stop()


def step(bench, parts, count, tls, authority):
    group = Group(bench, parts, count, tls, authority)
    table = min(TABLE, 1 << max(15, (5 * count // 2).bit_length()))
    memory = (128 << 20) + (table << 12)
    limits = ("--set", f"limits.connections={table}", "--set", f"limits.memory={memory}")
    group.warm()
    losses = {}

    def one(name):
        if name == "none":
            return group.run(bench.amount())
        with probes.sensor(bench.work, *limits) as s:
            group.warm()
            got = group.run(bench.amount())
            losses.update(s.losses())
            return got

    got = meters.rounds(NAMES, bench.few(), one, f"connections, {count}")
    with meters.bpf_statistics(), probes.sensor(bench.work, *limits) as s:
        group.warm()
        before = meters.program_runs(s.monitor)
        requests = group.run(bench.amount())["requests"]
        ns = meters.per_request(meters.runs_between(before, meters.program_runs(s.monitor)), requests)
        mib = s.peak_mib()
    group.end()
    return {"tls": tls, "connections": group.count, "cpu": meters.ratio(got, "sensor", "none", lambda m: m["cpu_us"]),
            "bare_us": meters.middle(got, "none", lambda m: m["cpu_us"]),
            "added_us": meters.added(got, "sensor", "none", lambda m: m["cpu_us"]), "bpf_ns": ns, "mib": mib,
            "limit": table, "losses": losses}


def run(bench):
    steps = [n for n in STEPS if n <= bench.scale]
    most = max(int((resource.getrlimit(resource.RLIMIT_NOFILE)[1] - FILES) / ROOM), 1000)
    parts = math.ceil(steps[-1] / most)
    # With an elliptic key, so that the handshakes take seconds and not minutes.
    authority = rig.Authority(bench.work, kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"))
    found = {}
    for count in steps:
        tls = count * KIB_EACH < available_kib()
        found[str(count)] = step(bench, parts, count, tls, authority)
    return {"parts": parts, "steps": found}


def show(result):
    print(f"Open connections, used in turn at {RATE} requests a second, {result['parts']} nginx and as many clients (a process may have\n"
          f"only so many descriptors). Probes come and go beside the same connections.\n")
    print(f"  {'connections':>11} {'':5}   {'bare us':>8}   {'CPU, sensor / none':22} {'us added':>8} {'BPF ns/request':>15}   "
          f"{'peak MiB':>8}   losses")
    for r in result["steps"].values():
        print(f"  {r['connections']:11} {'TLS' if r['tls'] else 'plain':5}   {r['bare_us']['median']:8.1f}   {meters.shown(r['cpu']):22} "
              f"{r['added_us']['median']:8.1f} {r['bpf_ns']:15.0f}   {r['mib']:8.1f}   {r['losses'] or 'none'}")
    if not all(r["tls"] for r in result["steps"].values()):
        print("\n  plain: this machine has not the memory for so many TLS connections")


def figures(result):
    steps = [r for r in result["steps"].values() if r["tls"]]
    return {f"BPF ns a request, {r['connections']} connections over the fewest": r["bpf_ns"] / steps[0]["bpf_ns"] for r in steps[1:]}
