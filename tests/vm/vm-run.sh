#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boot a distribution kernel under QEMU (TCG) and run a program in it as root.
#   vm-run.sh fetch SUITE [ARCH]             kernel of a Debian suite into the cache
#   vm-run.sh unpack SUITE DIR PACKAGE...   packages of a suite, unpacked into a folder
#   vm-run.sh run SUITE[:ARCH] PROGRAM [FILE...]   exit status is the program's
# SUITE: bullseye (5.10) bookworm (6.1) trixie (6.12) sid; ARCH: amd64 (default) or arm64.
# PROGRAM becomes /run/test in the guest (static, or dynamic: its libraries are added);
# each FILE is added at its own path, or at DEST of FILE=DEST, with its libraries. A guest has lo
# only, no disk; everything is in its first file system.
set -euo pipefail

CACHE=${TOKENTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentrail}/vm
MEM=${VM_MEM:-512}
SMP=${VM_SMP:-1}
LIMIT=${VM_TIMEOUT:-120}

apt_opts() { # SUITE ARCH
	local r=$CACHE/apt/$1-$2 site
	mkdir -p "$r/lists/partial" "$r/cache/archives/partial"
	touch "$r/status"
	# shellcheck disable=SC2016
	site=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 'debian$' || true)}
	[ "$site" ] || { echo "vm-run: no package source of Debian is set up here; name one in DEBIAN_MIRROR" >&2; exit 1; }
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $1 main" >"$r/sources.list"
	OPTS=(-q -o "Dir::State=$r" -o "Dir::State::lists=$r/lists" -o "Dir::State::status=$r/status"
		-o "Dir::Cache=$r/cache" -o "Dir::Etc::sourcelist=$r/sources.list" -o Dir::Etc::sourceparts=-
		-o "APT::Architecture=$2" -o "APT::Architectures=$2" -o "APT::Sandbox::User=root")
}

deb() { # DIR PACKAGE...: download and unpack
	local d=$1 t
	shift
	t=$(mktemp -d)
	(cd "$t" && apt-get "${OPTS[@]}" download "$@" >/dev/null && for f in *.deb; do dpkg-deb -x "$f" "$d"; done)
	rm -r "$t"
}

unpack() { # SUITE DIR PACKAGE...
	local d=$2
	apt_opts "$1" amd64
	apt-get "${OPTS[@]}" update >/dev/null
	mkdir -p "$d"
	shift 2
	deb "$d" "$@"
}

fetch() { # SUITE ARCH
	local d=$CACHE/$1-$2 p
	[ -e "$d/kernel" ] && return 0
	mkdir -p "$d"
	apt_opts "$1" "$2"
	apt-get "${OPTS[@]}" update >/dev/null
	# bullseye may leave the mirror some day: that has to be seen, so it is an error, not a skip.
	p=$(apt-cache "${OPTS[@]}" depends "linux-image-cloud-$2" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	# Newer suites put the kernel file into a package of its own.
	if apt-cache "${OPTS[@]}" show "${p/image/binary}" >/dev/null 2>&1; then p=${p/image/binary}; fi
	deb "$d/x" "$p" busybox-static
	cp "$(find "$d/x" -name 'vmlinuz*' -type f | head -n 1)" "$d/kernel.new"
	cp "$d/x/bin/busybox" "$d/busybox" 2>/dev/null || cp "$d/x/usr/bin/busybox" "$d/busybox"
	rm -r "$d/x"
	mv "$d/kernel.new" "$d/kernel"
	rm -r "$CACHE/apt/$1-$2"
}

add() { # ROOT FILE DEST
	local lib
	mkdir -p "$1$(dirname "$3")"
	cp -L "$2" "$1$3"
	{ ldd "$2" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' || true; } | while read -r lib; do
		[ -e "$1$lib" ] || { mkdir -p "$1$(dirname "$lib")"; cp -L "$lib" "$1$lib"; }
	done
}

run() { # SUITE ARCH PROGRAM FILE...
	local d=$CACHE/$1-$2 arch=$2 prog=$3 root out f rc
	shift 3
	root=$(mktemp -d) && out=$(mktemp)
	mkdir -p "$root"/{bin,proc,sys,dev,tmp,run,etc}
	# As in a real system: an agent without privileges has to get through / and into /tmp.
	chmod 755 "$root"
	chmod 1777 "$root/tmp"
	cp "$d/busybox" "$root/bin/busybox"
	add "$root" "$prog" /run/test
	for f in "$@"; do add "$root" "${f%%=*}" "${f#*=}"; done
	cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev 2>/dev/null
mount -t tracefs t /sys/kernel/tracing 2>/dev/null; mount -t bpf b /sys/fs/bpf; mount -t cgroup2 c /sys/fs/cgroup
ip link set lo up
export PATH=/bin:/usr/bin HOME=/tmp
echo; echo VM-START
/run/test; r=$?; echo; echo "VM-EXIT $r"
poweroff -f
INIT
	chmod +x "$root/init" "$root/run/test"
	(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$out.cpio"
	local q=(-smp "$SMP" -m "$MEM" -nographic -no-reboot -nic none -accel 'tcg,thread=multi' -kernel "$d/kernel" -initrd "$out.cpio")
	case $arch in
	amd64) q=(qemu-system-x86_64 -M q35 -cpu max "${q[@]}" -append 'console=ttyS0 quiet panic=-1') ;;
	arm64) q=(qemu-system-aarch64 -M virt -cpu cortex-a72 "${q[@]}" -append 'console=ttyAMA0 quiet panic=-1') ;;
	esac
	timeout "$LIMIT" "${q[@]}" </dev/null 2>&1 | tr -d '\r' | tee "$out" |
		awk '/^VM-START/ {p = 1; next} /^VM-EXIT/ {p = 0} p {print; fflush()}' || true
	rc=$(sed -n 's/.*VM-EXIT \([0-9]*\).*/\1/p' "$out" | tail -n 1)
	[ "$rc" ] || { echo 'vm-run: no exit line from the guest, its last output:'; tail -n 20 "$out"; } >&2
	rm -r "$root" "$out" "$out.cpio"
	exit "${rc:-124}"
}

verb=${1:-}
case $verb in
fetch) fetch "$2" "${3:-amd64}" ;;
unpack)
	s=$2 d=$3
	shift 3
	unpack "$s" "$d" "$@"
	;;
run)
	s=${2%%:*} a=amd64
	[[ $2 != *:* ]] || a=${2##*:}
	fetch "$s" "$a"
	shift 2
	run "$s" "$a" "$@"
	;;
*) sed -n '3,10p' "$0"; exit 2 ;;
esac
