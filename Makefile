# `make demo` and `make test` do all their own set-up. uv is used when it is on PATH, else venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH := .venv-bench

.PHONY: demo test lint prove-kill bench-engine bench-policy bench-plan schemas clean help

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: $(STAMP) ## build a site in ./demo, protect it, damage it, bring it back
	@$(BIN)/reconciler demo demo

test: $(STAMP) ## lint, types, import contracts and the tests
	@BIN=$(BIN) $(BIN)/python tests/run.py

prove-kill: $(STAMP) ## kill -9 at every durable step and at random moments (minutes)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/kill -p no:randomly -q

bench-engine: $(STAMP) ## CPU seconds of the embedded engine as ratios to restic and borg
	@$(BIN)/python -m bench.engine

bench-policy: $(STAMP) ## validate and coverage as ratios to PyYAML's C loader and check-jsonschema
	@$(BIN)/python -m bench.policy

bench-plan: $(BENCH)/.installed ## offline plans of up to a million machines as ratios to octoDNS
	@$(BENCH)/bin/python -m bench.plan --million

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

# Without what developers install besides: what is measured is what a user has.
$(BENCH)/.installed: pyproject.toml
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

clean: ## remove what make made
	rm -rf $(VENV) $(BENCH) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
