#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make demo`: the live table beside a local HTTPS service and a handful of ordinary clients, which use
# made-up tokens in a loop. Everything listens on 127.0.0.1 and ends with Ctrl-C.
#   demo.sh [TOKENTRAIL-RUN-OPTION...]
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
tokentrail=${TOKENTRAIL:-$here/../../build/tokentrail}
[ "$(id -u)" = 0 ] || { echo "demo: the sensor loads kernel probes: run it as root (sudo make demo)" >&2; exit 3; }
[ -x "$tokentrail" ] || { echo "demo: $tokentrail is not built; run make" >&2; exit 3; }

# Job control gives each client a process group of its own: Ctrl-C reaches the sensor alone, and the
# end of a client's loop is also the end of what it runs.
set -m
dir=$(mktemp -d)
chmod 755 "$dir"
pids=()
# shellcheck disable=SC2317  # called by the trap
finish() {
	local p
	for p in "${pids[@]}"; do
		kill -- "-$p" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
	-addext 'subjectAltName=DNS:localhost' -keyout "$dir/key" -out "$dir/cert" 2>/dev/null

random() { openssl rand -hex "$1"; }
# Made up here and valid nowhere; the prefixes are cut so that no scanner takes this file for a leak.
github="gh""p_$(random 18)" gitlab="glp""at-$(random 10)" stripe="sk""_test_$(random 12)"
slack="xo""xb-$(random 12)" openai="sk""-proj-$(random 24)" password=$(random 8)

python3 "$here/demo_service.py" "$dir/cert" "$dir/key" "$dir/ports" >"$dir/service.log" 2>&1 </dev/null &
pids+=($!)
for _ in $(seq 100); do
	[ -s "$dir/ports" ] && break
	sleep 0.1
done
read -r tls plain <"$dir/ports"

repeat() { # SECONDS COMMAND...
	local pause=$1
	shift
	while :; do
		"$@" >/dev/null 2>&1 </dev/null || true
		sleep "$pause"
	done
}
# shellcheck disable=SC2317  # called through repeat
s_client() {
	printf 'GET /v1/charges HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n' "$stripe" |
		openssl s_client -quiet -connect "localhost:$tls"
}
https=https://localhost:$tls http=http://localhost:$plain
repeat 0.7 curl --http1.1 --cacert "$dir/cert" -H "Authorization: Bearer $github" "$https/user/repos" &
pids+=($!)
repeat 1.1 curl --http1.1 --cacert "$dir/cert" -H "PRIVATE-TOKEN: $gitlab" "$https/api/v4/projects/4711/issues" &
pids+=($!)
repeat 1.9 curl --http1.1 --cacert "$dir/cert" -u "deploy:$password" "$https/registry/v2/" &
pids+=($!)
repeat 1.3 s_client &
pids+=($!)
repeat 1.7 wget -q -O /dev/null --header="Authorization: Bearer $slack" "$http/api/chat.postMessage" &
pids+=($!)
repeat 0.9 python3 -c '
import ssl, sys, urllib.request
request = urllib.request.Request(sys.argv[1], b"{}", {"Authorization": "Bearer " + sys.argv[2]})
urllib.request.urlopen(request, context=ssl.create_default_context(cafile=sys.argv[3]))
' "$https/v1/chat/completions" "$openai" "$dir/cert" &
pids+=($!)

# The demo's own state and key: nothing of it stays. In this script's own process group, which the
# terminal's Ctrl-C reaches whatever standard error is.
set +m
trap : INT	# the sensor ends with it, and its status counts
rc=0
"$tokentrail" run --state-dir "$dir/state" --key "$dir/fleet.key" "$@" || rc=$?
exit "$rc"
