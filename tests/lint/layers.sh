#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One door for each library, and arrows between rooms that go one way (src/README.md).
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
failed=0

says() { # NAME HITS
	if [ -z "$2" ]; then
		echo "ok $1"
	else
		echo "not ok $1: $(head -n 1 <<<"$2")"
		echo "$2"
		failed=1
	fi
}

door() { # NAME HEADER-PATTERN FILE-PATTERN: only these files may include it
	says "only its door includes $1" \
		"$(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$2" src include | grep -vE "^($3):" || true)"
}

door libbpf '(bpf/(libbpf|bpf|btf)\.h|tokentrail\.skel\.h)' 'src/monitor/(bpf|attach|checks|kernel|sizes)\.[ch]|src/agent/r(ing|ows)\.c'
door libelf '(libelf|gelf|elfutils/)' 'src/agent/elf_[a-z]+\.[ch]'
door librdkafka 'librdkafka/' 'src/sinks/kafka[a-z_]*\.[ch]'
door protobuf-c '(protobuf-c/|tokentrail/v1/.*\.pb-c\.h)' 'src/sinks/record\.c'
door sqlite 'sqlite3' 'src/sinks/store(_[a-z]+)?\.c'
door libseccomp 'seccomp\.h' 'src/(ipc/sandbox|agent/profile)\.c'
door libcap 'sys/capability\.h' 'src/(ipc/sandbox|monitor/(checks|state))\.c|src/cmd/(doctor|run)\.c'
door libyaml 'yaml\.h' 'src/config/[a-z_]*\.c'
door libcrypto 'openssl/' 'src/tokens/id\.c'
door libmicrohttpd 'microhttpd\.h' 'src/sinks/http\.c'
door jansson 'jansson\.h' 'src/(sinks/json|cmd/[a-z]*|report/report_data|tokens/jwt[a-z_]*)\.[ch]'

# Two doors are left open on purpose: the counters that every room of the agent adds to, and the
# settings that the monitor packs for the agent.
OPEN='src/tokens/inventory\.c:.*"sinks/sink\.h"|src/monitor/.*"agent/blob\.h"'

arrow() { # FROM-DIR TO-PATTERN: no file of FROM includes a header of TO
	says "$1 does not look into $2" \
		"$(grep -rnE "^#[[:space:]]*include[[:space:]]*\"($2)/" "src/$1" 2>/dev/null | grep -vE "^($OPEN)" || true)"
}

arrow base 'agent|cmd|config|enrich|ipc|monitor|sinks|tokens'
arrow ipc 'agent|cmd|enrich|monitor|sinks|tokens'
arrow config 'agent|cmd|enrich|ipc|monitor|sinks'
arrow tokens 'agent|cmd|enrich|ipc|monitor|sinks'
arrow enrich 'agent|cmd|monitor|sinks'
arrow sinks 'agent|cmd|enrich|ipc|monitor|report'
arrow report 'agent|cmd|enrich|ipc|monitor'
arrow monitor 'agent|cmd|enrich|sinks'
arrow agent 'cmd|monitor'
says "bpf/ depends on include/ only" "$(grep -rnE '^#[[:space:]]*include[[:space:]]*"(\.\./)?(src|tests|base|tokens|sinks|agent|monitor)/' bpf || true)"
exit $failed
