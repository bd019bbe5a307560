#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens with known owners, rights and uses, and each of the five answers equals the truth exactly.

The uses are real, of a real sensor, in two runs on one store. Between them the clock goes on by months: what
the first run wrote is moved into the past by SQL, each group of tokens by its own span, with the hours in
which the sensor watched. Rates of minting are written by SQL only; e2e/mint*.py has real minters. Tokens of
other programs that the sensor saw on this machine are no part of the truth.
"""
import base64
import json
import os
import shutil
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import rig  # noqa: E402
from rig import Authority, Nginx, Sensor, case, finish, need_equal, need_root, random_text, run, token, work_dir  # noqa: E402

need_root()
WORK = work_dir("questions")
AUTHORITY = Authority(WORK)
NGINX = Nginx(WORK, AUTHORITY)
S, DAY = 10**9, 86400


def program(name):
    """The same client under another path: another workload."""
    path = os.path.join(WORK, name)
    shutil.copy(shutil.which("curl"), path)
    return path


APP, OTHER, THIRD = program("app"), program("other"), program("third")


def jwt(**claims):
    """Shaped like a signed one, of nobody."""
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=")
             for p in ({"alg": "HS256", "typ": "JWT"}, {"iss": "https://idp.test", "sub": "svc-" + random_text(6), "iat": int(time.time()), **claims})]
    return ".".join(parts + [random_text(43)])


def use(who, secret, count=1):
    run([who, "-sS", "--cacert", AUTHORITY.ca, "-H", f"Authorization: Bearer {secret}"] + [f"https://localhost:{NGINX.tls}/v1/x"] * count)


FAR = int(time.time()) + 300 * DAY
GROUPS = {
    "fresh": [token() for _ in range(5)],                               # used now only
    "steady": [token() for _ in range(4)],                              # 30 days ago and now, same place
    "forgotten": [token() for _ in range(6)],                           # last used 100 days ago
    "resting": [token() for _ in range(3)],                             # last used 80 days ago
    "ended": [jwt(exp=FAR + 1, scope="*:*")],                           # 120 days ago, and expired since (moved by SQL)
    "mighty": [jwt(exp=FAR, scope="*:*"), jwt(exp=FAR, scope="admin:org *:*")],  # now, rights to everything
    "modest": [jwt(exp=FAR, scope="items:read")],                       # now
    "wandering": [token() for _ in range(2)],                           # 30 days ago by one, today by another
    "shared": [token() for _ in range(2)],                              # by two workloads this week
    "listed": [token() for _ in range(4)],                              # on a list, never used
}
AGO = {"steady": 30, "forgotten": 100, "resting": 80, "ended": 120, "wandering": 30}
NOW = ("fresh", "steady", "mighty", "modest", "wandering", "shared")
LISTED = ("listed", "forgotten")


def move(store, ids):
    """What was written of these groups happened so many days earlier; the sensor watched for 200 days."""
    db = sqlite3.connect(store, timeout=10)
    for group, days in AGO.items():
        for i in ids[group]:
            back = days * DAY * S
            for table in ("use", "call", "token"):
                db.execute(f"UPDATE {table} SET first = first - ?, last = last - ? WHERE token = ?", [back, back, i])
            db.execute("UPDATE use_day SET day = day - ? WHERE token = ?", [days, i])
            if group == "ended":
                db.execute("UPDATE fact SET token_expires = ? WHERE token = ?", [int(time.time() - 110 * DAY) * S, i])
    hour = int(time.time()) // 3600
    db.executemany("INSERT OR IGNORE INTO hour VALUES (?, 0, 0, 0)", [[h] for h in range(hour - 200 * 24, hour + 1)])
    db.commit()
    db.close()


def minting(store):
    """One service mints as usual, one in bursts lately."""
    db, bucket = sqlite3.connect(store, timeout=10), int(time.time()) // 300
    rows = [(p, b, 2) for p in (APP, OTHER) for b in range(bucket - 20 * 288, bucket - 20, 6)] + [(OTHER, bucket - n, 60) for n in (9, 8, 7)]
    db.executemany("INSERT INTO mint_rate VALUES ('idp.test/token', ?, 0, '', ?, ?, 0)", rows)
    db.commit()
    db.close()


def main():
    sensor = Sensor(WORK)
    store = os.path.join(sensor.state, "store.db")
    ids = {g: sensor.ids(t) for g, t in GROUPS.items()}
    mine = {i for group in ids.values() for i in group}
    with case("the first run"):
        for group in AGO:
            for secret in GROUPS[group]:
                use(APP, secret, 25)
        old = [i for g in AGO for i in ids[g]]
        need_equal(rig.total(sensor.wait_uses(old, 2 * 25 * len(old))), 2 * 25 * len(old), "uses, both ends")
        sensor.stop()
        move(store, ids)
    with case("the second run, months later"):
        sensor = Sensor(WORK, state=sensor.state, key=sensor.key)
        for group in NOW:
            for secret in GROUPS[group]:
                use(OTHER if group == "wandering" else APP, secret)
        for secret in GROUPS["shared"]:
            use(THIRD, secret)
        new = [i for g in NOW for i in ids[g]]
        want = 2 * (len(new) + len(ids["shared"]))
        need_equal(rig.total(sensor.wait_uses(new, want)), want, "uses, both ends")
        text = "id,owner,name,created\n" + "".join(f"{i},owner of {g},{g},2020-01-01\n" for g in LISTED for i in ids[g])
        run([rig.TOKENTRAIL, "import", "--store", store, "--source", "truth", "-"], stdin=text)
        minting(store)
        sensor.stop()

    report = json.loads(run([rig.TOKENTRAIL, "report", "--store", store, "--json"])[1])["answers"]

    def found(answer):
        return sorted(t["id"] for t in report[answer]["tokens"] if t["id"] in mine)

    with case("active"):
        db = sqlite3.connect(store)
        foreign = [i for (i,) in db.execute("SELECT token FROM token WHERE readable AND last > ?", [int(time.time() - DAY) * S]) if i not in mine]
        need_equal(report["active"]["count"] - len(foreign), len(new), "active tokens")
        need_equal(report["active"]["answered"], "yes", "answered")
    with case("excessive"):
        need_equal(found("excessive"), sorted(ids["mighty"]), "tokens with excessive privileges")
    with case("unused, with the owners of the list"):
        need_equal(found("unused"), sorted(ids["forgotten"] + ids["listed"]), "unused tokens")
        never = sorted(t["id"] for t in report["unused"]["tokens"] if t["never_seen"] and t["id"] in mine)
        need_equal(never, sorted(ids["listed"]), "never seen")
        for t in report["unused"]["tokens"]:
            if t["id"] in mine:
                group = "listed" if t["never_seen"] else "forgotten"
                need_equal(t["owner"]["name"], f"owner of {group}", t["id"])
    with case("minting"):
        services = [(s["issuer"], s["baseline"]) for s in report["minting"]["services"] if s["issuer"] == "idp.test/token"]
        need_equal(services, [("idp.test/token", "own")], "services")
        need_equal("other" in [s for s in report["minting"]["services"] if s["issuer"] == "idp.test/token"][0]["workload"], True, "the one that burst")
    with case("places"):
        need_equal(found("places"), sorted(ids["wandering"] + ids["shared"]), "unexpected places")
        rules = {t["id"]: sorted(r["rule"] for r in t["reasons"]) for t in report["places"]["tokens"] if t["id"] in mine}
        need_equal({tuple(rules[i]) for i in ids["wandering"]}, {("R09",)}, "why, of those that wandered")
        need_equal({tuple(rules[i]) for i in ids["shared"]}, {("R08",)}, "why, of those that are shared")
    finish()


main()
