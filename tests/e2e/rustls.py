#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rustls at both ends: reqwest and a hyper server on four threads, HTTP/1.1 and HTTP/2, a release and a debug
build; bodies larger than rustls takes at once; reqwest with native-tls beside it. Each request is one use at
each end with its status, and an address that is right, or absent where the answer was encrypted before
anything was sent. 40 connections of 50 requests at a time. The same with both ends stripped. Of a copy in
which what identifies rustls' tables was changed, nothing is seen or guessed at, and `coverage` says so."""
import collections
import os
import subprocess
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import seen  # noqa: E402  pylint: disable=wrong-import-position,import-error

PEER = os.path.join(peers.CACHE, "rustls", "peer")
STRIPPED = PEER + "-stripped"
BODY = 300000	# rustls takes 64 KiB at a time
CONNECTIONS, COUNT = 40, 50
QUESTIONS = (("GET", "/items/first", 200, 0), ("POST", "/items/body", 200, BODY), ("GET", "/denied", 403, 0),
             ("GET", "/items/after", 200, 0), ("GET", "/gone", 404, 0))
VERSIONS = {"h1": "1.1", "h2": "2"}


class Client(peers.Client):
    """One of this file's programs; `words` stand in front of the URL."""

    def __init__(self, program, words, base, ca):	# pylint: disable=super-init-not-called
        self.exe = os.path.realpath(peers.program_of(program))
        self.process = rig.spawn([program, *words, base, ca], text=True, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        self.pid = self.process.pid


def ask_all(client):
    """[(token, method, path, status, client's port as the server saw it)]"""
    asked = []
    for again in range(2):
        if again:
            client.renew()
        for method, path, status, body in QUESTIONS:
            token = rig.token()
            got, port = client.ask(method, path, token, *([str(body)] if body else []))
            rig.need_equal(got, status, f"answer to {method} {path}")
            asked.append((token, method, path, status, port))
    client.stop()
    return asked


def check_use(use, asked, version, port, end):
    _, method, path, status, client_port = asked
    library, exe, pid = end
    http = use["http"]
    rig.need_equal((http["method"], http["path"], http.get("status"), http["version"], use["count"]),
                   (method, path, status, version, 1), "method, path, status, version, count")
    rig.need_equal((use["tls"]["library"], use["process"]["executable"], use["process"]["pid"]),
                   (library, exe, pid), "library, executable, pid")
    if use["direction"] == "egress":
        rig.need_equal(use["server"]["port"], port, "server.port")
        rig.need_equal(use["peer"], {"ip": "127.0.0.1", "port": port}, "peer")
        rig.need_equal(use["client"]["port"], client_port, "client.port")
    elif "peer" in use:
        rig.need_equal(use["peer"], {"ip": "127.0.0.1", "port": client_port}, "peer")


def check(sensor, asked, version, port, ends):
    ids = sensor.ids([a[0] for a in asked])
    sensor.wait_uses(ids, len(ends) * len(asked), 30)
    for token_id, a in zip(ids, asked):
        uses = sensor.uses(token_id)
        rig.need_equal(sorted(u["direction"] for u in uses), sorted(ends), f"directions of {a[1:4]}")
        for use in uses:
            check_use(use, a, version, port, ends[use["direction"]])
    known = [u for i in ids for u in sensor.uses(i, "ingress") if "peer" in u]
    rig.need(2 * len(known) >= len(asked), f"only {len(known)} of {len(asked)} addresses are known at the server")


def check_load(sensor, client, version):
    tokens = [rig.token() for _ in range(CONNECTIONS)]
    good = client.say(f"load {CONNECTIONS} {COUNT} {','.join(tokens)}", 300)
    client.stop()
    rig.need_equal(int(good), CONNECTIONS * COUNT * 4 // 5, "answers with status 200")
    ids = sensor.ids(tokens)
    sensor.wait_uses(ids, 2 * CONNECTIONS * COUNT, 60)
    for token_id in ids:
        for direction in ("egress", "ingress"):
            uses = sensor.uses(token_id, direction)
            sums = collections.Counter()
            for u in uses:
                sums[u["http"].get("status"), u["http"]["version"]] += u["count"]
            rig.need_equal(dict(sums), {(200, version): COUNT * 4 // 5, (403, version): COUNT // 5},
                           f"{direction} uses by status and version")
        ports = {u["client"]["port"] for u in sensor.uses(token_id) if "client" in u}
        rig.need_equal(len(ports), 1, f"connections of one token: {ports}")


def alter(source, to):
    """A copy of a stripped program whose encrypted_payload_len() does as before, in another way."""
    with open(source, "rb") as f:
        data = f.read()
    for extra in (16, 17, 24):	# lea EXTRA(%rsi),%rax; ret
        code = bytes((0x48, 0x8d, 0x46, extra, 0xc3))
        rig.need(code in data, f"{source} has no {code.hex()}")
        data = data.replace(code + b"\xcc" * 5, b"\x48\x89\xf0\x48\x83\xc0" + bytes((extra, 0xc3)) + b"\xcc" * 2)
    with open(to, "wb") as f:
        f.write(data)
    os.chmod(to, 0o755)
    return to


def check_blind(sensor, client):
    def told():
        return next((r for r in reversed(sensor.records("coverage")) if r["process"]["pid"] == client.pid
                     and "reason" in r["coverage"]), None)
    record = rig.wait_until(told, 10, "a coverage record with a reason")
    rig.need_equal((record["coverage"]["status"], record["coverage"]["reason"]["name"]), ("blind", "not_found"),
                   "verdict")
    library = next((lib for lib in record["tls"]["libraries"] if lib["name"] == "rustls"), {})
    rig.need_equal((library.get("version"), library.get("reason")), ("0.23.46", "not_found"), "rustls in the file")


def main():
    rig.need_root()
    for program in (PEER, STRIPPED, peers.RUST):
        peers.program_of(program)
    work = rig.work_dir("rustls")
    authority = rig.Authority(work)
    port = rig.free_port(2)
    stripped_port = port + 1
    server, stripped = (rig.spawn([program, "server", str(on), authority.cert, authority.key])
                        for program, on in ((PEER, port), (STRIPPED, stripped_port)))
    for on in (port, stripped_port):
        rig.wait_until(lambda on=on: rig.listening(on), 10, "the server listens")
    base = f"https://localhost:{port}"
    debug = Client(peers.RUST, [], base, authority.ca)	# its file is known when it begins to talk
    sensor = rig.Sensor(work)
    ingress = ("rustls", os.path.realpath(PEER), server.pid)
    for way, version in VERSIONS.items():
        for library, tls in (("rustls", "rustls"), ("openssl", "native")):
            with rig.case(f"reqwest with {tls}, HTTP/{version}"):
                client = Client(PEER, [way, tls], base, authority.ca)
                check(sensor, ask_all(client), version, port,
                      {"egress": (library, client.exe, client.pid), "ingress": ingress})
        with rig.case(f"{CONNECTIONS} connections, {COUNT} requests each, HTTP/{version}"):
            check_load(sensor, Client(PEER, [way, "rustls"], base, authority.ca), version)
    with rig.case("a debug build, HTTP/2"):
        token = rig.token()
        status, client_port = debug.ask("GET", "/denied", token)
        debug.stop()
        check(sensor, [(token, "GET", "/denied", status, client_port)], "2", port,
              {"egress": ("rustls", debug.exe, debug.pid), "ingress": ingress})
    ingress = ("rustls", os.path.realpath(STRIPPED), stripped.pid)
    base = f"https://localhost:{stripped_port}"
    for way, version in VERSIONS.items():
        with rig.case(f"both ends stripped, HTTP/{version}"):
            client = Client(STRIPPED, [way, "rustls"], base, authority.ca)
            check(sensor, ask_all(client), version, stripped_port,
                  {"egress": ("rustls", client.exe, client.pid), "ingress": ingress})
        with rig.case(f"both stripped, {CONNECTIONS} connections, {COUNT} requests each, HTTP/{version}"):
            check_load(sensor, Client(STRIPPED, [way, "rustls"], base, authority.ca), version)
    with rig.case("a stripped client whose tables are not as they should be: only the server's end"):
        client = Client(alter(STRIPPED, os.path.join(work, "altered")), ["h1", "rustls"], base, authority.ca)
        check(sensor, ask_all(client), "1.1", stripped_port, {"ingress": ingress})
        check_blind(sensor, client)
    with rig.case("the sensor ends with status 0, and nothing was lost"):
        seen.nothing_lost(sensor)
    rig.finish()


main()
