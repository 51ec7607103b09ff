# Every target sets up what it needs in .venv by itself; Python 3.10+ is enough to start.
PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=
BIN = .venv/bin
# Errors only: the build's advice on editable installs is no news to a newcomer.
PIP = PYTHONWARNINGS=ignore $(BIN)/python -m pip -qq --disable-pip-version-check

.PHONY: run test lint docs bench
.NOTPARALLEL:

run: .venv/.stamp-example
	@$(BIN)/python -m example_app

test: .venv/.stamp-test
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/.stamp-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: .venv/.stamp-docs
	@$(BIN)/sphinx-build -E -W --keep-going -q docs docs/_build/html
	@echo "The pages are in docs/_build/html."

bench: .venv/.stamp-test
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

.venv/.stamp-%: setup.cfg pyproject.toml | .venv/bin/python
	@echo "Installing .[$*] into .venv ..."
	@$(PIP) install -e '.[$*]'
	@touch $@

# A folder left half made would pass for a whole one the next time; an old pip cannot
# install this project in place.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or newer is needed; PYTHON=... names another")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@$(PIP) install --upgrade 'pip>=22' || { rm -rf .venv; exit 1; }
