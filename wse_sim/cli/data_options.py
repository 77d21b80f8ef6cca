"""The options that say what is trained on, and what a person sees while it is read."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wse_sim.defaults import TRAIN, Defaults
from wse_sim.file_kinds import require_file_or_folder

if TYPE_CHECKING:
    from training.data import Corpus, OnProgress, Progress

Command = TypeVar("Command", bound=Callable[..., Any])


def data_options(command: Command) -> Command:
    """Adds `data`, `tokenizer` and `text_field`."""
    return _data_options(command, TRAIN)


def optional_data_options(command: Command) -> Command:
    """The same for a command whose configuration file may say them: what is not given is None."""
    return _data_options(command, {})


def tokenizer_options(command: Command) -> Command:
    """Adds `tokenizer` and `text_field` alone."""
    return _tokenizer_options(command, TRAIN)


def _data_options(command: Command, defaults: Defaults) -> Command:
    return click.option(
        "--data",
        callback=_file_or_folder,
        default=defaults.get("data"),
        show_default=bool(defaults),
        metavar="PATH",
        help="Text, .jsonl(.zst), .bin, .idx, .h5, .arrow, .parquet; file, folder or '*'; or markov."
        + ("" if defaults else "  [default: stdlib]"),
    )(_tokenizer_options(command, defaults))


def _file_or_folder(ctx: click.Context, param: click.Parameter, data: str | None) -> str | None:
    """The option as it is; a pipe or a device is refused before anything that takes long is imported."""
    if data is not None:
        require_file_or_folder(Path(os.path.expanduser(data)), f"data {data!r}: cannot be read")
    return data


def _tokenizer_options(command: Command, defaults: Defaults) -> Command:
    command = click.option(
        "--text-field",
        default=defaults.get("text_field"),
        show_default=bool(defaults),
        metavar="NAME",
        help="Of JSON lines or tables, that holds the text." + ("" if defaults else "  [default: text]"),
    )(command)
    return click.option(
        "--tokenizer",
        default=defaults.get("tokenizer"),
        show_default=bool(defaults),
        metavar="T",
        help="Of text: bytes, bpe:8192 (trained on it), a tokenizer.json." + ("" if defaults else "  [default: bytes]"),
    )(command)


@contextmanager
def reading_display(*, is_shown: bool = True) -> Iterator["OnProgress | None"]:
    """What is told how far reading is, which a person sees."""
    if not is_shown:
        yield None
        return
    from wse_sim.cli.progress import AFTER_S, BYTES, progress

    with progress(BYTES, after_s=AFTER_S) as meter:

        def show(at: "Progress") -> None:
            meter.update(at.n_bytes, at.n_bytes_in_all, note=at.what)

        yield show


def corpus_in_words(corpus: "Corpus") -> list[str]:
    """What was read, in a line; and what was assumed of it."""
    from wse_sim.report.quantities import count

    said, train, val = corpus.fingerprint, corpus.train, corpus.val
    unit, by = ("bytes", "") if said.tokenizer == "bytes" else ("tokens", f", tokenizer {said.tokenizer}")
    ratio = "" if not by or train.n_bytes is None else f", {train.n_bytes / train.n_tokens:.2f} bytes of text each"
    parts = f"{count(train.n_tokens)} {unit} to train on, {count(val.n_tokens)} held out"
    return [f"data {said.source}: {parts}{by}{ratio}", *(f"note: {note}" for note in corpus.notes)]
