#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks deploy/ with the tools that will read it: systemd, man, and for the DaemonSet
# tests/lint/daemonset.py. Also that the man pages name each setting and option the program has.
# Run from the top of the tree after make; BIN names another binary. Exits 1 after all faults.
set -u
BIN=${BIN:-build/tokentrail}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0

ok() { printf 'ok %s\n' "$1"; }
bad() { # NAME WHY
	failed=1
	printf 'not ok %s: %s\n' "$1" "$2"
}
skip() { printf 'skip %s: %s\n' "$1" "$2"; }

unit=deploy/systemd/tokentrail.service
# verify wants the program to exist: any other one stands in for it.
sed "s#^ExecStart=/usr/bin/tokentrail#ExecStart=$(command -v true)#" "$unit" >"$tmp/tokentrail.service"
if ! command -v systemd-analyze >/dev/null; then
	skip unit-verify 'no systemd-analyze'
elif out=$(systemd-analyze verify --man=no "$tmp/tokentrail.service" 2>&1) && [ -z "$out" ]; then
	ok unit-verify
else
	bad unit-verify "$out"
fi
# A later systemd may weigh another way, so the number may fall but not rise.
if command -v systemd-analyze >/dev/null; then
	if systemd-analyze security --offline=true --threshold=38 "$tmp/tokentrail.service" >"$tmp/security" 2>&1
	then
		ok unit-exposure
	else
		bad unit-exposure "more than 3.8: $(tail -n 1 "$tmp/security")"
	fi
fi
if ! command -v systemd-sysusers >/dev/null; then
	skip sysusers 'no systemd-sysusers'
elif systemd-sysusers --dry-run "$PWD/deploy/systemd/tokentrail.sysusers" >"$tmp/sysusers" 2>&1; then
	ok sysusers
else
	bad sysusers "$(cat "$tmp/sysusers")"
fi

if python3 -c 'import yaml' 2>/dev/null; then
	if python3 tests/lint/daemonset.py deploy/kubernetes/daemonset.yaml "$tmp/config.yaml"; then
		ok daemonset
	else
		bad daemonset 'see above'
	fi
	# Status 2 is a wrong configuration; 3 only means that the key is not on this machine.
	"$BIN" key show-id --config "$tmp/config.yaml" >/dev/null 2>"$tmp/err"
	case $? in
	0 | 3) ok daemonset-settings ;;
	*) bad daemonset-settings "$(cat "$tmp/err")" ;;
	esac
else
	skip daemonset 'no python3-yaml'
fi
# One list of capabilities in two files.
sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr ' ' '\n' | sed 's/^CAP_//' | sort >"$tmp/unit.caps"
sed -n '/^ *add:$/,/^ *volumeMounts:/s/^ *- \([A-Z_]*\)$/\1/p' deploy/kubernetes/daemonset.yaml |
	sort >"$tmp/pod.caps"
if [ -s "$tmp/unit.caps" ] && cmp -s "$tmp/unit.caps" "$tmp/pod.caps"; then
	ok same-capabilities
else
	bad same-capabilities "unit and DaemonSet differ: $(diff "$tmp/unit.caps" "$tmp/pod.caps")"
fi

for page in deploy/man/tokentrail.1 deploy/man/tokentrail.yaml.5; do
	if ! command -v man >/dev/null; then
		skip "man ${page##*/}" 'no man'
		continue
	fi
	out=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" \
		2>&1 >/dev/null)
	if [ -z "$out" ]; then ok "man ${page##*/}"; else bad "man ${page##*/}" "$out"; fi
done

# Each setting stands on the page, with its default, and none stands there that is gone.
sed -n 's/^TT_CONFIG_[A-Z0-9]*([a-z_]*, "\([^"]*\)".*/\1/p' include/tokentrail/config.def |
	sort >"$tmp/settings"
sed -n 's/\\-/-/g; s/^\.B \([a-z_]*\.[a-z_]*\)$/\1/p' deploy/man/tokentrail.yaml.5 | sort >"$tmp/paged"
if [ -s "$tmp/settings" ] && cmp -s "$tmp/settings" "$tmp/paged"; then
	ok man-settings
else
	bad man-settings "tokentrail.yaml.5 and config.def differ: $(diff "$tmp/settings" "$tmp/paged")"
fi
sed -n 's/^ *# Default \(.*\); .*/\1/p' deploy/tokentrail.yaml | sed 's/^""$/empty/' >"$tmp/defaults"
sed -n 's/\\-/-/g; s/^Default: \(.*\)\. Value: .*/\1/p' deploy/man/tokentrail.yaml.5 >"$tmp/paged"
if [ -s "$tmp/defaults" ] && cmp -s "$tmp/defaults" "$tmp/paged"; then
	ok man-defaults
else
	bad man-defaults "tokentrail.yaml.5 and tokentrail.yaml differ: $(diff "$tmp/defaults" "$tmp/paged")"
fi

# Each command and option that --help names stands on the page.
sed 's/\\-/-/g; s/\\f[A-Z]//g' deploy/man/tokentrail.1 >"$tmp/page"
commands=$("$BIN" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ] || bad man-commands "$BIN --help names no command"
for command in $commands; do
	if ! sed -n "/^\.SS $command\$/p" "$tmp/page" | grep -q .; then
		bad "man-$command" 'tokentrail.1 has no section on it'
		continue
	fi
	if ! "$BIN" "$command" --help >"$tmp/help" 2>&1 || ! grep -q '^Usage: ' "$tmp/help"; then
		bad "man-$command" '--help fails'
		continue
	fi
	grep -oE '^  --[a-z-]+' "$tmp/help" | sort -u >"$tmp/options"
	missing=$(while read -r option; do
		grep -qF -e "$option" "$tmp/page" || printf ' %s' "$option"
	done <"$tmp/options")
	if [ -z "$missing" ]; then ok "man-$command"; else bad "man-$command" "tokentrail.1 lacks$missing"; fi
done

exit "$failed"
