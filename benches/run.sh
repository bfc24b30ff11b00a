#!/usr/bin/env bash
# Measures the release build on both databases; docs/performance.md keeps the results that count.
#
#   benches/run.sh ingest|creation|growth [--binaries <directory>] [--<option> <n>]...
#
# ingest: signed customer.subscription.updated events, each changing a subscription, reads, and creation of
#   free subscriptions, beside single-row inserts and selects by pgbench with synchronous commit and a route
#   that does nothing, in the same run; with the processor time of the service and of the database.
# creation: paid subscriptions beside Stripe's SDK for Node.js calling the same Stripe, which takes 50 ms.
# growth: the same requests with ten thousand and with a million subscriptions.
#
# --binaries names where portal-billing, stripe-simulator and the driver `ingest` are built already; the
# other options are those of the script in Python.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/postgres.sh
. scripts/postgres.sh

usage() { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }

binaries="" options=() what="${1:-}"
case "$what" in ingest | creation | growth) shift ;; *) usage ;; esac
while [ $# -gt 0 ]; do
  case "$1" in
    --binaries) binaries="${2:?--binaries needs a directory}"; shift ;;
    --*) options+=("$1" "${2:?$1 needs a number}"); shift ;;
    *) usage ;;
  esac
  shift
done

home="$(mktemp -d "${TMPDIR:-/tmp}/portal-billing-bench.XXXXXX")"
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
if [ "$what" = creation ]; then
  need_node
  (cd stripe-simulator/tests/outside && npm ci --ignore-scripts --no-audit --no-fund --silent)
fi

# What is measured here has to reach the disk.
unset PORTAL_BILLING_TEST_POSTGRES_URL
durable=yes start_postgres
url="$PORTAL_BILLING_TEST_POSTGRES_URL"
python3 "benches/$what.py" --binaries "$binaries" --home "$home" --postgres "$url" \
  --postgres-binaries "$postgres_bin" --postmaster "$(head -1 "$postgres_home/data/postmaster.pid")" "${options[@]}"
