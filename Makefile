# `make run` shows everything; `make test` proves it. Both need make and a Debian or Ubuntu system, nothing else:
# what is missing they install as root or through a sudo that asks nothing, and otherwise name the command to give.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.PHONY: run test lint types walls checkout wheel servers real soak explore bench format constraints clean model

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Tests start hundreds of commands; compiled once, each starts in four fifths of the time.
export PYTHONDONTWRITEBYTECODE :=
# Tests on every core, since most of their time is waiting; those of one file of real servers stay together.
EACH := -n auto --maxprocesses 4 --dist worksteal
FILES := -n auto --maxprocesses 4 --dist loadfile
# Those of the named test folders that hold tests; without any, pytest would run everything.
folders = $(foreach name,$(1),$(if $(shell find tests/$(name) -name 'test_*.py' 2>/dev/null),tests/$(name)))
suite = $(if $(strip $(2)),$(1) $(2),@echo 'no tests here yet')

run: .venv/run
	$(BIN)/glomska demo

# The order in which a fault is cheapest to find; the last lines are pytest's own.
test: servers lint types walls checkout wheel real

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/dev
	$(BIN)/mypy

walls: .venv/dev
	$(BIN)/lint-imports --no-logo

checkout: .venv/dev
	$(BIN)/pytest $(EACH) --doctest-modules gateway firmware_sim $(call folders,house unit attacks vectors conformance models)

wheel: .venv/dev
	$(call suite,.ci/wheel $(FILES),$(call folders,cli unit/cli unit/crypto unit/firmware_sim/test_cli.py unit/policy unit/runtime))

real: .venv/dev
	$(call suite,$(BIN)/pytest $(FILES),$(call folders,integration faults))

# Examples of properties that nobody has seen yet; what it finds belongs into the test as an @example.
explore: .venv/dev servers
	$(BIN)/pytest $(EACH) --hypothesis-profile default $(call folders,unit attacks)

# The model of keys, fences, leases, erasures and turnovers for long, on both key stores.
model: .venv/dev servers
	GLOMSKA_MODEL_EXAMPLES=1000 $(BIN)/pytest --hypothesis-profile default tests/models

# Real servers for the tests: programs only, their services are neither started nor enabled.
servers:
	.ci/debian mosquitto influxdb victoria-metrics postgresql softhsm2 spin gcc libc6-dev iproute2 systemd

# Half an hour of faults under load, then SIGKILL at a thousand moments of turnover and erasure; writes docs/soak.md and
# its picture, and docs/kills.md.
soak: .venv/dev servers
	$(BIN)/python -m tests.faults.soak --report docs/soak.md
	$(BIN)/python -m tests.faults.kills --moments 1000 --gateways 3 --report docs/kills.md

bench: .venv/dev servers
	$(BIN)/pytest benchmarks
	$(BIN)/python -m benchmarks.report --measure

format: .venv/dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The newest versions that pyproject.toml allows, from an environment that holds nothing else.
constraints:
	.ci/venv build/constraints
	build/constraints/bin/pip install --quiet --editable '.[dev]'
	{ echo '# Versions that the tests ran with; written by `make constraints`.'; \
	  build/constraints/bin/pip freeze --exclude-editable; } > constraints.txt
	rm -rf build/constraints

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/run: pyproject.toml constraints.txt
	.ci/venv .venv
	@echo 'installing into .venv what pyproject.toml names: this takes a while, once'
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev: .venv/run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
