#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Days in an hour: processes, connections, tokens and files that come and go quickly, with small limits, and
what the sensor holds meanwhile: memory, descriptors, links, threads, entries of each BPF map, the store. At
the end each has to be flat (flat.py).

    soak.py [--minutes N]      as root; 60 by default, or MINUTES. Writes build/soak.json

Prints a table and "ok", "not ok" or "skip" for each; the last for what a short run can't tell."""
import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
for _place in ("../lib", "../peers"):
    sys.path.insert(0, os.path.join(HERE, _place))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import flat  # noqa: E402  pylint: disable=wrong-import-position
import ground  # noqa: E402  pylint: disable=wrong-import-position
import meters  # noqa: E402  pylint: disable=wrong-import-position

BRIEF = os.path.join(rig.TOOLS, "brief")
MAPFILL = os.path.join(rig.TOOLS, "mapfill")
MIB = 1 << 20
TOKENS, STORE_MIB, COVERED = 2000, 64, 512
# Small limits are reached in minutes, as the usual ones are in days.
SETTINGS = {"limits.memory": 96 * MIB, "limits.tokens": TOKENS, "limits.connections": 4096, "limits.pending": 1024, "limits.fold_rows": 1024,
            "limits.coverage": COVERED, "store.max_size": STORE_MIB * MIB, "output.fold_interval": "200ms", "output.coverage_interval": "1s", "http.status_wait": "2s"}
FILES_LIVE = 4      # copies of programs and libraries that are there at a time
PYTHON = """
import http.client, ssl, sys
c = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=ssl._create_unverified_context())
c.request("GET", "/python", headers={"Authorization": "Bearer " + sys.argv[2]})
sys.exit(c.getresponse().status != 200)
"""


class Churn:
    """A thread that does one thing again and again, until it is ended; what it did is counted."""

    def __init__(self, name, every, work):
        self.name, self.every, self.work, self.done, self.failed = name, every, work, 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.go, name=name, daemon=True)

    def go(self):
        while not self.over.is_set():
            began = time.monotonic()
            try:
                self.done += self.work()
            except Exception as e:  # pylint: disable=broad-except
                self.failed = f"{self.name}: {e}"
                return
            self.over.wait(max(0.0, self.every - (time.monotonic() - began)))

    def end(self):
        self.over.set()
        self.thread.join(60)
        rig.need(not self.thread.is_alive(), f"{self.name} does not end")


def need_run(argv, env=None):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60,
                       check=False, env=env)
    rig.need_equal(p.returncode, 0, f"status of {argv[0]} ({p.stderr.strip()[-200:]})")


class Load:
    """Everything that comes and goes."""

    def __init__(self, bench):
        self.work = bench.work
        self.one, self.two = ground.Site(bench, "http1"), ground.Site(bench, "http2", http2=True)
        self.files, self.made, self.libssl = [], 0, ground.libssl()
        # A handshake for every other request; plain connections: with new tokens all the time. Connections that are
        # kept, with one token that comes again.
        self.clients = [ground.Client(self.one, each=2, connections=8, made=(1, 40)),
                        ground.Client(self.one, tls=False, each=3, connections=8, made=(2, 40)),
                        ground.Client(self.one, connections=8)]
        self.next = [0] * (len(self.clients) + 1)
        self.churns = [Churn("short programs", 0.05, self.programs), Churn("curl", 1.0, self.curl), Churn("python", 2.0, self.python),
                       Churn("new files", 3.0, self.new_file),
                       Churn("TLS, HTTP/1.1", 0.0, lambda: self.requests(0)), Churn("plain, HTTP/1.1", 0.0, lambda: self.requests(1)),
                       Churn("repeats, HTTP/1.1", 0.0, lambda: self.requests(2)),
                       Churn("TLS, HTTP/2", 0.0, self.requests_http2)]

    def programs(self):
        need_run([BRIEF, str(self.one.tls), "2", rig.token()])
        return 1

    def curl(self):
        need_run(["curl", "-sk", "-o", "/dev/null", "-H", f"Authorization: Bearer {rig.token()}", f"https://127.0.0.1:{self.two.tls}/curl"])
        return 1

    def python(self):
        need_run([sys.executable, "-c", PYTHON, str(self.one.tls), rig.token()])
        return 1

    def new_file(self):
        """Another inode: in turn a program with OpenSSL inside, and a libssl for one without."""
        self.made += 1
        place = os.path.join(self.work, f"files{self.made}")
        os.mkdir(place)
        # By cp: what this process has open for writing, another thread's child may hold for a moment (ETXTBSY).
        if self.made % 2:
            program = os.path.join(place, "program")
            need_run(["cp", BRIEF + "-static", program])
            need_run([program, str(self.one.tls), "1", rig.token()])
        else:
            need_run(["cp", self.libssl, os.path.join(place, "libssl.so.3")])
            need_run([BRIEF, str(self.one.tls), "1", rig.token()], env={**os.environ, "LD_LIBRARY_PATH": place})
        self.files.append(place)
        if len(self.files) > FILES_LIVE:
            shutil.rmtree(self.files.pop(0))
        return 1

    def requests(self, i):
        said = self.clients[i].run(seconds=2, rate=60, first=self.next[i], count=1 << 40)
        self.next[i] += said["requests"]
        return said["requests"]

    def requests_http2(self):
        """New connections each time: what is kept of one stays until others need the room."""
        client = ground.Client(self.two, made=(3, 300), connections=16, streams=4)
        said = client.run(seconds=2, rate=80, first=self.next[-1], count=1 << 40)
        client.end()
        self.next[-1] += said["requests"]
        return said["requests"]

    def begin(self):
        for churn in self.churns:
            churn.thread.start()

    def failures(self):
        return [churn.failed for churn in self.churns if churn.failed]

    def end(self):
        for churn in self.churns:
            churn.end()
        for client in self.clients:
            client.end()


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def probes_held(pid):
    """Links, and the perf events of those that older kernels have instead."""
    held = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            held += "bpf_link" in target or "bpf-link" in target or "perf_event" in target
    return held


def threads(pid):
    return int(rig.status_of(pid)["Threads"])


def file_mib(sensor, name):
    """0 while it is not there: SQLite makes its log as it needs it."""
    try:
        return round(os.stat(os.path.join(sensor.state, name)).st_size / MIB, 3)
    except FileNotFoundError:
        return 0.0


class Watch:
    """Samples of all that could grow."""

    def __init__(self, sensor):
        self.sensor, self.began, self.agent = sensor, time.monotonic(), sensor.agent
        self.series, self.slowest = {}, 0.0
        # A file that nobody uses any more keeps its probes until two scans, a minute apart, have found that.
        for name, pid in (("monitor", sensor.monitor), ("agent", self.agent)):
            self.have(flat.Series(f"{name}: resident", 3.0, " MiB", settle=300))
            self.have(flat.Series(f"{name}: descriptors", 20.0, settle=300, floor=True))
            self.have(flat.Series(f"{name}: threads", 0.5, settle=10, floor=True))
            rig.need(rig.alive(pid), f"the {name} runs")
        self.have(flat.Series("monitor: links and perf events", 20.0, settle=300, floor=True))
        self.have(flat.Series("store", 1.0, " MiB", limit=STORE_MIB, settle=900))
        self.have(flat.Series("store's log", 4.0, " MiB", settle=300))

    def have(self, series):
        return self.series.setdefault(series.name, series)

    def sample(self):
        began = time.monotonic()
        now = began - self.began
        rig.need_equal(self.sensor.agent, self.agent, "the agent is the same process")
        for name, pid in (("monitor", self.sensor.monitor), ("agent", self.agent)):
            self.series[f"{name}: resident"].add(now, round(meters.resident_mib(pid), 3))
            self.series[f"{name}: descriptors"].add(now, descriptors(pid))
            self.series[f"{name}: threads"].add(now, threads(pid))
        self.series["monitor: links and perf events"].add(now, probes_held(self.sensor.monitor))
        self.series["store"].add(now, file_mib(self.sensor, "store.db"))
        self.series["store's log"].add(now, file_mib(self.sensor, "store.db-wal"))
        for name, fill in self.map_fill().items():
            slack = flat.lru_slack(fill["max"], os.cpu_count()) if fill["lru"] else 0
            self.have(flat.Series(f"map {name}", 0.02 * fill["max"] + 16, limit=fill["max"], slack=slack, settle=300,
                                  floor=True)).add(now, fill["entries"])
        self.slowest = max(self.slowest, time.monotonic() - began)

    def map_fill(self):
        ids = sorted(meters.held_ids(self.sensor.monitor, "map_id"))
        rig.need(ids, "the monitor holds maps")
        return json.loads(rig.run([MAPFILL, *map(str, ids)])[1])


def show(watch):
    print(f"\n{'':34} {'first':>9} {'second half: min':>17} {'max':>9} {'last':>9}   verdict")
    for series in watch.series.values():
        values = series.half()[1]
        word, why = series.verdict()
        print(f"{series.name:34} {series.values[0]:9g} {min(values):17g} {max(values):9g} {values[-1]:9g}   {word}: {why}")
    print()


def soak(watch, load, seconds):
    every = min(5.0, max(1.0, seconds / 120))
    load.begin()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watch.sample()
        rig.need(not load.failures(), f"the churn goes on: {load.failures()}")
        print(f"soak: {max(0.0, end - time.monotonic()):.0f} s left  ", end="\r", file=sys.stderr, flush=True)
        time.sleep(every)
    watch.sample()
    load.end()


def judge(watch, minutes):
    for series in watch.series.values():
        with rig.case(f"flat: {series.name}"):
            word, why = series.verdict()
            if word == "skip":
                raise rig.Skip(why)
            rig.need_equal(word, "ok", why)
    losses = rig.stored_losses(os.path.join(watch.sensor.state, "store.db"))
    print(f"# losses, with limits as small as these: {losses or 'none'}")
    return {"minutes": minutes, "settings": SETTINGS, "slowest_sample_seconds": round(watch.slowest, 2), "losses": losses,
            "series": {s.name: s.as_dict() for s in watch.series.values()}}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES", "60")))
    ap.add_argument("--out", default=os.path.join(rig.BUILD, "soak.json"))
    opt = ap.parse_args()
    rig.need_root()
    bench = ground.Ground(rig.work_dir("soak"))
    settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    sensor = rig.Sensor(bench.work, "--output", "none", *settings, per_call=False)
    watch = Watch(sensor)
    with rig.case(f"{opt.minutes:g} minutes of programs, connections, tokens and files that come and go"):
        load = Load(bench)
        soak(watch, load, opt.minutes * 60)
        done = {churn.name: churn.done for churn in load.churns}
        print(f"# {done}; a sample took {watch.slowest:.1f} s at most")
        idle = [name for name, count in done.items() if not count]
        rig.need(not idle, f"nothing came of {idle}")
    show(watch)
    report = judge(watch, opt.minutes)
    with rig.case("the sensor ends with status 0 and leaves no link behind"):
        links = meters.held_ids(sensor.monitor, "link_id")
        rig.need_equal(sensor.stop(seconds=60), 0, "status")
        rig.wait_until(lambda: not links & {link["id"] for link in json.loads(rig.run(["bpftool", "-j", "link", "show"])[1] or "[]")}, 20,
                       "its links are gone")
    with open(opt.out, "w", encoding="ascii") as f:
        json.dump(report, f, indent=1)
    rig.finish()


if __name__ == "__main__":
    main()
