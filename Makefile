# Antiphon. `make` lists the targets and the variables.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run demo up down ps logs restart test tests check unit postgres killing outages faults e2e chaos bench servers servers-down env lock schemas clean

PYTHON ?= python3
PORT ?= 8080
HOST ?= 127.0.0.1
BIN := .venv/bin
STACK = $(BIN)/python tools/stack --data "$(or $(DATA),data-server)"
MEMBERS := libs/common libs/contracts gateway $(wildcard services/*) deploy/embedded clients/cli
K ?=
PARALLEL := --dist loadfile --no-loadscope-reorder
FAULTS := tests-e2e/faults
$(if $(filter-out embedded server,$(PROFILE)),$(error PROFILE=$(PROFILE): there are embedded and server))

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  variables: PORT=8080 HOST=127.0.0.1 DATA= (run, demo, up ...), PROFILE=server (demo, bench), SERVICE= (logs, restart),"
	@echo "             K= (unit), SEED= MINUTES= (chaos), ONLY= (bench), PYTHON=python3"

setup: .venv/ready  ## make the virtual environment from requirements.lock

# uv itself is installed by pip, by hash; everything else by uv, by hash.
.venv/ready: requirements.lock tools/bootstrap.lock $(MEMBERS:%=%/pyproject.toml)
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed ($(PYTHON) was not found)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, this is $$($(PYTHON) -V)"; exit 1; }
	@echo "setting up .venv (once, about half a minute) ..."
	@$(PYTHON) -m venv .venv || { echo "the venv module is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r tools/bootstrap.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps $(MEMBERS:%=-e %)
	@touch $@

run: setup  ## start an empty platform on http://HOST:PORT, data in DATA (./data)
	@exec $(BIN)/antiphon run --host $(HOST) --port $(PORT) --data "$(or $(DATA),data)"

demo: setup  ## start the platform with a demo library, data in DATA (./data-demo); PROFILE=server: load it into `make up`
	@$(if $(filter server,$(PROFILE)),exec $(STACK) demo,exec $(BIN)/antiphon demo --host $(HOST) --port $(PORT) --data "$(or $(DATA),data-demo)")

up: setup  ## start everything on real servers behind http://HOST:PORT, data in DATA (./data-server)
	@exec $(STACK) up --host $(HOST) --port $(PORT)

down:  ## stop what `make up` started; nothing is lost
	@exec $(STACK) down

ps:  ## what runs of it, where, and how large it is
	@exec $(STACK) ps

logs:  ## follow its logs; SERVICE= selects one (edge, gateway, catalog ...)
	@exec $(STACK) logs $(SERVICE)

restart:  ## restart SERVICE=
	@exec $(STACK) restart "$(SERVICE)"

test: check tests  ## what must hold, in about twenty minutes: check, unit, postgres and killing

tests: unit postgres killing

# Types are checked in what is delivered, in what operates it and in tests-e2e; other tests, tools and bench are linted only.
check: setup  ## lint, types (of every src, of what operates it and of tests-e2e), import rules and shape
	@$(BIN)/ruff format --check --quiet . && echo "format: ok"
	@$(BIN)/ruff check --quiet . && echo "lint: ok"
	@$(BIN)/mypy --no-error-summary $(MEMBERS:%=%/src) tools/servers tools/stack tests-e2e && echo "types: ok"
	@$(BIN)/lint-imports --no-cache | tail -n 12
	@$(BIN)/python tools/check_shape.py

# The longest come first (`testpaths`), not what has the most tests, so that no worker is left over with them.
# Three workers for two cores, because many tests wait; so the demo may take longer to start again than promised.
# What proves the same on both profiles is marked so (`once`), and runs in one of the next two.
unit: setup  ## every test but those of the next three, in parallel; K= selects by name
	@DEMO_SECONDS=$${DEMO_SECONDS:-10} ANTIPHON_TEST_PROFILE=embedded $(BIN)/python -m pytest -n 3 $(PARALLEL) \
		--ignore $(FAULTS) $(if $(K),-k "$(K)")

postgres: setup  ## the services' tests once more, on Postgres (search's on Elasticsearch), and those that are of servers anyway
	@ANTIPHON_TEST_PROFILE=server $(BIN)/python -m pytest -n 3 $(PARALLEL) \
		$(wildcard services/*/tests/integration services/*/tests/api)

# Alone: whom a kill disturbs is to be one of its own.
killing: setup  ## a short `make chaos` (four minutes), and the tests of its checker
	@$(BIN)/python -m pytest -s $(FAULTS)/test_checker.py $(FAULTS)/test_chaos.py

outages: setup  ## what is promised while a server or a service is down or frozen
	@$(BIN)/python -m pytest $(FAULTS) --ignore $(FAULTS)/test_chaos.py --ignore $(FAULTS)/test_instances.py

faults: killing outages  ## these two, and two of each process: rolled under load, started in any order (12 minutes)
	@$(BIN)/python -m pytest $(FAULTS)/test_instances.py

e2e: setup  ## only the journeys through the gateway, on both profiles
	@$(BIN)/python -m pytest tests-e2e --ignore $(FAULTS)

chaos: setup  ## kill everything, again and again, while people use it; SEED=, MINUTES= (10)
	@SEED=$(SEED) MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest -s $(FAULTS)/test_chaos.py

bench: setup  ## measure the figures of docs/performance.md; PROFILE=server: on real servers; ONLY= selects one
	@$(if $(filter server,$(PROFILE)),$(PYTHON) tools/servers install)
	@$(BIN)/python -m bench

servers:  ## install and start real servers on 127.0.0.1 without Docker; `python3 tools/servers --help`
	@$(PYTHON) tools/servers install && $(PYTHON) tools/servers up

servers-down:  ## stop them; their data stays
	@$(PYTHON) tools/servers down

env:  ## generate the passwords that docker-compose.yml needs into .env, once
	@$(PYTHON) tools/compose_env.py

lock: setup  ## resolve the dependencies again and write requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv lock --quiet --upgrade
	@$(BIN)/uv export --quiet --all-packages --all-extras --group dev --no-emit-workspace --no-header -o requirements.lock

schemas: setup  ## write the OpenAPI snapshots and the event schemas again
	@for s in $(notdir $(wildcard services/*)); do $(BIN)/python -m antiphon_$$s openapi > services/$$s/openapi.json; done
	@$(BIN)/python tools/export_schemas.py

clean:  ## remove the virtual environment and caches, never data
	@rm -rf .venv .mypy_cache .ruff_cache .hypothesis
