#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is not HTTP gives no use: random bytes, bytes that look like frames, other protocols, and HTTP/2
that goes wrong, on connections that the sensor sees from their first byte and on some that it joins."""
import os
import random
import socket
import struct
import sys
import threading

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import frames  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

SEED = int(os.environ.get("SEED", "20"))
CONNECTIONS, BYTES = 40, 12000	# of each kind; bytes in each direction
KINDS = {}


def kind(make):
    """Entered in KINDS: a function of a random.Random that makes one piece of the stream."""
    KINDS[make.__name__] = make
    return make


@kind
def random_bytes(r):
    return r.randbytes(r.randrange(1, 400))


@kind
def frame_headers(r):
    """Nine bytes as HTTP/2 has them before bytes that are no such frame, often of another length."""
    length = r.randrange(0, 300)
    whole = frames.frame(r.randrange(12), r.randrange(256), r.randrange(1 << 31), r.randbytes(length))
    return whole[:r.randrange(9, 330)]


@kind
def mostly_zeros(r):
    return bytes(r.choice((0, 0, 0, 0, 1, 4, 5, 9)) for _ in range(r.randrange(9, 200)))


@kind
def redis(r):
    words = [r.choice(("SET", "GET", "HSET", "AUTH")), letters(r, 12), letters(r, r.randrange(1, 90))]
    out = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
    return out.encode() + r.choice((b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"-WRONGPASS no\r\n"))


@kind
def postgresql(r):
    body = b"SELECT * FROM t WHERE a = '" + letters(r, r.randrange(60)).encode() + b"'\0"
    return b"Q" + struct.pack(">I", len(body) + 4) + body + b"Z\0\0\0\x05I" + b"D" + struct.pack(">IH", 20, 1) + \
        struct.pack(">I", 10) + r.randbytes(10)


@kind
def mysql(r):
    body = b"\x03SELECT " + r.randbytes(r.randrange(100))
    return struct.pack("<I", len(body))[:3] + bytes([r.randrange(4)]) + body


@kind
def kafka(r):
    body = struct.pack(">hhI", r.randrange(60), r.randrange(12), r.randrange(1 << 31)) + r.randbytes(r.randrange(200))
    return struct.pack(">I", len(body)) + body


@kind
def tls_records(r):
    body = r.randbytes(r.randrange(1, 300))
    return bytes([r.choice((20, 21, 22, 23)), 3, 3]) + struct.pack(">H", len(body)) + body


@kind
def websocket(r):
    body = r.randbytes(r.randrange(126))
    return bytes([0x82, 0x80 | len(body)]) + r.randbytes(4) + body


@kind
def amqp(r):
    body = r.randbytes(r.randrange(120))
    return bytes([r.randrange(1, 4)]) + struct.pack(">HI", r.randrange(4), len(body)) + body + b"\xce"


@kind
def mongodb(r):
    body = struct.pack("<I", 0) + b"\0" + r.randbytes(r.randrange(150))
    return struct.pack("<iiii", 16 + len(body), r.randrange(1 << 30), 0, 2013) + body


@kind
def text_lines(r):
    return f"{letters(r, r.randrange(80))}: Bearer {letters(r, 40)}\r\n".encode()


@kind
def http_1_without_credential(r):
    return f"GET /{letters(r, 5)} HTTP/1.1\r\nHost: localhost\r\nX-A: {letters(r, 20)}\r\n\r\n".encode()


def letters(r, length):
    return "".join(r.choice(rig.ALNUM) for _ in range(length))


def stream_of(make, seed, preface=b""):
    r, out = random.Random(seed), preface
    while len(out) < BYTES:
        out += make(r)
    return out


class Noise:
    """A connection with something else on it, in both directions at a time, in writes of random sizes."""

    def __init__(self, make, seed, preface=b""):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.ends = [socket.create_connection(listener.getsockname())]
            self.ends.append(listener.accept()[0])
        self.seed = seed
        self.streams = [stream_of(make, f"{seed} out", preface), stream_of(make, f"{seed} back")]

    def run(self, first, last):
        """Sends this part of both streams, each as one writer and one reader."""
        threads = []
        for way in (0, 1):
            data = self.streams[way][int(first * BYTES):int(last * BYTES)]
            threads += [threading.Thread(target=self.write, args=(self.ends[way], data, f"{self.seed} {way} {first}")),
                        threading.Thread(target=self.read, args=(self.ends[1 - way], len(data)))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
            rig.need(not t.is_alive(), "a stream did not arrive")

    @staticmethod
    def write(end, data, seed):
        r, at = random.Random(seed), 0
        while at < len(data):
            size = r.choice((1, 8, 9, 10, 64, 500, 4000))
            end.sendall(data[at:at + size])
            at += size

    @staticmethod
    def read(end, left):
        while left > 0:
            left -= len(end.recv(min(left, 4096)))

    def close(self):
        for e in self.ends:
            e.close()


def of_this_process(sensor):
    return [u for u in sensor.records() if u["process"]["pid"] == os.getpid()]


def no_use(sensor, what):
    """A request that comes after all that, and is seen, shows that nothing of it is still on its way."""
    t = rig.token()
    c = frames.Connection()
    c.exchange("/after", 200, token=t)
    c.close()
    token_id = sensor.ids([t])[0]
    sensor.wait_uses(token_id, 2)
    uses = of_this_process(sensor)
    known = [u for u in uses if u["token"]["id"] == token_id]
    rig.need_equal(sorted((u["direction"], u["http"]["path"]) for u in known),
                   [("egress", "/after"), ("ingress", "/after")], "the request afterwards")
    no_use.seen += len(known)
    rig.need_equal(len(uses), no_use.seen, f"uses after {what}, such as {[u for u in uses if u not in known][-1:]}")


no_use.seen = 0


def main():
    rig.need_root()
    work = rig.work_dir("noise")
    print(f"SEED={SEED}")
    joined = {name: [Noise(make, f"{SEED} {name} joined {n}") for n in range(CONNECTIONS)]
              for name, make in KINDS.items()}
    for noise in sum(joined.values(), []):
        noise.run(0, 0.3)
    sensor = rig.Sensor(work)
    for name, make in KINDS.items():
        with rig.case(f"{name} from the first byte"):
            for n in range(CONNECTIONS):
                noise = Noise(make, f"{SEED} {name} {n}")
                noise.run(0, 1)
                noise.close()
            no_use(sensor, name)
        with rig.case(f"{name} joined in the middle"):
            for noise in joined[name]:
                noise.run(0.3, 1)
                noise.close()
            no_use(sensor, f"{name} joined in the middle")
    for name in ("random_bytes", "frame_headers", "mostly_zeros"):
        with rig.case(f"{name} after the connection preface of HTTP/2"):
            for n in range(CONNECTIONS):
                noise = Noise(KINDS[name], f"{SEED} {name} preface {n}", frames.PREFACE + frames.frame(4, 0, 0))
                noise.run(0, 1)
                noise.close()
            no_use(sensor, f"{name} after the preface")
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
        print(f"counted as not reported: {sensor.losses()}")
    rig.finish()


main()
