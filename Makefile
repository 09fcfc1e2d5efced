# From a checkout to results: everything needed is set up on first use, once, from Debian's
# packages and PyPI. `make` lists what there is; the work itself is the command `hil`.

.DEFAULT_GOAL := help
.PHONY: help evolve study bench test lint check golden docs fuzz soak setup tools
.ONESHELL:
SHELL := /bin/sh
.SHELLFLAGS := -euc

OLDEST_QEMU := 7# as hil/emulator/plugin.py has it
PYTHON ?= python3
export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK := 1

evolve: setup  ## search for the best compression of TASK on BOARD; the same call goes on
	@exec .venv/bin/hil evolve $${BOARD:+--board="$$BOARD"} $${TASK:+--task="$$TASK"} \
	  $${ACCURACY:+--accuracy="$$ACCURACY"} $${MINUTES:+--minutes="$$MINUTES"} \
	  $${TRIALS:+--trials="$$TRIALS"} $${SEED:+--seed="$$SEED"} $${RUN:+--run="$$RUN"}

study: setup  ## compare methods, recipes and searches for TASK on BOARD; MINUTES at a time
	@exec .venv/bin/hil study --task="$${TASK:-kws}" --board="$${BOARD:-m4}" \
	  $${MINUTES:+--minutes="$$MINUTES"} $(ARGS)

bench: setup  ## measure MODEL (digits; FILE.tflite, RUN:NUMBER) on BOARD, per layer; ARGS='--repeat 3'
	@exec .venv/bin/hil bench $${BOARD:+--board="$$BOARD"} $(ARGS) -- "$${MODEL:-digits}"

# Files start in their order, tests/hil with the longest early: both processes end about together.
# Hundreds of processes start: none compiles anew what one before it has compiled.
test: setup  ## the tests; BOARD=m4 for another board, ARGS='-k wire' for pytest
	@unset PYTHONDONTWRITEBYTECODE
	exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $${BOARD:+--board="$$BOARD"} $(ARGS)

lint: setup
	@.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

check: lint test  ## what CI runs: ruff, mypy, the tests

golden: setup  ## write the golden files anew; read their diff before you commit it
	@HIL_UPDATE_GOLDEN=1 .venv/bin/python -m pytest -q tests/golden
	git --no-pager diff --stat -- tests/golden

docs: setup  ## the documentation site, in build/site/index.html
	@NO_MKDOCS_2_WARNING=1 exec .venv/bin/mkdocs build --strict

fuzz: setup  ## hostile inputs for every reader, MINUTES=30 in all; findings go to fuzz-found/
	@PYTHONPATH=tests exec .venv/bin/python -m fuzz.run --minutes "$${MINUTES:-30}" $(ARGS)

soak: setup  ## searches that are killed, stopped, starved and cut off, MINUTES=30 in all
	@PYTHONPATH=.:tests exec .venv/bin/python -m soak.run --minutes "$${MINUTES:-30}" $(ARGS)

# The virtual environment is stamped with what it was made from. If its set-up was interrupted, or
# it belongs to another Python, it is made from nothing, else brought up to date.
setup: tools  ## only set up; TORCH_INDEX=URL takes torch from another index (CPU-only wheels)
	@exec 9<Makefile; if command -v flock >/dev/null; then flock 9; fi
	stamp=.venv/made-from
	identity() { "$$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null || true; }
	made_from=$$({ pwd; identity $$PYTHON; cat pyproject.toml constraints.txt; } | cksum)
	made_before=$$(cat $$stamp 2>/dev/null || true)
	if [ "$$made_from" = "$$made_before" ]; then exit 0; fi
	echo "setup: Python environment in .venv ($$($$PYTHON --version))"
	if [ "$$made_before" = unfinished ] ||
	   [ "$$(identity .venv/bin/python)" != "$$(identity $$PYTHON)" ]; then
	  rm -rf .venv
	  hash -r
	fi
	mkdir -p .venv
	echo unfinished >$$stamp
	rm -rf hil_compress.egg-info  # metadata of an earlier build backend, which would win
	$$PYTHON -m venv .venv
	if [ -t 1 ]; then quiet=; else quiet=-q; fi
	pip() { .venv/bin/python -m pip "$$@"; }
	pip install -q -c constraints.txt pip  # this one looks ahead without downloading
	ahead() { pip install -q --dry-run --report - -c constraints.txt torch 2>/dev/null || true; }
	size="the largest download"
	if [ -z "$${TORCH_INDEX:-}" ] && ahead | grep -q '"name": "nvidia-'; then
	  size="about 3 GB, CUDA libraries; make setup TORCH_INDEX=URL takes CPU-only wheels"
	fi
	echo "setup: torch$${TORCH_INDEX:+ from $$TORCH_INDEX} ($$size)"
	pip install $$quiet -c constraints.txt $${TORCH_INDEX:+--no-deps --index-url "$$TORCH_INDEX"} torch
	echo "setup: the other packages"
	pip install -q -c constraints.txt -e '.[dev]'
	.venv/bin/python -c 'import tflite_micro' 2>/dev/null ||
	  echo "setup: no tflite-micro here (wheels: Linux on x86-64, Python to 3.14): all works but that cross-check"
	echo "$$made_from" >$$stamp
	echo "setup: done"

# What is missing comes from Debian's packages where we may install them (root or sudo). The
# emulator's and Python's versions are looked at here, before the downloads of `setup`.
tools:
	@works() { "$$@" >/dev/null 2>&1; }
	compiles() { echo '#include <stdint.h>' | works "$$@" -x c -c -o /dev/null -; }
	list() {
	  works arm-none-eabi-gcc --version || echo gcc-arm-none-eabi
	  compiles arm-none-eabi-gcc --specs=nano.specs || echo libnewlib-arm-none-eabi
	  works qemu-system-arm --version || echo qemu-system-arm
	  works $$PYTHON --version || echo python3
	  works $$PYTHON -c 'import ensurepip, venv' || echo python3-venv
	  works cc --version || echo gcc
	  compiles cc || echo libc6-dev
	}
	missing=$$(list)
	if [ -n "$$missing" ] && command -v apt-get >/dev/null; then
	  if [ "$$(id -u)" = 0 ]; then root=env; else root="sudo env"; fi
	  apt() { $$root DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$$@"; }
	  if works command -v $${root%% *}; then
	    echo "setup: installing Debian packages:" $$missing
	    log=$$(mktemp)
	    { apt update && apt install -y --no-install-recommends $$missing; } >$$log 2>&1 || tail -n 5 $$log
	    rm -f $$log
	    missing=$$(list)
	  fi
	fi
	for package in $$missing; do
	  echo "setup: missing: $$package (on Debian: apt install $$package)" >&2
	done
	if [ -n "$$missing" ]; then exit 2; fi
	emulator=$$(qemu-system-arm --version | sed -n 's/.* version \([0-9]*\)\..*/\1/p;q')
	if [ "$${emulator:-0}" -lt $(OLDEST_QEMU) ]; then
	  echo "setup: $$(qemu-system-arm --version | sed q): QEMU $(OLDEST_QEMU) or later is needed" \
	    "(Debian 12 and later, Ubuntu 24.04 and later have it)" >&2
	  exit 2
	fi
	$$PYTHON -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
	  echo "setup: $$($$PYTHON --version) is too old, 3.11 is needed: make PYTHON=python3.11 ..." >&2
	  exit 2
	}

help:
	@echo 'make TARGET [NAME=value ...]'
	echo
	sed -n 's/^\([a-z]*\):.*  ## \(.*\)/\1@\2/p' Makefile | awk -F@ '{ printf "  %-9s %s\n", $$1, $$2 }'
	echo
	echo 'For evolve (BOARD for bench and test, too), all optional:'
	echo '  make evolve BOARD=m7 TASK=kws ACCURACY=0.86 MINUTES=20'
	echo
	echo '  BOARD     ' $$(grep -l '"qemu"' boards/*.toml | sed 's,.*/,,; s,.toml,,') 'or a real one, see boards/'
	echo '  TASK      ' $$(grep -l '^TASK = Task(' compress/tasks/*.py | sed 's,.*/,,; s,.py,,') 'or a file, see docs/tasks.md'
	echo '  ACCURACY   what to keep, a share of 1'
	echo '  MINUTES    budget in time'
	echo '  TRIALS     budget in candidates'
	echo '  SEED       same seed, same search'
	echo '  RUN        name of the folder in runs/'
