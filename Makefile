# The front door: everything here is a line or two that calls CMake, CTest or a script in scripts/.
# Each target does its own set-up (Debian packages, as root or through sudo).

JOBS ?= $(shell nproc)
KILLS ?= 200
ROUNDS ?= 25
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: help build demo test test-matrix tidy format asan tsan fuzz bench kill oracle soak package install clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s%s\n", $$1, $$2}'

build: ## build the programs, optimised, into build/release
	@scripts/setup.sh build
	@scripts/build.sh release $(JOBS) programs

demo: build ## watch a dropped table come back
	@scripts/setup.sh test
	@scripts/demo.sh

test: ## build and run all tests but the matrix and the long ones
	@scripts/setup.sh test
	@scripts/build.sh dev $(JOBS)
	@scripts/run_tests.sh dev -LE '^(matrix|long)$$'

test-matrix: ## run the main job and the oracles on PostgreSQL 13 to 18
	@scripts/setup.sh matrix
	@scripts/matrix_servers.sh
	@scripts/build.sh dev $(JOBS)
	@scripts/run_tests.sh dev -L '^matrix$$'

tidy: ## check format, layers, sizes and clang-tidy of changed files (ALL=1: of all)
	@scripts/setup.sh tidy
	@scripts/tidy.sh $(if $(ALL),--all)

format: ## bring all files into the format that tidy asks for
	@scripts/setup.sh tidy
	@find src tests bench -name '*.cc' -o -name '*.h' | xargs clang-format-19 -i

asan: ## run the tests with the address and undefined behaviour sanitizers
	@scripts/setup.sh test
	@scripts/build.sh asan $(JOBS)
	@scripts/run_tests.sh asan -LE '^(matrix|long)$$'

tsan: ## run the tests with the thread sanitizer
	@scripts/setup.sh test
	@scripts/build.sh tsan $(JOBS)
	@scripts/run_tests.sh tsan -LE '^(matrix|long)$$'

fuzz: ## run each fuzz program for FUZZ_SECONDS (60)
	@scripts/setup.sh tidy
	@scripts/fuzz.sh $(FUZZ_SECONDS)

bench: build ## measure against pg_basebackup, pg_receivewal and pgBackRest
	@scripts/setup.sh bench
	@scripts/bench.sh

kill: ## kill the agent KILLS (200) times under load
	@scripts/setup.sh test
	@scripts/build.sh dev $(JOBS)
	@PITR_KILLS=$(KILLS) scripts/as_test_user.sh build/dev/tests/integration_test --gtest_filter='*Kill*'

oracle: ## hold changed blocks and incremental backups against ROUNDS (25) random workloads each
	@scripts/setup.sh test
	@scripts/build.sh dev $(JOBS)
	@PITR_ROUNDS=$(ROUNDS) scripts/as_test_user.sh build/dev/tests/postgres_live_test \
	  --gtest_filter='*ChangedBlocksLiveTest*'
	@PITR_ORACLE_ROUNDS=$(ROUNDS) scripts/as_test_user.sh build/dev/tests/integration_test \
	  --gtest_filter='*IncrementalOracleTest*'

soak: ## run the agent as a service for ten minutes, and fifty clusters in one agent
	@scripts/setup.sh test
	@scripts/build.sh dev $(JOBS)
	@scripts/as_test_user.sh build/dev/tests/long_test --gtest_filter='ServiceTest*:FleetTest*'

package: build ## make a Debian package in build/package (TEST=1: and try it in a fresh Debian)
	@scripts/setup.sh package
	@scripts/package.sh
	@$(if $(TEST),scripts/test_package.sh build/package/*.deb)

install: build ## install the programs below PREFIX (/usr/local)
	@cmake --install build/release --prefix $(PREFIX)

clean: ## remove what was built
	@rm -rf build
