#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real Kubernetes API (etcd and kube-apiserver) on loopback, built from Go modules.
#   kube-up.sh build              the programs into $KUBE_BIN (once; ten minutes)
#   kube-up.sh start              prints the kubeconfig of an administrator, whose token is made up
#   kube-up.sh stop
#   kube-up.sh kubectl ARGS...
# State is in $KUBE_DIR; $KUBE_PORT is the API's, and $KUBE_PORT+1 and +2 are etcd's. Service accounts' admission
# is off: there is nobody who would make a default one.
set -euo pipefail

KUBE_VERSION=${KUBE_VERSION:-1.34.2}
KUBE_PORT=${KUBE_PORT:-16443}
CACHE=${TOKENTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentrail}
KUBE_BIN=${KUBE_BIN:-$CACHE/kube-$KUBE_VERSION}
KUBE_DIR=${KUBE_DIR:-${TMPDIR:-/tmp}/tokentrail-kube-$KUBE_PORT}
ETCD=http://127.0.0.1:$((KUBE_PORT + 1))

# The module refuses to be installed: its own replaces point at ./staging, which its zip lacks; the same
# sources are tagged v0.MINOR.PATCH.
write_module() {
	local gomod
	gomod=$(go mod download -json "k8s.io/kubernetes@v$KUBE_VERSION" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
	{
		printf 'module tokentrail.test/kube\ngo 1.24.0\nrequire k8s.io/kubernetes v%s\n' "$KUBE_VERSION"
		sed -n "s#^\t\(k8s.io/[a-z0-9-]*\) => ./staging.*#replace \1 => \1 v0.${KUBE_VERSION#1.}#p" "$gomod"
	} >go.mod
	cat >tools.go <<'GO'
//go:build tools

package kube

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
GO
}

build() {
	[ ! -e "$KUBE_BIN/.done" ] || return 0
	local p minor mod version=k8s.io/component-base/version
	mkdir -p "$KUBE_BIN" && mod=$(mktemp -d)
	cd "$mod"
	export GOFLAGS='-mod=mod -buildvcs=false' CGO_ENABLED=0
	write_module
	go mod tidy >log 2>&1 || { tail -n 5 log >&2; return 1; }
	minor=$(cut -d. -f2 <<<"$KUBE_VERSION")
	# Without these the server tells a version that clients can't read.
	version="-X $version.gitVersion=v$KUBE_VERSION -X $version.gitMajor=1 -X $version.gitMinor=$minor"
	go build -trimpath -ldflags='-s -w' -o "$KUBE_BIN/etcd" go.etcd.io/etcd/server/v3
	for p in kubectl kube-apiserver; do
		go build -trimpath -ldflags="-s -w $version" -o "$KUBE_BIN/" "k8s.io/kubernetes/cmd/$p"
	done
	cd / && rm -r "$mod"
	touch "$KUBE_BIN/.done"
}

spawn() { # NAME PROGRAM ARGS...
	local n=$1
	shift
	nohup "$@" >"$KUBE_DIR/$n.log" 2>&1 </dev/null &
	echo $! >"$KUBE_DIR/$n.pid"
}

# The first may be asked before the server has made its certificate.
ready() {
	curl -sf --max-time 2 --cacert pki/apiserver.crt "https://127.0.0.1:$KUBE_PORT/readyz" >/dev/null 2>&1
}

start() {
	local admin _
	build
	mkdir -p "$KUBE_DIR"
	cd "$KUBE_DIR"
	[ -f sa.key ] || openssl genrsa -out sa.key 2048 2>/dev/null
	[ -f tokens.csv ] || echo "$(openssl rand -hex 24),admin,1,\"system:masters\"" >tokens.csv
	admin=$(cut -d, -f1 tokens.csv)
	spawn etcd "$KUBE_BIN/etcd" --data-dir etcd --unsafe-no-fsync --log-level error \
		--listen-client-urls "$ETCD" --advertise-client-urls "$ETCD" \
		--listen-peer-urls "http://127.0.0.1:$((KUBE_PORT + 2))"
	spawn apiserver "$KUBE_BIN/kube-apiserver" "--etcd-servers=$ETCD" \
		--bind-address=127.0.0.1 "--secure-port=$KUBE_PORT" --cert-dir=pki \
		--service-account-issuer=https://kubernetes.default.svc \
		--service-account-key-file=sa.key --service-account-signing-key-file=sa.key \
		--token-auth-file=tokens.csv --authorization-mode=RBAC --service-cluster-ip-range=10.96.0.0/24 \
		--endpoint-reconciler-type=none --disable-admission-plugins=ServiceAccount
	cat >kubeconfig <<CONF
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$KUBE_PORT", certificate-authority: "$KUBE_DIR/pki/apiserver.crt"}}]
users: [{name: admin, user: {token: "$admin"}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
CONF
	for _ in $(seq 600); do
		if ready; then
			echo "$KUBE_DIR/kubeconfig"
			return 0
		fi
		sleep 0.2
	done
	tail -n 5 apiserver.log >&2
	return 1
}

stop() {
	local n p _
	for n in apiserver etcd; do
		[ -e "$KUBE_DIR/$n.pid" ] || continue
		p=$(cat "$KUBE_DIR/$n.pid")
		kill "$p" 2>/dev/null || true
		for _ in $(seq 50); do
			kill -0 "$p" 2>/dev/null || break
			sleep 0.1
		done
		kill -9 "$p" 2>/dev/null || true
		rm -f "$KUBE_DIR/$n.pid"
	done
}

case ${1:-} in
build | start | stop) "$1" ;;
kubectl)
	shift
	exec "$KUBE_BIN/kubectl" --kubeconfig="$KUBE_DIR/kubeconfig" "$@"
	;;
*)
	sed -n '4,7p' "$0"
	exit 2
	;;
esac
