#!/bin/bash
# Breaks each line of the pure core and of the file operations, one at a time, and sees whether a test notices
# (cargo-mutants): the unit tests first, which take seconds, and for what these miss the end-to-end tests. MUTANTS_JOBS
# (1) at once; MUTANTS_ARGS go to it, such as `--iterate` to leave out what was noticed the last time, or
# `--file src/sso/plan.rs`. Outcomes are in target/mutants/mutants.out; tests/README.md explains who survives.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VERSION=27.1.0
readonly TOOLS=$PWD/target/mutants/tools
export PATH=$TOOLS/bin:$PATH

[ "$(cargo mutants --version 2>/dev/null)" = "cargo-mutants $VERSION" ] ||
	cargo install --quiet --locked --root "$TOOLS" --version $VERSION cargo-mutants ||
	{ echo "SKIPPED mutants: cargo-mutants $VERSION cannot be installed" && exit; }

# A mutant may ask for memory without end, and its test run be killed for it, which is noticed too.
ulimit -v 8000000
export CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_DEV_DEBUG=0
read -ra more <<<"${MUTANTS_ARGS-}"

# mutants SECONDS ARG..: with the tests that the arguments behind -- choose, in so many seconds
mutants() {
	nice cargo mutants --no-shuffle --jobs "${MUTANTS_JOBS-1}" --timeout "$1" --gitignore true --output target/mutants \
		--file 'src/format/*.rs' --file 'src/sso/*.rs' --file 'src/schedule/*.rs' --file src/system/files.rs "${@:2}"
}

# 2 and 3: some were missed, or took too long.
mutants 20 "${more[@]}" -- --locked --bin aws-sso-refresh -- format:: sso:: schedule:: system::files && exit
[ $? -lt 4 ] || exit
mutants 120 --iterate "${more[@]}" -- --locked --test it -- --test-threads=8 \
	refresh:: status:: login:: logout:: safety:: hostile:: crowd:: install:: doctor::
