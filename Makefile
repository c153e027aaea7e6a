# Two commands do everything: "make study" and "make test". Both make an environment if there is none.
SCENARIO ?= digits
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 1)
PYTHON ?= python3
# An activated environment (venv or conda, not conda's base) is used; else .venv is made here.
VENV ?= $(or $(VIRTUAL_ENV),$(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX)),.venv)
# TORCH=cpu takes PyTorch's CPU wheels, without gigabytes of CUDA libraries.
TORCH ?=
ARGS ?=
BIN = $(VENV)/bin
# Compiling ahead what is never imported is a third of the installation. What is imported is compiled
# once, and kept: containers like to forbid that, and each of dozens of processes compiles PyTorch.
QUIET = --quiet --no-compile
unexport PYTHONDONTWRITEBYTECODE

.PHONY: study inspect site test lint showcase clean

study: $(VENV)/.rurklib-study
	$(BIN)/rurk study --scenario $(SCENARIO) --jobs $(JOBS) $(ARGS)

# The inspector of a run as a page on this machine; RUN=runs/other for another one.
RUN ?= runs/digits
inspect: $(VENV)/.rurklib-study
	$(BIN)/rurk inspect --run $(RUN) $(ARGS)

# Notebooks, READMEs and docstrings as a site: build/site/html/index.html, to be opened from the disk.
site: $(VENV)/.rurklib-site
	rm -rf build/site && mkdir -p build/site/source
	$(BIN)/python -m sphinx -W --keep-going -c notebooks -d build/site/doctrees $(ARGS) build/site/source build/site/html

LINT = $(BIN)/ruff check rurklib tests notebooks && \
	$(BIN)/ruff format --check rurklib tests notebooks && \
	$(BIN)/lint-imports && \
	$(BIN)/mypy rurklib

# A worker for each processor: one more, waiting for browsers and kernels, made it a minute slower.
# The tests go on while mypy reads; what either of them finds is a failure.
test: $(VENV)/.rurklib-test
	{ $(LINT); } & $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS); \
	tests=$$?; wait $$! && exit $$tests

lint: $(VENV)/.rurklib-test
	$(LINT)

# Run the study afresh and commit what it shows: notebooks with outputs, figures with their CSV, and
# its models, which come with the package.
showcase: $(VENV)/.rurklib-study
	$(BIN)/rurk study --scenario digits --jobs $(JOBS) --fresh
	$(BIN)/python notebooks/publish.py runs/digits
	$(BIN)/rurk page --run runs/digits --out figures/try-it.html

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "rurklib needs Python 3.10 or newer; name one: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.rurklib-torch: | $(VENV)/bin/python
ifeq ($(TORCH),cpu)
	$(BIN)/python -m pip install "torch>=2.10" "torchvision>=0.25" --index-url https://download.pytorch.org/whl/cpu
endif
	@touch $@

$(VENV)/.rurklib-study: pyproject.toml $(VENV)/.rurklib-torch
	$(BIN)/python -m pip install $(QUIET) -e ".[study]"
	@touch $@

$(VENV)/.rurklib-site: pyproject.toml $(VENV)/.rurklib-torch
	$(BIN)/python -m pip install $(QUIET) -e ".[site]"
	@touch $@

# torchattacks pins an old "requests" that JupyterLab can't live with, and doesn't need it here.
$(VENV)/.rurklib-test: pyproject.toml $(VENV)/.rurklib-torch
	$(BIN)/python -m pip install $(QUIET) -e ".[test]"
	$(BIN)/python -m pip install $(QUIET) --no-deps "torchattacks>=3.5"
	@touch $@

clean:
	rm -rf runs build .venv
