#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenSSL 1.0.2 and 1.1.1, which no program of this system is linked with any more, called as C would,
by Debian 11's own `openssl`, and by .NET, which calls them over memory buffers: each request is one use
at each end, with the same id, the process, the tuple and the status.

Each runs twice: a library that was never mapped before has its probes some 15 ms later, which is more
than these clients take for all they do; `short.py` has the figures."""
import glob
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "peers")]
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

BUILT = os.path.join(peers.CACHE, "dotnet")
PYTHON = os.path.join(BUILT, "bin", "python")
DEBIAN11 = os.path.join(BUILT, "debian11", "usr", "lib", "x86_64-linux-gnu")
PROGRAMS = os.path.join(HERE, "..", "peers", "dotnet")
QUESTIONS = (("GET", "/items", 200), ("POST", "/denied", 403), ("GET", "/gone", 404))


def one(pattern):
    found = glob.glob(pattern)
    if not found:
        raise rig.Skip(f"no {os.path.basename(pattern)} here; tests/lib/fetch.sh says why")
    return found[0]


def talk(argv, env=None):
    """Asks all questions; (process id, first words, what was asked)."""
    peers.program_of(argv[0])
    asked = [(method, path, status, rig.token()) for method, path, status in QUESTIONS]
    p = rig.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                  env={**os.environ, **(env or {})})
    out, _ = p.communicate("".join(f"{method} {path} {token}\n" for method, path, _, token in asked), timeout=60)
    said = out.split("\n")[:-1]
    rig.need_equal((p.returncode, said[-len(asked):]), (0, [str(status) for _, _, status, _ in asked]),
                   f"what {os.path.basename(argv[1])} said: {out[-300:]!r}")
    return p.pid, said[0], asked


def libssl(crypto, ssl, version, port):
    pid, first, asked = talk([PYTHON, os.path.join(PROGRAMS, "libssl_client.py"), crypto, ssl, str(port)],
                             {"LD_LIBRARY_PATH": os.path.dirname(crypto)})
    rig.need(first.startswith(version), f"it is {first}, not {version}")
    return pid, os.path.realpath(PYTHON), asked


def dotnet(nginx, authority):
    one(os.path.join(DEBIAN11, "libssl.so.1.1"))
    pid, _, asked = talk([PYTHON, os.path.join(PROGRAMS, "http_client.py"), f"https://localhost:{nginx.tls}"],
                         {"LD_LIBRARY_PATH": DEBIAN11, "SSL_CERT_FILE": authority.ca})
    return pid, os.path.realpath(PYTHON), asked


def s_client(nginx, authority):
    exe = one(os.path.join(BUILT, "debian11", "usr", "bin", "openssl"))
    env = {**os.environ, "LD_LIBRARY_PATH": DEBIAN11, "OPENSSL_CONF": "/dev/null"}
    rig.need(rig.run([exe, "version"], env=env)[1].startswith("OpenSSL 1.1.1"), "its version is not 1.1.1")
    token = rig.token()
    p = rig.spawn([exe, "s_client", "-quiet", "-CAfile", authority.ca, "-connect", f"localhost:{nginx.tls}"],
                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    p.stdin.write(f"GET /items HTTP/1.1\r\nHost: localhost:{nginx.tls}\r\nAuthorization: Bearer {token}\r\n"
                  "Connection: close\r\n\r\n")
    p.stdin.flush()
    rig.need("200 OK" in p.stdout.read(), "s_client got no 200")
    p.wait(30)
    return p.pid, exe, [("GET", "/items", 200, token)]


def check(uses, asked, pid, exe, nginx):
    method, path, status, _ = asked
    rig.need_equal(sorted(u["direction"] for u in uses), ["egress", "ingress"], "directions")
    out, into = sorted(uses, key=lambda u: u["direction"])
    for u in (out, into):
        rig.need_equal((u["http"]["method"], u["http"]["path"], u["http"].get("status"), u["count"],
                        u["tls"]["library"]), (method, path, status, 1, "openssl"), f"{u['direction']} use")
    rig.need_equal((out["process"]["pid"], out["process"]["executable"]), (pid, exe), "egress process")
    rig.need(into["process"]["pid"] in nginx.workers, "ingress process")
    rig.need_equal(out["peer"], {"ip": "127.0.0.1", "port": nginx.tls}, "egress peer")
    rig.need_equal(out["client"]["port"], into["peer"]["port"], "client's port at both ends")


def main():
    rig.need_root()
    work = rig.work_dir("openssl")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    sensor = rig.Sensor(work)
    plans = {
        "OpenSSL 1.0.2, called as C would": lambda: libssl(
            one(os.path.join(BUILT, "openssl10", "psycopg2", ".libs", "libcrypto-*")),
            one(os.path.join(BUILT, "openssl10", "psycopg2", ".libs", "libssl-*")), "OpenSSL 1.0.2", nginx.tls),
        "OpenSSL 1.1.1, called as C would": lambda: libssl(
            one(os.path.join(DEBIAN11, "libcrypto.so.1.1")), one(os.path.join(DEBIAN11, "libssl.so.1.1")),
            "OpenSSL 1.1.1", nginx.tls),
        "openssl s_client 1.1.1": lambda: s_client(nginx, authority),
        ".NET's HttpClient, OpenSSL 1.1.1": lambda: dotnet(nginx, authority),
    }
    for name, plan in plans.items():
        with rig.case(f"{name}: one use at each end"):
            plan()
            pid, exe, asked = plan()
            ids = sensor.ids([token for _, _, _, token in asked])
            sensor.wait_uses(ids, 2 * len(ids))
            for token_id, a in zip(ids, asked):
                check(sensor.uses(token_id), a, pid, exe, nginx)
    with rig.case("the sensor ends with status 0, and only connections of the first runs were joined late"):
        rig.need_equal(sensor.stop(), 0, "status")
        rig.need_equal(set(sensor.losses()) - {"joined_late", "cover_late"}, set(), "other losses")
    rig.finish()


main()
