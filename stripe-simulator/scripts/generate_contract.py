#!/usr/bin/env python3
"""Generates the simulator's contract from Stripe's official Python SDK.

    generate_contract.py                    write ../contract from the pinned version
    generate_contract.py --check            fail if ../contract is not what would be written
    generate_contract.py --diff OLD NEW     print what changed between two SDK versions

The SDK (PyPI `stripe`, MIT) is downloaded with pip into target/stripe-sdk and
parsed, never imported. The pinned version and its hash stand in
contract-requirements.txt. Output is deterministic: one operation or type a
line, so that a diff of two versions reads.
"""

import argparse
import ast
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import venv
import zipfile

from sdk_schema import ParamsReader, ResponseReader, Sdk, parse_annotation, subscript

HERE = pathlib.Path(__file__).resolve().parent
CONTRACT = HERE.parent / "contract"
CACHE = HERE.parent.parent / "target" / "stripe-sdk"
REQUIREMENTS = HERE / "contract-requirements.txt"

# The operations of a billing integration, by path. Everything else of Stripe
# (Connect, Issuing, Treasury, Terminal, ...) is out of the simulator's scope.
SERVED = [
    r"/v1/account$",
    r"/v1/balance$",
    r"/v1/balance_transactions",
    r"/v1/billing/",
    r"/v1/billing_portal/",
    r"/v1/charges",
    r"/v1/checkout/sessions",
    r"/v1/coupons",
    r"/v1/credit_notes",
    r"/v1/customers",
    r"/v1/disputes",
    r"/v1/events",
    r"/v1/invoice_payments",
    r"/v1/invoiceitems",
    r"/v1/invoices",
    r"/v1/mandates",
    r"/v1/payment_intents",
    r"/v1/payment_links",
    r"/v1/payment_methods",
    r"/v1/plans",
    r"/v1/prices",
    r"/v1/products",
    r"/v1/promotion_codes",
    r"/v1/quotes",
    r"/v1/refunds",
    r"/v1/setup_attempts",
    r"/v1/setup_intents",
    r"/v1/sources",
    r"/v1/subscription_items",
    r"/v1/subscription_schedules",
    r"/v1/subscriptions",
    r"/v1/tax/calculations",
    r"/v1/tax_codes",
    r"/v1/tax_ids",
    r"/v1/tax_rates",
    r"/v1/test_helpers/test_clocks",
    r"/v1/tokens",
    r"/v1/webhook_endpoints",
    r"/v2/billing/",
    r"/v2/core/event_destinations",
    r"/v2/core/events",
]
# Resources that are only met inside others.
EMBEDDED = ["stripe._discount:Discount"]


def is_served(path):
    return any(re.match(pattern, path) for pattern in SERVED)


def pinned_version():
    """The version that contract-requirements.txt pins."""
    return re.search(r"^stripe==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE).group(1)


def download(version):
    """Unpacks the SDK's wheel and answers the folder it lies in."""
    target = CACHE / version
    if (target / "stripe" / "_api_version.py").exists():
        return target
    pip = CACHE / "venv" / "bin" / "pip"
    if not pip.exists():
        venv.create(CACHE / "venv", with_pip=True)
    wanted = [f"stripe=={version}"]
    if version == pinned_version():
        wanted = ["--require-hashes", "-r", str(REQUIREMENTS)]
    flags = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(CACHE)]
    subprocess.run([str(pip), "download", *flags, *wanted], check=True)
    with zipfile.ZipFile(CACHE / f"stripe-{version}-py3-none-any.whl") as wheel:
        wheel.extractall(target)
    return target


def request_calls(method):
    """`(verb, path)` of each request that a service method makes."""
    for node in ast.walk(method):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in ("_request", "_request_stream"):
            continue
        verb, path = node.args[0], node.args[1]
        if isinstance(path, ast.Call):
            path = path.func.value
        yield verb.value, path.value


def params_annotation(method):
    """The annotation of the argument `params`, or None."""
    for argument in method.args.args:
        if argument.arg == "params":
            annotation = parse_annotation(argument.annotation)
            generic, inner = subscript(annotation)
            return inner[0] if generic == "Optional" else annotation
    return None


def service_methods(sdk):
    """All synchronous methods of all services of the SDK."""
    for name in sdk.files("*_service.py"):
        module = sdk.module(name)
        for service in module.classes.values():
            for method in service.body:
                if isinstance(method, ast.FunctionDef):
                    yield module, method


def read_operations(sdk):
    """`{path: {verb: (module, method)}}` of the served operations."""
    operations = {}
    for module, method in service_methods(sdk):
        for verb, path in request_calls(method):
            if is_served(path):
                operations.setdefault(path, {})[verb] = (module, method)
    return dict(sorted(operations.items()))


def request_contract(sdk, operations):
    """The request schema of each operation, with the types they share."""
    reader = ParamsReader(sdk)
    named = {}
    for path, verbs in operations.items():
        for verb, (module, method) in sorted(verbs.items()):
            annotation = params_annotation(method)
            schema = {} if annotation is None else reader.schema(annotation, module, None)
            reference = schema.get("$ref", "").rsplit("/", 1)[-1]
            named.setdefault(path, {})[verb] = reference or None
    return {
        "operations": named,
        "components": {"schemas": dict(sorted(reader.schemas.items()))},
    }


def returned_classes(method):
    """`(class names, is a page)` of what an operation answers."""
    annotation = parse_annotation(method.returns)
    generic, inner = subscript(annotation)
    page = generic in ("ListObject", "SearchResultObject")
    node = parse_annotation(inner[0]) if page else annotation
    generic, inner = subscript(node)
    members = [parse_annotation(member) for member in inner] if generic == "Union" else [node]
    return [member.id for member in members if isinstance(member, ast.Name)], page


def object_name(node):
    """The value of a resource class's `OBJECT_NAME`, or None."""
    for item in node.body:
        target = getattr(item, "target", None) or (getattr(item, "targets", None) or [None])[0]
        if getattr(target, "id", None) == "OBJECT_NAME" and isinstance(item.value, ast.Constant):
            return item.value.value
    return None


class ServedReader(ResponseReader):
    """A response reader that describes served resources and leaves others open."""

    def __init__(self, sdk, served):
        super().__init__(sdk)
        self.served = served

    def define(self, path, module):
        node = module.classes[path[0]]
        if object_name(node) and (module.name, path[0]) not in self.served:
            return {"type": "object"}
        return super().define(path, module)


def response_shapes(sdk, operations):
    """The shape of every served resource and what each operation answers."""
    served, answers = set(), {}
    for path, verbs in operations.items():
        for verb, (module, method) in sorted(verbs.items()):
            names, page = returned_classes(method)
            classes = [module.imports[name] for name in names if name in module.imports]
            classes = [found for found in classes if found[0].startswith("stripe.")]
            served.update(classes)
            if len(classes) == 1:
                answers.setdefault(path, {})[verb] = (*classes[0], page)
    served.update(tuple(name.split(":")) for name in EMBEDDED)
    reader = ServedReader(sdk, served)
    objects, keys = {}, {}
    for source, original in sorted(served):
        module = sdk.module(source)
        reference = reader.define([original], module)
        keys[(source, original)] = reference.get("$ref", "").removeprefix("#/$defs/")
        name = object_name(module.classes[original])
        if name:
            objects[name] = keys[(source, original)]
    returns = {
        path: {verb: ("list:" if page else "") + keys[(s, o)] for verb, (s, o, page) in verbs.items()}
        for path, verbs in answers.items()
    }
    return {
        "objects": dict(sorted(objects.items())),
        "returns": returns,
        "$defs": dict(sorted(reader.schemas.items())),
    }


def generate(version):
    """`(request contract, response shapes)` of one SDK version."""
    sdk = Sdk(download(version))
    operations = read_operations(sdk)
    head = {"api_version": sdk.api_version(), "source": f"stripe=={version} (PyPI, MIT)"}
    return head | request_contract(sdk, operations), head | response_shapes(sdk, operations)


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def lines(value, depth):
    """JSON with one entry a line down to `depth`, minified below."""
    if depth == 0 or not isinstance(value, dict):
        return compact(value)
    if list(value) == ["schemas"]:
        return '{"schemas":' + lines(value["schemas"], depth - 1) + "}"
    body = ",\n".join(f"{compact(k)}:{lines(v, depth - 1)}" for k, v in value.items())
    return "{\n" + body + "\n}"


def render(version):
    """The files of ../contract by name."""
    requests, responses = generate(version)
    files = {
        "requests.json": lines(requests, 2) + "\n",
        "responses.json": lines(responses, 2) + "\n",
    }
    sums = [f"{hashlib.sha256(t.encode()).hexdigest()}  {n}\n" for n, t in sorted(files.items())]
    files["SHA256SUMS"] = "".join(sums)
    return files


def flatten(schema, schemas, prefix=""):
    """`{"items[].price": "string required", ...}` of one request schema."""
    found = {}
    for option in schema.get("anyOf", [schema]):
        reference = option.get("$ref")
        target = schemas[reference.rsplit("/", 1)[-1]] if reference else option
        if "properties" in target:
            for name, inner in target["properties"].items():
                path = f"{prefix}.{name}" if prefix else name
                required = name in target.get("required", [])
                found[path] = kind_of(inner) + (" (required)" if required else "")
                found.update(flatten(inner, schemas, path))
        elif target.get("type") == "array":
            found.update(flatten(target["items"], schemas, prefix + "[]"))
        elif isinstance(target.get("additionalProperties"), dict):
            found.update(flatten(target["additionalProperties"], schemas, prefix + ".*"))
    return found


def kind_of(schema):
    """One readable word or two for a schema."""
    if "anyOf" in schema:
        return " | ".join(kind_of(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " ".join(json.dumps(value) for value in schema["enum"])
    if "$ref" in schema:
        return "object"
    return schema.get("type", "any")


def compare(title, old, new):
    """Prints what was added to, removed from and changed between two flat maps."""
    changes = [f"  + {name}: {new[name]}" for name in sorted(new.keys() - old.keys())]
    changes += [f"  - {name}: {old[name]}" for name in sorted(old.keys() - new.keys())]
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            changes.append(f"  ~ {name}: {words(old[name], new[name])}")
    if changes:
        print("\n".join([title, *changes]))


def words(old, new):
    """For long enums only the values that came and went."""
    before, after = old.split(" "), new.split(" ")
    if len(before) < 8:
        return f"{old} -> {new}"
    came = [f"+{word}" for word in after if word not in before]
    return " ".join(came + [f"-{word}" for word in before if word not in after])


def diff(old_version, new_version):
    """Prints the differences of two SDK versions over the served operations."""
    (old, old_shapes), (new, new_shapes) = generate(old_version), generate(new_version)
    print(f"API {old['api_version']} ({old_version}) -> {new['api_version']} ({new_version})")
    tables = []
    for contract in (old, new):
        schemas = contract["components"]["schemas"]
        tables.append({
            f"{verb.upper()} {path}": flatten(schemas[key], schemas) if key else {}
            for path, verbs in contract["operations"].items()
            for verb, key in verbs.items()
        })
    for operation in sorted(tables[1].keys() - tables[0].keys()):
        print(f"operation added: {operation}")
    for operation in sorted(tables[0].keys() - tables[1].keys()):
        print(f"operation removed: {operation}")
    for operation in sorted(tables[0].keys() & tables[1].keys()):
        compare(operation, tables[0][operation], tables[1][operation])
    before, after = old_shapes["$defs"], new_shapes["$defs"]
    for name in sorted(before.keys() | after.keys()):
        compare(f"object {name}", fields(before.get(name)), fields(after.get(name)))


def fields(shape):
    """`{field: kind}` of one response shape."""
    properties = (shape or {}).get("properties", {})
    return {name: kind_of(inner) for name, inner in properties.items()}


def check(files):
    """Names the committed files that differ from what would be generated."""
    stale = [
        name
        for name, text in files.items()
        if not (CONTRACT / name).exists() or (CONTRACT / name).read_text(encoding="utf-8") != text
    ]
    for name in stale:
        print(f"contract/{name} is not what scripts/generate_contract.py writes", file=sys.stderr)
    return 1 if stale else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--diff", nargs=2, metavar=("OLD", "NEW"), help="two SDK versions")
    arguments = parser.parse_args()
    if arguments.diff:
        diff(*arguments.diff)
        return 0
    files = render(pinned_version())
    if arguments.check:
        return check(files)
    CONTRACT.mkdir(exist_ok=True)
    for name, text in files.items():
        (CONTRACT / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
