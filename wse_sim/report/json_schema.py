"""JSON Schema of a type: its shape from the type itself, its meaning from fields*.toml or else from its docstring."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec
from msgspec.inspect import DataclassType, StructType, TypedDictType, type_info

from wse_sim.report.fields import Field, fields_of, inner_fields, may_lack_keys

Schema = dict[str, Any]

# An entry of a docstring's list of parameters: `low, high :` and the indented lines below it.
_PARAMETERS = re.compile(r"^(?P<names>\w+(?:, \w+)*) :.*\n(?P<text>(?:(?:[ \t]+.*)?\n)+)", re.MULTILINE)


def json_schema(described: Any, *, is_input: bool) -> Schema:
    """The schema of an object; those of its parts are under `$defs`. No object holds more than its schema names.

    Parameters
    ----------
    described :
        A struct, a dataclass or a typed dictionary.
    is_input :
        A user writes it, and may leave out what has a default; what we write ourselves is whole.
    """
    (root,), components = msgspec.json.schema_components([described], ref_template="#/$defs/{name}")
    classes = {cls.__name__: cls for cls in _classes(type_info(described))}
    assert set(components) == set(classes), f"two types of {described} have one name: {sorted(components)}"
    parts = {name: _of_class(schema, classes[name], is_input=is_input) for name, schema in components.items()}
    whole: Schema = parts.pop(root["$ref"].rpartition("/")[2])
    schema = {**whole, "$defs": parts} if parts else whole
    return dict(msgspec.json.decode(msgspec.json.encode(schema)))  # lists in place of tuples among defaults


def _classes(info: Any) -> Iterator[type]:
    """The structs, dataclasses and typed dictionaries that a type is made of."""
    todo, seen = [info], set()
    while todo:
        here = todo.pop()
        if isinstance(here, tuple | list):
            todo += here
        elif isinstance(here, msgspec.Struct) and id(here) not in seen:  # how msgspec tells types
            seen.add(id(here))
            todo += [getattr(here, name) for name in here.__struct_fields__]
            if isinstance(here, StructType | DataclassType | TypedDictType):
                yield here.cls


def _of_class(schema: Schema, cls: type, *, is_input: bool) -> Schema:
    shapes: dict[str, Schema] = schema["properties"]
    if not issubclass(cls, msgspec.Struct):  # msgspec has keys and defaults of others in an order of its own
        shapes = {name: shapes[name] for name in get_type_hints(cls)}
    required = set(schema["required"])
    if is_input:
        shapes = {name: _without_null(shape) for name, shape in shapes.items()}
    else:
        # What has a default is there all the same, unless the struct leaves such values out.
        config = getattr(cls, "__struct_config__", None)
        if config is None or not config.omit_defaults:
            required |= {name for name, shape in shapes.items() if "default" in shape}
        shapes = {name: _without(shape, "default") for name, shape in shapes.items()}
    return {
        "title": cls.__name__,
        "description": _first_paragraph(cls),
        "type": "object",
        "properties": _explained(shapes, cls),
        "required": [name for name in shapes if name in required],
        "additionalProperties": False,
    }


def _first_paragraph(cls: type) -> str:
    """Of the docstring of a class, or of the one that it extends, which for a typed dictionary is not `dict`'s."""
    said = inspect.getdoc(cls) or ""
    return "" if said == inspect.getdoc(dict) else said.partition("\n\n")[0].replace("\n", " ")


def _without_null(shape: Schema) -> Schema:
    """What TOML, which has no null, can hold of a shape."""
    if "anyOf" not in shape:
        return shape
    others = [option for option in shape["anyOf"] if option != {"type": "null"}]
    rest = _without(shape, "anyOf", *(["default"] if shape.get("default") is None else []))
    return rest | (others[0] if len(others) == 1 else {"anyOf": others})


def _without(shape: Schema, *keys: str) -> Schema:
    return {key: value for key, value in shape.items() if key not in keys}


def _explained(shapes: dict[str, Schema], cls: type) -> dict[str, Schema]:
    """The properties of a type with their meaning; a type without a table is one that users write."""
    fields, said = fields_of(cls), _parameters(cls)
    properties = {}
    for name, shape in shapes.items():
        if name in fields:
            properties[name] = _closed(shape, fields[name]) | _meaning(fields[name])
            continue
        meaning = {"description": said[name]} if name in said else {}
        holds_parts = b'"$ref"' in msgspec.json.encode(shape)
        properties[name] = shape | meaning | ({} if fields or holds_parts else {"kind": "input"})
    return properties


def _closed(shape: Schema, field: Field) -> Schema:
    """An object whose keys the fields name has these and no others."""
    inner = inner_fields(field)
    if not inner or "type" not in shape.get("additionalProperties", {}):
        return shape
    return {
        "type": "object",
        "properties": {key: shape["additionalProperties"] | _meaning(inner[key]) for key in inner},
        "required": [] if may_lack_keys(field) else list(inner),
        "additionalProperties": False,
    }


def _meaning(field: Field) -> Schema:
    found = {"description": field.definition, "unit": field.unit, "kind": field.kind, "formula": field.formula}
    return {key: value for key, value in found.items() if value}


def _parameters(cls: type) -> dict[str, str]:
    """What the docstrings of a class and of those that it extends say of its parameters."""
    found: dict[str, str] = {}
    for of_class in reversed(cls.__mro__):
        for entry in _PARAMETERS.finditer(f"{inspect.getdoc(of_class)}\n"):
            text = " ".join(entry["text"].split())
            found |= dict.fromkeys(entry["names"].split(", "), text)
    return found
