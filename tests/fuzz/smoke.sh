#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each fuzzer for a while (TIME seconds, default 60; FUZZ=NAME for one of them), all at the same time,
# starting from its corpus in tests/fuzz/corpus/NAME if there is one. A crash's input stays in
# build/fuzz and is named.
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
seconds=${TIME:-60}
pids=() names=()

for fuzzer in build/fuzz/fuzz_*; do
	[ -x "$fuzzer" ] || continue
	name=${fuzzer##*/fuzz_}
	[ -z "${FUZZ:-}" ] || [ "$name" = "$FUZZ" ] || continue
	mkdir -p "build/fuzz/found/$name"
	corpus=("build/fuzz/found/$name")
	[ ! -d "tests/fuzz/corpus/$name" ] || corpus+=("tests/fuzz/corpus/$name")
	"$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/$name-" "${corpus[@]}" >"build/fuzz/$name.log" 2>&1 </dev/null &
	pids+=($!)
	names+=("$name")
done

[ ${#pids[@]} -gt 0 ] || { echo "not ok fuzzers: none was built"; exit 1; }
failed=0
for i in "${!pids[@]}"; do
	wait "${pids[$i]}"
	rc=$?
	log=build/fuzz/${names[$i]}.log
	units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ "$rc" = 0 ] && [ "${units:-0}" -gt 1000 ]; then
		echo "ok ${names[$i]}: $units inputs in $seconds s"
	else
		echo "not ok ${names[$i]}: status $rc after ${units:-0} inputs; $(grep -m1 -E 'ERROR|runtime error|SUMMARY' "$log")"
		tail -n 30 "$log"
		failed=1
	fi
done
exit $failed
