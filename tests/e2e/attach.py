#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sensor harms nobody: 120 times its probes come and go under load, 40 of them with the sensor itself, and no
request of the probed nginx and clients is lost; however it ends, by any signal to either process, no probe stays behind."""
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

ROUNDS = int(os.environ.get("ATTACH_ROUNDS", "40"))
SWITCHES = 2 * ROUNDS	# which take a third of the time: nothing is verified
LOADGEN = os.path.join(rig.TOOLS, "loadgen")


# ---- is anything left? ----

def bpf_objects():
    """Ids of all BPF programs and links of the machine; others' stay, so compare before and after."""
    found = set()
    for kind in ("prog", "link"):
        out = rig.run(["bpftool", "-j", kind, "show"])[1]
        found |= {(kind, o["id"]) for o in json.loads(out or "[]")}
    return found


def ours(pid):
    """BPF program ids that a process holds open."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as f:
                found |= {int(i) for i in re.findall(r"^prog_id:\s*(\d+)", f.read(), re.M)}
        except OSError:
            continue
    return found


def progs():
    return {i for kind, i in bpf_objects() if kind == "prog"}


def need_nothing_left(nginx, program_ids):
    """The kernel frees a program a moment after its last user is gone."""
    rig.wait_until(lambda: not rig.patched(nginx.workers[0]), 10, "no breakpoint in nginx's libssl")
    rig.wait_until(lambda: not progs() & program_ids, 10, "the sensor's BPF programs are gone")


# ---- load ----

class Curls(threading.Thread):
    """One curl after the other: new processes that map the library while probes come and go."""

    def __init__(self, nginx, authority):
        super().__init__()
        self.argv = ["curl", "-sS", "-f", "--http1.1", "--max-time", "20", "--cacert", authority.ca,
                     "-o", "/dev/null", "-w", "%{http_code}", f"https://localhost:{nginx.tls}/v1/items"]
        self.done, self.wrong, self.going = 0, [], True

    def run(self):
        while self.going:
            p = subprocess.run(self.argv, capture_output=True, text=True, check=False,
                               stdin=subprocess.DEVNULL)
            self.done += 1
            if p.returncode != 0 or p.stdout != "200":
                self.wrong.append((p.returncode, p.stdout, p.stderr.strip()))


class Load:
    def __init__(self, nginx, authority, directory):
        tokens = os.path.join(directory, "tokens")
        with open(tokens, "w", encoding="ascii") as f:
            f.writelines(rig.token() + "\n" for _ in range(20))
        self.generators = []
        for tls, port in ((["-t"], nginx.tls), ([], nginx.plain)):
            with open(tokens, encoding="ascii") as f:
                self.generators.append(rig.spawn([LOADGEN, *tls, "-c", "10", "-r", "500", str(port)],
                                                 stdin=f, stdout=subprocess.PIPE, text=True))
        self.curls = Curls(nginx, authority)
        self.curls.start()

    def stop(self):
        """Counts of (requests, failures) of each client."""
        self.curls.going = False
        counts = []
        for g in self.generators:
            g.send_signal(signal.SIGTERM)
            said = json.loads(g.communicate(timeout=40)[0])
            rig.need_equal(set(said["status"]), {"200"}, "statuses")
            counts.append((said["requests"], said["failed"]))
        self.curls.join(30)
        rig.need(not self.curls.wrong, f"curl failed: {self.curls.wrong[:3]}")
        counts.append((self.curls.done, len(self.curls.wrong)))
        return counts


def started_and_stopped(work, nginx, authority):
    state, key = os.path.join(work, "state"), os.path.join(work, "fleet.key")
    workers = list(nginx.workers)
    mine = set()
    load = Load(nginx, authority, work)
    try:
        with rig.case(f"{ROUNDS} starts and stops under load"):
            for i in range(ROUNDS):
                sensor = rig.Sensor(work, state=state, key=key)
                mine |= ours(sensor.monitor)
                rig.need(i or rig.patched(workers[0]), "the check for breakpoints sees those of a running sensor")
                time.sleep(0.2)
                rig.need_equal(sensor.stop(), 0, f"status in round {i}")
    finally:
        counts = load.stop()
    with rig.case("no request was lost or failed in nginx, curl or the load generators"):
        rig.need(all(n > 100 for n, _ in counts), f"too little load to mean anything: {counts}")
        rig.need_equal([bad for _, bad in counts], [0, 0, 0], f"failures of {counts}")
        rig.need_equal(rig.children(nginx.process.pid), workers, "nginx workers")
        rig.need("[alert]" not in nginx.errors() and "[emerg]" not in nginx.errors(), nginx.errors()[-300:])
    with rig.case("nothing is left attached after it"):
        rig.need(mine, "the sensor's programs were seen while it ran")
        need_nothing_left(nginx, mine)


def uprobe_links(pid):
    """Links of uprobes, of either kind, that a process holds open."""
    found = 0
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as f:
                found += bool(re.search(r"^link_type:\s*(uprobe_multi|kprobe_multi|perf)", f.read(), re.M))
        except OSError:
            continue
    return found


def switched(work, nginx, authority):
    """One switch takes all probes of a running sensor out, and puts them back, under load."""
    conf = os.path.join(work, "switch.yaml")

    def switch(on):
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"sources:\n  probes: {'true' if on else 'false'}\n")
        sensor.process.send_signal(signal.SIGHUP)

    with open(conf, "w", encoding="ascii") as f:
        f.write("sources:\n  probes: true\n")
    sensor = rig.Sensor(work, "--config", conf)
    worker, workers = nginx.workers[0], list(nginx.workers)
    load = Load(nginx, authority, work)
    try:
        with rig.case(f"{SWITCHES} times all probes out and in again under load"):
            for i in range(SWITCHES):
                rig.need(rig.patched(worker), f"breakpoints before the switch in round {i}")
                switch(False)
                rig.wait_until(lambda: not rig.patched(worker), 10, "no breakpoint in nginx's libssl")
                rig.wait_until(lambda: not uprobe_links(sensor.monitor), 10, "no link of a uprobe")
                time.sleep(0.3)
                rig.need_equal(rig.patched(worker), [], "breakpoints of new processes' mappings")
                switch(True)
                rig.wait_until(lambda: rig.patched(worker), 20, "the breakpoints are back")
    finally:
        counts = load.stop()
    with rig.case("no request was lost or failed by that"):
        rig.need(all(n > 20 for n, _ in counts), f"too little load to mean anything: {counts}")
        rig.need_equal([bad for _, bad in counts], [0, 0, 0], f"failures of {counts}")
        rig.need_equal(rig.children(nginx.process.pid), workers, "nginx workers")
    with rig.case("uses are seen when the probes are back, and plain ones while they are out"):
        rig.wait_until(lambda: one_use_seen(sensor, nginx, authority, []), 30, "a use is seen")
        switch(False)
        rig.wait_until(lambda: not rig.patched(worker), 10, "no breakpoint in nginx's libssl")
        token = rig.token()
        for url in (f"https://localhost:{nginx.tls}/out", f"http://localhost:{nginx.plain}/out"):
            rig.run(["curl", "-sS", "--http1.1", "--cacert", authority.ca, "-H", f"Authorization: Bearer {token}",
                     "-o", "/dev/null", url])
        seen = sensor.wait_uses(sensor.ids([token])[0], 2)
        rig.need_equal({u["tls"]["library"] for u in seen}, {"none"}, "libraries")
        rig.need_equal(rig.total(seen), 2, "uses")
        took = [int(n) for n in re.findall(r"all probes are out took_ms=(\d+)", sensor.errors())]
        print(f"# all probes out in {max(took)} ms at most, {sum(took) / len(took):.0f} ms on average")
        rig.need_equal(sensor.stop(), 0, "status")


def one_use(sensor, nginx, authority):
    token = rig.token()
    rig.run(["curl", "-sS", "--http1.1", "--cacert", authority.ca, "-H", f"Authorization: Bearer {token}",
             "-o", "/dev/null", f"https://localhost:{nginx.tls}/v1/items"])
    token_id = sensor.ids([token])[0]
    rig.need_equal(rig.total(sensor.wait_uses(token_id, 2)), 2, "uses")
    return token_id


def need_sound_store(state, ids):
    with sqlite3.connect(os.path.join(state, "store.db")) as db:
        rig.need_equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity_check")
        have = dict(db.execute("SELECT token, sum(count) FROM uses GROUP BY token").fetchall())
    for token_id in ids:
        rig.need_equal(have.get(token_id), 2, f"uses of {token_id} in the store")


def end_of_monitor(work, nginx, authority):
    state, key = os.path.join(work, "ends"), os.path.join(work, "fleet.key")
    kept = []
    for sig, status in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)):
        with rig.case(f"after {sig.name} to the monitor: nothing attached, no agent, the store is whole"):
            sensor = rig.Sensor(work, state=state, key=key)
            mine, agent = ours(sensor.monitor), sensor.agent
            rig.need(mine and rig.patched(nginx.workers[0]), "probes are attached before the end")
            kept.append(one_use(sensor, nginx, authority))
            time.sleep(2)   # the store's commit
            rig.need_equal(sensor.stop(sig), status, "status")
            rig.wait_until(lambda a=agent: not rig.alive(a), 10, "the agent is gone")
            need_nothing_left(nginx, mine)
            need_sound_store(state, kept)


def end_of_agent(work, nginx, authority):
    state, key = os.path.join(work, "ends2"), os.path.join(work, "fleet.key")
    with rig.case("after SIGKILL to the agent: another one goes on, counted as agent_died"):
        sensor = rig.Sensor(work, state=state, key=key)
        mine, first = ours(sensor.monitor), sensor.agent
        kept = [one_use(sensor, nginx, authority)]
        time.sleep(2)
        os.kill(first, signal.SIGKILL)
        rig.wait_until(lambda: rig.children(sensor.monitor) not in ([], [first]), 20, "a new agent")
        rig.wait_until(lambda: one_use_seen(sensor, nginx, authority, kept), 30, "uses are seen again")
        time.sleep(2)
        rig.need_equal(sensor.stop(), 0, "status")
        rig.need_equal(sensor.losses().get("agent_died"), 1, f"agent_died of {sensor.losses()}")
        need_nothing_left(nginx, mine)
        need_sound_store(state, kept)


def one_use_seen(sensor, nginx, authority, kept):
    try:
        kept.append(one_use(sensor, nginx, authority))
        return True
    except AssertionError:
        return False


def main():
    rig.need_root()
    work = rig.work_dir("attach")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    started_and_stopped(work, nginx, authority)
    switched(work, nginx, authority)
    end_of_monitor(work, nginx, authority)
    end_of_agent(work, nginx, authority)
    rig.finish()


main()
