#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A sensor that starts in the middle of connections. Fields that refer to what was sent before are uses
that can't be read, by the number of their entry and never with a wrong id; a new token is read at once,
and on a new connection all is known. With Go's client, and byte by byte."""
import collections
import os
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import frames as f  # noqa: E402  pylint: disable=wrong-import-position,import-error
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

# Go's first request enters authority, path, authorization, accept-encoding, user-agent, so that later
# ones refer to entries 5 to 1. The first two can't be credentials: method and scheme come after them.
GO_TOKEN, GO_OTHERS = 3, (2, 1)
NOT_SAID = None


def facts_of(use):
    http = use["http"]
    return http["method"], http.get("path"), http.get("status"), use["server"].get("address")


def readable(use):
    return use["token"].get("readable", True)


def check_unreadable(uses, want, known_ids):
    """want: entry -> the facts of its uses. One id for an entry, and no id that is known of a token."""
    by_entry = collections.defaultdict(list)
    for u in uses:
        if not readable(u):
            by_entry[u["token"]["entry"]].append(u)
    rig.need_equal({e: collections.Counter(map(facts_of, us)) for e, us in by_entry.items()},
                   {e: collections.Counter(w) for e, w in want.items()}, "unreadable uses by entry")
    ids = {e: {u["token"]["id"] for u in us} for e, us in by_entry.items()}
    rig.need_equal([len(i) for i in ids.values()], [1] * len(ids), "ids of each entry")
    rig.need_equal(len(set.union(*ids.values())), len(ids), f"different ids of {sorted(ids)}")
    rig.need(not set.union(*ids.values()) & set(known_ids), "an unreadable use has the id of a token")
    for u in uses:
        if not readable(u):
            rig.need_equal(set(u["token"]) - {"id", "readable", "entry", "key_id", "kind"}, set(), "said of the token")


def check_readable(uses, want):
    got = collections.defaultdict(list)
    for u in uses:
        if readable(u):
            got[u["token"]["id"]].append(facts_of(u))
    rig.need_equal({i: collections.Counter(v) for i, v in got.items()},
                   {i: collections.Counter(v) for i, v in want.items()}, "uses with a known id")


class Talk:
    """Go's client asks a server, from before the sensor is there."""

    def __init__(self, name, kind, base, ca, ends):
        self.name, self.ends, self.a, self.b = name, ends, rig.token(), rig.token()
        self.client = peers.Client(kind, base, ca)
        self.first_port = self.ask([("GET", "/items/a", self.a)] * 3, 200)

    def ask(self, questions, status):
        answers = [self.client.ask(*q) for q in questions]
        rig.need_equal({s for s, _ in answers}, {status}, "statuses")
        rig.need_equal(len({p for _, p in answers}), 1, "connections")
        return answers[0][1]

    def go_on(self):
        """All that follows, with the sensor there."""
        self.ask([("GET", "/items/a", self.a)] * 2, 200)
        self.ask([("GET", "/denied", self.a)], 403)
        self.ask([("POST", "/items/new", self.b)], 200)
        self.ask([("GET", "/gone", self.b)], 404)
        rig.need_equal(self.ask([("GET", "/items/a", self.a)], 200), self.first_port, "port of the old connection")
        self.client.renew()
        port = self.ask([("GET", "/items/c", self.a)] * 2, 200)
        rig.need(port != self.first_port, "the new connection is the old one")
        self.ask([("DELETE", "/denied", self.b)], 403)
        self.client.stop()

    def check(self, sensor, direction, exe, pids, first):
        a, b = sensor.ids([self.a, self.b])
        uses = [u for u in sensor.records() if u["direction"] == direction and u["process"]["executable"] == exe and
                u["process"]["pid"] in pids]
        with_a = [("GET", NOT_SAID, s, NOT_SAID) for s in (first, 200, 200)] + [("GET", "/denied", 403, NOT_SAID)]
        with_b = [("POST", "/items/new", 200, NOT_SAID), ("GET", "/gone", 404, NOT_SAID)]
        # Where the token could be read, the other fields that can't be are counted and not reported.
        check_unreadable(uses, {e: with_a for e in (GO_TOKEN, *GO_OTHERS)}, [a, b])
        check_readable(uses, {a: [("GET", "/items/c", 200, "localhost")] * 2,
                              b: [*with_b, ("DELETE", "/denied", 403, "localhost")]})
        rig.need_equal({u["http"]["version"] for u in uses} | {str(u["count"]) for u in uses}, {"2", "1"},
                       "versions and counts")
        return sum(not readable(u) for u in uses) + len(with_b) * len(GO_OTHERS)


def start_talks(nginx, authority):
    """With each: what of it can be seen."""
    talks, go = [], None
    with rig.case("Go's server runs"):
        go = peers.Server("go")
    for kind, server in (("go", "go"), ("xnet", "go"), ("go", "nginx"), ("go", "nginx-tls")):
        name = f"{kind} to {server}"
        with rig.case(f"{name} before the sensor"):
            rig.need(go or server != "go", "it does not")
            ca = authority.ca if server == "nginx-tls" else None
            port = {"nginx": nginx.plain, "nginx-tls": nginx.tls}.get(server) or go.port
            talk = Talk(name, kind, f"http{'s' if ca else ''}://localhost:{port}", ca, [])
            # Go's TLS client waits in Read when the sensor comes, and that call gets the first answer.
            talk.ends.append(("egress", talk.client.exe, talk.client.pids, NOT_SAID if ca else 200))
            talk.ends.append(("ingress", go.exe, go.pids, 200) if server == "go" else
                             ("ingress", "/usr/sbin/nginx", set(nginx.workers), 200))
            talks.append(talk)
    return talks


def one_after_the_other(sensor, talks):
    """Each is looked at before the next one goes on: they share their servers."""
    unknown = 0
    for talk in talks:
        with rig.case(f"{talk.name}: what the sensor can't know is said to be unreadable, and the rest is known"):
            sensor.forget()
            talk.go_on()
            sensor.wait_uses(sensor.ids([talk.a, talk.b]), 5 * len(talk.ends))
            for end in talk.ends:
                unknown += talk.check(sensor, *end)
    return unknown


def grpc(sensor, talk):
    """grpc-go refers to six entries. The oldest is the path, which can't be a credential, and of the
    others only four have room; the newest is the token."""
    with rig.case("grpc-go: the token is among what is said to be unreadable"):
        sensor.forget()
        client, server, token = talk
        for _ in range(3):
            rig.need_equal(client.ask("unary", "0", token)[0], 0, "status")
        client.renew()
        rig.need_equal(client.ask("unary", "16", token)[0], 16, "status")
        client.stop()
        token_id, unknown = sensor.ids([token])[0], 0
        sensor.wait_uses(token_id, 2)
        for direction, pids in (("egress", client.pids), ("ingress", server.pids)):
            uses = [u for u in sensor.records() if u["direction"] == direction and u["process"]["pid"] in pids]
            check_readable(uses, {token_id: [("POST", "/tokentrail.Peer/Unary", 200, "localhost")]})
            check_unreadable(uses, {e: [("POST", NOT_SAID, 200, NOT_SAID)] * 3 for e in (4, 3, 2, 1)}, [token_id])
            unknown += 3 * 5
        return unknown


def start_grpc():
    with rig.case("grpc-go before the sensor"):
        server = peers.Server("grpc-go")
        client, token = peers.Client("grpc-go", f"localhost:{server.port}"), rig.token()
        for _ in range(3):
            rig.need_equal(client.ask("unary", "0", token)[0], 0, "status")
        return client, server, token


def with_static(c, stream, fields, path):
    """A request of which only the given fields can refer to anything."""
    return f.headers(stream, b"\x82\x87" + f.not_kept(1, "localhost") + f.not_kept(4, path) + fields)


class ByHand:
    """A connection of this process; entries from before the sensor: 3 is a path, 2 the token, 1 another field."""

    def __init__(self, authority):
        self.c, self.a, self.b, self.d = f.Connection(authority), rig.token(), rig.token(), rig.token()
        self.ask(f.headers(self.c.new_stream(), b"\x82\x87" + f.not_kept(1, "localhost") + f.kept(4, "/before") +
                           f.kept(f.AUTHORIZATION, f"Bearer {self.a}") + f.kept("x-other", "x")))

    def ask(self, data):
        self.c.ask(data)
        self.c.answer(f.headers(self.c.stream, b"\x88"))

    def request(self, path, fields):
        self.ask(with_static(self.c, self.c.new_stream(), fields, path))

    def go_on(self):
        old = f.integer(62 + 1, 7, 0x80)
        self.request("/late/one", old)
        self.request("/late/two", f.kept(f.AUTHORIZATION, f"Bearer {self.b}"))
        self.request("/late/three", f.integer(62, 7, 0x80))
        self.request("/late/four", f.integer(62 + 2, 7, 0x80))
        self.ask(f.headers(self.c.new_stream(), b"\x82" + f.integer(62 + 3, 7, 0x80) + b"\x87" +
                           f.not_kept(1, "localhost") + f.integer(62 + 2, 7, 0x80)))
        # A literal value under an unknown entry's name may be anything.
        self.request("/late/five", f.kept(62 + 2, "unknown name"))

    def break_it(self):
        """A block that can't be; then the token of before by reference, and new ones."""
        self.c.ask(f.headers(self.c.new_stream(), b"\x82\x87\x80"))
        self.request("/after/one", f.kept(f.AUTHORIZATION, f"Bearer {self.d}"))
        self.request("/after/two", f.integer(62, 7, 0x80))
        self.request("/after/three", f.integer(62 + 2, 7, 0x80))


def by_hand(sensor, hand, tls):
    """/late/five and what comes after it by reference are counted here too, where they are unreadable."""
    with rig.case(f"{'tls' if tls else 'plain'}, by hand: entries of before, new ones, and after a broken block"):
        sensor.forget()
        hand.go_on()
        hand.break_it()
        a, b, d = sensor.ids([hand.a, hand.b, hand.d])
        sensor.wait_uses([b, d], 8)
        hand.c.close()
        unknown = 0
        for direction in ("egress", "ingress"):
            uses = [u for u in sensor.records() if u["direction"] == direction and u["process"]["pid"] == os.getpid()]
            check_readable(uses, {b: [("GET", f"/late/{n}", 200, "localhost") for n in ("two", "three")],
                                  d: [("GET", f"/after/{n}", 200, "localhost") for n in ("one", "two")]})
            late = [u for u in uses if not readable(u) and (u["http"].get("path") or "") != "/after/three"]
            paths = ("/late/one", "/late/four", NOT_SAID, "/late/five")
            check_unreadable(late, {2: [("GET", p, 200, "localhost") for p in paths]}, [a, b, d])
            after = [u for u in uses if u not in late]
            rig.need_equal([facts_of(u) for u in after if not readable(u)], [("GET", "/after/three", 200, "localhost")],
                           "what was in the table before the broken block")
            unknown += sum(not readable(u) for u in uses)
        return unknown


class Late(rig.Sensor):
    """A sensor whose records can be looked at in parts."""
    _from = 0

    def records(self, kind="use"):
        return super().records(kind)[self._from if kind == "use" else 0:]

    def forget(self):
        self._from += len(self.records())


def main():
    rig.need_root()
    work = rig.work_dir("late")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority, http2=True)
    talks = start_talks(nginx, authority)
    grpc_talk = start_grpc()
    hands = [ByHand(authority), ByHand(None)]
    sensor = Late(work)
    unknown = one_after_the_other(sensor, talks)
    unknown += grpc_talk and grpc(sensor, grpc_talk) or 0
    for hand, tls in zip(hands, (True, False)):
        unknown += by_hand(sensor, hand, tls) or 0
    with rig.case("the sensor ends with status 0, and each unknown field is counted"):
        rig.need_equal(sensor.stop(), 0, "status")
        rig.need(unknown, "there was no unknown field")
        got = {reason: sensor.losses().get(reason) for reason in ("hpack_unknown", "bad_hpack", "hpack_evicted", "gap")}
        rig.need_equal(got, {"hpack_unknown": unknown, "bad_hpack": 4, "hpack_evicted": None, "gap": None}, "losses")
    rig.finish()


main()
