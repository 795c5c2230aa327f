# Systolith. Each target sets up .venv first, once.
#
#   make run           VGG-16 on a photograph, through the simulated accelerator
#   make test          all tests; those of the FPGA tools are skipped before `make fpga-setup`
#   make lint          checks format, style, types and imports
#   make docs          builds the manual, build/site/index.html, and tests it: links, commands, code
#   make setup         only sets up .venv, with pinned packages
#   make fpga-setup    the FPGA tools, in .venv-fpga (pip, 500 MB)
#   make torch-setup   PyTorch and torchvision into .venv, where pip finds a CPU build (900 MB)
#   make results       makes the cheap stored results again; says how old the others are
#   make clean         removes the environments and build/
#
#   make report        a page about VGG-16's cycles and traffic: report.html
#   make bitstream BOARD=ulx3s-85f    accelerator, memory controller and host link: build/$BOARD
#
#   make fuzz          random networks on thousands of small accelerators; CASES=2000 FIRST=0
#   make fuzz-winograd  Winograd's convolution with the worst values, against the golden model
#   make fuzz-onnx     damaged ONNX files through `systolith check`; CASES=2000 FIRST=0
#   make fuzz-import   random ONNX graphs, compared with onnxruntime; CASES=2000 FIRST=0
#   make formal        proofs about the gateware; broken gateware must fail them: 5 minutes
#   make mutants       changes one thing in gateware or models, 50 times: do tests notice? An hour
#   make nightly       random campaigns with fresh seeds, a row each in docs/nightly.md; eight hours
#   make agreement     the golden model versus onnxruntime, layer by layer
#   make noise         what equalisation and bias correction do to signal over noise: half an hour
#   make validate-model     the performance model versus the RTL: 600 random cases, 150 of Winograd, 150 gathered
#   make faults             faults of memory, host and programs on four accelerators: 2,000 runs, minutes
#   make coverage           lines, branches, bits, states and fields that tests of the gateware reach: 3 minutes
#   make coverage-python    lines of simulation, compiler, networks and runtime that their tests run: 20 minutes
#   make bench-explore      the explorer's speed, in tilings and points per second: 2 minutes
#   make traffic            VGG-16's DRAM traffic with 64 to 512 KiB of on-chip memory: minutes
#   make batches            cycles and bytes of fully connected layers for 1 to 16 images: minutes
#   make resources          ECP5 resources of a grid of configurations: half an hour on one core
#   make peers              VGG-16's cycles versus those of SCALE-Sim and ZigZag
#   make memory-efficiency  the share of their pins' rate that the boards' memories reach, simulated
#
# PYTHON names the Python of a new environment, 3.11 or newer; the default is the newest usable one.
# JOBS is the number of parallel tests. ARGS is passed on, as in
#   make run ARGS="--config large --bandwidth 8"        make test ARGS="-k golden"

ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell bash tools/find-python)
endif
JOBS ?= 2
ARGS ?=
CASES ?= 2000
FIRST ?= 0

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# LiteX wants packages of its own versions, so it has an environment of its own.
FPGA := .venv-fpga

# Without a notice on the future of MkDocs.
SITE := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

# All but the FPGA tools and PyTorch.
EXTRAS := cluster,explore,images,judge,labels,report,sim

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run report test fuzz fuzz-winograd fuzz-onnx fuzz-import formal mutants nightly agreement noise validate-model \
	faults coverage coverage-python bench-explore traffic batches resources peers lint docs results setup fpga-setup \
	torch-setup memory-efficiency bitstream clean

# The comment at the top of this file.
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

run: setup
	$(BIN)/systolith run vgg16 --device rtl --config default $(ARGS)

report: setup
	$(BIN)/systolith report vgg16 --out report.html $(ARGS)

test: setup
	$(BIN)/pytest -n $(JOBS) $(ARGS)

fuzz: setup
	SYSTOLITH_FUZZ=$(CASES) SYSTOLITH_FUZZ_FIRST=$(FIRST) \
		$(BIN)/pytest -n $(JOBS) -q tests/e2e/test_small_accelerators.py $(ARGS)

fuzz-winograd: setup
	SYSTOLITH_FUZZ=$(CASES) SYSTOLITH_FUZZ_FIRST=$(FIRST) \
		$(BIN)/pytest -n $(JOBS) -q tests/e2e/test_winograd_networks.py $(ARGS)

fuzz-onnx: setup
	SYSTOLITH_FUZZ=$(CASES) SYSTOLITH_FUZZ_FIRST=$(FIRST) \
		$(BIN)/pytest -n $(JOBS) -q tests/host/frontend/test_onnx_damaged.py $(ARGS)

fuzz-import: setup
	SYSTOLITH_FUZZ=$(CASES) SYSTOLITH_FUZZ_FIRST=$(FIRST) \
		$(BIN)/pytest -n $(JOBS) -q tests/host/frontend/test_import_random.py $(ARGS)

formal: setup
	SYSTOLITH_PROOFS_MORE=1 $(BIN)/pytest -n $(JOBS) -v tests/sim/formal $(ARGS)

mutants: setup
	$(BIN)/python tools/mutants.py $(ARGS)

nightly: setup
	$(BIN)/python tools/nightly.py $(ARGS)

agreement: setup
	$(BIN)/python tools/agreement.py $(ARGS)

noise: setup
	$(BIN)/python tools/noise.py $(ARGS)

validate-model: setup
	$(BIN)/systolith lab validate --picture docs/model-validation.svg $(ARGS)

faults: setup
	$(BIN)/systolith lab faults $(ARGS)

coverage: setup
	$(BIN)/systolith lab coverage $(ARGS)

coverage-python: setup
	$(BIN)/python tools/python_lines.py --jobs $(JOBS)

bench-explore: setup
	$(BIN)/systolith lab speed $(ARGS)

traffic: setup
	$(BIN)/systolith lab traffic $(ARGS)

batches: setup
	$(BIN)/systolith lab batches $(ARGS)

resources: setup
	$(BIN)/systolith lab resources $(ARGS)

peers: setup .venv-scalesim/.installed .venv-zigzag/.installed
	$(BIN)/python tools/peers.py $(ARGS)

.venv-scalesim/.installed:
	@"$(PYTHON)" -m venv .venv-scalesim
	@.venv-scalesim/bin/python -m pip install -qq "scalesim==3.0.0" "numpy<2"
	@touch $@

# ZigZag imports six without declaring it.
.venv-zigzag/.installed:
	@"$(PYTHON)" -m venv .venv-zigzag
	@.venv-zigzag/bin/python -m pip install -qq "zigzag-dse==3.9.1" six
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: setup
	$(SITE) build --quiet
	$(BIN)/pytest -q -n $(JOBS) tests/test_docs.py tests/docs $(ARGS)

results: setup
	$(BIN)/python tools/manual/results.py

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tools/prerequisites tools/check_python.py
	@bash tools/prerequisites "$(PYTHON)"
	@echo "Setting up $(VENV) with $(PYTHON), $$("$(PYTHON)" -V): a minute or two, once"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --editable ".[$(EXTRAS)]" --group dev
	@touch $@

# The local version +cpu excludes builds that bring several GB of CUDA. An index that has PyTorch's
# may lack torchvision's; then PyPI's, whose own operators do not load, has at least the networks.
torch-setup: setup
	@$(BIN)/python -m pip install -qq --constraint constraints.txt "torch==2.13.0+cpu" onnxscript || { \
		echo "error: pip finds no CPU build of PyTorch 2.13.0 for $$($(BIN)/python -V):" \
			"name the index of PyTorch's own wheels as PIP_EXTRA_INDEX_URL" >&2; exit 2; }
	@$(BIN)/python -m pip install -qq --constraint constraints.txt "torchvision==0.28.0+cpu" 2>/dev/null || \
		$(BIN)/python -m pip install -qq --constraint constraints.txt torchvision
	@$(BIN)/python tools/check_torch.py

BOARD ?= ulx3s-85f
bitstream: setup fpga-setup
	$(BIN)/systolith build --board $(BOARD) --out build/$(BOARD) $(ARGS)

memory-efficiency: setup fpga-setup
	$(BIN)/systolith lab memory-efficiency $(ARGS)

fpga-setup: $(FPGA)/.installed

$(FPGA)/.installed: pyproject.toml constraints-fpga.txt tools/prerequisites
	@bash tools/prerequisites "$(PYTHON)" fpga
	@echo "Setting up $(FPGA) with $(PYTHON), $$("$(PYTHON)" -V): a few minutes, once"
	@"$(PYTHON)" -m venv $(FPGA)
	@$(FPGA)/bin/python -m pip install -qq --requirement constraints-fpga.txt
	@touch $@

clean:
	rm -rf $(VENV) $(FPGA) .venv-scalesim .venv-zigzag build
