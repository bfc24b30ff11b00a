"""Makes paid subscriptions through the service, and at the same Stripe through its own SDK for Node.js, and
compares how long a caller waits, as run.sh asks. Stripe takes 50 ms for each answer."""

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import urllib.request

from bench import Lite, Postgres, call, options_of, serving

MODULE = "stripe-simulator/tests/outside/node_modules/stripe/esm/stripe.esm.node.js"


def at_stripe(service, path):
    request = urllib.request.Request(f"http://{service.stripe}{path}", headers={"Authorization": "Bearer sk_test_simulator"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def customer(service, number):
    """A customer with a card, who is known at Stripe; gives Stripe's ids of both."""
    made = {"external_id": f"made-{number}", "name": "Bench", "email": "b@bench.example"}
    service.call("POST", "/v1/portals/bench/customers", made)
    path = f"/v1/portals/bench/customers/ext:made-{number}/payment-methods"
    saved = {"payment_method": "pm_card_visa", "default": True}
    saved = service.call("POST", path, saved, {"Idempotency-Key": f"bench-card-{number}"})
    known = service.call("GET", f"/v1/portals/bench/customers/ext:made-{number}")
    return {"customer": known["stripe"]["customer"], "method": saved["stripe"]["payment_method"]}


def measure(options, database):
    with serving(options, database, latency_ms=options.latency) as service:
        price = {"amount": 1500, "currency": "usd"}
        pricing = {"model": "flat", "price": price, "interval": {"unit": "month", "count": 1}}
        service.publish("weather", {"id": "gold", "title": "Gold", "pricing": pricing})
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            made = list(pool.map(lambda number: customer(service, number), range(2 * options.count)))
        prices = at_stripe(service, "/v1/prices?limit=1")["data"]
        # What Stripe's events cost is measured by ingest.py, and Stripe is not this fast with them.
        call(f"http://{service.stripe}", "", "POST", "/_simulator/webhooks/plan", {"hold": True})
        file = service.home / "customers.json"
        file.write_text(json.dumps(made[options.count:]))
        before = service.asked_of_stripe()
        body = json.dumps({"customer": "ext:made-@N@", "product": "weather", "plan": "gold"})
        ours = service.timed(
            path="/v1/portals/bench/subscriptions", body=body, run=1, events=options.count,
            subscriptions=options.count, connections=1,
        )
        asked = {k: v - before.get(k, 0) for k, v in service.asked_of_stripe().items() if v > before.get(k, 0)}
        command = ["node", "benches/creation.mjs", str(pathlib.Path(MODULE).resolve()), service.stripe, prices[0]["id"], file]
        theirs = statistics.median(json.loads(subprocess.check_output(command)))
        print(
            f"{database.name}: p50 {ours['p50_ms']:.2f} ms through the service and {theirs:.2f} ms through the SDK,"
            f" {ours['p50_ms'] - theirs:+.2f} ms (target +3); p99 {ours['p99_ms']:.1f} ms;"
            f" {ours['service_us']:.0f} + {ours['database_us']:.0f} µs of processor time; asked of Stripe: {asked}"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--latency", type=int, default=50)
    parser.add_argument("--connections", type=int, default=1)
    options = options_of(parser)
    measure(options, Postgres(options))
    measure(options, Lite(options))


if __name__ == "__main__":
    main()
