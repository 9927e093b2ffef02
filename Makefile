# Everything a developer does; each target sets up what it needs, from a bare Debian 12 or 13 or Ubuntu 24.04 on.
#
#   make test     lint, then all tests (as root: they make network namespaces and start real servers)
#   make demo     an attack, and what amiguard does about it (as root)
#   make bench    how fast it is (as root)
#   make chaos    what it withstands: each fault, then many at once in floods, for AMIGUARD_CHAOS_SECONDS (as root)
#   make fuzz     search for inputs that break a parser, each for AMIGUARD_FUZZ_SECONDS
#   make soak     whether anything grows under mixed load, for AMIGUARD_SOAK_SECONDS; draws docs/images/soak.svg (as root)
#   make lint     formatting, types, layers
#   make fmt      repair the formatting
#   make sbom     what an installation with all extras holds, as CycloneDX, in build/amiguard.cdx.json
#   make setup    only the set-up
#   make clean    remove what make made here; the tests' Debian chroots stay in ~/.cache/amiguard
#
# PYTHON=python3.13 chooses the interpreter; otherwise it is the first of these that is 3.11 or newer.

PYTHONS = python3 python3.14 python3.13 python3.12 python3.11
MODERN = -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON = $(shell for p in $(PYTHONS); do $$p $(MODERN) 2>/dev/null && { echo $$p; break; }; done)

RUN = .venv/bin/python

# What writes the bill of materials.
CYCLONEDX = 7.5.0

# What must be there, and the package that has it.
DEMO_TOOLS = ip=iproute2 nft=nftables mount=mount unshare=util-linux
TEST_TOOLS = $(DEMO_TOOLS) ipset=ipset iptables-nft=iptables hostname=hostname \
	buildah=buildah /usr/lib/podman/netavark=netavark logrotate=logrotate \
	mmdebstrap=mmdebstrap curl=curl jq=jq mandoc=mandoc faketime=faketime \
	sipp=sip-tester /usr/lib/*/libatomic.so.1=libatomic1 \
	/usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring

# What waits for no kernel and no server, test by test; the sources' tests wait for inotify and time-outs. All others mostly
# wait for servers, and share what a file set up: file by file.
TEST_BY_TEST = tests/unit tests/property --ignore=tests/unit/sources
FILE_BY_FILE = tests/unit/sources $(filter-out tests/unit/ tests/property/,$(wildcard tests/*/))

BRIEF = not bench and not chaos and not soak

HEADING = printf '\n== %s\n'

.PHONY: setup test quick-tests demo bench chaos fuzz soak lint fmt sbom clean root venv venv-tools demo-tools test-tools
.NOTPARALLEL:

setup: test-tools venv

# The real servers are fetched and unpacked while all goes on that needs none.
test: root test-tools venv
	@$(RUN) -m tests.lab.chroots >/dev/null & $(MAKE) --no-print-directory lint quick-tests; code=$$?; wait; exit $$code
	@$(HEADING) 'pytest: real kernels and servers'
	@$(RUN) -m pytest -q -n 4 --dist loadfile -m "$(BRIEF) and not alone" $(FILE_BY_FILE) --durations=5 --durations-min=1
	@$(HEADING) 'pytest: what bears nothing beside it'
	@$(RUN) -m pytest -q -m alone tests/netns

quick-tests: venv
	@$(HEADING) 'pytest: what waits for nothing, side by side'
	@$(RUN) -m pytest -q -n 4 $(TEST_BY_TEST)

demo: root demo-tools venv
	@$(RUN) -m amiguard demo

bench: root test-tools venv
	@$(RUN) -m tests.bench

chaos: root test-tools venv
	@$(RUN) -m pytest -v -s tests/chaos tests/e2e/test_crash.py tests/e2e/test_faults.py

soak: root test-tools venv
	@$(RUN) -m pytest -q -s tests/soak -m soak

# At the lowest priority, and with a fuzzer that nothing else needs.
fuzz: venv
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@for target in $$($(RUN) -m tests.fuzz); do \
		$(HEADING) "fuzz: $$target"; \
		nice -n 19 $(RUN) -m tests.fuzz $$target "$${AMIGUARD_FUZZ_SECONDS:-300}" || exit 1; \
	done

lint: venv
	@$(HEADING) 'ruff check'
	@$(RUN) -m ruff check
	@$(HEADING) 'ruff format --check'
	@$(RUN) -m ruff format --check
	@$(HEADING) mypy
	@$(RUN) -m mypy
	@$(HEADING) lint-imports
	@$(RUN) -c 'from importlinter.cli import lint_imports_command as main; main()'

fmt: venv
	@$(RUN) -m ruff check --fix-only
	@$(RUN) -m ruff format

# In environments of their own, so that it lists what an installation holds, and no tool of ours.
sbom: venv
	@$(PYTHON) -m venv --clear build/sbom-tool
	@$(PYTHON) -m venv --clear --without-pip build/sbom
	@build/sbom-tool/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom==$(CYCLONEDX)
	@build/sbom-tool/bin/python -m pip --python build/sbom/bin/python install --quiet --disable-pip-version-check \
		-c constraints.txt '.[demo,fleet,geo]'
	@build/sbom-tool/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --validate \
		-o build/amiguard.cdx.json build/sbom/bin/python
	@echo build/amiguard.cdx.json

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

root:
	@[ "$$(id -u)" -eq 0 ] || { echo "This needs root. Run:  sudo make $(MAKECMDGOALS)" >&2; exit 1; }

venv-tools:
	@.ci/packages "$(PYTHON)"

demo-tools:
	@.ci/packages "$(PYTHON)" $(DEMO_TOOLS)

test-tools:
	@.ci/packages "$(PYTHON)" $(TEST_TOOLS)

venv: venv-tools
	@.ci/venv "$(PYTHON)"
