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

function chars(name) {
	return name in charsets ? charsets[name] : name
}

# "4=Q,5=~,dots=2" -> "{4, 5}, {'Q', '~'}, 3"
function marks(text,    n, i, at, is, list, dots, part, count) {
	at = is = ""
	dots = 0
	n = text == "-" ? 0 : split(text, list, ",")
	for (i = 1; i <= n; i++) {
		split(list[i], part, "=")
		if (list[i] ~ /^dots=[0-9]$/) {
			dots = part[2] + 1
		} else if (list[i] ~ /^[0-9]+=.$/ && part[1] > 0 && part[1] < 64) {
			at = at part[1] ", "
			is = is "'" substr(list[i], length(list[i])) "', "
			count++
		} else {
			bad("mark '" list[i] "' is not POSITION=CHARACTER within 1..63, or dots=N")
		}
	}
	if (count > 4)
		bad("more than four marks")
	return "{" at "}, {" is "}, " dots
}

function text(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	return "\"" s "\""
}

function prefix_of(column) {
	if (column == "-" || column ~ /^=/)
		return "\"\""
	return column ~ /^path:/ ? "\"\\001\" " text(substr(column, 6)) : text(column)
}

function class_row(    len, key) {
	if (!fields(12))
		return
	len = $4 == "-" || $4 ~ /^=/ ? 0 : $4 ~ /^path:/ ? length($4) - 4 : length($4)
	if ($1 !~ /^[a-z0-9][a-z0-9_]*$/ || length($1) > 31)
		bad("class name '" $1 "' is not up to 31 lower-case letters, digits and _")
	if ($2 !~ /^[A-Za-z0-9. -]+$/)
		bad("provider '" $2 "' is empty or has odd characters")
	if (!($3 in kinds))
		bad("unknown kind '" $3 "'")
	if ($4 !~ /^[!-~]+$/ || ($4 !~ /^path:/ && len > 24))
		bad("prefix '" $4 "' is not up to 24 visible characters")
	if ($4 ~ /^path:/)
		place_line[substr($4, 6)] = FNR
	if (!number($5) || !number($6) || $5 + 0 > $6 + 0)
		bad("lengths " $5 ".." $6 " are not a range within 1..65535")
	else if ($4 !~ /^path:/ && $5 + 0 < len)
		bad("min " $5 " is shorter than the prefix")
	if ($9 != "-" && $9 != "crc32b62")
		bad("unknown checksum '" $9 "'")
	if ($9 == "crc32b62" && ($5 != $6 || $5 != len + 36))
		bad("crc32b62 is of 30 characters and 6 behind the prefix")
	if ($1 in class_of && class_of[$1] != $2 "\t" $3)
		bad("class '" $1 "' has another provider or kind in an earlier row")
	class_of[$1] = $2 "\t" $3
	key = $4 " " $5 " " $6 " " $7 " " $8 " " $11
	if (key in pattern_line)
		bad("the same pattern stands in line " pattern_line[key] " already")
	pattern_line[key] = FNR
	if ($4 !~ /^=/ && ++prefix_rows[$4] > 20)
		bad("more than 20 rows of one prefix")
	classes[++class_rows] = "\t{" text($1) ", " text($2) ", " text($3) ", " prefix_of($4) ", " \
		($4 ~ /^=/ ? text(substr($4, 2)) : "NULL") ", " $5 ", " $6 ", " text(chars($7)) ", " \
		marks($8) ", " ($9 == "-" ? "TT_CHECKSUM_NONE" : "TT_CHECKSUM_" toupper($9)) ", " \
		text($10 == "-" ? "" : $10) ", " text($11 == "-" ? "" : $11) ", " text($12) "},"
	if ($4 ~ /^=/)
		told[++told_rows] = "\t" class_rows ","
}

# "key=keyid": a parameter's name behind the word.
function unwrap(column) {
	return column ~ /^(key|user|param)=[a-z]+$/ ? substr(column, 1, index(column, "=") - 1) : \
		column ~ /^(key|user|param)$/ ? "" : column
}

function param(column) {
	return text(substr(column, length(unwrap(column)) + 2))
}

function carrier_row(    key) {
	if (!fields(5))
		return
	key = $1 " " ($1 == "path" ? $2 : tolower($2))
	if (key in name_line)
		bad($1 " '" $2 "' stands in line " name_line[key] " already")
	name_line[key] = FNR
	if ($1 == "path") {
		if ($2 !~ /^((\/([a-z0-9A-Z_-]+|\*))*\/[a-z]*)?[{][}]$/ || length($2) > 48)
			bad("place '" $2 "' is not up to 48 characters as /name/*/{}")
		else if ($2 != "{}" && !($2 in place_line))
			bad("place '" $2 "' has no class")
		place_used[$2] = 1
	} else if (($1 == "cookie" ? tolower($2) : $2) !~ /^[a-z0-9!#$%&'*+.^_`|~-]+$/ || length($2) > 48)
		bad("name '" $2 "' is not 1 to 48 lower-case field name characters")
	if (!($1 in allowed))
		bad("space '" $1 "' is not header, suffix, param, cookie, path or scheme")
	else if (index(allowed[$1], " " unwrap($3) " ") == 0)
		bad("unwrap '" $3 "' is not one of" allowed[$1] "for a " $1)
	else if ($1 == "scheme")
		schemes[++scheme_rows] = "\t{\"" $2 "\", TT_UNWRAP_" toupper(unwrap($3)) ", " param($3) "},"
	else
		carriers[++carrier_rows] = "\t{TT_NAME_" toupper($1) ", \"" $2 "\", TT_UNWRAP_" toupper($3) \
			", " text($4 == "-" ? "" : $4) ", " text($5 == "-" ? "" : $5) "},"
}

function table(type, name, rows, count,    i) {
	printf "\nconst %s %s[] = {\n", type, name
	for (i = 1; i <= count; i++)
		print rows[i]
	printf "};\nconst size_t %s_count = %d;\n", name, count
}

BEGIN {
	FS = "\t"
	count = split("api_key oauth_access oauth_refresh id_token session service_account agent " \
		      "cloud_sts ci webhook client_secret bootstrap signed_url key_id placeholder", list, " ")
	for (i = 1; i <= count; i++)
		kinds[list[i]] = 1
	charsets["dec"] = "0-9"
	charsets["hex"] = "0-9a-f"
	charsets["Hex"] = "0-9A-Fa-f"
	charsets["b32"] = "A-Z2-7"
	charsets["b62"] = "0-9A-Za-z"
	charsets["b64u"] = "0-9A-Za-z_-"
	charsets["b64"] = "0-9A-Za-z+/=_-"
	charsets["text"] = "!-~"
	allowed["header"] = " scheme whole subprotocol none "
	allowed["suffix"] = " whole "
	allowed["param"] = " percent key_id "
	allowed["cookie"] = " whole "
	allowed["path"] = " percent "
	allowed["scheme"] = " whole basic pair key user account param "
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
	for (place in place_line) {
		if (place in place_used)
			continue
		printf "%s:%d: no place '%s' in the other table\n", ARGV[1], place_line[place], place | "cat 1>&2"
		failed = 1
	}
	if (!failed && (class_rows > 900 || carrier_rows > 65000 || scheme_rows > 255)) {
		print "tables.awk: more rows than ids" | "cat 1>&2"
		failed = 1
	}
	if (failed)
		exit 1
	print "/* Made by src/tokens/tables.awk from classes.tsv and carriers.tsv; do not edit. */"
	print "#include \"tokens/tables.h\"\n"
	print "_Static_assert(TT_PREFIX_LEN == 24, \"tables.awk repeats this limit\");"
	print "_Static_assert(CARRIER_NAME_MAX == 48, \"tables.awk repeats this limit\");"
	table("struct token_class", "token_classes", classes, class_rows)
	table("uint16_t", "token_told", told, told_rows)
	table("struct carrier", "token_carriers", carriers, carrier_rows)
	table("struct scheme", "token_schemes", schemes, scheme_rows)
}
