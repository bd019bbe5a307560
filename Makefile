# SPDX-License-Identifier: Apache-2.0
# tokentrail: BPF objects -> skeleton -> one binary. No configure step; nothing is fetched.
#   make run | demo | check      what most people want: they install what they need first
#   make all test bench fuzz install deps lint format      SAN=address,undefined  V=1

VERSION := 0.1.0
PREFIX ?= /usr
SYSCONFDIR ?= /etc
DESTDIR ?=
CLANG ?= clang
B := build$(if $(SAN),/san)
G := build/gen
Q := $(if $(V),,@)

PKGS := libbpf libelf zlib libprotobuf-c rdkafka sqlite3 libseccomp libcap yaml-0.1 jansson libcrypto libmicrohttpd
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wno-unused-parameter
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all -DTT_SANITIZED)
CPPFLAGS_ALL = -D_GNU_SOURCE -DTT_VERSION='"$(VERSION)"' -Isrc -Iinclude -Ibpf -I$(G)
CFLAGS_ALL = -std=gnu11 -O2 -g $(WARN) -Werror -fstack-protector-strong $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fPIE -pthread $(SANFLAGS) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -pthread $(SANFLAGS) $(LDFLAGS)
LIBS = $(shell pkg-config --libs $(PKGS)) -lm
ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
# Instructions on 32 bits (v3): Linux since 5.1. tests/lint/arm64.sh has the same.
BPF_FLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Werror
# clang -target bpf has no include folder of its own for <asm/types.h>
BPF_INC := $(shell $(CC) -print-multiarch 2>/dev/null)

BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=build/bpf/%.o)
BPF_HDR := $(wildcard bpf/*.h bpf/readers/*.h include/tokentrail/*)
SRC := $(filter-out src/main.c,$(wildcard src/*/*.c))
PROTO := $(wildcard schemas/tokentrail/v1/*.proto)
PB := $(PROTO:schemas/%.proto=$(G)/%.pb-c.c)
GEN_C := $(PB) $(G)/tokens_tables.c $(G)/tokens_mints.c $(G)/store_sql.c $(G)/report_page.c
OBJ := $(SRC:src/%.c=$(B)/obj/%.o) $(GEN_C:$(G)/%.c=$(B)/obj/gen/%.o)
HUFFMAN := $(G)/huffman_table.inc
HDR := $(HUFFMAN) $(wildcard src/*/*.h src/*/*.def include/tokentrail/* bpf/readers/*.h)
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: build/tokentrail

# ---- BPF ----
$(HUFFMAN): bpf/readers/huffman.awk
	@mkdir -p $(@D)
	$(Q)awk -f $< >$@.new && mv $@.new $@

build/bpf/%.o: bpf/%.bpf.c $(BPF_HDR) $(HUFFMAN) Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -D__TARGET_ARCH_$(ARCH) -Iinclude -Ibpf -I$(G) $(BPF_INC:%=-idirafter /usr/include/%) -c $< -o $@
	$(Q)llvm-strip -g $@

# What the sensor has to hold: no labels of jumps, and of line numbers each function's first.
build/bpf/tokentrail.bpf.o: $(BPF_OBJ) build/bpf/first_lines
	$(Q)bpftool gen object $@.all $(BPF_OBJ)
	$(Q)llvm-objcopy --dump-section .BTF.ext=$@.ext $@.all
	$(Q)build/bpf/first_lines <$@.ext >$@.lines
	$(Q)llvm-objcopy -w --strip-symbol 'LBB*' --update-section .BTF.ext=$@.lines $@.all $@

build/bpf/first_lines: bpf/first_lines.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g $(WARN) -Werror -o $@ $<

$(G)/tokentrail.skel.h: build/bpf/tokentrail.bpf.o
	@mkdir -p $(@D)
	$(Q)bpftool gen skeleton $< name tokentrail >$@.new && mv $@.new $@

# ---- generated C ----
$(G)/%.pb-c.c: schemas/%.proto
	@mkdir -p $(G)
	$(Q)protoc-c -Ischemas --c_out=$(G) $<

$(G)/tokens_tables.c: src/tokens/classes.tsv src/tokens/carriers.tsv src/tokens/tables.awk
	@mkdir -p $(@D)
	$(Q)awk -f src/tokens/tables.awk src/tokens/classes.tsv src/tokens/carriers.tsv >$@.new && mv $@.new $@

$(G)/tokens_mints.c: src/tokens/mints.tsv src/tokens/mints.awk
	@mkdir -p $(@D)
	$(Q)awk -f src/tokens/mints.awk $< >$@.new && mv $@.new $@

$(G)/store_sql.c: schemas/store.sql
	@mkdir -p $(@D)
	$(Q){ echo 'extern const char store_sql[]; const char store_sql[] ='; sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $<; echo ';'; } >$@

# The page's parts as texts, and the hashes by which its policy allows two of them.
C_TEXT = sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/'
$(G)/report_page.c: $(addprefix src/report/page.,html css js) Makefile
	@mkdir -p $(@D)
	$(Q){ for part in html css js; do \
		echo "extern const char report_page_$$part[]; const char report_page_$$part[] ="; $(C_TEXT) src/report/page.$$part; echo ';'; done; \
		for part in css js; do echo "extern const char report_page_$${part}_hash[]; const char report_page_$${part}_hash[] =" \
		"\"sha256-$$(env printf "$$(sha256sum <src/report/page.$$part | cut -c 1-64 | sed 's/../\\x&/g')" | base64 -w 0)\";"; done; } >$@.new && mv $@.new $@

# ---- user space ----
$(B)/obj/%.o: src/%.c $(HDR) $(PB) $(G)/tokentrail.skel.h Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CPPFLAGS) $(CFLAGS_ALL) -c $< -o $@

$(B)/obj/gen/%.o: $(G)/%.c $(HDR) Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Wno-missing-prototypes -c $< -o $@

$(B)/libtokentrail.a: $(OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/tokentrail: $(B)/obj/main.o $(B)/libtokentrail.a
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/tests/%: tests/unit/%.c $(B)/libtokentrail.a $(HDR)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests/lib $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(B)/libtokentrail.a $(LIBS) -lcmocka

.PRECIOUS: $(G)/%.pb-c.c build/bpf/%.o

# ---- using it ----
.PHONY: run demo install clean format lint
run: deps-build
	@$(MAKE) --no-print-directory all
	@exec build/tokentrail run

demo: deps-build deps-demo
	@$(MAKE) --no-print-directory all
	@exec tests/lib/demo.sh

install: all
	install -Dm755 build/tokentrail $(DESTDIR)$(PREFIX)/bin/tokentrail
	install -Dm644 deploy/systemd/tokentrail.service $(DESTDIR)$(PREFIX)/lib/systemd/system/tokentrail.service
	install -Dm644 deploy/systemd/tokentrail.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/tokentrail.conf
	install -Dm644 deploy/man/tokentrail.1 $(DESTDIR)$(PREFIX)/share/man/man1/tokentrail.1
	install -Dm644 deploy/man/tokentrail.yaml.5 $(DESTDIR)$(PREFIX)/share/man/man5/tokentrail.yaml.5
	install -dm755 $(DESTDIR)$(SYSCONFDIR)/tokentrail
	test -e $(DESTDIR)$(SYSCONFDIR)/tokentrail/tokentrail.yaml || \
		install -m644 deploy/tokentrail.yaml $(DESTDIR)$(SYSCONFDIR)/tokentrail/tokentrail.yaml

clean:
	rm -rf build

format:
	clang-format -i $(wildcard src/*.c src/*/*.[ch] bpf/*.[ch] bpf/readers/*.h include/tokentrail/*.h tests/*/*.[ch])

lint:
	@tests/run.sh lint

include tests/tests.mk
