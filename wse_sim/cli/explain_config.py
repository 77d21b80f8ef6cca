"""`wse-sim explain config`: what became of each key of a configuration, and the equivalent TOML."""

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

import click
import msgspec

from wse_sim.cli.output import print_json, print_tables
from wse_sim.errors import SpecError
from wse_sim.spec.configuration_text import configuration_text
from wse_sim.spec.model_zoo import IgnoredKey, UnderstoodKey
from wse_sim.spec.model_zoo.ledger import shortened
from wse_sim.spec.read_configuration import Reading, read_configuration

if TYPE_CHECKING:
    from rich.table import Table

_KEY_WIDTH, _VALUE_WIDTH = 37, 26


class ExplainedConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each key of a configuration, and the equivalent TOML."""

    files: tuple[str, ...]
    understood: tuple[UnderstoodKey, ...]
    ignored: tuple[IgnoredKey, ...]
    assumed: tuple[UnderstoodKey, ...]
    cannot_train: tuple[str, ...]
    toml: str


def print_configuration(files: tuple[str, ...], *, as_toml: bool, as_json: bool) -> None:
    """Print what became of each key of the files.

    Raises
    ------
    SpecError
        When there is no file, or a file is wrong.
    """
    if not files:
        raise SpecError("there is no file to explain: wse-sim explain config params.yaml")
    if as_toml and as_json:
        raise SpecError("--toml and --json are both given: --json has the TOML too")
    said = _explained(read_configuration(files))
    if as_json:
        print_json(msgspec.to_builtins(said))
    elif as_toml:
        click.echo(said.toml, nl=False)
    else:
        _print(said)


def _explained(reading: Reading) -> ExplainedConfiguration:
    ledger, configuration = reading.ledger, reading.configuration
    return ExplainedConfiguration(
        files=reading.files,
        understood=tuple(ledger.understood),
        ignored=tuple(ledger.ignored),
        assumed=tuple(ledger.assumed),
        cannot_train=configuration.training.cannot_train,
        toml=configuration_text(configuration),
    )


def _print(said: ExplainedConfiguration) -> None:
    _print_entries("Understood", ("key", "value", "became"), [(e.key, e.value, e.became) for e in said.understood])
    _print_entries("Ignored", ("key", "value", "why"), [(e.key, e.value, _why(e)) for e in said.ignored])
    _print_entries("Assumed", ("key", "value", "taken for"), [(e.key, e.value, e.became) for e in said.assumed])
    for reason in said.cannot_train:
        print_tables(f"cannot be trained: {reason}", "")
    print_tables("Equivalent TOML, for --config:", "")
    click.echo(said.toml, nl=False)


def _print_entries(title: str, header: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> None:
    """A table of entries, each with its own key under the keys above it."""
    if not rows:
        return
    print_tables(f"{title}: {', '.join(header)}")
    for heading, group in groupby(rows, key=lambda row: row[0].rpartition(".")[0]):
        if heading:
            print_tables(f"  {heading}")
        rows_here = [(f"    {key.rpartition('.')[2]}", shortened(value), said) for key, value, said in group]
        print_tables(_entries(rows_here))
    print_tables("")


def _entries(rows: Iterable[tuple[str, str, str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(width=_KEY_WIDTH, overflow="fold")
    table.add_column(width=_VALUE_WIDTH, overflow="fold")
    table.add_column()
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _why(entry: IgnoredKey) -> str:
    changed = {"nothing": "", "both": " (changes training and simulation)"}
    return entry.why + changed.get(entry.affects, f" (changes {entry.affects})")
