# `make serve` and `make test` work on a fresh clone with nothing but Python 3.11+ and make.
# `make bench BENCH='--quick --markdown speed.md'` hands arguments on.
# Asked where .venv is made: builds of Python differ by a quarter in what everything takes.
PYTHON ?= $(shell $(FIND_PYTHON))
FIND_PYTHON = for python in python3 python3.14 python3.13 python3.12 python3.11; do \
  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null && exec "$$python" bench/fastest_python.py; \
  done; echo "no Python 3.11 or newer is on the PATH: install one" >&2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Without its cache of bytecode every worker and every program that a test starts compiles all again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test bench format lint clean

serve: $(READY)
	@exec $(BIN)/lading serve

test: $(READY) lint
	$(BIN)/python -m pytest -n 3 --dist worksteal -q

bench: $(READY)
	$(BIN)/python -m bench $(BENCH)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): requirements-dev.lock pyproject.toml
	@python="$(PYTHON)" && [ -n "$$python" ] \
	  && "$$python" -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None' \
	  && echo "$$python -m venv $(VENV)" && "$$python" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
