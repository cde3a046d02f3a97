# StreamBus. A bare `make` lists the targets.
GO        ?= go
TAGS      := iouring
LDFLAGS   := -checklinkname=0
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/streambus and bin/loadscript, with the io_uring room
	$(GO) build -tags $(TAGS) -ldflags=$(LDFLAGS) -o bin/ ./broker/cmd/streambus ./loadscript/cmd/loadscript

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
