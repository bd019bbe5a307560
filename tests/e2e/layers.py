#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Containers that share a layer: two overlays above one library, the second with metadata of its own. A
program run from each is one use, not two, whichever came first, and after it was written to as well."""
import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error


def overlay(work, name, lower):
    upper, scratch, over = (os.path.join(work, name, d) for d in ("upper", "work", "over"))
    for d in (upper, scratch, over):
        os.makedirs(d)
    options = f"lowerdir={lower},upperdir={upper},workdir={scratch},metacopy=on"
    if subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", over], capture_output=True,
                      check=False).returncode != 0:
        raise rig.Skip("no overlay can be mounted here")
    return over


def ask(sensor, nginx, authority, libraries):
    token = rig.token()
    rig.run(["curl", "-sS", "--http1.1", "--cacert", authority.ca, "-H", f"Authorization: Bearer {token}",
             "-o", "/dev/null", f"https://localhost:{nginx.tls}/layers"],
            env={**os.environ, "LD_LIBRARY_PATH": libraries})
    return sensor.ids([token])[0]


def main():
    rig.need_root()
    work = rig.work_dir("layers")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    lower = os.path.join(work, "lower")
    os.makedirs(lower)
    for name in ("libssl.so.3", "libcrypto.so.3"):
        shutil.copy(glob.glob(f"/usr/lib/*-linux-gnu/{name}")[0], lower)
    sensor = rig.Sensor(work)
    overs = []
    try:
        with rig.case("two overlays above one library: each program's request is one use"):
            for name in ("first", "second"):
                overs.append(overlay(work, name, lower))
            os.chmod(os.path.join(overs[1], "libssl.so.3"), 0o700)
            ids = {}
            for round_ in range(3):
                for over in overs:
                    ask(sensor, nginx, authority, over)     # the first one may come before its probes
                    ids[(round_, over)] = ask(sensor, nginx, authority, over)
            sensor.wait_uses(list(ids.values()), 2 * len(ids), seconds=30)
            for i in ids.values():
                rig.need_equal(sorted((u["direction"], u["count"]) for u in sensor.uses(i)),
                               [("egress", 1), ("ingress", 1)], "uses")
            rig.need_equal({k: v for k, v in sensor.losses().items() if k in ("gap", "attach_failed")}, {}, "losses")
        with rig.case("a library that was copied up is another one, and probed too"):
            with open(os.path.join(overs[1], "libssl.so.3"), "ab") as f:
                f.write(b"\0")
            ask(sensor, nginx, authority, overs[1])
            seen = []
            rig.wait_until(lambda: seen.append(ask(sensor, nginx, authority, overs[1])) or
                           sensor.wait_uses(seen[-1], 2, seconds=2) and
                           len(sensor.uses(seen[-1], "egress")) == 1, 30, "a use of the copy")
        with rig.case("the sensor ends with status 0"):
            rig.need_equal(sensor.stop(), 0, "status")
    finally:
        for over in overs:
            subprocess.run(["umount", "-l", over], check=False)
    rig.finish()


main()
