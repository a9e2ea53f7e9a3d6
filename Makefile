# make demo: install and run the main job · make test: everything that must hold · make bench: every figure
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test bench install check base-install clean

$(BIN)/visavis: pyproject.toml constraints.txt weights/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt .
	@touch $(BIN)/visavis

install: $(BIN)/visavis

demo: install
	$(BIN)/visavis demo

$(VENV)/.dev: pyproject.toml constraints.txt weights/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e ./weights -e .
	@touch $@ $(BIN)/visavis

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest

bench: $(VENV)/.dev
	$(BIN)/visavis bench all

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
