#!/bin/bash
# Runs every fuzz target for so many seconds each (FUZZ_SECONDS, 60), from the seeds in fixtures/ and what earlier runs
# found, and says how many inputs each was given. FUZZ_TARGETS names some of them; `check` only builds.
#
# What fails stops the script, and the input that did it is kept: put it into fixtures/fuzz and write a test.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly SECONDS_EACH=${FUZZ_SECONDS:-60}
readonly KEPT=$PWD/target/fuzz
export CARGO_TARGET_DIR=$KEPT/build RUSTC_BOOTSTRAP=1 # the instrumentation, on a stable toolchain

skip() {
	echo "SKIPPED fuzzing: $*"
	exit 0
}

# seeds TARGET: the folders of real and of found inputs
seeds() {
	case $1 in
	ini) echo fixtures/config ;;
	token) echo fixtures/tokens ;;
	http) echo fixtures/oidc ;;
	esac
	[ ! -d "fixtures/fuzz/$1" ] || echo "fixtures/fuzz/$1"
}

if [ "${1-}" = check ]; then
	cargo check --quiet --locked --manifest-path tests/fuzz/Cargo.toml
	exit 0
fi
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz || skip 'cargo-fuzz cannot be installed'
mkdir -p "$KEPT"
# The code is without `unsafe`, so there is nothing for a memory sanitizer to find.
cargo fuzz build --fuzz-dir tests/fuzz --sanitizer none 2>"$KEPT.log" || { cat "$KEPT.log" >&2; exit 1; }

mapfile -t all < <(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' tests/fuzz/Cargo.toml)
for target in ${FUZZ_TARGETS:-"${all[@]}"}; do
	mkdir -p "$KEPT/corpus/$target" "$KEPT/artifacts/$target"
	mapfile -t folders < <(seeds "$target")
	log=$KEPT/$target.log
	program=$(echo "$CARGO_TARGET_DIR"/*/release/"$target")
	if ! "$program" -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix="$KEPT/artifacts/$target/" "$KEPT/corpus/$target" "${folders[@]}" >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		exit 1
	fi
	inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
	printf '%-9s %12d inputs in %d s, %s edges reached, no fault\n' "$target" "$inputs" "$SECONDS_EACH" "$edges"
done
