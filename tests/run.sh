#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs test suites in the order given and counts their results.
#   tests/run.sh SUITE...      unit san fuzz lint bpf e2e kafka vm, the default; long
#   ONLY=PATTERN               run only the test programs whose path matches this shell pattern
#
# A test is a program: cmocka's closing lines are counted by the inner test; any other program says
# "ok NAME", "not ok NAME: why" or "skip NAME: reason" on lines of its own. A program that fails
# without such a line, or says nothing, is one failure. Logs: build/test-logs.
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
LOGS=build/test-logs
LIMIT=${TEST_TIMEOUT:-900}
passed=0 failed=0 skipped=0
mkdir -p "$LOGS"

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
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

run_each() { # SUITE PROGRAM...: those that exist and match $ONLY
	local suite=$1 p some=
	shift
	for p in "$@"; do
		# shellcheck disable=SC2053  # ONLY is a pattern on purpose
		if [ -x "$p" ] && [[ $p == ${ONLY:-*} ]]; then
			some=1
			run_one "$suite" "$p"
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
	unit) run_each unit build/tests/test_* ;;
	san) run_each san build/san/tests/test_* ;;
	fuzz) run_each fuzz tests/fuzz/*.sh ;;
	lint) run_each lint tests/lint/*.sh ;;
	bpf) run_each bpf build/tests/bpf/test_* ;;
	e2e) run_each e2e tests/e2e/*.py ;;
	long) run_each long tests/long/*.py ;;
	kafka) run_each kafka tests/e2e/kafka*.sh ;;
	vm)
		# shellcheck disable=SC2053  # ONLY is a pattern on purpose
		[[ tests/vm/vm-check.sh == ${ONLY:-*} ]] || return 0
		while read -r s _; do
			run_one vm tests/vm/vm-check.sh "$s"
		done < <(grep -v '^#' tests/vm/kernels.txt)
		;;
	*)
		echo "not ok $1: no such suite"
		failed=$((failed + 1))
		;;
	esac
}

[ $# -gt 0 ] || set -- lint unit san fuzz bpf e2e kafka vm
for s in "$@"; do
	echo "== $s"
	suite "$s"
done

[ "$passed" -gt 0 ] || failed=$((failed + (failed == 0)))
if [ "$skipped" -gt 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
