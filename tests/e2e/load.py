#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 requests over 100 connections are 10,000 egress and 10,000 ingress uses, in JSON, in SQLite
and in Kafka; and so are 10,000 more while the broker is killed and comes back."""
import json
import os
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import broker  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

LOADGEN = os.path.join(rig.TOOLS, "loadgen")
CONNECTIONS, REQUESTS = 100, 10000
DIRECTIONS = ("egress", "ingress")


def start_load(tokens, nginx, rate=0):
    p = rig.spawn([LOADGEN, "-t", "-c", str(CONNECTIONS), "-n", str(REQUESTS), "-r", str(rate),
                   "-p", "/v1/load", str(nginx.tls)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdin.write("\n".join(tokens) + "\n")
    p.stdin.close()
    return p


def end_load(p):
    said = json.loads(p.stdout.read())
    rig.need_equal(p.wait(60), 0, "status of loadgen")
    rig.need_equal((said["requests"], said["failed"], said["status"]), (REQUESTS, 0, {"200": REQUESTS}), "requests")


def in_json(sensor, ids):
    return {d: rig.total(sensor.uses(ids, d)) for d in DIRECTIONS}


def in_sqlite(sensor, ids):
    with sqlite3.connect(f"file:{sensor.state}/store.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT token, direction, count FROM uses").fetchall()
        tokens = db.execute("SELECT token, egress, ingress FROM tokens").fetchall()
    sums = {d: sum(n for t, way, n in rows if t in ids and way == d) for d in DIRECTIONS}
    rig.need_equal({"egress": sum(e for t, e, _ in tokens if t in ids),
                    "ingress": sum(i for t, _, i in tokens if t in ids)}, sums, "view tokens against view uses")
    return sums


def in_kafka(kafka, ids):
    uses = [u for u in kafka.uses() if u["token"]["id"] in ids]
    return {d: sum(int(u["count"]) for u in uses if u["direction"] == d) for d in DIRECTIONS}


def settle(what, want, seconds=30):
    """Polls until the sums are reached, then looks once more: too many is as wrong as too few."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(what()[d] < want[d] for d in DIRECTIONS):
        time.sleep(1)
    time.sleep(2)
    return what()


def check_sums(sensor, kafka, ids, requests, when):
    want = dict.fromkeys(DIRECTIONS, requests)
    for name, what in (("JSON", lambda: in_json(sensor, ids)), ("SQLite", lambda: in_sqlite(sensor, ids)),
                       ("Kafka", lambda: in_kafka(kafka, ids))):
        with rig.case(f"{requests} uses in each direction in {name} {when}"):
            rig.need_equal(settle(what, want), want, "sums")
    with rig.case(f"each token has its share {when}"):
        for token_id in ids:
            for d in DIRECTIONS:
                rig.need_equal(rig.total(sensor.uses(token_id, d)), requests // CONNECTIONS, f"{d} uses of a token")


def main():
    rig.need_root()
    work = rig.work_dir("load")
    nginx = rig.Nginx(work, rig.Authority(work), workers=2)
    kafka = broker.Broker(work)
    sensor = rig.Sensor(work, "--config", kafka.config(os.path.join(work, "load.yaml")), per_call=False)
    tokens = [rig.token() for _ in range(CONNECTIONS)]
    ids = sensor.ids(tokens)
    with rig.case("10,000 requests over 100 connections are answered"):
        end_load(start_load(tokens, nginx))
    check_sums(sensor, kafka, ids, REQUESTS, "before the broker's end")
    with rig.case("10,000 requests while the broker is killed and started again"):
        load = start_load(tokens, nginx, rate=1000)
        time.sleep(3)
        kafka.kill9()
        time.sleep(4)
        kafka.start()
        end_load(load)
    check_sums(sensor, kafka, ids, 2 * REQUESTS, "after the broker's return")
    with rig.case("the sensor ends with status 0; nothing was lost; Kafka still has each use once"):
        rig.need_equal(sensor.stop(seconds=60), 0, "status")
        rig.need_equal(set(sensor.losses()) - {"joined_late", "bad_request_line"}, set(), "losses")
        want = dict.fromkeys(DIRECTIONS, 2 * REQUESTS)
        rig.need_equal((in_json(sensor, ids), in_kafka(kafka, ids)), (want, want), "sums in JSON and Kafka")
    rig.finish()


main()
