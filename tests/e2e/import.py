#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lists of known tokens beside a running sensor: both formats, errors with their place and without the cell,
all rows or none; what is listed and never used shows in the report."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import rig  # noqa: E402
from rig import Sensor, case, finish, need, need_equal, need_root, run, token, wait_until, work_dir  # noqa: E402

need_root()
WORK = work_dir("import")
sensor = Sensor(WORK)
STORE = os.path.join(sensor.state, "store.db")
wait_until(lambda: os.path.exists(STORE), 10, "there is a store")
TOKENS = [token() for _ in range(3)]
IDS = sensor.ids(TOKENS)
AWS = "AK" + "IA" + "ABCDEFGHIJ" + "234567"


def put(text, *more, check=True):
    return run([rig.TOKENTRAIL, "import", "--store", STORE, *more, "-"], stdin=text, check=check)


def listed():
    return json.loads(run([rig.TOKENTRAIL, "report", "--store", STORE, "--json"])[1])["answers"]["unused"]["never_seen_so_far"]


with case("CSV, beside the agent"):
    out = put(f"id,name,owner,scopes,created\r\n{IDS[0]},\"deploy, key\",ann,repo read:org,2024-01-31\r\n{AWS},old,bob,,\r\n", "--source", "vault")[1]
    need_equal(out, "2 imported\n", "output")
    need_equal(listed(), 2, "listed and never used")

with case("again is the same; JSON as array and lines"):
    put(json.dumps([{"id": IDS[0], "owner": "carol"}, {"id": IDS[1], "expires": "2030-01-01T00:00:00Z", "name": None}]))
    put("".join(json.dumps({"id": i}) + "\n" for i in IDS), "--format", "json")
    need_equal(listed(), 4, "listed and never used")

with case("a row that is wrong: its place, not its text, and nothing imported"):
    before = listed()
    other = sensor.ids([token()])[0]
    for text, where, secret in ((f"id,name\n{other},x\n{TOKENS[0]},y\n", "line 3, column 1", TOKENS[0]),
                                (f"id,name\n{other},{TOKENS[1]}\n", "line 2, column", TOKENS[1]),
                                (f"{TOKENS[0]},x\n", "line 1, column 1", TOKENS[0]),
                                (f"id,created\n{other},yesterday\n", "line 2, column", "yesterday"),
                                (f"id,name\n{other},\"x\n", "line 2, column", other),
                                (f"id\n{other},x\n", "line 2", other),
                                (f'{{"id":"{other}"}}\n{{"id":"{TOKENS[2]}"}}\n', "line 2", TOKENS[2]),
                                (f'[{{"id":"{other}"}},{{"id":"x" {TOKENS[2]}}}]', "line 1", TOKENS[2])):
        status, _, err = put(text, check=False)
        need(status == 2 and where in err and "nothing was imported" in err, f"{where}: {status} {err}")
        need(secret not in err, "the cell is repeated")
    need_equal(listed(), before, "listed and never used")

with case("the sensor goes on"):
    need(sensor.process.poll() is None, "it ended")
    need("can't write to the store" not in sensor.errors(), sensor.errors()[-300:])
    sensor.stop()
finish()
