# SPDX-License-Identifier: Apache-2.0
# mints.tsv -> tokens_mints.c, the arrays of tokens/mint_rules.h. A wrong row ends the build with
# FILE:LINE. Runs on any POSIX awk.

function bad(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text | "cat 1>&2"
	failed = 1
}

function member_row() {
	if (NF != 5) {
		bad("has " NF " columns, not 5 (tabs between them)")
		return
	}
	if ($2 !~ /^[a-z][a-z0-9_]*$/)
		bad("set '" $2 "' is not lower-case letters, digits and _")
	if (!($2 in set_id))
		set_id[$2] = ++sets
	if ($3 !~ /^[A-Za-z0-9_.]+$/ || split($3, part, ".") > 4)
		bad("path '" $3 "' is not 1 to 4 names with dots between")
	if (($2, tolower($3)) in seen)
		bad("'" $3 "' stands in this set already")
	seen[$2, tolower($3)] = 1
	if (!($4 in how))
		bad("how '" $4 "' is not token, text, key_id or message")
	if ($4 == "message" ? $5 != "-" : index(" " ($4 == "token" ? roles : texts) " ", " " $5 " ") == 0)
		bad("meaning '" $5 "' is not known for a " $4)
	if ($2 == "plain_body")
		plain[$3] = members + 1
	member[++members] = sprintf("\t{ %d, \"%s\", %s, MINT_%s },", set_id[$2], $3, how[$4], $5 == "-" ? "MEANINGS" : toupper($5))
}

function set_of(name) {
	if (name == "-")
		return 0
	if (!(name in set_id))
		bad("set '" name "' has no member above")
	return set_id[name]
}

function rule_row(    n, i, m, star) {
	if (NF != 11) {
		bad("has " NF " columns, not 11 (tabs between them)")
		return
	}
	if ($2 !~ /^[a-z][a-z0-9_]*$/ || length($2) > 24)
		bad("name '" $2 "' is not up to 24 lower-case letters, digits and _")
	if ($3 != "mint" && $3 != "revoke" && $3 != "check")
		bad("kind '" $3 "' is not mint, revoke or check")
	if ($4 != "yes" && $4 != "no")
		bad("sure '" $4 "' is not yes or no")
	n = split($5, list, ",")
	for (i = 1; i <= n; i++) {
		if (list[i] !~ /^(GET|POST|PUT|DELETE)$/)
			bad("method '" list[i] "' is not GET, POST, PUT or DELETE")
		m = m (i > 1 ? " | " : "") "TT_MINT_" list[i]
	}
	if ($6 != "-" && ($6 !~ /^[a-z0-9.-]+$/ || length($6) > 16))
		bad("host '" $6 "' is not 1 to 16 characters of a host name")
	star = index($7, "*")
	if (substr($7, star + 1) ~ /\*/ || length(substr($7, 1, star - 1)) > 32 || length(substr($7, star + 1)) > 32)
		bad("path '" $7 "' has more than one '*', or more than 32 characters beside it")
	if (star == 1 && length($7) < 7)
		bad("path '" $7 "' has fewer than 6 characters at its end")
	if (star > 1 && length($7) - star < 6 && star < 9)
		bad("path '" $7 "' has neither 8 characters at its beginning nor 6 at its end")
	if ($8 != "-" && !($8 in plain))
		bad("plain '" $8 "' is not in the set plain_body")
	rule[++rules] = sprintf("\t{ \"%s\", MINT_KIND_%s, %s, %s, \"%s\", \"%s\", %d, %d, %d },", $2, toupper($3),
				$4 == "yes" ? "true" : "false", m, $6 == "-" ? "" : $6, $7, $8 == "-" ? 0 : plain[$8],
				set_of($9), set_of($10))
}

BEGIN {
	FS = "\t"
	how["token"] = "TT_MINT_TOKEN"
	how["text"] = "TT_MINT_TEXT"
	how["key_id"] = "TT_MINT_KEY_ID"
	how["message"] = "TT_MINT_MESSAGE"
	roles = "parent subject_token access refresh id session"
	texts = "grant client scope audience resource expires_in expires_at issued_at refresh_expires_in token_type " \
		"issued_type requested_type subject issuer role action duration error account key_id active " \
		"bound_kind bound_name"
}

/^#/ || /^$/ { next }
$1 == "member" { member_row(); next }
$1 == "rule" { rule_row(); next }
{ bad("begins with neither member nor rule") }

END {
	if (!failed && (!rules || rules > 47 || members > 255)) {
		print "mints.awk: no rules, more than 47, or more than 255 members" | "cat 1>&2"
		failed = 1
	}
	if (failed)
		exit 1
	print "/* Made by src/tokens/mints.awk from mints.tsv; do not edit. */"
	print "#include \"tokens/mint_rules.h\"\n"
	print "const struct mint_member mint_members[] = {"
	for (i = 1; i <= members; i++)
		print member[i]
	printf "};\nconst size_t mint_members_count = %d;\n\n", members
	print "const struct mint_rule mint_rules[] = {"
	for (i = 1; i <= rules; i++)
		print rule[i]
	printf "};\nconst size_t mint_rules_count = %d;\n", rules
}
