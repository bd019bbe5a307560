#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unchanged HTTP/2 clients and servers in six languages, over TLS and plain, by ALPN, by prior knowledge
and by upgrade from HTTP/1: each request is one use at each end that the sensor can see, with the id that
`tokentrail fingerprint` prints. Some of the requests of a connection have the same token, so that it
comes out of the header table."""
import os
import subprocess
import shutil
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import seen  # noqa: E402  pylint: disable=wrong-import-position,import-error

NODE = os.path.realpath(shutil.which("node") or "node")
PRIOR = ("curl", "nghttp", "go", "xnet", "node", "httpx", "reqwest")


def plan(statuses, only_get):
    """The questions of one client: (method, path, token), as far as both peers can do them."""
    a, b = rig.token(), rig.token()
    all_of_them = [("GET", "/items/a", a), ("GET", "/items/b", a), ("DELETE", "/denied", b), ("GET", "/gone", a),
                   ("GET", "/empty", a), ("GET", "/items/c", a), ("POST", "/denied", b)]
    return [q for q in all_of_them if peers.STATUS.get(q[1], 200) in statuses and not (only_get and q[0] != "GET")]


def wants_of(name, questions, answers):
    """An upgraded connection begins with a request of HTTP/1; curl upgrades each time."""
    rig.need_equal([s for s, _ in answers], [peers.STATUS.get(p, 200) for _, p, _ in questions], "statuses")
    wants = []
    for i, ((method, path, token), (status, port)) in enumerate(zip(questions, answers)):
        first = name.endswith("-upgrade") and (i == 0 or name.startswith("curl"))
        wants.append(seen.Want(token, method, path, status, port, version="1.1" if first else "2"))
    return wants


def library(tls, peer):
    return peer.library if tls else "none"


def pair(sensor, name, server, ca=None, only=None, more=()):
    """One client asks one server; `more` are the ends of what is behind a proxy."""
    base = f"http{'s' if ca else ''}://localhost:{server.port}"
    questions = only or plan(server.statuses, name.startswith("nghttp"))
    client = peers.client(name.replace("java-upgrade", "java"), base, ca)
    wants = wants_of(name, questions, client.ask_all(questions))
    ends = [seen.End(d, p.exe, p.pids, library(ca, p), server.port, own_io=bool(ca) and p.exe == NODE)
            for d, p in (("egress", client), ("ingress", server)) if not ca or p.library]
    rig.need(ends, "no end of this can be seen")
    # What an answer tells is the port of the last connection; curl tells its own.
    seen.check(sensor, wants, [*ends, *more], ports_behind=bool(more) and not name.startswith("curl"))


class NginxPort:
    """One of the two listeners of a rig.Nginx, in the shape of a peers.Server."""
    exe, library, statuses = "/usr/sbin/nginx", "openssl", {200, 204, 403, 404}

    def __init__(self, nginx, tls):
        self.port, self.pids = nginx.tls if tls else nginx.plain, set(nginx.workers)


def with_nginx(sensor, nginx, authority):
    for tls in (True, False):
        for name in (*PRIOR, "java") if tls else PRIOR:
            with rig.case(f"{name} to nginx, {'TLS' if tls else 'plain'}"):
                pair(sensor, name, NginxPort(nginx, tls), authority.ca if tls else None)


def with_own_servers(sensor, work, authority):
    servers = {"go": ("go", "reqwest", "curl"), "xnet": ("xnet", "node", "nghttp"), "node": ("node", "httpx", "go"),
               "nghttpd": ("nghttp", "curl", "xnet")}
    for tls in (True, False):
        for kind, clients in servers.items():
            with rig.case(f"{kind} serves {'TLS' if tls else 'plain'}"):
                chain = authority if tls else None
                server = peers.Nghttpd(work, chain) if kind == "nghttpd" else peers.Server(kind, chain)
                for name in clients:
                    with rig.case(f"{name} to {kind}, {'TLS' if tls else 'plain'}"):
                        pair(sensor, name, server, chain and chain.ca)
                server.stop()


def with_upgrade(sensor, work, nginx):
    for kind in ("xnet", "apache2", "nghttpx"):
        with rig.case(f"{kind} knows the upgrade"):
            server = {"xnet": lambda: peers.Server("xnet"), "apache2": lambda: peers.Apache(work),
                      "nghttpx": lambda: peers.Nghttpx(work, nginx.plain)}[kind]()
            for name in ("curl-upgrade", "nghttp-upgrade", "java-upgrade"):
                only = None
                if kind == "apache2":
                    # It says GOAWAY soon after it has upgraded, which Java's client takes for an error.
                    if name == "java-upgrade":
                        continue
                    only = [("GET", "/items/a", rig.token())]
                with rig.case(f"{name} to {kind}"):
                    pair(sensor, name, server, only=only, more=behind(kind, server, nginx))
            server.stop()


def behind(kind, server, nginx):
    """nghttpx asks nginx in turn, always by HTTP/2."""
    if kind != "nghttpx":
        return ()
    return (seen.End("egress", server.exe, server.pids, "none", nginx.plain, behind=True),
            seen.End("ingress", NginxPort.exe, set(nginx.workers), "none", nginx.plain, behind=True))


def losses(sensor):
    with rig.case("the sensor ends with status 0, and nothing was lost"):
        seen.nothing_lost(sensor)


def main():
    rig.need_root()
    work = rig.work_dir("http2")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority, http2=True)
    # A program that is met for the first time has its probes only after a look at its file.
    waiting = rig.spawn([peers.program_of(peers.RUST), "https://localhost"], stdin=subprocess.PIPE)
    # Known before: what a program does in the milliseconds that a search takes is another test's.
    sensor = rig.Sensor(work, "--set", f"sources.preattach={peers.GO},{peers.RUST}")
    rig.end(waiting)
    with_nginx(sensor, nginx, authority)
    with_own_servers(sensor, work, authority)
    with_upgrade(sensor, work, nginx)
    losses(sensor)
    rig.finish()


main()
