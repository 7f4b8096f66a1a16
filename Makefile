# make run    the studio on http://127.0.0.1:7860 (options: make run ARGS="--port 7861 --data ~/videos")
# make test   lint, types and all tests
# make lint | format | types | benchmark | clean

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NONE := 5# pytest's exit status when no test was asked for
PAGES := app.py studio pipelines tests

.PHONY: run test lint format types benchmark clean

run: .venv/installed
	@$(BIN)/python app.py $(ARGS)

test: .venv/installed-test lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not browser" $(ARGS) || [ $$? -eq $(NONE) ]
	$(BIN)/python -m pytest -n 2 --dist loadfile -m browser $(ARGS) || [ $$? -eq $(NONE) ]

lint: .venv/installed-test
	$(BIN)/python -m ruff check $(PAGES)
	$(BIN)/python -m ruff format --check $(PAGES)

format: .venv/installed-test
	$(BIN)/python -m ruff check --fix $(PAGES)
	$(BIN)/python -m ruff format $(PAGES)

types: .venv/installed-test
	$(BIN)/python -m mypy

benchmark: .venv/installed-test
	$(BIN)/python -m tests.benchmarks.studio

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(PIP) install --editable .
	@touch $@

.venv/installed-test: .venv/installed
	$(PIP) install --editable ".[test]"
	@touch $@
