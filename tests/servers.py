"""The service and the simulator as its Stripe, started on free ports for tests that come from outside."""

import contextlib
import json
import os
import re
import subprocess
import urllib.request

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


@contextlib.contextmanager
def service(binaries, home):
    """Both servers with their data below `home`; yields the service's address, a token that may do
    everything, and the simulator's address."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PORTAL_BILLING")}
    program = str(binaries / "portal-billing")
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
        address = stack.enter_context(process([program, "serve"], environment, "stderr", log))
        command = [program, "token", "--portal", "*", "--scope", "all", "--lifetime", "12h"]
        token = subprocess.check_output(command, env=environment, text=True).strip()
        yield f"http://{address}", token, f"http://{stripe}"


def call(base, token, method, path, body=None, more=None):
    """One call that has to succeed, with `more` headers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"} | (more or {})
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(base + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
