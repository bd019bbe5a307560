# SPDX-License-Identifier: Apache-2.0
"""How many requests a second lose no use: 100,000 at 10,000 a second, then as fast as nginx and h2load go;
and that losses are counted when they are forced."""
import os
import signal
import time

import ground
import meters
import probes
import rig  # pylint: disable=import-error
from tables import cost

RATE, REQUESTS = 10000, 100000
FORCED = 20000
RING = 256 << 10    # the least that limits.ring takes
# What makes a use go missing between the program and the record. The other reasons tell of a use that is
# reported without a part of it, or of other programs' traffic on this machine.
ON_THE_WAY = ("ring_full", "scratch_busy", "user_fault", "partial_lost", "conn_table_full", "call_lost", "bad_record", "output_failed")


def settled(sensor, token_ids, requests):
    uses = sensor.wait_uses(token_ids, 2 * requests, seconds=20)
    return {direction: rig.total(u for u in uses if u["direction"] == direction) for direction in ("egress", "ingress")}


def at_rate(bench, http2):
    """At the rate, or at what the machine reaches: openload is late then, and asks for all the same."""
    site = ground.Site(bench, "rate", http2=http2)
    with probes.sensor(site.dir) as s:
        client = ground.Client(site)
        token_id = s.ids([site.token])
        said = client.run(rate=RATE, requests=REQUESTS)
        seen = settled(s, token_id, said["requests"])
    client.end()
    site.stop()
    return {"requests": said["requests"], "rate": said["rate"], **seen, "losses": s.losses()}


def as_fast_as_it_goes(bench, way):
    site = ground.Site(bench, "fast", http2=way.http2)
    way.warm(site)
    with probes.sensor(site.dir) as s:
        token_id = s.ids([site.token])
        requests, seconds, _ = way.clients(site, way.amount(bench))
        seen = settled(s, token_id, requests)
    site.stop()
    return {"requests": requests, "rate": requests / seconds, **seen, "losses": s.losses()}


def forced(bench):
    """The agent stands still, the ring is small, each token is another: the ring fills up."""
    site = ground.Site(bench, "forced")
    client = ground.Client(site, made=(os.getpid(), 40))
    with probes.sensor(site.dir, "--per-call", "--set", f"limits.ring={RING}") as s:
        os.kill(s.agent, signal.SIGSTOP)
        try:
            requests = client.run(requests=FORCED, count=FORCED)["requests"]
        finally:
            os.kill(s.agent, signal.SIGCONT)
        time.sleep(3)
        s.stop(seconds=60)
        seen = rig.total(u for u in s.records() if u.get("server", {}).get("port") == site.tls)
        lost = s.losses()
    client.end()
    site.stop()
    return {"requests": requests, "reported": seen, "ring_full": lost.get("ring_full", 0), "losses": lost}


def run(bench):
    return {"rate": {way: at_rate(bench, http2) for way, http2 in (("HTTP/1.1", False), ("HTTP/2", True))},
            "full": {way.protocol: as_fast_as_it_goes(bench, way) for way in cost.WAYS}, "forced": forced(bench)}


def whole(r):
    return r["egress"] == r["ingress"] == r["requests"]


def line(way, r, extra=""):
    print(f"  {way:9} {r['requests']:7} requests at {r['rate']:6.0f}/s: uses {r['egress']} egress, {r['ingress']} ingress; "
          f"losses: {r['losses'] or 'none'}{extra}")


def show(result):
    print(f"{REQUESTS} requests, {RATE} a second asked for:\n")
    for way, r in result["rate"].items():
        line(way, r, "" if r["rate"] > 0.98 * RATE else f" (this machine reaches no more than that of {RATE}/s)")
    print("\nAs fast as nginx and the client (loadgen, h2load) go:\n")
    for way, r in result["full"].items():
        line(way, r)
    f = result["forced"]
    print(f"\nForced: agent stopped, limits.ring={RING}, {f['requests']} requests with as many tokens: {f['reported']} of {2 * f['requests']} uses "
          f"reported,\n{f['ring_full']} counted as ring_full; {f['losses']}\n")
    for way, r in (*result["rate"].items(), *result["full"].items()):
        meters.verdict(f"{way} at {r['rate']:.0f}/s: none missed, none counted as lost", whole(r) and not any(r["losses"].get(reason) for reason in ON_THE_WAY))
    meters.verdict("forced losses are counted, each use reported or counted",
                   f["ring_full"] > 0 and f["reported"] + f["ring_full"] >= 2 * f["requests"] > f["reported"])


def figures(result):
    f = result["forced"]
    return {**{f"{way}: uses reported of 2 a request, {how}": (r["egress"] + r["ingress"]) / r["requests"]
               for how, part in (("at a rate", result["rate"]), ("full speed", result["full"])) for way, r in part.items()},
            "forced: reported or counted, of all uses": (f["reported"] + f["ring_full"]) / (2 * f["requests"])}
