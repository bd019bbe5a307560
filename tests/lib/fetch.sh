#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches what the tests need beyond packages, once: kernels for tests/vm (Debian's packages), the
# broker of the Kafka tests (Maven), and the HTTP/2 and gRPC peers and SDKs, which are built here. Kept under
# $TOKENTRAIL_CACHE, else the user's cache folder.
#   fetch.sh         for make check
#   fetch.sh long    for make check-long: more, and twenty minutes of compiling
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
if [ "${1:-}" = long ]; then
	"$here/kube-up.sh" build
	"$here/vault-up.sh" build >/dev/null
	"$here/keycloak-up.sh" fetch
	exec "$here/../peers/build.sh" kube cloud sdks
fi
while read -r suite _; do
	"$here/../vm/vm-run.sh" fetch "$suite"
done < <(grep -v '^#' "$here/../vm/kernels.txt")
if [ -x "$here/kafka-up.sh" ]; then
	"$here/kafka-up.sh" fetch
fi
(cd "$here/hpack" && go mod download)
"$here/../peers/build.sh"
