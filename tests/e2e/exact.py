#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each request is counted once: repeats that the kernel adds up, with far more tokens than it has rows for, over
HTTP/1 and HTTP/2, while the agent is killed twice and started again. What is in the store and what is counted as
lost are together all requests that were made, at both ends. (Uses that an agent took with it are counted whose
ever they are: where other programs of the machine use tokens, too, the losses may be more than what is missing.)

    exact.py [REQUESTS]     by default 400,000; make exact: 1,000,000
"""
import contextlib
import http.client
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

LOADGEN = os.path.join(rig.TOOLS, "loadgen")
CONNECTIONS = 4096      # and a fourth as many rows for repeats
NO_TOKENS = 500         # requests with what could be a credential and is none
FEW, MANY = 20, 900     # tokens; each is a use at both ends: the many do not all find a row
LONG = 2000             # of a token: nginx reads a head of more than 1 KiB in two calls
PROCESSES = 4
KILLS = 2
ENDS = 2
# What makes a use go missing on the way from the program to the store.
ON_THE_WAY = ("ring_full", "scratch_busy", "user_fault", "partial_lost", "conn_table_full", "call_lost", "gap",
              "bad_record", "store_failed", "agent_lost", "hpack_unknown", "hpack_evicted")
# Losses that are told to an agent which dies at once may stay untold: so there should be few.
RING_MIB, MEMORY_MIB = 64, 1024


class Load:
    """HTTP/1 requests, shared out among connections that each have a token of their own."""

    def __init__(self, requests, connections, *argv, tokens=()):
        self.tokens = tokens or [rig.token() for _ in range(connections)]
        self.requests = requests // connections * connections
        self.argv = [LOADGEN, "-c", str(connections), "-n", str(self.requests), "-p", "/v1/exact", *argv]

    def start(self):
        p = rig.spawn(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.stdin.write("\n".join(self.tokens) + "\n")
        p.stdin.close()
        return [p]

    def check(self, processes):
        said = json.loads(processes[0].stdout.read())
        rig.need_equal((processes[0].wait(600), said["requests"], said["failed"]), (0, self.requests, 0),
                       "status of loadgen, requests, failures")


class Load2:
    """HTTP/2 requests: each h2load has one token and connection, with many streams at a time."""

    def __init__(self, requests, processes, scheme, port):
        self.tokens = [rig.token() for _ in range(processes)]
        self.each = requests // processes
        self.requests = self.each * processes
        self.argv = ["h2load", "-n", str(self.each), "-c", "1", "-m", "20", f"{scheme}://localhost:{port}/v2/exact",
                     f"--connect-to=127.0.0.1:{port}"]

    def start(self):
        return [rig.spawn([*self.argv, "-H", f"authorization: Bearer {t}"], stdout=subprocess.PIPE, text=True)
                for t in self.tokens]

    def check(self, processes):
        for p in processes:
            said = p.communicate(timeout=600)[0]
            rig.need(re.search(rf" {self.each} succeeded, 0 failed", said), f"h2load: {said[-400:]}")


def sums(store, ids):
    """Uses at both ends, of them those whose status is known, uses of others, and losses."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT token, status, count FROM uses").fetchall()
        lost = dict(db.execute("SELECT reason, count FROM loss"))
    ids = set(ids)
    return (sum(n for t, _, n in rows if t in ids), sum(n for t, s, n in rows if t in ids and s),
            sum(n for t, _, n in rows if t not in ids), lost)


def lost_with_agents(store):
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        return db.execute("SELECT count FROM loss WHERE reason = 'agent_died'").fetchone()


def kill_twice(sensor, store, processes):
    """While there is load. The second one goes when it has written what was lost with the first."""
    agents = []
    for n in range(KILLS):
        time.sleep(1)
        rig.wait_until(lambda n=n: n == 0 or lost_with_agents(store), 60, "the first agent's losses in the store")
        rig.need(any(p.poll() is None for p in processes), "the load was over before the agent was killed")
        agents.append(sensor.agent)
        os.kill(agents[-1], signal.SIGKILL)
        rig.wait_until(lambda: rig.children(sensor.monitor) not in ([], [agents[-1]]), 20, "another agent")
    return agents


def ask_without(nginx):
    """The kernel adds these up, too; the agent finds that they are no uses, so they can't be lost either."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", nginx.plain)) as c:
        for _ in range(NO_TOKENS):
            c.request("GET", "/v1/exact?code=x")
            c.getresponse().read()
    time.sleep(1)


def main():
    rig.need_root()
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 400000
    work = rig.work_dir("exact")
    authority = rig.Authority(work)
    nginx, nginx2 = rig.Nginx(work, authority), rig.Nginx(work, authority, http2=True)
    sensor = rig.Sensor(work, "--output", "none", "--set", f"limits.connections={CONNECTIONS}", "--set",
                        f"limits.memory={MEMORY_MIB << 20}", "--set", f"limits.ring={RING_MIB << 20}", per_call=False)
    store = os.path.join(sensor.state, "store.db")
    part = requests // 5
    loads = [Load(part, FEW, str(nginx.plain)), Load(part, MANY, "-t", str(nginx.tls)),
             Load(part, FEW, "-t", str(nginx.tls), tokens=[rig.random_text(LONG) for _ in range(FEW)]),
             Load2(part, PROCESSES, "http", nginx2.plain), Load2(part, PROCESSES, "https", nginx2.tls)]
    ids = sensor.ids([t for load in loads for t in load.tokens])
    made = sum(load.requests for load in loads)
    ask_without(nginx)
    began = time.monotonic()
    with rig.case(f"{made} requests are answered; the agent is killed twice meanwhile, and another one goes on"):
        running = [load.start() for load in loads]
        agents = kill_twice(sensor, store, [p for processes in running for p in processes])
        for load, processes in zip(loads, running):
            load.check(processes)
        rig.need_equal(len({*agents, sensor.agent}), KILLS + 1, "agents")
    seconds = time.monotonic() - began
    time.sleep(3)   # what was lost goes out once a second
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(seconds=120), 0, "status")
    there, answered, others, lost = sums(store, ids)
    counted = sum(lost.get(reason, 0) for reason in ON_THE_WAY)
    print(f"    {made / seconds:.0f} requests a second; {there} uses of {ENDS * made}, {answered} with their status, {others} of others, losses: {lost}")
    with rig.case("uses in the store and counted losses are all requests at both ends"):
        missing = ENDS * made - there
        rig.need(0 <= missing <= counted and (others or missing == counted), f"{missing} are missing, {counted} are counted")
    rig.finish()


main()
