# What a person does with this repository. `make help` lists it; every target works on a fresh clone.
SHELL := /bin/bash
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1

EMULATOR := artifacts/bin/Emulator.Cli/release/emulator
PUBLISH = CI= dotnet publish emulator/Emulator.Cli -c Release -v quiet -o out/publish -r linux-$(subst aarch64,arm64,$(subst x86_64,x64,$(shell uname -m))) \
	--self-contained false -p:PublishSingleFile=true -p:CopyOutputSymbolsToPublishDirectory=false
LAB ?= demo
SECONDS_PER_FUZZER ?= 60

.PHONY: help build test run bench fuzz drivers docs format clean publish emulator
.DEFAULT_GOAL := help

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Compile everything; warnings are errors
	@dotnet build Emulator.sln -c Release -v quiet

test: build ## Run every test; the last line counts them
	@tests/run-all.sh

run: emulator ## Boot a guest with a lab's devices (LAB=demo, PRINT=FILE to print, ARENA=1 to watch robots); a shell in it on a terminal
	@$(EMULATOR) boot '$(LAB)' $(if $(PRINT),--print '$(PRINT)') $(if $(ARENA),--arena)

bench: drivers ## Measure, next to the rivals
	@dotnet run -c Release --project tests/Emulator.Benchmarks

fuzz: ## Random messages and accesses at every model, for SECONDS_PER_FUZZER=60
	@dotnet run -c Release --project tests/Emulator.Fuzz -- $(SECONDS_PER_FUZZER)

drivers: emulator ## Build the guests' own drivers for x64 and x86 into out/drivers
	@guest-drivers/build.sh

docs: emulator ## Write devicemodels/datasheets and the lab schema from the models
	@rm -rf devicemodels/datasheets && mkdir -p devicemodels/datasheets
	@for model in $$($(EMULATOR) models | cut -d ' ' -f 1); do $(EMULATOR) regs $$model --format md > devicemodels/datasheets/$$model.md || exit; done
	@$(EMULATOR) schema > qemu-config/labs/lab.schema.json
	@echo "devicemodels/datasheets and qemu-config/labs/lab.schema.json are up to date"

format: ## Lay out the sources as .editorconfig says
	@dotnet format whitespace Emulator.sln

clean: ## Remove what was built; what was downloaded (.cache) stays
	@rm -rf artifacts out

publish: ## A single file in out/publish that needs only the .NET runtime
	@rm -rf out/publish
	@$(PUBLISH) -p:PublishReadyToRun=true || { echo "Without ReadyToRun: its compiler could not be had." >&2; $(PUBLISH); }
	@ls -l out/publish/emulator

emulator:
	@dotnet build emulator/Emulator.Cli -c Release -v quiet --nologo -clp:ErrorsOnly
