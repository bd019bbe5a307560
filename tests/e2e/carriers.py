#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Places beside Authorization where real clients carry credentials, by HTTP/1 and HTTP/2: each is reported under
the id that `tokentrail fingerprint` prints, with its carrier's name, and nothing of what is not listed."""
import os
import sys

import requests

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

VERSIONS = ("--http1.1", "--http2")


class Place:
    """A service, its authority and a sensor."""

    def __init__(self, work):
        self.authority = rig.Authority(work)
        self.nginx = rig.Nginx(work, self.authority)
        self.nginx2 = rig.Nginx(work, self.authority, http2=True)
        self.sensor = rig.Sensor(work)

    def url(self, path="/v1/items", http2=False):
        return f"https://localhost:{(self.nginx2 if http2 else self.nginx).tls}{path}"

    def curl(self, version, *more, path="/v1/items"):
        out = rig.run(["curl", "-sS", "--cacert", self.authority.ca, "-o", "/dev/null", "-w", "%{http_version}",
                       version, *more, self.url(path, version == "--http2")])[1]
        rig.need_equal(out, "2" if version == "--http2" else "1.1", "the version spoken")

    def seen(self, token, carrier, count=1, path="/v1/items", **want):
        """`count` uses at each end, with this carrier and these members of `token`."""
        uses = self.sensor.wait_uses(self.sensor.ids([token])[0], 2 * count)
        for direction in ("egress", "ingress"):
            rig.need_equal(rig.total([u for u in uses if u["direction"] == direction]), count, f"{direction} uses")
        rig.need_equal({u["token"].get("carrier") for u in uses}, {carrier}, "carriers")
        rig.need_equal({u["http"]["path"] for u in uses}, {path}, "paths")
        for name, value in want.items():
            rig.need_equal({u["token"].get(name) for u in uses}, {value}, name)
        return uses

    def unseen(self, *secrets):
        with open(self.sensor.out_path, encoding="utf-8") as f:
            text = f.read()
        for secret in secrets:
            rig.need(secret not in text, "what must not be told was told")
        ids = self.sensor.ids(secrets)
        rig.need_equal(self.sensor.uses(ids), [], "uses of what is no credential")


def cookies(place):
    for version in VERSIONS:
        with rig.case(f"cookies of curl, in two fields ({version[2:]})"):
            sid, jwt_like, other = (rig.random_text(32) for _ in range(3))
            place.curl(version, "-H", f"Cookie: theme=dark; JSESSIONID={sid}; tracking={other}", "-H",
                       f"Cookie: __Host-access_token=\"{jwt_like}\"")
            place.seen(sid, "cookie:JSESSIONID", kind="session")
            place.seen(jwt_like, "cookie:access_token", kind="oauth_access")
            place.unseen(other)
    with rig.case("one id as a cookie and as a bearer token; a session of Python requests"):
        token, lang = rig.token(), rig.random_text(12)
        with requests.Session() as session:
            session.trust_env, session.verify = False, place.authority.ca
            session.cookies.set("grafana_session", token)
            session.cookies.set("lang_of_user", lang)
            for _ in range(2):
                rig.need_equal(session.get(place.url()).status_code, 200, "status")
        place.seen(token, "cookie:grafana_session", 2, **{"class": "github_pat_classic"})
        place.unseen(lang)


def main():
    rig.need_root()
    place = Place(rig.work_dir("carriers"))
    cookies(place)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(place.sensor.stop(), 0, "status")
    rig.finish()


main()
