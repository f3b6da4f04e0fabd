.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

# The first interpreter that runs and is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
NAMESPACE := build/ns/colonnade

.PHONY: help demo test check lint format docs screens snapshots demo-model bench wheel clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it, or: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/.installed

demo: .venv/.installed ## Install, render a collection, tag it with the bundled model, show the results
	$(BIN)/colonnade demo demo

# Many tests drive real terminals, signals and processes: on a busy machine one may run out of time. So what failed runs
# once more, alone; what fails twice has failed. A run that did not get to its end (any code but 1) has failed, too.
test: .venv/.installed-dev ## Install what the tests need and run all of them
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q || { [ $$? = 1 ] && \
		$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none; }

check: .venv/.installed-dev ## The quick tests only
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q -m 'not slow'

$(NAMESPACE):
	mkdir -p $@
	for package in engine tui vocab; do ln -sfn ../../../$$package $@/$$package; done

lint: .venv/.installed-dev | $(NAMESPACE) ## ruff, mypy --strict, the layers, and docs that are generated
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_cli.py --check
	$(BIN)/python docs/generate_keys.py --check

format: .venv/.installed-dev ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: .venv/.installed-dev ## Generate docs/cli.md from the commands, docs/configuration.md from the keys
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python docs/generate_keys.py

screens: .venv/.installed-dev ## Draw the app's screens for the README
	$(BIN)/python docs/generate_screens.py

snapshots: .venv/.installed-dev ## Write the text pictures of the screens anew that tests compare with
	COLONNADE_UPDATE_SCREENS=1 $(BIN)/python -m pytest -n 2 -q tests/test_screen_snapshots.py

demo-model: .venv/.installed-dev ## Train the demo model anew (about ten minutes on 2 cores)
	$(BIN)/python bench/train_demo_model.py

bench: .venv/.installed-dev ## Run the benchmarks; they print ratios
	for file in zero_shot attributes embedding calibration calibration_scale review audit_simulation tui; do $(BIN)/python bench/$$file.py || exit 1; done

wheel: .venv/.installed-dev ## Build the wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## Remove everything that the targets made
	rm -rf .venv build dist demo *.egg-info
