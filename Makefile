# Everything that is done here by hand or by CI, one target each. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup env demo build test test-pg-matrix coverage lint deny fmt generate generated fixtures bench fuzz

# Variables that scripts/setup found out (LIBCLANG_PATH …).
environment = . scripts/environment

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { split($$1, names, " "); printf "  make %-14s %s\n", names[1], $$2 }' Makefile

setup: ## Install what building and the demo need: libclang, PostgreSQL
	@scripts/setup

env: ## Write .env with fresh keys, for docker compose and for the programs run by hand
	@scripts/env

build: setup ## Build both programs, the harness and the demo
	@$(environment); cargo build --workspace --bins

demo: build ## Start everything on a throwaway PostgreSQL, ask one question, stay up until Ctrl-C
	@$(environment); exec "$$(scripts/target-directory)/debug/demo"

test: ## Run all tests on a throwaway PostgreSQL of their own
	@scripts/setup --tests
	@$(environment); cargo build --workspace --bins
	@$(environment); cargo test --workspace --no-fail-fast

test-pg-matrix: ## Run the tests that touch PostgreSQL on each of 14 to 18, or on those in VERSIONS="14 18"; Linux on x86-64
	@scripts/setup --tests
	@scripts/test-pg-matrix $(VERSIONS)

fuzz: setup ## Mutate accepted statements for FUZZ_SECONDS (120) and let PostgreSQL judge them; FUZZ_SEED repeats a run
	@$(environment); export FUZZ_SECONDS="$${FUZZ_SECONDS:-120}" FUZZ_SEED="$${FUZZ_SEED:-$$RANDOM}"; \
	    cargo test --package fuzz --test fuzz -- --nocapture

coverage: ## Run all tests and print the lines that they reach, by crate
	@scripts/setup --tests --coverage
	@$(environment); scripts/coverage

lint: ## Check format, lints and docs of the code; scripts, Docker files and the compose file
	@scripts/setup --lint
	@$(environment); cargo fmt --all --check
	@$(environment); cargo clippy --workspace --all-targets -- -D warnings
	@$(environment); RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	@scripts/lint-files

deny: ## Check the dependencies: licences, bans, sources, known problems
	@scripts/setup --lint
	@scripts/deny

fmt: ## Format the code
	@$(environment); cargo fmt --all

generate fixtures: build ## Make the generated files anew: the sample database, docs/configuration.md, docs/tools.md
	@scripts/generate

generated: build ## Check that the generated files and Cargo.lock are current
	@scripts/generate --check

bench: setup ## Run the benchmarks of the small pieces
	@$(environment); cargo bench --package benches
