# `make demo` and `make test` make what they need: an environment in .venv, and Lava's own in .neuro.
# A machine needs Python >= 3.11, make, git and g++ >= 10; CMake and ninja come from pip. Lava needs Python 3.10 besides, and the tests
# a Chromium.
#
# NEURO_PYTHON=...     the Python for .venv            NEURO_PYTHON310=...  the Python 3.10 for Lava
# NEURO_CHROMIUM=...   the Chromium for the tests of the report's page
# TORCH_INDEX=...      package index with CPU builds of torch, a tenth of the size; empty: PyPI's builds

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

export NEURO_HOME := $(CURDIR)/.neuro
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
KERNELS := CMakeLists.txt $(wildcard neuro/kernels/*.cpp neuro/kernels/*.h neuro/kernels/*/*.cpp neuro/kernels/*/*.h)

.PHONY: help install lava nest neurobench chromium demo test check sanitize bench clean

help:
	@echo "make demo     train on handwritten digits, export, compare engine, Brian2 and Lava"
	@echo "make test     style, types, every test, coverage"
	@echo "make bench    the benchmarks"
	@echo "make check    style and types only"
	@echo "make sanitize the kernels' tests under AddressSanitizer and ThreadSanitizer"
	@echo "make install  only make the environment .venv"
	@echo "make clean    remove the environments and everything built"

install: .venv/installed

.venv/made: tools/find-python
	@python=$$(tools/find-python); echo "make: environment .venv with $$($$python --version) ($$python)"; \
	$$python -m venv --clear .venv
	@echo 'export NEURO_HOME="$(NEURO_HOME)"  # where make put Lava' >> .venv/bin/activate
	@touch $@

# torch first and alone: the rest of the resolution then keeps this build. The index is asked before pip is told of it,
# since pip would retry an unreachable one for minutes.
.venv/torch: .venv/made constraints.txt
	@index=; if [ -n "$(TORCH_INDEX)" ] && $(BIN)/python tools/reachable.py "$(TORCH_INDEX)/torch/"; then \
	index="--extra-index-url $(TORCH_INDEX)"; fi; \
	echo "make: torch and numpy"; $(PIP) $$index torch numpy
	@touch $@

.venv/installed: .venv/torch constraints.txt pyproject.toml $(KERNELS)
	@echo "make: packages and kernels"
	@$(PIP) scikit-build-core cmake ninja
	@$(PIP) --no-build-isolation --editable '.[train,brian2,nengo,report,sweep,measure,dev]'
	@touch $@

# What the tests alone compare with, and a user need not install.
nest: .venv/nest
.venv/nest: .venv/installed
	@echo "make: NEST"; $(PIP) nest-simulator
	@touch $@

# A browser that the tests open the report's page in; as root apt-get installs Debian's, else this says what to install.
chromium:
	@tools/find-chromium --install >/dev/null

# Without what its data sets need (audio, events, compilers): its metrics import torch, snntorch and tqdm alone.
neurobench: .venv/neurobench
.venv/neurobench: .venv/installed
	@echo "make: NeuroBench"; $(PIP) tqdm && $(PIP) --no-deps neurobench snntorch
	@touch $@

# Says itself what to install where no Python 3.10 is found.
lava: .venv/installed
	@$(BIN)/neuro backends install lava

demo: .venv/installed
	@tools/demo

check: .venv/installed
	@echo "make: ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "make: mypy"; $(BIN)/mypy neuro backends

test: check lava nest neurobench chromium
	@$(BIN)/python -m pytest --cov=neuro/graph --cov=neuro/backend --cov-report=
	@for room in graph backend; do echo "make: coverage of neuro/$$room, at least 95 %"; \
	$(BIN)/coverage report --include="neuro/$$room/*" --skip-covered --show-missing --fail-under=95; done

# Not part of `make test`: what the sanitizers of g++ say of the kernels' tests.
# Random graphs are left out: under a sanitizer they take very long.
KERNEL_TESTS := tests/train/test_kernel.py tests/learning/test_lstm_truncated.py tests/engine/test_threads.py tests/engine/test_integer.py tests/learning/test_kernel.py \
	-k "not TestOver and not random_nets"
sanitize: .venv/installed
	@tools/sanitize address $(KERNEL_TESTS)
	@tools/sanitize thread $(KERNEL_TESTS)

bench: lava
	@for script in benchmarks/*.py; do echo "make: $$script"; $(BIN)/python "$$script"; done

clean:
	rm -rf .venv .neuro build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
