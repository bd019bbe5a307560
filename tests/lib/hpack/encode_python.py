#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fills a plan (plan.c) with blocks of Python's hpack package: encode_python.py <PLAN >BLOCKS

Each connection chooses Huffman coding or not by its place, as this encoder doesn't choose by length.
"""
import struct
import sys

try:
    import hpack
except ImportError:
    print("encode_python: the package python3-hpack is not installed", file=sys.stderr)
    sys.exit(77)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        if self.at > len(self.data):
            sys.exit("encode_python: the plan ends in the middle")
        return self.data[self.at - n:self.at]

    def u32(self):
        return struct.unpack("<I", self.take(4))[0]

    def text(self):
        return self.take(self.u32())

    def fields(self):
        count, = struct.unpack("<H", self.take(2))
        return [(self.take(1)[0], self.text(), self.text()) for _ in range(count)]


def block_record(encoder, huffman, raw, fields):
    """raw: the fields as they stood in the plan; they follow the block as they are."""
    headers = [hpack.NeverIndexedHeaderTuple(n, v) if flags & 1 else hpack.HeaderTuple(n, v)
               for flags, n, v in fields]
    block = encoder.encode(headers, huffman=huffman)
    return b"B" + struct.pack("<I", len(block)) + block + raw


class Sizes:
    """The table sizes chosen between two blocks: the lowest and the last are told (RFC 7541, 4.2)."""

    def __init__(self):
        self.lowest = self.last = 4096

    def choose(self, size):
        self.lowest, self.last = min(self.lowest, size), size

    def tell(self, encoder):
        for size in (self.lowest, self.last):
            # Set twice to the same, hpack 4.0 forgets to tell the decoder.
            if size != encoder.header_table_size:
                encoder.header_table_size = size
        self.lowest = self.last


def main():
    plan = Reader(sys.stdin.buffer.read())
    write = sys.stdout.buffer.write
    if plan.take(6) != b"TTHB1\n":
        sys.exit("encode_python: not a plan")
    write(b"TTHB1\n")
    encoder, sizes, connections = None, None, 0
    while plan.at < len(plan.data):
        kind = plan.take(1)
        if kind == b"R":
            encoder, sizes, connections = hpack.Encoder(), Sizes(), connections + 1
            write(kind)
        elif kind in b"TS":
            size = plan.u32()
            sizes.choose(size if kind == b"S" else min(size, sizes.last))
            if kind == b"T":
                write(kind + struct.pack("<I", size))
        elif kind == b"B" and plan.u32() == 0:
            began = plan.at
            fields = plan.fields()
            sizes.tell(encoder)
            write(block_record(encoder, connections % 3 != 0, plan.data[began:plan.at], fields))
        else:
            sys.exit("encode_python: an unknown record")


main()
