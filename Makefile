# Each target does its own set-up, once: Python 3.11 or later and make are all it needs.
PYTHON ?= python3
BIN := .venv/bin

MAPLIBRE := 6.17.0
# Installs in a third of pip's time, and links files that an earlier environment has.
UV := 0.13.9

# uv leaves compiling to the first import, which takes a tenth of the time that all packages take: Python keeps what it compiles.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-viewer test-qgis qgis-plugin fuzz lint docs bench bench-all bench-quick viewer-assets clean

demo: .venv/ready
	$(BIN)/geodet demo demo --overwrite

# A share of the tests to each process, in their order: what the tests of a file share is made once. Three keep two processors busy,
# since many tests wait for a program that they have started.
test: .venv/ready
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal

# QGIS comes from Debian, with its own Python.
test-qgis: .venv/ready
	tests/qgis/install
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  $(BIN)/python tests/qgis/paint.py "$$folder" && /usr/bin/python3 tests/qgis/look.py "$$folder" && \
	  $(BIN)/python integrations/qgis/make_plugin.py "$$folder" && \
	  /usr/bin/python3 tests/qgis/provide.py "$$folder" $(BIN)/geodet

# dist/geodet_provider.zip, which QGIS installs: Plugins, Manage and Install Plugins, Install from ZIP.
qgis-plugin: .venv/ready
	$(BIN)/python integrations/qgis/make_options.py
	$(BIN)/python integrations/qgis/make_plugin.py dist

# Chromium comes from Debian, with playwright to click in it.
test-viewer: .venv/ready
	tests/browser/install $(BIN)
	$(BIN)/python -m pytest tests/browser

# What `geodet view` draws maps with, as published, from npm. The tests compare its checksums.
viewer-assets:
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  npm pack --silent --pack-destination "$$folder" maplibre-gl@$(MAPLIBRE) && \
	  tar -xzf "$$folder"/maplibre-gl-*.tgz -C "$$folder" && \
	  cp "$$folder"/package/LICENSE.txt "$$folder"/package/dist/maplibre-gl.css \
	    "$$folder"/package/dist/maplibre-gl.mjs "$$folder"/package/dist/maplibre-gl-worker.mjs \
	    geodet/viewer/page/maplibre && \
	  cd geodet/viewer/page/maplibre && sha256sum LICENSE.txt *.css *.mjs > SHA256SUMS

# Ten thousand crafted documents, a quarter of an hour: each must be read, or refused with a hint.
fuzz: .venv/ready
	$(BIN)/python tests/fuzz/fuzz_run.py --cases 10000 --workers 2

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32

# Warnings are errors: broken links, unknown keys, commands without a page.
docs: .venv/ready
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet -b html docs docs/_build/html

bench: .venv/ready
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/memory.py

# All tables, for a night: hours, and what peers need in environments of their own.
bench-all: .venv/ready
	$(BIN)/python benchmarks/every_table.py --folder runs/benchmarks

# Each table at its smallest size, to see that none is broken.
bench-quick: .venv/ready
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  $(BIN)/python benchmarks/every_table.py --quick --folder "$$folder"

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "geodet needs Python 3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==$(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch .venv/ready

clean:
	rm -rf .venv build dist demo docs/_build
