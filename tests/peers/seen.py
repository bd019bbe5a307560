# SPDX-License-Identifier: Apache-2.0
"""What the sensor must have reported of requests: each of them once at each end that it can see, with
nothing left open, and no other use of their tokens."""
import collections
from dataclasses import dataclass, field

import rig


@dataclass(frozen=True)
class Want:
    """One request. A port of None is one that the peer could not tell; then both ends have to agree."""
    token: str
    method: str
    path: str
    status: int
    port: int = None
    version: str = "2"
    grpc: int = None


@dataclass
class End:
    """One process that sends or receives them."""
    direction: str
    exe: str
    pids: set
    library: str		# of TLS, or "none"
    server_port: int
    behind: bool = False	# a proxy's other side: not the client's connection, always HTTP/2
    own_io: bool = False	# moves TLS's bytes to its socket itself: see unsure()
    unsure: int = 1		# of its uses at most, then
    uses: list = field(default_factory=list)

    def key(self):
        return self.direction, self.exe


def key_of(use):
    return use["direction"], use["process"].get("executable")


def facts_of(use):
    http = use["http"]
    return (http["method"], http["path"], http.get("status"), http["version"],
            use.get("rpc", {}).get("grpc", {}).get("status_code"), use["count"])


def check_end(end, token, wants):
    uses = [u for u in end.uses if u["token"]["id"] == token[0]]
    want = [(w.method, w.path, w.status, "2" if end.behind else w.version, w.grpc, 1) for w in wants]
    rig.need_equal(collections.Counter(map(facts_of, uses)), collections.Counter(want),
                   f"{end.direction} of {end.exe}: method, path, status, version, grpc, count")
    for u in uses:
        what = f"{end.direction} of {end.exe}"
        rig.need_equal((u["token"]["scheme"], u["token"]["carrier"], u["token"]["length"], u["token"].get("readable")),
                       ("bearer", "authorization", len(token[1]), None), f"{what}: token")
        rig.need(u["process"]["pid"] in end.pids, f"{what}: pid {u['process']['pid']} is none of {end.pids}")
        rig.need_equal(u["tls"]["library"], end.library, f"{what}: tls.library")
        rig.need_equal(u["server"]["address"], "localhost", f"{what}: server.address")
        rig.need_equal(u.get("rpc", {}).get("system"), "grpc" if wants[0].grpc is not None else None, f"{what}: rpc")


def unsure(end, use):
    """Which socket a TLS connection of such a program has can be unsure at its first request, or at a
    server's first two: then no address is reported, rather than a guess."""
    return end.own_io and "peer" not in use


def check_addresses(end):
    sure, what = [u for u in end.uses if not unsure(end, u)], f"{end.direction} of {end.exe}"
    rig.need(len(sure) >= len(end.uses) - end.unsure, f"{what}: more than {end.unsure} uses without addresses")
    for u in sure:
        rig.need_equal(u["server"]["port"], end.server_port, f"{what}: server.port")
        rig.need_equal((u["peer"]["ip"], u["client"]["ip"]), ("127.0.0.1", "127.0.0.1"), f"{what}: addresses")
        rig.need_equal(u["peer"]["port"], end.server_port if end.direction == "egress" else u["client"]["port"],
                       f"{what}: peer.port")


def client_ports(end):
    return collections.Counter((u["http"]["method"], u["http"]["path"], u["client"]["port"])
                               for u in end.uses if not unsure(end, u))


def check_ports(wants, ends, ports_behind):
    for behind in (False, True):
        ports = [client_ports(e) for e in ends if e.behind == behind]
        if behind == ports_behind and all(w.port for w in wants):
            ports.append(collections.Counter((w.method, w.path, w.port) for w in wants))
        most = max(ports, key=collections.Counter.total, default=None)
        rig.need(all(p <= most for p in ports), f"client ports at the ends and as the server saw them: {ports}")


def check(sensor, wants, ends, ports_behind=False):
    """Compares what the sensor says of the tokens of these requests with what it must say. The ports of
    the requests are those of the connections behind a proxy, or those before it."""
    tokens = list(dict.fromkeys(w.token for w in wants))
    ids = sensor.ids(tokens)
    uses = sensor.wait_uses(ids, len(wants) * len(ends))
    rig.need_equal(collections.Counter(map(key_of, uses)), collections.Counter({e.key(): len(wants) for e in ends}),
                   "uses by direction and executable")
    for end in ends:
        end.uses = [u for u in uses if key_of(u) == end.key()]
        for token in zip(ids, tokens):
            check_end(end, token, [w for w in wants if w.token == token[1]])
        check_addresses(end)
    check_ports(wants, ends, ports_behind)


# What other programs of this machine may be the reason of; their connections may be older than the
# sensor. Were it one of ours, a use would lack its path, host or status.
OF_OTHERS = {"joined_late", "bad_request_line", "empty_cred", "hpack_unknown"}


def nothing_lost(sensor, but=()):
    rig.need_equal(sensor.stop(seconds=60), 0, "status of the sensor")
    rig.need_equal(set(sensor.losses()) - OF_OTHERS - set(but), set(), f"reasons for loss, of {sensor.losses()}")
