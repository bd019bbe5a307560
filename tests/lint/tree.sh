#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What stands in the tree: the permitted names at the top, nothing generated or binary, no place of
# one person's machine, no secret, and tests that mirror the sources.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
failed=0

says() { # NAME HITS
	if [ -z "$2" ]; then
		echo "ok $1"
	else
		echo "not ok $1: $(head -n 3 <<<"$2" | tr '\n' ' ')"
		failed=1
	fi
}

# Files that are tracked or would be; without git (a source archive) all but build/.
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	mapfile -t files < <(git ls-files --cached --others --exclude-standard | while read -r f; do [ ! -f "$f" ] || echo "$f"; done)
else
	mapfile -t files < <(find . \( -path ./build -o -path ./.git \) -prune -o -type f -print | sed 's|^\./||')
fi

says "the top has only the permitted names" \
	"$(printf '%s\n' "${files[@]}" | sed 's|/.*||' | sort -u | grep -vxE 'bpf|src|include|schemas|tests|deploy|Makefile|README\.md|LICENSE|\..*' || true)"
for f in bpf src include schemas tests deploy Makefile README.md LICENSE; do
	[ -e "$f" ] || says "the top has $f" "$f is missing"
done
# The pattern is cut so that this file is not its own find.
says "no path of one machine, no name of a registry" \
	"$(grep -nIE "(^|[^a-z.])/wo""rk/|/ro""ot/|/ho""me/[a-z]|deb\.deb""ian\.org|repo\.mav""en|registry\.np""mjs|py""pi\.org" "${files[@]}" || true)"
says "no file larger than 512 KiB" "$(find "${files[@]}" -size +512k)"
says "no binary file but the README's picture" "$(printf '%s\n' "${files[@]}" | grep -vE '^(tests/fuzz/corpus/|deploy/report\.webp$)' | tr '\n' '\0' | xargs -0 grep -LI '' 2>/dev/null | while read -r f; do [ ! -s "$f" ] || echo "$f"; done)"
says "no private key" "$(grep -lIE -- "-----BEGIN [A-Z ]*PRIV""ATE KEY-----" "${files[@]}" || true)"
says "nothing that looks like a real token" \
	"$(grep -nIE "gh[pousr]_[A-Za-z0-9]{36}([^A-Za-z0-9]|$)|xox[bp]-[0-9]{10,}-|AKIA[A-Z0-9]{16}([^A-Z0-9]|$)|sk_live_[A-Za-z0-9]{20,}" "${files[@]}" || true)"
says "no blanks at line ends" "$(grep -nIE '[[:blank:]]+$' "${files[@]}" | grep -vE '^(tests/fuzz/corpus/|LICENSE)' || true)"
says "every module has its unit test" "$(for f in src/*/*.c; do
	m=$(basename "$f" .c)
	# spool_frame.c may be tested through spool.h, its only caller.
	[ ! -e "tests/unit/test_${m%%_*}.c" ] || continue
	case $f in src/cmd/* | src/monitor/* | src/agent/run.c | src/agent/ring.c | src/agent/profile.c | src/ipc/sandbox.c) continue ;; esac
	[ -e "tests/unit/test_$m.c" ] || grep -qlE "\"[a-z]+/$m\.h\"" tests/unit/*.c || echo "$f"
done)"
long=$(awk 'FNR > 1500 {print FILENAME; nextfile}' src/*/*.c bpf/*.c bpf/readers/*.h)
says "no source longer than 1,500 lines" "$long"
exit $failed
