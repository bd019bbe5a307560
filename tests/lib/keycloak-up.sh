#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real Keycloak, from Maven, built once for a database in memory.
#   keycloak-up.sh fetch                        unpack and build it (once)
#   keycloak-up.sh run PORT TLSPORT CERT KEY    plain on 127.0.0.1:PORT, for a proxy, and with Java's own TLS on
#                                               TLSPORT; in this process, until it is ended
# The administrator is in KC_BOOTSTRAP_ADMIN_USERNAME and KC_BOOTSTRAP_ADMIN_PASSWORD. Needs java and maven.
set -euo pipefail

KEYCLOAK_VERSION=${KEYCLOAK_VERSION:-26.5.0}
CACHE=${TOKENTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentrail}
HOME_DIR=$CACHE/keycloak-$KEYCLOAK_VERSION

fetch() {
	[ -e "$HOME_DIR/.done" ] && return 0
	local dir
	rm -rf "$HOME_DIR" && mkdir -p "$HOME_DIR" && dir=$(mktemp -d)
	mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$dir" \
		-Dartifact="org.keycloak:keycloak-quarkus-dist:$KEYCLOAK_VERSION:tar.gz" </dev/null
	tar -xzf "$dir"/*.tar.gz -C "$HOME_DIR" --strip-components=1
	rm -r "$dir"
	"$HOME_DIR/bin/kc.sh" build --db=dev-mem >"$HOME_DIR/build.log" 2>&1 ||
		{ tail -n 20 "$HOME_DIR/build.log" >&2; return 1; }
	touch "$HOME_DIR/.done"
}

case ${1:-} in
fetch) fetch ;;
run)
	[ -e "$HOME_DIR/.done" ] || { echo "keycloak-up.sh: it was not fetched" >&2; exit 1; }
	# Java itself, as kc.sh calls it: that is a shell around Java, which would outlive it.
	exec java -Xms64m -Xmx384m -XX:MaxMetaspaceSize=256m -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
		--add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.util.concurrent=ALL-UNNAMED \
		--add-opens=java.base/java.security=ALL-UNNAMED -Dkc.home.dir="$HOME_DIR" \
		-Djboss.server.config.dir="$HOME_DIR/conf" -Djava.util.logging.manager=org.jboss.logmanager.LogManager \
		-cp "$HOME_DIR/lib/quarkus-run.jar" io.quarkus.bootstrap.runner.QuarkusEntryPoint \
		start --optimized --cache=local --http-enabled=true --http-host=127.0.0.1 --http-port="$2" --https-port="$3" \
		--https-certificate-file="$4" --https-certificate-key-file="$5" --hostname-strict=false \
		--proxy-headers=xforwarded
	;;
*)
	sed -n '4,7p' "$0"
	exit 2
	;;
esac
