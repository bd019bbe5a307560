# SPDX-License-Identifier: Apache-2.0
"""What 10 to 1,000,000 known tokens do to the cost of a request, of a few of them and of all in turn."""
import os
import sqlite3

import ground
import meters
import probes
import rig  # pylint: disable=import-error

STEPS = (10, 1000, 100000, 1000000)
FEW = 10
BATCH = 1000
ON_THEIR_WAY = 4    # batches: the ring has room for twice as many
RING = 16 << 20
KEPT = 100000       # limits.tokens at least
MEMORY = 256 << 20, 2048    # limits.memory, and what it is more for each token


def stored(s):
    with sqlite3.connect(f"file:{os.path.join(s.state, 'store.db')}?mode=ro", uri=True, timeout=30) as db:
        return db.execute("SELECT count(*) FROM token").fetchone()[0]


def make_known(s, client, count):
    """Each once, as fast as the sensor takes them; (how many there are then, of the machine's other tokens too)"""
    for at in range(0, count, BATCH):
        client.run(requests=min(BATCH, count - at), first=at, count=BATCH)
        ahead = at + BATCH - ON_THEIR_WAY * BATCH
        if ahead > 0 and at % (2 * BATCH) == 0:
            rig.wait_until(lambda ahead=ahead: stored(s) >= ahead, 120, "tokens on their way to the store")
    rig.wait_until(lambda: stored(s) >= count, 120, f"{count} tokens in the store")


def step(bench, count):
    site = ground.Site(bench, "tokens")
    client = ground.Client(site, made=(os.getpid() + count, 40))
    client.run(requests=500, count=FEW)
    bare = [client.run(seconds=bench.amount(), count=FEW)]
    own = {"few": [], "all": []}
    # From another place each time: those of the last round may be remembered.
    place = iter(range(0, count * 1000, max(1, count // 7)))

    def one(name):
        before = s.own_cpu_seconds()
        first = next(place) if name == "all" else 0
        got = client.run(seconds=bench.amount(), first=first % max(1, count // 2), count=FEW if name == "few" else max(FEW, count // 2))
        rig.wait_until(lambda: s.own_cpu_seconds() - settled(s) < 0.02, 30, "the agent has done its work")
        own[name].append((s.own_cpu_seconds() - before) / got["requests"] * 1e5)
        return got

    settings = {"limits.tokens": max(KEPT, count), "limits.ring": RING, "store.max_size": 16 << 30, "limits.memory": MEMORY[0] + MEMORY[1] * count}
    with probes.sensor(site.dir, "--output", "none", *(w for name, value in settings.items() for w in ("--set", f"{name}={value}"))) as s:
        make_known(s, client, count)
        names = ("few", "all") if count > FEW else ("few",)
        got = meters.rounds(names, bench.few(), one, f"tokens, {count}")
        ns = {}
        with meters.bpf_statistics():
            for name in names:
                before = meters.program_runs(s.monitor)
                requests = one(name)["requests"]
                ns[name] = meters.per_request(meters.runs_between(before, meters.program_runs(s.monitor)), requests)
        mib = s.peak_mib()
        losses = rig.stored_losses(os.path.join(s.state, "store.db"))
    bare.append(client.run(seconds=bench.amount(), count=FEW))
    client.end()
    site.stop()
    bare_us = sum(m["cpu_us"] for m in bare) / len(bare)
    return {"few": meters.spread(r["few"]["cpu_us"] / bare_us for r in got),
            "all": meters.ratio(got, "all", "few", lambda m: m["cpu_us"]) if count > FEW else None,
            "own": {name: meters.spread(values) for name, values in own.items() if values}, "bpf_ns": ns, "mib": mib, "losses": losses}


def settled(s):
    """Its CPU a moment ago."""
    used = s.own_cpu_seconds()
    rig.time.sleep(0.5)
    return used


def run(bench):
    return {str(count): step(bench, count) for count in STEPS if count <= bench.scale}


def show(result):
    print(f"Known tokens: requests with {FEW} of them, and with all in turn. Bare: measured before and after on the same copy.\n")
    print(f"  {'tokens':>8}   {'CPU, few / none':22} {'CPU, all / few':22} {'BPF ns/request, few, all':>24}   "
          f"{'own s/100,000, few, all':>23}   {'peak MiB':>8}   losses")
    for count, r in result.items():
        ns = ", ".join(f"{v:.0f}" for v in r["bpf_ns"].values())
        own = ", ".join(f"{v['median']:.2f}" for v in r["own"].values())
        print(f"  {count:>8}   {meters.shown(r['few']):22} {meters.shown(r['all']) if r['all'] else '-':22} {ns:>24}   {own:>23}   "
              f"{r['mib']:8.0f}   {r['losses'] or 'none'}")


def figures(result):
    least = result[min(result, key=int)]
    return {f"BPF ns a request with a few, {count} tokens over the fewest": r["bpf_ns"]["few"] / least["bpf_ns"]["few"]
            for count, r in result.items() if r is not least}
