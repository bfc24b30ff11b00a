"""Drives signed events and requests at a portal with many subscriptions, and prints what that cost, as
run.sh asks."""

import argparse
import json
import os
import platform

from bench import Lite, Postgres, options_of, peak, serving


def measure(options, database, out):
    """One engine: new events, the same ones again, new ones at half the rate; reads; creation."""
    results = out[database.name] = {}
    with serving(options, database) as service:
        database.fill(options.subscriptions, service.account)
        many = {"events": options.events, "subscriptions": options.subscriptions}

        def timed(**more):
            return service.timed(**(many | more))

        timed(run=1, events=2_000)
        if isinstance(database, Postgres):
            ceiling = database.ceiling(service.home, options.connections)
            results["pgbench insert"] = dict(zip(("per_second", "database_us"), ceiling))
        results["new events"] = timed(run=2)
        results["the same again"] = timed(run=2)
        results["four copies of new ones"] = timed(run=3, copies=4, events=options.events // 4)
        rate = int(results["new events"]["per_second"] / 2)
        results["new events at half the rate"] = timed(run=4, rate=rate)
        reads = service.asked_of_stripe()
        if isinstance(database, Postgres):
            ceiling = database.selecting(service.home, options.connections, options.subscriptions)
            results["pgbench select"] = dict(zip(("per_second", "database_us"), ceiling))
        # Every customer may subscribe to it once, and Stripe has nothing to do with it.
        service.publish("open", {"id": "free", "title": "Free", "pricing": {"model": "free"}})
        subscriptions = "/v1/portals/bench/subscriptions"
        access = {"path": f"{subscriptions}/subn_@N@/access"}
        busy = min(options.subscriptions, 1_000)
        asked = {
            "hello": {"path": "/healthz"},
            "one subscription": {"path": f"{subscriptions}/subn_@N@"},
            "access, each asked twice": access,
            "access, each asked often": access | {"subscriptions": busy},
            "a customer's subscriptions": {"path": f"{subscriptions}?customer=ext:ext-@N@&limit=10"},
        }
        for what, more in asked.items():
            results[what] = timed(run=5, **more)
        order = {"path": subscriptions, "events": min(options.events, options.subscriptions)}
        order["body"] = json.dumps({"customer": "ext:ext-@N@", "product": "open", "plan": "free"})
        results["free subscriptions made"] = timed(run=6, **order)
        results["the same keys again"] = timed(run=6, **order)
        results["memory"] = {"peak_mib": peak(service.pid)}
        results["reads from Stripe"] = {"count": reads.get("GET /v1/subscriptions/{subscription_exposed_id}", 0)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--subscriptions", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=64)
    options = options_of(parser)
    out = {}
    measure(options, Postgres(options), out)
    measure(options, Lite(options), out)
    print(f"{platform.platform()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for name, results in out.items():
        print(f"\n{name}")
        for what, result in results.items():
            figures = ", ".join(
                f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}"
                for key, value in result.items()
            )
            print(f"  {what}: {figures}")
    inserted = out["PostgreSQL"]["pgbench insert"]["per_second"]
    selected = out["PostgreSQL"]["pgbench select"]["per_second"]
    for name, results in out.items():
        of = lambda what, whole: results[what]["per_second"] / whole  # noqa: E731
        used = lambda what: results[what]["service_us"] + results[what]["database_us"]  # noqa: E731
        hello = results["hello"]["per_second"]
        print(
            f"{name}: new events {of('new events', inserted):.2f} of pgbench's inserts (target 0.7),"
            f" a repeated one {used('the same again') / used('new events'):.2f} of a new one's processor time (0.33),"
            f" one subscription {of('one subscription', selected):.2f} of pgbench's selects (0.3),"
            f" access {of('access, each asked often', hello):.2f} of the hello route (0.7)"
        )


if __name__ == "__main__":
    main()
