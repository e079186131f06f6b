# make test is everything a change has to pass, on a machine that has Go, a C compiler, Node.js with npm, and
# apt-get for what is missing. The other targets are its parts, and what one needs while working.

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 20000x
BENCHTIME   ?= 1s
BENCH       ?= .
PLATFORMS    = linux/arm64 windows/amd64 darwin/arm64
# Packages whose tests need no other program.
INNER        = $(shell $(GO) list ./... | grep -v '/e2e$$')

.PHONY: build test format vet staticcheck cross unit allocations fuzz e2e clients bench clean

build: ## a static binary in dist/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o dist/linkstead ./cmd/linkstead

test: clients format vet staticcheck cross unit allocations fuzz e2e
	@echo "make test: everything passed"

format: ## nothing that gofmt would change
	@out=$$(gofmt -l $$($(GO) list -f '{{.Dir}}' ./...)); if [ -n "$$out" ]; then \
		echo "gofmt would change:"; echo "$$out"; echo "run: gofmt -w $$out"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

cross: ## the other systems still compile
	@for p in $(PLATFORMS); do echo "$(GO) build for $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o /dev/null ./cmd/linkstead || exit 1; done

unit: ## every package by itself, under the race detector
	$(GO) test -race $(INNER)

allocations: ## hot paths allocate nothing; the broker's cannot be counted under the race detector
	$(GO) test -run 'Alloc' ./internal/broker

fuzz: ## every fuzz target for FUZZTIME, a number of inputs (20000x) or a time (10s)
	FUZZTIME=$(FUZZTIME) GO="$(GO)" .ci/fuzz

e2e: clients ## real clients against a real server, under the race detector
	$(GO) test -race -count=1 -timeout 20m ./e2e

clients: ## the clients that the end-to-end tests run
	@e2e/install.sh

bench: ## BENCH chooses, as in go test -bench
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) $(INNER)

clean:
	rm -rf dist e2e/node/node_modules
