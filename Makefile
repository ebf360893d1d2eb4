# Two commands do all the set-up on a fresh machine: `make run` and `make test`.
.DEFAULT_GOAL := run
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: chaos guards looks run test check clean

# The main job, on the embedded default: web server, worker and clock on 127.0.0.1:$PORT.
run: $(VENV)/.runtime
	@$(BIN)/python manage.py start

# Everything the machine allows; says in plain words what it could not run.
test: $(VENV)/.development
	@$(BIN)/python -m tests.run

# Every safety check removed in turn; some test must fail for each.
guards: $(VENV)/.development
	@$(BIN)/python -m bench.guards

# Workers, servers and databases killed, paused and starved for an hour; docs/reliability.md says what
# this found. Shorter: make chaos CYCLES=1000 SECONDS=60. The same again: SEED=7.
chaos: $(VENV)/.development
	@$(BIN)/python -m bench.chaos all $(if $(CYCLES),--cycles $(CYCLES)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

# Every page in every look: light and dark, wide and narrow, forced colours, zoomed.
looks: $(VENV)/.development
	@COUNTERSIGN_LONG=1 $(BIN)/python -m pytest tests -m browser -k "accessible" -n 2

# Formatting, lint and types alone.
check: $(VENV)/.development
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || python3 -m venv $(VENV)

$(VENV)/.runtime: $(BIN)/python requirements.txt
	@echo "Installing what the product runs on; this happens once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.development: $(BIN)/python requirements.txt requirements-dev.txt
	@echo "Installing what the tests need; this happens once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.runtime

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
