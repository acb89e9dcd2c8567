# make repro     runs the pipeline
# make lint      checks style, types and layers
# make test      make lint, and the fast tests, including one pipeline with the small language model
# make test-all  make lint, and all tests
# make data      MIRROR=<folder>  copies a mirror of source files into the ir_datasets home
# make docs      builds the documentation in docs/_build/index.html
# make profile   STAGE=<stage>  writes a flame graph of a stage to reports/profile-<stage>.svg
# make lock      pins the installed packages, with their digests
# make sbom      writes a bill of materials of packages, weights and data, with licences, to dist/sbom.cdx.json
# make audit     asks PyPI for known vulnerabilities of the locked packages
# make dist-check  tries the wheel in an empty environment: training, search, service and pipeline
# make promises  tries what is promised, by kills, faults and hostile input, in hours, and records what held
# make peers     installs what benchmarks/peers.py compares zero2ir with, in .venv-peers
# make help      lists these targets

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
INSTALL := $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --require-hashes

PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

.PHONY: setup repro lint test test-all docs data profile lock sbom audit dist-check promises peers help

setup: $(STAMP)

# The locks list every package with the digests of its files, so pip resolves nothing, and refuses a file that is not the
# locked one. Setuptools comes first and builds what has no wheel: otherwise pip would fetch the newest one unchecked.
# Where pip finds the build of torch without CUDA, in a folder or an index that is configured (PyPI has it for macOS only),
# that one is installed, and none of CUDA's libraries.
$(STAMP): requirements.lock requirements-cpu.lock requirements-cuda.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5) and "Python 3.11.5 or newer is needed; set PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	awk '/^[a-z]/ {chosen = /^setuptools==/} chosen' requirements.lock > .venv/setuptools.lock
	$(INSTALL) -r .venv/setuptools.lock
	if $(INSTALL) -r requirements-cpu.lock 2> .venv/torch.log; then true; \
	elif grep -q 'No matching distribution' .venv/torch.log; then $(INSTALL) -r requirements-cuda.lock; \
	else cat .venv/torch.log; exit 1; fi
	$(INSTALL) -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

# As `dvc repro`, but the systems run side by side. Outside a git repository, e.g. in an unpacked archive, DVC must be
# told so.
repro: setup
	git rev-parse --git-dir > /dev/null 2>&1 || $(BIN)/dvc config --local core.no_scm true
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m zero2ir.experiments.pipeline

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST)

test-all: lint  # one call, so that no process waits between the fast tests and the slow ones
	$(PYTEST) -m ''

docs: setup
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build

data: setup
	$(BIN)/python -m zero2ir.data.mirror $(MIRROR)

profile: setup
	$(BIN)/python benchmarks/profile_stage.py $(STAGE)

lock: setup
	test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv==0.13.9; }
	$(BIN)/python -m tools.lock .venv-lock/bin/uv

sbom: setup
	$(BIN)/python -m tools.sbom

audit: setup
	test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet pip-audit==2.10.1; }
	$(BIN)/python -m tools.audit .venv-audit/bin/pip-audit

dist-check: setup
	$(BIN)/python -m tools.dist_check

promises: setup
	$(BIN)/python -m benchmarks.promises

# PyTerrier also needs Java, and gets Terrier's jar from Maven Central on first use.
peers:
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --no-deps -r benchmarks/peers.lock
	.venv-peers/bin/python -m pip install --quiet "$$(grep '^torch==' benchmarks/peers.lock)"

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile
