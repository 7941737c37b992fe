# make without a target lists the targets.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LINT    := go tool -modfile=tools.mod golangci-lint

# A lab's hosts share the machine: two packages with labs at once are enough
# for two processors.
TEST_PACKAGES_AT_ONCE := 2

N         ?= 3
KEEP      ?=
SCHEDULES ?= 10000
SEED      ?= 1
FAULTS    ?= 100
TABLE     ?= chaos.md
MINUTES   ?= 10
RUN       ?= .
SKIP      ?=
MEMORY    ?= 4G
GUESTS    ?= 2
REPORT    ?= bench
RUNS      ?= 5
TIME      ?= 1m
CELLS     ?=
VERSIONED ?=

export DEBIAN_FRONTEND := noninteractive

.DEFAULT_GOAL := help
.PHONY: help build test fuzz test-kernel test-guard test-matrix sim chaos away check bench demo deps clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/gremesh, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/gremesh ./cmd/gremesh

test: deps ## run all tests with the race detector, on real OVS and dockerd (as root)
	go test -race -count=1 -timeout 25m -p $(TEST_PACKAGES_AT_ONCE) ./...
	go test -count=1 -v -run 'Thousand|Hundred' ./mesh/lease ./mesh/gossip # too slow under the race detector
	go test -race -count=1 -timeout 10m ./testenv/chaos -faults 30 -seed 1 # alone: it wants things to be repaired in seconds

fuzz: ## run every fuzz target for TIME= each, two at a time
	@.ci/fuzz $(TIME)

# The race detector wants more address space than a guest's process has.
test-kernel: deps build bin/testenv ## the end-to-end tests on the kernel's datapath, in guest kernels; RUN=, SKIP=, MEMORY=, GUESTS=
	go test -c -o bin/e2e.test ./testenv/e2e
	@claims=$$(mktemp -d) && trap 'rm -rf "$$claims"' EXIT; \
	bin/testenv kernel --guests $(GUESTS) --memory $(MEMORY) --share "$$claims" --timeout 1h -- env TESTENV_DATAPATH=system \
		bin/e2e.test -test.v -test.timeout 55m -test.run '$(RUN)' -test.skip '$(SKIP)' -gremesh bin/gremesh -claims "$$claims" || \
		{ status=$$?; [ $$status = 125 ] && [ "$$CI" != true ] || exit $$status; \
		  echo "NOT TESTED: Open vSwitch in the kernel, as this machine can't boot a guest kernel" >&2; }

# The rules of the guard with real Open vSwitch in the kernel. With CI=true a test
# that the kernel cannot run fails.
GUARD_TESTS := TunnelPackets|OpenVSwitchInTheKernel|GuardsAreReached
test-guard: deps build bin/testenv ## the data plane's protection on Debian's own kernel, emulated; RUN=: end-to-end tests instead, SKIP=, MEMORY=
	@.ci/deps qemu-system-x86_64=qemu-system-x86
	go test -c -o bin/filter.test ./bridge/filter
	go test -c -o bin/e2e.test ./testenv/e2e
	@kernel=$$(.ci/deps-kernel) && \
	guest="bin/testenv kernel --bed qemu --kernel $$kernel --memory $(MEMORY) --timeout 2h -- env CI=true TESTENV_DATAPATH=system" && \
	if [ '$(RUN)' = . ]; then \
		$$guest sh -c 'cd bridge/filter && exec ../../bin/filter.test -test.v -test.run "$(GUARD_TESTS)"'; \
	else \
		$$guest bin/e2e.test -test.v -test.timeout 110m -test.run '$(RUN)' -test.skip '$(SKIP)' -gremesh bin/gremesh; \
	fi

test-matrix: deps bin/testenv ## the tests with other versions of Docker and Open vSwitch; CELLS=, RUN=, VERSIONED=1: only what depends on them
	@.ci/deps debootstrap=debootstrap
	@bin/testenv matrix $(CELLS) --run '$(filter-out .,$(RUN))' $(if $(VERSIONED),--versioned)

sim: ## 10,000 schedules of the lease protocol; SCHEDULES=, SEED=
	go test -count=1 -timeout 2h -run Whatever -v ./mesh/lease -schedules $(SCHEDULES) -seed $(SEED)

chaos: deps build ## FAULTS= faults on five hosts, by SEED=; its table is also written to TABLE=
	go test -count=1 -timeout 3h -run TestChaos -v ./testenv/chaos \
		-faults $(FAULTS) -seed $(SEED) -gremesh $(CURDIR)/bin/gremesh -table $(abspath $(TABLE))

away: deps ## two of three agents are away for MINUTES=, and no packet is lost
	go test -race -count=1 -timeout 3h -run TestRepair/agents_are_away -v ./testenv/e2e -away $(MINUTES)m

check: ## lint, vet, and see that modules are tidy
	$(LINT) config verify
	$(LINT) run ./...
	go vet ./...
	go mod tidy -diff

demo: deps build bin/testenv ## three hosts find each other; N=5: five, KEEP=1: leave them up
	@bin/testenv demo -n $(N) $(if $(KEEP),--keep) --gremesh bin/gremesh

bench: deps build bin/testenv ## gremesh beside what people use instead, into REPORT=; REPORT=docs: docs/benchmarks.md
	@.ci/deps-bench
	@bin/testenv bench --gremesh bin/gremesh --runs $(RUNS) --report $(REPORT)

.PHONY: bin/testenv
bin/testenv:
	CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/testenv

deps: ## install what tests and the demo need, if it is missing (Debian, as root)
	@.ci/deps

clean: ## remove what was built
	rm -rf bin
