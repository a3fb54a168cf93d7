# Every command of this file runs in the environment .venv, which the first of them makes.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Where PyTorch's wheel comes from; empty: pip's own default (on Linux a CUDA build).
TORCH_INDEX ?=

WORK = work_dirs/quickstart
CONFIG = configs/fcn-unet-s4-d8-c8_unet_1xb8-400i_cranium-sample-96x96
SMALL = unet-cranium_small_1xb8-8k_cranium-aligned-192x160
WEIGHTS = checkpoints/$(SMALL).pth
# The download that `make train` prepares.
SOURCE ?= data
# mim and pip then need no activated environment; OpenMMLab's tools warn about their own imports.
export PATH := $(abspath $(BIN)):$(PATH)
export PYTHONWARNINGS ?= ignore

.DEFAULT_GOAL := help
.PHONY: help install quickstart pretrained train test test-slow lint fixup clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

install: $(VENV)/installed ## make .venv with the tested versions

# A room that is new since the last install has to be mapped by it.
$(VENV)/installed: constraints.txt pyproject.toml setup.py $(wildcard */__init__.py)
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/python -m pip install -c constraints.txt -e '.[test,dev]'
	@touch $@

quickstart: install ## train and test a small model on data/sample (about 5 minutes)
	python tools/prepare_dataset.py --source data/sample --out $(WORK)/data --overwrite
	mim train mmseg $(CONFIG).py --work-dir $(WORK)
	mim test mmseg $(CONFIG).py --checkpoint $(WORK)/iter_400.pth --work-dir $(WORK)/test --out $(WORK)/predictions
	python tools/plot_curves.py $(WORK) --out $(WORK)/curves.png
	python tools/draw_predictions.py $(WORK)/predictions --data $(WORK)/data --out $(WORK)/contact_sheet.png \
	  --title 'Quickstart: a demonstration, not a claim'
	@printf '%s\n' '' \
	  'This model has seen a few dozen slices: its figures are a demonstration, not a claim.' \
	  '  checkpoint     $(WORK)/iter_400.pth' \
	  '  metrics        $(WORK)/test/evaluation/summary.json' \
	  '  loss curve     $(WORK)/curves.png' \
	  '  contact sheet  $(WORK)/contact_sheet.png' \
	  'Now the weights in the box on the same slices.'
	@$(MAKE) --no-print-directory pretrained
	@printf '%s\n' '' \
	  'To go on, put the download into data/ (see README.md), then train the recommended network on it:' \
	  '  make train'

pretrained: install ## test the weights in the box on data/sample (half a minute)
	python tools/prepare_dataset.py --source data/sample --window brain-bone --out $(WORK)/both_windows --overwrite
	mim test mmseg configs/$(SMALL).py --checkpoint $(WEIGHTS) --work-dir $(WORK)/pretrained --out $(WORK)/pretrained/predictions \
	  --cfg-options test_dataloader.dataset.data_root=$(WORK)/both_windows
	python tools/draw_predictions.py $(WORK)/pretrained/predictions --data $(WORK)/both_windows --out $(WORK)/pretrained/contact_sheet.png \
	  --title 'Weights in the box, trained on these patients: not how well they do on others'
	@printf '%s\n' '' \
	  'These weights were trained on these patients, so the figures above say that the file works, not how' \
	  'well it does on others: docs/model_card.md tells that.' \
	  '  metrics        $(WORK)/pretrained/evaluation/summary.json' \
	  '  contact sheet  $(WORK)/pretrained/contact_sheet.png'

train: install ## train and test the recommended network on the download in data/, or SOURCE=... (half an hour)
	python tools/prepare_dataset.py --source $(SOURCE) --window brain-bone
	mim train mmseg configs/$(SMALL).py --resume
	mim test mmseg configs/$(SMALL).py --checkpoint "$$(cat work_dirs/$(SMALL)/last_checkpoint)"

test: install ## run the tests, but for those that take minutes
	python -m pytest -m "not slow"

test-slow: install ## run the tests that take minutes; CT_ICH_ROOT names the real slices
	python -m pytest -m slow

lint: install ## check style
	ruff check .
	ruff format --check .

fixup: install ## mend style
	ruff check --fix .
	ruff format .

clean: ## remove the environment, the quickstart and caches; never data or trainings
	rm -rf $(VENV) work_dirs/quickstart build *.egg-info .pytest_cache .ruff_cache .hypothesis
