"""Reads the sources of Stripe's Python SDK into JSON Schemas.

The SDK is generated from Stripe's OpenAPI description and is the only public
artifact that is versioned together with the API: each release pins one API
version and spells out every parameter and every field as Python annotations.
The sources are parsed, never imported, so reading them runs none of them.
"""

import ast
import pathlib

DECIMAL_PATTERN = r"^-?\d+(\.\d+)?$"
PARAMS_REF = "#/components/schemas/"
DEFS_REF = "#/$defs/"


class Module:
    """One parsed source file of the SDK with the names it defines and imports."""

    def __init__(self, name, tree):
        self.name = name
        self.imports = {}
        self.classes = {}
        self.functional = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = (node.module, alias.name)
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                self.classes[node.name] = node
            elif is_functional_typed_dict(node):
                # Used by the SDK where a field is a Python keyword, such as `from`.
                self.functional[node.targets[0].id] = node.value.args[1]


def is_functional_typed_dict(node):
    """Tells whether `node` is `Name = TypedDict("Name", {...})`."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "TypedDict"
    )


class Sdk:
    """All modules of one SDK release, parsed on demand."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.modules = {}

    def module(self, name):
        """The module with the dotted name `stripe.x.y`."""
        if name not in self.modules:
            base = self.root.joinpath(*name.split("."))
            path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
            self.modules[name] = Module(name, ast.parse(path.read_text(encoding="utf-8")))
        return self.modules[name]

    def files(self, pattern):
        """Dotted names of the modules whose file matches `pattern`, sorted."""
        for path in sorted(self.root.joinpath("stripe").rglob(pattern)):
            yield ".".join(path.relative_to(self.root).with_suffix("").parts)

    def api_version(self):
        """The API version that this release of the SDK sends."""
        for node in self.module("stripe._api_version").classes["_ApiVersion"].body:
            if isinstance(node, ast.Assign) and node.targets[0].id == "CURRENT":
                return node.value.value
        raise ValueError("the SDK does not name its API version")


def parse_annotation(node):
    """Annotations may be quoted whole; yields the expression inside."""
    while isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value.strip(), mode="eval").body
    return node


def union_members(node):
    """Members of `Union[A, B]` and of `A|B`, flattened one level."""
    node = parse_annotation(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return union_members(node.left) + union_members(node.right)
    return [node]


def subscript(node):
    """`("List", [X])` for `List[X]`, otherwise `(None, [])`."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
        return None, []
    inner = node.slice
    return node.value.id, inner.elts if isinstance(inner, ast.Tuple) else [inner]


def literal_values(arguments):
    """The values of a `Literal[...]`, in the order of the SDK (alphabetic)."""
    return [argument.value for argument in arguments]


def is_name(node, name):
    return isinstance(node, ast.Name) and node.id == name


def any_of(options):
    """`anyOf` over distinct options; one option stands alone."""
    distinct = []
    for option in options:
        if option not in distinct:
            distinct.append(option)
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


class Reader:
    """Turns annotations into schemas; subclasses say how classes are named."""

    scalars = {}

    def __init__(self, sdk):
        self.sdk = sdk
        self.schemas = {}

    def schema(self, node, module, scope):
        """The schema of one annotation, seen from `module` inside `scope`."""
        members = union_members(node)
        if len(members) > 1:
            return self.union(members, module, scope)
        node = members[0]
        generic, arguments = subscript(node)
        if generic == "Union":
            flat = [m for argument in arguments for m in union_members(argument)]
            return self.union(flat, module, scope)
        if generic is not None:
            return self.generic(generic, arguments, module, scope)
        if isinstance(node, ast.Name):
            if node.id in self.scalars:
                return dict(self.scalars[node.id])
            return self.reference(node.id, module, scope)
        if isinstance(node, ast.Attribute):
            return self.dotted(node, module)
        raise ValueError(f"{module.name}: cannot read {ast.dump(node)}")

    def union(self, members, module, scope):
        """A literal beside a bare `str` is Stripe's open enum: its values count."""
        literals = [m for m in members if subscript(m)[0] == "Literal"]
        if any(literal_values(subscript(m)[1]) != [""] for m in literals):
            members = [m for m in members if not is_name(m, "str")]
        return any_of([self.schema(m, module, scope) for m in members])

    def generic(self, name, arguments, module, scope):
        raise NotImplementedError

    def reference(self, name, module, scope):
        raise NotImplementedError

    def dotted(self, node, module):
        raise ValueError(f"{module.name}: cannot read {ast.dump(node)}")


class ParamsReader(Reader):
    """Reads parameter types (`TypedDict`s) into request schemas."""

    scalars = {
        "str": {"type": "string"},
        "int": {"type": "integer"},
        "bool": {"type": "boolean"},
        "float": {"type": "number"},
        "Decimal": {"type": "string", "pattern": DECIMAL_PATTERN},
        "Any": {},
    }

    def generic(self, name, arguments, module, scope):
        if name in ("NotRequired", "Optional"):
            return self.schema(arguments[0], module, scope)
        if name == "Literal":
            values = literal_values(arguments)
            kind = "boolean" if isinstance(values[0], bool) else "string"
            return {"type": kind, "enum": values}
        if name == "List":
            return {"type": "array", "items": self.schema(arguments[0], module, scope)}
        if name == "Dict":
            values = self.schema(arguments[1], module, scope)
            return {"type": "object", "additionalProperties": values}
        if name == "UntypedStripeObject":
            values = self.schema(arguments[0], module, scope)
            return {"type": "object", "additionalProperties": values}
        raise ValueError(f"{module.name}: unknown generic {name}")

    def reference(self, name, module, scope):
        if name not in module.classes and name in module.imports:
            source, original = module.imports[name]
            if not source.startswith("stripe"):
                raise ValueError(f"{module.name}: unknown type {name}")
            return self.reference(original, self.sdk.module(source), scope)
        key = f"{module.name.removeprefix('stripe.')}:{name}"
        if key not in self.schemas:
            self.schemas[key] = None
            self.schemas[key] = self.typed_dict(module.classes[name], module)
        return {"$ref": PARAMS_REF + key}

    def typed_dict(self, node, module):
        fields = {}
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in module.functional:
                table = module.functional[base.id]
                for key, value in zip(table.keys, table.values):
                    fields[key.value] = value
        for item in node.body:
            if isinstance(item, ast.AnnAssign):
                fields[item.target.id] = item.annotation
        properties, required = {}, []
        for name, annotation in sorted(fields.items()):
            properties[name] = self.schema(annotation, module, None)
            if subscript(parse_annotation(annotation))[0] != "NotRequired":
                required.append(name)
        result = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            result["required"] = required
        return result


class ResponseReader(Reader):
    """Reads resource classes into response shapes.

    A field that is not `Optional` is always present. `Optional` in the SDK
    means that Stripe may send null or leave the field out.
    """

    scalars = {
        "str": {"type": "string"},
        "int": {"type": "integer"},
        "bool": {"type": "boolean"},
        "float": {"type": "number"},
        # Stripe sends decimals as strings.
        "Decimal": {"type": "string"},
        "Any": {},
        "object": {},
        "StripeObject": {"type": "object"},
        "UntypedStripeObject": {"type": "object"},
        "Dict": {"type": "object"},
        "None": {"type": "null"},
    }

    def generic(self, name, arguments, module, scope):
        if name == "Optional":
            inner = self.schema(arguments[0], module, scope)
            return {"anyOf": [inner, {"type": "null"}]}
        if name == "Literal":
            return {"enum": literal_values(arguments)}
        if name == "List":
            return {"type": "array", "items": self.schema(arguments[0], module, scope)}
        if name == "ExpandableField":
            return any_of([{"type": "string"}, self.schema(arguments[0], module, scope)])
        if name in ("ListObject", "SearchResultObject"):
            return self.page(arguments[0], module, scope)
        if name == "Dict":
            return {"type": "object"}
        if name in ("UntypedStripeObject", "StripeObject"):
            return {"type": "object"}
        raise ValueError(f"{module.name}: unknown generic {name}")

    def page(self, item, module, scope):
        # A search result has `next_page` besides, and no other difference.
        rows = {"type": "array", "items": self.schema(item, module, scope)}
        return {
            "type": "object",
            "properties": {"data": rows},
            "required": ["object", "data", "has_more", "url"],
        }

    def dotted(self, node, module):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        parts.insert(0, node.id)
        return self.define(parts, module)

    def reference(self, name, module, scope):
        # Nested classes shadow module-level ones, innermost first.
        for depth in range(len(scope), 0, -1):
            path = scope[:depth] + [name]
            if self.find(path, module) is not None:
                return self.define(path, module)
        if name in module.classes:
            return self.define([name], module)
        source, original = module.imports[name]
        if not source.startswith("stripe"):
            raise ValueError(f"{module.name}: unknown type {name}")
        target = self.sdk.module(source)
        if original not in target.classes:
            return self.alias(original, target)
        return self.define([original], target)

    def alias(self, name, module):
        """`stripe.Thing` re-exported by a package: follow it one step."""
        source, original = module.imports[name]
        return self.define([original], self.sdk.module(source))

    def find(self, path, module):
        node = module.classes.get(path[0])
        for name in path[1:]:
            if node is None:
                return None
            inner = [c for c in node.body if isinstance(c, ast.ClassDef) and c.name == name]
            node = inner[0] if inner else None
        return node

    def define(self, path, module):
        package = module.name.removeprefix("stripe.").split(".")[:-1]
        key = "/".join(package + [".".join(path)])
        if key not in self.schemas:
            self.schemas[key] = None
            self.schemas[key] = self.resource(self.find(path, module), path, module)
        return {"$ref": DEFS_REF + key}

    def resource(self, node, path, module):
        encodings = field_names(node)
        properties, required = {}, []
        for item in node.body:
            if not isinstance(item, ast.AnnAssign):
                continue
            annotation = parse_annotation(item.annotation)
            kind = subscript(annotation)[0]
            if kind == "ClassVar":
                continue
            name = encodings.get(item.target.id, item.target.id)
            properties[name] = self.schema(annotation, module, path)
            if kind != "Optional":
                required.append(name)
        return {
            "type": "object",
            "properties": dict(sorted(properties.items())),
            "required": sorted(required),
        }


def field_names(node):
    """Python attribute → wire name where the two differ (`_field_remappings`)."""
    for item in node.body:
        if isinstance(item, ast.Assign) and is_name(item.targets[0], "_field_remappings"):
            return dict(
                (key.value, value.value)
                for key, value in zip(item.value.keys, item.value.values)
            )
    return {}
