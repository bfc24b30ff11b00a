#!/usr/bin/env python3
"""Runs Schemathesis over openapi/openapi.json against the service, with the simulator as its Stripe.

Both start on free ports with a fresh data directory. One portal is brought to ready first, so that
the cases meet something that is there.

    run.py --binaries target/debug [--full] [schemathesis option ...]
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))
from servers import call, service  # noqa: E402  (found by the line above)

# Cases per operation and phase; what comes of it in all is checked against the floor below.
QUICK_EXAMPLES, FULL_EXAMPLES = 30, 300
QUICK_FLOOR, FULL_FLOOR = 1_500, 10_000
# A run is the same every time; another seed is an argument away.
SEED = "20261123"


def prepare(base, token):
    """One portal that sells, under the names the document's examples use."""
    call(base, token, "PUT", "/v1/portals/acme", {"title": "Acme developer portal"})
    module = "/v1/portals/acme/modules/stripe"
    call(base, token, "PUT", module, {"enabled": True})
    keys = {"publishable_key": "pk_test_simulator", "secret_key": "sk_test_simulator"}
    call(base, token, "PUT", f"{module}/credentials", keys)
    call(base, token, "POST", f"{module}/webhook-endpoint")
    monthly = {"unit": "month", "count": 1}
    pricing = {"model": "flat", "price": {"amount": 1500, "currency": "usd"}, "interval": monthly}
    product = {"title": "Weather", "version": "1.0.0", "state": "published"}
    product["plans"] = [{"id": "gold", "title": "Gold", "pricing": pricing}]
    call(base, token, "PUT", "/v1/portals/acme/products/weather", product)
    customer = {"external_id": "globex", "name": "Globex GmbH", "email": "billing@globex.example"}
    call(base, token, "POST", "/v1/portals/acme/customers", customer)
    methods = "/v1/portals/acme/customers/ext:globex/payment-methods"
    card = {"payment_method": "pm_card_visa"}
    call(base, token, "POST", methods, card, {"Idempotency-Key": "prepare-card"})
    subscription = {"customer": "ext:globex", "product": "weather", "plan": "gold"}
    key = {"Idempotency-Key": "prepare-subscription"}
    call(base, token, "POST", "/v1/portals/acme/subscriptions", subscription, key)


def schemathesis(base, token, mode, full, home, more):
    """Runs it; answers its exit status and how many cases it sent."""
    report = home / f"{mode}.json"
    examples = FULL_EXAMPLES if full else QUICK_EXAMPLES
    command = ["schemathesis", "--config-file", HERE / "schemathesis.toml", "run"]
    command += [ROOT / "openapi" / "openapi.json", "--url", base, "--seed", SEED, "--mode", mode]
    command += ["--max-examples", str(examples), "--report-json-path", report, *more]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE),
        "PORTAL_BILLING_TOKEN": token,
    }
    run = subprocess.run([str(part) for part in command], env=environment, cwd=home, check=False)
    cases = json.loads(report.read_text())["test_cases"]["generated"] if report.exists() else 0
    return run.returncode, cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=pathlib.Path, required=True)
    parser.add_argument("--full", action="store_true")
    arguments, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="portal-billing-generated-") as name:
        home = pathlib.Path(name)
        with service(arguments.binaries.resolve(), home) as (base, token, _):
            prepare(base, token)
            # One mode after the other: together, a refused header of the one spoils the other's cases.
            runs = [
                schemathesis(base, token, mode, arguments.full, home, more)
                for mode in ("positive", "negative")
            ]
    cases = sum(sent for _, sent in runs)
    floor = FULL_FLOOR if arguments.full else QUICK_FLOOR
    if cases < floor:
        print(f"only {cases} cases, which is less than {floor}", file=sys.stderr)
        return 1
    print(f"{cases} generated cases")
    return max(status for status, _ in runs)


if __name__ == "__main__":
    sys.exit(main())
