"""The page docs/reference/json.md: every document, and the fields at its top."""

from wse_sim.cli.documents import DOCUMENTS, VERSION, schema_of
from wse_sim.report.clock_fields import CLOCK_FIELDS, MACHINE_FIELDS
from wse_sim.report.json_schema import Schema
from wse_sim.report.tables import Section, section_markdown

_HEAD = f"""# JSON: what commands print, what they write, what they read

Made by `wse-sim schema --markdown > docs/reference/json.md`; not edited by hand.

Every command that prints figures takes `--json` and then prints one JSON object on stdout and nothing else. NaN and
infinity never occur: where there is no finite figure, there is `null`. `wse-sim schema DOCUMENT` prints the [JSON
Schema](https://json-schema.org) (2020-12) of each object below, and `wse-sim schema --all --out DIR` writes one file
each. An object holds nothing but what its schema names, and all that it requires.

A property has what `wse-sim explain` says of it: `description`, `unit`, `kind` (`input`, `measured`, `simulated` or
`projected`) and `formula`. These are annotations, as is `version` at the top, now {VERSION}, which rises with every
release that changes a document; strict validators must be told of them (Ajv: `ajv.addVocabulary(["unit", "kind",
"formula", "version"])`). In Python:

```python
import json
import subprocess

import jsonschema  # pip install jsonschema


def printed(*words: str) -> dict:
    return json.loads(subprocess.run(["wse-sim", *words], capture_output=True, check=True, text=True).stdout)


schema = printed("schema", "simulate")
result = printed("simulate", "--model", "13b", "--json")
jsonschema.validate(result, schema)
print(result["step_time_s"], schema["properties"]["step_time_s"]["unit"])
```

Editors with Taplo (Even Better TOML) check a file while it is written: `wse-sim schema model-file --out .`, and
`#:schema ./model-file.schema.json` as its first line."""
_HEADER = ("document", "what it is", "fields at its top; those in parentheses may be missing")


def page() -> str:
    """The page in Markdown."""
    sections = [_section("Printed with `--json`, and written", is_input=False), _section("Read", is_input=True)]
    return "\n\n".join([_HEAD, *map(section_markdown, sections), _varying()]) + "\n"


def _varying() -> str:
    by_clock, by_machine = (", ".join(f"`{name}`" for name in names) for names in (CLOCK_FIELDS, MACHINE_FIELDS))
    return f"""## What differs from run to run

The same command prints and writes the same bytes, but for what a clock measures: {by_clock}. Once for a machine, and
kept until `--remeasure`: {by_machine}. What `wse-sim bench` and `compare --here` print is measured throughout."""


def _section(title: str, *, is_input: bool) -> Section:
    rows = [
        (f"`{name}`", document.title, ", ".join(_fields(schema_of(name))))
        for name, document in DOCUMENTS.items()
        if document.is_input is is_input
    ]
    return Section(title=title, header=_HEADER, rows=rows, right=())


def _fields(schema: Schema) -> list[str]:
    required = schema["required"]
    return [f"`{name}`" if name in required else f"(`{name}`)" for name in schema["properties"]]
