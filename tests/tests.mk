# SPDX-License-Identifier: Apache-2.0
# Everything about testing; Makefile includes this. The suites are run by tests/run.sh.
#   make test          unit tests only: no privileges, no network
#   make check         all of them; installs what they need; the last line has the counts
#   make check-long    tests/long: servers that are long in the making
#   make scale scale-sensor         a million tokens, with the memory that is stated
#   make exact                      a million requests, the agent killed twice: each is counted
#   make bench bench-all soak       what the sensor costs; whether it grows
#   make vm-check fuzz              ONLY='*/canary.py' limits check to some test programs

BPF_TESTS := $(patsubst tests/bpf/%.c,build/tests/bpf/%,$(wildcard tests/bpf/test_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOLS := $(patsubst tests/lib/%.c,build/tests/tools/%,tests/lib/loadgen.c tests/lib/lockstep.c tests/lib/canary.c \
	tests/lib/juggle.c tests/lib/brief.c tests/lib/openload.c tests/lib/mapfill.c) \
	$(addprefix build/tests/tools/,lockstep-static brief-static elf_hooks)
HPACK_TOOLS := $(addprefix build/tests/tools/hpack/,plan encode_nghttp2 encode_go)

BENCH_TOOLS := $(addprefix build/tests/bench/,empty idle)

JOBS ?= $(shell nproc)

.PHONY: deps deps-build deps-demo deps-test test check check-long fuzz bench bench-all soak scale scale-sensor exact vm-check tools unit-tests
deps-build:
	@tests/lib/deps.sh build
deps-demo:
	@tests/lib/deps.sh build demo
deps-test deps:
	@tests/lib/deps.sh build test
	@tests/lib/fetch.sh

tools: $(TOOLS) $(HPACK_TOOLS)
unit-tests: $(UNIT)

# Tools of the tests are programs of their own: plain C and OpenSSL, nothing of ours.
build/tests/tools/%: tests/lib/%.c tests/lib/answer.h tests/tests.mk
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g $(WARN) -Werror -D_GNU_SOURCE -o $@ $< $(TOOL_LIBS) -lssl -lcrypto

# But this one, which shows what of ours finds in files.
build/tests/tools/elf_hooks: tests/lib/elf_hooks.c build/libtokentrail.a tests/tests.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< build/libtokentrail.a $(LIBS)

build/tests/tools/openload: TOOL_LIBS := -lnghttp2
build/tests/tools/mapfill: TOOL_LIBS := -lbpf
build/tests/tools/hpack/encode_nghttp2: TOOL_LIBS := -lnghttp2
build/tests/tools/hpack/encode_go: $(addprefix tests/lib/hpack/,encode_go.go go.mod go.sum)
	@mkdir -p $(@D)
	$(Q)cd $(<D) && go build -buildvcs=false -trimpath -o $(CURDIR)/$@ $(<F)

build/tests/tools/%-static: tests/lib/%.c tests/tests.mk
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g $(WARN) -Werror -D_GNU_SOURCE -static -o $@ $< -lssl -lcrypto 2>$@.log || \
		{ cat $@.log; exit 1; }

build/tests/bpf/test_tls_gnutls: BPF_TEST_LIBS := -lgnutls
build/tests/bpf/test_tls_wolfssl: BPF_TEST_LIBS := -lwolfssl
build/tests/bpf/test_tls_nss: BPF_TEST_LIBS = $(shell pkg-config --cflags --libs nss nspr)
# Linked in, as small programs have it.
MBEDTLS_STATIC := -Wl,-Bstatic -lmbedtls -lmbedx509 -lmbedcrypto -Wl,-Bdynamic
build/tests/bpf/test_tls_mbedtls: BPF_TEST_LIBS := $(MBEDTLS_STATIC)
build/tests/bpf/test_cover: BPF_TEST_LIBS := $(MBEDTLS_STATIC)
build/tests/bpf/%: tests/bpf/%.c build/libtokentrail.a $(HDR) $(wildcard tests/bpf/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests/lib $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< build/libtokentrail.a \
		$(BPF_TEST_LIBS) $(LIBS) -lssl -lcmocka

build/fuzz/fuzz_hpack: FUZZ_LIBS := -lnghttp2
build/fuzz/fuzz_mint: FUZZ_LIBS := -ljansson
build/fuzz/fuzz_inflate: FUZZ_LIBS := -lz
build/fuzz/fuzz_jwt: FUZZ_LIBS := $(wildcard src/tokens/jwt*.c) src/tokens/facts.c src/tokens/id.c src/tokens/use.c src/base/write.c -ljansson -lcrypto -lm
build/fuzz/fuzz_elf_place: FUZZ_LIBS := src/agent/elf_place.c src/agent/elf_prologue.c
build/fuzz/fuzz_elf_place: src/agent/elf_place.c src/agent/elf_prologue.c
build/fuzz/fuzz_elf_scan: FUZZ_LIBS := $(wildcard src/agent/elf_*.c) src/tokens/use.c -lelf
build/fuzz/fuzz_elf_scan: $(wildcard src/agent/elf_*.[ch])
build/fuzz/%: tests/fuzz/%.c $(BPF_HDR) $(HUFFMAN) $(wildcard tests/fuzz/*.h tests/lib/h*.h tests/lib/*_drive.h tests/lib/jwt_make.h)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu11 -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -Ibpf -I$(G) -fno-sanitize-recover=all \
		-fsanitize=fuzzer,address,undefined -o $@ $< $(FUZZ_LIBS)

test: all unit-tests
	@tests/run.sh unit

# Sanitizers and fuzzers are built before anything runs, so that a broken build shows at once.
check: deps
	@$(MAKE) --no-print-directory -j$(JOBS) all unit-tests tools $(BENCH_TOOLS) $(BPF_TESTS) $(FUZZERS)
	@$(MAKE) --no-print-directory -j$(JOBS) SAN=address,undefined unit-tests
	@tests/run.sh lint unit san fuzz vm bpf e2e kafka

# What takes longer to fetch and to run: Kubernetes, Vault, Keycloak.
check-long:
	@tests/lib/deps.sh build test
	@tests/lib/fetch.sh long
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tests/run.sh long

vm-check: deps all tools build/tests/bpf/test_http2_blocks
	@tests/run.sh vm

fuzz: $(FUZZERS)
	@tests/run.sh fuzz

# Where probes stand changes nothing of what is seen: the same lines from both runs.
placement: all tools
	$(Q)for p in auto symbol; do \
		PLACEMENT=$$p tests/e2e/matrix.py >build/placement.$$p || { grep '^not ok' build/placement.$$p; exit 1; }; \
		grep '^# ' build/placement.$$p | sort >build/placement.$$p.seen; done
	$(Q)diff build/placement.auto.seen build/placement.symbol.seen && wc -l <build/placement.auto.seen

# A million tokens with the default memory; some minutes, 1 GiB of disk.
SCALE := 1000000 15000
scale: build/tests/bench/scale
	$(Q)d=$$(mktemp -d) && build/tests/bench/scale $(SCALE) "$$d"; r=$$?; rm -rf "$$d"; exit $$r

# The same through the whole sensor, by as many requests; six minutes, 4 GiB of disk.
scale-sensor: all tools
	@tests/e2e/million.py $(SCALE)

# Five minutes.
exact: all tools
	@tests/e2e/exact.py 1000000

build/tests/bench/scale: tests/bench/scale.c $(B)/libtokentrail.a $(HDR)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(B)/libtokentrail.a $(LIBS)

# What it costs. KEEP=1 keeps the figures, TABLES=cost,latency makes only these: tests/bench/bench.py --help.
bench: deps-test all tools $(BENCH_TOOLS)
	@tests/bench/bench.py
bench-all: deps-test all tools $(BENCH_TOOLS)
	@tests/bench/bench.py --all

# An hour, or MINUTES, of processes, connections, tokens and files that come and go.
soak: deps-test all tools
	@tests/bench/soak.py

build/tests/bench/idle: tests/bench/idle.c tests/tests.mk
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g $(WARN) -Werror -D_GNU_SOURCE -o $@ $<

build/tests/bench/empty.bpf.o: tests/bench/empty.bpf.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -D__TARGET_ARCH_$(ARCH) -c $< -o $@

build/tests/bench/empty: tests/bench/empty.c build/libtokentrail.a build/tests/bench/empty.bpf.o
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< build/libtokentrail.a $(LIBS)
