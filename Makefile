# What a newcomer types: `make up` starts the platform, `make test` tests it.
#
#   make up [PORT=8080] [ADMIN_PORT=PORT+1] [DRIVER=auto|process|docker] [ROUTERS=1] [DATA=folder]
#   make test [ARGS="-k router"]
#   make images    the images for DRIVER=docker (`make up DRIVER=docker` makes them by itself)
#   make check     linters and types
#   make bench [ARGS="--quick --only cpu,peak"]    the router beside nginx, HAProxy, Caddy, Go and aiohttp
#   make bench-cold [ARGS="--quick --only cold"]   cold starts beside `docker run`, and Knative's pass bars
#   make load [ARGS="--seconds 40"]                a platform under Locust; fails when a goal is missed
#                  All write their results into bench/results.
#   make compiled  compiles the modules a call goes through (C compiler needed); `make pure` undoes it
#   make clean     removes caches; `make distclean` the virtual environment too

VENV ?= .venv
BIN = $(VENV)/bin

ADMIN_PORT ?= $(if $(PORT),$(shell expr $(PORT) + 1))

UP_FLAGS = $(if $(PORT),--port $(PORT)) $(if $(ADMIN_PORT),--admin-port $(ADMIN_PORT)) \
	$(if $(DRIVER),--driver $(DRIVER)) $(if $(ROUTERS),--routers $(ROUTERS)) $(if $(DATA),--data "$(DATA)")

# Once compiled, always fresh.
COMPILED = $(wildcard router/compiled__mypyc.*.so)

.PHONY: up images test check bench bench-cold load compiled pure clean distclean

up: $(VENV)/.installed $(COMPILED) $(if $(filter docker,$(DRIVER)),images)
	@exec $(BIN)/plat up $(UP_FLAGS) --deploy examples/hello

# What instances run in with DRIVER=docker.
images:
	@deploy/build-images

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.installed-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(VENV)/.installed-bench
	@$(BIN)/python -m bench $(ARGS)

bench-cold: $(VENV)/.installed-bench
	@if docker info >/dev/null 2>&1; then deploy/build-images python; fi
	@$(BIN)/python -m bench.cold $(ARGS)

load: $(VENV)/.installed-bench
	@$(BIN)/python -m bench.load $(ARGS)

compiled $(COMPILED): $(VENV)/.installed-compiled $(wildcard router/*.py router/*/*.py)
	@$(BIN)/python deploy/compile-router

pure:
	@$(BIN)/python deploy/compile-router --remove

# Stamps: nothing is installed again until the list of dependencies changes.
$(VENV)/.installed: pyproject.toml deploy/make-venv
	@deploy/make-venv $(VENV) .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml deploy/make-venv
	@deploy/make-venv $(VENV) ".[dev]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml deploy/make-venv
	@deploy/make-venv $(VENV) ".[bench]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-compiled: pyproject.toml deploy/make-venv
	@deploy/make-venv $(VENV) ".[compiled]"
	@touch $@ $(VENV)/.installed

clean:
	@rm -rf router/*.so router/*/*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV)
