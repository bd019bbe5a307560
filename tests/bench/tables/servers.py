# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's server (nginx) and Go's, HTTP/1.1 and HTTP/2, without and with the sensor."""
import ground
import meters
import probes

NAMES = ("none", "sensor")
SERVERS = {"nginx, OpenSSL": False, "Go": True}
WAYS = {"HTTP/1.1": False, "HTTP/2": True}


def one_server(bench, go, http2, what):
    sites = {name: ground.Site(bench, name, http2=http2, go=go) for name in NAMES}
    # A Go server has no OpenSSL: somebody has to, or the sensor looks at the clients' copy when they have begun.
    holders = [ground.Client(site, http2=http2, connections=1) for site in sites.values()]
    totals, made = probes.Totals(), []

    def load(name):
        with ground.fresh(sites[name], http2=http2) as client:
            said = client.run(seconds=bench.amount())
        made.append(said["requests"] + 20 * ground.CONNECTIONS)
        return said

    def one(name):
        if name == "none":
            return load(name)
        with probes.counted_sensor(sites[name], totals, lambda: made[-1]):
            return load(name)

    got = meters.rounds(NAMES, bench.few(), one, what)
    for holder in holders:
        holder.end()
    for site in sites.values():
        site.stop()
    return {"rate": meters.ratio(got, "sensor", "none", lambda m: m["rate"]),
            "server": meters.ratio(got, "sensor", "none", lambda m: m["server_us"]),
            "server_us": meters.middle(got, "none", lambda m: m["server_us"]),
            "added_us": meters.added(got, "sensor", "none", lambda m: m["server_us"]), "sensor": totals.as_dict()}


def run(bench):
    return {f"{server}, {way}": one_server(bench, go, http2, f"servers, {server}, {way}")
            for server, go in SERVERS.items() for way, http2 in WAYS.items()}


def show(result):
    print("Servers, as fast as it goes; the client is openload with OpenSSL. CPU is that of the server alone. Empty return\n"
          "probes can't be set in Go code (they crash it), so there is no such baseline.\n")
    print(f"  {'':26} {'requests/s, sensor / none':26} {'server CPU, sensor / none':26} {'bare us':>8} {'us added':>9}   uses of requests")
    for name, r in result.items():
        t = r["sensor"]
        print(f"  {name:26} {meters.shown(r['rate']):26} {meters.shown(r['server']):26} {r['server_us']['median']:8.1f} "
              f"{r['added_us']['median']:9.1f}   {t['egress']} + {t['ingress']} of {t['requests']}, losses: {t['losses'] or 'none'}")


def figures(result):
    return {f"{name}: server CPU, sensor / none": r["server"]["median"] for name, r in result.items()}
