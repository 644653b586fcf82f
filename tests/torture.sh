#!/bin/bash
# The long part of the proof: every step taken away, thousands of kills, servers that hang for ever, hostile input of
# every kind, races, fuzzing. A quarter of an hour; TORTURE=4 is four times as much. Ends with a table of what was tried,
# how often, and what came of it (tests/README.md), and with all that was SKIPPED.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

export TORTURE=${TORTURE:-1}
readonly kept=$PWD/target/torture
export TORTURE_TALLY=$kept/tally.tsv
mkdir -p "$kept"
rm -f "$kept"/*
failed=()

# part NAME COMMAND..: runs it with the least claim to the machine, shows what it says, and keeps that
part() {
	local name=$1
	shift
	printf '\n=== %s (%d s so far)\n' "$name" "$SECONDS"
	nice -n 10 "$@" 2>&1 | tee "$kept/${name// /-}.log"
	[ "${PIPESTATUS[0]}" = 0 ] || failed+=("$name")
}

# tally WHAT COUNT OUTCOME
tally() { printf '%s\t%s\t%s\n' "$@" >>"$TORTURE_TALLY"; }

part 'build' cargo build --quiet --locked --bins --examples

# A test each in four threads: most of their time is waiting.
part 'steps, kills, lies, crowds, hostile input' cargo test --quiet --locked --test it -- --test-threads=4 \
	steps:: kills:: liar:: liar_at_login:: crowd:: hostile:: safety::

rounds=(--rounds $((25 * TORTURE)))
[ "$TORTURE" -gt 1 ] || rounds=(--short)
part 'races' python3 tests/interop/race.py "${rounds[@]}"
raced=$(sed -n 's/^\([0-9]*\) rounds raced in [0-9]* s: \(.*\); SKIPPED.*/\1\t\2/p' "$kept/races.log")
[ -z "$raced" ] || tally 'rounds raced: we and the AWS tools' "${raced%%$'\t'*}" "${raced#*$'\t'}"

part 'configs' python3 tests/interop/config_differential.py --cases $((3000 * TORTURE))
cases=$(sed -n 's/.*: \([0-9]*\) cases, .*/\1/p' "$kept/configs.log")
[ -z "$cases" ] || tally 'configs compared with botocore' "$cases" 'no difference'

part 'fuzzing' env FUZZ_SECONDS=$((40 * TORTURE)) tests/fuzz/run.sh
while read -r target inputs _ _ seconds _ edges _; do
	tally "inputs fuzzed: $target" "$inputs" "no fault; $edges edges reached in $seconds s"
done < <(grep ' inputs in ' "$kept/fuzzing.log")

# One line for each kind of attempt, and the sum of each kind.
{
	printf '\n=== what was tried, in %d minutes, TORTURE=%s\n\n' $((SECONDS / 60)) "$TORTURE"
	awk -F'\t' '{ printf "%-52s %13d  %s\n", $1, $2, $3 }' "$TORTURE_TALLY" | sort
	printf '\n'
	awk -F'\t' '{ kind = $1; sub(/:.*/, "", kind); sum[kind] += $2 }
		END { for (kind in sum) printf "%-52s %13d\n", kind " in all", sum[kind] }' "$TORTURE_TALLY" | sort
	printf '\n'
	grep -h SKIPPED "$kept"/*.log | sed 's/.*SKIPPED/SKIPPED/' | grep -v '^SKIPPED 0: nothing' | sort -u || echo 'nothing was skipped'
	[ ${#failed[@]} = 0 ] || printf 'FAILED %s\n' "${failed[@]}"
} | tee "$kept/summary"
[ ${#failed[@]} = 0 ]
