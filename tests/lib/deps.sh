#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the packages of the given kinds (build, test, demo) that are missing, and nothing when
# none is. Quiet unless something has to be done.
#   deps.sh KIND...
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
[ $# -gt 0 ] || { sed -n '5p' "$0"; exit 2; }

wanted() { # KIND...: the lines of packages.txt, without the kind
	local k
	for k in "$@"; do sed -n "s/^$k //p" "$here/packages.txt"; done | sort -u
}

installed() { # PACKAGE
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

any_installed() { # A|B|C
	local p
	for p in ${1//|/ }; do
		if installed "$p"; then return 0; fi
	done
	return 1
}

first_known() { # A|B|C: the first that the package lists can install
	local p
	for p in ${1//|/ }; do
		if [[ $(apt-cache policy "$p" 2>/dev/null) == *'Candidate: '[!\(]* ]]; then
			echo "$p"
			return 0
		fi
	done
	echo "deps: the package lists know none of: ${1//|/ }" >&2
	return 1
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	# Not Debian's packages: say what is needed, and go on if the compiler finds it.
	if [ "$1" = build ] && command -v clang bpftool protoc-c >/dev/null &&
		pkg-config --exists libbpf libelf zlib libprotobuf-c rdkafka sqlite3 libseccomp libcap yaml-0.1 jansson libcrypto; then
		exit 0
	fi
	echo "deps: this system has no apt-get; install what these packages of Debian hold, then run make again:" >&2
	wanted "$@" | sed 's/|.*//' | tr '\n' ' ' >&2
	echo >&2
	exit 1
fi

missing=()
while read -r line; do
	any_installed "$line" || missing+=("$line")
done < <(wanted "$@")
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "deps: run as root (sudo make ...), or install: ${missing[*]}" >&2
	exit 1
fi
echo "deps: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
names=()
for line in "${missing[@]}"; do
	names+=("$(first_known "$line")")
done
log=$(mktemp)
if ! apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${names[@]}" >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	rm "$log"
	exit 1
fi
rm "$log"
