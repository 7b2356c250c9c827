# The desk in one command: `make demo`. `make` alone lists the others.

PYTHON ?= python3
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
# mypy's plugin for Django reads the settings, which know no corpus; nothing connects to this database.
MYPY_ENV := env -u TELLTALE_CORPUS SECRET_KEY=for-the-type-checker-alone-and-therefore-no-secret-at-all-60 \
	DATABASE_URL=postgresql:///typecheck TELLTALE_DATA=/tmp/telltale-typecheck
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-header --no-annotate --python-version 3.11 --upgrade pyproject.toml --extra desk

.PHONY: help demo run test check format lock

help:
	@echo "make demo           start a desk with sample conversations and sandbox mail servers"
	@echo "make demo RESET=1   the same, from the beginning; TELLTALE_PORT=8080 chooses another port than 8000"
	@echo "make run            start an empty desk that you can work with"
	@echo "make test           run the tests; ARGS='tests/mail -k reply' chooses some"
	@echo "make check          check formatting, style and types, and run the tests"
	@echo "make format         format the code"
	@echo "make lock           write the lists of locked dependencies anew (needs uv)"

demo: $(VENV)/.desk
	@$(BIN)/telltale demo $(if $(filter-out 0 no,$(RESET)),--reset)

run: $(VENV)/.desk
	@$(BIN)/telltale run

test: $(VENV)/.dev
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev
	@echo "Formatting"
	@$(BIN)/ruff format --quiet --check . || { echo "Run: make format"; exit 1; }
	@echo "Style"
	@$(BIN)/ruff check --quiet .
	@echo "Types"
	@$(MYPY_ENV) $(BIN)/mypy
	@echo "Tests"
	@$(BIN)/python -m pytest $(ARGS)

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --quiet .

lock:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv. Install it with: pipx install uv"; exit 1; }
	@$(LOCK) --group build --output-file requirements.lock
	@$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock

# One environment serves all: the second list is the first with the tools for development added.
$(VENV)/.desk: requirements.lock pyproject.toml | $(VENV)/.made
	@echo "Installing what the desk needs"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/.made
	@echo "Installing what the desk and its tests need"
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "Telltale needs Python 3.11 or newer, and $(PYTHON) is missing. Another one: make PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Telltale needs Python 3.11 or newer; this is $$($(PYTHON) --version). Another one: make PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ $(PYTHON) -c 'import sys; print("$(PYTHON) -m venv cannot work here. Install the package python%d.%d-venv:\n\n    apt-get install python%d.%d-venv\n" % (sys.version_info[:2] * 2))'; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@
