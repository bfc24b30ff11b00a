#!/usr/bin/env bash
# Puts the lines that the reliability tests have written together as target/scorecard.json, and shows
# them: what was tried with which seed, and what was violated. Fails if anything was.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$root"

lines=("$target"/tmp/scorecard/*.json)
if [ ! -e "${lines[0]}" ]; then
  say "No reliability test has run since the last build: make test, or make test-full."
  exit 1
fi
commit="$(git rev-parse --verify HEAD 2> /dev/null || echo unknown)"
changed=false
[ -z "$(git status --porcelain 2> /dev/null)" ] || changed=true
{
  printf '{"commit":"%s","changed":%s,"tests":[\n' "$commit" "$changed"
  for line in "${lines[@]}"; do
    [ "$line" = "${lines[0]}" ] || printf ',\n'
    printf '%s' "$(cat "$line")"
  done
  printf '\n]}\n'
} > "$target/scorecard.json"

# field <name> <file>: a number or a word of a line.
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$2"; }

failed=0
printf '%-10s %-9s %-6s %10s %8s  %s\n' test database tier seed cases violations
for line in "${lines[@]}"; do
  violations=none
  if ! grep -q '"violations":\[\]' "$line"; then
    violations=VIOLATED failed=1
  fi
  printf '%-10s %-9s %-6s %10s %8s  %s\n' "$(field id "$line")" "$(field database "$line")" \
    "$(field tier "$line")" "$(field seed "$line")" "$(field cases "$line")" "$violations"
done
say "In full: ${target#"$root/"}/scorecard.json"
exit "$failed"
