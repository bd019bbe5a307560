#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Replays the corpora: all of them, or tests/fuzz/fuzz.sh NAME [SECONDS], which then goes on fuzzing
# that one for so long (default 60). New inputs stay in build/fuzz/found. smoke.sh fuzzes all at once.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
CLANG=${CLANG:-clang} CC=${CC:-cc}
OUT=build/fuzz
FLAGS=(-std=gnu11 -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -Ibpf -Ibuild/gen -fno-sanitize-recover=all)
declare -A LIBS=([hpack]=-lnghttp2 [mint]=-ljansson [inflate]=-lz [jwt]="$(echo src/tokens/jwt*.c) src/tokens/facts.c src/tokens/id.c src/tokens/use.c src/base/write.c -ljansson -lcrypto -lm" [elf_place]="src/agent/elf_place.c src/agent/elf_prologue.c" [elf_scan]="$(echo src/agent/elf_*.c) src/tokens/use.c -lelf")

replay() { # NAME: with the other compiler, and no fuzzer
	local corpus=(tests/fuzz/corpus/"$1"/*) libs
	read -ra libs <<<"${LIBS[$1]-}"
	if ! "$CC" "${FLAGS[@]}" -Wall -Wextra -Wno-unused-parameter -Werror -fsanitize=address,undefined -o "$OUT/onefile_$1" \
		tests/fuzz/onefile.c "tests/fuzz/fuzz_$1.c" "${libs[@]}"; then
		echo "not ok corpus of $1: does not compile"
		return 1
	fi
	if "$OUT/onefile_$1" "${corpus[@]}" >"$OUT/$1.replay" 2>&1; then
		echo "ok corpus of $1: ${#corpus[@]} files"
	else
		echo "not ok corpus of $1: a file fails; the end of $OUT/$1.replay:"
		tail -n 20 "$OUT/$1.replay"
		return 1
	fi
}

fuzz() { # NAME SECONDS
	local log=$OUT/$1.log runs libs
	read -ra libs <<<"${LIBS[$1]-}"
	mkdir -p "$OUT/found/$1"
	if ! "$CLANG" "${FLAGS[@]}" -fsanitize=fuzzer,address,undefined -o "$OUT/fuzz_$1" \
		"tests/fuzz/fuzz_$1.c" "${libs[@]}"; then
		echo "not ok fuzz $1: does not compile"
		return 1
	fi
	if ! "$OUT/fuzz_$1" -max_total_time="$2" -timeout=20 -max_len=8192 -print_final_stats=1 \
		-artifact_prefix="$OUT/$1-" "$OUT/found/$1" "tests/fuzz/corpus/$1" >"$log" 2>&1; then
		echo "not ok fuzz $1: the end of $log:"
		tail -n 40 "$log"
		return 1
	fi
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ "${runs:-0}" -lt 1000 ]; then
		echo "not ok fuzz $1: only ${runs:-no} executions in $2 s"
		return 1
	fi
	echo "ok fuzz $1: $runs executions in $2 s"
}

mkdir -p "$OUT"
failed=0
if [ $# -gt 0 ]; then
	replay "$1" || failed=1
	fuzz "$1" "${2:-60}" || failed=1
else
	for target in tests/fuzz/fuzz_*.c; do
		name=$(basename "${target#tests/fuzz/fuzz_}" .c)
		replay "$name" || failed=1
	done
fi
exit "$failed"
