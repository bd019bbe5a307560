#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 as it is spoken, not as it is drawn: pipelining, huge heads, folded fields, interim answers,
upgrades, tunnels, bodies that look like heads, answers without a body. TLS and plain."""
import base64
import contextlib
import os
import socket
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error


def ok(status=200, body="ok", extra=""):
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}"


def request(token, method="GET", path="/v1/items", extra="", body=""):
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"{extra}\r\n{body}")


class Wire:
    """Both ends of one connection in this process, one step at a time."""

    def __init__(self, authority, tls):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            self.client = socket.create_connection(("127.0.0.1", self.port))
            self.server = listener.accept()[0]
        for s in (self.client, self.server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(20)
        if tls:
            self.wrap(authority)

    def wrap(self, authority):
        here = ssl.create_default_context(cafile=authority.ca)
        there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        there.load_cert_chain(authority.cert, authority.key)
        done = {}

        def accept():
            done["server"] = there.wrap_socket(self.server, server_side=True)

        t = threading.Thread(target=accept)
        t.start()
        self.client = here.wrap_socket(self.client, server_hostname="localhost")
        t.join(20)
        self.server = done["server"]

    @staticmethod
    def carry(sender, receiver, text):
        """All of text from one end to the other."""
        left = len(text)
        t = threading.Thread(target=sender.sendall, args=(text.encode("latin-1"),))
        t.start()
        while left > 0:
            got = receiver.recv(65536)
            rig.need(got, "the other end closed")
            left -= len(got)
        t.join(20)

    def ask(self, *pieces):
        for p in pieces:
            self.carry(self.client, self.server, p)

    def answer(self, *pieces):
        for p in pieces:
            self.carry(self.server, self.client, p)

    def close(self):
        for s in (self.client, self.server):
            with contextlib.suppress(OSError):
                s.close()


class Story:
    """What goes over one connection, and the (method, path, status) each token must be seen with."""

    def __init__(self):
        self.want = {}

    def token(self, status, method="GET", path="/v1/items"):
        t = rig.token()
        self.want[t] = [(method, path, status)]
        return t

    def unseen(self):
        t = rig.token()
        self.want[t] = []
        return t


def pipelining(w, s):
    a, b, c = s.token(200), s.token(404), s.token(503)
    w.ask(request(a) + request(b) + request(c))
    w.answer(ok() + ok(404, "gone") + ok(503, ""))
    d = s.token(201, "POST")
    w.ask(request(d, "POST", extra="Content-Length: 3\r\n", body="a=b"))
    w.answer(ok(201))


def pipelined_cut_anywhere(w, s):
    tokens = [s.token(200) for _ in range(4)]
    text = "".join(request(t) for t in tokens)
    w.ask(*(text[i:i + 37] for i in range(0, len(text), 37)))
    text = ok() * 4
    w.answer(*(text[i:i + 13] for i in range(0, len(text), 13)))


def head_of_40_kib(w, s):
    before, after = s.token(200), s.token(200)
    pad = "".join(f"X-Pad-{i}: {'p' * 1000}\r\n" for i in range(40))
    w.ask(request(before, extra=pad))
    w.answer(ok())
    text = (f"GET /v1/items HTTP/1.1\r\nHost: localhost\r\n{pad}Authorization: Bearer {after}\r\n\r\n")
    w.ask(*(text[i:i + 9000] for i in range(0, len(text), 9000)))
    w.answer(ok())


def one_field_of_20_kib(w, s):
    t = s.token(200)
    w.ask(request(t, extra=f"Cookie: a={'c' * 20000}\r\n"))
    w.answer(ok())


def folded_field(w, s):
    t = s.token(200)
    w.ask(f"GET /v1/items HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n  c\r\nAuthorization: Bearer\r\n {t}\r\n\r\n")
    w.answer(ok())


def expect_100_continue(w, s):
    t = s.token(201, "PUT")
    w.ask(request(t, "PUT", extra="Expect: 100-continue\r\nContent-Length: 5\r\n"))
    w.answer("HTTP/1.1 100 Continue\r\n\r\n")
    w.ask("hello")
    w.answer(ok(201))
    u = s.token(417, "PUT")
    w.ask(request(u, "PUT", extra="Expect: 100-continue\r\nContent-Length: 5\r\n"))
    w.answer(ok(417, ""))


def early_hints(w, s):
    t = s.token(200)
    w.ask(request(t))
    w.answer("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok())


def websocket(w, s):
    t, inside = s.token(101), s.unseen()
    w.ask(request(t, extra="Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode() + "\r\n"))
    w.answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    w.ask("\x81\x7e" + request(inside), request(inside))
    w.answer("\x81\x02ok")


def body_like_a_head(w, s):
    t, inside, after = s.token(200, "POST"), s.unseen(), s.token(204)
    body = "x\r\n\r\n" + request(inside) + request(inside)
    w.ask(request(t, "POST", extra=f"Content-Length: {len(body)}\r\n"), body)
    answer_body = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" + request(inside)
    w.answer(ok(200, answer_body))
    w.ask(request(after))
    w.answer("HTTP/1.1 204 No Content\r\n\r\n")


def chunked(w, s):
    t, inside, after = s.token(200, "POST"), s.unseen(), s.token(200)
    piece = request(inside)
    body = f"{len(piece):x};ext=\"a\"\r\n{piece}\r\n{len(piece):X}\r\n{piece}\r\n0\r\nX-Sum: 1\r\n\r\n"
    text = request(t, "POST", extra="Transfer-Encoding: chunked\r\n", body=body)
    w.ask(*(text[i:i + 50] for i in range(0, len(text), 50)))
    w.answer(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{len(piece):x}\r\n{piece}\r\n0\r\n\r\n")
    w.ask(request(after))
    w.answer(ok())


def answers_without_body(w, s):
    for method, status, answer in (
            ("HEAD", 200, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
            ("GET", 204, "HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", 304, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n"),
            ("DELETE", 202, ok(202, ""))):
        w.ask(request(s.token(status, method), method))
        w.answer(answer)


def bad_head_then_good(w, s):
    # Which answer belongs to which request is not sure after that: no status rather than a guess.
    t = s.token(None)
    w.ask("GET /v1/items HTTP/1.1\r\nHost: localhost\r\nthis is no field\r\n\r\n")
    w.answer(ok(400, "bad"))
    w.ask(request(t))
    w.answer(ok())


def http_1_0(w, s):
    t = s.token(200)
    w.ask(f"GET /v1/items HTTP/1.0\r\nAuthorization: Bearer {t}\r\n\r\n")
    w.answer("HTTP/1.0 200 OK\r\n\r\nuntil the end")


STORIES = [pipelining, pipelined_cut_anywhere, head_of_40_kib, one_field_of_20_kib, folded_field,
           expect_100_continue, early_hints, websocket, body_like_a_head, chunked,
           answers_without_body, bad_head_then_good, http_1_0]


def check(sensor, story):
    tokens = list(story.want)
    ids = sensor.ids(tokens)
    want_total = sum(len(w) for w in story.want.values())
    sensor.wait_uses(ids, 2 * want_total)
    for t, token_id in zip(tokens, ids):
        for direction in ("egress", "ingress"):
            got = [(u["http"]["method"], u["http"]["path"], u["http"].get("status"))
                   for u in sensor.uses(token_id, direction)]
            rig.need_equal(got, story.want[t], f"{direction} of token {tokens.index(t) + 1}")


def stories(sensor, authority):
    for tls in (True, False):
        for tell in STORIES:
            with rig.case(f"{'tls' if tls else 'plain'}: {tell.__name__}"):
                story, wire = Story(), Wire(authority, tls)
                tell(wire, story)
                wire.close()
                check(sensor, story)


class Proxy(threading.Thread):
    """Answers one CONNECT and joins the two sockets until one of them ends."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        client, _ = self.listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        host, _, port = head.split()[1].decode().rpartition(":")
        there = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=self.copy, args=(there, client), daemon=True)
        back.start()
        self.copy(client, there)

    @staticmethod
    def copy(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)


def tunnel(sensor, authority, nginx):
    with rig.case("curl through a CONNECT proxy: the proxy's credential and the service's are two uses"):
        proxy, password, inside = Proxy(), rig.token(), rig.token()
        proxy.start()
        rig.run(["curl", "-sS", "--http1.1", "--cacert", authority.ca, "-x",
                 f"http://user:{password}@127.0.0.1:{proxy.port}", "-H", f"Authorization: Bearer {inside}",
                 f"https://localhost:{nginx.tls}/denied"])
        ids = sensor.ids([password, inside])
        sensor.wait_uses(ids, 4)
        for token_id, method, status, scheme in ((ids[0], "CONNECT", 200, "basic"), (ids[1], "GET", 403, "bearer")):
            for direction in ("egress", "ingress"):
                got = [(u["http"]["method"], u["http"].get("status"), u["token"]["scheme"])
                       for u in sensor.uses(token_id, direction)]
                rig.need_equal(got, [(method, status, scheme)], f"{direction} of {method}")


def nginx_large(sensor, authority, nginx):
    with rig.case("curl with a head of 40 KiB to nginx"):
        t = rig.token()
        pad = [a for i in range(40) for a in ("-H", f"X-Pad-{i}: {'p' * 1000}")]
        rig.run(["curl", "-sS", "--http1.1", "--cacert", authority.ca, *pad, "-H", f"Authorization: Bearer {t}",
                 f"https://localhost:{nginx.tls}/gone"])
        uses = sensor.wait_uses(sensor.ids([t])[0], 2)
        rig.need_equal(sorted((u["direction"], u["http"].get("status")) for u in uses),
                       [("egress", 404), ("ingress", 404)], "uses")


def losses(sensor):
    with rig.case("the bad head is counted by its reason, and nothing else was lost"):
        sensor.stop()
        counts = sensor.losses()
        rig.need_equal(counts.get("bad_header"), 4, f"bad heads, TLS and plain, in each direction, of {counts}")
        rig.need(not set(counts) & {"ring_full", "scratch_busy", "call_lost"}, f"lost: {counts}")


def main():
    rig.need_root()
    work = rig.work_dir("http1")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    config = os.path.join(work, "http1.yaml")
    with open(config, "w", encoding="ascii") as f:
        f.write("http:\n  status_wait: 3s\n")
    sensor = rig.Sensor(work, "--config", config)
    stories(sensor, authority)
    tunnel(sensor, authority, nginx)
    nginx_large(sensor, authority, nginx)
    losses(sensor)
    rig.finish()


main()
