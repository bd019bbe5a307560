#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens with known owners, rights and uses, and each of the five answers equals the truth exactly.

The uses are real, of a real sensor, in two runs on one store. Between them the clock goes on by months: what
the first run wrote is moved into the past by SQL, each group of tokens by its own span, with the hours in
which the sensor watched. Mints are those of real requests too; to make a history of them, what was counted of one is
moved into other five minutes. Tokens of other programs that the sensor saw on this machine are no part of the truth.
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
from rig import Authority, Nginx, Sensor, case, finish, need, need_equal, need_root, random_text, run, token, work_dir  # noqa: E402

need_root()
WORK = work_dir("questions")
AUTHORITY = Authority(WORK)
NGINX = Nginx(WORK, AUTHORITY, more="""
location /oauth/token {
	default_type application/json;
	add_header Cache-Control no-store;
	return 200 '{"access_token":"at-$request_id$request_id","token_type":"Bearer","expires_in":3600,"scope":"items:read"}';
}
location /scoped {
	add_header X-OAuth-Scopes "repo, write:packages";
	add_header X-Accepted-OAuth-Scopes "repo";
	return 200 ok;
}
""")
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


def use(who, secret, count=1, path="/v1/x"):
    run([who, "-sS", "--cacert", AUTHORITY.ca, "-H", f"Authorization: Bearer {secret}"] + [f"https://localhost:{NGINX.tls}{path}"] * count)


def path_of(group):
    return "/scoped" if group == "overfull" else "/v1/x"


FAR = int(time.time()) + 300 * DAY
GROUPS = {
    "fresh": [token() for _ in range(5)],                               # used now only
    "steady": [token() for _ in range(4)],                              # 30 days ago and now, same place
    "forgotten": [token() for _ in range(6)],                           # last used 100 days ago
    "resting": [token() for _ in range(3)],                             # last used 80 days ago
    "ended": [jwt(exp=FAR + 1, scope="*:*")],                           # 120 days ago, and expired since (moved by SQL)
    "mighty": [jwt(exp=FAR, scope="*:*"), jwt(exp=FAR, scope="admin:org *:*")],  # now, rights to everything
    "modest": [jwt(exp=FAR, scope="items:read")],                       # now
    "overfull": [token() for _ in range(2)],                            # 30 days ago and now; a scope that no request needed
    "wandering": [token() for _ in range(2)],                           # 30 days ago by one, today by another
    "shared": [token() for _ in range(2)],                              # by two workloads this week
    "listed": [token() for _ in range(4)],                              # on a list, never used
}
AGO = {"steady": 30, "overfull": 30, "forgotten": 100, "resting": 80, "ended": 120, "wandering": 30}
NOW = ("fresh", "steady", "overfull", "mighty", "modest", "wandering", "shared")
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


def mint(who, count):
    """Real requests for tokens, each answered with another one."""
    run([who, "-sS", "--cacert", AUTHORITY.ca, "-o", "/dev/null", "-u", f"client:{token()}", "-d", "grant_type=client_credentials"] +
        [f"https://localhost:{NGINX.tls}/oauth/token?{i}" for i in range(count)])


ISSUER = f"localhost:{NGINX.tls}/oauth/token"


def minting(store):
    """One service minted as usual, one in bursts lately: the counts of what they did really, at other times."""
    db, bucket = sqlite3.connect(store, timeout=10), int(time.time()) // 300
    counted = dict(db.execute("SELECT executable, sum(mints) FROM mint_rate WHERE issuer = ? GROUP BY 1", [ISSUER]))
    need_equal(counted, {APP: 2, OTHER: 60}, "mints that were counted")
    need_equal(db.execute("SELECT count(*), sum(status = 200), count(DISTINCT k.token) FROM mint m JOIN mint_token k ON k.number = m.number AND "
                          "k.part = 'minted' WHERE m.issuer = ? AND m.direction = 'egress'", [ISSUER]).fetchone(), (62, 62, 62), "mints with their tokens")
    db.execute("DELETE FROM mint_rate WHERE issuer = ?", [ISSUER])
    rows = [(p, b, counted[APP]) for p in (APP, OTHER) for b in range(bucket - 20 * 288, bucket - 20, 6)]
    rows += [(OTHER, bucket - n, counted[OTHER]) for n in (9, 8, 7)]
    db.executemany("INSERT INTO mint_rate VALUES (?, ?, 0, '', ?, ?, 0)", [(ISSUER, *row) for row in rows])
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
                use(APP, secret, 60 if group == "overfull" else 25, path_of(group))
        old = [i for g in AGO for i in ids[g]]
        want = 2 * (25 * len(old) + 35 * len(ids["overfull"]))
        need_equal(rig.total(sensor.wait_uses(old, want)), want, "uses, both ends")
        sensor.stop()
        move(store, ids)
    with case("the second run, months later"):
        sensor = Sensor(WORK, state=sensor.state, key=sensor.key)
        for group in NOW:
            for secret in GROUPS[group]:
                use(OTHER if group == "wandering" else APP, secret, path=path_of(group))
        for secret in GROUPS["shared"]:
            use(THIRD, secret)
        new = [i for g in NOW for i in ids[g]]
        want = 2 * (len(new) + len(ids["shared"]))
        need_equal(rig.total(sensor.wait_uses(new, want)), want, "uses, both ends")
        text = "id,owner,name,created\n" + "".join(f"{i},owner of {g},{g},2020-01-01\n" for g in LISTED for i in ids[g])
        run([rig.TOKENTRAIL, "import", "--store", store, "--source", "truth", "-"], stdin=text)
        mint(APP, 2)
        mint(OTHER, 60)
        rig.wait_until(lambda: len([m for m in sensor.records("mint") if m["issuer"]["key"] == ISSUER]) >= 2 * 62, 30, "mints, both ends")
        sensor.stop()
        minting(store)

    report = json.loads(run([rig.TOKENTRAIL, "report", "--store", store, "--json"])[1])["answers"]

    def found(answer):
        return sorted(t["id"] for t in report[answer]["tokens"] if t["id"] in mine)

    with case("active"):
        db = sqlite3.connect(store)
        foreign = [i for (i,) in db.execute("SELECT token FROM token WHERE readable AND last > ?", [int(time.time() - DAY) * S]) if i not in mine]
        need_equal(report["active"]["count"] - len(foreign), len(new), "active tokens")
        need_equal(report["active"]["answered"], "yes", "answered")
    with case("excessive"):
        need_equal(found("excessive"), sorted(ids["mighty"] + ids["overfull"]), "tokens with excessive privileges")
        for t in report["excessive"]["tokens"]:
            if t["id"] in ids["overfull"]:
                rights = t["rights"]
                need_equal((rights["granted"], rights["used"], rights["unused"]), (["repo", "write:packages"], ["repo"], ["write:packages"]), "granted minus used")
                need_equal(rights["observed_days"], 30, "days watched")
                need("granted_not_used" in [r["rule"] for r in t["reasons"]], t["reasons"])
    with case("unused, with the owners of the list"):
        need_equal(found("unused"), sorted(ids["forgotten"] + ids["listed"]), "unused tokens")
        never = sorted(t["id"] for t in report["unused"]["tokens"] if t["never_seen"] and t["id"] in mine)
        need_equal(never, sorted(ids["listed"]), "never seen")
        for t in report["unused"]["tokens"]:
            if t["id"] in mine:
                group = "listed" if t["never_seen"] else "forgotten"
                need_equal(t["owner"]["name"], f"owner of {group}", t["id"])
    with case("minting"):
        services = [(s["issuer"], s["baseline"]) for s in report["minting"]["services"] if s["issuer"] == ISSUER]
        need_equal(services, [(ISSUER, "own")], "services")
        need_equal("other" in [s for s in report["minting"]["services"] if s["issuer"] == ISSUER][0]["workload"], True, "the one that burst")
    with case("the mints, listed; and the story of one of their tokens"):
        def listed(*args):
            out = run([rig.TOKENTRAIL, "mints", "--store", store, "--json", *args])[1]
            return [m for m in map(json.loads, out.splitlines()) if m["issuer"]["key"] == ISSUER]
        need_equal(len(listed()), 2 * 62, "mints, both ends")
        mine_only = listed("--process", APP)
        need_equal(len(mine_only), 2, "mints of one program")
        need_equal({(m["outcome"], m["grant"], m["direction"]) for m in mine_only}, {("ok", "client_credentials", "egress")}, "what they were")
        minted = [t["id"] for t in mine_only[0]["tokens"] if t["part"] == "minted"]
        need_equal([m["@timestamp"] for m in listed("--token", minted[0]) if m["direction"] == "egress"], [mine_only[0]["@timestamp"]], "the mint of a token")
        need(minted[0] in run([rig.TOKENTRAIL, "mints", "--store", store, "--token", minted[0]])[1], "the listing for people")
        story = run([rig.TOKENTRAIL, "trace", "--store", store, minted[0]])[1]
        need("minted for " + APP in story and "minted with tt1_" in story, story)
        story = run([rig.TOKENTRAIL, "trace", "--store", store, ids["overfull"][0]])[1]
        need("scopes that its requests need repo\n" in story, story)
    with case("places"):
        need_equal(found("places"), sorted(ids["wandering"] + ids["shared"]), "unexpected places")
        rules = {t["id"]: sorted(r["rule"] for r in t["reasons"]) for t in report["places"]["tokens"] if t["id"] in mine}
        need_equal({tuple(rules[i]) for i in ids["wandering"]}, {("R09",)}, "why, of those that wandered")
        need_equal({tuple(rules[i]) for i in ids["shared"]}, {("R08",)}, "why, of those that are shared")
    finish()


main()
