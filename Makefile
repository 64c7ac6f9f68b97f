# `make run` and `make test` are all a newcomer needs; both build .venv on first use.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
# The prefix of a Picamera2 that works without a camera; its driver is then tested on it too.
PICAMERA2 ?=
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help run test test-pi lint bench completion codes camera-drivers gpio-devices rpm clean

help:
	@echo "make run    the simulated observatory, in the foreground"
	@echo "make test   linters, types, layers and all tests"
	@echo "make lint   the first three"
	@echo "make test-pi    cameras and GPIO on a Raspberry Pi, with its own libraries"
	@echo "make completion, make codes, make gpio-devices    write what is generated: etc/completion, docs/codes.md, docs/gpio-devices.md"
	@echo "make camera-drivers    docs/camera-drivers.md, from runs of the drivers; PICAMERA2=PREFIX for one more"
	@echo "make rpm    packages for Fedora and EL, into dist/"
	@echo "make bench  benchmarks: ratios against baselines of the same run"

run: $(VENV)/.run
	@exec $(BIN)/observatory run

test: $(VENV)/.test
	@etc/make/system-packages
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest $(TESTS)
	@[ -z "$(PICAMERA2)" ] || etc/make/picamera2-tests "$(PICAMERA2)"

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

rpm: $(VENV)/.run
	@etc/make/rpm

bench: $(VENV)/.test
	@$(BIN)/python tests/benchmarks $(BENCH)

completion: $(VENV)/.run
	@etc/make/completion $(BIN)

codes: $(VENV)/.run
	@$(BIN)/python etc/make/codes >docs/codes.md

gpio-devices: $(VENV)/.run
	@$(BIN)/python etc/make/gpio-devices >docs/gpio-devices.md

test-pi:
	@etc/make/test-pi

# The committed matrix is not held against the runs that it is to be made from.
camera-drivers: $(VENV)/.test
	@reports=$$(mktemp -d); trap 'rm -rf "$$reports"' EXIT; export OBSERVATORY_DRIVER_MATRIX=$$reports/none; \
	OBSERVATORY_DRIVER_REPORT=$$reports/here.json $(BIN)/python -m pytest tests/camerad/test_driver_contract.py; \
	[ -z "$(PICAMERA2)" ] || OBSERVATORY_DRIVER_REPORT=$$reports/picamera2.json etc/make/picamera2-tests "$(PICAMERA2)"; \
	$(BIN)/python etc/make/camera-drivers "$$reports"/*.json

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[focus,camera,gpio,ftp,web]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/bin/python:
	@etc/make/venv '$(PYTHON)' $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
