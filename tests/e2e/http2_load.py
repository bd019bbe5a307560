#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 requests of h2load over 10 connections with 100 streams each at a time, TLS and plain, are 10,000
uses at either end, each with the status of its own stream; one record for each, and folded. And 2,000
of Go's clients with 40 tokens, so many that they push each other out of the header table."""
import collections
import json
import os
import re
import subprocess
import sys
import time

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import seen  # noqa: E402  pylint: disable=wrong-import-position,import-error

CONNECTIONS, STREAMS, REQUESTS = 10, 100, 10000
PATHS = {"/items/load": 200, "/items/more": 200, "/denied": 403, "/gone": 404, "/empty": 204}
SHARE = REQUESTS // len(PATHS)
TOKENS, EACH = 40, 52	# of Go's; each token goes to each path as often


class Load:
    """One run of h2load; each connection asks for the paths in turn."""

    def __init__(self, work, nginx, tls):
        self.library, self.token = "openssl" if tls else "none", rig.token()
        self.port, self.workers = nginx.tls if tls else nginx.plain, nginx.workers
        base = f"http{'s' if tls else ''}://localhost:{self.port}"
        targets = os.path.join(work, f"targets-{self.port}")
        with open(targets, "w", encoding="ascii") as f:
            f.write("".join(f"{base}{path}\n" for path in PATHS))
        p = rig.spawn(["h2load", "-n", str(REQUESTS), "-c", str(CONNECTIONS), "-m", str(STREAMS), "-i", targets,
                       f"--connect-to=127.0.0.1:{self.port}", "-H", f"authorization: Bearer {self.token}"],
                      stdout=subprocess.PIPE, text=True)
        self.pid = p.pid
        said = p.communicate(timeout=120)[0]
        rig.need_equal(p.returncode, 0, "status of h2load")
        self.check_answers(said)

    @staticmethod
    def check_answers(said):
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
        rig.need(codes, f"h2load says nothing of statuses: {said[-300:]}")
        rig.need_equal([int(n) for n in codes.groups()], [3 * SHARE, 0, 2 * SHARE, 0], "answers of h2load")
        rig.need_equal(int(re.search(r"(\d+) succeeded", said).group(1)), 3 * SHARE, "succeeded")


def check(sensor, load, per_call):
    token_id = sensor.ids([load.token])[0]
    sensor.wait_uses(token_id, 2 * REQUESTS, 40)
    time.sleep(1)	# too many is as wrong as too few
    for direction, exe, pids in (("egress", "/usr/bin/h2load", {load.pid}),
                                 ("ingress", "/usr/sbin/nginx", set(load.workers))):
        uses = sensor.uses(token_id, direction)
        sums = collections.Counter()
        for u in uses:
            sums[u["http"]["path"], u["http"].get("status")] += u["count"]
            rig.need_equal((u["http"]["version"], u["http"]["method"], u["tls"]["library"], u["process"]["executable"],
                            u["server"].get("address"), u["server"].get("port")),
                           ("2", "GET", load.library, exe, "localhost", load.port), f"{direction} of {token_id}")
            rig.need(u["process"]["pid"] in pids, f"{direction}: pid {u['process']['pid']} is none of {pids}")
        rig.need_equal(dict(sums), {(p, s): SHARE for p, s in PATHS.items()}, f"{direction}: sums by path and status")
        check_records(uses, per_call, direction)


def check_records(uses, per_call, direction):
    if not per_call:
        rig.need(len(uses) < REQUESTS / 10, f"{direction}: {len(uses)} records are not folded")
        return
    rig.need_equal({u["count"] for u in uses}, {1}, f"{direction}: counts")
    ports = collections.Counter(u["client"]["port"] for u in uses)
    rig.need_equal(sorted(ports.values()), [REQUESTS // CONNECTIONS] * CONNECTIONS,
                   f"{direction}: requests by connection")


def go_load(sensor, kind, base, ca, server_end):
    """Into the server, and out of the client where its TLS is none."""
    tokens = [rig.token(length=100) for _ in range(TOKENS)]
    client = peers.Client(kind, base, ca)
    answers = json.loads(client.say(f"load {EACH} {','.join(tokens)}", 120))
    client.stop()
    rig.need_equal(answers, dict.fromkeys(("200", "204", "403", "404"), TOKENS * EACH // 4), "answers")
    ids, ends = sensor.ids(tokens), [server_end]
    ends += [] if ca else [("egress", client.exe, client.pids)]
    sensor.wait_uses(ids, TOKENS * EACH * len(ends), 40)
    time.sleep(1)
    want = {("GET", p, s): EACH // 4 for p, s in PATHS.items() if p != "/items/more"}
    for direction, exe, pids in ends:
        sums = {token_id: collections.Counter() for token_id in ids}
        for u in sensor.uses(ids, direction):
            rig.need_equal((u["process"]["executable"], u["server"].get("address"), u["http"]["version"]),
                           (exe, "localhost", "2"), direction)
            rig.need(u["process"]["pid"] in pids, f"{direction}: pid {u['process']['pid']} is none of {pids}")
            sums[u["token"]["id"]][u["http"]["method"], u["http"].get("path"), u["http"].get("status")] += u["count"]
        for token_id in ids:
            rig.need_equal(dict(sums[token_id]), want, f"{direction}: sums of one token by path and status")


def go_loads(sensor, nginx, authority):
    nginx_end = ("ingress", "/usr/sbin/nginx", nginx.workers)
    for kind in ("go", "xnet"):
        with rig.case(f"{kind}: {TOKENS} tokens, {TOKENS * EACH} requests, plain, to Go"):
            server = peers.Server("go")
            go_load(sensor, kind, f"http://localhost:{server.port}", None, ("ingress", server.exe, server.pids))
            server.stop()
        with rig.case(f"{kind}: {TOKENS} tokens, {TOKENS * EACH} requests, plain, to nginx"):
            go_load(sensor, kind, f"http://localhost:{nginx.plain}", None, nginx_end)
        with rig.case(f"{kind}: {TOKENS} tokens, {TOKENS * EACH} requests, TLS, to nginx"):
            go_load(sensor, kind, f"https://localhost:{nginx.tls}", authority.ca, nginx_end)


def large_ring(work):
    """A ring that holds all of one run: what is looked at here is whether the sums are right, not how
    quickly a machine of two cores, which also runs the load, can take the records."""
    path = os.path.join(work, "tokentrail.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write("limits:\n  ring: 33554432\n")
    return "--config", path


def main():
    rig.need_root()
    work = rig.work_dir("h2load")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority, workers=2, http2=True)
    for per_call in (True, False):
        sensor = rig.Sensor(work, *large_ring(work), per_call=per_call)
        form = "one record each" if per_call else "folded"
        for tls in (True, False):
            with rig.case(f"{REQUESTS} requests over {CONNECTIONS} connections, {'TLS' if tls else 'plain'}, {form}"):
                check(sensor, Load(work, nginx, tls), per_call)
        go_loads(sensor, nginx, authority)
        with rig.case(f"the sensor ends with status 0, and nothing was lost, {form}"):
            seen.nothing_lost(sensor)
    rig.finish()


main()
