# make run    VGG-16 on a photograph, through the simulated accelerator
# make test   all tests
# make agreement     the golden model beside onnxruntime, layer by layer
# make lint   format, lint, types, import rules
# make validate-model   the performance model against the RTL: 300 random cases, about 10 minutes
# make fpga-setup    the FPGA tools, in .venv-fpga (pip only, 300 MB)
#
# Each sets up .venv first, once. PYTHON names another Python 3.11 or newer; ARGS is passed on, as in
# make run ARGS="--config large --bandwidth 8"    make test ARGS="-k golden"

PYTHON ?= python3.11
JOBS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# LiteX brings packages of its own choice of versions; apart from .venv it disturbs nothing.
FPGA := .venv-fpga

.DELETE_ON_ERROR:
.PHONY: run test agreement validate-model lint setup fpga-setup clean

run: setup
	$(BIN)/systolith run vgg16 --device rtl --config default $(ARGS)

test: setup
	$(BIN)/pytest -n $(JOBS) $(ARGS)

agreement: setup
	$(BIN)/python tools/agreement.py $(ARGS)

validate-model: setup
	$(BIN)/python -m systolith_host.perf.validate $(ARGS)

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

fpga-setup: $(FPGA)/.installed

$(FPGA)/.installed: pyproject.toml constraints-fpga.txt
	@echo "Setting up $(FPGA): a few minutes, once"
	@"$(PYTHON)" -m venv $(FPGA)
	@$(FPGA)/bin/python -m pip install -qq --requirement constraints-fpga.txt
	@touch $@

clean:
	rm -rf $(VENV) $(FPGA) build
