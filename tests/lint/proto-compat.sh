#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What consumers of the Kafka topics rely on: a field keeps its number, type and name for ever, and
# a number is never used again. schemas/fields.lock records them; "proto-compat.sh --add" appends
# fields that are new (then raise schemas/VERSION), and nothing takes a line out of it.
set -euo pipefail

cd "$(dirname "$0")/../.."
lock=schemas/fields.lock
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
	echo "not ok schemas keep their promises: $1"
	failed=1
}

protoc -Ischemas --descriptor_set_out="$work/set" schemas/tokentrail/v1/*.proto

# Lines "Message number type name", as protoc's own descriptor has them.
python3 - "$work/set" >"$work/now" <<'PY'
import sys

def fields(data):
    """(number, value) of one message in wire format: varints as int, the rest as bytes."""
    at = 0
    def varint():
        nonlocal at
        n = shift = 0
        while True:
            b = data[at]
            at += 1
            n |= (b & 0x7f) << shift
            shift += 7
            if b < 0x80:
                return n
    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 2:
            size = varint()
            yield tag >> 3, data[at:at + size]
            at += size
        else:
            raise SystemExit(f"wire type {tag & 7} in a descriptor")

def message(data, prefix):
    """descriptor.proto: name = 1, field = 2, nested_type = 3."""
    parts = list(fields(data))
    name = prefix + next(v for n, v in parts if n == 1).decode()
    for n, v in parts:
        if n == 3:
            message(v, name + ".")
        if n != 2:
            continue
        f = dict(fields(v))     # name = 1, number = 3, label = 4, type = 5, type_name = 6
        kind = f[6].decode() if 6 in f else f"type{f[5]}"
        print(name, f[3], kind + ("[]" if f[4] == 3 else ""), f[1].decode())

for n, file in fields(open(sys.argv[1], "rb").read()):
    parts = list(fields(file))
    package = next(v for k, v in parts if k == 2).decode()
    for k, v in parts:
        if k == 4:
            message(v, package + ".")
PY
LC_ALL=C sort -k1,1 -k2,2n "$work/now" >"$work/fields"

if [ "${1:-}" = --add ]; then
	{ sed -n '/^#/p' "$lock"; { sed '/^#/d' "$lock"; cat "$work/fields"; } | LC_ALL=C sort -u -k1,1 -k2,2n -k3; } >"$work/lock"
	cp "$work/lock" "$lock"
fi

while read -r name number type field; do
	now=$(awk -v m="$name" -v n="$number" '$1 == m && $2 == n { print $3, $4 }' "$work/fields")
	if [ -z "$now" ]; then
		# Gone is fine; its number then has to be reserved in the .proto.
		message=${name##*.}
		awk -v m="$message" '$1 == "message" { in_it = $2 == m } in_it && /reserved/' schemas/tokentrail/v1/*.proto |
			grep -qw "$number" || complain "$name: $field = $number is gone and its number is not reserved"
	elif [ "$now" != "$type $field" ]; then
		complain "$name: number $number was '$type $field' and is now '$now'"
	fi
done < <(sed '/^#/d' "$lock")

while read -r line; do
	grep -qxF "$line" "$lock" || complain "not in $lock: $line (run tests/lint/proto-compat.sh --add, raise schemas/VERSION)"
done <"$work/fields"

version=$(cat schemas/VERSION)
grep -qF "#define RECORD_SCHEMA \"$version\"" src/sinks/record.h ||
	complain "schemas/VERSION is $version, RECORD_SCHEMA in src/sinks/record.h is not"
grep -qF "fields of version $version " "$lock" ||
	complain "$lock was made for another version than $version: its first line"

# Every field says what it is, with an example.
bare=$(awk '/^ +[a-z].* = [0-9]+/ && prev !~ /^ +\/\// { print FILENAME ":" $0 } { prev = $0 }' \
	schemas/tokentrail/v1/*.proto)
[ -z "$bare" ] || complain "a field without a comment: $bare"

[ $failed = 1 ] || echo "ok schemas keep their promises ($(wc -l <"$work/fields") fields)"
exit $failed
