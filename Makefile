# The two commands for a newcomer are `make demo` and `make test`.

VENV := .venv
RUN := $(VENV)/bin/python
FIND_PYTHON := for python in python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$python && break; \
	done

.PHONY: demo dev test test-views test-pooler test-pooler-long faults faults-long mutants mutation fuzz check catalog build \
  lock bench bench-scale bench-recommend bench-similar bench-status sizing screenshots evaluate fit-ranking try clean

demo: $(VENV)/installed  ## a whole run, offline, and what came of it; DATA=folder for a data set of your own
	@$(RUN) -m dev.demo $(DATA)

dev: $(VENV)/installed  ## the offline stack, until Ctrl-C
	@$(RUN) -m dev.up $(DATA)

test: $(VENV)/installed  ## everything but what `make faults` makes, against real servers
	@$(RUN) -m pytest --numprocesses 3 --dist worksteal -m "not fault"

FAULTS := -m pytest --dist worksteal -m fault --record .cache/reliability

faults: $(VENV)/installed  ## kills, cuts, stops, delays and repeats whatever can be, and writes docs/reliability.md
	@rm -f .cache/reliability/*.jsonl
	@$(RUN) $(FAULTS) --numprocesses 3
	@$(RUN) -m dev.reliability

faults-long: $(VENV)/installed  ## the same with an hour to spend
	@rm -f .cache/reliability/*.jsonl
	@$(RUN) $(FAULTS) --numprocesses 2 --long --timeout 3600
	@$(RUN) -m dev.reliability

mutants: $(VENV)/installed  ## makes faults in the code by hand, to see the test that must notice fail
	@$(RUN) -m dev.mutants

RUNS := tests/test_chain.py tests/test_kills.py tests/test_outages.py tests/test_page.py tests/test_ticks.py

test-views: $(VENV)/installed  ## the runs once more: pgvector in a schema of its own, views for tables
	@$(RUN) -m pytest --numprocesses 3 --dist worksteal --platform views $(RUNS) \
	  tests/store/test_actions.py tests/store/test_runs.py

test-pooler: $(VENV)/installed  ## the runs once more, through a real pgbouncer, where that is installed
	@$(RUN) -m pytest --numprocesses 3 --dist worksteal --platform tables --pooler $(RUNS)

test-pooler-long: $(VENV)/installed  ## whatever starts functions, and whatever fails, through pgbouncer
	@$(RUN) -m pytest --numprocesses 3 --dist worksteal --pooler

mutation: $(VENV)/installed  ## changes the mathematics line by line, to see the tests fail; 25 minutes
	@$(RUN) -m pip install --quiet --disable-pip-version-check mutmut==3.8.1
	@$(VENV)/bin/mutmut run --max-children 2
	@$(RUN) -m dev.mutation

fuzz: $(VENV)/installed  ## what strangers may send, made up for SECONDS=60 in all; Linux on x86_64
	@$(RUN) -m dev.fuzz $(if $(SECONDS),--seconds $(SECONDS))

check: $(VENV)/installed  ## style, types, and the direction of imports
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

catalog: $(VENV)/installed  ## what `schedule.py doctor` expects of a database, after a change to db/
	@$(RUN) -m dev.catalog

build: $(VENV)/installed  ## the real `vercel build`, and a page worked off by what it makes
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(RUN) -m dev.vercel_build

lock: $(VENV)/installed  ## pins what requirements.in and requirements-dev.in ask for, with every hash; needs a package index
	@for of in requirements requirements-dev; do \
	  $(VENV)/bin/uv pip compile --quiet --universal --python $(RUN) --python-version 3.12 --generate-hashes \
	  --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  --output-file $$of.txt $$of.in || exit 1; \
	done

bench: $(VENV)/installed  ## what a page costs, beside a loop over single users and the least it could cost; 4 minutes
	@$(RUN) -m bench

bench-scale: $(VENV)/installed  ## the same pages at 10,000, 100,000 and 1,000,000 users; 6 minutes
	@$(RUN) -m bench.scale

bench-recommend: $(VENV)/installed  ## how many of the nearest posts are found, and how fast, beside the SQL; 4 minutes
	@$(RUN) -m bench.recommend

bench-similar: $(VENV)/installed  ## similar users: one by one, by the indexed copy, and what an index costs; 3 minutes
	@$(RUN) -m bench.similar

bench-status: $(VENV)/installed  ## how long the status page takes beside 1,000,000 vectors; 3 minutes
	@$(RUN) -m bench.status

sizing: $(VENV)/installed  ## what a run takes and costs, by its size
	@$(RUN) -m bench.sizing

screenshots: $(VENV)/installed  ## docs/status-*.png and docs/user-*.png, by the chromium on the PATH; DATA=folder
	@$(RUN) -m dev.screenshots $(DATA)

evaluate: $(VENV)/installed  ## how good each scheme's vectors are, judged by what users did later; DATA=folder or DATABASE_URL
	@$(RUN) -m evaluation$(if $(DATA), $(DATA),$(if $(DATABASE_URL),.live, ../shared/data/quantum_se))

fit-ranking: $(VENV)/installed  ## what recommendations are ranked by, fitted on what users did later; DATA=folders or DATABASE_URL; WRITE=1 to use it
	@$(RUN) -m evaluation.fit $(if $(DATA),$(DATA),$(if $(DATABASE_URL),,../shared/data/quantum_se demo)) \
	  $(if $(EMBEDDING_SCHEME),--scheme $(EMBEDDING_SCHEME)) $(if $(WRITE),--write)

try: $(VENV)/installed  ## what it would be worth, and cost, on the platform at DATABASE_URL, which is only read; DAYS=90
	@$(RUN) -m evaluation.tryout

$(VENV)/installed: requirements.txt requirements-dev.txt
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then echo "user-embeddings needs Python 3.12 or newer on the PATH" >&2; exit 1; fi; \
	echo "installing into $(VENV) ..."; \
	$$python -m venv $(VENV) && $(RUN) -m pip install --quiet --disable-pip-version-check \
	  --require-hashes -r requirements-dev.txt
	@touch $@

clean:  ## remove what was installed and cached
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
