# Trunkline's commands. Plain `make` lists them.
#
# The last program of a recipe replaces the shell (exec), so that Ctrl-C reaches it once and make reports its exit code.

# The distribution's Python before another one on the path: it is built with optimizations (docs/decisions/0060).
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do \
	$$python -c "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $$python && exit; done; echo python3)
VENV := .venv
PY := $(VENV)/bin/python
N ?= 200

PIP_STAMP := $(VENV)/.installed-pip
RUNTIME_STAMP := $(VENV)/.installed-runtime
DEV_STAMP := $(VENV)/.installed-dev
# Only files whose hashes the locks have, which are complete (overrides.txt says what is left out on purpose), and no build
# that fetches tools of its own.
PIP_INSTALL := $(PY) -m pip install --quiet --quiet --disable-pip-version-check --no-input --no-deps --require-hashes --no-build-isolation
UV ?= uv
UV_LOCK := $(UV) pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --override overrides.txt

.DEFAULT_GOAL := help
.PHONY: help setup runtime demo up test test-quick chaos mutants bench browser release-check check docs screenshots audit lock format clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV_STAMP) ## make .venv with everything to run, test and check

runtime: $(RUNTIME_STAMP) ## make .venv with what a server needs to run, and nothing else

demo: $(RUNTIME_STAMP) ## run a campaign of N=200 calls against the sandbox carrier, from nothing to the report (CARRIER=twilio or sip)
	@exec $(PY) -m tools.demo --numbers $(N) $(if $(CARRIER),--carrier $(CARRIER))

up: $(RUNTIME_STAMP) ## run everything on this machine until Ctrl-C
	@exec $(PY) -m tools.local.up

test: $(DEV_STAMP) ## run all tests in several processes, against real servers, and show the coverage
	@$(PY) -m pytest -n auto --cache-clear -p tests.line_probes || $(PY) -m tests.alone $$?
	@echo "coverage of the product's lines: $$($(PY) -m coverage report --format=total) %"

test-quick: $(DEV_STAMP) ## run the tests that need no whole system, in a few minutes
	@exec $(PY) -m pytest -n auto -m "not system"

browser: $(DEV_STAMP) ## run the tests of the pages in Chromium, which are part of make test
	@exec $(PY) -m pytest tests/acceptance -k in_a_browser

chaos: $(DEV_STAMP) ## break a running system in every known way and judge it (ROWS= SEEDS= LANES= CARRIER= MINUTES= RANDOM=seconds)
	@exec $(PY) -m tools.chaos$(if $(filter sip,$(CARRIER)),.sip) $(if $(ROWS),--rows $(ROWS)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(LANES),--$(if $(filter sip,$(CARRIER)),at-once,lanes) $(LANES)) $(if $(filter-out sip,$(CARRIER)),--carrier $(CARRIER)) $(if $(RANDOM),--random $(RANDOM))

mutants: $(DEV_STAMP) ## break the code in every known way, to see a test or chaos fail (ONLY= PART=1/3; 15 minutes)
	@exec $(PY) -m tools.mutants $(if $(ONLY),--only $(ONLY)) $(if $(PART),--part $(PART))

bench: $(DEV_STAMP) ## measure beside the limits; writes docs/operator/performance (45 minutes; ROWS= SCALE= FORCE=1 only show)
	@exec $(PY) -m tools.bench $(if $(ROWS),--only $(ROWS)) $(if $(SCALE),--scale $(SCALE)) $(if $(FORCE),--force)

release-check: $(RUNTIME_STAMP) ## install this commit as an operator would, upgrade, go back and restore (FROM=TAG; some minutes)
	@exec $(PY) -m tools.release_check $(if $(FROM),--from $(FROM))

check: $(DEV_STAMP) ## check format, lint, types, missing migrations and import rules
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy .
	$(PY) -W "ignore:Got an error checking a consistent migration history" manage.py makemigrations --check --dry-run
	$(VENV)/bin/lint-imports

docs: $(DEV_STAMP) ## build the documentation as a site, in .data/site/html
	@exec $(PY) -m tools.docs_site

screenshots: $(DEV_STAMP) ## photograph the console of a running system, for the documentation
	@exec $(PY) -m tools.screenshots

audit: $(DEV_STAMP) ## look for known vulnerabilities in the dependencies, where the data can be reached
	@exec $(PY) -m tools.audit

lock: ## write the hashes of what the requirements name into the locks, after they changed (needs uv: pipx install uv)
	@for of in requirements-venv requirements requirements-dev; do $(UV_LOCK) $$of.txt --output-file $$of.lock || exit 1; done

format: $(DEV_STAMP) ## format the code and fix what ruff can fix
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean: ## remove .venv and all caches; keeps .data, where the databases are
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps have the time of the last installation, which is repeated only when a requirements file is newer.

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Trunkline needs Python 3.11 or newer; this is $$($(PYTHON) --version). Set PYTHON, for example to python3.11." >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(PIP_STAMP): requirements-venv.lock | $(PY)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) # an interrupted installation left it incomplete
	@$(PIP_INSTALL) -r requirements-venv.lock
	@touch $@

$(RUNTIME_STAMP): requirements.lock $(PIP_STAMP)
	@echo "installing requirements.lock"
	@$(PIP_INSTALL) -r requirements.lock
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(RUNTIME_STAMP)
	@echo "installing requirements-dev.lock"
	@$(PIP_INSTALL) -r requirements-dev.lock
	@touch $@
