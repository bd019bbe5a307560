#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# src/tokens/tables.awk and mints.awk must refuse wrong rows with FILE:LINE and take the real ones, with every awk
# that is here. Run from the top of the tree.
set -u
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0
classes=src/tokens/classes.tsv carriers=src/tokens/carriers.tsv

# refuse TABLE ROW WORDS: the real tables with one more ROW (\t for tabs) must fail at its line.
refuse() {
	cp "$classes" "$tmp/classes.tsv"
	cp "$carriers" "$tmp/carriers.tsv"
	printf "%b\n" "$2" >>"$tmp/$1.tsv"
	line=$(wc -l <"$tmp/$1.tsv")
	if "$awk" -f src/tokens/tables.awk "$tmp/classes.tsv" "$tmp/carriers.tsv" >"$tmp/out" 2>"$tmp/err"; then
		failed=1
		echo "not ok $awk: took the row $2"
	elif grep -qF "$tmp/$1.tsv:$line: " "$tmp/err" && grep -qF "$3" "$tmp/err" && [ ! -s "$tmp/out" ]; then
		echo "ok $awk refuses $1: $3"
	else
		failed=1
		echo "not ok $awk: on the row $2 it said: $(cat "$tmp/err")"
	fi
}

# The same of mints.tsv.
refuse_mint() { # ROW WORDS
	{ cat src/tokens/mints.tsv && printf "%b\n" "$1"; } >"$tmp/mints.tsv"
	line=$(wc -l <"$tmp/mints.tsv")
	if "$awk" -f src/tokens/mints.awk "$tmp/mints.tsv" >"$tmp/out" 2>"$tmp/err"; then
		failed=1
		echo "not ok $awk: took the row $1"
	elif grep -qF "$tmp/mints.tsv:$line: " "$tmp/err" && grep -qF "$2" "$tmp/err" && [ ! -s "$tmp/out" ]; then
		echo "ok $awk refuses mints: $2"
	else
		failed=1
		echo "not ok $awk: on the row $1 it said: $(cat "$tmp/err")"
	fi
}

for awk in mawk gawk original-awk; do
	command -v "$awk" >/dev/null || continue
	if "$awk" -f src/tokens/tables.awk "$classes" "$carriers" >"$tmp/out"; then
		echo "ok $awk takes the tables"
	else
		failed=1
		echo "not ok $awk: refuses the tables"
	fi
	"$awk" -f src/tokens/mints.awk src/tokens/mints.tsv >"$tmp/out" || failed=1
	refuse_mint 'member\toauth_answer\tToken\ttoken\taccess' 'already'
	refuse_mint 'member\toauth_answer\ta.b.c.d.e\ttoken\taccess' '1 to 4 names'
	refuse_mint 'member\toauth_answer\tx\ttext\taccess' 'not known for a text'
	refuse_mint 'rule\tx\tmint\tyes\tHEAD\t-\t*/token\t-\t-\t-\tx' 'not GET'
	refuse_mint 'rule\tx\tmint\tyes\tGET\t-\t*/t\t-\t-\t-\tx' 'fewer than 6'
	refuse_mint 'rule\tx\tmint\tyes\tGET\t-\t/a*/t\t-\t-\t-\tx' 'neither'
	refuse_mint 'rule\tx\tmint\tyes\tGET\t-\t/a*b*c\t-\t-\t-\tx' 'more than one'
	refuse_mint 'rule\tx\tmint\tyes\tGET\t-\t*/tokens\t-\tnone\t-\tx' 'no member above'
	refuse_mint 'other' 'neither member nor rule'
	refuse classes 'github_pat_classic\tGitHub\tapi_key\tghp_\t40\t40\tb62\t-\tcrc32b62\t-\tgithub.com,*.github.com,*.githubusercontent.com,*.ghe.com,ghcr.io\tx' 'stands in line'
	refuse classes 'x\tX\txyz_\t40\t40' 'columns'
	refuse classes 'x\tX\tapi_key\txyz_\t40\t39\tb62\t-\t-\t-\t-\tx' 'not a range'
	refuse classes 'x\tX\tapi_key\txyz_\t0\t39\tb62\t-\t-\t-\t-\tx' 'not a range'
	refuse classes 'x\tX\tapi_key\txyz_\t4\t65536\tb62\t-\t-\t-\t-\tx' 'not a range'
	refuse classes 'x\tX\tapi_key\txyz_\t3\t40\tb62\t-\t-\t-\t-\tx' 'shorter than the prefix'
	refuse classes 'x\tX\tkey\txyz_\t40\t40\tb62\t-\t-\t-\t-\tx' 'unknown kind'
	refuse classes 'x\tX\tapi_key\tabcdefghijklmnopqrstuvwxy\t40\t40\tb62\t-\t-\t-\t-\tx' 'up to 24 visible'
	refuse classes 'x\tX\tapi_key\tx y_\t40\t40\tb62\t-\t-\t-\t-\tx' 'up to 24 visible'
	refuse classes 'X\tX\tapi_key\txyz_\t40\t40\tb62\t-\t-\t-\t-\tx' 'class name'
	refuse classes 'jwt\tany\tapi_key\txyz_\t40\t40\tb62\t-\t-\t-\t-\tx' 'another provider or kind'
	refuse carriers 'header\tauthorization\tscheme\t-\t-' 'stands in line'
	refuse carriers 'header\tX-Upper\twhole\t-\t-' 'lower-case'
	refuse carriers 'header\tx-one\tpercent\t-\t-' 'not one of'
	refuse carriers 'param\tone\twhole\t-\t-' 'not one of'
	refuse carriers 'scheme\tone\tpercent\t-\t-' 'not one of'
	refuse carriers 'trailer\tone\twhole\t-\t-' 'not header, suffix, param, cookie, path or scheme'
	refuse carriers 'header\tx-one' 'columns'
	refuse carriers 'path\tservices/{}\tpercent\t-\t-' 'is not up to 48 characters'
	refuse carriers 'path\t/nobody/*/{}\tpercent\t-\t-' 'has no class'
	refuse classes 'x_hook\tX\twebhook\tpath:/nowhere/{}\t24\t24\tb62\t-\t-\t-\t!x.test\tu' 'no place'
done

exit "$failed"
