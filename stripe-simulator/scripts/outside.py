"""What the drivers from outside share: the simulator's process and the clients' set-up."""

import atexit
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.request
import venv

HERE = pathlib.Path(__file__).resolve().parent
OUTSIDE = HERE.parent / "tests" / "outside"
WORKSPACE = HERE.parent.parent
# The account's default version where a script is older than the pinned version:
# the CLI sends no Stripe-Version, and its scripts use parameters that newer
# versions no longer take.
OLD_API_VERSION = "2025-02-24.acacia"


def build():
    """Builds the simulator and answers the path of its binary."""
    override = os.environ.get("STRIPE_SIMULATOR_BIN")
    if override:
        return pathlib.Path(override)
    command = ["cargo", "build", "--quiet", "-p", "stripe-simulator", "--bin", "stripe-simulator"]
    subprocess.run(command, cwd=WORKSPACE, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", WORKSPACE / "target"))
    return target / "debug" / "stripe-simulator"


@contextlib.contextmanager
def simulator(*arguments):
    """Runs the simulator on a free port; yields its base URL."""
    command = [str(build()), "--listen", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        address = re.search(r"http://[0-9.]+:\d+", line)
        if address is None:
            raise RuntimeError(f"the simulator did not name its address: {line!r}")
        yield address.group(0)
    finally:
        process.terminate()
        process.wait(timeout=10)


def call(base, method, path, body=None, key="sk_test_simulator"):
    """One request; answers its JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, method=method)
    request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def violations(base):
    """Where answers, and what events are about, differ from Stripe's response shapes."""
    return call(base, "GET", "/_simulator/violations")["data"]


def node_modules():
    """Installs the pinned npm packages unless they are there."""
    installed = OUTSIDE / "node_modules" / ".package-lock.json"
    lock = OUTSIDE / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        # Neither package needs its install scripts.
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=OUTSIDE, check=True)
        installed.touch()
    return OUTSIDE / "node_modules"


def python():
    """A virtual environment with the pinned SDK; answers its interpreter."""
    home = WORKSPACE / "target" / "outside-python"
    interpreter = home / "bin" / "python"
    stamp = home / "requirements.txt"
    wanted = (OUTSIDE / "requirements.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(home, with_pip=True)
        install = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps", "-r"]
        subprocess.run([*install, str(OUTSIDE / "requirements.txt")], check=True)
        stamp.write_text(wanted)
    return interpreter


def clean_environment():
    """The environment for a client: no settings of the caller's own Stripe tools."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STRIPE_")}
    home = tempfile.mkdtemp(prefix="stripe-simulator-outside-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return kept | {"HOME": home, "XDG_CONFIG_HOME": home, "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
