# `make` alone prints this help. Every target prepares what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
APP ?= corepod.demo:app
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' app/corepod/__init__.py)
IMAGE ?= corepod:$(VERSION)
OPERATOR_IMAGE ?= corepod-operator:$(VERSION)
LOADTEST_IMAGE ?= corepod-loadtest:$(VERSION)
BASE ?= python:3.14-slim
PLATFORMS ?=
HELM ?= helm
CLUSTER ?= corepod

.DEFAULT_GOAL := help
.PHONY: help run test test-unit test-process test-compat lint lint-chart format docs migrate-corpus bench bench-pm2 conformance bench-pins wheel image operator-image \
  loadtest-image chart kind-up kind-down e2e soak recovery balancing loadtest loadtest-pictures hit pins clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {name[++n] = $$1; text[n] = $$2; if (length($$1) > most) most = length($$1)} \
	  END {for (i = 1; i <= n; i++) printf "  %-" most "s  %s\n", name[i], text[i]}' $(MAKEFILE_LIST)

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# A stamp a purpose: `make run` needs neither the test frameworks nor the linters.
$(VENV)/.run: pyproject.toml requirements/run.txt
	$(PYTHON) -c 'import sys; sys.exit("corepod needs Python 3.11 or newer, this is %d.%d; use make PYTHON=python3.14" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	$(PIP) --require-hashes -r requirements/test.txt
	@touch $@

# Frameworks and libraries that users bring: 600 MB that nothing else needs.
$(VENV)/.compat: $(VENV)/.test requirements/compat.txt
	$(PIP) --require-hashes -r requirements/compat.txt
	@touch $@

$(VENV)/.loadtest: $(VENV)/.run requirements/loadtest.txt
	$(PIP) --require-hashes -r requirements/loadtest.txt
	@touch $@

run: $(VENV)/.run ## Run the sample application on every usable core at http://127.0.0.1:8000
	@$(BIN)/corepod run $(APP) $(ARGS)

PYTEST := $(BIN)/python -m pytest
# Side by side, but those marked serial; ARGS="-n 0" runs all of them in a row.
PARALLEL := -n auto --dist worksteal
# Tests of processes mostly wait: more of them run side by side than there are cores.
WAITING := -n $(shell echo $$((4 * $$(nproc)))) --dist worksteal
# Bytecode of corepod and of the tests, made once. Otherwise each process of pytest rewrites every test module, and each
# interpreter that a test starts compiles corepod: at the same time as the others after a checkout, and always where
# PYTHONDONTWRITEBYTECODE is set. That variable stays as it is for what the tests themselves start.
$(VENV)/.compiled: $(VENV)/.compat
	$(BIN)/python -m compileall -q app
	PYTHONDONTWRITEBYTECODE= $(PYTEST) --collect-only -qq >/dev/null || true  # the tests will say what is wrong
	@touch $@

# What coverage is measured of (see pyproject.toml), and the percentage that it may not fall below.
MEASURED := tests/unit tests/architecture tests/deploy tests/process/operator
FLOOR ?= 80
# Only where Python has sys.monitoring (3.12): with a trace function these tests take two and a half times the CPU.
MEASURE = $(shell $(BIN)/python -c 'import sys; print("sysmon" if hasattr(sys, "monitoring") else "")')

ifdef FULL
TESTABLE := $(VENV)/.compiled
export HYPOTHESIS_PROFILE ?= many
test: $(TESTABLE)
	$(if $(MEASURE),$(BIN)/coverage erase)
	$(if $(MEASURE),COVERAGE_CORE=$(MEASURE) $(BIN)/coverage run,$(BIN)/python) -m pytest $(PARALLEL) $(MEASURED) $(ARGS)
	$(PYTEST) $(WAITING) tests/process $(patsubst %,--ignore=%,$(filter tests/process/%,$(MEASURED))) $(ARGS)
	$(if $(MEASURE),$(BIN)/coverage combine --quiet)
	$(if $(MEASURE),$(BIN)/coverage report --fail-under=$(FLOOR))
else
TESTABLE := $(VENV)/.test
test: $(TESTABLE) ## Run all tests that need no cluster; FULL=1 as CI does: frameworks, more examples, coverage
	$(PYTEST) $(PARALLEL) $(ARGS)
endif

test-unit: $(TESTABLE) ## Run the tests of functions and modules
	$(PYTEST) $(PARALLEL) tests/unit tests/architecture $(ARGS)

test-process: $(TESTABLE) ## Run the tests of real processes
	$(PYTEST) $(WAITING) tests/process $(ARGS)

test-compat: $(VENV)/.compat ## Install the frameworks and libraries that users bring, and test with them
	$(PYTEST) $(PARALLEL) -m compat $(ARGS)

# Checks the workflows, in a test. A program in Go, whose checksum database vouches for what this version is.
ACTIONLINT_VERSION := v1.7.12
$(BIN)/actionlint: $(VENV)/.run
	GOBIN=$(abspath $(BIN)) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

# Holds charts in memory, for the test that pushes one and pulls it again. Three seconds to build.
OCI_REGISTRY_VERSION := v0.20.3
$(BIN)/oci-registry: $(VENV)/.run
	GOBIN=$(abspath $(BIN)) go install github.com/google/go-containerregistry/cmd/registry@$(OCI_REGISTRY_VERSION)
	mv $(BIN)/registry $@

lint: $(VENV)/.test ## Check style, types and the rules for imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Another program in Go.
KUBE_SCORE_VERSION := v1.20.0
$(BIN)/kube-score: $(VENV)/.run
	GOBIN=$(abspath $(BIN)) go install github.com/zegl/kube-score/cmd/kube-score@$(KUBE_SCORE_VERSION)

# An environment of its own: its hundred packages would hold ours back.
CHECKOV := .venv-checkov/bin/checkov
$(CHECKOV): requirements/checkov.txt
	test -x $(@D)/python || $(PYTHON) -m venv .venv-checkov
	$(@D)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/checkov.txt
	@touch $@

lint-chart: $(BIN)/kube-score $(CHECKOV) ## Check the chart with helm lint, kube-score and checkov
	deploy/lint-chart $(BIN)/kube-score $(CHECKOV)

format: $(VENV)/.test ## Format the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test ## Write docs/reference and the chart's schema from the code, and draw the pictures of the tables
	$(BIN)/python -m tools.generate
	$(BIN)/python -m tools.picture

migrate-corpus: $(VENV)/.test ## Print how much of the configurations in tests/corpus corepod migrate covers; ARGS=--list names the others
	@$(BIN)/python -m tools.corpus $(ARGS)

BENCH := loadtest/bench
$(BENCH)/.venv/.made: pyproject.toml $(BENCH)/requirements.txt
	test -x $(BENCH)/.venv/bin/python || $(PYTHON) -m venv $(BENCH)/.venv
	$(BENCH)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(BENCH)/requirements.txt
	$(BENCH)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Compared where it is installed: for those who want it, with Node, and kept out of the repository.
bench-pm2: ## Install PM2 for the benchmarks that reload and stop it
	npm install --silent --no-audit --no-fund --no-package-lock --no-save --prefix $(BENCH)/.pm2 pm2@7.0.4

bench: $(BENCH)/.venv/.made ## Compare corepod with other servers; ARGS="b1 b6 --rounds 21" chooses benchmarks, ARGS=--help explains
	@$(BENCH)/.venv/bin/python -m loadtest.bench $(ARGS)

# The suite of HTTP/2 is a program in Go. Its module names no versions of what it needs itself: go.sum here does.
H2SPEC := loadtest/conformance/h2spec
$(BENCH)/.venv/bin/h2spec: $(BENCH)/.venv/.made $(H2SPEC)/go.mod $(H2SPEC)/go.sum
	@command -v go >/dev/null || { echo "make conformance builds h2spec with Go, version 1.24 or newer, and there is none" >&2; exit 1; }
	GOBIN=$(abspath $(@D)) go -C $(H2SPEC) install github.com/summerwind/h2spec/cmd/h2spec
	@touch $@

conformance: $(BENCH)/.venv/bin/h2spec ## Run suites of HTTP/1.1, HTTP/2 and WebSocket against corepod, hypercorn and uvicorn; ARGS=--help explains
	@$(BENCH)/.venv/bin/python -m loadtest.conformance $(ARGS)

bench-pins: $(VENV)/.test ## Update the pinned dependencies of the benchmarks
	$(PIP) uv
	$(BIN)/uv pip compile $(BENCH)/requirements.in --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-annotate --output-file $(BENCH)/requirements.txt

DIST ?= dist
wheel: $(VENV)/.run ## Build the wheel in dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir $(DIST) .

# For several platforms, such as linux/amd64,linux/arm64, buildx builds. Their image can only be kept in a registry, which
# ARGS=--push does.
BUILD := docker $(if $(PLATFORMS),buildx build --platform $(PLATFORMS),build)

image: ## Build the image of workers; BASE=python:3.12-slim chooses another base
	$(BUILD) --tag $(IMAGE) --target worker --build-arg BASE=$(BASE) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null) $(ARGS) .

operator-image: ## Build the image of the operator
	$(BUILD) --tag $(OPERATOR_IMAGE) --target operator --build-arg BASE=$(BASE) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null) $(ARGS) .

loadtest-image: ## Build the image of the load test
	$(BUILD) --tag $(LOADTEST_IMAGE) --target loadtest --build-arg BASE=$(BASE) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null) $(ARGS) .

chart: ## Package the chart in dist/; REGISTRY=oci://registry.example/charts pushes it there, too
	$(HELM) package deploy/helm/corepod --destination $(DIST)
	$(if $(REGISTRY),$(HELM) push $(DIST)/corepod-$(VERSION).tgz $(REGISTRY) $(ARGS))

kind-up: ## Create a kind cluster with exclusive cores, and build and load the images
	@deploy/kind-up $(CLUSTER)
	$(MAKE) image operator-image loadtest-image
	kind load docker-image $(IMAGE) --name $(CLUSTER)
	kind load docker-image $(OPERATOR_IMAGE) --name $(CLUSTER)
	kind load docker-image $(LOADTEST_IMAGE) --name $(CLUSTER)

kind-down: ## Delete the kind cluster
	kind delete cluster --name $(CLUSTER)

# These wait for a cluster, and have limits of their own.
E2E := -o faulthandler_timeout=0
e2e: $(VENV)/.test ## Run the tests on the kind cluster; ARGS="-k rollout" chooses tests
	$(PYTEST) $(E2E) tests/e2e -m e2e $(ARGS)

soak: $(VENV)/.test ## Test rollouts, drains and the front on the kind cluster with 100 000 requests
	COREPOD_E2E_REQUESTS=100000 $(PYTEST) $(E2E) tests/e2e/test_rollout.py tests/e2e/test_front.py -m e2e -s $(ARGS)

loadtest: $(VENV)/.loadtest ## Run load and faults on a local pool for two minutes, with verdict and report; ARGS=--help explains
	@$(BIN)/python -m loadtest $(ARGS)

loadtest-pictures: $(VENV)/.loadtest ## Draw docs/pictures/loadtest-*.png from the last run of the load test, with Chromium
	@$(BIN)/python -m loadtest.report.picture loadtest/results/run.json docs/pictures

URL ?= http://127.0.0.1:8000/whoami
hit: $(VENV)/.loadtest ## Send a few requests to a running server and show which worker answered; URL=... ARGS="-c 10 -n 5"
	@$(BIN)/corepod hit $(URL) $(ARGS)

recovery: $(VENV)/.test ## Compare crashes of corepod and of a bare container on the kind cluster
	@$(BIN)/python -m tests.e2e.recovery

balancing: $(VENV)/.test ## Compare how requests wait behind kube-proxy, the front and in one pool on the kind cluster
	@$(BIN)/python -m tests.e2e.balancing $(ARGS)

pins: $(VENV)/.test ## Update the pinned dependencies; UPGRADE= pins only what is new
	$(PIP) uv
	./requirements/compile $(BIN)/uv

clean: ## Remove everything that these targets made
	rm -rf $(VENV) .venv-* $(BENCH)/.venv $(BENCH)/.pm2 loadtest/results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
