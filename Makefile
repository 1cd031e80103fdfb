# make | make test | make test BUILD=sanitize CC=clang | make fuzzers | make install
PREFIX ?= /usr/local
BUILD  ?= release
CFLAGS ?= $(if $(filter release,$(BUILD)),-O3,-O2) -g
MAKEFLAGS += --no-builtin-rules

PROGRAMS := src/cli/keybrake.c
TESTS    := $(wildcard src/*/*_test.c)
IMPOSTORS := $(wildcard tests/impostor/*.c tests/faults/*.c)
SIM      := $(wildcard tests/sim/*.c)
FUZZERS  := $(wildcard fuzz/fuzz_*.c)
CORE     := $(filter-out $(PROGRAMS) $(TESTS),$(wildcard src/*/*.c))
PACKS    := $(wildcard packs/*.json)

# The release program is optimised as one whole (gcc): a tenth of a request.  Tests need not be.
LTO := $(shell $(CC) -Werror -flto=auto -ffat-lto-objects -E -x c /dev/null >/dev/null 2>&1 && \
    echo -flto=auto -ffat-lto-objects)
MODE_release  := -D_FORTIFY_SOURCE=3 $(LTO)
MODE_sanitize := -fsanitize=address,undefined -fno-sanitize-recover=all -DKEYBRAKE_SANITIZE
MODE_fuzz     := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DKEYBRAKE_SANITIZE
MODE_coverage := --coverage -O0 -DKEYBRAKE_COVERAGE
MODE_trace    := -D_FORTIFY_SOURCE=3 -DKEYBRAKE_TRACE
MODE := $(MODE_$(BUILD))
OUT  := out/$(BUILD)
bin   = $(patsubst %.c,$(OUT)/%,$(1))

PACKAGES := libssl libcrypto libsodium sqlite3 jansson libcares libseccomp zlib
# Its header only: it is loaded when the command line makes a call (src/cli/client.c).
LOADED   := libcurl
# clang 14 takes this one only with a warning that is an error here.
ZERO := $(shell $(CC) -Werror -ftrivial-auto-var-init=zero -E -x c /dev/null >/dev/null 2>&1 && \
    echo -ftrivial-auto-var-init=zero)
# Where it is built does not show in it; -flto compiles at the link too.
HERE := -ffile-prefix-map=$(CURDIR)=.
FLAGS := -std=c17 -D_GNU_SOURCE -Isrc -I$(OUT)/gen -include base/banned.h -MMD -MP $(MODE) \
    $(shell pkg-config --cflags $(PACKAGES) $(LOADED)) \
    -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wvla -Wcast-qual -Wformat=2 -Wundef -Wwrite-strings \
    -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection \
    $(ZERO) $(HERE)
LIBS  := $(shell pkg-config --libs $(PACKAGES))

all: $(OUT)/keybrake

$(OUT)/keybrake: $(call bin,$(PROGRAMS))
	cp $< $@.new && mv -f $@.new $@ # one may be running

test: $(call bin,$(TESTS))
	@tools/unit $^
build-tests: $(call bin,$(TESTS))
impostors: $(call bin,$(IMPOSTORS)) $(OUT)/tests/clock/keybrake
fuzzers:
	$(MAKE) BUILD=fuzz CC=clang $(patsubst %.c,out/fuzz/%,$(FUZZERS))
install: all
	install -D $(OUT)/keybrake $(DESTDIR)$(PREFIX)/bin/keybrake
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	$(OUT)/keybrake man >$(DESTDIR)$(PREFIX)/share/man/man1/keybrake.1
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local/|$(PREFIX)/|' dist/keybrake.service \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/keybrake.service
clean:
	rm -rf out

# Every program, test and fuzzer is one file with a main() and the core library.
$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(CFLAGS) -c -o $@ $<
$(OUT)/gen/packs.inc: $(PACKS) tools/embed
	@mkdir -p $(@D)
	tools/embed $(PACKS) > $@
$(OUT)/src/pack/builtin.o: $(OUT)/gen/packs.inc
$(OUT)/core.a: $(CORE:%.c=$(OUT)/%.o)
	rm -f $@ && ar rcs $@ $^
$(OUT)/%: $(OUT)/%.o $(OUT)/core.a
	$(CC) -pie -Wl,-z,relro,-z,now $(HERE) $(MODE) $(LDFLAGS) -o $@ $^ $(LIBS)

# The simulator: what these call in the core is its own.
SIM_WRAPPED := clock_gettime getrandom adjtimex epoll_create1 epoll_ctl epoll_wait send recvmsg \
    close fcntl child_init child_confine child_run child_ready child_drained child_fault \
    child_kill process_new
$(OUT)/tests/sim/sim: $(SIM:%.c=$(OUT)/%.o) $(OUT)/core.a
	$(CC) -pie $(HERE) $(MODE) -fno-lto $(SIM_WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS)
sim: $(OUT)/tests/sim/sim $(OUT)/bench/fill

# The program with a clock that tests move on.
CLOCK_WRAPPED := clock_gettime epoll_wait child_init
$(OUT)/tests/clock/keybrake: $(OUT)/src/cli/keybrake.o $(OUT)/tests/clock/moved.o $(OUT)/core.a
	$(CC) -pie $(HERE) $(MODE) -fno-lto $(CLOCK_WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS)

.PHONY: all test build-tests impostors fuzzers install clean sim
.SECONDARY:
$(patsubst %.c,$(OUT)/%.o,$(TESTS) $(IMPOSTORS) $(SIM) tests/clock/moved.c bench/fill.c): CFLAGS += -O2 -fno-lto
$(call bin,$(TESTS) $(IMPOSTORS) bench/fill.c): LDFLAGS += -fno-lto
$(call bin,tests/impostor/breakout.c): LDFLAGS += \
    -Wl,--wrap=child_confine,--wrap=landlock_abi,--wrap=seccomp_enter
-include $(shell find out -name '*.d' 2>/dev/null)
