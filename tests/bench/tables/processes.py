# SPDX-License-Identifier: Apache-2.0
"""What 1 to 10,000 processes that map the probed library, and do nothing, do to the cost of a request."""
import os
import subprocess

import ground
import meters
import probes
import rig  # pylint: disable=import-error

IDLE = os.path.join(rig.BUILD, "tests", "bench", "idle")
STEPS = (1, 100, 10000)
NAMES = ("none", "sensor")


def step(bench, count):
    site = ground.Site(bench, "processes")
    p = rig.spawn([IDLE, site.library, str(count)], stdout=subprocess.PIPE, text=True)
    said = p.stdout.readline()
    rig.need(said.startswith("ready"), f"{count} processes do not get ready")
    client = ground.Client(site)
    client.run(requests=500)
    ready = []

    def one(name):
        if name == "none":
            return client.run(seconds=bench.amount())
        with probes.sensor(site.dir) as s:
            ready.append(s.ready_after)
            client.run(requests=500)
            return client.run(seconds=bench.amount())

    got = meters.rounds(NAMES, bench.few(), one, f"processes, {count}")
    with meters.bpf_statistics(), probes.sensor(site.dir) as s:
        client.run(requests=500)
        before = meters.program_runs(s.monitor)
        requests = client.run(seconds=bench.amount())["requests"]
        ns = meters.per_request(meters.runs_between(before, meters.program_runs(s.monitor)), requests)
        mib = {"monitor": meters.resident_mib(s.monitor), "agent": meters.resident_mib(s.agent)}
    client.end()
    rig.end(p, seconds=60)
    site.stop()
    return {"cpu": meters.ratio(got, "sensor", "none", lambda m: m["cpu_us"]),
            "added_us": meters.added(got, "sensor", "none", lambda m: m["cpu_us"]), "bpf_ns": ns,
            "ready_seconds": meters.spread(ready), "mib": mib}


def run(bench):
    return {str(count): step(bench, count) for count in STEPS if count <= bench.scale}


def show(result):
    print("Idle processes that map the probed library, beside an nginx that uses it. Probes come and go on the same copy.\n")
    print(f"  {'processes':>9}   {'CPU, sensor / none':22} {'us added':>8} {'BPF ns/request':>15} {'s until ready':>22}   MiB, monitor, agent")
    for count, r in result.items():
        print(f"  {count:>9}   {meters.shown(r['cpu']):22} {r['added_us']['median']:8.1f} {r['bpf_ns']:15.0f} "
              f"{meters.shown(r['ready_seconds'], 1):>22}   {r['mib']['monitor']:.1f}, {r['mib']['agent']:.1f}")


def figures(result):
    least = result[min(result, key=int)]
    return {f"CPU, sensor / none, {count} processes over the fewest": r["cpu"]["median"] / least["cpu"]["median"]
            for count, r in result.items() if r is not least}
