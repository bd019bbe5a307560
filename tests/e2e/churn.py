#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that come and go: 20 executables, some with a shared OpenSSL, some with one inside, started and
ended again and again beside a load. Nobody is harmed, each use is the right process's, no probe is
leaked, and neither of the sensor's processes grows. `--deleted` takes three minutes more: scans come
each minute."""
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

BRIEF = os.path.join(rig.TOOLS, "brief")
ROUNDS = int(os.environ.get("CHURN_ROUNDS", "20"))
EXECUTABLES = 20
AT_ONCE = 10
REQUESTS = 3
GROWTH_KIB = 2048	# between a third of the way and the end, some 270 processes: less than 8 KiB for each


class Run:
    """One process: started with its own token."""

    def __init__(self, program, port):
        self.program, self.token = program, rig.token()
        self.process = rig.spawn([program, str(port), str(REQUESTS), self.token], stdout=subprocess.DEVNULL)
        self.pid = self.process.pid

    def end(self):
        return rig.end(self.process, signal.SIGCONT, 30)	# waits: the signal does nothing


def executables(work, first=0):
    """Each an inode of its own; every other one has OpenSSL inside."""
    made = []
    for i in range(first, first + EXECUTABLES):
        path = os.path.join(work, f"program{i}")
        shutil.copy(BRIEF + ("-static" if i % 2 else ""), path)
        made.append(path)
    return made


def rss_kib(sensor):
    return {name: int(rig.status_of(pid)["VmRSS"].split()[0])
            for name, pid in (("monitor", sensor.monitor), ("agent", sensor.agent))}


def probes_of(sensor):
    """Links and perf events that the monitor holds: each carries probes in one file."""
    held = collections.Counter()
    for name in os.listdir(f"/proc/{sensor.monitor}/fd"):
        try:
            target = os.readlink(f"/proc/{sensor.monitor}/fd/{name}")
        except OSError:
            continue
        held[target] += 1
    return held["anon_inode:bpf_link"] + held["anon_inode:bpf-link"], sum(held.values())


def links_of(sensor):
    """The ids of the links that it holds: others on this machine may have some too."""
    found = set()
    for name in os.listdir(f"/proc/{sensor.monitor}/fdinfo"):
        with contextlib.suppress(OSError), open(f"/proc/{sensor.monitor}/fdinfo/{name}", encoding="ascii") as f:
            found |= {int(i) for i in re.findall(r"^link_id:\s*(\d+)", f.read(), re.M)}
    return found


def all_links():
    return {link["id"] for link in json.loads(rig.run(["bpftool", "-j", "link", "show"])[1] or "[]")}


def need_same(sensor, before, what):
    """Descriptors are closed a moment after the events that cause it are read."""
    got = rig.wait_until(lambda: probes_of(sensor) if probes_of(sensor) <= before else None, 10,
                         f"{what}: {probes_of(sensor)} instead of {before} links and descriptors")
    rig.need(got, what)


class Load:
    """Keeps the sensor and nginx busy beside them."""

    def __init__(self, nginx):
        self.generator = rig.spawn([os.path.join(rig.TOOLS, "loadgen"), "-t", "-c", "8", "-r", "300", str(nginx.tls)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.generator.stdin.write("".join(f"{rig.token()}\n" for _ in range(8)))
        self.generator.stdin.close()

    def end(self):
        self.generator.send_signal(signal.SIGTERM)
        said = json.loads(self.generator.stdout.read())
        rig.need_equal((self.generator.wait(20), said["failed"], set(said["status"])), (0, 0, {"200"}), "the load")
        rig.need(said["requests"] > 200, f"too little load to mean anything: {said['requests']}")


def churn(programs, port, sensor, rounds):
    """Runs all programs in each round; (runs, RSS at a third, RSS at the end)."""
    runs, third = [], None
    for i in range(rounds):
        for at in range(0, len(programs), AT_ONCE):
            now = [Run(p, port) for p in programs[at:at + AT_ONCE]]
            bad = [r.program for r in now if r.end() != 0]
            rig.need(not bad, f"in round {i} these failed: {bad}")
            runs += now
        if i == rounds // 3:
            third = rss_kib(sensor)
    return runs, third, rss_kib(sensor)


def need_right(sensor, runs):
    """Each use of a token is that of its process and executable; all are seen once the file is known."""
    ids = sensor.ids([r.token for r in runs])
    owner = dict(zip(ids, runs))
    sensor.wait_uses(ids, 2 * REQUESTS * len(runs), seconds=30)
    seen, wrong = collections.Counter(), []
    for use in sensor.uses(ids, "egress"):
        run, process = owner[use["token"]["id"]], use["process"]
        seen[use["token"]["id"]] += use["count"]
        if (process["pid"], process.get("executable")) != (run.pid, run.program):
            wrong.append((process["pid"], process.get("executable"), run.pid, run.program))
    rig.need(not wrong, f"{len(wrong)} uses of the wrong process: {wrong[:3]}")
    short = [owner[i].program for i in ids if seen[i] != REQUESTS]
    rig.need(not short, f"{len(short)} of {len(runs)} processes were not seen whole: {short[:5]}")


def deleted_files(sensor, work, port, before):
    with rig.case("files that are deleted keep no probe once two scans found that nobody uses them"):
        programs = executables(work, 100)
        for p in programs:
            rig.need_equal(Run(p, port).end(), 0, "status")
        rig.wait_until(lambda: probes_of(sensor) > before, 10, "their probes")
        for p in programs:
            os.unlink(p)
        rig.wait_until(lambda: probes_of(sensor) <= before, 200, f"links and descriptors as before: {before}")


def main():
    rig.need_root()
    work = rig.work_dir("churn")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    sensor = rig.Sensor(work)
    programs = executables(work)
    for p in programs:	# they become known
        Run(p, nginx.tls).end()
    time.sleep(2)
    before = probes_of(sensor)
    load = Load(nginx)
    began = time.monotonic()
    with rig.case(f"{ROUNDS * EXECUTABLES} processes of {EXECUTABLES} executables under load: all end well"):
        runs, third, end = churn(programs, nginx.tls, sensor, ROUNDS)
        load.end()
        print(f"# {len(runs)} processes in {time.monotonic() - began:.1f} s; RSS in KiB at a third {third}, "
              f"at the end {end}")
        with rig.case("no use of another process, none missing"):
            need_right(sensor, runs)
        with rig.case(f"neither process has grown by {GROWTH_KIB} KiB since a third of it"):
            rig.need(all(end[name] - third[name] < GROWTH_KIB for name in end), f"{third} and then {end}")
        with rig.case("as many probes as before"):
            need_same(sensor, before, "probes")
    if "--deleted" in sys.argv:
        deleted_files(sensor, work, nginx.tls, before)
    with rig.case("the sensor ends with status 0 and leaves no link behind"):
        mine = links_of(sensor)
        rig.need(mine & all_links(), "its links are seen while it runs")
        rig.need_equal(sensor.stop(), 0, "status")
        rig.wait_until(lambda: not mine & all_links(), 10, "its links are gone")
    rig.finish()


main()
