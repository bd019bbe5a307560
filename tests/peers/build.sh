#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the HTTP/2 and gRPC peers and the SDKs of tests/e2e, each once for one state of its sources.
#   build.sh             what can be built here; a missing toolchain is said, and its tests skip
#   build.sh NAME...     only these, of the folders here
# Kept in $TOKENTRAIL_CACHE/peers, else the user's cache folder. Versions are pinned beside the sources.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
CACHE=${TOKENTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentrail}/peers

build_go() { # OUT
	(cd "$here/go" && GOFLAGS='-mod=readonly -buildvcs=false' go build -o "$1/peer" .)
}

# As programs are shipped, and by older toolchains, which the go command fetches; one that is not to be
# had is left out, and its tests skip. No settings: old ones don't know the new ones' words.
build_go_std() { # OUT
	local how version mode
	for how in "plain exe" "stripped exe -s -w" "pie pie" "pie-stripped pie -s -w" "cgo exe -linkmode=external" \
		"cgo-pie-stripped pie -linkmode=external -s -w"; do
		read -r version mode how <<<"$how"
		(cd "$here/go_std" && GOENV=off go build -buildvcs=false -buildmode="$mode" -ldflags="$how" -o "$1/$version" .) ||
			echo "peers: no $version program of Go: its tests are skipped" >&2
	done
	for version in 1.16.15 1.17.13 1.18.10 1.20.14 1.21.13 1.25.0; do
		for mode in exe pie; do
			(cd "$here/go_std" && GOENV=off GOTOOLCHAIN=go$version CGO_ENABLED=0 \
				go build -buildmode=$mode -ldflags='-s -w' -o "$1/$version-$mode" .) ||
				echo "peers: no program of Go $version: its tests are skipped" >&2
		done
	done
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

# .NET for OpenSSL 1.1, with that of Debian 11, and OpenSSL 1.0.
build_dotnet() {
	python3 -m venv "$1"
	"$1/bin/pip" install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		-r "$here/dotnet/requirements.txt"
	"$1/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		--python-version 36 --implementation cp --abi cp36m --platform manylinux1_x86_64 \
		-d "$1/wheel" -r "$here/dotnet/psycopg2.txt"
	mkdir "$1/openssl10"
	python3 -m zipfile -e "$1"/wheel/*.whl "$1/openssl10"
	rm -r "$1/wheel"
	"$here/../vm/vm-run.sh" unpack bullseye "$1/debian11" libssl1.1 openssl
}

build_netty() { # Maven takes the other systems' libraries too
	mvn -q -B -f "$here/netty/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DoutputDirectory="$1/jars" </dev/null
	rm -f "$1"/jars/*-osx-* "$1"/jars/*-windows-* "$1"/jars/*aarch_64*
	javac -cp "$1/jars/*" -d "$1" "$here/netty/Netty.java"
}

build_conscrypt() {
	mvn -q -B -f "$here/conscrypt/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DoutputDirectory="$1/jars" </dev/null
	javac -cp "$1/jars/*" -d "$1" "$here/conscrypt/Client.java"
}

build_bun() {
	cp "$here/bun/package.json" "$1"
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$1"
}

# An OpenID provider and its clients; the scripts stand beside their packages, where Node looks for these.
build_oauth() {
	cp "$here"/oauth/* "$1"
	npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$1"
}

build_oauth_go() {
	(cd "$here/oauth_go" && GOFLAGS='-mod=readonly -buildvcs=false' go build -o "$1/client" .)
}

build_go_ask() {
	(cd "$here/go_ask" && GOFLAGS='-mod=readonly -buildvcs=false' go build -o "$1/ask" .)
}

build_sdks() {
	build_wheels "$1" sdks
}

build_boringssl() {
	python3 -m venv "$1"
	"$1/bin/pip" install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		-r "$here/boringssl/requirements.txt"
	local wheel sum
	while read -r wheel sum; do
		"$1/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$1/wheels" "$wheel"
		sha256sum --quiet -c - <<<"$sum  $(echo "$1/wheels/${wheel/==/-}"-*)"
	done < <(grep -v '^#' "$here/boringssl/wheels.txt")
}

# reqwest with each of its TLS libraries, as programs are shipped.
build_rust_ask() {
	local tls
	cp -r "$here/rust_ask" "$1/src"
	for tls in rustls native; do
		cargo build -q --release --features $tls --manifest-path "$1/src/Cargo.toml" --target-dir "$1/target"
		mv "$1/target/release/ask" "$1/$tls"
		strip -o "$1/$tls-stripped" "$1/$tls"
	done
	rm -r "$1/target" "$1/src"
}

build_wheels() { # OUT [FOLDER]
	python3 -m venv "$1"
	"$1/bin/pip" install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		-r "$here/${2:-wheels}/requirements.txt"
}

build_kube() { # OUT
	(cd "$here/kube" && CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -o "$1/peer" .)	# with kube-up.sh's cache
}

build_cloud() {
	build_wheels "$1" cloud
}

# OpenSSL 1.1 as built for musl (in a Python wheel), and ../lib/brief.c with it.
build_musl() {
	local wheel=psycopg2_binary-2.9.9-cp311-cp311-musllinux_1_1_x86_64.whl
	python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: --implementation cp \
		--python-version 3.11 --platform musllinux_1_1_x86_64 -d "$1" psycopg2-binary==2.9.9
	sha256sum --quiet -c - <<<"78151aa3ec21dccd5cdef6c74c3e73386dcdfaf19bced944169697d7ac7482fc  $1/$wheel"
	python3 -m zipfile -e "$1/$wheel" "$1/wheel"
	mv "$1"/wheel/psycopg2_binary.libs/lib{ssl,crypto}-* "$1"
	rm -r "${1:?}/$wheel" "${1:?}/wheel"
	ln -s /lib/ld-musl-x86_64.so.1 "$1/libc.musl-x86_64.so.1"
	musl-gcc -O2 -D_GNU_SOURCE -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu -o "$1/brief" \
		"$here/../lib/brief.c" "$1"/libssl-* "$1"/libcrypto-* -Wl,--allow-shlib-undefined
}

version_of() { # NAME: of its tool; without one, or with an old one, its peers can't be built
	case $1 in
	go | go_std | go_ask | oauth_go | kube) go version | sed -n 's/^go version go\([0-9.]*\).*/\1/p' ;;
	rust | rustls | rust_ask) cargo --version | sed -n 's/^cargo \([0-9.]*\).*/\1/p' ;;
	java) javac -version 2>&1 | sed -n 's/^javac \([0-9.]*\).*/\1/p' ;;
	netty | conscrypt) mvn -v 2>/dev/null | sed -n 's/^Java version: \([0-9.]*\).*/\1/p' ;;
	bun) npm --version ;;
	oauth) node --version | tr -d v ;;
	musl) musl-gcc -dumpversion ;;
	# The requirements.txt have no wheels for later ones.
	python | boringssl | dotnet | wheels | cloud | sdks) python3 -c 'import platform, sys; print(platform.python_version() if sys.version_info < (3, 14) else "")' ;;
	esac
}

state_of() { # NAME VERSION: of what is built and of the tool that builds it
	[ "$1" != musl ] || set -- ../lib/brief.c "$2"
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

# The tool that builds it, and its least version.
declare -A tool=([go]=go [rust]=cargo [java]=javac [python]=python3)
declare -A least=([go]=1.26 [rust]=1.88 [java]=17 [python]=3.11)
tool[go_std]=go least[go_std]=1.26
tool[go_ask]=go least[go_ask]=1.26
tool[rustls]=cargo least[rustls]=1.88
tool[rust_ask]=cargo least[rust_ask]=1.88
tool[wheels]=python3 least[wheels]=3.11
tool[cloud]=python3 least[cloud]=3.11
tool[musl]=musl-gcc least[musl]=4
tool[dotnet]=python3 least[dotnet]=3.11
tool[netty]=mvn least[netty]=17
tool[conscrypt]=mvn least[conscrypt]=17
tool[bun]=npm least[bun]=7
tool[oauth]=node least[oauth]=20
tool[oauth_go]=go least[oauth_go]=1.26
tool[sdks]=python3 least[sdks]=3.11
tool[boringssl]=python3 least[boringssl]=3.11
[ $# -gt 0 ] || set -- "${!tool[@]}"
tool[kube]=go least[kube]=1.24	# for tests/long: only by its name
for name in "$@"; do
	build "$name"
done
