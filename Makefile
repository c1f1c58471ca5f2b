# What one does here. `make help` lists it.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
SERVICES := gateway introspector logger notifier search
GROUPS_RUN := $(SERVICES) stack
LOCKS_RUN := $(GROUPS_RUN:%=requirements/%.txt)
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 $(UPGRADE)

.PHONY: help run status test check bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run.stamp ## start Dbify with a demo project; Ctrl-C ends it (V=1: logs live, DBIFY_PORT: another port)
	@V=$(V) exec $(BIN)/python -m stack run --with-parent

status: .venv/run.stamp ## what runs, and the banner of `make run` again
	@$(BIN)/python -m stack status

test: .venv/dev.stamp ## every test, against real servers
	$(BIN)/pytest -n 2 --dist loadgroup $(TESTS)

check: .venv/dev.stamp ## format, lint, types, import contracts, licences
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.licenses
	$(BIN)/pre-commit validate-config .pre-commit-config.yaml

bench: .venv/dev.stamp ## the gateway against its baselines, side by side
	@exec $(BIN)/python -m bench

lock: .venv/bin/uv ## solve the requirements anew after a change to pyproject.toml (UPGRADE=--upgrade: newer versions)
	$(COMPILE) pyproject.toml --group dev --output-file requirements/dev.txt
	for group in $(GROUPS_RUN); do \
		$(COMPILE) pyproject.toml --group $$group --constraints requirements/dev.txt \
			--output-file requirements/$$group.txt; \
	done
	echo uv | $(COMPILE) - --constraints requirements/dev.txt --output-file requirements/uv.txt

clean: ## remove the virtual environment and every cache; .dbify, which holds data, stays
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# The first python from 3.11 on, newest last tried, since the default one is what people expect.
.venv/bin/uv:
	@python=""; \
	for candidate in python3 python3.13 python3.12 python3.11 python3.14; do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python="$$candidate"; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then echo "Dbify needs Python 3.11 or later: install it, so that python3 finds it" >&2; exit 1; fi; \
	echo "making .venv with $$($$python --version)"; \
	"$$python" -m venv .venv || { rm -rf .venv; \
		echo "Python's venv module does not work here: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }; \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt

# What `make run` needs and nothing else; where everything for development is there already, that is kept.
.venv/run.stamp: .venv/bin/uv $(LOCKS_RUN) requirements/uv.txt
	@if [ -f .venv/dev.stamp ]; then $(MAKE) .venv/dev.stamp; else \
		echo "installing what Dbify runs on"; \
		$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements/uv.txt $(LOCKS_RUN); \
	fi
	@touch $@

.venv/dev.stamp: .venv/bin/uv requirements/dev.txt
	@echo "installing what Dbify runs on and is developed with"
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements/dev.txt
	@touch $@
