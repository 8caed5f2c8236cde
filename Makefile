# `make help` lists what can be asked for.
PYTHON ?= python3
CORES ?= all
PROFILE ?= workflow/profiles/default
STUDY ?=
ARGS ?=

BIN := .venv/bin
RUN := $(BIN)/python workflow/run.py --cores $(CORES) --profile "$(PROFILE)"
READY := .venv/.ready

.PHONY: help demo demo-imaging describe draw tutorial docs run test check check-study unit slow test-slurm test-faults verify reproduce reference leaderboard augmentation-claim rulegraph lock report clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

demo: $(READY)  ## run the default study: a simulated myeloma cohort, one seed, to its scorecard and dossier
	$(RUN) $(ARGS)

demo-imaging: $(READY)  ## the simulated cohort with all modalities: record, mutations, expression and PET/CT phantoms
	$(RUN) --study config/studies/imaging.yaml $(ARGS)

describe: $(READY)  ## images in words: make describe IMAGES=results/.../images.zarr
	@test -n "$(IMAGES)" || { echo "error: name the images: make describe IMAGES=..."; exit 2; }
	@PYTHONPATH=workflow/scripts $(BIN)/python -m haemosynth.modalities.images.words describe "$(IMAGES)"

draw: $(READY)  ## images from words: make draw MODEL=results/.../models/images/diffusion WORDS="..." [OUT=drawn]
	@test -n "$(MODEL)" || { echo "error: name the fitted model's folder: make draw MODEL=... WORDS=..."; exit 2; }
	@PYTHONPATH=workflow/scripts $(BIN)/python -m haemosynth.modalities.images.words draw "$(MODEL)" "$(WORDS)" --out "$(or $(OUT),drawn)"

tutorial: $(READY)  ## write the raw study folder of docs/tutorial.md: tutorial/
	$(BIN)/python workflow/tutorial.py tutorial

docs: $(READY)  ## the pages as a site, with the reference of all modules: docs/_build/docs/index.html
	$(BIN)/python -m sphinx --keep-going -q -c docs . docs/_build

run: $(READY)  ## run a study: make run STUDY=config/studies/beataml.yaml [CORES=2] [PROFILE=...] [ARGS='-- co_occurrence']
	@test -n "$(STUDY)" || { echo "error: name the study: make run STUDY=my_study.yaml (make demo needs none)"; exit 2; }
	$(RUN) --study "$(STUDY)" $(ARGS)

test: check unit  ## all checks and tests

check: $(READY)  ## style, types, Snakemake's own checks, the layers of the tree, and the links of all pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint
	$(BIN)/python -m pytest tests/test_house.py
	$(BIN)/python -m pytest tests/test_docs.py -k link

unit: $(READY)  ## the tests alone
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

slow: $(READY)  ## the long tests, on real cohorts where HAEMOSYNTH_DATA names them
	$(BIN)/python -m pytest -m slow $(ARGS)

test-slurm: $(READY)  ## a small study through a real SLURM on this machine (root, Debian)
	@bash tests/slurm/start.sh; code=$$?; [ $$code != 77 ] || exit 0; \
	[ $$code = 0 ] && $(BIN)/python -m pytest -m slurm tests/slurm $(ARGS); code=$$?; \
	bash tests/slurm/start.sh stop; exit $$code

test-faults: $(READY)  ## runs that are killed, starved of disk, and damaged
	$(BIN)/python -m pytest -m faults tests/faults $(ARGS)

check-study: $(READY)  ## read a study's cohorts in seconds and report all mistakes at once: make check-study STUDY=my_study.yaml
	@test -n "$(STUDY)" || { echo "error: name the study: make check-study STUDY=my_study.yaml"; exit 2; }
	@$(BIN)/python workflow/check.py "$(STUDY)"

verify: $(READY)  ## check a published folder against its manifest: make verify FOLDER=...
	@test -n "$(FOLDER)" || { echo "error: name the folder: make verify FOLDER=..."; exit 2; }
	$(BIN)/python workflow/verify.py "$(FOLDER)"

reproduce: $(READY)  ## make a published folder again and compare: make reproduce FOLDER=... [STUDY=study_with_the_path_of_the_cohort.yaml]
	@test -n "$(FOLDER)" || { echo "error: name the folder: make reproduce FOLDER=..."; exit 2; }
	$(BIN)/python workflow/reproduce.py "$(FOLDER)" --cores $(CORES) $(if $(STUDY),--study "$(STUDY)")

report: $(READY)  ## Snakemake's own report of a finished study: make report [STUDY=...]
	$(BIN)/snakemake $(if $(STUDY),--configfile "$(STUDY)") --report results/report.html

reference: $(READY)  ## write docs/metrics.md: every stage and metric as the code declares them
	$(BIN)/python workflow/reference.py

leaderboard: $(READY)  ## compare this project with published generators, on the same patients and checks: docs/leaderboard.md (hours)
	$(BIN)/python benchmarks/leaderboard.py $(ARGS)

rulegraph: $(READY)  ## draw docs/rulegraph.svg: the rules and their order (needs graphviz)
	$(BIN)/python workflow/rulegraph.py

lock: $(READY)  ## resolve the newest versions into requirements.lock
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 \
		--no-header --no-emit-find-links --upgrade --quiet --output-file requirements.lock
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock

augmentation-claim: $(READY)  ## do synthetic patients anticipate findings in other patients? make augmentation-claim [STUDY=...] [ARGS='--patients 944']
	$(BIN)/python benchmarks/augmentation_claim.py $(if $(STUDY),--study "$(STUDY)") $(ARGS)

clean:  ## remove all results and logs (everything can be made again)
	rm -rf results/[!R]* results/.layout logs .snakemake

$(READY): requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, found " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --compile-bytecode --no-deps --python $(BIN)/python -r requirements.lock
	# The lock is of a torch without CUDA; where the machine gets one with it, what that needs comes too.
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python "$$(grep '^torch==' requirements.lock)"
	touch $@
