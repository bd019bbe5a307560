#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All scripts: ShellCheck for shell, a syntax check for Python, and the execute bit where it belongs.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
failed=0
mapfile -t scripts < <(grep -rlIE '^#!.*(bash|/sh|busybox sh)' .ci tests deploy src bpf 2>/dev/null | sort)
if out=$(shellcheck -x "${scripts[@]}"); then
	echo "ok shellcheck of ${#scripts[@]} scripts"
else
	echo "not ok shellcheck: $(grep -m1 '^In ' <<<"$out")"
	echo "$out"
	failed=1
fi

mapfile -t python < <(find tests -name '*.py' | sort)
if python3 - "${python[@]}" <<'PY'
import ast
import sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as f:
        ast.parse(f.read(), path)
PY
then
	echo "ok syntax of ${#python[@]} Python files"
else
	echo "not ok syntax of Python files"
	failed=1
fi

wrong=$(for f in "${scripts[@]}" "${python[@]}"; do
	if head -n 1 "$f" | grep -q '^#!'; then [ -x "$f" ] || echo "$f"; elif [ -x "$f" ]; then echo "$f"; fi
done)
if [ -z "$wrong" ]; then
	echo "ok what begins with #! can be executed, nothing else"
else
	echo "not ok what begins with #! can be executed, nothing else: $wrong"
	failed=1
fi
exit $failed
