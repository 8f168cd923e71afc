# Everything goes through `.venv`, which `make setup` makes with nothing but Python 3.11.
PYTHON ?= python3.11
ifeq (,$(shell command -v $(PYTHON) 2>/dev/null))
PYTHON := python3
endif
BIN := .venv/bin
ARGS ?=

.PHONY: help setup check test demo bench tables format clean

help:
	@echo "make demo    run the main job: a constitution in, an aligned adapter out (ARGS=\"--human FILE\")"
	@echo "make test    all tests but the house rules, which make check runs"
	@echo "make check   format, lint (code and Dockerfile), types, import contract, house tests"
	@echo "make bench   the benchmarks, and the tables of docs/performance.md anew (CHARTER_DATA as for tables)"
	@echo "make tables  the tables of docs/judging.md and people.md anew (CHARTER_DATA names the folder of the published sets)"
	@echo "make setup   the virtual environment alone (the others do it where it is missing)"
	@echo "make format  format the code"
	@echo "make clean   remove the environment and what was built"

setup: .venv/.ready

.venv/.ready: pyproject.toml install/setup.py install/constraints.txt install/overrides.txt
	$(PYTHON) install/setup.py

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m pytest -q tests/house $(ARGS)

# Two files at a time, the longest first (tests/conftest.py): most of their time is the start of single processes.
# One thread for each child: two servers or trainers with two threads each on two cores wait for one another.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --ignore=tests/house -n 2 --dist loadfile --no-loadscope-reorder -q $(ARGS)

demo: setup
	$(BIN)/python -m service.demo $(ARGS)

# A missed target, which each names in its last line, does not keep the other tables from being written.
bench: setup
	-$(BIN)/python -m benchmarks.dpo --precision fp32 --docs
	-$(BIN)/python -m benchmarks.dpo --precision bf16 --docs
	-$(BIN)/python -m benchmarks.dpo --linear --docs
	-$(BIN)/python -m benchmarks.young_adapter --docs
	-$(BIN)/python -m benchmarks.reward --docs
	-$(BIN)/python -m benchmarks.reward --precision bf16 --docs
	-$(BIN)/python -m benchmarks.reward --efficacy --docs
	-$(BIN)/python -m benchmarks.ppo --samplers vllm --docs
	-$(BIN)/python -m benchmarks.ppo --precision bf16 --samplers vllm --docs
	-$(BIN)/python -m benchmarks.sampler --docs
	-$(BIN)/python -m benchmarks.reply_looks
	-$(BIN)/python -m benchmarks.efficacy --docs
	-$(BIN)/python -m benchmarks.overoptimisation --docs
	-$(BIN)/python -m benchmarks.labelling_load --postgres --docs
	-$(BIN)/python -m benchmarks.million_comparisons
	$(BIN)/python -m benchmarks.effect $(ARGS)

tables: setup
	-$(BIN)/python -m benchmarks.judging --docs
	$(BIN)/python -m benchmarks.qualification --docs
	$(BIN)/python -m benchmarks.ranking --draws 4000 --docs
	$(BIN)/python -m benchmarks.calibration --docs
	-$(BIN)/python -m benchmarks.routing --docs
	$(BIN)/python -m benchmarks.precision --docs
	$(BIN)/python -m benchmarks.mixing --docs

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
