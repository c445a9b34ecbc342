# Everything starts here: `make` lists the targets.
#
# torch: its Linux wheels on the public registry are CUDA builds (about 3 GB with what they bring). Where no GPU
# is used, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels before the first `make setup`: pip then
# prefers 2.13.0+cpu, which requirements.lock was made with.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo serve test lint bench lock clean

# Threads that wait sleep instead of spinning: where others want the cores too, that is three times as fast.
export OMP_WAIT_POLICY ?= PASSIVE

PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/ready
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Larger data than the demo's, where somebody put them; tests that need them skip where they are absent.
MOTET_DATA ?= $(abspath $(wildcard ../shared/data))
BENCHES    := $(filter-out bench/_%,$(wildcard bench/*.py))

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(READY)  ## create .venv with everything that the other targets need

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Motet needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "installing $$(grep -c == requirements.lock) packages into .venv (one to two minutes)"
	@$(PYTHON) -m venv .venv
	@# torch first, with its own dependencies: a CUDA build brings packages that the lock does not know.
	@$(PIP) --constraint requirements.lock torch
	@$(PIP) --no-deps --requirement requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## the main job on real films, start to end
	@$(BIN)/python -m examples.films.demo

serve: setup  ## the demo's films over HTTP on http://127.0.0.1:8000, after `make demo`
	@$(BIN)/motet serve examples/films/graph.py:films

test: lint  ## lint, types, tests
	@MOTET_DATA='$(MOTET_DATA)' $(BIN)/python -m pytest

lint: setup  ## style and types only
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright

bench: setup  ## every script in bench/, its output kept beside it
	@test -n '$(MOTET_DATA)' || { echo 'no data: make bench MOTET_DATA=DIR (docs say which)'; exit 1; }
	@printf 'runs, one after the other:\n'; printf '  %s\n' $(BENCHES)
	@for script in $(BENCHES); do \
	    echo "$$script"; \
	    $(BIN)/python "$$script" --data '$(MOTET_DATA)' --json | tee "$${script%.py}.out"; \
	done

lock:  ## resolve pyproject.toml anew and write requirements.lock
	@rm -rf .lock-venv
	@$(PYTHON) -m venv .lock-venv
	@.lock-venv/bin/python -m pip install --quiet 'torch==2.13.*'
	@.lock-venv/bin/python -m pip install --quiet --editable '.[torch,llm,serve,ray,traces,plot,pandas,dev]'
	@# By name and version only, so that no index and no path gets in. A build's own suffix (+cpu) and what only
	@# a CUDA build brings stay out: torch asks for those itself.
	@{ echo '# Written by `make lock` from pyproject.toml: every package of a CPU set-up, for pip.'; \
	   .lock-venv/bin/python -m pip list --format=freeze --exclude-editable --exclude pip \
	   | grep -vE '^(nvidia-|cuda-|triton==)' | sed -E 's/\+[a-z0-9.]+$$//'; } > requirements.lock
	@rm -rf .lock-venv

clean:  ## remove .venv and what tools left
	rm -rf .venv .lock-venv build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
