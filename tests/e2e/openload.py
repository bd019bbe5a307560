#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The load generator of tests/bench, against a server that says what it got: counts are exact, latencies are
those of an open schedule, tokens come again by their number. No privileges."""
import collections
import json
import os
import socketserver
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

OPENLOAD = os.path.join(rig.TOOLS, "openload")
RATE, SECONDS, CONNECTIONS = 200, 2, 4
STALL = 0.5


class Server(socketserver.ThreadingTCPServer):
    """HTTP/1.1 with an answer of two parts. Stands still once where stall_at says, and breaks off `breaks` answers."""
    daemon_threads, allow_reuse_address = True, True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.tokens, self.connections, self.stall_at, self.breaks = collections.Counter(), 0, None, 0
        self.still, self.lock = threading.Lock(), threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]


class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        with self.server.lock:
            self.server.connections += 1
        while self.one():
            pass

    def one(self):
        head = {}
        if not self.rfile.readline():
            return False
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b": ")
            head[name] = value
        with self.server.still:      # all connections wait while one stands still
            with self.server.lock:
                self.server.tokens[head[b"Authorization"]] += 1
                stall = self.server.stall_at is not None and time.monotonic() >= self.server.stall_at
                broken = self.server.breaks > 0
                self.server.breaks -= broken
                if stall:
                    self.server.stall_at = None
            if stall:
                time.sleep(STALL)
        if broken:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Len")
            return False
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n")
        self.wfile.write(b"\r\nok\n")
        return True


def load(server, commands, *argv):
    p = subprocess.run([OPENLOAD, "-c", str(CONNECTIONS), *argv, str(server.port)], input=f"{rig.token()}\n\n{commands}", text=True,
                       capture_output=True, timeout=60, check=False)
    rig.need_equal(p.returncode, 0, f"status ({p.stderr})")
    ready, *results = p.stdout.splitlines()
    rig.need_equal(ready, f"ready {CONNECTIONS}", "first line")
    return [json.loads(line) for line in results]


def open_schedule():
    with rig.case(f"a server that stands still for {STALL} s makes all that was due meanwhile late, and no request is left out"):
        server = Server()
        server.stall_at = time.monotonic() + 1
        said = load(server, f"run {SECONDS} {RATE} 0\n")[0]
        server.shutdown()
        rig.need_equal((said["requests"], said["failed"], said["unsent"], said["status"]), (RATE * SECONDS, 0, 0, {"200": RATE * SECONDS}), "counts")
        rig.need_equal(sum(server.tokens.values()), RATE * SECONDS, "requests that the server got")
        rig.need(said["seconds"] >= SECONDS - 0.1, f"over after {said['seconds']} s")
        # A quarter of the time: the schedule says how many were due in it, and how long each waited.
        us = said["us"]
        rig.need(us["p90"] >= 0.5 * STALL * 1e6 and us["max"] >= 0.9 * STALL * 1e6, f"late requests: {us}")
        rig.need(us["p50"] <= us["p90"] <= us["p99"] <= us["p999"] <= 1.02 * us["max"], f"order of percentiles: {us}")


def exact_counts():
    with rig.case("as many requests as asked for, in each of two runs on the same connections"):
        server = Server()
        said = load(server, "run 0 0 100\nrun 0 0 301\n")
        rig.need_equal([s["requests"] for s in said], [100, 301], "requests")
        rig.need_equal((sum(server.tokens.values()), server.connections), (401, CONNECTIONS), "requests, connections of the server")
    with rig.case("a connection that ends after so many requests is opened again"):
        server = Server()
        load(server, "run 0 0 40\n", "-k", "2")
        rig.need_equal((sum(server.tokens.values()), server.connections), (40, 20), "requests, connections of the server")
    with rig.case("an answer that breaks off is a failure, and the others go on"):
        server = Server()
        server.breaks = 3
        said = load(server, "run 0 0 100\n")[0]
        rig.need_equal((said["requests"], said["failed"], said["status"]), (100, 3, {"200": 97}), "counts")


def numbered_tokens():
    with rig.case("tokens by their number: all different, and the same when their number comes again"):
        server = Server()
        load(server, "run 0 0 50 0 50\nrun 0 0 50 25 25\n", "-g", "7", "-l", "40")
        counts = collections.Counter(server.tokens.values())
        rig.need_equal(counts, {1: 25, 3: 25}, "tokens by how often they came")
        rig.need_equal({len(t) for t in server.tokens}, {len("Bearer ") + 40}, "lengths")


def main():
    open_schedule()
    exact_counts()
    numbered_tokens()
    rig.finish()


main()
