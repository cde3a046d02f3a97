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
# On a busy machine many short rounds say more than few long ones. RECORD=1 keeps the output in bench/results; the last output of each
# suite is in bin/benchmarks in any case. BENCH=regexp chooses benchmarks.
KEPT := $(GO) run ./bench/record $(if $(RECORD),-record)

.PHONY: benchmark
benchmark: ## all of the below and a report, about 22 minutes; BENCHTIME= COUNT= RECORD=1 (keeps them, and writes docs/BENCHMARKS.md)
	@echo '== benchmarks: storage, protocol, client, load, peers, and a report'
	$(MAKE) benchmark-storage
	$(MAKE) benchmark-protocol
	$(MAKE) benchmark-client
	$(MAKE) benchmark-load
	$(MAKE) benchmark-peers
	$(MAKE) benchmark-report

.PHONY: benchmark-storage
benchmark-storage: BENCHTIME ?= 300ms
benchmark-storage: COUNT ?= 5
benchmark-storage: ## the engine against bare I/O, about 4 minutes; BENCHTIME=300ms COUNT=5 BENCH=regexp RECORD=1 STREAMBUS_BENCH_GIB=1
	@echo '== the engine: appends and reads, each beside programs that do only the I/O and beside the device'
	$(KEPT) -name storage -- -tags $(TAGS) -ldflags=$(LDFLAGS) -run '^$$' \
		-bench '$(or $(value BENCH),^BenchmarkStorage_)' -benchtime $(COUNT)x -timeout 60m ./engine -args -storage.round=$(BENCHTIME)

.PHONY: benchmark-protocol
benchmark-protocol: BENCHTIME ?= 200ms
benchmark-protocol: COUNT ?= 5
benchmark-protocol: ## Kafka's protocol: encode, decode, compress, about a minute; BENCHTIME=200ms COUNT=5 BENCH=regexp RECORD=1
	@echo '== the protocol: bytes to structs and back, and each codec; no I/O'
	$(KEPT) -name protocol -- -run '^$$' -bench '$(or $(value BENCH),^BenchmarkProtocol_)' -benchtime $(BENCHTIME) -count $(COUNT) -timeout 60m ./wire

.PHONY: benchmark-client
benchmark-client: BENCHTIME ?= 500ms
benchmark-client: COUNT ?= 5
benchmark-client: build ## the broker's program from outside, beside a bare sink, about 6 minutes; BENCHTIME=500ms COUNT=5 BENCH=regexp RECORD=1
	@echo '== the broker: producers, consumers and both end to end, beside a bare program that is sent the same'
	$(KEPT) -name client -- -run '^$$' -bench '$(or $(value BENCH),.)' -benchtime $(COUNT)x -timeout 60m ./bench -args -round=$(BENCHTIME)

.PHONY: benchmark-load
benchmark-load: BENCHTIME ?= 20s
benchmark-load: COUNT ?= 1
benchmark-load: build ## the load scripts in short form, in Go bench format, about 3 minutes; BENCHTIME=20s COUNT=1 SCRIPTS='spike latency' RECORD=1
	@echo '== load scripts, each against a broker of its own for $(BENCHTIME)'
	$(KEPT) -name load -exec -- $(GO) run ./bench/load -duration $(BENCHTIME) -count $(COUNT) $(SCRIPTS)

.PHONY: benchmark-loadscript
benchmark-loadscript: build ## loadscript itself: how late records leave up to 200,000/s, and its full speed beside kafka-producer-perf-test; about a minute; RECORD=1
	@echo '== loadscript: its pacing, and its full speed beside kafka-producer-perf-test (left out where its jars are not: make test-clients)'
	PATH="$(CURDIR)/bin:$$PATH" KAFKA_JARS="$(CURDIR)/bin/clients/kafka-4" $(GO) run ./bench/record -name loadscript $(if $(RECORD),-record) -- \
		-run '^$$' -bench 'Pace|FullSpeed' -benchtime 1x -timeout 10m ./loadscript/internal/drive

.PHONY: benchmark-peers
benchmark-peers: BENCHTIME ?= 2s
benchmark-peers: COUNT ?= 3
benchmark-peers: build ## StreamBus beside Apache Kafka and NATS JetStream, in turn, about 8 minutes; BENCHTIME=2s COUNT=3 PEERS='kafka nats' RECORD=1
	@echo '== peers: the same disk, payloads and programs, rounds in turn; settings are printed'
	sh bench/peers/install.sh
	$(KEPT) -name peers -exec -- bin/peers -round $(BENCHTIME) -count $(COUNT) $(PEERS)

.PHONY: benchmark-report
benchmark-report: ## bin/benchmarks/benchmarks.html and .md from the last run of each suite; RECORD=1 writes docs/BENCHMARKS.md too
	@echo '== a report of the last run of each suite'
	$(GO) run ./tools/benchreport report -o bin/benchmarks $(or $(wildcard bin/benchmarks/*.txt),$(wildcard bench/results/*.txt))
	$(if $(RECORD),$(GO) run ./tools/benchreport docs)

# BASELINE is a folder with the programs of the older side and their results. A run of it takes COUNT passes; fewer than 6 can show little.
BASELINE ?= bin/baseline

.PHONY: benchmark-baseline
benchmark-baseline: BENCHTIME ?= 300ms
benchmark-baseline: COUNT ?= 8
benchmark-baseline: ## keep this commit's programs and results as what later ones are compared with, about 4 minutes; BASELINE=bin/baseline RECORD=1
	@echo '== a baseline of this commit, in $(BASELINE)'
	$(GO) run ./bench/versus -tags '$(TAGS)' -keep $(BASELINE) -count $(COUNT) -round $(BENCHTIME)
	$(if $(RECORD),$(KEPT) -name baseline -exec -- cat $(BASELINE)/results.txt >/dev/null)

.PHONY: benchmark-compare
benchmark-compare: BENCHTIME ?= 300ms
benchmark-compare: COUNT ?= 8
benchmark-compare: MARGIN ?= 0.05
benchmark-compare: ## this tree against the baseline, in turn, and a verdict, about 8 minutes; COUNT=8 MARGIN=0.05 BASELINE=bin/baseline; fails when worse
	@echo '== the baseline in $(BASELINE) against this tree, pass by pass in turn'
	$(GO) run ./bench/versus -tags '$(TAGS)' -base $(BASELINE) -out bin/compare -count $(COUNT) -round $(BENCHTIME)
	$(GO) tool benchstat -filter '.unit:(ns/op OR MB/s OR CPU-s/GB OR p50-us OR p99-us)' bin/compare/base.txt bin/compare/new.txt
	$(GO) run ./tools/benchreport compare -margin $(MARGIN) bin/compare/base.txt bin/compare/new.txt

# A profile is of the broker's process while BENCH loads it.
PROFILED := ^BenchmarkProducer_Throughput$$/^client=franz-go$$/^durability=fsync$$/^record=1KiB$$/^codec=none$$/^partitions=10$$
PROFILE = mkdir -p bin/profiles && rm -f $(1) && $(GO) test -run '^$$' -bench '$(or $(value BENCH),$(PROFILED))' -benchtime 1x -timeout 10m ./bench -args -profile=$(CURDIR)/$(1) -profile.kind=$(2) -profile.seconds=$(or $(BENCHTIME),10) && \
	{ test -s $(1) || { echo 'no benchmark was profiled: see what BENCH matches with go test ./bench -list .; each / begins a level of its own'; exit 1; }; }

.PHONY: profile-cpu
profile-cpu: build ## where the broker's CPU time goes under a producer: bin/profiles/cpu.pprof; BENCHTIME=10 (seconds) BENCH=regexp
	@echo '== the CPU profile of a broker under load'
	$(call PROFILE,bin/profiles/cpu.pprof,profile)
	$(GO) tool pprof -top -nodecount 25 bin/streambus bin/profiles/cpu.pprof

.PHONY: profile-mem
profile-mem: build ## what the broker allocates under a producer: bin/profiles/mem.pprof; BENCHTIME=10 (seconds) BENCH=regexp
	@echo '== what a broker under load allocates'
	$(call PROFILE,bin/profiles/mem.pprof,allocs)
	$(GO) tool pprof -top -nodecount 25 -sample_index=alloc_space bin/streambus bin/profiles/mem.pprof

.PHONY: flamegraph
flamegraph: profile-cpu ## the CPU profile as a picture to click on: bin/profiles/cpu.svg
	$(GO) run ./tools/flamegraph bin/profiles/cpu.pprof >bin/profiles/cpu.svg
	@echo 'open bin/profiles/cpu.svg in a browser'

.PHONY: test-docs
test-docs: ## run every shell block of the guides that is not marked as skipped, slow ones too; GUIDE=PRODUCTION.md runs one guide
	GUIDES=all GUIDE=$(GUIDE) $(GO) test -count=1 -v -timeout 60m ./docs -run '^TestGuides$$'

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
test-clients: ## run real clients (Java, librdkafka, franz-go, Sarama, kafkajs, kafka-python, kcat, Kafka tools and Streams), and loadscript's faults on three nodes of Kafka; installs them; needs root for apt-get
	sh broker/clients/install.sh
	$(GO) test -count=1 -v -tags clients -timeout 12m ./broker/clients -args -peer=$(PEER) -rows='$(ROWS)' $(if $(RECORD),-record)
	$(GO) test -count=1 -v -tags clients -timeout 12m -run Kafka ./loadscript/internal/cluster ./loadscript/internal/drive

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
docs: ## write docs/CLI.md, docs/METRICS.md, docs/API.md, docs/LOADSCRIPT.md and docs/BENCHMARKS.md anew, from the commands, the tables in the code and bench/results
	$(GO) test -count=1 ./broker/cmd/streambus ./broker/internal/stat ./broker/internal/api -run '^Test(Docs|Served)$$' -rewrite
	$(GO) test -count=1 ./loadscript/internal/script -run '^TestPage$$' -update
	$(GO) run ./tools/benchreport docs

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
