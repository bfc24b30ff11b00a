#!/usr/bin/env python3
"""Runs Schemathesis over openapi/openapi.json against the service, with the simulator as its Stripe.

Both start on free ports with a fresh data directory. One portal is brought to ready first, so that
the cases meet something that is there.

    run.py --binaries target/debug [--full] [schemathesis option ...]
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Cases per operation and phase; what comes of it in all is checked against the floor below.
QUICK_EXAMPLES, FULL_EXAMPLES = 30, 300
QUICK_FLOOR, FULL_FLOOR = 1_500, 10_000
# A run is the same every time; another seed is an argument away.
SEED = "20261123"
STARTED = re.compile(r"(?:http://)?(127\.0\.0\.1:\d+)")


@contextlib.contextmanager
def process(command, environment, stream, log):
    """Runs a server until the end of the block; yields the address it names on `stream`."""
    pipes = {"stdout": log, "stderr": log} | {stream: subprocess.PIPE}
    server = subprocess.Popen(command, env=environment, text=True, **pipes)
    try:
        pipe = getattr(server, stream)
        for line in pipe:
            log.write(line)
            if address := STARTED.search(line):
                break
        else:
            raise RuntimeError(f"{command[0]} ended without naming its address; see {log.name}")
        # Keeps the pipe from filling up while the cases run.
        drain = subprocess.Popen(["cat"], stdin=pipe, stdout=log)
        yield address.group(1)
        if server.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {server.returncode}; see {log.name}")
        server.terminate()
        server.wait(timeout=60)
        drain.wait(timeout=10)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def call(base, token, method, path, body=None):
    """One call that has to succeed."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"}
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(base + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def prepare(base, token):
    """One portal that is ready, under the name the document's examples use."""
    call(base, token, "PUT", "/v1/portals/acme", {"title": "Acme developer portal"})
    module = "/v1/portals/acme/modules/stripe"
    call(base, token, "PUT", module, {"enabled": True})
    keys = {"publishable_key": "pk_test_simulator", "secret_key": "sk_test_simulator"}
    call(base, token, "PUT", f"{module}/credentials", keys)
    call(base, token, "POST", f"{module}/webhook-endpoint")


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
    binaries = arguments.binaries.resolve()
    service = str(binaries / "portal-billing")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PORTAL_BILLING")}
    with tempfile.TemporaryDirectory(prefix="portal-billing-generated-") as name:
        home = pathlib.Path(name)
        environment = kept | {
            "PORTAL_BILLING__DATA_DIR": str(home / "data"),
            "PORTAL_BILLING__DATABASE__URL": f"sqlite://{home}/data/portal-billing.db",
            "PORTAL_BILLING__SERVER__LISTEN": "127.0.0.1:0",
        }
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((home / "simulator.log").open("w"))
            command = [str(binaries / "stripe-simulator"), "--listen", "127.0.0.1:0"]
            stripe = stack.enter_context(process(command, kept, "stdout", log))
            environment["PORTAL_BILLING__STRIPE__BASE_URL"] = f"http://{stripe}"
            log = stack.enter_context((home / "service.log").open("w"))
            address = stack.enter_context(process([service, "serve"], environment, "stderr", log))
            command = [service, "token", "--portal", "*", "--scope", "all", "--lifetime", "12h"]
            token = subprocess.check_output(command, env=environment, text=True).strip()
            base = f"http://{address}"
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
