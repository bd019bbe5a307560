#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The user's own classes, header fields and token endpoints: in force at SIGHUP for the next request, by
HTTP/1 and HTTP/2, under load and with no use lost; a wrong file changes nothing; a restarted agent knows them."""
import http.client
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

LOADGEN = os.path.join(rig.TOOLS, "loadgen")
ENDPOINT = "/acme/v3/getKey"
SECONDS = 30	# on a busy machine
IN_FORCE = "classes, credential fields and token endpoints of the configuration are in force"
REFUSED = "the new configuration was refused; the old one stays in force"
OWN = """
credentials:
  headers: [X-Acme-Cred]
  parameters: [acmeKey]
  classes:
    acme_key: prefix=acme_ length=40 chars=hex kind=service_account host=localhost
    acme_old: prefix=acme_ length=30 chars=hex
    acme_long: prefix=acme_ length=70 chars=hex
mints:
  endpoints: [/acme/v3/getKey]
"""
OTHER = """
credentials:
  suffixes: false
  headers: [X-Other-Cred]
  classes:
    other_key: prefix=othr_ length=36-40 chars=b62
"""
WRONG = """
credentials:
  headers: [X-Acme-Cred]
  classes:
    acme_key: prefix=acme_ length=4O
"""


class Case:
    def __init__(self):
        self.work = rig.work_dir("own")
        self.authority = rig.Authority(self.work)
        self.minted = "acme_" + secrets.token_hex(20)[:35]
        body = json.dumps({"access_token": self.minted, "token_type": "Bearer", "expires_in": 600})
        more = f"location = {ENDPOINT} {{ default_type application/json; return 200 '{body}'; }}"
        self.nginx = rig.Nginx(self.work, self.authority, workers=2, http2=True, more=more)
        self.config = os.path.join(self.work, "own.yaml")
        self.write("")
        self.sensor = rig.Sensor(self.work, "--config", self.config, "--set", "limits.ring=64MiB", "--set",
                                 "limits.memory=192MiB", per_call=False)

    def write(self, text):
        with open(self.config, "w", encoding="ascii") as f:
            f.write(text)

    def hup(self, text, want):
        """A new file, SIGHUP, and what the sensor says of it."""
        before = self.sensor.errors().count(want)
        self.write(text)
        os.kill(self.sensor.monitor, signal.SIGHUP)
        rig.wait_until(lambda: self.sensor.errors().count(want) > before, SECONDS, want)

    def curl(self, *more, path="/v1/own"):
        rig.run(["curl", "-sS", "--fail", "--cacert", self.authority.ca, "-o", "/dev/null", *more,
                 f"https://localhost:{self.nginx.tls}{path}"])

    def mints(self):
        """Of this test's server: others may run meanwhile."""
        return [m for m in self.sensor.records("mint") if m.get("server", {}).get("port") == self.nginx.tls]

    def used(self, token):
        """The class of a token that was just used, as its uses in both directions say."""
        token_id = self.sensor.ids([token])[0]
        seen = len(self.sensor.uses(token_id))
        self.curl("--http1.1", "-H", f"Authorization: Bearer {token}")
        rig.wait_until(lambda: len(self.sensor.uses(token_id)) > seen + 1, SECONDS, "both uses")
        uses = self.sensor.uses(token_id)[seen:]
        classes = {(u["token"]["class"], u["token"].get("kind")) for u in uses}
        rig.need_equal(len(classes), 1, f"classes {classes}")
        return classes.pop()


def acme(length=40):
    return "acme_" + secrets.token_hex(length)[:length - 5]


def before(c):
    with rig.case("without them a token is opaque, a field is no credential and a path no endpoint"):
        rig.need_equal(c.used(acme())[0], "opaque", "class")
        secret = rig.random_text(30)
        c.curl("-H", f"X-Acme-Cred: {secret}")
        c.curl("-d", "grant_type=client_credentials", path=ENDPOINT)
        rig.need_equal(c.used(acme())[0], "opaque", "class")  # what came before it has been read
        rig.need_equal(c.sensor.uses(c.sensor.ids([secret])), [], "uses of the field")
        rig.need_equal(c.mints(), [], "mints")


def ending(c, seen):
    """A field on no list, whose name ends like those of credentials."""
    with rig.case(f"a name that ends in -token is {'a' if seen else 'no'} credential's"):
        token = rig.random_text(30)
        c.curl("-H", f"X-Acme-Token: {token}")
        if not seen:
            c.used(acme())  # what came before it has been read
            rig.need_equal(c.sensor.uses(c.sensor.ids([token])), [], "uses of the field")
            return
        uses = c.sensor.wait_uses(c.sensor.ids([token]), 2, SECONDS)
        rig.need_equal({(u["token"]["carrier"], u["token"]["class"]) for u in uses}, {("*-token", "generic_header")},
                       "carrier and class")


def kept(c, change):
    """A kept connection of HTTP/1 that repeats a long credential: it is recognised by a hash, class and all."""
    with rig.case("a token that a kept connection repeats has its new class too"):
        token = acme(70)
        token_id = c.sensor.ids([token])[0]
        client = http.client.HTTPSConnection("localhost", c.nginx.tls,
                                             context=ssl.create_default_context(cafile=c.authority.ca))

        def ask(want):
            seen = rig.total(c.sensor.uses(token_id))
            for _ in range(4):
                client.request("GET", "/v1/kept", headers={"Authorization": "Bearer " + token})
                client.getresponse().read()
            rig.wait_until(lambda: rig.total(c.sensor.uses(token_id)) == seen + 8, SECONDS, "its uses")
            rig.need_equal({u["token"]["class"] for u in c.sensor.uses(token_id)[-2:]}, {want}, "class")
        ask("opaque")
        change()
        ask("acme_long")
        client.close()


def in_force(c, when):
    with rig.case(f"{when}: the next request's token is of the new class"):
        rig.need_equal(c.used(acme()), ("acme_key", "service_account"), "class and kind")
        rig.need_equal(c.used(acme(30)), ("acme_old", "api_key"), "class and kind")
        rig.need_equal(c.used("acme_" + "G" * 35)[0], "opaque", "class of other characters")
        rig.need_equal(c.used(acme(41))[0], "opaque", "class of another length")
    with rig.case(f"{when}: the next request's field and parameter are credentials"):
        secret, value = rig.random_text(30), acme()
        c.curl("-H", f"X-Acme-Cred: {secret}", path="/v1/own?acmeKey=" + urllib.parse.quote(value))
        for token, carrier in ((secret, "x-acme-cred"), (value, "query:acmeKey")):
            uses = c.sensor.wait_uses(c.sensor.ids([token]), 2, SECONDS)
            rig.need_equal({u["token"]["carrier"] for u in uses}, {carrier}, "carrier")
            rig.need_equal({u["direction"] for u in uses}, {"egress", "ingress"}, "directions")
    with rig.case(f"{when}: the next request to the endpoint is a mint, joined with its token's use"):
        mints = len(c.mints())
        c.curl("-d", "grant_type=client_credentials&client_id=own", path=ENDPOINT)
        new = rig.wait_until(lambda: c.mints()[mints:], SECONDS, "a mint")
        ids = {t["id"] for m in new for t in m["tokens"] if t["part"] == "minted"}
        rig.need_equal(ids, set(c.sensor.ids([c.minted])), "minted tokens")
        rig.need_equal(c.used(c.minted), ("acme_key", "service_account"), "class of the minted token")


def repeated(c, token):
    """The memo of a Huffman-coded value has its class from before."""
    with rig.case("a token that HTTP/2 repeats has its new class too, in its uses and in the inventory"):
        token_id = c.sensor.ids([token])[0]

        def classes():
            return {u["token"]["class"] for u in c.sensor.uses(token_id)[seen:]}
        seen = len(c.sensor.uses(token_id))
        c.curl("--http2", "-H", f"Authorization: Bearer {token}")
        rig.wait_until(lambda: len(c.sensor.uses(token_id)) > seen + 1, SECONDS, "uses")
        rig.need_equal(classes(), {"acme_key"}, "classes")
        rig.wait_until(lambda: [t for t in c.sensor.records("token") if t["token"]["id"] == token_id
                                and t["token"]["class"] == "acme_key"], 10, "the inventory's row")


def wrong(c):
    with rig.case("a wrong file is refused with its place, by the sensor and by doctor, and changes nothing"):
        c.hup(WRONG, REFUSED)
        place = f"{c.config}:5:15: 'credentials.classes': class 'acme_key': length must be a number"
        rig.need(place in c.sensor.errors(), f"no place in {c.sensor.errors().splitlines()[-3:]}")
        status, _, err = rig.run([rig.TOKENTRAIL, "doctor", "--config", c.config], check=False)
        rig.need_equal(status, 2, "status of doctor")
        rig.need(place in err, f"doctor said {err}")
        c.hup(OWN.replace("acme_key:", "jwt:"), REFUSED)
        rig.need("class 'jwt': there is a class of this name already" in c.sensor.errors(), "the built-in name")
        out = rig.run([rig.TOKENTRAIL, "doctor", "--config", c.config], check=False)[1]
        rig.need("class 'jwt': there is a class of this name already" in out, f"doctor said {out}")
        rig.need_equal(c.used(acme()), ("acme_key", "service_account"), "class and kind")
        c.write(OWN)
        rig.need("the configuration is right" in rig.run([rig.TOKENTRAIL, "doctor", "--config", c.config],
                                                         check=False)[1], "doctor of the right file")
    with rig.case("fingerprint knows the configuration's classes"):
        out = rig.run([rig.TOKENTRAIL, "fingerprint", "--json", "--key", c.sensor.key, "--config", c.config],
                      stdin=acme() + "\n")[1]
        rig.need_equal(json.loads(out)["class"], "acme_key", "class")


def taken_back(c):
    with rig.case("what another file does not have any more is out of force"):
        c.hup(OTHER, IN_FORCE)
        rig.need_equal(c.used(acme())[0], "opaque", "class of what was taken out")
        rig.need_equal(c.used("othr" + "_" + rig.random_text(33))[0], "other_key", "class of what is new")
        secret, other = rig.random_text(30), rig.random_text(30)
        mints = len(c.mints())
        c.curl("-H", f"X-Acme-Cred: {secret}", "-H", f"X-Other-Cred: {other}")
        c.curl("-d", "grant_type=client_credentials", path=ENDPOINT)
        rig.need_equal(len(c.sensor.wait_uses(c.sensor.ids([other]), 2, SECONDS)), 2, "uses of the new field")
        rig.need_equal(c.used(acme())[0], "opaque", "class")
        rig.need_equal(c.sensor.uses(c.sensor.ids([secret])), [], "uses of the field that is out")
        rig.need_equal(len(c.mints()), mints, "mints")


def restarted(c):
    with rig.case("an agent that was killed and started again knows them by the same ids"):
        before_it = c.sensor.agent
        os.kill(before_it, signal.SIGKILL)
        rig.wait_until(lambda: rig.children(c.sensor.monitor) not in ([], [before_it]), 20, "a new agent")
        rig.wait_until(lambda: c.used(acme())[0] == "acme_key", 20, "the class")


def main():
    rig.need_root()
    c = Case()
    loads = [rig.token() for _ in range(8)]
    load = rig.spawn([LOADGEN, "-t", "-c", "8", "-r", "200", "-p", "/v1/load", str(c.nginx.tls)],
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    load.stdin.write("\n".join(loads) + "\n")
    load.stdin.close()
    token = acme()
    before(c)
    for _ in range(2):
        c.curl("--http2", "-H", f"Authorization: Bearer {token}")
    rig.wait_until(lambda: rig.total(c.sensor.uses(c.sensor.ids([token]))) == 4, SECONDS, "its uses before")
    kept(c, lambda: c.hup(OWN, IN_FORCE))
    repeated(c, token)
    in_force(c, "after SIGHUP")
    ending(c, True)
    wrong(c)
    taken_back(c)
    ending(c, False)
    c.hup(OWN, IN_FORCE)
    in_force(c, "once more")
    with rig.case("under load, with ten more changes, no use is lost"):
        for i in range(10):
            c.hup(OWN if i % 2 else OTHER, IN_FORCE)
        load.send_signal(signal.SIGTERM)
        said = json.loads(load.stdout.read())
        rig.need_equal(load.wait(30), 0, "status of loadgen")
        rig.need(said["requests"] > 1000 and not said["failed"], f"loadgen said {said}")
        ids = c.sensor.ids(loads)
        c.sensor.wait_uses(ids, 2 * said["requests"], SECONDS)
        for way in ("egress", "ingress"):
            rig.need_equal(rig.total(c.sensor.uses(ids, way)), said["requests"], f"{way} uses")
    restarted(c)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(c.sensor.stop(), 0, "status")
    rig.finish()


main()
