"""What commands print: tables for people, JSON for programs, both on stdout."""

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from wse_sim.files import json_text

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 100  # of tables that go into a file or a pipe


def command_line() -> str:
    """This command as it was typed, to be run again."""
    return shlex.join(["wse-sim", *sys.argv[1:]])


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    click.echo(json_text(content), nl=False)


def print_tables(*tables: "RenderableType") -> None:
    """Tables and lines for a terminal, in plain text where stdout is none."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        for table in tables:
            console.print(table)
        return
    console = Console(highlight=False, width=WIDTH, no_color=True)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))
