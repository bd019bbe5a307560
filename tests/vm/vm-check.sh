#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boots a Debian suite's kernel (tests/vm/kernels.txt) with the sensor as it was built, and checks in
# the guest that TLS, plain and HTTP/2 requests are reported with the right id, and that 10,000 HTTP/2
# header blocks come out right. guest.sh has the steps.
#   vm-check.sh SUITE
set -euo pipefail

[ $# -eq 1 ] || { sed -n '6p' "$0"; exit 2; }
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
tokentrail=${TOKENTRAIL:-$root/build/tokentrail}
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT

"$tokentrail" key new --key "$t/fleet.key" >/dev/null 2>&1
# Made up here, so that no token stands in the tree.
printf 'gh%s_%s\n' p "$(openssl rand -hex 18)" >"$t/token"
"$tokentrail" fingerprint --key "$t/fleet.key" <"$t/token" | cut -d' ' -f1 >"$t/id"
openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=localhost \
	-addext 'subjectAltName=DNS:localhost' -keyout "$t/server.key" -out "$t/ca.crt" 2>/dev/null
cat >"$t/nginx.conf" <<'CONF'
user root;
worker_processes 1;
pid /tmp/nginx/nginx.pid;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path /tmp/nginx/a; proxy_temp_path /tmp/nginx/b; fastcgi_temp_path /tmp/nginx/c;
	uwsgi_temp_path /tmp/nginx/d; scgi_temp_path /tmp/nginx/e;
	server {
		listen 127.0.0.1:8443 ssl;
		listen 127.0.0.1:8444 ssl http2;
		ssl_certificate /t/ca.crt;
		ssl_certificate_key /t/server.key;
		location / { return 200 "ok\n"; }
	}
}
CONF

# The blocks of tests/bpf/test_http2_blocks.c: the guest has no encoders.
mkdir "$t/blocks"
hpack=$root/build/tests/tools/hpack
"$hpack/plan" 11 3400 | "$hpack/encode_nghttp2" >"$t/blocks/nghttp2"
"$hpack/plan" 12 3400 | "$hpack/encode_go" >"$t/blocks/go"
"$hpack/plan" 13 3400 | "$root/tests/lib/hpack/encode_python.py" >"$t/blocks/python"

files=("$tokentrail=/usr/bin/tokentrail" "$root/build/tests/bpf/test_http2_blocks=/t/test_http2_blocks" /usr/bin/curl /usr/sbin/nginx)
go=${TOKENTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentrail}/peers/go_std/stripped
if [ -x "$go" ]; then
	files+=("$go=/t/go")
else
	echo "vm-check: no Go program here (tests/lib/fetch.sh builds it): not tried" >&2
fi
for f in token id fleet.key ca.crt server.key nginx.conf blocks/{nghttp2,go,python}; do
	files+=("$t/$f=/t/$f")
done
VM_MEM=${VM_MEM:-768} VM_TIMEOUT=${VM_TIMEOUT:-400} "$here/vm-run.sh" run "$1" "$here/guest.sh" "${files[@]}"
