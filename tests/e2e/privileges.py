#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The capabilities of the systemd unit suffice, the agent has none of them, and a program in a
container is seen as what it is there, by the library files of its own image."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

UNIT = os.path.join(rig.ROOT, "deploy", "systemd", "tokentrail.service")


def unit_capabilities():
    with open(UNIT, encoding="utf-8") as f:
        lines = re.findall(r"^CapabilityBoundingSet=(.*)$", f.read(), re.M)
    return [c.removeprefix("CAP_").lower() for line in lines for c in line.split()]


def curl(authority, port, token):
    return ["curl", "-sS", "--http1.1", "--cacert", authority.ca, "-o", "/dev/null", "-w", "%{http_code}",
            "-H", f"Authorization: Bearer {token}", f"https://localhost:{port}/items/curl"]


def need_both_ends(sensor, token):
    (token_id,) = sensor.ids([token])
    uses = sensor.wait_uses(token_id, 2)
    rig.need_equal(sorted(u["direction"] for u in uses), ["egress", "ingress"], "uses")


def in_container(sensor, nginx):
    """curl with its own copy of all libraries, twice: a file never seen before is probed within
    moments of being mapped, so the second request has to be there; the first may be."""
    token, container = rig.token(), "c0ffee" + os.urandom(29).hex()
    argv = [os.path.join(rig.ROOT, "tests", "lib", "ctr-run.sh"), "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
            container, "/usr/bin/curl", "-sS", "-k", "--http1.1", "--rate", "60/m", "-H",
            f"Authorization: Bearer {token}", "-o", "/dev/null", f"https://127.0.0.1:{nginx.tls}/items/1",
            "-o", "/dev/null", f"https://127.0.0.1:{nginx.tls}/items/2", "-o", "/dev/null",
            f"https://127.0.0.1:{nginx.tls}/items/3"]
    p = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60,
                       stdin=subprocess.DEVNULL, env={**os.environ, "CTR_NET": "host"})
    rig.need_equal(p.returncode, 0, f"status of the container ({p.stderr[-300:]})")
    (token_id,) = sensor.ids([token])
    rig.wait_until(lambda: len(sensor.uses(token_id, "ingress")) == 3, 15, "nginx was asked three times")
    rig.wait_until(lambda: len(sensor.uses(token_id, "egress")) >= 2, 15, "the later requests are seen")
    for use in sensor.uses(token_id, "egress"):
        rig.need_equal(use["container"], {"id": container}, "container")
        rig.need_equal(use["process"]["executable"], "/usr/bin/curl", "executable")
        rig.need_equal(use["process"]["name"], "curl", "process name")
    for use in sensor.uses(token_id, "ingress"):
        rig.need("container" not in use, "nginx is in no container")


def main():
    rig.need_root()
    work = rig.work_dir("privileges")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    capabilities = unit_capabilities()
    with rig.case("the sensor runs with the unit's capabilities and no new privileges"):
        bound = ",".join(["-all", *(f"+{c}" for c in capabilities)])
        sensor = rig.Sensor(work, prefix=("setpriv", "--no-new-privs", "--bounding-set", bound))
        token = rig.token()
        rig.need_equal(rig.run(curl(authority, nginx.tls, token))[1], "200", "status")
        need_both_ends(sensor, token)
    with rig.case("the monitor has no other capability"):
        # The machine may withhold some of them from everybody.
        eff = int(rig.status_of(sensor.monitor)["CapEff"], 16)
        usual = int(rig.status_of(os.getpid())["CapEff"], 16)
        rig.need(eff & ~usual == 0 and bin(eff).count("1") <= len(set(capabilities)),
                 f"{eff:x} of {usual:x}")
        rig.need(eff != usual, "nothing was taken away")
    with rig.case("the agent is somebody else, has no capability, and can't get one"):
        rig.need_unprivileged(sensor.agent)
    with rig.case("a program in a container, by its own library files"):
        in_container(sensor, nginx)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    nginx.stop()
    rig.finish()


main()
