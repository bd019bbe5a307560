#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boots a Debian suite's kernel (tests/vm/kernels.txt) with the sensor as it was built, and checks in
# the guest that one TLS and one plain request are reported with the right id. guest.sh has the steps.
#   vm-check.sh SUITE
set -euo pipefail

[ $# -eq 1 ] || { sed -n '5p' "$0"; exit 2; }
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
		ssl_certificate /t/ca.crt;
		ssl_certificate_key /t/server.key;
		location / { return 200 "ok\n"; }
	}
}
CONF

files=("$tokentrail=/usr/bin/tokentrail" /usr/bin/curl /usr/sbin/nginx)
for f in token id fleet.key ca.crt server.key nginx.conf; do
	files+=("$t/$f=/t/$f")
done
VM_MEM=${VM_MEM:-768} VM_TIMEOUT=${VM_TIMEOUT:-400} "$here/vm-run.sh" run "$1" "$here/guest.sh" "${files[@]}"
