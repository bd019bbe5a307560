# SPDX-License-Identifier: Apache-2.0
"""What the sensor's own processes take: CPU, memory steady and at the peak, with Kafka out of reach and its
spool full too."""
import os
import time

import ground
import meters
import probes
import rig  # pylint: disable=import-error

RATE = 4000
TOKENS = 1000       # in turn: each comes four times a second
LIMIT_MIB, KAFKA_MIB = 16, 48
SPOOL = 1 << 20     # the least that kafka.spool_size takes


def memory(s):
    return {"monitor": meters.resident_mib(s.monitor), "monitor_peak": meters.resident_mib(s.monitor, True),
            "agent": meters.resident_mib(s.agent), "agent_peak": meters.resident_mib(s.agent, True)}


def measured(bench, name, tokens, *more):
    """Idle, under load, and after it."""
    site = ground.Site(bench, name)
    client = ground.Client(site, made=(os.getpid(), 40))
    with probes.sensor(site.dir, *more) as s:
        time.sleep(1)
        idle, before = memory(s), s.own_cpu_seconds()
        said = client.run(seconds=3 * bench.amount(), rate=RATE, count=tokens)
        time.sleep(2)
        cpu, loaded = s.own_cpu_seconds() - before, memory(s)
        losses = s.losses()
        full = fill_spool(s, client) if more else None
        found = {"idle": idle, "loaded": loaded, "losses": losses, "requests": said["requests"], "rate": said["rate"],
                 "cpu_per_100k": cpu / said["requests"] * 1e5, "full": full}
    client.end()
    site.stop()
    return found


def fill_spool(s, client):
    """New tokens until records have to be dropped; what it takes then."""
    for i in range(60):
        client.run(requests=2000, first=TOKENS + 2000 * i, count=2000)
        time.sleep(0.5)
        if s.losses().get("spool_full"):
            return {**memory(s), "spool_full": s.losses()["spool_full"]}
    raise AssertionError(f"the spool of {SPOOL} bytes does not get full: {s.losses()}")


def run(bench):
    # Nothing listens there: what is to be published waits, in memory and in the spool.
    kafka = ("--set", "kafka.enabled=true", "--set", f"kafka.brokers=127.0.0.1:{rig.free_port()}", "--set", f"kafka.spool_size={SPOOL}")
    return {"one token": measured(bench, "own", 1), f"{TOKENS} tokens": measured(bench, "many", TOKENS),
            "Kafka out of reach": measured(bench, "kafka", TOKENS, *kafka)}


def show(result):
    print(f"The sensor's own processes at {RATE} requests a second with one token, {TOKENS} in turn, and these with Kafka out of reach:\n")
    print(f"  {'':20} {'CPU s/100,000':>14}   {'monitor MiB':>12} {'peak':>6}   {'agent MiB, idle':>15} {'loaded':>7} {'peak':>6}")
    for name, r in result.items():
        m = r["full"] or r["loaded"]
        print(f"  {name:20} {r['cpu_per_100k']:14.2f}   {m['monitor']:12.1f} {m['monitor_peak']:6.1f}   {r['idle']['agent']:15.1f} "
              f"{m['agent']:7.1f} {m['agent_peak']:6.1f}   losses: {r['losses'] or 'none'}"
              + (f"; then {r['full']['spool_full']} dropped from the full spool" if r["full"] else ""))
    print()
    cpu = result["one token"]["cpu_per_100k"]
    meters.verdict(f"at most 0.5 s of its own CPU for 100,000 requests, with one token: {cpu:.2f}", cpu <= 0.5)
    for name, r in result.items():
        m, limit = r["full"] or r["loaded"], KAFKA_MIB if r["full"] else LIMIT_MIB
        peak = max(m["monitor_peak"], m["agent_peak"])
        meters.verdict(f"{name}: at most {limit} MiB at the peak in one process: {peak:.1f}", peak <= limit)


def figures(result):
    found = {}
    for name, r in result.items():
        m = r["full"] or r["loaded"]
        found |= {f"{name}: MiB of the agent, loaded": m["agent"], f"{name}: MiB of the agent at the peak": m["agent_peak"],
                  f"{name}: MiB of the monitor at the peak": m["monitor_peak"]}
    return found
