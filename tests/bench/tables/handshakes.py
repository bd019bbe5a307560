# SPDX-License-Identifier: Apache-2.0
"""New connections: a TLS handshake for each request."""
import ground
import meters
import probes

NAMES = ("none", "empty", "sensor")


def run(bench):
    sites = {name: ground.Site(bench, name) for name in NAMES}
    clients = {name: ground.Client(site, each=1) for name, site in sites.items()}
    totals = probes.Totals()
    made = []

    def load(name):
        made.append(clients[name].run(seconds=bench.amount()))
        return made[-1]

    def one(name):
        if name != "sensor":
            with probes.standing(name, sites[name]):
                return load(name)
        with probes.counted_sensor(sites[name], totals, lambda: made[-1]["requests"]):
            return load(name)

    got = meters.rounds(NAMES, bench.few(), one, "handshakes")
    for client in clients.values():
        client.end()
    for site in sites.values():
        site.stop()
    return {"rate": {name: meters.middle(got, name, lambda m: m["rate"]) for name in NAMES},
            "ratio": {name: {"rate": meters.ratio(got, name, "none", lambda m: m["rate"]),
                             "cpu": meters.ratio(got, name, "none", lambda m: m["cpu_us"]),
                             "added_us": meters.added(got, name, "none", lambda m: m["cpu_us"])} for name in NAMES[1:]},
            "sensor": totals.as_dict()}


def show(result):
    print("New connections: a TLS handshake (RSA 2048) and one request on each, as fast as it goes.\n")
    print(f"  bare: {result['rate']['none']['median']:.0f} connections a second\n")
    for name, r in result["ratio"].items():
        print(f"  {name + ' / none':16} connections/s {meters.shown(r['rate']):22}  CPU {meters.shown(r['cpu']):22}  "
              f"{r['added_us']['median']:.0f} us added to each")
    t = result["sensor"]
    print(f"\n  Uses reported for {t['requests']} connections: {t['egress']} egress, {t['ingress']} ingress; losses: {t['losses'] or 'none'}; "
          f"{t['cpu'] / t['requests'] * 1e5:.2f} s of the sensor's own CPU for 100,000.")


def figures(result):
    return {f"{what}, sensor / none": result["ratio"]["sensor"][key]["median"]
            for what, key in (("connections/s", "rate"), ("CPU per connection", "cpu"))}
