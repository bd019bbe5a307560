# SPDX-License-Identifier: Apache-2.0
"""Runs of brief.c, a client that lives for some milliseconds, and when the first of its calls was seen."""
import os
import statistics
import subprocess
import time
from datetime import datetime

import rig

BRIEF = os.path.join(rig.TOOLS, "brief")


class Life:
    """One run of a program: when it was started, when it wrote each request: so many without a pause, and
    then some until it has lived for so many milliseconds."""

    def __init__(self, program, port, requests, milliseconds=0):
        self.token = rig.token()
        self.exec_ns = time.time_ns()
        p = subprocess.run([program, str(port), str(requests), self.token, str(milliseconds)], capture_output=True,
                           text=True, timeout=60, check=False)
        rig.need_equal(p.returncode, 0, f"status of {program}")
        self.main_ns, *self.writes = map(int, p.stdout.split())

    def ms(self):
        return (time.time_ns() - self.exec_ns) / 1e6


def percentiles(values):
    values = sorted(values)
    return f"median {statistics.median(values):.1f}, worst {values[-1]:.1f} ms"


def nanoseconds(text):
    whole, _, rest = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(rest.ljust(9, "0"))


def first_seen(sensor, life):
    """(milliseconds from exec to the first request that was seen, requests missed before it)"""
    token_id = sensor.ids([life.token])[0]
    rig.wait_until(lambda: rig.total(sensor.uses(token_id, "ingress")) >= len(life.writes), 10, "all of the requests at the server")
    time.sleep(0.3)     # for the last one at this end
    seen = sorted(nanoseconds(u["first"]) for u in sensor.uses(token_id, "egress"))
    rig.need(seen, f"none of {len(life.writes)} requests was seen, the last one {(life.writes[-1] - life.exec_ns) / 1e6:.0f} ms after exec")
    missed = len(life.writes) - rig.total(sensor.uses(token_id, "egress"))
    # Those that were missed are the first ones, and nothing else.
    rig.need(missed == 0 or life.writes[missed] - life.writes[missed - 1] >= 0, "order of requests")
    rig.need(abs(seen[0] - life.writes[missed]) < 50_000_000,
             f"the first request seen is not number {missed}: there is a gap behind it")
    return (seen[0] - life.exec_ns) / 1e6, missed
