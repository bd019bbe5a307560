#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a tokentrail topic from its beginning to its end and prints one JSON object a record.

    kafka_read.py --brokers 127.0.0.1:9092 --topic tokentrail.uses [--set security.protocol=SSL]...
    {"token": {"id": "tt1_...", ...}, "count": 1, ..., "kafka": {"topic": ..., "partition": 0,
     "offset": 7, "timestamp_ms": ..., "key": "tt1_...", "headers": {"tt-node": ..., "tt-seq": ...}}}

The decoder shares no code with the sensor: kcat fetches, Google's protoc decodes by schemas/*.proto.
Record times stay integers (Unix nanoseconds); a tombstone has "kafka" only. Exit status 0; 1: the topic can't be read or a record
is not what its topic should hold. Needs kcat and protoc, nothing else.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

MESSAGES = {"uses": "Use", "tokens": "Token", "mints": "Mint", "coverage": "Coverage", "loss": "Loss"}
ESCAPES = {"n": 10, "r": 13, "t": 9}
WORDS = {"true": True, "false": False}


def fetch(brokers, topic, settings, timeout):
    """All records of a topic, as (fields of kcat's line, key, payload)."""
    command = ["kcat", "-q", "-C", "-e", "-o", "beginning", "-b", brokers, "-t", topic,
               "-f", "%p\t%o\t%T\t%K\t%S\t%h\n%k%s\n"]
    for setting in ["topic.auto.offset.reset=earliest", *settings]:
        command += ["-X", setting]
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=timeout).stdout
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        line = out[at:end].decode().split("\t", 5)
        key_len, payload_len = max(int(line[3]), 0), int(line[4])
        at = end + 1
        key = out[at:at + key_len]
        payload = out[at + key_len:at + key_len + payload_len] if payload_len >= 0 else None
        at += key_len + max(payload_len, 0) + 1
        yield line, key, payload


def varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def unquote(text):
    out = bytearray()
    for m in re.finditer(r'\\([0-7]{3})|\\(.)|([^\\]+)', text[1:-1]):
        if m[1]:
            out.append(int(m[1], 8))
        elif m[2]:
            out.append(ESCAPES.get(m[2], ord(m[2])))
        else:
            out += m[3].encode()
    return out.decode()


def parse(lines):
    """protoc's text format -> dict, up to the closing brace."""
    out = {}
    for line in lines:
        line = line.strip()
        if line == "}":
            return out
        if line.endswith(" {"):
            out[line[:-2]] = parse(lines)
        else:
            name, value = line.split(": ", 1)
            if not re.fullmatch(r"[a-z_]+", name):
                raise ValueError(f"a field that the schema does not know: {line}")
            if value.startswith('"'):
                out[name] = unquote(value)
            else:
                out[name] = WORDS[value] if value in WORDS else int(value)
    return out


def decode(payloads, message, schemas):
    """One call for all of them: they are wrapped as the repeated member of one message."""
    file = message.lower()
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/all.proto", "w", encoding="ascii") as f:
            f.write(f'syntax = "proto3"; import "tokentrail/v1/{file}.proto";\n'
                    f"message All {{ repeated tokentrail.v1.{message} all = 1; }}\n")
        text = subprocess.run(["protoc", "-I", schemas, "-I", folder, "--decode=All", "all.proto"],
                              input=b"".join(b"\n" + varint(len(p)) + p for p in payloads),
                              stdout=subprocess.PIPE, check=True).stdout.decode()
    lines = iter(text.splitlines())
    records = []
    for line in lines:
        if line.strip() != "all {":
            raise ValueError(f"not a {message}: {line}")
        record = parse(lines)
        if "timestamp" in record:
            record["@timestamp"] = record.pop("timestamp")
        records.append(record)
    if len(records) != len(payloads):
        raise ValueError(f"{len(payloads)} records, {len(records)} of them decoded")
    return records


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    ap = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    ap.add_argument("--brokers", required=True, help="host:port,...")
    ap.add_argument("--topic", required=True)
    ap.add_argument("--message", choices=sorted(MESSAGES.values()),
                    help="what the records are; told from the end of the topic's name otherwise")
    ap.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                    help="a librdkafka setting for kcat")
    ap.add_argument("--schemas", default=os.path.join(here, "../../schemas"))
    ap.add_argument("--json", action="store_true", help="what it does anyway")
    ap.add_argument("--timeout", type=float, default=60, help="seconds")
    args = ap.parse_args()
    message = args.message or MESSAGES.get(args.topic.rpartition(".")[2])
    if not message:
        ap.error("--message is needed for this topic")

    try:
        rows = list(fetch(args.brokers, args.topic, args.set, args.timeout))
        records = iter(decode([p for _, _, p in rows if p is not None], message, args.schemas))
    except (subprocess.SubprocessError, ValueError) as e:
        print(f"kafka_read.py: {args.topic}: {e}", file=sys.stderr)
        return 1
    for (partition, offset, when, _, _, headers), key, payload in rows:
        record = next(records) if payload is not None else {}
        record["kafka"] = {
            "topic": args.topic, "partition": int(partition), "offset": int(offset),
            "timestamp_ms": int(when), "key": key.decode(),
            "headers": dict(h.split("=", 1) for h in headers.split(",") if "=" in h),
        }
        print(json.dumps(record, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
