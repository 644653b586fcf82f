#!/bin/bash
# Breaks each line of the pure core, the file operations and the signals, one at a time, and sees whether a test notices
# (cargo-mutants): the unit tests first, which take seconds, and for what these miss the end-to-end tests. MUTANTS_JOBS
# (1) at once; MUTANTS_ARGS go to it, such as `--iterate` to leave out what was noticed the last time, or
# `--re src/sso/plan` for one file. Ends with how many came to what, and with who survived; tests/README.md explains why.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VERSION=27.1.0
readonly TOOLS=$PWD/target/mutants/tools
readonly OUT=$PWD/target/mutants/mutants.out
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
		--file 'src/format/*.rs' --file 'src/sso/*.rs' --file 'src/schedule/*.rs' --file src/system/files.rs \
		--file src/system/signals.rs "${@:2}"
}

# tally MEANING LIST..: how many there are
tally() {
	printf '%6s  %s\n' "$(cd "$OUT" && cat "${@:2}" | wc -l)" "$1"
}

# 2 and 3: some were missed, or took too long.
status=0
mutants 20 "${more[@]}" -- --locked --bin aws-sso-refresh -- format:: sso:: schedule:: system::files || status=$?
[ $status -lt 4 ] || exit $status
noticed=$(
	tally 'a unit test noticed' caught.txt
	tally 'it never ended, which was noticed' timeout.txt
	tally 'it did not compile' unviable.txt
)
if [ $status -ne 0 ]; then
	cat "$OUT/timeout.txt" >>"$OUT/caught.txt"
	mutants 200 --iterate "${more[@]}" -- --locked --test it -- --test-threads=8 \
		refresh:: status:: login:: logout:: safety:: signals:: hostile:: crowd:: install:: doctor:: || [ $? -lt 4 ]
	noticed+=$(printf '\n' && tally 'an end-to-end test noticed, or never ended' caught.txt timeout.txt)
fi
printf '%s\n' "$noticed"
tally 'nothing noticed' missed.txt
cat "$OUT/missed.txt"
