# SPDX-License-Identifier: Apache-2.0
"""What tests of mints ask of a sensor's records."""
import time

import rig


def parts(mint, part):
    return {t["role"]: t["id"] for t in mint["tokens"] if t["part"] == part}


def of(sensor, token, part="minted"):
    found = [m for m in sensor.records("mint") if token in [t["id"] for t in m["tokens"] if t["part"] == part]]
    return {m["direction"]: m for m in found}


def both(sensor, token, part="minted"):
    """The records of the two ends."""
    return rig.wait_until(lambda: (lambda m: m if len(m) == 2 else None)(of(sensor, token, part)), 30,
                          f"a record of both ends ({part})")


def seconds(text):
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
