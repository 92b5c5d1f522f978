# shardstack. `make` lists the targets; CONTRIBUTING.md explains them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

# Cores of `run` and `bench`, as a mask.
COREMASK ?= 0x3
# How long `run` lasts in all, and how long `fuzz` stays on each target.
DURATION ?= 10s
FUZZTIME ?= 30s
# Pattern of the benchmarks that `bench` runs, and more arguments of theirs
# (bench/doc.go), as -conns 1000000 or -port tap:NAME -to ADDRESS …
BENCH     ?= .
BENCHARGS ?=
# The version that `lint` fetches where no staticcheck is installed.
STATICCHECK_VERSION ?= v0.8.2

GO      ?= go
GOFLAGS += -buildvcs=false
export GOFLAGS
# ip, nginx, ethtool lie where an ordinary user's PATH doesn't look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# `make peers`: runs of each trial, how long one measures, which works (a
# pattern; default all), whether only to show that it works, where to write the
# figures, and whether to write docs/performance.md and its chart.
RUNS   ?= 5
TRIAL  ?= 1s
WORKS  ?=
SHORT  ?=
JSON   ?=
UPDATE ?=
# Peers whose libraries are there.
PEERS_TAGS = $(shell { [ ! -e /usr/include/lwip/lwip/init.h ] || echo lwip; ! pkg-config --exists libdpdk || echo dpdk; } | paste -sd,)

# `make run` and `make lossy` pass these on.
RUNFLAGS ?=
LOSSYARGS ?=

# The packages, as lists of import paths. $(call packages,a b) gives those that
# lie in or below the folders a and b.
ALL       = $(eval ALL := $(or $(shell $(GO) list ./...),$(error go list found no packages)))$(ALL)
MODULE   := $(shell $(GO) list -m)
packages  = $(filter $(foreach d,$(1),$(MODULE)/$(d) $(MODULE)/$(d)/%),$(ALL))

# Tests that own cores, devices or whole programs run one package at a time so
# that they don't take each other's cores; all others run side by side.
SERIAL_DIRS := internal/netspace port/tap shard netconn bench cmd examples
SERIAL   = $(call packages,$(SERIAL_DIRS))
PARALLEL = $(filter-out $(SERIAL),$(ALL))

# Packages in which more than one thread touches memory, and packages with
# extra checks under -tags pbufdebug.
RACE     = $(call packages,ring port shard netconn affinity)
DEBUG    = $(call packages,pbuf stack)

# Packages that run on an emulated arm64 too: those with assembly, and what
# lies in memory in ways that a processor may be particular about. An arm64
# machine needs no emulator.
ARM64     = $(call packages,header ring pbuf rss offload stack)
ARM64_ENV = GOARCH=arm64 CGO_ENABLED=0
EMULATOR  = $(if $(filter arm64,$(shell $(GO) env GOHOSTARCH)),,-exec qemu-aarch64-static)

# The emulator has no mbind(2); the test runs on the machine itself, in unit.
NOT_EMULATED = $(if $(EMULATOR),-skip '^TestNUMANode$$')

# Packages that are tested once more without cgo; nothing needs it but DPDK.
NOCGO    = $(call packages,header pbuf port/mem port/dpdk bench/device)

# With its profile a program's packages are all compiled a second time. `build` and
# `serial` do that; what else is vetted, built or tested need not.
NOPGO = -pgo=off

# Where `dpdk-versions` gets DPDK's sources from.
DPDK_GIT ?= https://github.com/DPDK/dpdk

.PHONY: dpdk dpdk-versions nocgo help deps build run test unit serial debug race arm64 bench pgo peers peers-test lossy fuzz lint lint-light clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the Debian packages that the tests use, if a tool is missing (root)
	@.ci/deps

build: ## build all packages, and the generator as bin/shardgen
	$(GO) build ./...
	$(GO) build -o bin/shardgen ./cmd/shardgen

run: build ## run bulk, rr, cps and udp on the in-memory wire (COREMASK, DURATION)
	bin/shardgen demo --coremask $(COREMASK) --duration $(DURATION) $(RUNFLAGS)

test: deps lint-light build unit serial debug race arm64 nocgo peers-test dpdk ## everything that CI runs

unit: ## tests that need nothing of the machine
	$(GO) test -count=1 -timeout 5m $(PARALLEL)

serial: ## tests that need cores, devices or programs, one package at a time
	$(if $(SERIAL),$(GO) test -count=1 -timeout 5m -p 1 $(SERIAL))

debug: ## tests of the buffers and the stack with the buffers' checks on
	$(if $(DEBUG),$(GO) test -count=1 -timeout 5m -tags pbufdebug $(DEBUG))

race: ## tests of what more than one thread touches, with the race detector
	$(if $(RACE),$(GO) test -count=1 -timeout 10m -p 1 -race $(RACE))

arm64: deps ## build and vet everything for arm64, test what has assembly (emulated)
	$(ARM64_ENV) $(GO) build $(NOPGO) ./...
	$(ARM64_ENV) $(GO) vet $(NOPGO) ./...
	$(if $(ARM64),$(ARM64_ENV) $(GO) test -count=1 -timeout 5m $(EMULATOR) $(NOT_EMULATED) $(ARM64))

dpdk: deps ## vet and test what is built with DPDK's library, without huge pages
	$(GO) vet $(NOPGO) -tags dpdk ./port/dpdk/... ./bench/... ./cmd/shardgen ./examples/...
	$(GO) test -count=1 -timeout 5m -tags dpdk ./port/dpdk ./bench/device
	$(GO) test $(NOPGO) -count=1 -timeout 5m -tags dpdk -run DPDK ./cmd/shardgen

dpdk-versions: deps ## compile the C of port/dpdk with the headers of DPDK 21.11 to 24.11 (DPDK_GIT)
	@.ci/dpdkversions '$(DPDK_GIT)'

nocgo: ## build and vet everything without cgo, test what has parts with it
	CGO_ENABLED=0 $(GO) build $(NOPGO) ./...
	CGO_ENABLED=0 $(GO) vet $(NOPGO) ./...
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 5m $(NOCGO)

bench: ## run the benchmarks (COREMASK, BENCH, BENCHARGS)
	$(GO) test -run '^$$' -bench '$(BENCH)' -timeout 60m ./bench -args -coremask $(COREMASK) $(BENCHARGS)

# Of the works of `peers` rr and cps are recorded, of all systems: they have the long
# and flat call trees; rr also on so many connections that bursts are looked ahead at.
# With the others beside them cps was 10 % slower, and nothing was faster that did not
# lie within the noise.
pgo: deps ## record the profiles that shardgen and peers are built with (COREMASK)
	mkdir -p out
	$(GO) build -trimpath -pgo=off -o out/shardgen-pgo ./cmd/shardgen
	out/shardgen-pgo demo --coremask $(COREMASK) --duration 16s --interval 0 --cpuprofile out/demo.prof
	out/shardgen-pgo http --coremask $(COREMASK) --conns 64 --duration 4s --interval 0 --cpuprofile out/http.prof >out/http.txt
	$(GO) tool pprof -proto -output out/all.prof out/demo.prof out/http.prof
	$(GO) run ./cmd/pgostrip <out/all.prof >out/default.pgo
	mv out/default.pgo cmd/shardgen/default.pgo
	rm -rf out/profiles && mkdir -p out/profiles
	cd bench/peers && $(GO) build -trimpath -pgo=off -tags '$(PEERS_TAGS)' -o ../../out/peers-pgo .
	out/peers-pgo -quiet -runs 1 -time 10s -works '^(rr/(64|100000)$$|cps)' -profiles out/profiles >out/peers.txt
	$(GO) tool pprof -proto -output out/all.prof out/profiles/*.prof
	$(GO) run ./cmd/pgostrip <out/all.prof >out/default.pgo
	mv out/default.pgo bench/peers/default.pgo
	@ls -l cmd/shardgen/default.pgo bench/peers/default.pgo

peers: deps ## compare with gVisor, Linux, lwIP and DPDK (RUNS, TRIAL, WORKS, SHORT=1, JSON=FILE, UPDATE=1)
	cd bench/peers && $(GO) build -tags '$(PEERS_TAGS)' -o ../../bin/peers .
	bin/peers -runs $(RUNS) -time $(TRIAL) -works '$(value WORKS)' $(if $(SHORT),-short) \
	  $(if $(JSON),-json '$(JSON)') $(if $(UPDATE),-docs docs)

peers-test: deps ## vet and test the comparison with peers, briefly
	cd bench/peers && $(GO) vet $(NOPGO) ./...
	cd bench/peers && $(GO) vet $(NOPGO) -tags '$(PEERS_TAGS)' ./...
	cd bench/peers && $(GO) test $(NOPGO) -count=1 -timeout 5m -tags '$(PEERS_TAGS)' ./...

lossy: deps ## TCP with Linux over a lossy wire, and Linux with itself (root; LOSSYARGS, as --control bbr --loss 1)
	$(GO) build -o bin/lossy ./bench/lossy
	bin/lossy $(LOSSYARGS)

fuzz: ## run every fuzz target for FUZZTIME each
	@.ci/fuzz $(FUZZTIME)

lint-light: ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l .); \
	  [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	@.ci/staticcheck $(STATICCHECK_VERSION)

lint: lint-light ## lint-light, and golangci-lint if it is installed
	@if command -v golangci-lint >/dev/null; then set -x; golangci-lint run ./...; \
	  else echo "golangci-lint is not installed: skipped"; fi

clean: ## remove what was built
	rm -rf bin out
