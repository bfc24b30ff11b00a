"""Drives the simulator with Stripe's official Python SDK: `run.py BASE_URL KEY`."""

import pathlib
import sys

import harness

for path in sorted(pathlib.Path(__file__).parent.glob("checks_*.py")):
    __import__(path.stem)

if __name__ == "__main__":
    sys.exit(1 if harness.run(harness.Context(sys.argv[1], sys.argv[2])) else 0)
