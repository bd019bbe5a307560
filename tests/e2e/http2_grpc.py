#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gRPC of Go and of the C core (Python's grpcio) with a credential for each call, unary and streaming,
with OK and other outcomes: plain between all of them, over TLS to a server, and over TLS to an nginx that
hands the calls on."""
import os
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import seen  # noqa: E402  pylint: disable=wrong-import-position,import-error

KINDS = ("grpc-go", "grpcio")
TLS_SERVERS = ("grpcio",)	# the peer in Go has no TLS of its own as a server
# (kind, grpc-status): Trailers-Only answers, trailers after messages, and the same token again and again.
CALLS = (("unary", 0), ("unary", 0), ("unary", 16), ("stream", 0), ("stream", 7), ("unary", 5), ("stream", 16))


def wants_of(client):
    """Makes the calls, each outcome with a token of its own, and says what they were."""
    tokens = {code: rig.token() for _, code in CALLS}
    answers = client.ask_all([(kind, str(code), tokens[code]) for kind, code in CALLS])
    rig.need_equal([code for code, _ in answers], [code for _, code in CALLS], "codes at the client")
    rig.need(all(port for _, port in answers), "an answer without the client's port")
    return [seen.Want(tokens[code], "POST", f"/tokentrail.Peer/{kind.capitalize()}", 200, port, grpc=code)
            for (kind, code), (_, port) in zip(CALLS, answers)]


def plain(sensor):
    for server_name in KINDS:
        with rig.case(f"{server_name} serves"):
            server = peers.Server(server_name)
            for name in KINDS:
                with rig.case(f"{name} to {server_name}, plain"):
                    client = peers.client(name, f"localhost:{server.port}")
                    seen.check(sensor, wants_of(client), [
                        seen.End("egress", client.exe, client.pids, "none", server.port),
                        seen.End("ingress", server.exe, server.pids, "none", server.port)])
            server.stop()


def tls_end(direction, name, peer, port):
    """The C core carries the records between BoringSSL and its sockets itself."""
    return [seen.End(direction, peer.exe, peer.pids, peer.library, port, own_io=name == "grpcio")]


def over_tls(sensor, authority):
    for server_name in TLS_SERVERS:
        for name in KINDS:
            with rig.case(f"{name} to {server_name}, TLS"):
                server = peers.Server(server_name, authority)
                client = peers.client(name, f"localhost:{server.port}", authority.ca)
                wants = wants_of(client)
                seen.check(sensor, wants, [*tls_end("egress", name, client, server.port),
                                           *tls_end("ingress", server_name, server, server.port)])
                server.stop()


def through_nginx(sensor, work, authority):
    for name in KINDS:
        with rig.case(f"{name} over TLS to nginx, which asks {name} in turn"):
            server = peers.Server(name)
            nginx = rig.Nginx(work, authority, http2=True,
                              more=f"location /tokentrail.Peer/ {{ grpc_pass grpc://localhost:{server.port}; }}")
            client = peers.client(name, f"localhost:{nginx.tls}", authority.ca)
            workers, exe = set(nginx.workers), "/usr/sbin/nginx"
            wants = wants_of(client)
            seen.check(sensor, wants, [
                *tls_end("egress", name, client, nginx.tls),
                seen.End("ingress", exe, workers, "openssl", nginx.tls),
                seen.End("egress", exe, workers, "none", server.port, behind=True),
                seen.End("ingress", server.exe, server.pids, "none", server.port, behind=True)], ports_behind=True)
            nginx.stop()
            server.stop()


def main():
    rig.need_root()
    work = rig.work_dir("grpc")
    authority = rig.Authority(work)
    sensor = rig.Sensor(work)
    plain(sensor)
    over_tls(sensor, authority)
    through_nginx(sensor, work, authority)
    with rig.case("the sensor ends with status 0, and nothing was lost"):
        seen.nothing_lost(sensor)
    rig.finish()


main()
