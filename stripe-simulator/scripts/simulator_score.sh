#!/bin/sh
# Prints how many billing scripts of Stripe's CLI the simulator passes; fails below the floor.
exec python3 "$(dirname "$0")/simulator_score.py" "$@"
