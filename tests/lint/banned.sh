#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What no source may have: calls that can't be used safely, // comments, missing SPDX lines, and
# debug prints in the kernel programs.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
failed=0
no() { # NAME PATTERN PATH...: no line of these files may match, comments apart
	local name=$1 pattern=$2 hits
	shift 2
	# shellcheck disable=SC2016  # awk text
	hits=$(find "$@" -name '*.[ch]' -print0 | PATTERN=$pattern xargs -0 awk '
		{ line = $0; gsub(/"([^"\\]|\\.)*"/, "\"\"", line); gsub(/\/\*[^*]*\*+\//, "", line) }
		line ~ /^[[:space:]]*\/?\*/ { next }
		{ sub(/\/\*.*/, "", line) }
		line ~ ENVIRON["PATTERN"] { print FILENAME ":" FNR ":" $0 }')
	if [ -z "$hits" ]; then
		echo "ok $name"
	else
		echo "not ok $name: $(head -n 1 <<<"$hits")"
		echo "$hits"
		failed=1
	fi
}

no "unbounded string calls" '(^|[^a-zA-Z0-9_])(strcpy|strcat|sprintf|vsprintf|gets|stpcpy)[[:space:]]*[(]' src include bpf
no "shells and temporary names" '(^|[^a-zA-Z0-9_])(system|popen|tmpnam|mktemp|alloca)[[:space:]]*[(]' src include bpf
no "numbers without error checks" '(^|[^a-zA-Z0-9_])(atoi|atol|atof)[[:space:]]*[(]' src
no "// comments" '(^|[[:space:];{}])//([^/]|$)' src include bpf tests
no "debug prints in kernel programs" 'bpf_(trace_)?printk' bpf

missing=$(find src include bpf schemas tests -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.proto' -o -name '*.sql' -o -name '*.def' -o -name '*.mk' \) \
	-exec sh -c 'for f; do head -n 3 "$f" | grep -q SPDX-License-Identifier || echo "$f"; done' - {} +)
if [ -z "$missing" ]; then
	echo "ok every source names its licence"
else
	echo "not ok every source names its licence: $(head -n 1 <<<"$missing")"
	echo "$missing"
	failed=1
fi

wrong=$(find bpf -name '*.[ch]' -exec grep -L 'GPL-2.0-only OR BSD-2-Clause' {} +)
if [ -z "$wrong" ]; then
	echo "ok bpf/ is GPL-2.0-only OR BSD-2-Clause"
else
	echo "not ok bpf/ is GPL-2.0-only OR BSD-2-Clause: $wrong"
	failed=1
fi
exit $failed
