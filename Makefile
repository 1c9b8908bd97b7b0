# `make help` lists the targets. Everything is installed into $(VENV), and again only when pyproject.toml changes.

VENV ?= .venv
BIN := $(VENV)/bin

# The Python that makes the environment: the first one on the path that is new enough, or `make PYTHON=… demo`.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done)

# torch comes first, so that this line alone decides which build it is. Without flags pip takes what its own
# configuration offers; on Linux that is often a build for NVIDIA cards, of several gigabytes. For the small one
# name PyTorch's index of CPU builds: make PIP_INSTALL_TORCH_FLAGS='--index-url …' demo
TORCH := torch>=2.9,<2.14
PIP_INSTALL_TORCH_FLAGS ?=

URL ?= http://127.0.0.1:8000
DEMO_FLAGS ?=

# The tests use one thread each, and this many processes.
TEST_PROCESSES ?= 2
PYTEST_FLAGS ?=
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_FLAGS)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.datasets ## Search, download and rebuild once, on this machine; then serve the dashboard
	$(BIN)/nas demo $(DEMO_FLAGS)

.PHONY: test
test: lint system-packages ## Run every check and every test
	$(PYTEST) -m 'not crash and not long' -n $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder \
		tests/integration tests/browser tests/contracts tests/unit

.PHONY: lint
lint: $(VENV)/.dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test-unit test-contracts test-integration test-browser
test-unit: $(VENV)/.dev ## Run the tests that take seconds
	$(PYTEST) -m 'not long' tests/unit
test-contracts: $(VENV)/.dev ## Run what every store must pass, on SQLite and PostgreSQL
	$(PYTEST) tests/contracts
test-integration: $(VENV)/.dev ## Run whole services, workers killed in mid-job, commands, the demo
	$(PYTEST) tests/integration
test-browser: $(VENV)/.dev ## Drive the dashboard in chromium
	$(PYTEST) tests/browser

KILLS ?= 1000

.PHONY: test-crash
test-crash: system-packages $(VENV)/.dev ## Kill devices, connections, and a whole service a thousand times; and the long tests (two hours)
	$(BIN)/python -m tests.crash.under_fire --kills $(KILLS)
	$(PYTEST) -m 'crash or long' tests/unit tests/contracts tests/integration tests/crash

.PHONY: system-packages
system-packages:
	@sh tests/install_system_packages.sh

.PHONY: bench
bench: $(VENV)/.dev ## Measure again the figures that README and docs state (keep the machine idle)
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/repeatability.py
	$(MAKE) bench-quality

DATASETS := language-identification python-docs cmudict

.PHONY: bench-quality
bench-quality: $(VENV)/.dev ## Of these, what docs/quality.md states of the quality score (about two hours on one core)
	for dataset in $(DATASETS); do for what in ranking rates full; do \
		$(BIN)/python benchmarks/quality.py $$what --dataset $$dataset || exit 1; done; done
	$(BIN)/python benchmarks/quality.py promotion
	$(BIN)/python benchmarks/quality.py loop

BENCH_SERVICE_FLAGS ?=

.PHONY: bench-service
bench-service: $(VENV)/.dev ## Measure what one machine holds: submissions, events, large jobs, restarts (keep it idle)
	$(BIN)/python benchmarks/service.py all $(BENCH_SERVICE_FLAGS)

BENCH_SIZING_FLAGS ?=

.PHONY: bench-sizing
bench-sizing: $(VENV)/.dev ## Measure bytes on disk and memory of each process, for docs/operations.md (a minute)
	$(BIN)/python benchmarks/sizing.py $(BENCH_SIZING_FLAGS)

.PHONY: screenshots readme-screenshots
screenshots: $(VENV)/.dev ## Take the pictures of docs/dashboard.md, from a server with example jobs (three minutes)
	$(BIN)/python -m benchmarks.dashboard_pictures
readme-screenshots: $(VENV)/.dev ## Take the README's from the server at URL: make demo DEMO_FLAGS='--port 8000'
	$(BIN)/python -m benchmarks.screenshots --url $(URL)

.PHONY: clean
clean: ## Remove the environment and what the tools left; data/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says that an installation ended well; an interrupted one is done again.
$(VENV)/.venv:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Pocketformer needs Python 3.11 or newer, and $(or $(PYTHON),what is on the path) is not." \
			"Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) could not make a virtual environment in $(VENV)." \
			"On Debian and Ubuntu install the package python3-venv." >&2; exit 1; }
	@touch $@

$(VENV)/.torch: $(VENV)/.venv
	$(BIN)/python -m pip install $(PIP_INSTALL_TORCH_FLAGS) '$(TORCH)'
	@touch $@

$(VENV)/.datasets: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install -e '.[datasets]'
	@touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install -e '.[dev]'
	@touch $(VENV)/.datasets $@
