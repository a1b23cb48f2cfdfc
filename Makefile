# Two commands from a bare clone: `make book` and `make test`. Needs Python >= 3.11, make and a C library.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROFILE ?= quick
FUZZ_MINUTES ?= 10
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help book test test-fast test-slow test-browser lint bench fuzz lab clean

help:
	@echo "make book   execute the notebooks (PROFILE=$(PROFILE)) and build build/book/_build/html"
	@echo "make test   pytest and nbval"
	@echo "make lab    JupyterLab on the notebooks"
	@echo "make bench  benchmarks; make test-slow, make test-browser (needs Chromium), make lint, make clean"
	@echo "make fuzz   mutated files against the readers, for FUZZ_MINUTES=$(FUZZ_MINUTES)"

$(READY): pyproject.toml constraints.txt
	@echo "== installing into $(VENV) (about 2 GB; a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; run make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[book,test,dev]'
	@touch $@

book: $(READY)
	@echo "== executing the notebooks at profile $(PROFILE) and building the book"
	@$(BIN)/specnb book --profile $(PROFILE)

test: lint test-fast

lint: $(READY)
	@echo "== ruff and mypy"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy --no-error-summary

test-fast: $(READY)
	@echo "== pytest and nbval"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow and not browser" --durations 10 \
		tests --doctest-modules specnb --nbval-lax --nbval-current-env notebooks

$(VENV)/.ready-grid: $(READY)
	@echo "== installing the extra for LTE synthesis into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[grid]'
	@touch $@

test-slow: $(VENV)/.ready-grid
	@echo "== slow tests"
	@$(BIN)/python -m pytest -m slow --durations 10

test-browser: $(READY)
	@echo "== the book in Chromium"
	@$(BIN)/python -m pytest -m browser -n 2 --durations 5 tests/book/test_pages.py

bench: $(READY)
	@$(BIN)/python -m pytest -s benchmarks -o python_files='bench_*.py' --benchmark-columns=min,median,ops

fuzz: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz.py --minutes $(FUZZ_MINUTES)

lab: $(READY)
	@$(BIN)/jupyter lab notebooks

clean:
	rm -rf build
