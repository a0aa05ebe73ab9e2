# `make demo` and `make test` do all their own set-up. uv is used when it is on PATH, else venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH := .venv-bench
# Errors alone: pip's warnings are about the machine, and fill the screen.
QUIET := -qq --disable-pip-version-check --root-user-action=ignore
# Without kept bytecode each start of a command takes twice as long: some machines forbid it by this variable.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test wheel lint docs man prove-kill prove-flips prove-evidence bench-engine bench-policy bench-evidence schemas clean help prove-impact bench-impact prove-diff prove-drift prove-budget prove-guard prove-images bench-plan prove-clock prove-windows

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: $(STAMP) ## build a site in ./demo, protect it, damage it, bring it back
	@$(BIN)/reconciler demo demo

test: $(STAMP) ## lint, types, import contracts and the tests
	@BIN=$(BIN) $(BIN)/python tests/run.py

man: $(STAMP) ## write the manual page, dist/man/reconciler.1
	@$(BIN)/python -m reconciler.cli.manual dist/man/reconciler.1
	@echo "dist/man/reconciler.1: man -l shows it"

lint: $(STAMP) ## ruff, mypy --strict and the import contracts, without the tests
	@$(BIN)/python tests/run.py lint

docs: $(STAMP) ## build the pages of docs/ into site/, every link checked
	@$(BIN)/mkdocs build --quiet --strict --site-dir site
	@echo "site/index.html"

prove-kill: $(STAMP) ## kill -9 at every durable step and at random moments (minutes)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/kill -p no:randomly -q

prove-impact: $(STAMP) ## what a plan tells of recovery points, beside what the embedded engine dropped, 1,000 pairs
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/prove/test_impact_engine.py -n auto -rP -q

prove-diff: $(STAMP) ## after an apply nothing is left to do: 10,000 policy folders by chance (minutes)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/control/test_perpetual.py -p no:randomly -q -s

prove-drift: $(STAMP) ## 10,000 mixtures of events, each in the class that the event itself has (minutes)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/plan/test_drift.py -k 'mixtures or enough' -n auto -q

prove-budget: $(STAMP) ## waves, budgets and change windows on thousands of random sites (minutes)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/plan/test_spread.py tests/plan/test_budget.py tests/plan/test_windows.py tests/plan/test_order.py tests/plan/test_shrink.py -p no:randomly -q

bench-engine: $(STAMP) ## CPU seconds of the embedded engine as ratios to restic and borg
	@$(BIN)/python -m bench.engine

bench-policy: $(STAMP) ## validate and coverage as ratios to PyYAML's C loader and check-jsonschema
	@$(BIN)/python -m bench.policy

bench-evidence: $(STAMP) ## check 100,000 records and locate changes, as a ratio to sha256sum
	@$(BIN)/python -m bench.evidence

prove-clock: $(STAMP) ## clocks ahead, back, there and back, by a minute to ten years, in every mode and phase (minutes)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/control/test_clock.py tests/schedule -n auto -q

prove-flips: $(STAMP) ## 20,000 flipped bits in store, state and evidence: noticed, or no answer changes (an hour)
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/prove/test_flips.py tests/engines/test_damaged_values.py -p no:randomly -n auto -rP -q

prove-images: $(STAMP) ## every flip in the headers and tables of a VHDX and a VHD: refused, or read by its good copy as qemu-img reads it
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/images/test_damage.py -p no:randomly -q -s

prove-evidence: $(STAMP) ## every bit of a small chain flipped; thousands of drops and swaps
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/state/test_evidence.py -p no:randomly -q

prove-windows: $(STAMP) ## the demo, a journey and a part of the tests in a CPython for Windows under Wine (half an hour; network)
	@$(BIN)/python -m tests.prove.windows

prove-guard: $(STAMP) ## ways past the guard, by mechanism: each is stopped, and gets through with its defence taken out
	@RECONCILER_PROVE=1 $(BIN)/python -m pytest tests/guard tests/plan/test_compare.py tests/plan/test_compare_deep.py -p no:randomly -q

bench-impact: $(STAMP) ## impact of a change on 72,000 recovery points, as a ratio to reading their catalog
	@$(BIN)/python -m bench.impact

bench-plan: $(BENCH)/.installed ## offline plans of up to a million machines as ratios to octoDNS
	@$(BENCH)/bin/python -m bench.plan --million

wheel: $(STAMP) ## build dist/reconciler_backup-VERSION-py3-none-any.whl, to install elsewhere
	@if command -v uv >/dev/null 2>&1; then uv build --quiet --wheel --out-dir dist; \
	else $(BIN)/python -m pip wheel $(QUIET) --no-deps --wheel-dir dist .; fi
	@ls dist/*.whl

schemas: $(STAMP) ## write schemas/ anew from the types
	@$(BIN)/python -c "from pathlib import Path; from reconciler.parse.schema import write; write(Path('schemas'))"

$(STAMP): pyproject.toml
	@echo "Setting up $(VENV): Python packages, once. This takes half a minute or more."
	@if command -v uv >/dev/null 2>&1; then \
	    test -d $(VENV) || uv venv --quiet --python $(PYTHON) $(VENV); \
	    uv pip install --quiet --python $(BIN)/python -e '.[dev]'; \
	else \
	    test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	    $(BIN)/python -m pip install $(QUIET) -e '.[dev]'; \
	fi
	@touch $(STAMP)

# Without what developers install besides: what is measured is what a user has.
$(BENCH)/.installed: pyproject.toml
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install $(QUIET) -e '.[bench]'
	@touch $@

clean: ## remove what make made
	rm -rf $(VENV) $(BENCH) demo site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
