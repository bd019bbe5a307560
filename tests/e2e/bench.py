#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tests/bench compares the sensor with: empty probes at the functions' symbols, and the floor, whose empty
programs run as often as the sensor's, since they are at the same places."""
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
for _place in ("../lib", "../peers", "../bench"):
    sys.path.insert(0, os.path.join(HERE, _place))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import ground  # noqa: E402  pylint: disable=wrong-import-position,import-error
import meters  # noqa: E402  pylint: disable=wrong-import-position,import-error
import probes  # noqa: E402  pylint: disable=wrong-import-position,import-error

REQUESTS = 2000
# Of the machine: the sockets' events come from all of it.
OTHERS = 0.05
SAME = {"empty_in": ("openssl_read_ex_in", "openssl_record_in", "openssl_seal_in", "openssl_write_ex_in"), "empty_out": ("tls_out",),
        "empty_send": ("sock_send", "sys_exit"), "empty_recv": ("sock_recv",)}


def measured(site, name):
    """Where its probes are, and how often each of its programs runs for a request."""
    with meters.bpf_statistics(), probes.standing(name, site) as standing, ground.fresh(site) as client:
        pid = standing.monitor if name == "sensor" else standing.pid
        before = meters.program_runs(pid)
        client.run(requests=REQUESTS)
        return rig.patched(site.pid), {program: p["runs"] / REQUESTS
                                       for program, p in meters.runs_between(before, meters.program_runs(pid)).items()}


def main():
    rig.need_root()
    site = ground.Site(ground.Ground(rig.work_dir("bench-test")), "http1")
    with rig.case("empty probes at the symbols are hit by each request"):
        found = measured(site, "empty")[1]
        rig.need(found.keys() == {"empty_in", "empty_out"} and min(found.values()) >= 1, f"runs a request: {found}")
    (wanted_places, sensor), (places, floor) = measured(site, "sensor"), measured(site, "floor")
    with rig.case("the floor has its probes where the sensor has them"):
        rig.need(wanted_places, "the sensor has probes in nginx's libssl")
        rig.need_equal(places, wanted_places, "places")
    with rig.case("its programs run as often"):
        print(f"# {floor}, the sensor's {sensor}")
        for program, names in SAME.items():
            wanted = sum(sensor.get(name, 0) for name in names)
            rig.need(abs(floor.get(program, 0) - wanted) <= OTHERS * wanted, f"{program}: {floor.get(program, 0):.3f} a request, the sensor's {wanted:.3f}")
    site.stop()
    rig.finish()


main()
