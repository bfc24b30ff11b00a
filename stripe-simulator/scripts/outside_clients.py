#!/usr/bin/env python3
"""Runs the round trips of Stripe's official Python and Node SDKs against the simulator."""

import subprocess
import sys

import outside

KEY = "sk_test_simulator"


def main():
    interpreter, modules = outside.python(), outside.node_modules()
    environment = outside.clean_environment() | {"NODE_PATH": str(modules)}
    failures = 0
    with outside.simulator("--check-responses", "on") as base:
        clients = {
            "python": [str(interpreter), str(outside.OUTSIDE / "python" / "run.py")],
            "node": ["node", str(outside.OUTSIDE / "node" / "run.js")],
        }
        for name, command in clients.items():
            if len(sys.argv) > 1 and name not in sys.argv[1:]:
                continue
            # A client that hangs is a failure like any other.
            run = subprocess.run([*command, base, KEY], env=environment, check=False, timeout=120)
            failures += run.returncode != 0
        found = outside.violations(base)
    for violation in found:
        print(f"not Stripe's shape: {violation}")
    failures += len(found)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
