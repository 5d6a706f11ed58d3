# One entry for everything a person or a build machine does here. Needs make, git and Python 3.11 or newer; the rest is
# installed into .venv, once, and again when pyproject.toml changes. `make help` lists the targets.

PYTHON ?= python3
PYTEST_WORKERS ?= auto

VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest --numprocesses $(PYTEST_WORKERS)

.DEFAULT_GOAL := help

# An environment whose interpreter is gone (a new system Python) is made anew.
ifneq ($(shell $(BIN)/python -c 'print("runs")' 2>/dev/null),runs)
.PHONY: $(RUN) $(DEV)
endif

.PHONY: help demo test test-fast nightly lint lint-style lint-types lint-rooms lint-generated format docs bench clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name words; do \
		printf '  make %-10s %s\n' "$$name" "$$words"; done

demo: $(RUN) ## Show everything once: an engine, a small shop, one order from git to a finished flow
	@$(BIN)/python -m argyll demo

test: $(DEV) ## Run all tests but the nightly campaigns
	$(PYTEST) -m 'not nightly'

test-fast: $(DEV) ## Run the tests that start no processes and break no disks; under a minute
	$(PYTEST) -m 'not system and not faults and not nightly'

nightly: $(DEV) ## Run the long campaigns, however long they take
	$(PYTEST) -m nightly --timeout 0 --hypothesis-profile nightly

lint: lint-style lint-types lint-rooms lint-generated ## Check style, types, who imports whom, and that generated files are current

lint-style: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: $(DEV)
	$(BIN)/pyright

lint-rooms: $(DEV)
	$(BIN)/lint-imports --no-logo

lint-generated: $(DEV)
	$(BIN)/python -m argyll.analysis.schema --check
	$(BIN)/python -m argyll.analysis.docs --check
	$(BIN)/python -m tools.reference --check
	$(BIN)/python -m tools.scenarios --check

format: $(DEV) ## Put the code into its one form
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

docs: $(DEV) ## Write the generated schemas and reference pages
	$(BIN)/python -m argyll.analysis.schema
	$(BIN)/python -m argyll.analysis.docs
	$(BIN)/python -m tools.reference
	$(BIN)/python -m tools.scenarios

bench: $(DEV) ## Measure the engine beside a floor engine, about three minutes
	$(BIN)/python -m benchmarks

clean: ## Remove what was installed and built here
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .ruff_cache .import_linter_cache benchmarks/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): pyproject.toml
	$(call make_venv)
	$(PIP) --editable .
	@touch $@

$(DEV): pyproject.toml
	$(call make_venv)
	$(PIP) --editable '.[dev]'
	@touch $(RUN) $@

define make_venv
@$(BIN)/python -c '' 2>/dev/null || { \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "argyll needs Python 3.11 or newer as $(PYTHON); name another one: make PYTHON=python3.12 ..." >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment; install what is missing: apt-get install python3-venv" >&2; exit 1; }; \
	echo "$(PYTHON) -m venv $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
endef
