# `make demo` and `make test` do all their own set-up. uv is used when it is on PATH, else venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint prove-kill prove-drift bench-engine bench-policy schemas clean help

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: $(STAMP) ## build a site in ./demo, protect it, damage it, bring it back
	@$(BIN)/reconciler demo demo

test: $(STAMP) ## lint, types, import contracts and the tests
	@BIN=$(BIN) $(BIN)/python tests/run.py

prove-kill: $(STAMP) ## kill -9 at every durable step and at random moments (minutes)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/kill -p no:randomly -q

prove-drift: $(STAMP) ## 10,000 mixtures of events, each in the class that the event itself has (minutes)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/plan/test_drift.py -k 'mixtures or enough' -n auto -q

bench-engine: $(STAMP) ## CPU seconds of the embedded engine as ratios to restic and borg
	@$(BIN)/python -m bench.engine

bench-policy: $(STAMP) ## validate and coverage as ratios to PyYAML's C loader and check-jsonschema
	@$(BIN)/python -m bench.policy

schemas: $(STAMP) ## write schemas/ anew from the types
	@$(BIN)/python -c "from pathlib import Path; from reconciler.parse.schema import write; write(Path('schemas'))"

$(STAMP): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	    test -d $(VENV) || uv venv --quiet --python $(PYTHON) $(VENV); \
	    uv pip install --quiet --python $(BIN)/python -e '.[dev]'; \
	else \
	    test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'; \
	fi
	@touch $(STAMP)

clean: ## remove what make made
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
