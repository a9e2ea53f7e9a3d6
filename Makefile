# make demo: install and run the main job · make serve: the page on this machine · make test: everything that must hold · make bench: every figure · make golden: the authors' own numbers against ours
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ML ?= .venv-ml
ML_TESTS = tests/training tests/blocks tests/bases tests/systems
TORCH ?= torch==2.13.0
TORCH_FLAGS ?=

.PHONY: demo serve test bench golden install check base-install clean

$(BIN)/visavis: pyproject.toml constraints.txt weights/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt .
	@touch $(BIN)/visavis

install: $(BIN)/visavis

demo: install
	$(BIN)/visavis demo

# SERVE: options, as SERVE="--root Photos". What makes pictures needs the extra [ml], which is large and left to the user.
serve: install
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt '.[serve]'
	$(BIN)/visavis serve $(SERVE)

$(VENV)/.dev: pyproject.toml constraints.txt weights/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e ./weights -e .
	@touch $@ $(BIN)/visavis

# torch first: the CPU build where TORCH_FLAGS names its index; a plain install may bring gigabytes of CUDA.
$(ML)/.dev: pyproject.toml constraints.txt weights/pyproject.toml
	$(PYTHON) -m venv $(ML)
	$(ML)/bin/python -m pip install -q --disable-pip-version-check '$(TORCH)' $(TORCH_FLAGS)
	$(ML)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt '.[dev,ml]'
	$(ML)/bin/python -m pip install -q --disable-pip-version-check --no-deps -e ./weights -e .
	@touch $@

check: $(ML)/.dev
	$(ML)/bin/ruff check .
	$(ML)/bin/ruff format --check .
	$(ML)/bin/mypy
	$(ML)/bin/lint-imports

# The base install has no torch, so its tests run without; those of the rooms of training run in a second environment.
test: check $(VENV)/.dev
	$(BIN)/python -m pytest tests $(ML_TESTS:%=--ignore=%)
	$(ML)/bin/python -m pytest $(ML_TESTS) tests/run
	$(ML)/bin/python -m pytest -m signed tests/app

bench: $(ML)/.dev
	$(ML)/bin/visavis bench all

# The authors' own numbers (VISAVIS_GOLDEN) against ours; writes results/golden.json.
golden: $(ML)/.dev
	$(ML)/bin/python -m pytest --golden tests

clean:
	rm -rf $(VENV) $(ML) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
