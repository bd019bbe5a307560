# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: both ends of one connection in this process, one frame at a time, so that a test
decides each byte. Header blocks are made by Python's hpack, or from the literals below."""
import contextlib
import socket
import ssl
import struct
import sys
import threading

import peers
import rig

try:
    sys.path.append(peers.python_path())
except rig.Skip as why:
    print(f"skip all of it: {why}")
    sys.exit(0)
import hpack  # noqa: E402  pylint: disable=wrong-import-position,import-error
from hpack.huffman import HuffmanEncoder  # noqa: E402  pylint: disable=wrong-import-position,import-error
from hpack.huffman_constants import (REQUEST_CODES,  # noqa: E402  pylint: disable=wrong-import-position,import-error
                                     REQUEST_CODES_LENGTH)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 0x20
HEADER_TABLE_SIZE = 1
AUTHORIZATION = 23	# its row of the static table, RFC 7541, appendix A


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">BHBBI", len(payload) >> 16, len(payload) & 0xffff, kind, flags, stream) + payload


def headers(stream, block, flags=END_STREAM):
    return frame(HEADERS, END_HEADERS | flags, stream, block)


def headers_in_pieces(stream, block, size, flags=END_STREAM):
    """HEADERS and as many CONTINUATION as it takes."""
    pieces = [block[i:i + size] for i in range(0, len(block), size)]
    out = frame(HEADERS, flags | (END_HEADERS if len(pieces) == 1 else 0), stream, pieces[0])
    for i, piece in enumerate(pieces[1:], 2):
        out += frame(CONTINUATION, END_HEADERS if i == len(pieces) else 0, stream, piece)
    return out


def integer(value, prefix_bits, first=0):
    """RFC 7541, 5.1."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def text(value, huffman):
    value = value.encode("latin-1")
    if huffman:
        value = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(value)
    return integer(len(value), 7, 0x80 if huffman else 0) + value


def literal(first, prefix_bits, name, value, huffman):
    """A literal field; name is a row of a table, or text."""
    row = integer(name, prefix_bits, first) if isinstance(name, int) else bytes([first]) + text(name, huffman)
    return row + text(value, huffman)


def kept(name, value, huffman=True):
    """Literal with incremental indexing."""
    return literal(0x40, 6, name, value, huffman)


def not_kept(name, value, huffman=True):
    return literal(0, 4, name, value, huffman)


def never_kept(name, value, huffman=True):
    return literal(0x10, 4, name, value, huffman)


def table_size(size):
    return integer(size, 5, 0x20)


class Wire:
    """Both ends of a connection: bytes go from one to the other, whole, before the next ones do."""

    def __init__(self, authority=None):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            self.client = socket.create_connection(("127.0.0.1", self.port))
            self.server = listener.accept()[0]
        for s in (self.client, self.server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(20)
        self.client_port = self.client.getsockname()[1]
        if authority:
            self.wrap(authority)

    def wrap(self, authority):
        here = ssl.create_default_context(cafile=authority.ca)
        there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        there.load_cert_chain(authority.cert, authority.key)
        for context in (here, there):
            context.set_alpn_protocols(["h2"])
        done = []
        t = threading.Thread(target=lambda: done.append(there.wrap_socket(self.server, server_side=True)))
        t.start()
        self.client = here.wrap_socket(self.client, server_hostname="localhost")
        t.join(20)
        self.server = done[0]
        rig.need_equal(self.client.selected_alpn_protocol(), "h2", "ALPN")

    @staticmethod
    def carry(sender, receiver, data):
        left = len(data)
        t = threading.Thread(target=sender.sendall, args=(data,))
        t.start()
        while left > 0:
            got = receiver.recv(65536)
            rig.need(got, "the other end closed")
            left -= len(got)
        t.join(20)

    def ask(self, data, cut=0):
        """To the server, in pieces of `cut` bytes if not 0."""
        for i in range(0, len(data), cut or len(data)):
            self.carry(self.client, self.server, data[i:i + (cut or len(data))])

    def answer(self, data, cut=0):
        for i in range(0, len(data), cut or len(data)):
            self.carry(self.server, self.client, data[i:i + (cut or len(data))])

    def close(self):
        for s in (self.client, self.server):
            with contextlib.suppress(OSError):
                s.close()


class Connection(Wire):
    """A Wire on which HTTP/2 is spoken, with an encoder for each direction."""

    def __init__(self, authority=None, greet=True):
        super().__init__(authority)
        self.out, self.back = hpack.Encoder(), hpack.Encoder()
        self.stream = -1
        if greet:
            self.ask(PREFACE + frame(SETTINGS, 0, 0))
            self.answer(frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))
            self.ask(frame(SETTINGS, ACK, 0))

    def new_stream(self):
        self.stream += 2
        return self.stream

    def block(self, path, method="GET", token=None, huffman=True, more=()):
        """A header block made by hpack; what it saw before goes by reference."""
        fields = [(":method", method), (":scheme", "https"), (":authority", f"localhost:{self.port}"), (":path", path)]
        fields += [("authorization", f"Bearer {token}")] if token else []
        return self.out.encode([*fields, *more], huffman=huffman)

    def status(self, status, more=(), huffman=True):
        return self.back.encode([(":status", str(status)), *more], huffman=huffman)

    def request(self, path, method="GET", token=None, huffman=True, more=()):
        """(stream, frame) of a request without a body"""
        stream = self.new_stream()
        return stream, headers(stream, self.block(path, method, token, huffman, more))

    def exchange(self, path, status, **kw):
        """A request and its answer."""
        stream, data = self.request(path, **kw)
        self.ask(data)
        self.answer(headers(stream, self.status(status)))
