#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as it may be spoken: one token in every form that HPACK has, frames cut and interleaved, interim
answers, trailers, pushes, streams that end early, tables that change size. TLS and plain, both ends."""
import collections
import os
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import frames as f  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import seen  # noqa: E402  pylint: disable=wrong-import-position,import-error


class Story:
    """What goes over one connection, and the (method, path, status, grpc-status) of each token's uses."""

    def __init__(self):
        self.want = {}

    def token(self, *uses, length=36):
        t = rig.token(length=length)
        self.want[t] = [(*u, None) if len(u) == 3 else u for u in uses]
        return t


def forms_of_a_literal(c, s):
    ways = [(make, huffman) for make in (f.kept, f.not_kept, f.never_kept) for huffman in (True, False)]
    t = s.token(*(("GET", f"/form/{make.__name__}", 200) for make, _ in ways for _ in (0, 1)))
    for make, huffman in ways:
        for name in (f.AUTHORIZATION, "authorization"):
            stream, field = c.new_stream(), make(name, f"Bearer {t}", huffman)
            # Nothing else goes into the table here, so that what the encoder thinks of it stays true.
            block = b"\x82\x87" + f.not_kept(1, "localhost") + f.not_kept(4, f"/form/{make.__name__}", not huffman)
            c.ask(f.headers(stream, block + field))
            c.answer(f.headers(stream, b"\x88"))


def indexed_later(c, s):
    t = s.token(*(("GET", "/v1/items", 200) for _ in range(5)))
    first = c.block("/v1/items", token=t)
    again = c.block("/v1/items", token=t)
    rig.need(len(again) < 10 < len(first), f"hpack sends no reference: {len(first)}, {len(again)}")
    for block in (first, again, again, again, again):
        stream = c.new_stream()
        c.ask(f.headers(stream, block))
        c.answer(f.headers(stream, c.status(200)))


def continuation(c, s):
    sizes = (1, 2, 7, 30)
    t = s.token(*(("GET", f"/cut/by-{n}", 404) for n in sizes for _ in (True, False)))
    for n in sizes:
        for huffman in (True, False):
            stream = c.new_stream()
            block = c.out.encode([(":method", "GET"), (":scheme", "https"), (":authority", "localhost"),
                                  (":path", f"/cut/by-{n}")])
            c.ask(f.headers_in_pieces(stream, block + f.not_kept(f.AUTHORIZATION, f"Bearer {t}", huffman), n))
            c.answer(f.headers_in_pieces(stream, c.status(404, [("server", "x")]), n))


def cut_anywhere(c, s):
    tokens = [s.token(("GET", "/v1/items", status)) for status in (200, 403, 404, 500)]
    asked = b"".join(c.request("/v1/items", token=t)[1] for t in tokens)
    c.ask(asked, cut=7)
    c.answer(b"".join(f.headers(1 + 2 * i, c.status(st)) for i, st in enumerate((200, 403, 404, 500))), cut=3)


def byte_by_byte(c, s):
    a, b = s.token(("PUT", "/v1/items", 201), ("PUT", "/v1/items", 201)), s.token(("GET", "/v1/{...}", 204))
    for path, method, t, status in (("/v1/items", "PUT", a, 201), ("/v1/items", "PUT", a, 201),
                                    (f"/v1/{rig.random_text(40)}", "GET", b, 204)):
        stream, data = c.request(path, method, t)
        c.ask(data, cut=1)
        c.answer(f.headers(stream, c.status(status)), cut=1)


def interleaved_and_backwards(c, s):
    statuses = [200, 201, 204, 400, 401, 403, 404, 500, 503]
    asked = [(c.request(f"/n/is-{n}", token=s.token(("GET", f"/n/is-{n}", status))), status)
             for n, status in enumerate(statuses)]
    c.ask(b"".join(data for (_, data), _ in asked))
    for (stream, _), status in reversed(asked):
        c.answer(f.headers(stream, c.status(status), flags=0) + f.frame(f.DATA, 0, stream, b"x" * 50))
    c.answer(b"".join(f.frame(f.DATA, f.END_STREAM, stream, b"y") for (stream, _), _ in asked))


def padding_and_priority(c, s):
    t = s.token(*(("GET", f"/pad/by-{n}", 200) for n in (0, 1, 255)))
    for n in (0, 1, 255):
        stream = c.new_stream()
        block = c.block(f"/pad/by-{n}", token=t)
        body = bytes([n]) + b"\0\0\0\0\x10" + block + bytes(n)
        c.ask(f.frame(f.HEADERS, f.PADDED | f.WITH_PRIORITY | f.END_STREAM | f.END_HEADERS, stream, body))
        c.answer(f.frame(f.HEADERS, f.PADDED | f.END_HEADERS | f.END_STREAM, stream,
                         bytes([n]) + c.status(200) + bytes(n)))


def interim_answers(c, s):
    t = s.token(("PUT", "/v1/items", 201))
    stream = c.new_stream()
    c.ask(f.headers(stream, c.block("/v1/items", "PUT", t, more=[("expect", "100-continue")]), flags=0))
    c.answer(f.headers(stream, c.status(100), flags=0))
    c.ask(f.frame(f.DATA, f.END_STREAM, stream, b"hello"))
    c.answer(f.headers(stream, c.status(103, [("link", "</a>")]), flags=0))
    c.answer(f.headers(stream, c.status(201)))


def bodies_like_frames(c, s):
    t, inside, after = s.token(("POST", "/v1/items", 200)), s.token(), s.token(("GET", "/v1/items", 204))
    bait = f.headers(99, b"\x82\x87\x84" + f.not_kept(f.AUTHORIZATION, f"Bearer {inside}", False))
    stream = c.new_stream()
    c.ask(f.headers(stream, c.block("/v1/items", "POST", t), flags=0) + f.frame(f.DATA, 0, stream, bait))
    c.ask(f.frame(f.DATA, f.PADDED, stream, bytes([20]) + f.PREFACE + bait + bytes(20)), cut=11)
    c.ask(f.frame(f.DATA, f.END_STREAM, stream, bait * 50))
    answer_bait = f.headers(stream, b"\x8d")
    c.answer(f.headers(stream, c.status(200), flags=0) + f.frame(f.DATA, f.END_STREAM, stream, answer_bait))
    c.exchange("/v1/items", 204, token=after)


def trailers(c, s):
    t, u = s.token(("POST", "/pkg.S/M", 200, 9)), s.token(("POST", "/pkg.S/M", 200, 13))
    grpc = [("content-type", "application/grpc"), ("te", "trailers")]
    for token, code, only in ((t, 9, False), (u, 13, True)):
        stream = c.new_stream()
        c.ask(f.headers(stream, c.block("/pkg.S/M", "POST", token, more=grpc), flags=0))
        c.ask(f.frame(f.DATA, 0, stream, b"\0\0\0\0\0") + f.headers(stream, c.out.encode([("x-sum", "1")])))
        end = [("grpc-status", str(code)), ("grpc-message", "no")]
        if only:
            c.answer(f.headers(stream, c.status(200, [grpc[0], *end])))
            continue
        c.answer(f.headers(stream, c.status(200, [grpc[0]]), flags=0) + f.frame(f.DATA, 0, stream, b"\0\0\0\0\0"))
        c.answer(f.headers(stream, c.back.encode(end)))


def ended_early(c, s):
    a, b = s.token(("GET", "/reset", None)), s.token(("GET", "/refused", None))
    d, e = s.token(("GET", "/v1/items", 200)), s.token(("GET", "/late", None))
    first, data = c.request("/reset", token=a)
    c.ask(data + f.frame(f.RST_STREAM, 0, first, b"\0\0\0\x08"))
    second, data = c.request("/refused", token=b)
    c.ask(data)
    c.answer(f.frame(f.RST_STREAM, 0, second, b"\0\0\0\x07"))
    third, data = c.request("/v1/items", token=d)
    c.ask(data + c.request("/late", token=e)[1])
    c.answer(f.frame(f.GOAWAY, 0, 0, third.to_bytes(4, "big") + b"\0\0\0\0") + f.headers(third, c.status(200)))


def other_frames(c, s):
    t = s.token(("GET", "/v1/items", 200), ("GET", "/v1/items", 200))
    for _ in range(2):
        c.ask(f.frame(f.PING, 0, 0, bytes(8)) + f.frame(f.WINDOW_UPDATE, 0, 0, b"\0\0\xff\xff") +
              f.frame(f.PRIORITY, 0, 1001, b"\0\0\0\0\x0f") + f.frame(0x10, 0, 0, b"\0\0\0\x01u=1") +
              f.frame(0xfa, 0xff, 0, os.urandom(300)))
        c.exchange("/v1/items", 200, token=t)
        c.answer(f.frame(f.PING, f.ACK, 0, bytes(8)) + f.frame(0x0c, 0, 0, b"\0\x09localhost"))


def pushed(c, s):
    """A promise's headers go into the answers' table, which later answers refer to."""
    t, u = s.token(("GET", "/v1/items", 200)), s.token(("GET", "/v1/items", 418))
    first, data = c.request("/v1/items", token=t)
    c.ask(data)
    promise = c.back.encode([(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/p"),
                             ("x-a", "b")])
    c.answer(f.frame(f.PUSH_PROMISE, f.END_HEADERS, first, b"\0\0\0\x02" + promise))
    c.answer(f.headers(first, c.status(200, [("x-a", "b")])) + f.headers(2, c.status(418, [("x-a", "b")])))
    second, data = c.request("/v1/items", token=u)
    c.ask(data)
    c.answer(f.headers(second, c.status(418, [("x-a", "b")])))


def table_sizes(c, s):
    """The answerer's settings change what the asker may keep; entries go, and come again."""
    sizes = (0, 100, 4096, 0, 300)
    t = s.token(*(("GET", f"/size/no-{i}", 200) for i in range(len(sizes)) for _ in (0, 1)))
    for i, size in enumerate(sizes):
        setting = f.HEADER_TABLE_SIZE.to_bytes(2, "big") + size.to_bytes(4, "big")
        c.answer(f.frame(f.SETTINGS, 0, 0, setting))
        c.ask(f.frame(f.SETTINGS, f.ACK, 0))
        c.out.header_table_size = size
        for _ in (0, 1):
            c.exchange(f"/size/no-{i}", 200, token=t, more=[("x-filler", "f" * 30)])


def eviction(c, s):
    """What is squeezed out has to be sent anew; what replaces it has its place."""
    tokens = [s.token(*[("GET", "/v1/items", 200)] * 6) for _ in range(3)]
    for i in range(18):
        c.exchange("/v1/items", 200, token=tokens[i % 3], more=[(f"x-n-{i}", "v" * 700)])


def head_of_40_kib(c, s):
    pad = [(f"x-pad-{i}", "p" * 1000) for i in range(40)]
    for huffman in (True, False):
        t = s.token(("GET", "/v1/items", 200))
        stream = c.new_stream()
        block = c.out.encode([(":method", "GET"), (":scheme", "https"), (":authority", "localhost"),
                              (":path", "/v1/items"), *pad, ("authorization", f"Bearer {t}")], huffman=huffman)
        c.ask(f.headers_in_pieces(stream, block, 16384))
        c.answer(f.headers(stream, c.status(200)))


def long_tokens(c, s):
    for length in (500, 1500, 4000):
        t = s.token(*[("GET", "/v1/items", 200)] * 3, length=length)
        for huffman in (True, False, True):
            c.exchange("/v1/items", 200, token=t, huffman=huffman)


STORIES = [forms_of_a_literal, indexed_later, continuation, cut_anywhere, byte_by_byte, interleaved_and_backwards,
           padding_and_priority, interim_answers, bodies_like_frames, trailers, ended_early, other_frames, pushed,
           table_sizes, eviction, head_of_40_kib, long_tokens]


def facts_of(use):
    http = use["http"]
    return http["method"], http["path"], http.get("status"), use.get("rpc", {}).get("grpc", {}).get("status_code")


def check(sensor, story, connection, tls):
    tokens = list(story.want)
    ids = sensor.ids(tokens)
    sensor.wait_uses(ids, 2 * sum(len(w) for w in story.want.values()))
    for n, (t, token_id) in enumerate(zip(tokens, ids), 1):
        for direction in ("egress", "ingress"):
            uses = sensor.uses(token_id, direction)
            rig.need_equal(collections.Counter(map(facts_of, uses)), collections.Counter(story.want[t]),
                           f"{direction} of token {n}")
            for u in uses:
                rig.need_equal((u["http"]["version"], u["server"]["address"], u["server"]["port"], u["client"]["port"],
                                u["token"]["length"], u["count"], u["tls"]["library"], u["process"]["pid"]),
                               ("2", "localhost", connection.port, connection.client_port, len(t), 1,
                                "openssl" if tls else "none", os.getpid()), f"{direction} of token {n}")


def stories(sensor, authority):
    for tls in (True, False):
        for tell in STORIES:
            with rig.case(f"{'tls' if tls else 'plain'}: {tell.__name__}"):
                connection, story = f.Connection(authority if tls else None), Story()
                tell(connection, story)
                connection.close()
                check(sensor, story, connection, tls)


def one_id(sensor):
    """The same token by HTTP/1 and in each way of HTTP/2."""
    with rig.case("one token over HTTP/1, Huffman, raw, by reference, and in CONTINUATION frames has one id"):
        story = Story()
        t = story.token()
        w = f.Wire()
        w.ask(f"GET /one HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {t}\r\n\r\n".encode())
        w.answer(b"HTTP/1.1 204 No Content\r\n\r\n")
        w.close()
        for huffman in (True, False):
            c = f.Connection()
            c.exchange("/two", 204, token=t, huffman=huffman)
            c.exchange("/indexed", 204, token=t)
            stream = c.new_stream()
            block = c.block("/pieces") + f.not_kept(f.AUTHORIZATION, f"Bearer {t}", huffman)
            c.ask(f.headers_in_pieces(stream, block, 5))
            c.answer(f.headers(stream, c.status(204)))
            c.close()
        want = collections.Counter({("1.1", "/one", 204): 1, ("2", "/two", 204): 2, ("2", "/indexed", 204): 2,
                                    ("2", "/pieces", 204): 2})
        sensor.wait_uses(sensor.ids([t]), 2 * want.total())
        for direction in ("egress", "ingress"):
            got = [(u["http"]["version"], u["http"]["path"], u["http"].get("status"))
                   for u in sensor.uses(sensor.ids([t]), direction)]
            rig.need_equal(collections.Counter(got), want, direction)


def main():
    rig.need_root()
    work = rig.work_dir("wire")
    authority = rig.Authority(work)
    sensor = rig.Sensor(work)
    one_id(sensor)
    stories(sensor, authority)
    with rig.case("the sensor ends with status 0, all uses were of these tokens, and nothing was lost"):
        seen.nothing_lost(sensor)
        mine = [u for u in sensor.records() if u["process"]["pid"] == os.getpid()]
        rig.need(all(u["token"].get("readable", True) for u in mine), "a use is unreadable")
    rig.finish()


main()
