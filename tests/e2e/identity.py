#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One token has one id, however it is carried and wherever its head is cut; another key gives it
another one. What looks like a secret in a path is gone before anyone sees it."""
import base64
import json
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

LOCKSTEP = os.path.join(rig.TOOLS, "lockstep")


def head(field, path="/v1/items"):
    lines = [f"GET {path} HTTP/1.1", "Host: localhost"] + ([field] if field else [])
    return "\r\n".join(lines) + "\r\n\r\n"


def forms(token):
    basic = base64.b64encode(f"user:{token}".encode()).decode()
    percent = "".join(f"%{ord(c):02X}" if i % 3 == 0 else c for i, c in enumerate(token))
    return {
        "Bearer X": head(f"Authorization: Bearer {token}"),
        "bearer  X": head(f"authorization:bearer  {token} "),
        "token X": head(f"Authorization: token {token}"),
        "Basic password": head(f"Authorization: Basic {basic}"),
        "Proxy-Authorization": head(f"Proxy-Authorization: Bearer {token}"),
        "PRIVATE-TOKEN: X": head(f"PRIVATE-TOKEN: {token}"),
        "X-Api-Key quoted": head(f"x-api-key: \"{token}\""),
        "?access_token=X": head("", f"/v1/items?access_token={token}"),
        "?a=b&access_token=%58": head("", f"/v1/items?a=b&access_token={percent}&c=d"),
    }


def lockstep(authority, mode, pieces, text, *more):
    out = rig.run([LOCKSTEP, mode, pieces, authority.cert, authority.key, *more], stdin=text)[1]
    return json.loads(out)


def count(sensor, token_id, want, what):
    """`want` uses in each direction, and each with the whole answer."""
    uses = sensor.wait_uses(token_id, 2 * want)
    for direction in ("egress", "ingress"):
        mine = [u for u in uses if u["direction"] == direction]
        rig.need_equal(rig.total(mine), want, f"{what}, {direction} uses")
        rig.need_equal({u["http"].get("status") for u in mine}, {200}, f"{what}, {direction} statuses")
        rig.need_equal({u["http"]["path"] for u in mine}, {"/v1/items"}, f"{what}, {direction} paths")


def each_form(sensor, authority):
    for mode in ("plain", "tls", "tls_ex"):
        for name, _ in forms("").items():
            with rig.case(f"{mode}: {name} cut at every byte has the id of Bearer X"):
                token = rig.token()
                did = lockstep(authority, mode, "two", forms(token)[name])
                count(sensor, sensor.ids([token])[0], did["requests"], name)
        with rig.case(f"{mode}: byte by byte, and read in small pieces"):
            token = rig.token()
            lockstep(authority, mode, "bytes", forms(token)["Bearer X"])
            did = lockstep(authority, mode, "two", forms(token)["Basic password"], "3")
            count(sensor, sensor.ids([token])[0], did["requests"] + 1, "pieces")


def same_in_all_forms(sensor, authority):
    with rig.case("the same token in all forms, TLS and plain, has one id"):
        token = rig.token()
        want = 0
        for mode in ("plain", "tls", "tls_ex"):
            for text in forms(token).values():
                want += lockstep(authority, mode, "bytes", text)["requests"]
        count(sensor, sensor.ids([token])[0], want, "all forms")
        rig.need_equal(sensor.ids([token]), rig.fingerprints([token], sensor.key), "fingerprint")


PATHS = {
    "/services/T0" + "AB12CD34/B0" + "12345678/{secret}": "/services/",
    "/users/{uuid}/keys": "/users/{...}/keys",
    "/orders/1234567/lines": "/orders/{...}/lines",
    "/blobs/{hex}": "/blobs/{...}",
    "/reset/{secret}?next=%2Fhome&sig={secret}": "/reset/{...}",
    "/download/{token}/file": "/download/{...}/file",
}


def paths(sensor, nginx):
    for pattern, want in PATHS.items():
        with rig.case(f"path {pattern}"):
            token, secret = rig.token(), rig.random_text(24)
            parts = {"secret": secret, "token": rig.token(), "hex": os.urandom(16).hex(),
                     "uuid": "-".join(os.urandom(n).hex() for n in (4, 2, 2, 2, 6))}
            target = pattern.format(**parts)
            with socket.create_connection(("127.0.0.1", nginx.plain)) as s:
                s.sendall(head(f"Authorization: Bearer {token}", target).encode())
                s.recv(4096)
            uses = sensor.wait_uses(sensor.ids([token])[0], 2)
            rig.need_equal(len(uses), 2, "uses")
            for u in uses:
                path = u["http"]["path"]
                rig.need(path.startswith(want) if want.endswith("/") else path == want,
                         f"got {path!r}, want {want!r}")
                for part in parts.values():
                    rig.need(part not in json.dumps(u), "a secret part of the path came out")
                rig.need("next" not in path and "?" not in path, "the query came out")


def other_key(work, authority, first):
    with rig.case("another fleet key gives another id, the same key the same id"):
        token = rig.token()
        second = rig.Sensor(work)
        third = rig.Sensor(work, key=first.key)
        ids = [s.ids([token])[0] for s in (first, second, third)]
        rig.need(ids[0] != ids[1], "two keys gave one id")
        rig.need_equal(ids[0], ids[2], "id with the same key")
        lockstep(authority, "tls", "bytes", forms(token)["Bearer X"])
        for sensor, token_id in ((first, ids[0]), (second, ids[1]), (third, ids[2])):
            count(sensor, token_id, 1, "sensor")
        rig.need_equal(first.uses(ids[1]) + second.uses(ids[0]), [], "uses under the other key's id")
        keys = {s.uses(i)[0]["token"]["key_id"] for s, i in ((first, ids[0]), (second, ids[1]))}
        rig.need_equal(len(keys), 2, "different key_id values")
        for sensor in (second, third):
            rig.need_equal(sensor.stop(), 0, "status")


def main():
    rig.need_root()
    work = rig.work_dir("identity")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    sensor = rig.Sensor(work)
    each_form(sensor, authority)
    same_in_all_forms(sensor, authority)
    paths(sensor, nginx)
    other_key(work, authority, sensor)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    rig.finish()


main()
