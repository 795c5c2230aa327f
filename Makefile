# make run    VGG-16 on a photograph, through the simulated accelerator
# make test   all tests
# make lint   format, lint, types, import rules
#
# Each sets up .venv first, once. PYTHON names another Python 3.11 or newer; ARGS is passed on, as in
# make run ARGS="--config large --bandwidth 8"    make test ARGS="-k golden"

PYTHON ?= python3.11
JOBS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DELETE_ON_ERROR:
.PHONY: run test lint setup clean

run: setup
	$(BIN)/systolith run vgg16 --device rtl --config default $(ARGS)

test: setup
	$(BIN)/pytest -n $(JOBS) $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tools/prerequisites
	@bash tools/prerequisites "$(PYTHON)"
	@echo "Setting up $(VENV): a minute or two, once"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --editable . --group dev
	@touch $@

clean:
	rm -rf $(VENV) build
