#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs test suites in the order given and counts their results.
#   tests/run.sh SUITE...      lint unit san fuzz vm bpf e2e kafka, the default; long
#   ONLY=PATTERN               run only the test programs whose path matches this shell pattern
#   JOBS=N                     so many at once of those that may run beside others, by default one for each CPU
#
# What loads a sensor on this machine runs alone: each sees what the others do, and some measure.
#
# A test is a program: cmocka's closing lines are counted by the inner test; any other program says
# "ok NAME", "not ok NAME: why" or "skip NAME: reason" on lines of its own. A program that fails
# without such a line, or says nothing, is one failure. Logs: build/test-logs.
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
LOGS=build/test-logs
LIMIT=${TEST_TIMEOUT:-900}
JOBS=${JOBS:-$(nproc)}
passed=0 failed=0 skipped=0
counts=() # what run_one() counted
mkdir -p "$LOGS"
beside=$(mktemp -d) # what those say that run beside others: PID is its text, PID.counts says that it is whole
trap 'rm -rf "$beside"' EXIT

count_lines() { # LOG PATTERN
	grep -cE "$2" "$1" || true
}

cmocka_sum() { # LOG WORD: the number after "[  WORD  ]" in cmocka's summaries, added up
	sed -nE "s/^\[ +$2 +\] ([0-9]+) test\(s\).*/\1/p" "$1" | awk '{n += $1} END {print n + 0}'
}

run_one() { # SUITE PROGRAM ARGS...
	local suite=$1 name log rc ok bad skip began=$SECONDS
	shift
	name=$suite/$(basename "${1%.*}")
	[ $# -eq 1 ] || name+=-${*: -1}
	log=$LOGS/${name//\//-}.log
	# --foreground is not wanted: the limit has to end the test's own children too.
	timeout -k 20 "$LIMIT" "$@" >"$log" 2>&1 </dev/null
	rc=$?
	if grep -qE '^\[=+\] .*Running [0-9]+ test\(s\)' "$log"; then
		ok=$(cmocka_sum "$log" PASSED) bad=$(cmocka_sum "$log" FAILED) skip=$(cmocka_sum "$log" SKIPPED)
		[ "$bad" -eq 0 ] || sed -n 's/^\[  FAILED  \] \([a-z_0-9]*\)$/    failed: \1/p' "$log" | sort -u
	else
		ok=$(count_lines "$log" '^ok ') bad=$(count_lines "$log" '^not ok ') skip=$(count_lines "$log" '^skip ')
		grep -E '^(ok|not ok|skip) ' "$log" | sed 's/^/    /'
	fi
	if [ "$bad" -eq 0 ] && { [ "$rc" -ne 0 ] || [ $((ok + skip)) -eq 0 ]; }; then
		bad=1
		echo "    not ok $name: ended with status $rc$([ "$rc" -ne 124 ] || echo " (limit of $LIMIT s)") and no result"
	fi
	if [ "$bad" -gt 0 ]; then
		echo "not ok $name ($((SECONDS - began)) s): $ok passed, $bad failed, $skip skipped; the end of $log:"
		tail -n 40 "$log" | sed 's/^/    | /'
	else
		echo "ok $name ($((SECONDS - began)) s): $ok passed$([ "$skip" -eq 0 ] || echo ", $skip skipped")"
	fi
	counts=("$ok" "$bad" "$skip")
}

add_counts() { # PASSED FAILED SKIPPED
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

tell_ended() { # those that ran beside others and have ended
	local file said
	for file in "$beside"/*.counts; do
		[ -e "$file" ] || continue
		cat "${file%.counts}"
		read -ra said <"$file"
		add_counts "${said[@]}"
		rm "${file%.counts}" "$file"
	done
}

run_beside() { # as run_one, which it does not wait for
	while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do
		wait -n
		tell_ended
	done
	(
		run_one "$@" >"$beside/$BASHPID" 2>&1
		echo "${counts[*]}" >"$beside/$BASHPID.new"
		mv "$beside/$BASHPID.new" "$beside/$BASHPID.counts"
	) &
}

wait_for_all() {
	local lost
	wait
	tell_ended
	for lost in "$beside"/*; do
		[ -e "$lost" ] || continue
		cat "$lost"
		echo "not ok a test whose runner ended before it"
		failed=$((failed + 1))
		rm "$lost"
	done
}

run_alone() { # as run_one
	wait_for_all
	run_one "$@"
	add_counts "${counts[@]}"
}

run_each() { # HOW SUITE PROGRAM...: those that exist and match $ONLY
	local how=$1 suite=$2 p some=
	shift 2
	for p in "$@"; do
		# shellcheck disable=SC2053  # ONLY is a pattern on purpose
		if [ -x "$p" ] && [[ $p == ${ONLY:-*} ]]; then
			some=1
			"$how" "$suite" "$p"
		fi
	done
	if [ -z "$some" ] && [ -z "${ONLY:-}" ]; then
		echo "not ok $suite: no test program found; was it built?"
		failed=$((failed + 1))
	fi
}

suite() { # NAME
	local s
	case $1 in
	unit) run_each run_beside unit build/tests/test_* ;;
	san) run_each run_beside san build/san/tests/test_* ;;
	fuzz) run_each run_beside fuzz tests/fuzz/*.sh ;;
	lint) run_each run_beside lint tests/lint/*.sh ;;
	bpf) run_each run_alone bpf build/tests/bpf/test_* ;;
	e2e) run_each run_alone e2e tests/e2e/*.py ;;
	long) run_each run_alone long tests/long/*.py ;;
	kafka) run_each run_alone kafka tests/e2e/kafka*.sh ;;
	vm)
		# shellcheck disable=SC2053  # ONLY is a pattern on purpose
		[[ tests/vm/vm-check.sh == ${ONLY:-*} ]] || return 0
		while read -r s _; do
			run_beside vm tests/vm/vm-check.sh "$s"
		done < <(grep -v '^#' tests/vm/kernels.txt)
		;;
	*)
		echo "not ok $1: no such suite"
		failed=$((failed + 1))
		;;
	esac
}

[ $# -gt 0 ] || set -- lint unit san fuzz vm bpf e2e kafka
for s in "$@"; do
	echo "== $s"
	suite "$s"
done
wait_for_all

[ "$passed" -gt 0 ] || failed=$((failed + (failed == 0)))
if [ "$skipped" -gt 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
