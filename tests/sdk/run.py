#!/usr/bin/env python3
"""Generates a TypeScript and a Python client out of openapi/openapi.json, checks their types, and
runs the demo's journey through both against the service, with the simulator as its Stripe.

    run.py --binaries target/debug

What is generated stays in target/sdk, to be looked at.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))
from servers import service  # noqa: E402  (found by the line above)

DOCUMENT = ROOT / "openapi" / "openapi.json"
HOME = ROOT / "target" / "sdk"
TYPESCRIPT, PYTHON = HOME / "typescript", HOME / "python"
NPM_TOOLS = ROOT / "scripts" / "tools" / "node_modules"
# Answers and bodies that are any JSON at all: the description itself and an event of Stripe's. And
# what an event is about: any resource, as it looked when it happened, which may be long ago.
ANY_JSON = {"ServiceOpenapiResponses", "StripeHookReceiveData", "EventData"}
TYPE, UNKNOWN = re.compile(r"^export type (\w+) = "), re.compile(r"^    [^*]*\bunknown\b")


class Failed(Exception):
    """A command that did not succeed; its text is what the command printed."""


def run(command, **more):
    """Runs a command; answers what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
    )
    if done.returncode:
        raise Failed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def vague_types(text):
    """The generated types that say `unknown` although the document could know."""
    name, vague = "", set()
    for line in text.splitlines():
        if declared := TYPE.match(line):
            name = declared[1]
        if UNKNOWN.match(line) and "'unknown'" not in line and name not in ANY_JSON:
            vague.add(name)
    return vague


def generate_typescript():
    shutil.rmtree(TYPESCRIPT, ignore_errors=True)
    TYPESCRIPT.mkdir(parents=True)
    (TYPESCRIPT / "package.json").write_text('{"private": true, "type": "module"}\n')
    config = {
        "input": str(DOCUMENT),
        # The extension lets Node.js run the sources as they are.
        "output": {"path": str(TYPESCRIPT / "client"), "module": {"extension": ".ts"}},
        "plugins": ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"],
        "logs": {"file": False},
    }
    settings = TYPESCRIPT / "openapi-ts.config.mjs"
    settings.write_text(f"export default {json.dumps(config, indent=2)};\n")
    run([NPM_TOOLS / ".bin" / "openapi-ts", "--file", settings], cwd=TYPESCRIPT)
    if vague := vague_types((TYPESCRIPT / "client" / "types.gen.ts").read_text()):
        raise Failed(f"vague types in the TypeScript client: {sorted(vague)}")


def check_typescript():
    run([NPM_TOOLS / ".bin" / "tsc", "--project", HERE / "tsconfig.json"], cwd=HERE)


def generate_python():
    PYTHON.mkdir(parents=True, exist_ok=True)
    command = ["openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none"]
    command += ["--output-path", PYTHON / "portal_billing_client", "--overwrite"]
    command += ["--config", HERE / "python-client.yml"]
    # It warns of what it leaves out.
    run([*command, "--fail-on-warning"], cwd=PYTHON)


def check_python():
    command = [sys.executable, "-m", "mypy", "--config-file", HERE / "mypy.ini"]
    command += ["--cache-dir", HOME / "mypy"]
    environment = os.environ | {"MYPYPATH": str(PYTHON)}
    run([*command, HERE / "journey.py", PYTHON / "portal_billing_client"], env=environment)


def journeys(binaries):
    """Runs both, each in a portal of its own."""
    with tempfile.TemporaryDirectory(prefix="portal-billing-sdk-") as name:
        home = pathlib.Path(name)
        with service(binaries, home) as (base, token, stripe):
            clients = {
                "TypeScript": ["node", HERE / "journey.mts"],
                "Python": [sys.executable, HERE / "journey.py"],
            }
            for language, command in clients.items():
                environment = os.environ | {
                    "BASE_URL": base,
                    "TOKEN": token,
                    "STRIPE_URL": stripe,
                    "PORTAL": f"sdk-{language.lower()}",
                    "PYTHONPATH": str(PYTHON),
                    "PYTHONDONTWRITEBYTECODE": "1",
                }
                print(f"{language}:\n{run(command, env=environment)}", end="")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=pathlib.Path, required=True)
    binaries = parser.parse_args().binaries.resolve()
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda generate: generate(), [generate_typescript, generate_python]))
            checks = [pool.submit(check) for check in (check_typescript, check_python)]
            journeys(binaries)
            for check in checks:
                check.result()
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    print("Both clients are generated, type-checked and have made the journey.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
