# make fit and make test do everything on a fresh machine: environment, build, run. Variables:
#   PYTHON       interpreter of the environment (3.11 or newer; the pinned numpy needs it)
#   TORCH_INDEX  package index to take torch from, such as the one with its CPU builds; the default index otherwise
#   FIT_OUT      folder that make fit writes to
#   BENCH        further arguments of make bench-loops, such as -k "b and 512"; its tables are written without any
#   COMPARE      arguments of make bench-peers, such as --quick or --only "b N=512"
PYTHON ?= python3
TORCH_INDEX ?=
FIT_OUT ?= runs/demo
BENCH ?=
COMPARE ?= --quick
ROWS ?= docs/benchmarks/rows.json
LOOPS ?= $(if $(BENCH),build,docs/benchmarks)/loops.json

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
EDITABLE := NEUROTORCH_BUILD_TESTS=1 $(PIP) --no-build-isolation --editable
NATIVE := CMakeLists.txt setup.py pyproject.toml \
  $(shell find csrc tests/native tests/emulator -type f -not -path '*/_build/*' -not -path '*/__pycache__/*' 2>/dev/null)
FORMATTED = $(shell find csrc tests/native tests/emulator -name _build -prune -o \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print)

.PHONY: install fit test test-all instructions bench bench-loops bench-peers bench-tables bench-environments lint format
.PHONY: docs clean
install: $(VENV)/.built
# What was built may be gone while the stamp is still there.
ifeq ($(and $(wildcard neurotorch/_C.so),$(wildcard tests/native/_build/emulator*)),)
.PHONY: $(VENV)/.built
endif

# What the build needs, torch first: later installs then find it there and ask for no other.
$(VENV)/.environment: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) setuptools wheel ninja cmake pybind11
	touch $@

# An editable install: Python changes act at once, native changes rebuild what they touch.
$(VENV)/.built: $(VENV)/.environment $(NATIVE)
	$(EDITABLE) '.[dev]'
	touch $@

fit: install
	$(BIN)/neurotorch fit demo --out $(FIT_OUT)

test: install
	$(BIN)/python -m pytest -q

test-all: install
	$(BIN)/python -m pytest -q -m "slow or not slow"

# Of the hot kernels, beside the recorded ones; needs valgrind.
instructions: install
	$(BIN)/python benchmarks/instructions.py

bench: bench-loops bench-peers

# Beside loops of plain PyTorch, with targets; the tables of the READMEs are written from the rows.
bench-loops: install
	mkdir -p $(dir $(LOOPS))
	$(BIN)/python -m pytest -q benchmarks --benchmark-only --timeout 1200 --json-rows $(LOOPS) $(BENCH)
	$(if $(BENCH),,$(BIN)/python benchmarks/report.py $(LOOPS))

# Beside the other libraries; docs/benchmarks.md is written from the rows.
bench-peers: install bench-environments
	mkdir -p $(dir $(ROWS))
	$(BIN)/python benchmarks/compare.py --out $(ROWS) $(COMPARE)
	$(BIN)/python benchmarks/report.py $(ROWS) --out docs

# The pages again, from the rows that are there.
bench-tables: install
	$(BIN)/python benchmarks/report.py $(wildcard docs/benchmarks/*.json)

# Environments of the other libraries: without one, the benchmarks say so and run with the rest.
bench-environments: | $(VENV)/.environment
	@for name in peers reference; do \
	  test .venv-$$name/.made -nt benchmarks/$$name/requirements.txt && continue; \
	  rm -rf .venv-$$name; \
	  $(PYTHON) -m venv .venv-$$name \
	    && .venv-$$name/bin/python -m pip install --quiet --disable-pip-version-check \
	      $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0 \
	    && .venv-$$name/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	      -r benchmarks/$$name/requirements.txt \
	    && touch .venv-$$name/.made \
	    || { rm -rf .venv-$$name; echo "bench: no environment for benchmarks/$$name/requirements.txt; going on without"; }; \
	done

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(FORMATTED)

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(FORMATTED)

$(VENV)/.docs: $(VENV)/.built
	$(EDITABLE) '.[docs]'
	touch $@

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf build docs/_build tests/native/_build neurotorch/_C.so $(VENV)/.built
