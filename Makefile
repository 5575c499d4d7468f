# Millstream: the one way to do each thing, here and in CI. `make` lists them.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
  && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
BENCH_VENV ?= .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
ONLY ?=
PIP := $(BIN)/pip --disable-pip-version-check --no-input install -q
PYTEST := $(BIN)/python -m pytest -q
WORKERS ?= 2
# Twice the cores of CI: half of the time tests wait for something.
TEST_WORKERS ?= 4
# Of targets that run side by side, the output of one after that of the other, where make can do that.
WHOLE := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
SEEDS ?= 1000
FIRST ?= 0
CASES ?= 50
SEED ?= 1
# Images of Python set it: every process that a test starts would compile all of src/ anew, 0.3 s each time.
unexport PYTHONDONTWRITEBYTECODE

AUDIT := $(VENV)-audit

.PHONY: audit dist sbom licences help demo run test test-unit simulate schemathesis seeded-bugs check format lint types contracts proto lock bench \
  bench-table clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Millstream needs Python 3.11, 3.12 or 3.13 with venv (on Debian: apt install python3-venv)." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements/runtime.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "installing the locked requirements into $(VENV) (a minute or two, once)"
	@$(PIP) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): requirements/dev.txt $(RUN_STAMP)
	@echo "installing what checks and tests need"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

$(BENCH_STAMP): bench/peers/requirements.txt | $(BIN)/python
	@echo "installing the peers of the benchmarks into $(BENCH_VENV)"
	@$(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/pip --disable-pip-version-check --no-input install -q --require-hashes -r bench/peers/requirements.txt
	@touch $@

demo: $(RUN_STAMP) ## show the whole way on the documents under samples/; leaves nothing running
	@$(BIN)/millstream demo

run: $(RUN_STAMP) ## keep the service running on http://127.0.0.1:8321, data under ./data
	@exec $(BIN)/millstream up

test: $(DEV_STAMP) ## every test: real Redis, real HTTP, real S3 server, end to end
	@$(BIN)/python -m tests.failed_again -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder tests

test-unit: $(DEV_STAMP) ## the tests without any server, under 20 s
	@$(PYTEST) -n $(WORKERS) --dist worksteal --hypothesis-profile=quick tests/unit tests/architecture

simulate: $(DEV_STAMP) ## worlds full of faults from SEEDS=1000 seeds, FIRST=0; tells how to replay what fails
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST) --workers $(WORKERS)

schemathesis: $(DEV_STAMP) ## requests made of /openapi.json, right and wrong, CASES=50 random ones for each call from SEED=1
	@MILLSTREAM_TEST_CASES=$(CASES) MILLSTREAM_TEST_SEED=$(SEED) $(PYTEST) tests/integration/test_schemathesis.py

seeded-bugs: $(DEV_STAMP) ## bugs put into copies of the tree, one after the other: each must turn the tests red (2 to 6 minutes)
	@$(BIN)/python -m tests.seeded_bugs --workers $(WORKERS)

bench: $(DEV_STAMP) $(BENCH_STAMP) ## every promise of speed measured beside its peer, into docs/benchmarks.md (more than half an hour); ONLY="search sse" some
	@BENCH_VENV=$(abspath $(BENCH_VENV)) PYTHONPATH=src:. $(BIN)/python -m bench $(if $(ONLY),--only $(ONLY))

bench-table: $(DEV_STAMP) ## docs/benchmarks.md and its plots from the results of the last runs
	@PYTHONPATH=src:. $(BIN)/python -m bench --table

check: $(DEV_STAMP) ## the one truth: format, lint, types, contracts, the demo, all tests
	@$(MAKE) --no-print-directory -j $(WORKERS) $(WHOLE) lint types contracts demo
	@$(MAKE) --no-print-directory test

lint: $(DEV_STAMP) ## form and rules of the code
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .

types: $(DEV_STAMP) ## strict types
	@$(BIN)/mypy src tests bench release

contracts: $(DEV_STAMP) ## who may import whom
	@$(BIN)/lint-imports

proto: $(DEV_STAMP) ## generate the stubs of gRPC from proto/
	@$(BIN)/python proto/generate.py

format: $(DEV_STAMP) ## put the code in its one form
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check -q --fix .

$(AUDIT)/.installed: requirements/audit.txt | $(BIN)/python
	@$(BIN)/python -m venv $(AUDIT)
	@$(AUDIT)/bin/pip --disable-pip-version-check --no-input install -q --require-hashes -r requirements/audit.txt
	@touch $@

audit: $(DEV_STAMP) $(AUDIT)/.installed ## licences, and advisories about what is locked: asks PyPI, says NOT AUDITED where it cannot
	@$(BIN)/python -m release.licences --check
	@PATH="$(abspath $(AUDIT))/bin:$$PATH" $(AUDIT)/bin/python -m release.audit

dist: $(RUN_STAMP) ## the wheel and the source archive, by the locked build backend
	@rm -rf dist && $(BIN)/python -m hatchling build -d dist

sbom: $(AUDIT)/.installed ## the list of materials of what a user installs (CycloneDX): dist/millstream.cdx.json
	@mkdir -p dist
	@$(AUDIT)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
	  -o dist/millstream.cdx.json requirements/runtime.txt
	@echo "dist/millstream.cdx.json"

licences: $(DEV_STAMP) ## write docs/licences.md from what is installed
	@$(BIN)/python -m release.licences

lock: ## resolve the requirements anew (needs uv); commit the result
	@for name in requirements/build requirements/runtime requirements/qdrant requirements/dev requirements/audit bench/peers/requirements; do \
	  uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	  --no-emit-index-url --no-header --no-annotate -o $$name.txt $$name.in; done

clean: ## remove the environment and caches; ./data stays
	@rm -rf $(VENV) $(AUDIT) dist $(BENCH_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
