#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Run a program in a real OCI container (runc) under a cgroup path like a kubelet's.
#   ctr-run.sh POD_UID CONTAINER_ID PROGRAM [ARGS...]
# The root file system is made of PROGRAM, its libraries and busybox; exit status is the program's.
# CTR_ANNOTATIONS (KEY=VALUE a line) go into its bundle; CTR_STATE is runc's directory for its state.
# Own mount, pid, ipc, uts and (with CTR_NET=new, the default) network namespaces; CTR_NET=host shares the host's.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '4p' "$0"; exit 2; }
uid=$1 id=$2 prog=$(readlink -f "$3")
shift 3
b=$(mktemp -d)
state=${CTR_STATE:-$b/state}
had=$(find /sys/fs/cgroup -type d -name kubepods -print -quit)
# shellcheck disable=SC2317  # called by the trap
finish() {
	runc --root "$state" delete -f "$id" 2>/dev/null || true
	rm -rf "$b"
	# runc takes its own cgroup away, not the parents it made.
	find /sys/fs/cgroup -depth -type d -path "*/kubepods/burstable/pod$uid" -exec rmdir {} + 2>/dev/null || true
	[ -n "$had" ] || find /sys/fs/cgroup -depth -type d \( -path '*/kubepods/burstable' -o -name kubepods \) \
		-exec rmdir {} + 2>/dev/null || true
}
trap finish EXIT
mkdir -p "$b"/rootfs/{bin,proc,sys,dev,tmp,etc}
cp /bin/busybox "$b/rootfs/bin/busybox"
ln -s busybox "$b/rootfs/bin/sh"
add() { mkdir -p "$b/rootfs$(dirname "$1")" && cp -L "$1" "$b/rootfs$1"; }
add "$prog"
{ ldd "$prog" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' || true; } | while read -r l; do add "$l"; done
(cd "$b" && runc spec)
python3 - "$b/config.json" "/kubepods/burstable/pod$uid/$id" "${CTR_NET:-new}" "$prog" "$@" <<'PY'
import json
import os
import sys

path, cgroup, net, *argv = sys.argv[1:]
with open(path) as f:
    c = json.load(f)
c["process"]["terminal"] = False
c["process"]["args"] = argv
c["root"]["readonly"] = False
c["linux"]["cgroupsPath"] = cgroup
c["annotations"] = dict(a.split("=", 1) for a in os.environ.get("CTR_ANNOTATIONS", "").splitlines())
if net == "host":
    c["linux"]["namespaces"] = [n for n in c["linux"]["namespaces"] if n["type"] != "network"]
with open(path, "w") as f:
    json.dump(c, f)
PY
rc=0
runc --root "$state" run -b "$b" "$id" </dev/null || rc=$?
exit "$rc"
