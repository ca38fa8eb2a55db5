# SPDX-License-Identifier: MIT
# Short cuts. The build itself is meson's: `meson setup build && ninja -C build` is all there is to it.

BUILD ?= build
# What `make run` brings up: {image} is the disk image it has made. MODEL=pvscsi is short for URI='qemu:pvscsi?drive={image}'
ifdef MODEL
URI ?= qemu:$(MODEL)?drive={image}
endif
URI ?= soft:{image}?scratch=64M
TIME ?= 3

export PAGE

.PHONY: help build run test test-all test-busy guest qemu-long nbd-long bench bench-guest style mutants deb format clean

help:
	@echo 'make run        build, then show the main job with real I/O (under 2 minutes)'
	@echo '                MODEL=pvscsi: on an adapter that QEMU models, by its name there'
	@echo 'make test       build and test with gcc'
	@echo 'make test-all   also: optimised, clang with ASan and UBSan, clang with TSan; warnings are errors'
	@echo 'make test-busy  make test on one core, with four busy loops beside it'
	@echo 'make guest      drivers over VFIO, in a QEMU guest with an IOMMU (minutes; the first time also downloads a kernel)'
	@echo '                GUEST=--short for less, GUEST=--verbose to read along, GUEST=unplug for one scenario'
	@echo 'make qemu-long  those tests on QEMU that wait for deadlines'
	@echo 'make nbd-long   NBD clients that others wrote, with more data: on a file and on QEMU models'
	@echo 'make bench      commands per second and latency, beside others: run/benchmarks.md, and JSON there;'
	@echo '                PAGE=1: docs/benchmarks.md instead'
	@echo 'make bench-guest  hbakit over VFIO beside Linux'\''s own driver, in a guest: a section of the same page (some minutes)'
	@echo '                GUEST=--profile: only where the instructions go'
	@echo 'make style      only the checks of the text: includes, headers, symbols, format …'
	@echo 'make mutants    makes one statement wrong at a time: the test named for it must go red; MUTANTS=--short=10 for less'
	@echo 'make deb        Debian packages, in run/deb/; tried in a root of their own, and by lintian'
	@echo 'make format     clang-format on all of it'
	@echo 'make clean      remove what was built'
	@echo
	@echo 'run and test install missing Debian packages themselves (tools/packages.txt).'

$(BUILD)/build.ninja:
	@tools/deps build
	@tools/configure $(BUILD) gcc

# ONLY: what of it; all, if nothing is said.
build: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet $(ONLY)

run:
	@tools/deps build run $(if $(MODEL),qemu)
	@$(MAKE) --no-print-directory build ONLY=src/cli/hbakit
	@tools/run --build $(BUILD) --uri '$(URI)'

test:
	@tools/deps build run test
	@tools/test gcc

test-all:
	@tools/deps
	@tools/test gcc release asan tsan

test-busy:
	@tools/deps build run test
	@tools/busy tools/test gcc

guest:
	@tools/deps build guest
	@$(MAKE) --no-print-directory build
	@tests/guest/vfio.py $(BUILD) $(GUEST)

qemu-long:
	@tools/deps build qemu test
	@$(MAKE) --no-print-directory build
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs --suite qemu-long

nbd-long:
	@tools/deps build qemu test
	@$(MAKE) --no-print-directory build
	@for kind in soft pvscsi virtio-scsi; do tests/nbd/clients.py $(BUILD)/src/cli/hbakit $$kind long || exit 1; done
	@tests/nbd/trouble.py $(BUILD)/src/cli/hbakit $(BUILD)/tests/cli/sick.so long

bench:
	@tools/deps build bench
	@$(MAKE) --no-print-directory build
	@bench/controllers.py --build $(BUILD) --time $(TIME)
	@bench/core.py --build $(BUILD) --time $(TIME)
	@bench/nbd.py --build $(BUILD) --time $(TIME)

bench-guest:
	@tools/deps build guest bench
	@$(MAKE) --no-print-directory build
	@bench/guest/load.py --build $(BUILD) $(GUEST)

style:
	@tools/deps build test
	@$(MAKE) --no-print-directory build
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs --suite style

mutants:
	@tools/deps build test
	@tests/mutants/run.py . $(MUTANTS)

deb:
	@tools/deps build deb
	@tools/deb

format:
	@tools/deps format
	@find src include tests bench examples -path tests/abi/v1 -prune -o -name '*.[ch]' -exec clang-format -i {} +

clean:
	rm -rf $(BUILD) build-release build-asan build-tsan build-mutants run
