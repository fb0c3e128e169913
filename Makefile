# Everything is set up by the target that needs it: type one, it does the rest.
#   make run    serve from this clone (first run: make run INIT='--host 192.0.2.10')
#   make demo   a gateway and a simulated dock on loopback, through the whole access
#   make test   all tests     make lint   style, types, import contract, dangers, secrets, known holes where they can be asked about
#   make audit  known holes in the dependencies, and fails where nobody can be asked
#   make man    manual pages from the commands, into build/man     make docs   the documentation as a site, into build/docs
#   make screenshots  the pictures of the console, into docs/images/console
#   make binary the program as one file, dist/dockgate     make deb   a Debian package     make sbom   what is in them
#   make proof  promises against attacks, soak, limits and fuzz, in their long form (docs/reliability.md)
#   make bench  dockgate beside others (bench/README.md): make bench SCENARIO=accesses BENCH_ARGS=--quick

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DIR ?= var
INIT ?=
PYTEST_ARGS ?=
# Empty: all scenarios
SCENARIO ?=
PROOF ?=
AUDIT ?=
BENCH_ARGS ?=
# What the tests speak to dockgate with, from Debian
DEBIAN := mosquitto mosquitto-clients openssl chromium systemd-container libfaketime $(BUILD)
# What the one file and the package are made and tried with; libpython is for Debian's Python, others bring their own
BUILD := binutils gcc libc6-dev zlib1g-dev dpkg passwd init-system-helpers util-linux python3 libpython3-dev

.PHONY: run demo test lint audit man docs screenshots bench proof debian binary deb sbom clean
.DEFAULT_GOAL := run

$(VENV)/runtime: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dockgate needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	@touch $@

run: $(VENV)/runtime
	@test -e $(DIR)/broker.yaml || $(BIN)/dockgate init --dir $(DIR) --no-input $(INIT)
	@exec $(BIN)/dockgate --config $(DIR)/broker.yaml serve

demo: $(VENV)/runtime
	@$(BIN)/dockgate demo --dir $(DIR)/demo

# Foreign clients, and what packages are made with; fails with the name of what can't be had
debian:
	@missing=""; for package in $(DEBIAN); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	test -z "$$missing" || { \
		test "$$(id -u)" = 0 || { echo "this needs Debian's$$missing: sudo apt-get install$$missing" >&2; exit 1; }; \
		apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing >/dev/null \
		|| { echo "this needs Debian's$$missing, which could not be installed" >&2; exit 1; }; }

# MQTT.js, for the examples in JavaScript. Who has no Node.js gets Debian's
tests/docs/node/node_modules/.package-lock.json: tests/docs/node/package-lock.json
	@command -v npm >/dev/null || { \
		test "$$(id -u)" = 0 || { echo "the tests need Node.js 18 or newer with npm: sudo apt-get install nodejs npm" >&2; exit 1; }; \
		apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nodejs npm >/dev/null \
		|| { echo "the tests need Node.js 18 or newer with npm, which could not be installed" >&2; exit 1; }; }
	npm ci --prefix tests/docs/node --no-audit --no-fund
	@touch $@

test: lint debian tests/docs/node/node_modules/.package-lock.json
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml gateway broker_plugins packaging docs/examples proof
	$(BIN)/python packaging/supply/secrets.py
	$(BIN)/python packaging/supply/holes.py

# The same question as in lint, which has to be answered here. Asks the Python Package Index (AUDIT='-s osv': osv.dev) and npm's.
audit: $(VENV)/dev
	$(BIN)/python packaging/supply/holes.py --must-ask --patience 300 -- $(AUDIT)

# aedes and its SQLite, which is compiled here where npm has no binary of it
bench/aedes/node_modules/.package-lock.json: bench/aedes/package-lock.json
	@command -v npm >/dev/null || { echo "the benchmarks need Node.js 20 or newer with npm, for aedes" >&2; exit 1; }
	npm ci --prefix bench/aedes --no-audit --no-fund
	@touch $@

# The pictures of docs/console.md, taken anew
screenshots: $(VENV)/dev debian
	$(BIN)/python -m pytest tests/browser/screenshots.py

bench: $(VENV)/dev debian bench/aedes/node_modules/.package-lock.json
	$(BIN)/python bench/run.py $(SCENARIO) $(BENCH_ARGS)

# hours; PROOF=network or another part alone (docs/reliability.md)
proof: $(VENV)/dev
	$(BIN)/python -m proof $(PROOF)

man: $(VENV)/runtime
	$(BIN)/python packaging/man/pages.py build/man

docs: $(VENV)/dev
	$(BIN)/mkdocs build --quiet --strict

binary deb: DEBIAN := $(BUILD)

binary: debian $(VENV)/dev
	$(BIN)/python packaging/binary/build.py
	$(BIN)/python packaging/selftest.py dist/dockgate

deb: debian $(VENV)/dev
	$(BIN)/python packaging/deb/build.py

sbom: $(VENV)/runtime
	$(BIN)/python packaging/sbom.py dist/dockgate.cdx.json

clean:
	rm -rf $(VENV) bench/aedes/node_modules tests/docs/node/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
