# What people do with this project; `make` alone lists it. Everything works from a clean clone: what is
# missing beside Swift is installed with apt-get where that is allowed, else the line to type is printed.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run release test demo demo-incident bench load soak fuzz sanitize lint crash interop man clean

# A crashing test must end, not wait for a backtrace; and no run may hang for ever.
export SWIFT_BACKTRACE := enable=no
# Tests that wait for a server of their own wait for longer the more of them there are at once.
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH ?= 10
SOURCES := Sources Tests examples Benchmarks FuzzTesting/Sources/Fuzz FuzzTesting/Sources/FuzzChecks \
    FuzzTesting/Package.swift Package.swift
ROUNDS ?= 100
SEEDS ?= 1000
SECONDS_MAX ?= 1200
# Sanitizers slow everything down tenfold.
SMALLER := LEVERET_CRASH_ROUNDS=2 LEVERET_SIM_SEEDS=4 LEVERET_SIM_STEPS=1000 timeout 3600

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

run: ## start the server on ./leveret.db, listening on 127.0.0.1:5672 (ARGS="--listen …" for more)
	@.ci/setup run
	swift build -c release --product leveret
	exec .build/release/leveret serve $(ARGS)

# Without symbols for others to link to, where the system puts it, and without tables for unwinding, which only C++
# exceptions use (profilers follow the frame pointers): a quarter smaller, and less of it in memory. And with each C
# function in a section of its own, so that the linker leaves out what of BoringSSL nobody calls.
SECTIONS := -ffunction-sections -fdata-sections
SMALL := $(foreach flag,$(SECTIONS),-Xcc $(flag) -Xcxx $(flag)) \
    -Xswiftc -use-ld=lld -Xlinker --no-pie -Xlinker --no-export-dynamic \
    -Xlinker --no-eh-frame-hdr -Xlinker -T.ci/small.ld

release: ## build the server as one stripped program, .build/leveret, that needs no Swift where it runs
	@.ci/setup run
	swift build -c release --static-swift-stdlib --product leveret $(SMALL)
	strip -o .build/leveret .build/release/leveret

test: ## everything that must hold: lint, tests, examples, 10 times kill -9; ten minutes or so
	@.ci/setup test
	@$(MAKE) --no-print-directory lint
	swift build --build-tests
	timeout $(SECONDS_MAX) swift test --skip-build --parallel

demo: ## real departures through exchanges, TTLs and dead letters; retries; nightly jobs; jobs in a transaction, with limits, in a workflow
	@.ci/setup run
	swift run flights
	swift run retry-and-delay
	swift run nightly
	swift run signup
	swift run thumbnails
	swift run workflow

demo-incident: ## play an incident: a worker fails, an alarm, what died, mending it and sending it back
	@.ci/setup run
	swift build --product leveret
	swift build --product flights
	examples/incident/play

lint: ## check the formatting of all Swift code
	swift format lint --strict --recursive --parallel $(SOURCES)

crash: ## kill -9 the server, and a worker amid its jobs, ROUNDS times (100): nothing confirmed may be lost
	@.ci/setup test
	swift build --build-tests
	LEVERET_CRASH_ROUNDS=$(ROUNDS) timeout 3600 swift test --skip-build --filter 'Leveret(Tasks)?CrashTests'

interop: ## set RabbitMQ's clients and their test suites upon the server (installs them below .build/interop)
	@.ci/setup run
	swift build --product leveret
	Tests/interop/run

soak: ## run the simulation on SEEDS seeds (1000), from seed FIRST on (a random one)
	@.ci/setup test
	swift build -c release --build-tests -Xswiftc -enable-testing --scratch-path .build-soak
	first=$${FIRST:-$$RANDOM$$RANDOM}; echo "seeds $$first and on"; \
	LEVERET_SIM_FIRST=$$first LEVERET_SIM_SEEDS=$(SEEDS) swift test -c release -Xswiftc -enable-testing \
	    --scratch-path .build-soak --skip-build --filter LeveretSimulationTests

# XCTest, which has no tests here, leaks by itself; what libraries leak is named in .ci/leaks,
# and what is no race in .ci/races.
sanitize: ## run the tests under ThreadSanitizer, then under AddressSanitizer
	@.ci/setup test
	swift build --build-tests --sanitize=thread --scratch-path .build-tsan
	"$$(dirname "$$(readlink -f "$$(command -v swift)")")/clang" -O2 -fPIC -shared -o .build-tsan/mutex.so .ci/tsan-mutex.c
	TSAN_OPTIONS=suppressions=$(CURDIR)/.ci/races LD_PRELOAD=$(CURDIR)/.build-tsan/mutex.so $(SMALLER) swift test --skip-build --sanitize=thread --scratch-path .build-tsan --disable-xctest
	LSAN_OPTIONS=suppressions=$(CURDIR)/.ci/leaks $(SMALLER) swift test --sanitize=address --scratch-path .build-asan --disable-xctest

fuzz: ## set libFuzzer upon the parsers for SECONDS_EACH seconds (60) each
	@.ci/setup run
	FuzzTesting/run

bench: ## measure speed and memory in release builds, beside the disk's own limits
	@.ci/setup test
	Benchmarks/run

load: ## publish all departures of 2013 from FLIGHTS=flights.csv[.gz] and check the counts
	@.ci/setup test
	Benchmarks/load "$(FLIGHTS)"

man: ## write the man pages, made from the help, to .build/man
	@.ci/setup run
	swift package generate-manual --multi-page --configuration debug
	mkdir -p .build/man
	cp .build/plugins/GenerateManual/outputs/LeveretCLI/*.1 .build/man/

clean: ## remove everything that was built
	rm -rf .build .build-tsan .build-asan .build-soak Benchmarks/.build FuzzTesting/.build-fuzz
