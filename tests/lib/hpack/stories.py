#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stories of hpack-stories.tar.xz (the hpack-test-case collection) as blocks in plan.c's format.

    stories.py ARCHIVE >BLOCKS      ends with status 77 where there is no archive
"""
import json
import os
import struct
import sys
import tarfile

HERE = os.path.dirname(os.path.realpath(__file__))
BESIDE = os.path.join(HERE, "..", "..", "..", "..", "shared", "corpora", "hpack-stories.tar.xz")


def text(s):
    b = s.encode("utf-8")
    return struct.pack("<I", len(b)) + b


def story(cases):
    """Cases of one story share a connection; the limit stays 4096 unless a case names another."""
    yield b"R"
    limit = 4096
    for case in cases:
        size = case.get("header_table_size", limit)
        if size != limit:
            yield b"T" + struct.pack("<I", size)
            limit = size
        block = bytes.fromhex(case["wire"])
        fields = [pair for header in case["headers"] for pair in header.items()]
        yield b"B" + struct.pack("<I", len(block)) + block + struct.pack("<H", len(fields))
        for name, value in fields:
            yield b"\0" + text(name) + text(value)


def main():
    archive = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TOKENTRAIL_STORIES", BESIDE)
    if not os.path.exists(archive):
        print("hpack-stories.tar.xz is not here; name it in TOKENTRAIL_STORIES", file=sys.stderr)
        sys.exit(77)
    sys.stdout.buffer.write(b"TTHB1\n")
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if member.name.endswith(".json"):
                for part in story(json.load(tar.extractfile(member))["cases"]):
                    sys.stdout.buffer.write(part)


main()
