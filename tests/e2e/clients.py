#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unchanged clients against an unchanged nginx: each request is one egress use of the client and one
ingress use of the server, with the same id, which is what `tokentrail fingerprint` prints too."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

HTTP_CLIENT = """
import http.client, ssl, sys
host, port, path, token, ca = sys.argv[1:]
c = (http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=ca)) if ca
     else http.client.HTTPConnection(host, int(port)))
c.request("GET", path, headers={"Authorization": "Bearer " + token})
c.getresponse().read()
"""
REQUESTS = """
import requests, sys
url, token, ca = sys.argv[1:]
requests.post(url, headers={"Authorization": "Bearer " + token}, data={"a": "b"}, verify=ca)
"""


def programs(ca):
    """name -> what it does: argv (and standard input) made from port and token, and what to expect."""
    python = os.path.realpath(sys.executable)
    debian_python = os.path.realpath("/usr/bin/python3")

    def bearer(token):
        return f"Authorization: Bearer {token}"

    def raw(port, path, token):
        return f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{bearer(token)}\r\nConnection: close\r\n\r\n"

    return {
        "curl-tls": dict(
            tls=True, exe="/usr/bin/curl", method="GET", path="/items/curl", status=200,
            argv=lambda p, t: ["curl", "-sS", "--http1.1", "--cacert", ca, "-H", bearer(t),
                               f"https://localhost:{p}/items/curl?page=2"]),
        "curl-tls-head": dict(
            tls=True, exe="/usr/bin/curl", method="HEAD", path="/empty", status=204,
            argv=lambda p, t: ["curl", "-sSI", "--http1.1", "--cacert", ca, "-H", bearer(t),
                               f"https://localhost:{p}/empty"]),
        "curl-plain": dict(
            tls=False, exe="/usr/bin/curl", method="DELETE", path="/denied", status=403,
            argv=lambda p, t: ["curl", "-sS", "-X", "DELETE", "-H", bearer(t),
                               f"http://localhost:{p}/denied"]),
        "python-http.client-tls": dict(
            tls=True, exe=python, method="GET", path="/gone", status=404,
            argv=lambda p, t: [python, "-c", HTTP_CLIENT, "localhost", str(p), "/gone", t, ca]),
        "python-http.client-plain": dict(
            tls=False, exe=python, method="GET", path="/items/python", status=200,
            argv=lambda p, t: [python, "-c", HTTP_CLIENT, "localhost", str(p), "/items/python", t, ""]),
        "python-requests-tls": dict(
            tls=True, exe=debian_python, method="POST", path="/items/requests", status=200,
            argv=lambda p, t: [debian_python, "-c", REQUESTS,
                               f"https://localhost:{p}/items/requests", t, ca]),
        "openssl-s_client": dict(
            tls=True, exe="/usr/bin/openssl", method="GET", path="/items/openssl", status=200,
            stdin=lambda p, t: raw(p, "/items/openssl", t),
            argv=lambda p, t: ["openssl", "s_client", "-quiet", "-connect", f"localhost:{p}", "-CAfile", ca]),
        "wget-plain": dict(
            tls=False, exe="/usr/bin/wget", method="GET", path="/items/wget", status=200,
            argv=lambda p, t: ["wget", "-q", "-O", "/dev/null", f"--header={bearer(t)}",
                               f"http://localhost:{p}/items/wget"]),
    }


def call(program, port, token):
    """Runs the client once and returns its pid."""
    stdin = program.get("stdin", lambda *_: "")(port, token)
    p = rig.spawn(program["argv"](port, token), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                  stderr=subprocess.PIPE, text=True)
    _, err = p.communicate(stdin, timeout=30)
    # wget says 8 for an answer that is an error; the others end with 0.
    rig.need_equal(p.returncode, 0, f"{p.args[0]}: {err.strip()[-200:]}; status")
    return p.pid


def check_common(use, program, port):
    http = use["http"]
    rig.need_equal((http["method"], http["path"], http.get("status"), http["version"]),
                   (program["method"], program["path"], program["status"], "1.1"),
                   f"{use['direction']} method, path, status, version")
    rig.need_equal(use["count"], 1, "count")
    rig.need_equal(use["token"]["scheme"], "bearer", "scheme")
    rig.need_equal(use["token"]["carrier"], "authorization", "carrier")
    rig.need_equal(use["tls"]["library"], "openssl" if program["tls"] else "none", "tls.library")
    rig.need_equal(use["server"]["address"], "localhost", "server.address")
    rig.need_equal(use["server"]["port"], port, "server.port")


def check(uses, program, port, pid, nginx):
    rig.need_equal(sorted(u["direction"] for u in uses), ["egress", "ingress"], "directions")
    out, into = sorted(uses, key=lambda u: u["direction"])
    check_common(out, program, port)
    check_common(into, program, port)
    rig.need_equal(out["process"]["pid"], pid, "egress process.pid")
    rig.need_equal(out["process"]["executable"], program["exe"], "egress process.executable")
    rig.need(into["process"]["pid"] in nginx.workers,
             f"ingress process.pid {into['process']['pid']} is no worker of {nginx.workers}")
    rig.need_equal(into["process"]["executable"], "/usr/sbin/nginx", "ingress process.executable")
    rig.need_equal(out["peer"], {"ip": "127.0.0.1", "port": port}, "egress peer")
    rig.need_equal(into["client"]["ip"], "127.0.0.1", "ingress client.ip")
    rig.need_equal(into["client"]["port"], into["peer"]["port"], "ingress client.port and peer.port")
    rig.need_equal(out.get("client", {}).get("port"), into["peer"]["port"],
                   "egress client.port and ingress peer.port")


def main():
    rig.need_root()
    work = rig.work_dir("clients")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    sensor = rig.Sensor(work)
    calls = {}
    for name, program in programs(authority.ca).items():
        token, port = rig.token(), nginx.tls if program["tls"] else nginx.plain
        with rig.case(f"{name} runs"):
            calls[name] = (program, port, token, call(program, port, token))
    ids = sensor.ids([c[2] for c in calls.values()])
    sensor.wait_uses(ids, 2 * len(ids))
    with rig.case("the sensor ends with status 0 and its standard output is only JSON lines"):
        rig.need_equal(sensor.stop(), 0, "status")
        rig.need(sensor.records(), "no use at all")
    for (name, (program, port, token, pid)), token_id in zip(calls.items(), ids):
        with rig.case(f"{name} is one egress and one ingress use"):
            check(sensor.uses(token_id), program, port, pid, nginx)
            rig.need_equal(sensor.uses(token_id)[0]["token"]["length"], len(token), "token.length")
    rig.finish()


main()
