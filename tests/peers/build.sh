#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the HTTP/2 and gRPC peers of tests/e2e/http2*.py and rustls.py, each once for one state of its sources.
#   build.sh             what can be built here; a missing toolchain is said, and its tests skip
#   build.sh NAME...     only these: go rust rustls java python
# Kept in $TOKENTRAIL_CACHE/peers, else the user's cache folder. Versions are pinned beside the sources.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
CACHE=${TOKENTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentrail}/peers

build_go() { # OUT
	(cd "$here/go" && GOFLAGS='-mod=readonly -buildvcs=false' go build -o "$1/peer" .)
}

build_rust() { # in a copy: cargo writes its lock file beside the sources
	cp -r "$here/rust" "$1/src"
	cargo build -q --manifest-path "$1/src/Cargo.toml" --target-dir "$1/target"
	mv "$1/target/debug/peer" "$1/peer"
	rm -r "$1/target" "$1/src"
}

build_rustls() { # a release build, as people have them, and the same stripped
	cp -r "$here/rustls" "$1/src"
	cargo build -q --release --manifest-path "$1/src/Cargo.toml" --target-dir "$1/target"
	mv "$1/target/release/rustls-peer" "$1/peer"
	strip -o "$1/peer-stripped" "$1/peer"
	rm -r "$1/target" "$1/src"
}

build_java() {
	javac -d "$1" "$here/java/Peer.java"
}

build_python() {
	python3 -m venv "$1"
	"$1/bin/pip" install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		-r "$here/python/requirements.txt"
}

version_of() { # NAME: of its tool; without one, or with an old one, its peers can't be built
	case $1 in
	go) go version | sed -n 's/^go version go\([0-9.]*\).*/\1/p' ;;
	rust | rustls) cargo --version | sed -n 's/^cargo \([0-9.]*\).*/\1/p' ;;
	java) javac -version 2>&1 | sed -n 's/^javac \([0-9.]*\).*/\1/p' ;;
	# requirements.txt has no grpcio for later ones.
	python) python3 -c 'import platform, sys; print(platform.python_version() if sys.version_info < (3, 14) else "")' ;;
	esac
}

state_of() { # NAME VERSION: of what is built and of the tool that builds it
	{ cd "$here"; find "$1" -type f ! -name "*.py" -print0 | sort -z | xargs -0 sha256sum; echo "$2"; } |
		sha256sum | cut -c 1-32
}

build() { # NAME
	local out=$CACHE/$1 state version=
	! command -v "${tool[$1]}" >/dev/null || version=$(version_of "$1")
	if ! printf '%s\n' "${least[$1]}" "$version" | sort -CV; then
		echo "peers: no ${tool[$1]} ${least[$1]} here (${version:-none}): tests with peers of $1 are skipped" >&2
		return 0
	fi
	state=$(state_of "$1" "$version")
	[ "$(cat "$out/.done" 2>/dev/null)" != "$state" ] || return 0
	echo "peers: building those of $1" >&2
	rm -rf "$out"
	mkdir -p "$out"
	"build_$1" "$out"
	echo "$state" >"$out/.done"
}

declare -A tool=([go]=go [rust]=cargo [rustls]=cargo [java]=javac [python]=python3)
declare -A least=([go]=1.26 [rust]=1.88 [rustls]=1.88 [java]=17 [python]=3.11)
[ $# -gt 0 ] || set -- go rust rustls java python
for name in "$@"; do
	build "$name"
done
