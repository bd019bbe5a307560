#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel programs compile for arm64, and where its compiler is here, so does user space as far as
# the headers of this machine's libraries go. Run from the top of the tree, after `make all`.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

for source in bpf/*.bpf.c; do
	object=$tmp/$(basename "$source" .bpf.c).o
	if clang -target bpf -mcpu=v3 -O2 -g -Wall -Werror -D__TARGET_ARCH_arm64 -Iinclude -Ibpf -Ibuild/gen \
		-idirafter "/usr/include/$(${CC:-cc} -print-multiarch)" -c "$source" -o "$object"; then
		echo "ok $source for arm64"
	else
		failed=1
		echo "not ok $source for arm64"
	fi
done
if [ "$failed" = 0 ] && bpftool gen object "$tmp/all.bpf.o" "$tmp"/*.o; then
	echo "ok all of them as one object"
else
	failed=1
	echo "not ok all of them as one object"
fi

if ! command -v aarch64-linux-gnu-gcc >/dev/null; then
	echo "skip user space for arm64: no aarch64-linux-gnu-gcc here"
	exit "$failed"
fi
for source in src/*.c src/*/*.c; do
	if ! aarch64-linux-gnu-gcc -fsyntax-only -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror -D_GNU_SOURCE \
		-DTT_VERSION='"0"' -Isrc -Iinclude -Ibpf -Ibuild/gen -idirafter /usr/include \
		-idirafter "/usr/include/$(${CC:-cc} -print-multiarch)" "$source"; then
		failed=1
		echo "not ok $source for arm64"
	fi
done
[ "$failed" = 0 ] && echo "ok user space for arm64"
exit "$failed"
