# Every command of this file runs in the environment .venv, which the first of them makes.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Where PyTorch's wheel comes from; empty: pip's own default (on Linux a CUDA build).
TORCH_INDEX ?=

QUICKSTART = unet-cranium_small_1xb8-300i_cranium-sample-96x80
SMALL = unet-cranium_small_1xb8-8k_cranium-aligned-192x160
WORK = work_dirs/quickstart
PRETRAINED = work_dirs/pretrained
SAMPLE = $(WORK)/data
# The download that `make train` prepares.
SOURCE ?= data
# mim and pip then need no activated environment; OpenMMLab's tools warn about their own imports.
export PATH := $(abspath $(BIN)):$(PATH)
export PYTHONWARNINGS ?= ignore

.DEFAULT_GOAL := help
.PHONY: help install quickstart demonstration pretrained sample train test test-slow lint fixup clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

install: $(VENV)/installed ## make .venv with the tested versions

# A change of these needs another install.
$(VENV)/installed: constraints.txt pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/python -m pip install -c constraints.txt -e '.[test,dev]'
	@touch $@

quickstart: demonstration pretrained ## train and test a small model on data/sample, then the pretrained weights (2 minutes)
	@printf '%s\n' '' \
	  'The model of the quickstart has seen a few dozen slices: its figures are a demonstration, not a claim.' \
	  '  checkpoint     $(WORK)/iter_300.pth' \
	  '  metrics        $(WORK)/evaluation/summary.json' \
	  '  report         $(WORK)/report.html' \
	  '  contact sheet  $(WORK)/contact_sheet.png' \
	  '' \
	  'To go on, put the download into data/ (see README.md) and train the recommended network: make train'

demonstration: sample
	mim train mmseg configs/$(QUICKSTART).py --work-dir $(WORK)
	mim test mmseg configs/$(QUICKSTART).py --checkpoint $(WORK)/iter_300.pth --work-dir $(WORK) --out $(WORK)/predictions
	cranium report $(WORK) --out $(WORK)/report.html
	cranium contact-sheet $(WORK)/predictions --data $(SAMPLE) --out $(WORK)/contact_sheet.png \
	  --title 'Quickstart: a demonstration, not a claim'

pretrained: sample ## test the pretrained weights on data/sample (half a minute)
	mim test mmseg configs/$(SMALL).py --checkpoint checkpoints/$(SMALL).pth --work-dir $(PRETRAINED) \
	  --out $(PRETRAINED)/predictions --cfg-options test_dataloader.dataset.data_root=$(SAMPLE)
	cranium contact-sheet $(PRETRAINED)/predictions --data $(SAMPLE) --out $(PRETRAINED)/contact_sheet.png \
	  --title 'Pretrained weights, trained on these patients: not how well they do on others'
	@printf '%s\n' '' \
	  'The pretrained weights were trained on these patients, so their figures say that the file works, not' \
	  'how well it does on others: docs/model_card.md tells that.' \
	  '  metrics        $(PRETRAINED)/evaluation/summary.json' \
	  '  contact sheet  $(PRETRAINED)/contact_sheet.png'

sample: install
	cranium prepare --source data/sample --window hu --out $(SAMPLE) --overwrite

train: install ## train and test the recommended network on the download in data/, or SOURCE=... (half an hour)
	cranium prepare --source $(SOURCE) --window hu
	mim train mmseg configs/$(SMALL).py --resume
	mim test mmseg configs/$(SMALL).py --checkpoint "$$(cat work_dirs/$(SMALL)/last_checkpoint)"

test: install ## run the tests, but for those that take minutes
	python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: install ## run the tests that take minutes; CT_ICH_ROOT names the real slices
	python -m pytest -m slow

lint: install ## check style, types and which room imports which
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache

fixup: install ## fix style
	ruff check --fix .
	ruff format .

clean: ## remove the environment, the quickstart and caches; never data or trainings
	rm -rf $(VENV) $(WORK) $(PRETRAINED) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
