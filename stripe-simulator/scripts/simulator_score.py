#!/usr/bin/env python3
"""Scores the simulator with the billing scripts of Stripe's official CLI.

Each script is `stripe trigger <event>`: it creates whatever the event needs.
A script passes if the CLI reports success; it is confirmed if the event it is
named after has then really happened, which is asked of `/v1/events`.

    simulator_score.py [event ...]     all scripts, or only the named ones
"""

import json
import shutil
import subprocess
import sys
import urllib.parse

import outside

KEY = "sk_test_simulator"
# The score never falls below this; raise it when the score rises.
FLOOR = 89


def read_list():
    """`[(kind, event to trigger, event to see)]` from cli_events.txt."""
    rows = []
    for line in (outside.OUTSIDE / "cli_events.txt").read_text().splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        if kind in ("score", "extra"):
            trigger, _, seen = rest.partition("->")
            rows.append((kind, trigger.strip(), seen.strip() or trigger.strip()))
    return rows


def trigger(cli, base, event, environment):
    """Runs one script; answers None or why it failed."""
    command = [str(cli), "trigger", event, "--api-base", base, "--api-key", KEY]
    try:
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return "still running after 60 s"
    if run.returncode == 0 and "Trigger succeeded" in run.stdout + run.stderr:
        return None
    return cause(run.stdout + run.stderr)


def cause(output):
    """The one line that says why: the step and the server's message."""
    step, why = "", output.strip().splitlines()[-1] if output.strip() else "no output"
    for line in output.splitlines():
        if line.startswith("Running fixture for:"):
            step = line.removeprefix("Running fixture for:").strip()
        if "Trigger failed" in line:
            why = line.removeprefix("Trigger failed:").strip()
    start = output.find("{", output.find("Trigger failed"))
    if start >= 0:
        try:
            error = json.JSONDecoder().raw_decode(output[start:])[0].get("error", {})
            why = f"{error.get('type')}: {error.get('message')}"
        except ValueError:
            pass
    return f"at {step}: {why}" if step else why


def happened(base, event):
    """Whether an event of this type is in the account's list."""
    query = urllib.parse.urlencode({"type": event, "limit": 1})
    return bool(outside.call(base, "GET", f"/v1/events?{query}", key=KEY)["data"])


def main():
    rows = read_list()
    if len(sys.argv) > 1:
        rows = [row for row in rows if row[1] in sys.argv[1:]]
    cli = outside.node_modules() / "@stripe" / "cli-linux-x64" / "bin" / "stripe"
    environment = outside.clean_environment()
    results = {}
    settings = ["--default-api-version", outside.OLD_API_VERSION, "--check-responses", "on"]
    with outside.simulator(*settings) as base:
        for _, event, seen in rows:
            failure = trigger(cli, base, event, environment)
            results[event] = (failure, failure is None and happened(base, seen))
        # Bank debits settle days later: what is not confirmed yet gets another look then.
        outside.call(base, "POST", "/_simulator/clock", {"advance_seconds": 14 * 86_400})
        for _, event, seen in rows:
            failure, confirmed = results[event]
            results[event] = (failure, confirmed or failure is None and happened(base, seen))
        found = outside.violations(base)
    shutil.rmtree(environment["HOME"], ignore_errors=True)
    return report(rows, results, found)


def report(rows, results, violations):
    """Prints the score; answers the exit status."""
    for kind, event, _ in rows:
        failure, confirmed = results[event]
        if failure is not None:
            print(f"FAIL {event} ({kind}): {failure}")
        elif not confirmed:
            print(f"unconfirmed {event} ({kind}): the script passed, the event was not seen")
    counted = [results[event] for kind, event, _ in rows if kind == "score"]
    passed = sum(1 for failure, _ in counted if failure is None)
    confirmed = sum(1 for _, seen in counted if seen)
    extra = [results[event] for kind, event, _ in rows if kind == "extra"]
    extra_passed = sum(1 for failure, _ in extra if failure is None)
    print(f"simulator score: {passed}/{len(counted)} billing scripts of the Stripe CLI pass")
    print(f"  confirmed by the event itself: {confirmed}/{len(counted)}")
    print(f"  answers and events that are not of Stripe's shape: {len(violations)}")
    for violation in violations:
        print(f"    {violation}")
    print(f"  not counted: {extra_passed}/{len(extra)} test clock scripts pass")
    if len(sys.argv) > 1:
        return 0 if passed == len(counted) and not violations else 1
    if passed < FLOOR:
        print(f"below the floor of {FLOOR}", file=sys.stderr)
        return 1
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
