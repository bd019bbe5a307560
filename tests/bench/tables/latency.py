# SPDX-License-Identifier: Apache-2.0
"""Latency of the probed server's answers, at a fixed rate by an open schedule (openload) and as fast as it
goes, over TLS and plain."""
import ground
import meters
import probes

RATE = 4000
REACHED = 0.98      # of it
LONGER = 1.5        # of the usual time: one in a thousand has to be more than a few
WAYS = {"HTTP/1.1, TLS": (False, True), "HTTP/2, TLS": (True, True), "HTTP/1.1, plain": (False, False)}
NAMES = ("none", "empty", "sensor")
SHARES = ("p50", "p99", "p999")


class Measured:
    def __init__(self, bench, way):
        http2, tls = WAYS[way]
        # Empty probes stand in libssl: with plain sockets they would be hit by nobody.
        self.names = NAMES if tls else ("none", "sensor")
        self.bench, self.way, self.tls = bench, way, tls
        self.sites = {name: ground.Site(bench, name, http2=http2) for name in self.names}

    def both(self, site):
        seconds = self.bench.amount(LONGER)
        with ground.fresh(site, tls=self.tls) as client:
            return {"fixed": client.run(seconds=seconds, rate=RATE), "full": client.run(seconds=seconds)}

    def one(self, name):
        site = self.sites[name]
        with probes.standing(name, site):
            return self.both(site)

    def result(self):
        got = meters.rounds(self.names, self.bench.few(), self.one, f"latency, {self.way}")
        for site in self.sites.values():
            site.stop()
        found = {"rate": {name: meters.middle(got, name, lambda m: m["fixed"]["rate"]) for name in self.names}}
        for how in ("fixed", "full"):
            found[how] = {}
            for share in SHARES:
                def read(m, how=how, share=share):
                    return m[how]["us"][share]
                found[how][share] = {"us": {name: meters.middle(got, name, read) for name in self.names},
                                     "ratio": {name: meters.ratio(got, name, "none", read) for name in self.names[1:]}}
        return found


def run(bench):
    return {"ways": {way: Measured(bench, way).result() for way in WAYS}, "rounds": bench.few(), "seconds": bench.amount(LONGER)}


def show(result):
    print(f"Latency of answers, {ground.CONNECTIONS} connections, a JWT of 900 bytes, {result['rounds']} rounds of "
          f"{result['seconds']} s. At the fixed rate it counts\nfrom when a request was due, whether a connection was free or not.\n")
    print(f"  {'':16} {'':5} {'':5}     {'none, ms':>8}     {'empty / none':22}   {'sensor / none':22}")
    for way, part in result["ways"].items():
        for how, text in (("fixed", f"{RATE}/s"), ("full", "full")):
            for share in SHARES:
                row = part[how][share]
                cells = [meters.shown(row["ratio"][name]) if name in row["ratio"] else "-" for name in NAMES[1:]]
                print(f"  {way:16} {text:7} {share:5}   {row['us']['none']['median'] / 1e3:8.2f}     {cells[0]:22}   {cells[1]}")
    print()
    for way, part in result["ways"].items():
        p99 = part["fixed"]["p99"]["ratio"]["sensor"]["median"]
        if part["rate"]["none"]["min"] < REACHED * RATE:
            print(f"  not judged {way}: this machine does not reach {RATE}/s without any probe")
        else:
            meters.verdict(f"{way}: p99 at {RATE}/s at most 1.3 times the bare one: {p99:.2f}", p99 <= 1.3)
        slow = [name for name, s in part["rate"].items() if s["min"] < REACHED * RATE]
        if slow:
            print(f"          {way}: {RATE}/s was not reached in each round with {', '.join(slow)}: what was late counts in full")


def figures(result):
    return {f"{way}: {share} {how}, sensor / none": part[how][share]["ratio"]["sensor"]["median"]
            for way, part in result["ways"].items() for how in ("fixed", "full") for share in ("p50", "p99")}
