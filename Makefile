# StreamBus. A bare `make` lists the targets.
GO        ?= go
TAGS      := iouring
LDFLAGS   := -checklinkname=0
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/: streambus, loadscript, logdump, wiredump, governor, preflight; with the io_uring room
	$(GO) build -tags $(TAGS) -ldflags=$(LDFLAGS) -o bin/ ./broker/cmd/streambus ./loadscript/cmd/loadscript \
		./tools/logdump ./tools/wiredump ./tools/governor ./tools/preflight

.PHONY: demo
demo: build ## start a broker, run a short spike against it, verify every record, show the verdict (about a minute)
	bin/loadscript run scripts/spike.star --duration 45s --rate 1k/s --spike-rate 5k/s --spike-duration 10s --out demo-results

.PHONY: test
test: ## run all tests; those that need more than Go, make, gcc and git say so when they are skipped
	$(GO) test ./...

.PHONY: test-race
test-race: ## the tests again under the race detector, random ones shortened
	$(GO) test -race -short ./...

.PHONY: test-uring
test-uring: ## the engine and the broker again, built with the io_uring room
	$(GO) test -short -tags $(TAGS) -ldflags=$(LDFLAGS) ./engine/... ./broker/...

# BENCHTIME is how long one side of one round runs, COUNT how many alternating rounds there are; each figure is their median.
# On a busy machine many short rounds say more than few long ones.
.PHONY: benchmark-storage
benchmark-storage: BENCHTIME ?= 300ms
benchmark-storage: COUNT ?= 9
benchmark-storage: ## the engine against bare I/O, about 4 minutes; BENCHTIME=300ms COUNT=9 BENCH=regexp RECORD=1 STREAMBUS_BENCH_GIB=1
	$(GO) run ./bench/record -name storage $(if $(RECORD),-record) -- -tags $(TAGS) -ldflags=$(LDFLAGS) -run '^$$' \
		-bench '$(or $(BENCH),^BenchmarkStorage_)' -benchtime $(COUNT)x -timeout 60m ./engine -args -storage.round=$(BENCHTIME)

.PHONY: benchmark-client
benchmark-client: BENCHTIME ?= 1s
benchmark-client: COUNT ?= 7
benchmark-client: build ## the broker's program from outside, beside a bare sink, about 2 minutes; BENCHTIME=1s COUNT=7 BENCH=regexp RECORD=1
	$(GO) run ./bench/record -name client $(if $(RECORD),-record) -- -run '^$$' -bench '$(or $(BENCH),.)' -benchtime $(COUNT)x -timeout 60m ./bench -args -round=$(BENCHTIME)

# CRASH_STATES: crash points of random histories; KILLS: kill -9 of a process; POWERCUTS: for each file system; FILLS: of a full
# disk; FAULTS: histories of which every operation is made to fail; FLIPS: bits flipped, -1 is every one (about an hour); LIES:
# histories within which each planted bug must be caught. POWERCUTS and FILLS need root, loop devices, mkfs.ext4 and mkfs.xfs.
.PHONY: crash
crash: CRASH_STATES ?= 1000000
crash: KILLS ?= 5000
crash: POWERCUTS ?= 100
crash: FILLS ?= 100
crash: FAULTS ?= 10
crash: FLIPS ?= -1
crash: LIES ?= 2000
crash: ## try to lose data, for hours; CRASH_STATES=1000000 KILLS=5000 POWERCUTS=100 FILLS=100 FAULTS=10 FLIPS=-1 LIES=2000
	$(GO) test -count=1 -v -timeout 24h ./engine -run '^TestCrashAnywhere$$' -crash.states=$(CRASH_STATES)
	$(GO) test -count=1 -v -timeout 24h ./broker -run '^TestPowerCutAtEveryStep$$' -broker.cuts=-1
	$(GO) test -count=1 -v -timeout 24h ./engine/proof -proof.kills=$(KILLS) -proof.powercuts=$(POWERCUTS) -proof.fills=$(FILLS) \
		-proof.faults=$(FAULTS) -proof.flips=$(FLIPS) -proof.lies=$(LIES)

# PEER=kafka runs the same clients against Apache Kafka, to try the tests; ROWS=regexp runs some clients; RECORD=1 writes docs/CLIENTS.md.
.PHONY: test-clients
test-clients: PEER ?= streambus
test-clients: ## run real clients (Java, librdkafka, franz-go, Sarama, kafkajs, kafka-python, kcat, Kafka tools and Streams); installs them; needs root for apt-get
	sh broker/clients/install.sh
	$(GO) test -count=1 -v -tags clients -timeout 12m ./broker/clients -args -peer=$(PEER) -rows='$(ROWS)' $(if $(RECORD),-record)

# Fuzz functions are found, not listed: a new one is run without being named here.
.PHONY: fuzz
fuzz: FUZZTIME ?= 30s
fuzz: ## run every fuzz function of the module for FUZZTIME=30s each; FUZZ=regexp chooses
	@set -e; for pkg in $$($(GO) list ./...); do \
		list=$$($(GO) test -list '$(or $(FUZZ),^Fuzz)' $$pkg) || { echo "$$list"; exit 1; }; \
		for f in $$(echo "$$list" | grep '^Fuzz' || true); do \
			echo "== $$pkg $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: docs
docs: ## write docs/CLI.md, docs/METRICS.md and docs/API.md anew, from the commands and the tables in the code
	$(GO) test -count=1 ./broker/cmd/streambus ./broker/internal/stat ./broker/internal/api -run '^Test(Docs|Served)$$' -rewrite

.PHONY: layers
layers: ## who may import whom (tools/layers/policy.txt)
	$(GO) test -count=1 ./tools/layers

.PHONY: clean
clean: ## remove what make built and what the demo wrote
	rm -rf bin demo-results

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on the files above'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
