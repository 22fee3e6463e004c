# Targets are listed by `make`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
T ?= 30s
export CGO_ENABLED ?= 0

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## one static binary, bin/ordergate
	go build -trimpath -o bin/ordergate ./cmd/ordergate

test: postgres ## every test a newcomer needs to see green
	go test ./...
	@echo "Left out: make race, make crash (kill rounds, strace), make browser (chromium), make interop (npm, php, a JDK), make fuzz T=30s."

postgres: ## install PostgreSQL for the tests, where it is missing and that is allowed
	@.ci/postgres

check: postgres ## gofmt, vet, staticcheck, tests, generated text and go.mod unchanged
	@test -z "$$(gofmt -l .)" || { echo "run gofmt -w on:"; gofmt -l .; exit 1; }
	go vet ./...
	go vet -tags crash,interop,browser ./...
	go tool staticcheck -tags crash,interop,browser ./...
	go mod tidy -diff
	go mod verify
	go test ./...

gen: ## rewrite generated text: reference, help, README tables, imports list
	go test . ./cmd/ordergate -run 'Generated|Imports' -update

race: postgres ## all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./...

crash: postgres ## kill the real program under load, with its nodes, databases and streams, and trace its syncs (needs strace)
	go test -tags crash -count=1 -timeout 20m -run 'Killed|Stopped|Sync|Shared' -v ./cmd/ordergate

browser: ## the console in a real browser (needs chromium); ORDERGATE_SCREENSHOTS=DIR keeps pictures
	@.ci/chromium
	go test -tags browser -count=1 -run 'Browser' -v ./cmd/ordergate

packages: ## image, chart, unit, packages, dashboard and rules, by the programs that read them (installs those)
	.ci/packages

vulnerabilities: ## known vulnerabilities of the dependencies, where the database can be reached
	.ci/vulnerabilities

interop: ## webhooks by programs of others: a verifier from npm, the receivers of the documents (needs npm, python3, php, a JDK)
	go test -tags interop -count=1 -run 'VerifiedByAnother|Receivers' -v ./ordergatetest ./cmd/ordergate

fuzz: ## every fuzz target for T each, a time or a count such as 100000x
	@set -e; for target in $$(grep -rhoE '^func Fuzz[A-Za-z]+' --include=*_test.go . | sed 's/func //' | sort -u); do \
		package=$$(grep -rlE "^func $$target\(" --include=*_test.go . | xargs -n1 dirname); \
		echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(T) -fuzzminimizetime 1s $$package; done

bench: build ## Go benchmarks of what runs per call, then the gateway against its limits
	go test -run '^$$' -bench . -benchmem ./...
	bin/ordergate bench ingest
	bin/ordergate bench deliver

.PHONY: help postgres build test check gen race crash browser packages vulnerabilities interop fuzz bench
