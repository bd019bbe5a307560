#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 header blocks of three encoders (tests/lib/hpack) as requests and responses of many
connections, with the whole sensor running: each credential is a use with the id that `tokentrail
fingerprint` gives it, its method, host and status, in both directions, and nothing else is one."""
import base64
import collections
import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

HPACK = os.path.join(rig.TOOLS, "hpack")
ENCODERS = {
    "nghttp2": (21, [os.path.join(HPACK, "encode_nghttp2")]),
    "go": (22, [os.path.join(HPACK, "encode_go")]),
    "python": (23, [os.path.join(rig.ROOT, "tests", "lib", "hpack", "encode_python.py")]),
}
BLOCKS = 3400
BATCH = 16
CREDS_MAX = 4	# of a head: TT_CREDS_MAX
HEADERS, SETTINGS, CONTINUATION = 1, 4, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
WHOLE = {b"x-api-key", b"private-token", b"x-goog-api-key", b"api-key", b"x-vault-token", b"x-auth-token",
         b"x-amz-security-token"}
SCHEMED = {b"authorization", b"proxy-authorization"}

Block = collections.namedtuple("Block", "bytes fields")


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">BHBBI", len(payload) >> 16, len(payload) & 0xffff, kind, flags, stream) + payload


def headers(stream, block, end):
    """HEADERS of at most 4 KiB, the rest in CONTINUATION."""
    pieces = [block[i:i + 4096] for i in range(0, len(block), 4096)] or [b""]
    out = b""
    for i, piece in enumerate(pieces):
        flags = END_HEADERS if i == len(pieces) - 1 else 0
        out += frame(CONTINUATION if i else HEADERS, flags | (end and not i), stream, piece)
    return out


def flows(data):
    """The connections of a file in the format of plan.c: lists of table limits and blocks."""
    at, flow = 6, None

    def take(n):
        nonlocal at
        at += n
        return data[at - n:at]

    def text():
        return take(struct.unpack("<I", take(4))[0])

    while at < len(data):
        kind = take(1)
        if kind == b"R":
            if flow is not None:
                yield flow
            flow = []
        elif kind == b"T":
            flow.append(struct.unpack("<I", take(4))[0])
        else:
            block, count = text(), struct.unpack("<H", take(2))[0]
            flow.append(Block(block, [(take(1), text(), text())[1:] for _ in range(count)]))
    yield flow


class Connection:
    """Both ends in this process."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            self.ends = (client, listener.accept()[0])
        self.out = [b"", b""]
        for s in self.ends:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            s.settimeout(20)

    def flush(self, side):
        data, self.out[side] = self.out[side], b""
        for i in range(0, len(data), 50000):
            part = data[i:i + 50000]
            self.ends[side].sendall(part)
            left = len(part)
            while left:
                left -= len(self.ends[1 - side].recv(left))

    def limit(self, side, size):
        """The other end bounds the table of this side's encoder."""
        self.flush(side)
        self.out[1 - side] += frame(SETTINGS, 0, 0, struct.pack(">HI", 1, size))
        self.flush(1 - side)
        self.out[side] += frame(SETTINGS, ACK, 0)

    def close(self):
        for s in self.ends:
            s.close()


def field(block, name):
    return next((v for n, v in block.fields if n == name), None)


def unwrapped(name, value):
    """The credential in a field as plan.c makes them, or None."""
    if name in WHOLE:
        return value or None
    if name not in SCHEMED:
        return None
    words = value.split()
    if not words or words[-1].lower() == b"bearer":
        return None
    if words[0] == b"Digest":
        return value.split(b'"')[1]	# the user
    if words[0].lower() == b"basic":
        user, _, password = base64.b64decode(words[1]).partition(b":")
        return password or user
    return words[-1].strip(b'"')


def credentials(request):
    """Those that plan.c made; session cookies, which it makes too, take their room in a head, but for the last."""
    query = field(request, b":path").partition(b"?access_token=")[2]
    found = [query] if query else []
    for name, value in request.fields:
        cookie = name == b"cookie" and value.partition(b"=")[2]
        if (cookie and len(found) < CREDS_MAX - 1) or unwrapped(name, value):
            found.append(None if cookie else unwrapped(name, value))
    return [c for c in found[:CREDS_MAX] if c]


def next_block(flow, connection, side):
    while isinstance(flow[0], int):
        connection.limit(side, flow.pop(0))
    return flow.pop(0)


def answer(flow, connection, stream):
    """Interim responses, the response, its trailers; returns status and grpc-status."""
    status, grpc = None, None
    while True:
        block = next_block(flow, connection, 1)
        status = int(field(block, b":status") or status)
        if field(block, b"grpc-status") is not None:
            grpc = int(field(block, b"grpc-status"))
        following = next((b for b in flow if isinstance(b, Block)), None)
        end = status >= 200 and (not following or field(following, b":status") is not None)
        connection.out[1] += headers(stream, block.bytes, end)
        if end:
            return status, grpc


def play(requests, responses, want):
    connection = Connection()
    connection.out = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0), frame(SETTINGS, 0, 0)]
    connection.flush(0)
    connection.flush(1)
    stream = 1
    while requests:
        batch = []
        while requests and len(batch) < BATCH:
            block = next_block(requests, connection, 0)
            connection.out[0] += headers(stream, block.bytes, True)
            batch.append((stream, block))
            stream += 2
        connection.flush(0)
        for number, block in batch:
            status, grpc = answer(responses, connection, number)
            for c in credentials(block):
                want[(c.decode(), field(block, b":method").decode(), field(block, b":authority").decode(),
                      status, grpc)] += 1
        connection.flush(1)
    connection.close()


def blocks_of(seed, argv):
    with subprocess.Popen([os.path.join(HPACK, "plan"), str(seed), str(BLOCKS)], stdout=subprocess.PIPE) as plan:
        done = subprocess.run(argv, stdin=plan.stdout, capture_output=True, check=False)
    rig.need(plan.returncode == 0 and done.returncode == 0, f"{argv[0]}: {done.stderr[-300:]!r}")
    return done.stdout


def got_of(use):
    return (use["token"]["id"], use["http"]["method"], use["server"].get("address"), use["http"].get("status"),
            use.get("rpc", {}).get("grpc", {}).get("status_code"))


def check(sensor, want):
    tokens = sorted({t for t, *_ in want})
    ids = dict(zip(tokens, sensor.ids(tokens)))
    total = sum(want.values())
    uses = sensor.wait_uses(list(ids.values()), 2 * total, seconds=60)
    expected = collections.Counter()
    for (t, method, authority, status, grpc), count in want.items():
        host = authority.partition(":")[0]
        expected[(ids[t], method, host, status, 255 if grpc is not None and grpc > 16 else grpc)] += count
    for direction in ("egress", "ingress"):
        got = collections.Counter(got_of(u) for u in uses if u["direction"] == direction)
        wrong = list((got - expected).items())[:3] + list((expected - got).items())[:3]
        rig.need(got == expected, f"{direction}: {sum(got.values())} uses of {total}; first: {wrong}")


def main():
    rig.need_root()
    work = rig.work_dir("http2-blocks")
    sensor = rig.Sensor(work)
    want = collections.Counter()	# of all so far: Digest's user is the same in all
    for name, (seed, argv) in ENCODERS.items():
        with rig.case(f"{BLOCKS} blocks of {name}"):
            before = sum(want.values())
            todo = list(flows(blocks_of(seed, argv)))
            for requests, responses in zip(todo[::2], todo[1::2]):
                play(requests, responses, want)
            rig.need(sum(want.values()) > before + 1000, f"only {sum(want.values()) - before} credentials")
            check(sensor, want)
    rig.finish()


main()
