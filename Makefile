# Everything that is done here by hand or by CI, one target each. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo build test lint fmt fixtures bench

# Variables that scripts/setup found out (LIBCLANG_PATH …).
environment = . scripts/environment

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## Install what building and the demo need: libclang, PostgreSQL
	@scripts/setup

build: setup ## Build both programs, the harness and the demo
	@$(environment); cargo build --workspace --bins

demo: build ## Start everything on a throwaway PostgreSQL, ask one question, stay up until Ctrl-C
	@$(environment); exec "$$(scripts/target-directory)/debug/demo"

test: ## Run all tests on a throwaway PostgreSQL of their own
	@scripts/setup --tests
	@$(environment); cargo build --workspace --bins
	@$(environment); cargo test --workspace --no-fail-fast

lint: setup ## Check format, lints and docs
	@$(environment); cargo fmt --all --check
	@$(environment); cargo clippy --workspace --all-targets -- -D warnings
	@$(environment); RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

fmt: ## Format the code
	@$(environment); cargo fmt --all

fixtures: ## Make the sample database anew from its generator
	@PYTHONDONTWRITEBYTECODE=1 python3 fixtures/shop/generate.py

bench: setup ## Run the benchmarks of the small pieces
	@$(environment); cargo bench --package benches
