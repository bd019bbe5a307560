#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# HashiCorp's Vault from its Go module, without what plugs in from elsewhere.
#   vault-up.sh build     into $VAULT_BIN (once; minutes); prints the program's path
set -euo pipefail

VAULT_VERSION=${VAULT_VERSION:-1.21.4}
CACHE=${TOKENTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentrail}
VAULT_BIN=${VAULT_BIN:-$CACHE/vault-$VAULT_VERSION}

# The module refuses to be installed for its replaces. What lies in its own folders is released, too, but for the
# SDK, of which it has another state than that which it requires: there one callback has an argument more, and one
# function a result less.
copy() { # SOURCE TO
	cp -r "$1" "$2"
	chmod -R u+w "$2"
	sed -i 's/\(ActivationFunc: *\)iStore.activateDeduplication,/\1func(c context.Context, r *logical.Request, _ string) error { return iStore.activateDeduplication(c, r) },/' \
		"$2/vault/identity_store.go"
	sed -i 's/idStoreBackend.ActivationFunc(ctx, nil)/idStoreBackend.ActivationFunc(ctx, nil, "")/' \
		"$2/vault/logical_system_activation_flags.go"
	sed -i 's/restoredKeyName, err := b.lm/restoredKeyName, err := keyName, b.lm/' "$2/builtin/logical/transit/path_restore.go"
}

build() {
	local mod
	mkdir -p "$VAULT_BIN" && mod=$(mktemp -d)
	cd "$mod"
	export GOFLAGS='-mod=mod -buildvcs=false' CGO_ENABLED=0
	copy "$(go mod download -json "github.com/hashicorp/vault@v$VAULT_VERSION" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')" source
	{
		printf 'module tokentrail.test/vault\n'
		grep '^go ' source/go.mod
		grep '^replace ' source/go.mod | grep -v '=> \./'
		printf 'require github.com/hashicorp/vault v%s\n' "$VAULT_VERSION"
		printf 'replace github.com/hashicorp/vault => ./source\n'
	} >go.mod
	printf '//go:build tools\n\npackage vault\n\nimport _ "github.com/hashicorp/vault"\n' >tools.go
	go build -tags minimal -trimpath -ldflags='-s -w' -o "$VAULT_BIN/vault" github.com/hashicorp/vault >log 2>&1 ||
		{ tail -n 5 log >&2; return 1; }
	cd / && rm -r "$mod"
}

if [ "${1:-}" != build ]; then
	sed -n '4p' "$0"
	exit 2
fi
[ -x "$VAULT_BIN/vault" ] || build
echo "$VAULT_BIN/vault"
