"""Commands that print JSON, and the validators of their documents."""

import json
from functools import cache
from typing import Any

from click.testing import CliRunner
from jsonschema import Draft202012Validator

from wse_sim.cli.app import main
from wse_sim.cli.documents import schema_of


@cache
def validator(name: str) -> Draft202012Validator:
    """Of the document called `name`; its schema is one itself."""
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def read_json(text: str) -> Any:
    """What a text says, which must not say NaN or Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def printed(*words: str) -> Any:
    """What a command prints under --json."""
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return read_json(result.stdout)
