#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unchanged programs with TLS libraries other than OpenSSL, against programs with OpenSSL: each request
is one use at each end, with the same id, the library by its name, the process, the tuple and the status.
HTTP/1.1 and HTTP/2, as far as the program speaks it."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import programs  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

def end(exe, library, pids=None):
    return {"exe": exe, "library": library, "pids": pids}


def want(token, path, status, version, client, server, port, **more):
    return {"token": token, "path": path, "status": status, "version": version, "egress": client,
            "ingress": server, "port": port, "method": "GET", "scheme": "bearer", **more}


def talk(argv, stdin=None, statuses=(0,), env=None):
    """Runs a client to its end, which the server's end of the connection brings about for those that
    read their request from standard input."""
    p = rig.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                  env=env)
    if stdin:
        p.stdin.write(stdin)
        p.stdin.flush()
        said = p.stdout.read()
        p.wait(30)
    else:
        said, _ = p.communicate(timeout=60)
    rig.need(p.returncode in statuses, f"{argv[0]} ended with {p.returncode}: {said.strip()[-300:]}")
    return p.pid


def bearer(token):
    return f"Authorization: Bearer {token}"


def gnutls_clients(nginx, ca):
    server = end("/usr/sbin/nginx", "openssl", set(nginx.workers))
    base = f"https://localhost:{nginx.tls}"

    def wget(path, status):
        token = rig.token()
        pid = talk(["wget", "-q", "-O", "/dev/null", f"--ca-certificate={ca}", f"--header={bearer(token)}",
                    base + path], statuses=(0, 8))
        return want(token, path, status, "1.1", end("/usr/bin/wget", "gnutls", {pid}), server, nginx.tls)

    def gnutls_cli():
        token = rig.token()
        pid = talk(["gnutls-cli", "--x509cafile", ca, "-p", str(nginx.tls), "localhost"],
                   f"GET /gone HTTP/1.1\r\nHost: localhost:{nginx.tls}\r\n{bearer(token)}\r\n"
                   "Connection: close\r\n\r\n", statuses=(0, 1))
        return want(token, "/gone", 404, "1.1", end("/usr/bin/gnutls-cli", "gnutls", {pid}), server, nginx.tls)

    def git(version):
        token = rig.token()
        talk(["git", "-c", f"http.version=HTTP/{version}", "-c", f"http.extraHeader={bearer(token)}", "ls-remote",
              base + "/denied/repo"], statuses=(128,), env={**os.environ, "GIT_SSL_CAINFO": ca})
        return want(token, "/denied/repo/info/refs", 403, version, end("/usr/lib/git-core/git-remote-http", "gnutls"),
                    server, nginx.tls)

    return {"wget, GnuTLS": lambda: wget("/items/wget", 200), "wget, GnuTLS, 403": lambda: wget("/denied", 403),
            "gnutls-cli": gnutls_cli, "git, libcurl with GnuTLS": lambda: git("1.1"),
            "git, libcurl with GnuTLS, HTTP/2": lambda: git("2")}


def mbedtls_client(nginx, work, ca):
    def libgit2():
        token = rig.token()
        pid = talk(["/usr/bin/python3", "-c", programs.LIBGIT2, f"https://localhost:{nginx.tls}/private/repo", token,
                    ca, os.path.join(work, "repo")])
        return want(token, "/private/repo/info/refs", 401, "1.1",
                    end(os.path.realpath("/usr/bin/python3"), "mbedtls", {pid}),
                    end("/usr/sbin/nginx", "openssl", set(nginx.workers)), nginx.tls, scheme="basic")

    return {"libgit2, mbedTLS": libgit2}


def nss_client(nginx, work, ca):
    db = "sql:" + os.path.join(work, "nss")
    os.mkdir(os.path.join(work, "nss"))
    rig.run(["certutil", "-N", "-d", db, "--empty-password"])
    rig.run(["certutil", "-A", "-d", db, "-n", "ca", "-t", "C,,", "-i", ca])

    def tstclnt(path, status):
        token = rig.token()
        request = os.path.join(work, "nss", "request")
        with open(request, "w", encoding="ascii", newline="") as f:
            f.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{nginx.tls}\r\n{bearer(token)}\r\n"
                    "Connection: close\r\n\r\n")
        pid = talk(["tstclnt", "-h", "localhost", "-4", "-p", str(nginx.tls), "-d", db, "-A", request])
        return want(token, path, status, "1.1", end("/usr/bin/tstclnt", "nss", {pid}),
                    end("/usr/sbin/nginx", "openssl", set(nginx.workers)), nginx.tls)

    return {"tstclnt, NSS": lambda: tstclnt("/items/nss", 200), "tstclnt, NSS, 403": lambda: tstclnt("/denied", 403)}


def s2n_clients(nginx, ca):
    """In this wheel s2n_recv() begins with prefixes, behind which its probe stands."""
    def awscrt(alpn, version):
        token, python = rig.token(), programs.wheels_python()
        pid = talk([python, "-c", programs.AWSCRT, str(nginx.tls), token, ca, alpn])
        return want(token, "/items/s2n", 200, version, end(os.path.realpath(python), "s2n", {pid}),
                    end("/usr/sbin/nginx", "openssl", set(nginx.workers)), nginx.tls)

    return {"awscrt, s2n": lambda: awscrt("http/1.1", "1.1"), "awscrt, s2n, HTTP/2": lambda: awscrt("h2", "2")}


def lighttpd_servers(work, authority):
    def ask(server, module, version, path, status):
        token = rig.token()
        pid = talk(["curl", "-sS", "-o", "/dev/null", "--http" + version, "--cacert", authority.ca, "-H",
                    bearer(token), f"https://localhost:{server.port}{path}"])
        return want(token, path, status, version, end("/usr/bin/curl", "openssl", {pid}),
                    end(programs.Lighttpd.exe, module, server.pids), server.port)

    plans = {}
    for module in ("gnutls", "wolfssl", "mbedtls", "nss"):
        with rig.case(f"lighttpd with {module} serves"):
            server = programs.Lighttpd(work, authority, module)
            for version in ("1.1", "2"):
                for path, status in (("/item", 200), ("/nothing", 404), ("/x.secret", 403)):
                    plans[f"lighttpd with {module}, HTTP/{version}, {status}"] = (
                        lambda s=server, m=module, v=version, p=path, n=status: ask(s, m, v, p, n))
    return plans


def check_end(use, w, direction):
    http, this = use["http"], w[direction]
    rig.need_equal((http["method"], http["path"], http.get("status"), http["version"]),
                   (w["method"], w["path"], w["status"], w["version"]), f"{direction} method, path, status, version")
    rig.need_equal(use["count"], 1, "count")
    rig.need_equal((use["token"]["scheme"], use["token"]["carrier"]), (w["scheme"], "authorization"),
                   "scheme, carrier")
    rig.need_equal(use["tls"]["library"], this["library"], f"{direction} tls.library")
    rig.need_equal(use["process"]["executable"], this["exe"], f"{direction} process.executable")
    if this["pids"]:
        rig.need(use["process"]["pid"] in this["pids"],
                 f"{direction} process.pid {use['process']['pid']} is none of {this['pids']}")
    rig.need_equal((use["server"]["address"], use["server"]["port"]), ("localhost", w["port"]), f"{direction} server")


def check(uses, w):
    rig.need_equal(sorted(u["direction"] for u in uses), ["egress", "ingress"], "directions")
    out, into = sorted(uses, key=lambda u: u["direction"])
    check_end(out, w, "egress")
    check_end(into, w, "ingress")
    rig.need_equal(out["peer"], {"ip": "127.0.0.1", "port": w["port"]}, "egress peer")
    rig.need_equal(into["peer"]["ip"], "127.0.0.1", "ingress peer.ip")
    rig.need_equal(out.get("client", {}).get("port"), into["peer"]["port"],
                   "egress client.port and ingress peer.port")


def main():
    rig.need_root()
    work = rig.work_dir("stacks")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority, http2=True, more="""
		location /private {
			add_header WWW-Authenticate 'Basic realm="tokentrail"' always;
			return 401;
		}""")
    sensor = rig.Sensor(work)
    plans = {**gnutls_clients(nginx, authority.ca), **mbedtls_client(nginx, work, authority.ca),
             **nss_client(nginx, work, authority.ca),
             **s2n_clients(nginx, authority.ca), **lighttpd_servers(work, authority)}
    wants = {}
    for name, plan in plans.items():
        with rig.case(f"{name} runs"):
            wants[name] = plan()
    ids = dict(zip(wants, sensor.ids([w["token"] for w in wants.values()])))
    sensor.wait_uses(list(ids.values()), 2 * len(ids), seconds=45)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    for name, w in wants.items():
        with rig.case(f"{name}: one use at each end"):
            check(sensor.uses(ids[name]), w)
    rig.finish()


main()
