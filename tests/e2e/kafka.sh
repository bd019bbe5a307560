#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Kafka sink against a real Apache Kafka: nothing lost, nothing doubled, whoever is killed; and
# what a refusal leaves. Needs java, maven, openssl, kcat, protoc, python3, cc; no privileges.
# Prints "ok NAME" or "not ok NAME: why" per case. Run it from anywhere; KAFKA_FEED names a driver
# that is built already.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
work=$(mktemp -d "${TMPDIR:-/tmp}/tokentrail-e2e-kafka-XXXXXX")
failed=0
feeder=

free_ports() {	# the first of three in a row
	python3 - <<'PY'
import random, socket
for _ in range(100):
    base = random.randrange(20000, 32000)
    try:
        with socket.socket() as a, socket.socket() as b, socket.socket() as c:
            for i, s in enumerate((a, b, c)):
                s.bind(("127.0.0.1", base + i))
        print(base)
        break
    except OSError:
        pass
PY
}

KAFKA_PORT=$(free_ports)
export KAFKA_PORT KAFKA_DIR=$work/broker
boot=127.0.0.1:$KAFKA_PORT
secure=127.0.0.1:$((KAFKA_PORT + 2))

broker() { "$here/../lib/kafka-up.sh" "$@" >>"$work/broker.log" 2>&1; }
ok() { echo "ok $1"; }
not_ok() {
	echo "not ok $1: $2"
	failed=1
	tail -n 5 "$work/$1".* 2>/dev/null | sed 's/^/  | /' >&2
}

# shellcheck disable=SC2317  # by the trap
clean_up() {
	[ -z "$feeder" ] || kill -9 "$feeder" 2>/dev/null
	broker kill9
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

build_feeder() {
	local flags="-D_GNU_SOURCE -I$root/src -I$root/include -I$root/build/gen"
	# shellcheck disable=SC2046,SC2086  # they are lists
	cc -std=gnu11 -O1 -g $flags -o "$work/kafka_feed" "$here/kafka_feed.c" "$root/build/libtokentrail.a" \
		$(pkg-config --libs rdkafka libprotobuf-c zlib libcrypto) -pthread
}

topic() { "$feed" --brokers "$boot" --topic "$@" 2>>"$work/broker.log"; }

# start CASE ARGS...: a driver in the background, its lines in CASE.out and CASE.err
start() {
	local case=$1
	shift
	"$feed" --spool "$work/$case.spool" "$@" >>"$work/$case.out" 2>>"$work/$case.err" &
	feeder=$!
}

run() {
	start "$@"
	wait "$feeder"
	local status=$?
	feeder=
	return $status
}

kill_feeder() {
	kill -9 "$feeder" 2>/dev/null
	wait "$feeder" 2>/dev/null
	feeder=
}

# The newest value of a counter in the driver's lines.
now() { sed -n "\$s/.* $2=\([0-9]*\).*/\1/p" "$work/$1.out"; }

# until_made CASE N: waits for the driver to have fed so many, 20 s at most
until_made() {
	for _ in $(seq 200); do
		[ "$(now "$1" made || echo 0)" -ge "$2" ] 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

# read_back TOPIC: "records, sum of counts, distinct pids, distinct (spool, seq)"
read_back() {
	"$here/../lib/kafka_read.py" --brokers "$boot" --topic "$1" >"$work/read.json" || return 1
	python3 - "$work/read.json" <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
pids = {r["process"]["pid"] for r in rows}
heads = [r["kafka"]["headers"] for r in rows]
seqs = {(h["tt-spool"], h["tt-seq"]) for h in heads}
for r, h in zip(rows, heads):
    assert r["kafka"]["key"] == r["token"]["id"] and h["tt-node"] == r["node"]["name"] == "feed-node", r
print(len(rows), sum(r["count"] for r in rows), len(pids), len(seqs))
PY
}

expect() {	# CASE TOPIC N: exactly N uses, each once
	local got
	got=$(read_back "$2" 2>&1)
	[ "$got" = "$3 $3 $3 $3" ] && return 0
	not_ok "$1" "records, counts, uses, numbers in the topic are '$got', not $3"
	return 1
}

# 10,000 uses; the broker is killed, then the driver while the broker is away, then the driver again
# in full delivery.
each_use_once() {
	local n=each_use_once status
	topic tokentrail.uses || { not_ok $n "no topic"; return; }
	start $n --brokers "$boot" --count 10000 --rate 1500
	until_made $n 2000 || { not_ok $n "the driver does not feed"; return; }
	broker kill9
	until_made $n 3500
	kill_feeder
	start $n --brokers "$boot" --count 10000 --rate 1500
	until_made $n 5000
	broker start || { not_ok $n "the broker does not come back"; return; }
	for _ in $(seq 150); do		# it reads back first, then delivers what waited
		[ "$(now $n acked)" -ge 1000 ] 2>/dev/null && break
		sleep 0.1
	done
	kill_feeder
	run $n --brokers "$boot" --count 10000 --rate 4000 --finish 40000
	status=$?
	[ $status = 0 ] || { not_ok $n "the driver ended with $status: $(tail -n 1 "$work/$n.out")"; return; }
	expect $n tokentrail.uses 10000 && ok $n
}

# Killed again and again in the middle of delivery: each time some records are on the wire.
killed_on_the_wire() {
	local n=killed_on_the_wire i
	topic wire.uses || { not_ok $n "no topic"; return; }
	for i in 1 2 3 4; do
		start $n --brokers "$boot" --prefix wire. --count 8000 --rate 2500
		until_made $n $((i * 1500))
		kill_feeder
	done
	run $n --brokers "$boot" --prefix wire. --count 8000 --rate 8000 || {
		not_ok $n "$(tail -n 1 "$work/$n.out")"
		return
	}
	grep -q 'records may be in Kafka already' "$work/$n.err" || {
		not_ok $n "nothing was on the wire at any of the kills"
		return
	}
	expect $n wire.uses 8000 && ok $n
}

sasl() {	# PASSWORD: settings for the TLS and SCRAM listener
	echo "--brokers $secure --set security.protocol=SASL_SSL --set sasl.mechanisms=SCRAM-SHA-512
		--set sasl.username=agent --set sasl.password=$1 --set ssl.ca.location=$KAFKA_DIR/tls/ca.crt"
}

acl() {		# add|remove OPERATIONS...
	local how=$1 op ops=()
	shift
	for op in "$@"; do ops+=(--operation "$op"); done
	broker cmd kafka.admin.AclCommand --bootstrap-server "$boot" "--$how" \
		--allow-principal User:agent "${ops[@]}" --topic acl.uses
}

refused_login() {
	local n=refused_login
	topic acl.uses || { not_ok $n "no topic"; return; }
	# shellcheck disable=SC2046
	run $n $(sasl wrong-secret) --prefix acl. --count 5 --finish 4000
	[ $? = 4 ] || { not_ok $n "the driver did not keep them: $(tail -n 1 "$work/$n.out")"; return; }
	[ "$(now $n waiting)" = 5 ] || { not_ok $n "not 5 in the spool"; return; }
	grep -qi 'authentication failed' "$work/$n.err" || { not_ok $n "no reason in the log"; return; }
	! grep -q 'wrong-secret' "$work/$n.err" || { not_ok $n "the password is in the log"; return; }
	ok $n
}

# First without any right, then with Write only; the spool is the one of refused_login.
forbidden_then_allowed() {
	local n=forbidden_then_allowed
	[ -d "$work/refused_login.spool" ] && mv "$work/refused_login.spool" "$work/$n.spool"
	# shellcheck disable=SC2046
	start $n $(sasl agent-secret) --prefix acl. --count 20 --finish 40000
	for _ in $(seq 60); do
		grep -q 'authorization failed' "$work/$n.err" && break
		sleep 0.1
	done
	grep -q 'authorization failed' "$work/$n.err" || { kill_feeder; not_ok $n "no reason in the log"; return; }
	acl add Write Describe || { kill_feeder; not_ok $n "no ACL could be set"; return; }
	wait "$feeder"
	local status=$?
	feeder=
	[ $status = 0 ] || { not_ok $n "not delivered once allowed: $(tail -n 1 "$work/$n.out")"; return; }
	expect $n acl.uses 20 && ok $n
}

# May write, may not read: what was on the wire is sent again, and that is said.
reading_back_forbidden() {
	local n=reading_back_forbidden got
	# shellcheck disable=SC2046
	start $n $(sasl agent-secret) --prefix acl. --count 4000 --rate 2000 --set linger.ms=500
	until_made $n 1000
	kill_feeder
	# shellcheck disable=SC2046
	run $n $(sasl agent-secret) --prefix acl. --count 4000 || {
		not_ok $n "not delivered: $(tail -n 1 "$work/$n.out")"
		return
	}
	grep -q 'may be doubled' "$work/$n.err" || { not_ok $n "the risk is not said"; return; }
	[ "$(now $n unsure)" -ge 1 ] || { not_ok $n "the risk is not counted"; return; }
	got=$(read_back acl.uses)
	# shellcheck disable=SC2086
	set -- $got
	# 20 of the case before have pids that come again here
	if [ "${3:-0}" != 4000 ] || [ "$1" -lt 4020 ]; then
		not_ok $n "lost some: '$got'"
		return
	fi
	ok $n
}

too_large_is_kept() {
	local n=too_large_is_kept got
	topic big.uses --set max.message.bytes=600 || { not_ok $n "no topic"; return; }
	run $n --brokers "$boot" --prefix big. --count 20 --big 11 --set compression.codec=none || {
		not_ok $n "$(tail -n 1 "$work/$n.out")"
		return
	}
	got="$(now $n acked) $(now $n refused) $(wc -l <"$work/$n.spool/uses/refused" 2>&1)"
	[ "$got" = "19 1 1" ] || { not_ok $n "acknowledged, refused, kept: '$got', not '19 1 1'"; return; }
	grep -q 'too large' "$work/$n.err" || { not_ok $n "no reason in the log"; return; }
	sed -n 's/.*"payload":"\([0-9a-f]*\)".*/\1/p' "$work/$n.spool/uses/refused" | python3 -c '
import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read().strip()))' |
		protoc -I "$root/schemas" --decode tokentrail.v1.Use tokentrail/v1/use.proto |
		grep -q 'pid: 11$' || { not_ok $n "the refused file does not hold use 11"; return; }
	expect $n big.uses 19 && ok $n
}

feed=${KAFKA_FEED:-$work/kafka_feed}
if ! [ -x "$feed" ] && ! build_feeder; then
	echo "not ok build: kafka_feed.c does not build (make all first)"
	exit 1
fi
if ! broker start; then
	echo "not ok broker: $(tail -n 3 "$work/broker.log" | tr '\n' ' ')"
	exit 1
fi
each_use_once
killed_on_the_wire
refused_login
forbidden_then_allowed
reading_back_forbidden
too_large_is_kept
exit $failed
