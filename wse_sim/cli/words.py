"""The words of a command line as they were typed: each says something, and no file that one names is written over."""

import os
from pathlib import Path
from typing import Any

import click

from wse_sim.files import require_place

_WORDS = "wse_sim.words"  # in the context of a command, and of those in it


def hear_words(context: click.Context, words: list[str]) -> None:
    """Keep the words of a command, for those who look at all of them.

    Raises
    ------
    click.UsageError
        When one is empty, or no text.
    """
    for before, word in zip(("wse-sim", *words), words, strict=False):
        if not word or (word.startswith("--") and word.endswith("=")):
            raise click.UsageError(f"What follows {word or before!r} is empty: give it a value, or leave it out.")
        try:
            word.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{os.fsencode(word)!r} is not UTF-8: give another name.") from None
    context.meta[_WORDS] = tuple(words)


class OutputFile(click.Path):
    """A file that a command writes: a new one, or one in the place of an older one that the command does not read.

    A new one is in a folder that is there, or in one that the command is told to make: it is written after the work.
    """

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        words = [word.rpartition("=")[2] for word in (ctx.meta.get(_WORDS, ()) if ctx else ())]
        if path.is_file() and str(value) in words:
            words.remove(str(value))  # its own
            for name in ",".join(words).split(","):
                if Path(name).is_file() and path.samefile(name):
                    self.fail(f"{name} is read by this command too: name another file.", param, ctx)
        is_made_here = any(Path(word) in path.parents for word in words)
        if not (os.path.exists(path) or is_made_here):
            require_place(path)
        return path
