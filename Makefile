# make test is the one command that checks everything; see README.md.

GO ?= go
TIMEOUT ?= 20m

.PHONY: all build test deps check unit matrix bench fuzz clean

all: build

build:
	$(GO) build -o bin/p9mapfs ./cmd/p9mapfs

test: deps check unit

# What the tests need besides Go: a C compiler (for -race), FUSE, and two 9P servers.
PACKAGES = gcc libc6-dev fuse3 attr python3-minimal diod nfs-ganesha nfs-ganesha-vfs
COMMANDS = gcc fusermount3 getfattr python3 diod ganesha.nfsd

deps:
	@missing=; for c in $(COMMANDS); do PATH="$$PATH:/usr/sbin:/sbin" command -v $$c >/dev/null || missing="$$missing $$c"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing $(PACKAGES), for want of:$$missing"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; \
	else \
		echo "make test needs these commands, which are missing:$$missing" >&2; \
		echo "install them (Debian: apt-get install $(PACKAGES)), or run make test as root" >&2; exit 1; \
	fi

check:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt differs in:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# As root nothing may be skipped for want of FUSE: P9TEST_MUST makes that a failure.
unit:
	P9TEST_MUST=$$([ "$$(id -u)" = 0 ] && echo 1) PATH="$$PATH:/usr/sbin:/sbin" \
	$(GO) test -race -count=1 -timeout $(TIMEOUT) ./...
	$(GO) test -count=1 -run 'AllocateNothing$$' ./p9client

# Every fault at every message of the paths that bytes and faults take; minutes.
matrix: deps
	P9TEST_MUST=$$([ "$$(id -u)" = 0 ] && echo 1) PATH="$$PATH:/usr/sbin:/sbin" \
	$(GO) test -race -count=1 -timeout $(TIMEOUT) -tags matrix ./test/matrix

bench:
	$(GO) run ./test/bench

FUZZTIME ?= 1m
fuzz:
	$(GO) test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME) ./errors
	$(GO) test -run '^$$' -fuzz '^FuzzReplies$$' -fuzztime $(FUZZTIME) ./p9client
	$(GO) test -run '^$$' -fuzz '^FuzzAnswers$$' -fuzztime $(FUZZTIME) ./p9client
	$(GO) test -run '^$$' -fuzz '^FuzzVersion$$' -fuzztime $(FUZZTIME) ./p9client
	$(GO) test -run '^$$' -fuzz '^FuzzDecoders$$' -fuzztime $(FUZZTIME) ./p9client
	$(GO) test -run '^$$' -fuzz '^FuzzSession$$' -fuzztime $(FUZZTIME) ./p9client
	$(GO) test -run '^$$' -fuzz '^FuzzConn$$' -fuzztime $(FUZZTIME) ./export
	$(GO) test -run '^$$' -fuzz '^FuzzRead$$' -fuzztime $(FUZZTIME) ./rescue
	$(GO) test -run '^$$' -fuzz '^FuzzRecord$$' -fuzztime $(FUZZTIME) ./rescue

clean:
	rm -rf bin
