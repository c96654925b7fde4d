# make demo | test (ARGS=tests/test_land.py: one file) | docs | lint | bench: each makes the virtual environment it needs first.

PYTHON ?= python3
VENV ?= .venv
BENCH_FLAGS ?= --quick

PY := $(VENV)/bin/python

.PHONY: demo test docs lint bench clean
.NOTPARALLEL:  # one pip at a time in one environment
.DELETE_ON_ERROR:  # a virtual environment made by half is made anew

demo: $(VENV)/.installed-plot
	MPLBACKEND=Agg $(PY) docs/examples/plot_land_scene.py demo.png

test: $(VENV)/.installed-test
	$(PY) -m pytest -n 2 $(ARGS)

docs: $(VENV)/.installed-docs
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

bench: $(VENV)/.installed-test
	set -e; for script in benchmarks/[!_]*.py; do echo "== $$script"; $(PY) $$script $(BENCH_FLAGS); done

clean:
	rm -rf $(VENV) docs/_build docs/auto_examples docs/generated demo.png

# .installed-EXTRA says: this extra is installed, at these pins
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(PY)
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e ".[$*]"
	touch $@

$(PY):
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or later is needed: make PYTHON=python3.x')"
	$(PYTHON) -m venv $(VENV)
