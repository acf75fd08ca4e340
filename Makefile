CARGO ?= cargo

# What `make bench` runs; `make bench BENCHES="connections" BENCH_FLAGS="--count 10000"` picks one. A name without a line of
# its own below is that of the bench.
BENCHES ?= bulk bulk-short bulk-whole loss loss-reno churn churn-100 connections-1 connections-100 connections-10000 \
	connections-100000 dumbbell dumbbell-1000 tun
BENCH_FLAGS ?=
CAPTURE := $(abspath $(or $(CARGO_TARGET_DIR),target))/bench.pcapng
bench-bulk-short := bulk -w $(CAPTURE) -s 128
bench-bulk-whole := bulk -w $(CAPTURE)
bench-loss-reno := loss --cc reno
bench-churn-100 := churn --parallel 100
bench-connections-1 := connections --count 1
bench-connections-100 := connections --count 100
bench-connections-10000 := connections --count 10000
bench-connections-100000 := connections --count 100000
bench-dumbbell-1000 := dumbbell --flows 1000
FUZZ_CASES ?= 1000000
# Each alone passes clippy.
FEATURES := capture http scenario replay drill tokio control live cli proxy

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
LEFT_OUT := $(TARGET)/left-out.txt

.DEFAULT_GOAL := help
.PHONY: help demo test build lint deps bench figures captures pages fuzz bless

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## one connection from handshake to close, explained in the terminal
	$(CARGO) run --release --quiet -- demo

# The default features are all features, so two sets are tested: all and none.
test: ## everything that this machine allows; names what it left out and how to get it
	@mkdir -p $(TARGET) && : > $(LEFT_OUT)
	$(CARGO) build --all-features --examples
	TCPLAB_LEFT_OUT=$(LEFT_OUT) $(CARGO) test --all-features
	TCPLAB_LEFT_OUT=$(LEFT_OUT) $(CARGO) test --no-default-features --lib --tests
	@tests/left-out.sh $(LEFT_OUT)

build: ## compiles what `make test` runs
	$(CARGO) build --all-features --examples
	$(CARGO) test --all-features --no-run
	$(CARGO) test --no-default-features --lib --tests --no-run

lint: ## formatting, clippy with all features, without and with each alone, documentation; every warning is an error
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --all-features -- -D warnings
	$(CARGO) clippy --no-default-features --all-targets -- -D warnings
	$(foreach feature,$(FEATURES),$(CARGO) clippy --no-default-features --features $(feature) --lib -- -D warnings && ) true
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --all-features
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --no-default-features

deps: ## installs the programs that the tests use, where that is allowed; else names them
	@tests/deps.sh

bench: ## the measured runs (BENCHES="bulk loss", BENCH_FLAGS="--count 10000")
	$(CARGO) build --release
	@$(foreach name,$(BENCHES),$(TARGET)/release/tcplab bench $(or $(bench-$(name)),$(name)) $(BENCH_FLAGS) && echo &&) rm -f $(CAPTURE)

figures: ## every promised number of TCP, whole: minutes on two cores, and a TUN for the live ones
	TCPLAB_FIGURES=whole $(CARGO) test --release --all-features --test figures --test streams --test live --test proxy --test wire -- --nocapture --test-threads=2

captures: ## one capture for each lesson, into captures/
	TCPLAB_BLESS=1 $(CARGO) test --test lessons

pages: ## an HTML page for each lesson and an index, into pages/
	$(CARGO) run --release --quiet -- lessons --pages pages

fuzz: ## the fuzz tests with many more cases (FUZZ_CASES=1000000)
	TCPLAB_FUZZ_CASES=$(FUZZ_CASES) $(CARGO) test --release --test fuzz

bless: ## takes what the tests print now as the golden files; look at the diff before you commit it
	TCPLAB_BLESS=1 $(CARGO) test
