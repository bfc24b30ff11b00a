#!/usr/bin/env bash
# Measures how fast Stripe's events are taken and the API is read: signed customer.subscription.updated events, each changing
# a subscription, beside single-row inserts by pgbench with synchronous commit in the same run, on both
# databases, with the processor time of the service and of the database per event. Prints a table;
# docs/performance.md keeps the results that count.
#
#   benches/ingest.sh [--binaries <directory>] [--events <n>] [--subscriptions <n>] [--connections <n>]
#
# --binaries names where portal-billing, stripe-simulator and the driver `ingest` are built already.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh

binaries="" options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --binaries) binaries="${2:?--binaries needs a directory}"; shift ;;
    --events | --subscriptions | --connections) options+=("$1" "${2:?$1 needs a number}"); shift ;;
    *) echo "usage: benches/ingest.sh [--binaries <directory>] [--events <n>] [--subscriptions <n>] [--connections <n>]" >&2; exit 2 ;;
  esac
  shift
done

home="$(mktemp -d "${TMPDIR:-/tmp}/portal-billing-ingest.XXXXXX")"
cleanup() { stop_postgres; rm -rf "$home"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

if [ -z "$binaries" ]; then
  cargo build --release --locked --quiet --workspace --bins
  cargo build --release --locked --quiet --bench ingest
  binaries="$home/binaries"
  mkdir "$binaries"
  cp "$target/release/portal-billing" "$target/release/stripe-simulator" "$binaries"
  cp "$(find "$target/release/deps" -maxdepth 1 -name 'ingest-*' -type f -executable -newer Cargo.toml | head -1)" "$binaries/ingest"
fi

# What is measured here has to reach the disk.
unset PORTAL_BILLING_TEST_POSTGRES_URL
durable=yes start_postgres
url="$PORTAL_BILLING_TEST_POSTGRES_URL"
python3 benches/ingest.py --binaries "$binaries" --home "$home" --postgres "$url" \
  --postgres-binaries "$postgres_bin" --postmaster "$(head -1 "$postgres_home/data/postmaster.pid")" "${options[@]}"
