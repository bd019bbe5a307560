# SPDX-License-Identifier: Apache-2.0
"""What stands on a site's library while it is measured: nothing, empty probes, bpftrace, the sensor, or the
floor: empty programs where the sensor has its own, below which nothing can be that stands there."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import meters
import rig  # pylint: disable=import-error

EMPTY = os.path.join(rig.BUILD, "tests", "bench", "empty")
# Prints the beginning of what is sent and received, where the header fields are; 200 bytes are its limit.
ONE_LINER = """
uprobe:{lib}:SSL_write {{ printf("%d %s\\n", pid, str(arg1, 200)); }}
uprobe:{lib}:SSL_read {{ @to[tid] = arg1; }}
uretprobe:{lib}:SSL_read /@to[tid]/ {{ if ((int32)retval > 0) {{ printf("%d %s\\n", pid, str(@to[tid], 200)); }} delete(@to[tid]); }}
"""


class Totals:
    """What the sensor's own processes took, and what it reported, over all rounds."""

    def __init__(self):
        self.cpu, self.mib, self.requests, self.egress, self.ingress, self.losses = 0.0, 0.0, 0, 0, 0, {}

    def add_losses(self, losses):
        for reason, count in losses.items():
            self.losses[reason] = self.losses.get(reason, 0) + count

    def as_dict(self):
        return dict(vars(self))

    def cpu_per_100k(self):
        return self.cpu / self.requests * 1e5 if self.requests else 0.0


@contextlib.contextmanager
def empty(library, where):
    p = rig.spawn([EMPTY, EMPTY + ".bpf.o", where, library], stdout=subprocess.PIPE, text=True)
    said = p.stdout.readline()
    rig.need(said.startswith("ready"), f"empty probes are not attached ({where})")
    try:
        yield p
    finally:
        rig.end(p)


class Sensor(rig.Sensor):
    """With folding, as it is shipped."""

    def __init__(self, work, *more):
        super().__init__(work, *more, per_call=False)

    def own_cpu_seconds(self):
        return meters.cpu_seconds(self.monitor) + meters.cpu_seconds(self.agent)

    def peak_mib(self):
        return max(meters.resident_mib(self.monitor, True), meters.resident_mib(self.agent, True))


@contextlib.contextmanager
def sensor(work, *more):
    s = Sensor(work, *more)
    try:
        yield s
    finally:
        s.stop(seconds=60)


def standing(name, site):
    """What a variant has on its site's library, where nothing has to be counted."""
    if name in ("empty", "floor"):
        return empty(site.library, "symbols" if name == "empty" else "sites")
    return sensor(site.dir) if name == "sensor" else contextlib.nullcontext()


@contextlib.contextmanager
def counted_sensor(site, totals, requests_of, *more):
    """A sensor whose cost and reports of the site's token are added up; requests_of() is asked for how
    many were made, after the load."""
    with sensor(site.dir, *more) as s:
        token_id = s.ids([site.token])[0]
        before = s.own_cpu_seconds()
        yield s
        requests = requests_of()
        s.wait_uses(token_id, 2 * requests, seconds=5)
        totals.cpu += s.own_cpu_seconds() - before
        totals.mib = max(totals.mib, s.peak_mib())
    totals.requests += requests
    totals.egress += rig.total(s.uses(token_id, "egress"))
    totals.ingress += rig.total(s.uses(token_id, "ingress"))
    totals.add_losses(s.losses())


def bpftrace_refuses(work):
    """Why bpftrace can't be a baseline here; empty if it can."""
    if not shutil.which("bpftrace"):
        return "bpftrace is not installed"
    p = subprocess.run(["bpftrace", "-e", "BEGIN { printf(\"%d\\n\", 1); exit(); }"], text=True, capture_output=True,
                       timeout=60, check=False, cwd=work, stdin=subprocess.DEVNULL)
    return "" if p.returncode == 0 else f"bpftrace fails: {' '.join(p.stderr.split())[:200]}"


class Bpftrace:
    """The one-liner on a library. What it printed is in a file, as a user would have it."""

    def __init__(self, library, work):
        self.dir = tempfile.mkdtemp(prefix="bpftrace-", dir=work)
        self.out_path, self.err_path = os.path.join(self.dir, "out"), os.path.join(self.dir, "err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = rig.spawn(["bpftrace", "-e", ONE_LINER.format(lib=library)], stdout=out, stderr=err,
                                     env={**os.environ, "BPFTRACE_STRLEN": "200"})
        rig.wait_until(self.is_ready, 60, "bpftrace is attached")

    def text(self, path):
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def is_ready(self):
        rig.need(self.process.poll() is None, f"bpftrace ended: {self.text(self.err_path)[-300:]}")
        said = self.text(self.out_path)
        if "Attaching" not in said:
            return False
        return len(meters.held_ids(self.process.pid, "prog_id")) >= 3

    def seen(self):
        """(credentials printed, events that it says were lost)"""
        lost = sum(map(int, re.findall(r"Lost (\d+) events", self.text(self.err_path) + self.text(self.out_path))))
        with open(self.out_path, "rb") as f:
            return sum(line.lower().startswith(b"authorization: bearer") for line in f), lost

    def stop(self):
        """As ^C would. What it printed was read before: if it has to be killed, nothing is lost. Why, then."""
        why = []
        try:
            rig.end(self.process, signal.SIGINT, seconds=30)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            why = [str(e)]
        shutil.rmtree(self.dir, ignore_errors=True)
        return why


@contextlib.contextmanager
def bpftrace(library, work, totals):
    b = Bpftrace(library, work)
    try:
        before = meters.cpu_seconds(b.process.pid)
        yield b
        time.sleep(1)
        totals["cpu"] += meters.cpu_seconds(b.process.pid) - before
        totals["mib"] = max(totals["mib"], meters.resident_mib(b.process.pid, True))
        seen, lost = b.seen()
        totals["seen"] += seen
        totals["lost"] += lost
    finally:
        totals["killed"] += b.stop()
