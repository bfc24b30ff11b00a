#!/bin/sh
# Drives the simulator with Stripe's official Python and Node SDKs; fails if a check does.
exec python3 "$(dirname "$0")/outside_clients.py" "$@"
