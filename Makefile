# make fit and make test do everything on a fresh machine. PYTHON chooses the interpreter of the environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := CMakeLists.txt setup.py $(shell find csrc tests/native tests/emulator -type f -not -path '*/_build/*' 2>/dev/null)
FIT_OUT ?= runs/demo

.PHONY: install fit test test-all bench lint docs clean
install: $(VENV)/.built

$(VENV)/.environment: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel ninja cmake numpy scipy \
	  matplotlib h5py tqdm pooch pytest pytest-benchmark pytest-timeout hypothesis pybind11 ruff mypy clang-format
	touch $@

# An editable install: Python changes act at once, native changes rebuild what they touch.
$(VENV)/.built: $(VENV)/.environment $(NATIVE)
	NEUROTORCH_BUILD_TESTS=1 $(BIN)/python setup.py --quiet build_ext --inplace
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

fit: install
	$(BIN)/neurotorch fit demo --out $(FIT_OUT)

test: install
	$(BIN)/python -m pytest -q

test-all: install
	$(BIN)/python -m pytest -q -m "slow or not slow"

bench: install
	$(BIN)/python -m pytest -q benchmarks -m "slow or not slow" --benchmark-only -s

lint: $(VENV)/.environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find csrc tests/emulator tests/native -name _build -prune -o \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print \
	  | xargs $(BIN)/clang-format --dry-run --Werror

docs: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check mkdocs-material==9.* "mkdocstrings[python]"
	$(BIN)/mkdocs build --strict

clean:
	rm -rf build tests/native/_build neurotorch/_C.so $(VENV)/.built
