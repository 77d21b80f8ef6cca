"""What commands print: results, as tables for people or as JSON for programs, and notes beside them."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.terminal import console, is_styled, loudness, printable
from wse_sim.files import json_text

if TYPE_CHECKING:
    from rich.console import RenderableType

EXIT_INTERRUPTED = 130
_MOST_LETTERS = 1600  # of an error


def command_line() -> str:
    """This command as it was typed, to be run again."""
    return shlex.join(["wse-sim", *sys.argv[1:]])


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on stdout, in UTF-8 whatever the terminal's character set is: so JSON is written."""
    click.echo(json_text(content).encode(), nl=False)


def print_tables(*tables: "RenderableType") -> None:
    """Tables and lines for a terminal, in plain text where stdout takes no styles."""
    from wse_sim.cli.narrow import fitted

    drawn = console(sys.stdout)
    parts = [part for table in tables for part in fitted(table, drawn)]
    if is_styled(sys.stdout):
        for part in parts:
            drawn.print(part)
        return
    with drawn.capture() as capture:
        for part in parts:
            drawn.print(part)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def say(line: str) -> None:
    """A note on stderr: what was written, what was found on the way; not with --quiet."""
    if loudness() != "quiet":
        click.echo(printable(line), err=True)


def say_written(paths: Iterable[Path], there_before: frozenset[Path]) -> None:
    """A line for each file that was written, which says so where it replaced another one.

    Parameters
    ----------
    there_before :
        `files_in` the folder, before.
    """
    for path in paths:
        say(f"written: {path}{' (replaced)' if path in there_before else ''}")


def files_in(folder: Path) -> frozenset[Path]:
    """What is in a folder; nothing where there is none."""
    return frozenset(folder.iterdir() if folder.is_dir() else ())


def say_more(line: str) -> None:
    """A note on stderr with --verbose alone."""
    if loudness() == "verbose":
        click.echo(printable(line), err=True)


def complain(line: str) -> None:
    """An error on stderr: "error: ..."."""
    is_rich = is_styled(sys.stderr)
    word = click.style("error:", fg="red", bold=True) if is_rich else "error:"
    click.echo(f"{word} {_in_one_line(line)}", err=True, color=is_rich)


def _in_one_line(text: str) -> str:
    """Text without what is not printed and without an end far away, whatever was quoted in it."""
    if len(text) > _MOST_LETTERS:  # the place stands in front, what would be right at the end
        text = f"{text[: _MOST_LETTERS // 2]} … {text[-_MOST_LETTERS // 2 :]}"
    shown = printable(text)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in shown)


@contextmanager
def going_on(words: str = "") -> Iterator[None]:
    """Work that Ctrl-C stops between two of its parts: says how to go on, and ends the command with code 130.

    Parameters
    ----------
    words :
        "" = that it was saved, and the command to go on with.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo(words or f"stopped and saved; to go on: {command_line()}", err=True)
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
