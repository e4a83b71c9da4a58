# ApusFS: 'make mount' builds it and mounts a volume, 'make test' runs every test, 'make help' lists all.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where 'make mount' mounts, and what: without SOURCE, a private Redis that apusfs starts and stops.
MOUNTPOINT ?= $(HOME)/apusfs-mount
SOURCE ?=
PREFIX ?= /usr/local

RELEASE := swift build -c release --static-swift-stdlib
apusfs = $(shell $(RELEASE) --show-bin-path)/apusfs

.PHONY: help deps build check-mountpoint mount umount test conformance format lint install clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

deps: ## install the Debian packages that are missing
	@.ci/dependencies

build: deps ## build the release, which runs without the Swift toolchain
	@[[ -e "$(apusfs)" ]] || echo "build: the first time takes a few minutes"
	@.ci/alive building $(RELEASE) --product apusfs

# Before a build of some minutes: what would make it useless.
check-mountpoint:
	@if [[ -d "$(MOUNTPOINT)" && -n "$$(ls -A "$(MOUNTPOINT)" 2>/dev/null)" ]] && \
	    ! findmnt -n --mountpoint "$(MOUNTPOINT)" >/dev/null; then \
	    echo "mount: $(MOUNTPOINT) is not empty; choose another: make mount MOUNTPOINT=DIR" >&2; exit 1; \
	fi

mount: check-mountpoint build ## build and mount at MOUNTPOINT (~/apusfs-mount) from SOURCE (a private Redis)
	@if stat -f "$(MOUNTPOINT)" >/dev/null 2>&1 && \
	    findmnt -n -t fuse.apusfs --mountpoint "$(MOUNTPOINT)" >/dev/null; then \
	    echo "mount: $(MOUNTPOINT) is mounted already"; \
	    [[ -z "$(SOURCE)" || "$$(findmnt -n -o SOURCE --mountpoint "$(MOUNTPOINT)")" == "$(SOURCE)" ]] || { \
	        echo "mount: and shows $$(findmnt -n -o SOURCE --mountpoint "$(MOUNTPOINT)"), not $(SOURCE)" >&2; exit 1; }; \
	else \
	    mkdir -p "$(MOUNTPOINT)" 2>/dev/null || true; \
	    "$(apusfs)" mount $(if $(SOURCE),"$(SOURCE)") "$(MOUNTPOINT)"; \
	fi
	@echo
	@"$(apusfs)" status "$(MOUNTPOINT)"
	@echo
	@echo "The volume is mounted at $(MOUNTPOINT). Unmount it with:"
	@echo "    make umount$(if $(filter-out $(HOME)/apusfs-mount,$(MOUNTPOINT)), MOUNTPOINT='$(MOUNTPOINT)')"
	@echo "or  $(apusfs) umount '$(MOUNTPOINT)'"

umount: ## unmount MOUNTPOINT and wait until everything is stored
	@"$(apusfs)" umount "$(MOUNTPOINT)"
	@echo "umount: $(MOUNTPOINT) is unmounted, everything is stored"

test: deps ## run every test
	@.ci/test

conformance: ## run the system call tests over each store and codec, and write their table
	swift build --build-tests
	.ci/conformance --write

format: ## format the sources
	swift format -i --parallel -r Package.swift Sources Tests

lint: ## check the format of the sources
	swift format lint --strict --parallel -r Package.swift Sources Tests

install: build ## install to PREFIX (/usr/local), with the helper that mount(8) looks for
	install -D -m 755 "$(apusfs)" "$(DESTDIR)$(PREFIX)/bin/apusfs"
	strip "$(DESTDIR)$(PREFIX)/bin/apusfs"
	install -d "$(DESTDIR)/sbin"
	ln -sf "$(PREFIX)/bin/apusfs" "$(DESTDIR)/sbin/mount.apusfs"
	ln -sf "$(PREFIX)/bin/apusfs" "$(DESTDIR)/sbin/mount.fuse.apusfs"
	ln -sf "$(PREFIX)/bin/apusfs" "$(DESTDIR)/sbin/mount.apusfs-keys"
	ln -sf "$(PREFIX)/bin/apusfs" "$(DESTDIR)/sbin/mount.fuse.apusfs-keys"

clean: ## remove what was built
	rm -rf .build
