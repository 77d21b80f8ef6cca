"""Commands as tests call them, what they print, and the validators of their documents."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
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


def call(*words: str | Path) -> Result:
    """The program, called in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


def screen(*words: str | Path) -> str:
    """What a command that ends well prints."""
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def printed(*words: str | Path) -> dict[str, Any]:
    """The one object that a command prints under --json."""
    content = read_json(screen(*words, "--json"))
    assert isinstance(content, dict)
    return content


def loaded_modules(*words: str) -> set[str]:
    """Modules that a whole process of the program has imported when it ends."""
    program = (
        "import sys; from wse_sim.cli.app import main; main(sys.argv[1:], standalone_mode=False); "
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}
