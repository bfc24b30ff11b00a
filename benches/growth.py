"""What a hundred times as many subscriptions cost: the same requests at a few and at many, and how much more
processor time and patience they take, as run.sh asks."""

import argparse

from bench import Lite, Postgres, options_of, serving


def measure(options, make, count):
    """The costs with `count` subscriptions: processor time of a request, and its p99 at a set rate."""
    database = make(options, f"of_{count}")
    results = {}
    with serving(options, database) as service:
        database.fill(count, service.account)
        subscriptions = "/v1/portals/bench/subscriptions"
        kinds = {
            "new events": {},
            "one subscription": {"path": f"{subscriptions}/subn_@N@"},
            "access": {"path": f"{subscriptions}/subn_@N@/access"},
            "a customer's subscriptions": {"path": f"{subscriptions}?customer=ext:ext-@N@&limit=10"},
            "the newest subscriptions": {"path": f"{subscriptions}?limit=20"},
        }
        many = {"events": options.events, "subscriptions": count}
        for run, (what, kind) in enumerate(kinds.items(), start=1):
            # What is cold in one size is cold in the other.
            service.timed(**(many | kind | {"run": 2 * run, "events": options.events // 4}))
            results[what] = service.timed(**(many | kind | {"run": 2 * run + 1, "rate": options.rate}))
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--connections", type=int, default=64)
    options = options_of(parser)
    for make in (Postgres, Lite):
        few, many = (measure(options, make, count) for count in (options.few, options.many))
        print(f"\n{make.name}, {options.few} and {options.many} subscriptions, {options.rate} requests a second")
        for what, before in few.items():
            after = many[what]
            used = [result["service_us"] + result["database_us"] for result in (before, after)]
            print(
                f"  {what}: {used[0]:.0f} and {used[1]:.0f} µs of processor time, {used[1] / used[0]:.2f} (target 1.25);"
                f" p99 {before['p99_ms']:.1f} and {after['p99_ms']:.1f} ms, {after['p99_ms'] / before['p99_ms']:.2f} (1.3)"
            )


if __name__ == "__main__":
    main()
