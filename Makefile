# Each target sets up what it needs in .venv; a second call reuses it.
PYTHON ?= python3
VENV ?= .venv
# Where pip finds another build of the same torch (2.13.0+cpu goes before 2.13.0). CPU only: https://download.pytorch.org/whl/cpu
# A CUDA build: https://download.pytorch.org/whl/cu126 (or cu128, cu130: what the driver supports)
TORCH_INDEX ?=
CORES ?= 2
# The folder of public sequences that the bake-off reads (benchmarks/README.md), and the minutes of training of one run
BAKEOFF_DATA ?= ../shared/data
BAKEOFF_MINUTES ?= 1
# The environment of what the speed tables measure beside genossl, and which tables (none: all)
PEERS ?= .venv-peers
TABLES ?=

# Seconds that each target is fuzzed, and where atheris goes, which nothing else needs
SECONDS ?= 60
FUZZ ?= .venv-fuzz
# The environment of pip-audit, whose dependencies are not ours
AUDIT ?= .venv-audit
# Environments of the lowest versions that pyproject.toml allows, and of the wheel alone
LOWEST ?= .venv-lowest
CLEAN ?= .venv-dist
# What is tried with the lowest versions: files that between them use each of the dependencies. All: LOWEST_TESTS=
LOWEST_TESTS ?= $(addprefix tests/test_,$(addsuffix .py,alphabet config files fasta genes store ingest table embed checkpoint \
	precision heads saved_head figures report_page strands simclr losses cli talk api init doctor))
# snakemake's Slurm plugin wants newer ones, and documentation is built with one set of versions only
LOWEST_EXTRAS := parquet,zstd,anndata,bigwig,search,explain,track,hub

BIN := $(abspath $(VENV))/bin
READY := $(VENV)/.ready-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
PEERS_READY := $(PEERS)/.ready-$(shell cksum < benchmarks/peers.txt | cut -d' ' -f1)
RUN := PATH="$(BIN):$$PATH"
SNAKEMAKE := $(RUN) snakemake --workflow-profile workflow/profiles/default --cores $(CORES)

.PHONY: help demo bakeoff verdicts bench peers test test-slow test-slurm test-lowest dist test-dist faults fuzz audit \
	docs gallery check format clean
help:  ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | column -t -s "$$(printf '\t')"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	rm -f $(VENV)/.ready-*
	touch $@

demo: $(READY)  ## the whole workflow on the genomes in examples/, then its findings
	$(SNAKEMAKE) --quiet all
	@cat results/demo/findings.txt

bakeoff: $(READY)  ## every method at equal budget on four tasks (about an hour on 2 cores; run it again to go on)
	$(RUN) python benchmarks/bakeoff.py --data $(BAKEOFF_DATA) --out results/bakeoff --minutes $(BAKEOFF_MINUTES) --jobs $(CORES)

verdicts: $(READY)  ## five labelled sets of five layouts in one run (BAKEOFF_DATA; about an hour on 2 cores)
	$(RUN) python benchmarks/verdicts.py --data $(BAKEOFF_DATA) --out results/verdicts --cores $(CORES)

bench: $(READY) $(PEERS_READY)  ## speed beside what else one would use, goal by goal (TABLES; about 15 minutes)
	$(RUN) python benchmarks/bench.py $(TABLES) --peers $(PEERS)/bin/python --out results/bench

peers: $(PEERS_READY)  ## the environment of what the speed tables measure beside genossl
$(PEERS_READY): benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --requirement benchmarks/peers.txt
	rm -f $(PEERS)/.ready-*
	touch $@

test: $(READY)  ## the tests (under 20 minutes on 2 cores)
	$(RUN) python -m pytest

test-slurm: $(READY)  ## the workflow on a Slurm that root brings up here on Debian, else skipped (a quarter of an hour)
	$(RUN) python -m pytest tests/slurm -m slurm --timeout 900

test-slow: $(READY)  ## the tests that take minutes each: faults (docs/reliability.md), whole workflows, planted truths (under an hour)
	$(RUN) python -m pytest -m slow --timeout 3600

test-lowest:  ## some tests with the lowest versions that pyproject.toml allows, in an environment of their own
	@test -x $(LOWEST)/bin/uv || { $(PYTHON) -m venv $(LOWEST) && \
		$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'; }
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX) --index-strategy unsafe-best-match) \
		--editable '.[$(LOWEST_EXTRAS)]' 'pytest>=8.3' 'pytest-timeout>=2.3' 'hypothesis>=6.116'
	PATH="$(abspath $(LOWEST))/bin:$$PATH" python -m pytest $(LOWEST_TESTS)

dist: $(READY)  ## wheel and sdist, in dist/
	rm -rf dist
	$(RUN) python -m build --outdir dist

test-dist: dist  ## install the wheel alone, with its dependencies, and use it as a new user would
	$(PYTHON) -m venv --clear $(CLEAN)
	$(CLEAN)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) dist/*.whl
	rm -rf dist/project
	cd dist && ../$(CLEAN)/bin/genossl doctor && ../$(CLEAN)/bin/genossl init project --genomes ../examples/bacteria
	cd dist/project && PATH="$(abspath $(CLEAN))/bin:$$PATH" genossl check config.yaml
	cd dist/project && PATH="$(abspath $(CLEAN))/bin:$$PATH" snakemake --cores $(CORES) --dry-run --quiet

faults: $(READY)  ## kills, full disks, damaged files and the like, counted (docs/reliability.md; under a quarter of an hour)
	mkdir -p results && rm -f results/faults.jsonl
	$(RUN) GENOSSL_FAULTS=results/faults.jsonl python -m pytest tests/faults -m "slow or not slow" --timeout 3600
	@$(RUN) python tests/faults/tally.py results/faults.jsonl

fuzz: $(READY)  ## look for inputs that crash a reader, guided by coverage (SECONDS per target; 60)
	@test -d $(FUZZ)/atheris || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--only-binary :all: --target $(FUZZ) 'atheris>=3' || echo "fuzz: there is no atheris for this Python"
	@test ! -d $(FUZZ)/atheris || for target in sequences tables settings; do \
		PYTHONPATH=$(FUZZ) $(BIN)/python tests/fuzz/run.py $$target -max_total_time=$(SECONDS) || exit 1; done

audit:  ## known weaknesses of the pinned dependencies (asks PyPI's database; fails where it cannot be reached)
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
		$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7'; }
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

docs: $(READY)  ## the documentation as a site, docs/_build/html/index.html, with its notebooks run (a minute or two)
	$(RUN) python -m sphinx -b html -W --keep-going -q -d docs/_build/trees docs docs/_build/html
	@echo docs/_build/html/index.html

gallery: demo  ## the pictures of docs/gallery.md, of the demo's report, by a Chromium of this machine
	$(RUN) python benchmarks/gallery.py results/demo/report.html --out docs/gallery

check: $(READY)  ## lint, formats, types, the workflow's own linters
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pyright --pythonpath $(BIN)/python
	$(RUN) snakefmt --check Snakefile workflow
	$(RUN) snakemake --lint
	$(RUN) genossl check config.yaml

format: $(READY)  ## rewrite what the formatters would
	$(RUN) ruff check --fix .
	$(RUN) ruff format .
	$(RUN) snakefmt Snakefile workflow

clean:  ## results and caches, not the environment
	rm -rf results logs docs/_build .snakemake .pytest_cache .ruff_cache
