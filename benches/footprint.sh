#!/usr/bin/env bash
# Measures what an operator pays for the service: start, memory, size; with --cold-build also the
# build. Prints a table; docs/performance.md keeps the results that count.
#
#   benches/footprint.sh [--cold-build] [--binary <file>]
#
# Fails when a target is missed. --cold-build compiles every crate anew into a directory of its own;
# --binary measures one that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

cold="" binary=""
while [ $# -gt 0 ]; do
  case "$1" in
    --cold-build) cold=yes ;;
    --binary) binary="${2:?--binary needs a file}"; shift ;;
    *) echo "usage: benches/footprint.sh [--cold-build] [--binary <file>]" >&2; exit 2 ;;
  esac
  shift
done

home="$(mktemp -d "${TMPDIR:-/tmp}/portal-billing-footprint.XXXXXX")"
trap 'rm -rf "$home"' EXIT

if [ -n "$cold" ]; then
  cargo fetch --locked --quiet
  exec 3> "$home/build"
  TIMEFORMAT="%R %U %S"
  { time CARGO_TARGET_DIR="$home/target" cargo build --release --locked --quiet --bin portal-billing 2> "$home/build.log"; } 2>&3 \
    || { cat "$home/build.log" >&2; exit 1; }
  BUILD_SECONDS="$(cat "$home/build")"
  export BUILD_SECONDS
  binary="$home/target/release/portal-billing"
elif [ -z "$binary" ]; then
  cargo build --release --locked --quiet --bin portal-billing
  binary="${CARGO_TARGET_DIR:-target}/release/portal-billing"
fi

python3 benches/footprint.py "$binary" "$home"
