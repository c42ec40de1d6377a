# Everything here runs as root on a Debian machine with Go, make and git; what
# else it needs it installs.

export CGO_ENABLED = 0
HOST = systemd-nspawn=systemd-container mmdebstrap=mmdebstrap
TEST = $(HOST) nft=nftables ip=iproute2 xz=xz-utils zstd=zstd nix-build=nix-bin patchelf=patchelf

.PHONY: build packages demo demo-clean test unit e2e e2e-managers bench lint docs

build:
	go build -trimpath -buildvcs=auto -ldflags "-s -w" -o bin/berth.linked ./cmd/berth
# A file that the linker has written lies in small pages, as one that is read
# or copied does not: each start of it takes a tenth longer.
	@cp bin/berth.linked bin/berth.copied && mv bin/berth.copied bin/berth && rm bin/berth.linked

# .deb and .rpm for amd64 and arm64, in dist/. VERSION is by default the tag's,
# or made of the commit.
packages:
	go run ./packaging -out dist -version "$(VERSION)"

demo: build
	@scripts/need $(HOST) curl=curl pgrep=procps nft=nftables nix-build=nix-bin patchelf=patchelf
	@examples/hello/demo.sh
	@examples/nixos/demo.sh

demo-clean: build
	@examples/nixos/clean.sh
	@examples/hello/clean.sh

# Unit, golden and script tests, fuzz seeds, and end to end with real guests: the
# longest first, beside which the others run.
test:
	@scripts/need $(TEST)
	go vet -tags e2e,inside,packages ./...
	go test -count=1 -tags e2e -timeout 20m ./test/e2e ./...

# The same but for what e2e does.
unit:
	@scripts/need $(TEST) nsenter=util-linux
	go vet -tags e2e,inside,packages ./...
	go test -count=1 -tags e2e -timeout 20m $$(go list ./... | grep -v '/test/e2e$$')

# The end-to-end suite on this machine, and with those of faults and of packages
# on nested machines with systemd.
e2e:
	@scripts/need $(TEST) nsenter=util-linux
	go run ./test/hosts

# Berth beside what manages networks and firewalls, on nested hosts that have
# all of that.
e2e-managers:
	@scripts/need $(TEST) nsenter=util-linux
	go run ./test/hosts -hosts managers12,managers13 -jobs 1

bench: build
	@scripts/need $(TEST) nsenter=util-linux dnsmasq=dnsmasq-base
	go run ./bench -berth bin/berth -out bench.md

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go tool staticcheck ./...

# The command reference and the manual pages come from the commands, those of
# the NixOS module from the module, where Nix is there to read it.
docs:
	go test ./internal/cli -run TestManual -update
	@if command -v nix-instantiate >/dev/null; then go test ./test/nixos -run 'TestReference|TestVendorHash' -update; \
		else echo "without Nix docs/reference/nixos.md stays as it is"; fi
