#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Very many distinct tokens, one request each, through the whole sensor: kernel programs, ring, pairing,
inventory, folding, store, with far fewer tokens kept in memory than there are. Every token is in the
store exactly once with all its uses, a tenth of them that come again go on with their rows, what was
forgotten in memory is counted, and memory keeps within what the limits allow.

    million.py [TOKENS [KEPT]]      by default 20,000 with 2,000 kept; make scale-sensor: 1,000,000 with 15,000

The load goes as fast as the sensor takes it: three batches may be on their way. Then come as many tokens
as two batches and more at full speed, where records may be lost: what is missing is counted.
"""
import base64
import json
import os
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

LOADGEN = os.path.join(rig.TOOLS, "loadgen")
CONNECTIONS = 50
BATCH = 500         # requests: 2 uses of 1 KiB in the ring each
ON_THEIR_WAY = 3    # batches
TLS_EACH = 10       # one batch in so many
JWT_EACH = 20       # one token in so many
DIRECTIONS = 2      # both ends are on this machine
# What makes a use or a part of it go missing on the way from the program to the store.
ON_THE_WAY = ("ring_full", "scratch_busy", "user_fault", "partial_lost", "conn_table_full", "call_lost", "gap",
              "bad_record", "store_failed")
MEMORY_MIB, RING_MIB = 160, 16      # room for what other programs of the machine say


def made_up(number):
    """Opaque tokens, and JWTs with a few claims."""
    if number % JWT_EACH:
        return os.urandom(24).hex()

    def part(raw):
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")
    head = part(b'{"alg":"RS256","typ":"JWT","kid":"million"}')
    claims = {"iss": "https://issuer.example", "sub": f"service-{number % 97}", "aud": "https://api.example",
              "exp": int(time.time()) + 3600, "jti": f"{number:08x}"}
    return f"{head}.{part(json.dumps(claims).encode())}.{part(os.urandom(96))}"


class Generator:
    """A load generator that sends what it is given, and says when the answers are there."""

    def __init__(self, *argv):
        self.process = rig.spawn([LOADGEN, "-e", "-c", str(CONNECTIONS), "-p", "/v1/million", *argv],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.sent = 0

    def send(self, tokens):
        self.process.stdin.write("".join(f"{t}\n" for t in tokens) + ".\n")
        self.process.stdin.flush()
        self.sent += len(tokens)
        rig.need_equal(self.process.stdout.readline(), f"{self.sent}\n", "requests that were answered")

    def end(self):
        self.process.stdin.close()
        said = json.loads(self.process.stdout.read())
        rig.need_equal((self.process.wait(30), said["failed"]), (0, 0), "status of loadgen, failures")


class Load:
    def __init__(self, nginx, store):
        self.plain = Generator(str(nginx.plain))
        self.tls = Generator("-t", str(nginx.tls))
        self.store = store

    def uses(self, token_id):
        with sqlite3.connect(f"file:{self.store}?mode=ro", uri=True) as db:
            row = db.execute("SELECT uses FROM token WHERE token = ?", (token_id,)).fetchone()
        return row[0] if row else 0

    def send(self, tokens, ids, uses=None):
        """uses: that each has in the store then; None: nobody waits for that."""
        for i, at in enumerate(range(0, len(tokens), BATCH)):
            generator = self.plain if i % TLS_EACH else self.tls
            generator.send(tokens[at:at + BATCH])
            last = at - (ON_THEIR_WAY - 1) * BATCH - 1
            if uses and last >= 0:
                self.wait(ids[last], uses)
        if uses:
            self.wait(ids[len(tokens) - 1], uses)

    def wait(self, token_id, uses):
        rig.wait_until(lambda: self.uses(token_id) >= uses, 60, "uses on their way to the store")

    def end(self):
        self.plain.end()
        self.tls.end()


def peak_mib(pid):
    return int(rig.status_of(pid)["VmHWM"].split()[0]) / 1024


def cpu_seconds(pid):
    """Of all its threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return sum(map(int, f.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def rows(store):
    """Of each token what its row says and what its uses add up to."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        tokens = {t: (e, i, first < last) for t, e, i, first, last in
                  db.execute("SELECT token, egress, ingress, first, last FROM token WHERE readable")}
        sums = dict(db.execute("SELECT token, sum(count) FROM use GROUP BY token"))
        told = {t for t, in db.execute("SELECT token FROM fact WHERE token_jwt_id <> ''")}
    return tokens, sums, told


def check_rows(store, ids, again):
    tokens, sums, told = rows(store)
    with rig.case(f"each of {len(ids)} tokens is in the store once, with its uses at both ends"):
        rig.need_equal(len(set(ids)), len(ids), "distinct ids")
        lacking = [t for t in ids if t not in tokens]
        rig.need(not lacking, f"{len(lacking)} tokens are not in the store")
        wrong = [t for n, t in enumerate(ids) if tokens[t][:2] != ((2, 2) if n < again else (1, 1))]
        rig.need(not wrong, f"{len(wrong)} tokens have other counts: {[tokens[t] for t in wrong[:3]]}")
        wrong = [t for t in ids if sums.get(t) != sum(tokens[t][:2])]
        rig.need(not wrong, f"{len(wrong)} tokens have other sums in their uses: {[sums.get(t) for t in wrong[:3]]}")
    with rig.case(f"{again} tokens that came again went on with their rows"):
        rig.need(all(tokens[t][2] for t in ids[:again]), "a first use that is the last")
    with rig.case("the claims of each JWT among them are known"):
        rig.need_equal(sum(t not in told for t in ids[::JWT_EACH]), 0, "JWTs without claims")
    return tokens


def check_burst(store, tokens, burst):
    """At full speed nobody waits for the sensor."""
    with rig.case("uses in the store and counted losses are all requests, at full speed too"):
        there = sum(sum(tokens.get(t, (0, 0))[:2]) for t in burst)
        missing, lost = DIRECTIONS * len(burst) - there, rig.stored_losses(store)
        counted = sum(lost.get(reason, 0) for reason in ON_THE_WAY)
        print(f"    at full speed: {there} of {DIRECTIONS * len(burst)} uses, losses: {lost}")
        rig.need(0 <= missing <= counted, f"{missing} uses are missing, {counted} are counted: {lost}")


def main():
    rig.need_root()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    kept = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    again, burst = count // 10, 2 * BATCH + count // 20
    work = rig.work_dir("million")
    nginx = rig.Nginx(work, rig.Authority(work))
    sensor = rig.Sensor(work, "--output", "none", "--set", f"limits.tokens={kept}", "--set",
                        f"store.max_size={16 << 30}", "--set", f"limits.ring={RING_MIB << 20}", "--set", f"limits.memory={MEMORY_MIB}MiB",
                        per_call=False)
    store = os.path.join(sensor.state, "store.db")
    tokens = [made_up(n) for n in range(count + burst)]
    ids = [t for at in range(0, len(tokens), 20000) for t in sensor.ids(tokens[at:at + 20000])]
    load = Load(nginx, store)
    began = time.monotonic()
    with rig.case(f"{count} requests with as many tokens, and {again} of them again, are answered"):
        load.send(tokens[:count], ids, DIRECTIONS)
        load.send(tokens[:again], ids, 2 * DIRECTIONS)
    seconds = time.monotonic() - began
    load.send(tokens[count:], ids[count:])
    load.end()
    with rig.case("memory keeps within what the limits allow"):
        kernel, resident = rig.memory_mib(sensor)
        print(f"    {(count + again) / seconds:.0f} requests a second, {cpu_seconds(sensor.agent):.1f} s of the agent's CPU; "
              f"{kernel:.0f} MiB in the kernel, both processes {resident:.0f} MiB; peak: agent "
              f"{peak_mib(sensor.agent):.0f} MiB, monitor {peak_mib(sensor.monitor):.0f} MiB resident")
        rig.need(kernel + resident <= MEMORY_MIB, f"{kernel} + {resident} MiB are more than limits.memory, {MEMORY_MIB} MiB")
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(seconds=120), 0, "status")
    found = check_rows(store, ids[:count], again)
    check_burst(store, found, ids[count:])
    with rig.case("what was forgotten in memory is counted"):
        least = count + again + sum(t in found for t in ids[count:]) - kept
        rig.need(rig.stored_losses(store).get("tokens_full", 0) >= least, f"tokens_full of {least}: {rig.stored_losses(store)}")
    rig.finish()


main()
