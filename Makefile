# Each target does its own set-up, once: Python 3.11 or later and make are all it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-qgis fuzz lint docs bench clean

demo: .venv/ready
	$(BIN)/geodet demo demo --overwrite

test: .venv/ready
	$(BIN)/python -m pytest --numprocesses 2

# QGIS comes from Debian, with its own Python.
test-qgis: .venv/ready
	tests/qgis/install
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  $(BIN)/python tests/qgis/paint.py "$$folder" && /usr/bin/python3 tests/qgis/look.py "$$folder"

# Ten thousand crafted documents, a quarter of an hour: each must be read, or refused with a hint.
fuzz: .venv/ready
	$(BIN)/python tests/fuzz/fuzz_run.py --cases 10000 --workers 2

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Warnings are errors: broken links, unknown keys, commands without a page.
docs: .venv/ready
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet -b html docs docs/_build

bench: .venv/ready
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/memory.py

# All tables, for a night: hours, and what peers need in environments of their own.
bench-all: .venv/ready
	$(BIN)/python benchmarks/every_table.py --folder runs/benchmarks

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "geodet needs Python 3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch .venv/ready

clean:
	rm -rf .venv build dist demo docs/_build
