# Every target works on a fresh machine with python3 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SCRIPT ?= examples/quickstart/score.py
PORT   ?= 5001
ARGS   ?=
# Tests spend much of their time waiting for processes: more of them than there are cores.
TESTERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)

.PHONY: help serve compiled test lint format bench soak docs images audit clean

help:
	@echo "make serve [SCRIPT=path/score.py] [PORT=5001] [ARGS=...]   serve a script"
	@echo "make test  [ARGS='-k words']                               run all tests, or some"
	@echo "make lint                                                  ruff and mypy"
	@echo "make format                                                ruff, writing"
	@echo "make audit                                                 known vulnerabilities (network)"
	@echo "make check-examples                                        azmlinfsrv check on every example"
	@echo "make bench [JOBS=j1,j2] [PEERS=reference,fastapi] [ARGS=...] measure beside other servers"
	@echo "make soak  [ARGS='--minutes 2'] [ARGS='crash swap ...']    kills, swaps, bad clients at once, or one kind"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The package itself, editable: what a user gets.
$(VENV)/.package: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# What tests and linters need besides.
$(VENV)/.dev: pyproject.toml tools/dev_requirements.py $(VENV)/.package
	$(BIN)/python tools/dev_requirements.py > $(VENV)/dev-requirements.txt
	$(BIN)/python -m pip install --quiet --requirement $(VENV)/dev-requirements.txt
	@touch $@

# An example with a requirements.txt beside its script gets those as well.
serve: $(VENV)/.package
	@if [ -f "$(dir $(SCRIPT))requirements.txt" ]; then \
	  $(BIN)/python -m pip install --quiet --requirement "$(dir $(SCRIPT))requirements.txt"; fi
	$(BIN)/azmlinfsrv --entry_script $(SCRIPT) --port $(PORT) $(ARGS)

# Tests start servers a thousand times. Where the environment asks Python to write no bytecode,
# each start would compile our modules anew, which is a third of its cost.
compiled: $(VENV)/.package
	@$(BIN)/python -m compileall -q src

# All of them take every core, and more; some, chosen with ARGS, run one after another. Files go
# by name: by their number of tests, the last ones would be few tests that take long.
test: $(VENV)/.dev compiled
	$(BIN)/python -m pytest $(or $(ARGS),-n $(TESTERS) --dist loadfile --no-loadscope-reorder)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(if $(JOBS),--jobs $(JOBS)) $(if $(PEERS),--peers $(PEERS)) $(ARGS)

soak: $(VENV)/.dev
	$(BIN)/python -m soak $(ARGS)

check-examples: $(VENV)/.dev compiled
	$(BIN)/python tools/check_examples.py $(ARGS)

# The pictures of the playground, taken by its tests with Debian's Chromium.
images: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/playground/test_looks.py -k pictures
	mkdir -p docs/images && cp build/screenshots/playground-*.png docs/images/

docs: $(VENV)/.dev
	$(BIN)/python tools/tables.py

# Needs the network: known vulnerabilities of what an installation brings along.
audit:
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit
	$(PYTHON) -m venv $(VENV)/audited
	$(VENV)/audited/bin/python -m pip install --quiet .
	$(VENV)/audit/bin/pip-audit --strict --path "$$($(VENV)/audited/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
