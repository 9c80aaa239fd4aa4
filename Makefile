# MeterTwin: `make` lists what there is. Everything that is missing is installed by the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

CACHE := $(or $(METERTWIN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/metertwin)
export METERTWIN_CACHE := $(CACHE)
UV_VERSION := 0.13.8
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
RUN := $(UV) run --locked --all-packages
export UV_LINK_MODE := copy
CLUSTER := tools/cluster/cluster

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(UV):
	@echo "==> installing uv $(UV_VERSION)"
	if ! python3 -m venv $(CACHE)/uv-$(UV_VERSION) 2>/dev/null; then
	  if [ "$$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	    echo "error: python3 cannot make a venv here: install python3-venv" >&2; exit 1
	  fi
	  apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv
	  python3 -m venv $(CACHE)/uv-$(UV_VERSION)
	fi
	$(CACHE)/uv-$(UV_VERSION)/bin/pip install -q uv==$(UV_VERSION)

.PHONY: setup
setup: $(UV) ## the Python environment of the workspace
	@$(UV) sync --locked --all-packages -q

.PHONY: deps
deps: ## the Debian packages that the tests run against (broker, image tools)
	@tools/deps

.PHONY: format
format: setup ## format the code
	@$(RUN) ruff format . && $(RUN) ruff check --fix .

.PHONY: generate
generate: setup ## write every generated file again
	@$(RUN) python tools/generate.py

.PHONY: check
check: setup ## format, lint, types, layers, generated files
	@echo "==> ruff"; $(RUN) ruff format --check . ; $(RUN) ruff check .
	echo "==> mypy"; $(RUN) mypy
	echo "==> pyright, firmware"; UV="$(UV)" $(RUN) python firmware/typecheck.py
	echo "==> layers"; $(RUN) lint-imports
	echo "==> generated files"; $(RUN) python tools/generate.py --check

.PHONY: profiles
profiles: setup ## the measured household profiles of the simulated meters (a download of 91 MB, once)
	@$(RUN) python tools/profiles/build.py build/profiles

# The tests wait for processes more than they compute: more workers than cores. Long ones first
# (conftest.py), then one by one to whoever is free. Programs are had before any clock runs.
unit: WORKERS := 6
unit: ARGS :=
.PHONY: unit
unit: setup deps profiles ## tests without a cluster, in parallel (ARGS="-x -k clock" WORKERS=6)
	@running=()
	for arch in amd64 i386 esp8266-model cortex-m3; do
	  tools/micropython/install.py --arch $$arch >/dev/null & running+=($$!)
	done
	for one in "$${running[@]}"; do wait "$$one"; done
	tools/chart/helm version --short >/dev/null
	echo "==> tests without a cluster"
	$(RUN) pytest -q -m "not cluster and not demo and not slow" --timeout 300 \
	  -n $(WORKERS) --dist load --maxschedchunk 1 $(ARGS)

.PHONY: cluster
cluster: ## a real local Kubernetes (or the one of KUBECONFIG)
	@chosen=$$(tools/demo/chosen)
	if [ "$$chosen" = local ]; then $(CLUSTER) up; fi

.PHONY: kubeconfig
kubeconfig: ## the path of the kubeconfig in use
	@tools/demo/kubeconfig

.PHONY: demo
demo: demo-check setup ## from nothing to a running street of meters
	@tools/demo/up

.PHONY: demo-check
demo-check:
	@tools/demo/check

.PHONY: demo-down
demo-down: ## remove the demo, and the local cluster, without a trace
	@tools/demo/down

.PHONY: smoke
smoke: ## a second local cluster, proved and taken down without a trace
	@chosen=$$(tools/demo/chosen)
	if [ "$$chosen" = local ]; then echo "==> smoke run of the local cluster"; tools/cluster/smoke
	else echo "==> no smoke run: a cluster is given"; fi

.PHONY: test-cluster
test-cluster: demo ## tests on the real cluster with the running street
	@echo "==> tests on the cluster"
	KUBECONFIG=$$(tools/demo/kubeconfig); export KUBECONFIG
	unset CONTEXT
	$(RUN) pytest -q -m "(cluster or demo) and not alone" --timeout 300 \
	  -n 3 --dist loadfile --no-loadscope-reorder
	$(RUN) pytest -q -m "(cluster or demo) and alone" --timeout 300
	if [ -n "$${CI:-}" ] && [ "$$KUBECONFIG" = "$$($(CLUSTER) kubeconfig)" ]; then
	  unset KUBECONFIG
	  tools/demo/down
	  $(CLUSTER) leftovers
	fi

.PHONY: test
test: check unit smoke test-cluster ## everything that CI runs

.PHONY: firmware
firmware: setup deps ## bytecode of every board, sizes, and the heaps they need (some minutes)
	@tools/micropython/install.py --arch i386 >/dev/null
	$(RUN) python firmware/build_firmware.py
	echo "==> smallest heaps, by real runs"
	$(RUN) python firmware/smallest_heap.py

# `make bench -- paper scale`: the words after `bench` are groups of bench/run.py, no targets.
ifeq (bench,$(firstword $(MAKECMDGOALS)))
BENCH := $(wordlist 2,99,$(MAKECMDGOALS))
ifneq (,$(BENCH))
.PHONY: $(BENCH)
$(BENCH):
	@:
endif
endif
# Those of the boards, the paper and the archive need no cluster, but programs of Debian and `tc`.
BENCH_NEEDS := $(if $(BENCH),$(if $(filter-out paper boards archive,$(BENCH)),demo,setup deps),demo)
.PHONY: bench
bench: $(BENCH_NEEDS) ## measure (`make bench -- paper`: that group), print a table, write bench/results.json
	@if [ "$(BENCH_NEEDS)" = demo ]; then KUBECONFIG=$$(tools/demo/kubeconfig); export KUBECONFIG; fi
	unset CONTEXT
	$(RUN) python bench/run.py $(if $(BENCH),--only $(BENCH)) $(if $(CI),--quick)

.PHONY: nightly
nightly: setup deps profiles ## the long runs: fuzzers, random kills, the whole handover matrix
	@tools/nightly
