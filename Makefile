# Twinboard's tasks. `make` alone lists them.

GO      ?= go
export CGO_ENABLED := 0
TEMPL   := $(GO) run github.com/a-h/templ/cmd/templ@$(shell $(GO) list -m -f '{{.Version}}' github.com/a-h/templ 2>/dev/null)
LINT    := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PACKAGES := ./...
FUZZTIME ?= 60s
KILLROUNDS ?= 1000
CONNECTIONS ?= 10000
SOAK ?= 1h

.DEFAULT_GOAL := help
.PHONY: help run build test dev generate fresh setup lint check race bench bench-peers fuzz kill storm soak e2e conformance screens lighthouse fmt clean

help: ## list the tasks
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build and start everything: a hub of your own and the dashboard
	@exec bin/twinboard $(ARGS)

build: ## build bin/twinboard (needs Go only)
	@$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/twinboard ./cmd/twinboard

test: setup fresh ## set up and run every test, browser and SDK conformance included
	$(GO) vet $(PACKAGES)
	$(GO) test -shuffle=on -timeout 40m $(PACKAGES)

setup: ## install what browser and SDK tests need
	@scripts/setup.sh

fresh: setup ## fail when generated files are stale
	@scripts/fresh.sh $(MAKE)

generate: setup ## make the generated files: *_templ.go and static/dist
	@$(TEMPL) generate -log-level error
	@npm run --silent build

dev: setup ## run with reload on change
	@scripts/dev.sh "$(TEMPL)"

e2e: setup ## browser tests only
	$(GO) test -count=1 -timeout 20m -run 'E2E' ./cmd/twinboard

conformance: setup ## Microsoft's SDKs against the local hub only
	$(GO) test -count=1 -timeout 10m ./localhub/conformance

screens: setup ## take the pictures in docs/screens anew
	$(GO) test -tags screens -count=1 -run '^TestScreens$$' ./cmd/twinboard

lighthouse: setup build ## score overview, devices, twin and query with Lighthouse
	@scripts/setup.sh scripts/lighthouse
	@node --test --test-reporter=dot scripts/lighthouse/unmeasured.test.mjs
	@node scripts/lighthouse/run.mjs bin/twinboard $(REPORTS)

race: ## every test under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 30m $(PACKAGES)

lint: ## static checks
	$(GO) vet $(PACKAGES)
	$(GO) vet -tags peers ./localhub
	$(LINT) run $(PACKAGES)

check: test lint race ## what a change must pass before it is merged
	@git diff --exit-code -- '*_templ.go' static/dist

bench: setup ## benchmarks
	$(GO) test -run '^$$' -bench . -benchmem -timeout 30m $(PACKAGES)

kill: ## kill the local hub KILLROUNDS (1000) times while it writes
	TWINBOARD_TEST_KILL_ROUNDS=$(KILLROUNDS) $(GO) test -count=1 -v -timeout 60m -run '^TestKillLosesNothingAnswered$$' ./localhub

storm: ## let CONNECTIONS (10000) devices storm the local hub
	TWINBOARD_TEST_CONNECTIONS=$(CONNECTIONS) $(GO) test -count=1 -v -timeout 30m -run '^TestReconnectStorm$$' ./localhub

soak: ## run the whole program under a modest load for SOAK (1h); nothing may grow
	TWINBOARD_TEST_SOAK=$(SOAK) $(GO) test -count=1 -v -timeout 0 -run '^TestSoak$$' ./cmd/twinboard

bench-peers: ## the budgets beside PostgreSQL and mosquitto, where they are installed (Linux)
	$(GO) test -tags peers -run '^TestPeers$$' -count=1 -v -timeout 20m ./localhub

fuzz: ## each fuzz target for FUZZTIME (60s)
	@scripts/fuzz.sh $(FUZZTIME)

fmt: ## format the Go and templ sources
	@gofmt -w $$(git ls-files '*.go' | grep -v _templ.go)
	@$(TEMPL) fmt views

clean: ## remove what was built and installed here
	@rm -rf bin node_modules localhub/conformance/node_modules scripts/lighthouse/node_modules
