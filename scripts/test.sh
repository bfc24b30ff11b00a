#!/usr/bin/env bash
# Everything that must hold, from a fresh clone: sets up what it needs, runs every step even when an
# earlier one failed, prints a summary, and fails if a step did.
#
#   scripts/test.sh [--full] [--only <step>[,<step>...]]
#
# --full runs 10,000 generated API cases instead of a quick tier, the reliability suite with its large
# numbers, and the billing scripts of Stripe's CLI against the simulator. A cluster named in
# PORTAL_BILLING_TEST_POSTGRES_URL is used instead of a throw-away one.
set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/postgres.sh
. "$root/scripts/postgres.sh"
cd "$root" || exit 1

# What a next build would take up again is gigabytes, and the crates are built once here.
export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"

full="" only=""
while [ $# -gt 0 ]; do
  case "$1" in
    --full) full=yes ;;
    --only) only=",${2:?--only needs the names of steps},"; shift ;;
    *) say "usage: scripts/test.sh [--full] [--only <step>[,<step>...]]"; exit 2 ;;
  esac
  shift
done

# The large numbers take as long as the code does, not as long as it compiles.
[ -z "$full" ] || export CARGO_PROFILE_DEV_OPT_LEVEL="${CARGO_PROFILE_DEV_OPT_LEVEL:-1}"

trap stop_postgres EXIT
trap 'exit 130' INT TERM

summary=() failed=0
# What a step answers that a machine cannot run and that does not decide.
absent=77
# step <name> <command>...: runs it, unless --only names others.
step() {
  local name="$1" began="$SECONDS" result=ok status=0; shift
  case "$only" in "" | *",$name,"*) ;; *) return ;; esac
  printf '\n== %s\n' "$name"
  "$@" || status=$?
  case "$status" in
    0) ;;
    "$absent") result="not run" ;;
    *) result=FAILED failed=$((failed + 1)) ;;
  esac
  summary+=("$(printf '%-18s %-7s %5d s' "$name" "$result" "$((SECONDS - began))")")
}

# component <cargo command> <its component>: Rust may be installed without it, and not by rustup.
component() {
  cargo "$1" --version > /dev/null 2>&1 && return
  { command -v rustup > /dev/null && rustup component add "$2" >&2; } && return
  say "cargo $1 is missing; install the component $2 to have this step."
  return "$absent"
}

check_format() { component fmt rustfmt && cargo fmt --all --check; }
check_clippy() { component clippy clippy && cargo clippy --workspace --all-targets --quiet -- -D warnings; }

# Built together with the tests, the binaries have other features of the same crates than built alone.
tested=""
build_binaries() { cargo build --workspace --bins ${tested:+--tests} --quiet; }

run_tests() {
  local status=0
  tested=yes
  start_postgres || return 1
  [ -z "$full" ] || export PORTAL_BILLING_TEST_FULL=1
  # Old lines say nothing of this run.
  rm -rf "$target/tmp/scorecard"
  if cargo nextest --version > /dev/null 2>&1; then
    cargo nextest run --workspace --no-fail-fast --status-level fail --final-status-level slow || status=$?
  else
    cargo test --workspace --no-fail-fast --quiet --all-targets || status=$?
  fi
  # A database for each test is gigabytes, which the steps after this one need not find taken.
  stop_postgres
  return "$status"
}

run_doc_tests() { cargo test --workspace --quiet --doc; }

check_openapi() { build_binaries && "$target/debug/portal-billing" openapi --check openapi/openapi.json; }

lint_openapi() {
  need_npm_tools && REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
    scripts/tools/node_modules/.bin/redocly lint --config openapi/redocly.yaml --format stylish openapi/openapi.json
}

run_generated_cases() {
  need_python && build_binaries && python tests/generated/run.py --binaries "$target/debug" ${full:+--full}
}

run_sdk_clients() {
  need_python && need_npm_tools && build_binaries && python tests/sdk/run.py --binaries "$target/debug"
}

run_outside_clients() {
  need_python && need_node && build_binaries \
    && STRIPE_SIMULATOR_BIN="$target/debug/stripe-simulator" stripe-simulator/scripts/outside_clients.sh
}

run_simulator_score() {
  need_python && need_node && build_binaries \
    && STRIPE_SIMULATOR_BIN="$target/debug/stripe-simulator" stripe-simulator/scripts/simulator_score.sh
}

command -v cargo > /dev/null || { say "Rust is missing: https://rustup.rs"; exit 1; }
need_compiler || exit 1

step format check_format
step clippy check_clippy
step tests run_tests
step scorecard scripts/scorecard.sh
step doc-tests run_doc_tests
step openapi check_openapi
step openapi-lint lint_openapi
step generated-cases run_generated_cases
step sdk-clients run_sdk_clients
step outside-clients run_outside_clients
[ -z "$full" ] || step simulator-score run_simulator_score

printf '\n== summary\n'
printf '%s\n' "${summary[@]}"
printf '%-18s %-7s %5d s\n' total "$([ "$failed" -eq 0 ] && echo ok || echo FAILED)" "$SECONDS"
[ "$failed" -eq 0 ]
