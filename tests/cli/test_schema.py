"""`wse-sim schema`: every document has one, every property of it an entry, and none changes by accident."""

import json
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.documents import call, loaded_modules, read_json, screen
from tests.cli.test_commands import CONTRACT
from wse_sim.cli import documents
from wse_sim.cli.app import COMMANDS, main
from wse_sim.cli.documents import DOCUMENTS, schema_of
from wse_sim.cli.documents_page import page
from wse_sim.cli.output import print_json
from wse_sim.report.fields import Field, explained, field_tables

ROOT = Path(__file__).parent.parent.parent
DIGESTS = tomllib.loads((Path(__file__).parent / "schema_digests.toml").read_text(encoding="utf-8"))
# Types that users write: their docstrings explain them, and most of their keys are the field's own words.
WRITTEN = {
    *(
        "BaseHyperparameters",
        "Branch",
        "InitFrom",
        "CoordCheck",
        "Execution",
        "ModelShape",
        "Parametrization",
        "SideCar",
        "Study",
        "TrainConfig",
    ),
    *("GMP", "RigL", "SET", "SPDF", "Static", "Update"),
    *("Constant", "Cosine", "Cubic", "Cycling", "Exp", "Linear", "Power"),
}
# Tables of what stands in no schema: columns of a CSV, and keys that hang on the run (tests/report/test_fields.py).
BESIDE = ("sweep_row", "candidate", "plan_wall")


def parts(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a schema, and the name of its type."""
    for of_type, of_class in (("", schema), *schema.get("$defs", {}).items()):
        yield of_type, of_class
        for shape in of_class["properties"].values():
            if "properties" in shape:
                yield of_type, shape


def test_every_command_with_json_has_a_document() -> None:
    def with_json(command: click.Command, path: str) -> Iterator[str]:
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from with_json(inner, f"{path} {name}")
        if any(parameter.name == "as_json" for parameter in command.params):
            yield path

    context = click.Context(main)
    titles = " ".join(document.title for document in DOCUMENTS.values())
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        for path in with_json(command, f"wse-sim {name}"):
            assert path in titles, f"`{path} --json` has no document: add it to wse_sim/cli/documents.py"


def own_parts(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a document but those that are part of what users write."""
    if not DOCUMENTS[name].is_input:
        yield from ((of_type, schema) for of_type, schema in parts(schema_of(name)) if of_type not in WRITTEN)


def meaning(field: Field) -> tuple[str, ...]:
    return field.definition, field.unit, field.kind, field.formula


def said_of(shape: dict[str, Any]) -> tuple[str, ...]:
    return tuple(shape.get(key, "") for key in ("description", "unit", "kind", "formula"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_object_is_closed(name: str) -> None:
    for _, schema in parts(schema_of(name)):
        assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_property_is_described_but_tags_and_parts_that_are_themselves(name: str) -> None:
    schema = schema_of(name)
    described = {
        f"#/$defs/{of_type}" for of_type, of_class in schema.get("$defs", {}).items() if of_class["description"]
    }
    for of_type, part in parts(schema):
        for key, shape in part["properties"].items():
            is_tag = len(shape.get("enum", ())) == 1
            assert shape.get("description") or is_tag or shape.get("$ref") in described, f"{of_type}.{key} says nothing"


@pytest.mark.parametrize("name", [name for name, document in DOCUMENTS.items() if not document.is_input])
def test_explain_says_of_every_property_what_its_schema_says(name: str) -> None:
    for of_type, schema in own_parts(name):
        for key, shape in schema["properties"].items():
            assert shape.keys() & {"type", "enum", "anyOf", "$ref"}, f"{of_type}.{key} may be anything"
            assert shape.get("description"), f"{of_type}.{key} has no entry in wse_sim/report/fields*.toml"
            assert said_of(shape) in map(meaning, explained(key)), f"wse-sim explain {key} does not say it of {of_type}"


def test_no_entry_is_stale() -> None:
    entries = {
        meaning(field) for table, fields in field_tables().items() if table not in BESIDE for field in fields.values()
    }
    said = {
        said_of(shape) for name in DOCUMENTS for _, schema in own_parts(name) for shape in schema["properties"].values()
    }
    assert said == entries


def test_the_contract_of_simulate_is_required() -> None:
    schema = schema_of("simulate")
    assert set(schema["required"]) >= CONTRACT
    assert schema["$defs"]["EngineRun"]["required"] == ["name", "events", "wall_s", "events_per_s"]
    assert schema["properties"]["breakdown"]["additionalProperties"] is False


def bare(schema: Any) -> Any:
    """A schema without what may be said better without a change of the document."""
    if isinstance(schema, list):
        return [bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    names = ("properties", "$defs")
    return {
        key: {name: bare(inner) for name, inner in value.items()} if key in names else bare(value)
        for key, value in schema.items()
        if key not in ("$id", "title", "version", "description", "formula")
    }


def test_documents_change_on_purpose_alone() -> None:
    found = {
        name: sha256(json.dumps(bare(schema_of(name)), sort_keys=True).encode()).hexdigest()[:12] for name in DOCUMENTS
    }
    assert DIGESTS["version"] == documents.VERSION
    changed = "\n".join(f'{name} = "{digest}"' for name, digest in found.items() if DIGESTS.get(name) != digest)
    assert not changed, (
        "What wse-sim prints, writes or reads has changed. If that is meant: say it in CHANGELOG.md; raise VERSION in "
        "wse_sim/cli/documents.py and in tests/cli/schema_digests.toml, unless that was done since the last release; "
        f"and put into that file:\n{changed}"
    )
    assert DIGESTS.keys() == found.keys() | {"version"}


def test_the_page_is_that_of_the_documents() -> None:
    command = "wse-sim schema --markdown > docs/reference/json.md"
    assert (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8") == page(), command


def test_what_is_not_finite_is_never_printed() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            print_json({"value": value})


def test_schemas_are_printed_listed_and_written(tmp_path: Path) -> None:
    assert read_json(screen("schema", "run-row")) == schema_of("run-row")
    listed = screen("schema").splitlines()[1:]
    assert [line.split()[0] for line in listed] == list(DOCUMENTS)
    screen("schema", "--all", "--out", tmp_path / "all")
    written = {path.name.removesuffix(".schema.json"): path for path in (tmp_path / "all").iterdir()}
    assert written.keys() == DOCUMENTS.keys()
    schemas = {name: read_json(path.read_text(encoding="utf-8")) for name, path in written.items()}
    assert schemas == {name: schema_of(name) for name in DOCUMENTS}
    assert len({schema["$id"] for schema in schemas.values()}) == len(DOCUMENTS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("simulat",), "did you mean 'simulate'"),
        (("--all",), "say where with --out DIR"),
        (("--out", "here"), "no document"),
        (("simulate", "--all", "--out", "here"), "exclude each other"),
        (("simulate", "--markdown"), "exclude each other"),
    ],
)
def test_wrong_input_says_what_would_be_right(words: tuple[str, ...], message: str) -> None:
    result = call("schema", *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_schema_of_the_simulator_loads_no_torch() -> None:
    assert "torch" not in loaded_modules("schema", "simulate")
