# SPDX-License-Identifier: Apache-2.0
# classes.tsv and carriers.tsv -> tokens_tables.c, the arrays of tokens/tables.h. A wrong row ends
# the build with FILE:LINE. The limits repeat TT_PREFIX_LEN (abi.h) and CARRIER_NAME_MAX (tables.h);
# the generated file asserts that they still agree. Runs on any POSIX awk.

function bad(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text | "cat 1>&2"
	failed = 1
}

function fields(want) {
	if (NF == want)
		return 1
	bad("has " NF " columns, not " want " (tabs between them)")
	return 0
}

function number(text) {
	return text ~ /^[1-9][0-9]*$/ && length(text) <= 5 && text + 0 <= 65535
}

function class_row() {
	if (!fields(6))
		return
	if ($1 !~ /^[a-z][a-z0-9_]*$/)
		bad("class name '" $1 "' is not lower-case letters, digits and _")
	if ($2 !~ /^[A-Za-z0-9. -]+$/)
		bad("provider '" $2 "' is empty or has odd characters")
	if ($3 !~ /^[A-Za-z0-9._~\/:-]+$/ || length($3) > 24)
		bad("prefix '" $3 "' is not 1 to 24 token characters")
	if (length($3) < 3)
		bad("prefix '" $3 "' is too short to tell a class")
	if ($3 in prefix_line)
		bad("prefix '" $3 "' stands in line " prefix_line[$3] " already")
	if (!number($4) || !number($5) || $4 + 0 > $5 + 0)
		bad("lengths " $4 ".." $5 " are not a range within 1..65535")
	else if ($4 + 0 < length($3))
		bad("min_len " $4 " is shorter than the prefix")
	if (!($6 in kinds))
		bad("unknown kind '" $6 "'")
	if ($1 in class_of && class_of[$1] != $2 "\t" $6)
		bad("class '" $1 "' has another provider or kind in an earlier row")
	class_of[$1] = $2 "\t" $6
	prefix_line[$3] = FNR
	classes[++class_rows] = "\t{\"" $1 "\", \"" $2 "\", \"" $3 "\", " $4 ", " $5 ", \"" $6 "\"},"
}

function carrier_row(    key) {
	if (!fields(3))
		return
	key = $1 " " $2
	if (key in name_line)
		bad($1 " '" $2 "' stands in line " name_line[key] " already")
	name_line[key] = FNR
	if ($2 !~ /^[a-z0-9!#$%&'*+.^_`|~-]+$/ || length($2) > 48)
		bad("name '" $2 "' is not 1 to 48 lower-case field name characters")
	if (!($1 in allowed))
		bad("space '" $1 "' is not header, param or scheme")
	else if (index(allowed[$1], " " $3 " ") == 0)
		bad("unwrap '" $3 "' is not one of" allowed[$1] "for a " $1)
	else if ($1 == "scheme")
		schemes[++scheme_rows] = "\t{\"" $2 "\", TT_UNWRAP_" toupper($3) "},"
	else
		carriers[++carrier_rows] = "\t{TT_NAME_" toupper($1) ", \"" $2 "\", TT_UNWRAP_" toupper($3) "},"
}

function table(type, name, rows, count,    i) {
	printf "\nconst struct %s %s[] = {\n", type, name
	for (i = 1; i <= count; i++)
		print rows[i]
	printf "};\nconst size_t %s_count = %d;\n", name, count
}

BEGIN {
	FS = "\t"
	count = split("api_key oauth_access oauth_refresh id_token session service_account agent " \
		      "cloud_sts ci webhook client_secret bootstrap signed_url key_id", list, " ")
	for (i = 1; i <= count; i++)
		kinds[list[i]] = 1
	allowed["header"] = " scheme whole "
	allowed["param"] = " percent "
	allowed["scheme"] = " whole basic none "
}

FNR == 1 { file++ }
/^#/ || /^$/ { next }
file == 1 { class_row() }
file == 2 { carrier_row() }

END {
	if (!failed && (!class_rows || !carrier_rows || !scheme_rows)) {
		print "tables.awk: wants classes.tsv, then carriers.tsv, each with rows" | "cat 1>&2"
		failed = 1
	}
	if (!failed && (class_rows > 65535 || carrier_rows > 65000 || scheme_rows > 255)) {
		print "tables.awk: more rows than ids" | "cat 1>&2"
		failed = 1
	}
	if (failed)
		exit 1
	print "/* Made by src/tokens/tables.awk from classes.tsv and carriers.tsv; do not edit. */"
	print "#include \"tokens/tables.h\"\n"
	print "_Static_assert(TT_PREFIX_LEN == 24, \"tables.awk repeats this limit\");"
	print "_Static_assert(CARRIER_NAME_MAX == 48, \"tables.awk repeats this limit\");"
	table("token_class", "token_classes", classes, class_rows)
	table("carrier", "token_carriers", carriers, carrier_rows)
	table("scheme", "token_schemes", schemes, scheme_rows)
}
